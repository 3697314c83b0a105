"""`stacked_mnist`: three random digits as the colour channels of an image, for 1,000 countable modes."""

import hashlib

import numpy as np
from jaxtyping import Int

from jaxgan.datasets import order
from jaxgan.datasets.dataset import DATASETS, Dataset, Digest, take
from jaxgan.datasets.grey_digits import grey_digits
from jaxgan.datasets.resize import Size
from jaxgan.errors import UserError

NUM_TEST = 26_000  # triples of the test split: as many samples as VEEGAN and PacGAN evaluate
_STREAMS = {"train": 0, "test": 1}
_FORMAT = 1  # increase it when the same seed gives other triples


@DATASETS.register("stacked_mnist")
def build(
    split: str,
    path: str,
    image_size: Size,
    *,
    num_triples: int = 128_000,
    seed: int = 0,
    digits: str = "mnist",
) -> Dataset:
    """Triples of independent examples of a set of grey digits: uint8 [num_triples, H, W, 3].

    The digits a, b, c of the red, green and blue channel make the label 100a + 10b + c. The test split is
    NUM_TEST triples of the digits' own test split, whatever `num_triples` is.

    Args:
      split, path, image_size: of the set of digits.
      num_triples: number of triples, the same in every epoch (PacGAN's protocol, which uses MNIST's training
        and test images; here only training images are used). 0: every example of the run is a new triple
        (Unrolled GAN's protocol), without labels.
      seed: seed of the triples, in [0, 2^32).
      digits: a data set of grey images with labels 0 to 9: 'mnist', 'digits', 'idx', 'tfds/kmnist', ...

    The i-th triple is a hash of (seed, split, i). The fingerprint is a hash of the digits' fingerprint and of
    these arguments, not of pixels.

    Raises:
      UserError: a field out of range, or a set of other images or labels; MissingDataset without the digits.

    Source: Metz et al. 2017, Unrolled Generative Adversarial Networks, section 3.3; Srivastava et al. 2017,
    VEEGAN, section 4; Lin et al. 2018, PacGAN, section 4.2.
    """
    if not 0 <= num_triples < order.MAX_SIZE:
        raise UserError(
            f"dataset.stacked_mnist.num_triples = {num_triples}: must be below 2^30, or 0 for new ones always"
        )
    if not 0 <= seed < 2**32:
        raise UserError(f"dataset.stacked_mnist.seed = {seed}: must lie in [0, 2^32)")
    parts = grey_digits("stacked_mnist", digits, split, path, image_size, "the 1,000 modes")
    fixed = NUM_TEST if split == "test" else num_triples
    key = np.array([_STREAMS[split], seed], np.uint32)
    triples = Triples(parts.examples, key, fixed or order.MAX_SIZE - 1)
    labels = None
    if fixed:
        drawn = parts.labels[triples.rows(np.arange(fixed))]
        labels = (drawn @ np.array([100, 10, 1])).astype(np.int32)
    content = f"stacked|{_FORMAT}|{parts.fingerprint}|{fixed}|{split}|{seed}"
    return Dataset(
        "stacked_mnist",
        triples,
        labels,
        Digest(hashlib.blake2b(content.encode(), digest_size=16).hexdigest()),
        f"{'fixed' if fixed else 'ever new'} triples, seed {seed}, of {parts.name}: {parts.origin}",
        class_names=tuple(f"{label:03d}" for label in range(1000)),
        parts=parts,
    )


class Triples:
    """Triples of grey examples, stacked when they are read; see `Dataset.examples`.

    Args:
      digits: uint8 [N, H, W, 1], in memory, memory-mapped or a random-access source.
      key: uint32 [2], which triples.
      num: how many.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, digits, key: np.ndarray, num: int):
        self._digits, self._key = digits, key
        self.shape = (num, *digits.shape[1:3], 3)

    def __len__(self) -> int:
        return self.shape[0]

    def rows(self, triples: Int[np.ndarray, " n"]) -> Int[np.ndarray, "n 3"]:
        """int64 [n, 3]: the digits of some triples [n], drawn uniformly."""
        return order.draws(self._key, triples, len(self._digits), 3)

    def __getitems__(self, triples: np.ndarray) -> np.ndarray:
        """uint8 [n, H, W, 3]."""
        rows = self.rows(triples)
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for channel in range(3):
            images[..., channel] = take(self._digits, rows[:, channel])[..., 0]
        return images
