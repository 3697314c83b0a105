"""The type of all data sets: examples, labels and a hash of both."""

import dataclasses
import hashlib
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from jaxgan.declarations import arguments
from jaxgan.errors import UserError
from jaxgan.registry import Registry

# Images, or points; and their labels.
Examples = UInt8[np.ndarray, "N H W C"] | Float[np.ndarray, "N D"]
Labels = Int[np.ndarray, " N"]

# Builders `(split, path, image_size, *, fields) -> Dataset`; the keyword-only fields are config fields.
DATASETS = Registry("dataset")

HOLD_OUT_EVERY = 6
_HASH_CHUNK = 1 << 24  # bytes
_HASH_ROWS = 1024  # of a source


class MissingDataset(UserError):
    """The data set is not on the machine and cannot be downloaded. Only after this error a fallback is used.

    Attributes:
      image_size: that its images would have had, see `load`; 0 when unknown.
    """

    def __init__(self, message: str, image_size: int | tuple[int, int] = 0):
        super().__init__(message)
        self.image_size = image_size


class Mixture(NamedTuple):
    """Gaussians N(centres[k], std² I) of equal weight; `centres` is float64 `[K, D]`."""

    centres: Float[np.ndarray, "K D"]
    std: float


def title(name: str, fallback_for: str) -> str:
    """The name of a data set in a picture."""
    return f"{name} (in place of {fallback_for})" if fallback_for else name


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """One split of a data set.

    Attributes:
      name: of the set that was really used: 'mnist', 'digits', 'tfds/cifar10', ...
      examples: uint8 [N, H, W, C] images or float32 [N, D] points, in memory or memory-mapped; or a
        random-access source with `shape`, `dtype`, `len()` and
        `__getitems__(int array [n]) -> uint8 [n, H, W, C]`. `take` reads either.
      labels: int32 [N], or None where there are none.
      fingerprint: hash of the content (examples, labels, shape, type), whatever the files' location. `load`
        computes it if it is missing or was not computed from the content.
      origin: where it came from, one line for logs.
      fallback_for: the requested data set if it is missing, else ''.
      class_names: names of the labels, if known.
      parts: for stacked sets such as Stacked-MNIST, the set whose examples are the channels; else None.
      mixture: the Gaussians from which points are drawn; else None.
      partner: of unpaired data the other domain's pictures, of the same shape; else None.
      matched: whether example i and partner i belong together, as in a test set that measures translations.
      held_out: of the training split, the number of examples held out for the test split; 0 if that has files
        of its own.
    """

    name: str
    examples: Any
    labels: Labels | None
    fingerprint: str = ""
    origin: str = ""
    fallback_for: str = ""
    class_names: tuple[str, ...] = ()
    parts: "Dataset | None" = None
    mixture: "Mixture | None" = None
    held_out: int = 0
    partner: "Dataset | None" = None
    matched: bool = False

    def __post_init__(self):
        """Removes a hash of other content, which `dataclasses.replace` would keep; `load` computes it."""
        if isinstance(digest := self.fingerprint, Digest):
            digest.of = digest.of or (self.examples, self.labels)
            if digest.of[0] is not self.examples or digest.of[1] is not self.labels:
                object.__setattr__(self, "fingerprint", "")

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example: (H, W, C) or (D,)."""
        return tuple(self.examples.shape[1:])

    @property
    def is_images(self) -> bool:
        return len(self.shape) == 3

    @property
    def num_modes(self) -> int | None:
        """Gaussians of a mixture, or classes; for stacked images combinations of classes; else None."""
        if self.mixture is not None:
            return len(self.mixture.centres)
        if self.parts is not None and self.parts.num_modes:
            return self.parts.num_modes ** (self.shape[2] // self.parts.shape[2])
        return None if self.labels is None else len(np.unique(self.labels))

    @property
    def nbytes(self) -> int:
        """Bytes of all examples, decoded; without those of partners."""
        return len(self) * math.prod(self.shape) * np.dtype(self.examples.dtype).itemsize


def take(examples: Any, rows: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n ..."]:
    """The examples at `rows` [n], from an array or from a random-access source: [n, ...], in memory."""
    rows = np.asarray(rows)
    read = getattr(examples, "__getitems__", None)
    return np.asarray(examples[rows] if read is None else read(rows))


class Digest(str):
    """A hash that was computed of the content.

    Attributes:
      of: the examples and labels that it is a hash of.
    """

    of: tuple[Any, Any] | None = None


class Fingerprint:
    """Hash of a data set's content, which is given in chunks of any size."""

    def __init__(self):
        self._hash = hashlib.blake2b(digest_size=16)

    def update(self, chunk: Shaped[np.ndarray, "n ..."]) -> None:
        rows = max(1, _HASH_CHUNK // max(1, chunk[:1].nbytes))
        for start in range(0, len(chunk), rows):
            self._hash.update(np.ascontiguousarray(chunk[start : start + rows]).data)

    def digest(self, shape: Iterable[int], dtype: Any, labels: Labels | None) -> Digest:
        """The hash, after `update` with every example. `shape` is [N, ...], `labels` int32 [N]."""
        trailer = f"|{tuple(int(n) for n in shape)}|{np.dtype(dtype).str}|{labels is not None}|"
        self._hash.update(trailer.encode())
        if labels is not None:
            self._hash.update(np.ascontiguousarray(labels, dtype="<i4").data)
        return Digest(self._hash.hexdigest())


def fingerprint(examples: Any, labels: Labels | None) -> Digest:
    """Hash of the content: examples [N, ...] in their order, labels int32 [N] or None, shape and type.

    `examples` may be a random-access source, too: see `Dataset.examples`.

    Two copies of a set agree when they hold the same examples in the same order. MNIST from IDX files and
    MNIST prepared by TFDS, which shuffles when it writes, therefore differ.
    """
    content = Fingerprint()
    if hasattr(examples, "__getitems__"):
        for first in range(0, len(examples), _HASH_ROWS):
            content.update(take(examples, np.arange(first, min(first + _HASH_ROWS, len(examples)))))
    else:
        content.update(examples)
    return content.digest(examples.shape, examples.dtype, labels)


def from_arrays(name: str, examples: Examples, labels: Labels | None, origin: str, **more: Any) -> Dataset:
    """A Dataset from arrays, for users' own data sets.

    Args:
      name: of the data set.
      examples: uint8 `[N, H, W, C]` images, or float32 `[N, D]` points.
      labels: integers `[N]`, or None where there are none.
      origin: where it came from, one line for logs.
      **more: further attributes of `Dataset`.

    Raises:
      UserError: they are of another type or shape.
    """
    arguments.text("name", name)
    arguments.text("origin", origin)
    examples = arguments.array("examples", examples, "[N, H, W, C]", "[N, D]")
    if not len(examples):
        raise UserError(f"data set '{name}' has no examples: give at least one")
    images, points = (examples.ndim, examples.dtype) == (4, np.uint8), examples.ndim == 2
    if not images and not (points and examples.dtype == np.float32):
        raise UserError(
            f"data set '{name}' has examples {examples.dtype} {list(examples.shape)}: give uint8 "
            "[N, H, W, C] images, or float32 [N, D] points"
        )
    if labels is not None:
        labels = arguments.array("labels", labels, "[N]", kinds="iu")
        if len(labels) and (labels.min() < 0 or labels.max() >= 2**31):
            raise UserError(
                f"data set '{name}' has labels from {labels.min()} to {labels.max()}: count from 0"
            )
        if labels.shape != examples.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
            raise UserError(
                f"data set '{name}' has labels {labels.dtype} {list(labels.shape)}: give integers "
                f"[{len(examples)}], one for each example"
            )
        labels = np.ascontiguousarray(labels, dtype=np.int32)
    return Dataset(name, examples, labels, fingerprint(examples, labels), origin, **more)


def validation_rows(count: int) -> Int[np.ndarray, " n"]:
    """Rows of the validation part of a training set: every sixth example, 10,000 of MNIST's 60,000.

    No feature extractor is trained on it. It is used for the floors of numbers.
    """
    return hold_out(count, "test")


def hold_out(count: int, split: str, what: str = "the data set") -> Int[np.ndarray, " n"]:
    """Rows of a split, for sets that come without one: every sixth example (5, 11, 17, ...) is the test set.

    Args:
      count: number of examples, N.
      split: 'train' or 'test'.
      what: name of the set in messages.

    Returns:
      int64 rows; the two splits are disjoint and cover range(N). MNIST has the same proportion.
    """
    is_test = np.arange(count) % HOLD_OUT_EVERY == HOLD_OUT_EVERY - 1
    rows = np.flatnonzero(is_test if split == "test" else ~is_test)
    if not len(rows):
        raise UserError(
            f"{what}: {count} examples leave none for the '{split}' split, as every sixth is held out for "
            "'test': give at least 6"
        )
    return rows
