"""`array`: the user's own images or points in a `.npy` or `.npz` file. Pickles are never loaded."""

import itertools
import math
from pathlib import Path

import numpy as np

from jaxgan.datasets import cache
from jaxgan.datasets.dataset import DATASETS, Dataset, from_arrays, hold_out
from jaxgan.datasets.resize import Size, resize_array
from jaxgan.errors import UserError

_EXAMPLE_KEYS = {"train": ("images", "x_train", "arr_0"), "test": ("x_test",)}
_LABEL_KEYS = {"train": ("labels", "y_train"), "test": ("y_test",)}
_CHUNK = 1 << 26  # bytes converted at a time, which bounds the memory
_NPY_MAGIC = b"\x93NUMPY"
_ZIP_MAGIC = b"PK\3\4"  # a .npz file


@DATASETS.register("array")
def build(
    split: str,
    path: str,
    image_size: Size,
    *,
    low: float | None = None,
    high: float | None = None,
    in_memory_gb: float = 1.0,
) -> Dataset:
    """The array at `path`: uint8 [N, H, W] or [N, H, W, C], float images with their range, or points [N, D].

    A `.npz` file holds `images` (or `x_train`, `arr_0`, or one array) and optionally `labels` (`y_train`);
    the test split is `x_test` (`y_test`) if there is one, else every sixth example is held out.

    Args:
      low, high: the values of black and white (0 and 255) in an array of floats; they are never guessed.
      in_memory_gb: a `.npy` file of more than this many 10^9 bytes is converted piece by piece into the
        memory-mapped cache.
    """
    file = Path(path)
    if not path or not file.is_file():
        raise UserError(f"dataset.path = '{path}' is not a file; dataset 'array' needs a .npy or .npz file")
    array, labels, rows = _select(file, split)
    labels = None if labels is None else labels[rows]
    kept = len(array) - len(rows) if split == "train" else 0
    if array.ndim == 2 and np.issubdtype(array.dtype, np.floating):
        if low is not None or high is not None:
            raise UserError(
                f"{file} holds points [N, D]; dataset.array.low and .high are for images: leave them out, or "
                "save flattened images as [N, H, W]"
            )
        _require_finite(array[rows], file)
        with np.errstate(over="ignore"):
            points = np.asarray(array[rows], np.float32)
        if not np.isfinite(points).all():
            raise UserError(f"{file} holds points beyond 3e38, the largest of float32: scale them")
        return from_arrays("array", points, labels, str(file), held_out=kept)

    images = _as_nhwc(array, file)
    _check_type(images, low, high, file)
    step = max(1, _CHUNK // images[:1].nbytes)

    def chunks() -> cache.Chunks:
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            converted = resize_array(_as_uint8(images[rows[part]], low, high, file), image_size)
            yield converted, None if labels is None else labels[part]

    if images.nbytes <= in_memory_gb * 1e9:
        whole = np.concatenate([chunk for chunk, _ in chunks()])
        return from_arrays("array", whole, labels, str(file), held_out=kept)
    key = {"files": cache.identity([file]), "split": split, "image_size": image_size, "range": [low, high]}
    return Dataset("array", *cache.decoded(f"array-{file.stem}", key, chunks), str(file), held_out=kept)


def _select(file, split):
    """(all examples, all labels or None, the rows of the split)."""
    arrays = _load(file)
    keys = ", ".join(f"'{key}'" for key in arrays)
    test_key = next((key for key in _EXAMPLE_KEYS["test"] if key in arrays), None)
    if test_key and not arrays.keys() & {*_EXAMPLE_KEYS["train"]}:
        raise UserError(f"{file} holds '{test_key}', a test set, alone: call training examples 'x_train'")
    part = split if test_key else "train"
    key = next((key for key in _EXAMPLE_KEYS[part] if key in arrays), None)
    if key is None:
        others = [key for key in arrays if key not in (*_LABEL_KEYS["train"], *_LABEL_KEYS["test"])]
        if len(others) != 1:
            raise UserError(
                f"{file} holds the arrays {keys or 'none'}: call the one with the images 'images'"
            )
        key = others[0]
    label_key = next((key for key in _LABEL_KEYS[part] if key in arrays), None)
    examples, labels = arrays[key], arrays[label_key] if label_key else None
    if examples.ndim == 0 or not examples.size:
        raise UserError(
            f"{file}: array '{key}' of shape {examples.shape} is empty; give [N, H, W, C] or [N, D]"
        )
    if labels is not None:
        labels = _as_labels(labels, len(examples), file)
    known = {key, label_key, *itertools.chain(*_EXAMPLE_KEYS.values(), *_LABEL_KEYS.values())}
    if unread := sorted(arrays.keys() - known):
        raise UserError(
            f"{file}: the array '{unread[0]}' would not be read, beside '{key}': call labels 'labels', and "
            "save the file without others"
        )
    rows = hold_out(len(examples), split, str(file)) if test_key is None else np.arange(len(examples))
    return examples, labels, rows


def _load(file):
    """The file's arrays by name; a `.npy` file is memory-mapped and called 'images'."""
    try:
        with open(file, "rb") as opened:
            magic = opened.read(6)
            if magic[:4] != _ZIP_MAGIC:
                if magic != _NPY_MAGIC:
                    raise ValueError("its first bytes are those of another format")
                return {"images": np.load(file, mmap_mode="r", allow_pickle=False)}
            opened.seek(0)
            with np.load(opened, allow_pickle=False) as arrays:
                found = {key: arrays[key] for key in arrays.files}
                if other := [key for key, value in found.items() if not isinstance(value, np.ndarray)]:
                    raise ValueError(
                        f"it holds '{other[0]}', which is no array; a folder is dataset 'images'"
                    )
                return found
    except (
        Exception
    ) as error:  # NumPy's readers raise any kind of error for damaged files, even tokenize.TokenError
        reason = " ".join(str(error).split())
        if "allow_pickle" in reason or "objects in dtype" in reason:
            raise UserError(
                f"{file} holds pickled objects, never loaded because they can run code; save a plain "
                "numeric array: numpy.save(file, numpy.stack(images))"
            ) from error
        raise UserError(f"{file} is not a readable .npy or .npz file ({reason}); save it again") from error


def _as_labels(labels, count, file):
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"{file}: labels are {labels.dtype} {list(labels.shape)}; "
            f"need integers [{count}], one for each example"
        )
    if labels.min() < 0 or labels.max() >= 2**31:
        raise UserError(
            f"{file}: labels reach from {labels.min()} to {labels.max()}; number the classes from 0"
        )
    return labels.astype(np.int32)


