"""Features of real examples and of fakes: made on the device in batches, compared on the host."""

import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jax import lax
from jaxtyping import Float, Int, UInt8
from tqdm import tqdm

import jaxgan
from jaxgan import sampler
from jaxgan.algorithm.gan import GAN
from jaxgan.compilation import jit
from jaxgan.datasets import Dataset, cache, order, take, validation_rows
from jaxgan.datasets.dataset import Examples
from jaxgan.errors import UserError
from jaxgan.extractors import Extractor, files

_FORMAT = 2  # increase it when features are computed differently, so that old caches are not used
_BATCHES = 8  # of the sampler's batches of fakes in one compiled call
_ROWS = 512  # real examples in one call

# Rows of data sets that together are one set of examples.
Rows = list[tuple[Dataset, Int[np.ndarray, " n"]]]


class Extracted(NamedTuple):
    """The inputs of statistics from one set of N examples, on the host.

    Attributes:
      features: float32 `[N, F]`.
      logits: float32 `[N, K]`, or None if the extractor does not classify.
      modes: int32 `[N]`, or None if the extractor cannot tell the data's modes.
      examples: uint8 images or float32 points `[N, ...]`, or None if no statistic needs them.
      labels: int32 `[N]`, of fakes the requested ones; None without a condition.
    """

    features: Float[np.ndarray, "N F"]
    logits: Float[np.ndarray, "N K"] | None = None
    modes: Int[np.ndarray, " N"] | None = None
    examples: Examples | None = None
    labels: Int[np.ndarray, " N"] | None = None


def choose(
    load: Callable[[str], Dataset],
    split: str,
    num: int,
    seed: int,
    unseen: str = "all",
    whole: bool = False,
) -> tuple[Rows, Rows]:
    """Chooses two disjoint sets of real examples: `num` of the split, or all; and `num` others, for floors.

    The extractor was not trained on the others. They come from the same split, and if these are too few, from
    the other split. If there are fewer than `num` in all, the second set is smaller.

    Args:
      load: `split -> Dataset`.
      split: 'train' or 'test'.
      num: how many.
      seed: of the choice.
      unseen: see `Extractor.unseen`.
      whole: whether the first set is all of the split.
    """

    def shuffled(salt, candidates, count):
        size = min(len(candidates), order.MAX_SIZE - 1)
        count = min(count, size)
        return candidates[order.rows(np.array([seed, salt], np.uint32), 0, count, size)] if count else ()

    def candidates(dataset, part):
        if (part == "test" and unseen != "none") or unseen == "all":
            return np.arange(min(len(dataset), order.MAX_SIZE - 1))
        if unseen == "validation" and dataset.parts is None:
            return validation_rows(len(dataset))
        return np.zeros(0, int)

    first = load(split)
    size = min(len(first), order.MAX_SIZE - 1)
    rows = shuffled(0, np.arange(size), size if whole else 2 * num)
    chosen, spare = (rows, rows[:0]) if whole else (rows[:num], rows[num:])
    spare = spare[np.isin(spare, candidates(first, split))] if len(spare) else spare
    others = [(first, spare)]
    if missing := num - len(spare):
        part = "train" if split == "test" else "test"
        second = load(part)
        others.append((second, shuffled(1, candidates(second, part), missing)))
    return [(first, chosen)], [(dataset, some) for dataset, some in others if len(some)]


def labels_of(rows: Rows) -> Int[np.ndarray, " N"]:
    """The labels of these examples, int32 `[N]`.

    Raises:
      UserError: some are hidden.
    """
    for dataset, some in rows:
        if dataset.labels is None or (dataset.labels[some] < 0).any():
            raise UserError(
                "fakes get the labels of the real examples that they are compared with, and "
                f"'{dataset.name}' has none there: choose evaluation.protocol=50k, of the training set"
            )
    return np.concatenate([dataset.labels[some] for dataset, some in rows])


def of_real(extractor: Extractor, rows: Rows, with_examples: bool = False) -> Extracted:
    """Features of real examples; they are cached, except for the examples themselves."""
    parts = [_cached(extractor, dataset, some) for dataset, some in rows]
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if with_examples:
        found["examples"] = np.concatenate([take(dataset.examples, some) for dataset, some in rows])
    return Extracted(**found)


def _cached(extractor: Extractor, dataset: Dataset, rows: np.ndarray) -> dict[str, np.ndarray]:
    key = {
        "format": _FORMAT,
        "dataset": dataset.fingerprint,
        "rows": hashlib.blake2b(np.ascontiguousarray(rows, "<i4"), digest_size=16).hexdigest(),
        "extractor": {"name": extractor.name, **extractor.protocol},
        "versions": versions(),
    }
    digest = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=10).hexdigest()
    name = f"{extractor.name}-{dataset.name.replace('/', '-')}-{digest}.npz"
    path = cache.folder().parent / "features" / name
    try:
        return files.read(path)[0]
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        logging.warning("%s; computing these features again", error)
    found = _in_batches(extractor, dataset.examples, rows, f"features of {dataset.name}")
    return files.store(path, found, {"key": key})[0]


