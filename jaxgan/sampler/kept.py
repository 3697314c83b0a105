"""Examples that a run keeps in its workdir, so that its generator can be shown at work without the data."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxgan.algorithm.conditions import Given
from jaxgan.algorithm.gan import GAN
from jaxgan.algorithm.randomness import example_keys
from jaxgan.algorithm.tricks import scale
from jaxgan.compilation import float32
from jaxgan.datasets import Dataset, order, take
from jaxgan.drawing.grids import CLASS_COLUMNS
from jaxgan.errors import UserError, WrongArgument
from jaxgan.files import whole
from jaxgan.latents import make_key

FILE = "kept.npz"
NUM = 2 * CLASS_COLUMNS  # examples, in two rows


class Kept(NamedTuple):
    """Stored examples.

    Attributes:
      examples: uint8 `[NUM, H, W, C]`.
      partner: of the other set, for unpaired data; else None.
    """

    examples: UInt8[np.ndarray, "N H W C"]
    partner: UInt8[np.ndarray, "N H W C"] | None = None


def keep(workdir: Path, gan: GAN, load: Callable[[str], Dataset]) -> Kept | None:
    """The kept examples of a run. The first time, these are some of the test set, and are written.

    Args:
      workdir: of the run.
      gan: what is static; None is returned where it has no task.
      load: `split -> Dataset`.
    """
    if gan.task is None:
        return None
    if (kept := read(workdir)) is not None:
        return kept
    try:
        dataset = load("test")
    except UserError:  # there is no such split
        dataset = load("train")
    kept = choose(gan, dataset)
    arrays = {name: part for name, part in kept._asdict().items() if part is not None}
    with whole(Path(workdir) / FILE, ".npz") as temporary:
        np.savez_compressed(temporary, **arrays)
    return kept


def choose(gan: GAN, dataset: Dataset) -> Kept:
    """The first examples in a fixed order, repeated if there are fewer."""

    def some(examples, salt):
        size = min(len(examples), order.MAX_SIZE - 1)
        rows = order.rows(np.array([0, salt], np.uint32), 0, min(NUM, size), size)
        return take(examples, np.resize(rows, NUM))

    partner = None
    if gan.reads_partners:
        partner = some((dataset.partner or dataset).examples, 1)
    return Kept(some(dataset.examples, 0), partner)


def read(workdir: Path) -> Kept | None:
    """The kept examples in a workdir, or None; UserError if the file is damaged."""
    path = Path(workdir) / FILE
    try:
        with np.load(path) as arrays:
            return Kept(**{name: arrays[name] for name in arrays.files})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is damaged ({error}): remove it, and go on with the run") from error


def require_kept(kept: Kept | None) -> Kept:
    """The kept examples; WrongArgument if there are none."""
    if kept is None:
        raise WrongArgument(f"this run has kept no images ({FILE}): give some, as sampler.translate(images)")
    return kept


@float32
def degrade(gan: GAN, kept: Kept) -> tuple[Float[Array, "N H W C"], Given]:
    """The targets of kept examples and what is given of them, always by the same draws."""
    keys = example_keys(make_key(jnp.zeros(2, jnp.uint32)), jnp.arange(len(kept.examples)))
    stored = {name: scale(jnp.asarray(part)) for name, part in kept._asdict().items() if part is not None}
    return gan.condition.real(stored, keys)


def compare(
    before: Float[Array, "N h w G"],
    after: UInt8[Array, "N H W C"],
    truth: Float[Array, "N H W C"],
    pairs: bool,
) -> UInt8[Array, "rows H W c"]:
    """Images for a picture in rows of 8: what is given, what is made of it and, below, what is wanted.

    Args:
      before: given images; smaller ones are enlarged by repeating pixels, masks are left out.
      after: what is made of them.
      truth: what is wanted.
      pairs: whether they are pairs (a | b) and (F(b) | G(a)): then rows of a, G(a), b and F(b) are shown.
    """
    if pairs:
        (a, b), (from_b, from_a) = jnp.split(truth, 2, axis=-1), jnp.split(after, 2, axis=-1)
        rows = [_pixels(a), from_a, _pixels(b), from_b]
    else:
        height, width, channels = truth.shape[1:]
        before = before[..., :channels] if before.shape[-1] >= channels else before[..., :1]
        before = jnp.broadcast_to(before, (*before.shape[:-1], channels))
        for axis, side in ((1, height), (2, width)):
            before = jnp.repeat(before, side // before.shape[axis], axis=axis)
        rows = [_pixels(before), after, _pixels(truth)]
    blocks = [row.reshape(-1, CLASS_COLUMNS, *row.shape[1:]) for row in rows]
    return jnp.stack(blocks, axis=1).reshape(-1, *rows[0].shape[1:])


def _pixels(images):
    return jnp.round((jnp.clip(images, -1, 1) + 1) * 127.5).astype(jnp.uint8)
