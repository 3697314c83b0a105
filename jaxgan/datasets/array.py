"""`array`: one's own images or points in a `.npy` or `.npz` file. Never unpickled."""

import zipfile
from pathlib import Path

import numpy as np

from jaxgan.datasets.dataset import DATASETS, Dataset, from_arrays, hold_out
from jaxgan.datasets.resize import require_square, resize_array
from jaxgan.errors import UserError

_EXAMPLE_KEYS = {"train": ("images", "x_train", "arr_0"), "test": ("x_test",)}
_LABEL_KEYS = {"train": ("labels", "y_train"), "test": ("y_test",)}
_CHUNK = 4096  # examples checked or converted at a time
_ZIP_MAGIC = b"PK\3\4"  # a .npz file


@DATASETS.register("array")
def build(
    split: str, path: str, image_size: int, *, low: float | None = None, high: float | None = None
) -> Dataset:
    """The array at `path`: uint8 [N, H, W] or [N, H, W, C], float images with their range, or points [N, D].

    A `.npz` file holds `images` (or `x_train`, `arr_0`, or one array) and optionally `labels` (`y_train`);
    the test split is `x_test` (`y_test`) if there is one, else every sixth example is held out.

    Args:
      low, high: the values that stand for 0 and 255 in an array of floats; nothing is guessed.
    """
    file = Path(path).expanduser()
    if not path or not file.is_file():
        raise UserError(f"dataset.path = '{path}' is not a file; dataset 'array' needs a .npy or .npz file")
    examples, labels = _select(file, split)
    if examples.ndim == 2 and np.issubdtype(examples.dtype, np.floating):
        if low is not None or high is not None:
            raise UserError(
                f"{file} holds points [N, D]; dataset.array.low and .high are for images; leave them out"
            )
        _require_finite(examples, file)
        return from_arrays("array", np.asarray(examples, np.float32), labels, str(file))
    images = _as_nhwc(examples, file)
    if not image_size:
        require_square(*images.shape[1:3], str(file))
    images = resize_array(_as_uint8(images, low, high, file), image_size)
    return from_arrays("array", images, labels, str(file))


def _select(file, split):
    """(examples, labels or None) of the split."""
    arrays = _load(file)
    keys = ", ".join(f"'{key}'" for key in arrays)
    test_key = next((key for key in _EXAMPLE_KEYS["test"] if key in arrays), None)
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
    if test_key is None:
        rows = hold_out(len(examples), split)
        examples, labels = examples[rows], None if labels is None else labels[rows]
    return examples, labels


def _load(file):
    """The file's arrays by name; a `.npy` file is memory-mapped and called 'images'."""
    try:
        with open(file, "rb") as opened:
            if opened.read(4) != _ZIP_MAGIC:
                return {"images": np.load(file, mmap_mode="r", allow_pickle=False)}
            opened.seek(0)
            with np.load(opened, allow_pickle=False) as arrays:
                return {key: arrays[key] for key in arrays.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
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


def _as_uint8(images, low, high, file):
    """uint8 [N, H, W, C]; floats are mapped from [low, high] to 0..255, rounded."""
    if images.dtype == np.uint8:
        if low is not None or high is not None:
            raise UserError(f"{file} holds uint8, which is 0..255; leave out dataset.array.low and .high")
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise UserError(
            f"{file} holds {images.dtype}; save uint8 (0..255), or floats with dataset.array.low and .high"
        )
    if low is None or high is None or not low < high:
        raise UserError(
            f"{file} holds {images.dtype}: say which values are black and white, dataset.array.low and .high "
            f"(now {low} and {high}); for instance 0 and 1, or -1 and 1"
        )
    _require_finite(images, file)
    out = np.empty(images.shape, np.uint8)
    for start in range(0, len(images), _CHUNK):
        chunk = np.asarray(images[start : start + _CHUNK], np.float64)
        if chunk.min() < low or chunk.max() > high:
            raise UserError(
                f"{file} has values from {chunk.min():g} to {chunk.max():g}, outside dataset.array.low = "
                f"{low:g} and .high = {high:g}; correct the range or the file"
            )
        out[start : start + _CHUNK] = np.round((chunk - low) * (255 / (high - low)))
    return out


def _require_finite(array, file):
    for start in range(0, len(array), _CHUNK):
        if not np.isfinite(array[start : start + _CHUNK]).all():
            raise UserError(f"{file} holds NaN or infinite values; remove those examples")