def _as_nhwc(images, file):
    """[N, H, W, C] of whatever type; UserError for another layout."""
    shape = list(images.shape)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4:
        raise UserError(
            f"{file}: an array {images.dtype} {shape}; need images [N, H, W, C] or float points [N, D]"
        )
    if images.shape[-1] > 4:
        if images.shape[1] <= 4:
            raise UserError(
                f"{file}: {shape} looks like [N, C, H, W]; need [N, H, W, C]: "
                "numpy.transpose(images, (0, 2, 3, 1)) before saving"
            )
        raise UserError(f"{file}: {shape} has {images.shape[-1]} channels in its last axis; need 1 to 4")
    return images


def _check_type(images, low, high, file):
    """UserError unless the images are uint8, or floats with a range."""
    if images.dtype == np.uint8:
        if low is not None or high is not None:
            raise UserError(f"{file} holds uint8, which is 0..255; leave out dataset.array.low and .high")
    elif not np.issubdtype(images.dtype, np.floating):
        raise UserError(
            f"{file} holds {images.dtype}; save uint8 (0..255), or floats with dataset.array.low and .high"
        )
    elif low is None or high is None or not -math.inf < low < high < math.inf:
        raise UserError(
            f"{file} holds {images.dtype}: say which values are black and white, dataset.array.low and .high "
            f"(now {low} and {high}); for instance 0 and 1, or -1 and 1"
        )


def _as_uint8(images, low, high, file):
    """uint8 [n, H, W, C]; floats are mapped from [low, high] to 0..255, rounded."""
    if images.dtype == np.uint8:
        return images
    _require_finite(images, file)
    if images.min() < low or images.max() > high:
        raise UserError(
            f"{file} has values from {images.min()!s} to {images.max()!s}, outside dataset.array.low = "
            f"{low!r} and .high = {high!r}; correct the range, or save numpy.clip(images, {low!r}, {high!r})"
        )
    return np.round((images.astype(np.float64) - low) * (255 / (high - low))).astype(np.uint8)


def _require_finite(array, file):
    if not np.isfinite(array).all():
        raise UserError(f"{file} holds NaN or infinite values; remove those examples")