def extract_images(
    extractor: Extractor, images: UInt8[np.ndarray, "N H W C"]
) -> dict[str, Float[np.ndarray, "N ..."]]:
    """What the extractor says about images in memory: `features` `[N, F]`, and `logits` if it classifies."""
    return _in_batches(extractor, images, np.arange(len(images)), "features")


def _in_batches(extractor, examples, rows, what):
    extract, parts = _program(extractor), []
    for first in tqdm(range(0, len(rows), _ROWS), what, disable=None, leave=False):
        some = rows[first : first + _ROWS]
        found = extract(extractor.weights, take(examples, np.resize(some, _ROWS)))  # the last is filled up
        parts.append({name: np.asarray(part)[: len(some)] for name, part in found.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def versions() -> dict[str, str]:
    """The versions of the libraries on which numbers may depend."""
    return {library.__name__: library.__version__ for library in (jaxgan, jax, flax, np)}


@functools.lru_cache(maxsize=2)
def _program(extractor):
    return jit(functools.partial(_extract, extractor))


def _extract(extractor, weights, examples):
    # accelerators multiply float32 with 10 or 7 bits by default: enough to train with, not to compare
    with jax.default_matmul_precision("highest"):
        found = extractor.extract(weights, examples)
    if "logits" in found and extractor.mode_shares is not None:
        found["modes"] = found["logits"].argmax(axis=-1)
    return found


class Fakes:
    """`fakes(weights, num) -> Extracted` of generated examples, which stay on the device unless requested.

    Args:
      gan: what is static about the GAN.
      extractor: of the features.
      seed: of the latents, in [0, 2^32).
      with_examples: whether to return the examples, too.
      images: float32 `[N, ...]`, given to the generator in turn, if it has a task.
      channels: of its output, those to look at.
    """

    def __init__(
        self,
        gan: GAN,
        extractor: Extractor,
        seed: int,
        with_examples: bool = False,
        images: Float[np.ndarray, "N h w c"] | None = None,
        channels: slice = slice(None),
    ):
        self._gan, self._extractor, self._seed = gan, extractor, seed
        self._with_examples, self._images, self._channels = with_examples, images, channels
        self._run = jit(self._batches)

    def _batches(self, weights, extractor_weights, first, given):
        def batch(part):
            first, given = part
            z = sampler.latents(self._gan, jnp.uint32(self._seed), first)
            raw = sampler.apply(self._gan, weights, z, given)
            examples = sampler.finish(self._gan, raw)[..., self._channels]
            found = _extract(self._extractor, extractor_weights, examples)
            found["finite"] = jnp.isfinite(raw).reshape(len(raw), -1).all(axis=1)
            return {**found, "examples": examples} if self._with_examples else found

        found = lax.map(batch, (first + sampler.batch_of(self._gan) * jnp.arange(_BATCHES), given))
        return jax.tree.map(lambda part: part.reshape(-1, *part.shape[2:]), found)

    def _given(self, first: int, size: int) -> dict[str, Any]:
        """The conditions of these samples if none are requested: `[batches, batch, ...]`."""
        if self._images is not None:
            rows = (first + np.arange(size)) % len(self._images)
            return {"image": self._images[rows].reshape(_BATCHES, -1, *self._images.shape[1:])}
        places = range(first, first + size, sampler.batch_of(self._gan))
        given = [sampler.conditions(self._gan, np.uint32(self._seed), np.int32(place)) for place in places]
        return jax.tree.map(lambda *parts: jnp.stack(parts), *given)

    def __call__(self, weights: dict[str, Any], num: int, labels: np.ndarray | None = None) -> Extracted:
        """Features of the samples 0 to num - 1 of the seed.

        Args:
          weights: `params` and `model_state` of a generator.
          num: how many.
          labels: int32 `[N]`, repeated if fewer than `num`; None: without a condition.

        Raises:
          UserError: some are NaN or infinite.
        """
        size = _BATCHES * sampler.batch_of(self._gan)
        parts = []
        for first in tqdm(range(0, num, size), "fakes", disable=None, leave=False):
            given = self._given(first, size)
            if labels is not None:
                rows = (first + np.arange(size)) % len(labels)
                given["labels"] = labels[rows].reshape(_BATCHES, -1)
            found = self._run(weights, self._extractor.weights, jnp.int32(first), given)
            parts.append({name: np.asarray(part)[: num - first] for name, part in found.items()})
        found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        if broken := np.count_nonzero(~found.pop("finite")):
            raise UserError(f"{broken} of {num} fakes are NaN or infinite: take an earlier checkpoint")
        if labels is not None:
            found["labels"] = np.resize(labels, num)
        return Extracted(**found)
