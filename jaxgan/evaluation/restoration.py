"""How well images are restored: each against its own true image, beside simple methods on the same images.

What is given is made from a data set by a task, from a key of each example's number in the data set, so that
it is the same in every evaluation.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8
from tqdm import tqdm

from jaxgan.algorithm.randomness import example_keys, named_keys
from jaxgan.algorithm.tricks import scale
from jaxgan.compilation import float32, jit
from jaxgan.datasets import Dataset, order, take
from jaxgan.datasets.dataset import Digest
from jaxgan.errors import UserError
from jaxgan.evaluation.features import extract_images, versions
from jaxgan.evaluation.naming import number_name
from jaxgan.extractors import Extractor
from jaxgan.metrics import FAMILIES
from jaxgan.metrics.frechet import frechet_distance
from jaxgan.sampler.given import to_pixels
from jaxgan.tasks import Task
from jaxgan.tasks.inpainting import fill_with_example

BATCH = (
    64  # images in a call of a translator, always as many, so that they do not depend on how many there are
)
_ROWS = 512  # examples degraded in one call
_MOST_TRAINING = 60_000  # training examples to search in

Translate = Callable[[Float[Array, "B h w c"]], Float[Array, "B H W C"]]


class Degraded(NamedTuple):
    """N examples as a task gives them.

    Attributes:
      truth: the targets, uint8 `[N, H, W, C]`; None: there are none.
      given: float32 `[N, h, w, c]`.
      holes: bool `[N, H, W]`; None: the task has none.
      labels: int `[N]` of the examples; None: the data has none.
    """

    truth: UInt8[np.ndarray, "N H W C"] | None
    given: Float[np.ndarray, "N h w c"]
    holes: Bool[np.ndarray, "N H W"] | None
    labels: Int[np.ndarray, " N"] | None


class Targets:
    """The targets of stored examples as a random-access source: see `Dataset.examples`."""

    def __init__(self, task: Task, examples: Any):
        self._task, self._examples, self.dtype = task, examples, np.dtype(np.uint8)
        self.shape = (len(examples), *task.shapes(tuple(examples.shape[1:]))[0])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitems__(self, rows: np.ndarray) -> np.ndarray:
        target, _ = self._task.real(scale(jnp.asarray(take(self._examples, rows))), None)
        return to_pixels(np.asarray(target))


def targets_of(task: Task, dataset: Dataset) -> Dataset:
    """What translations are compared with: the targets of the examples, or for unpaired data the partners."""
    if task.reads:
        return dataset.partner or dataset
    if task.shapes(dataset.shape)[0] == dataset.shape:
        return dataset
    digest = hashlib.blake2b(f"targets|{dataset.fingerprint}".encode(), digest_size=16).hexdigest()
    examples = Targets(task, dataset.examples)
    return dataclasses.replace(dataset, examples=examples, fingerprint=Digest(digest))


def exchanged(dataset: Dataset) -> Dataset:
    """Unpaired data with its two domains exchanged, to measure the translation back."""
    if dataset.partner is None:
        return dataset
    first = dataclasses.replace(dataset, partner=None, matched=False)
    return dataclasses.replace(dataset.partner, partner=first, matched=dataset.matched)


class Scores(NamedTuple):
    """Numbers of a translator and of simple methods on the same images.

    Attributes:
      numbers: of the translator, by name.
      baselines: of each simple method, by its name; and of the true images (`truth`) what is not trivial.
      protocol: everything else on which they depend, as JSON values.
    """

    numbers: dict[str, float]
    baselines: dict[str, dict[str, float]]
    protocol: dict[str, Any]


@float32
def degrade(task: Task, dataset: Dataset, rows: Int[np.ndarray, " N"], seed: int = 0) -> Degraded:
    """The targets of some examples, and what is given of them.

    Unpaired examples are joined with themselves. Their targets are their partners, if these are matched.

    Args:
      task: the task.
      dataset: its images.
      rows: which examples. An example's draws depend on its number here and on the seed, on nothing else.
      seed: in [0, 2^32).

    Raises:
      UserError: the task is not possible with these images.
    """
    copies = 1 + len(task.reads)
    task.check((*dataset.shape[:-1], copies * dataset.shape[-1]))

    def run(images, numbers):
        keys = named_keys(example_keys(jax.random.key(seed), numbers), "task")
        target, given = task.real(jnp.concatenate([scale(images)] * copies, axis=-1), keys)
        return target, given["image"]

    compiled, parts = jit(run), []
    for first in range(0, len(rows), _ROWS):
        some = np.resize(rows[first : first + _ROWS], _ROWS)  # the last batch is filled up
        found = compiled(take(dataset.examples, some), some.astype(np.int32))
        parts.append([np.asarray(part)[: len(rows) - first] for part in found])
    truth, given = (np.concatenate(side) for side in zip(*parts, strict=True))
    truth, mask = to_pixels(truth), task.hole(given)
    holes = None if mask is None else mask[..., 0] > 0.5
    labels = None if dataset.labels is None else dataset.labels[rows]
    if task.reads:
        truth = take(dataset.partner.examples, rows) if dataset.matched else None
    return Degraded(truth, given, holes, labels)


def restore(translate: Translate, given: Float[np.ndarray, "N h w c"]) -> UInt8[np.ndarray, "N H W C"]:
    """The translations of all images in batches of 64, as 8 bits.

    Raises:
      UserError: some are NaN or infinite.
    """
    parts = []
    for first in tqdm(range(0, len(given), BATCH), "restored", disable=None, leave=False):
        batch = given[np.minimum(first + np.arange(BATCH), len(given) - 1)]
        found = np.asarray(translate(jnp.asarray(batch)), np.float32)[: len(given) - first]
        if not np.isfinite(found).all():
            raise UserError("some restored images are NaN or infinite: take an earlier checkpoint")
        parts.append(to_pixels(found))
    return np.concatenate(parts)


def baselines(
    task: Task, degraded: Degraded, train: Dataset | None = None
) -> dict[str, UInt8[np.ndarray, "N H W C"]]:
    """The restorations by the task's simple methods, by name.

    Args:
      task: the task.
      degraded: what is given.
      train: for holes, training images to search in: `example` has the hole's pixels of the image whose other
        pixels are nearest.
    """
    found = task.baselines(degraded.given)
    if task.reads:  # of the pair (F(b) | G(a)), what is made of the examples
        found = {name: images[..., images.shape[-1] // 2 :] for name, images in found.items()}
    if degraded.holes is not None and train is not None:
        examples = take(train.examples, np.arange(min(len(train), _MOST_TRAINING)))
        found["example"] = fill_with_example(degraded.given, examples)
    fit = degraded.truth.shape
    return {name: to_pixels(images) for name, images in found.items() if images.shape == fit}


def choose(dataset: Dataset, num: int, seed: int) -> Int[np.ndarray, " n"]:
    """The same `num` rows as `features.choose` chooses of a split, or all."""
    size = min(len(dataset), order.MAX_SIZE - 1)
    return order.rows(np.array([seed, 0], np.uint32), 0, min(num, size), size)


def restoration_scores(
    translate: Translate,
    dataset: Dataset,
    task: Task,
    num: int = 1_000,
    seed: int = 0,
    *,
    extractor: Extractor | None = None,
    classes: tuple[int, ...] = (),
    train: Dataset | None = None,
) -> Scores:
    """PSNR and SSIM (in the hole, too), the Fréchet distance to the true images, and the classes' accuracy.

    Args:
      translate: `float32 [B, h, w, c] -> [B, H, W, C]`, both in [-1, 1].
      dataset: the held-out images; `num` of them are chosen by the seed.
      task: what is given and wanted.
      num: how many images, or all that there are.
      seed: of the choice and of what the task draws, in [0, 2^32).
      extractor: of features for the distance, and of classes for the accuracy; None: neither is computed.
      classes: the labels of its logits.
      train: the training images, for the baseline `example` of tasks with holes.

    SSIM is left out for images smaller than its window of 11 pixels. The distance is to the very images that
    were degraded, so a perfect restoration has 0.
    """
    if task.reads:
        raise UserError("unpaired pictures have no true translations: measure with task 'paired'")
    rows = choose(dataset, num, seed)
    num = len(rows)
    degraded = degrade(task, dataset, rows, seed)
    true = None if extractor is None else extract_images(extractor, degraded.truth)
    measure = functools.partial(_measure, degraded, extractor, true, classes)
    numbers = measure(restore(translate, degraded.given))
    found = {name: measure(images) for name, images in baselines(task, degraded, train).items()}
    if accuracy := _accuracy(degraded, extractor, true, classes):
        found["truth"] = accuracy
    protocol = {
        "num": num,
        "seed": seed,
        "task": {"name": type(task).__name__, **_fields(task)},
        "dataset": dataset.fingerprint,
        "extractor": None if extractor is None else {"name": extractor.name, **extractor.protocol},
        "versions": versions(),
    }
    return Scores(numbers, found, protocol)


def _measure(degraded, extractor, true, classes, restored):
    """The numbers of restored images, uint8 `[N, H, W, C]`."""
    named = functools.partial(number_name, num=len(restored), extractor="")
    numbers = {}
    for name in ("psnr", "ssim"):
        if name == "psnr" or min(restored.shape[1:3]) >= 11:
            found = FAMILIES["restoration"][name](restored, degraded.truth, degraded.holes)
            numbers |= {named("restoration", key): value for key, value in found.items()}
    if extractor is not None:
        features = extract_images(extractor, restored)
        for key, value in frechet_distance(true["features"], features["features"]).items():
            numbers[number_name("features", key, extractor.name, len(restored))] = value
        numbers |= _accuracy(degraded, extractor, features, classes)
    return numbers


def _accuracy(degraded, extractor, features, classes):
    """The share of images that the classifier gives the label of the true image; empty without labels."""
    if degraded.labels is None or features is None or "logits" not in features or not classes:
        return {}
    predicted = np.array(classes)[features["logits"].argmax(axis=1)]
    name = number_name("labels", "class_accuracy", extractor.name, len(predicted))
    return {name: float(np.mean(predicted == degraded.labels))}


def _fields(task):
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(task).items()}
