"""`idx`: the four IDX files of MNIST, Fashion-MNIST, KMNIST and others of the same format, in one folder.

Format: two zero bytes, the type (8: unsigned byte), the number of dimensions, then each dimension as a
big-endian int32, then the values. Y. LeCun et al., "The MNIST database", section "File formats".
"""

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

from jaxgan.datasets.dataset import DATASETS, Dataset, from_arrays
from jaxgan.datasets.resize import Size, resize_array
from jaxgan.errors import UserError

_PREFIXES = {"train": "train", "test": "t10k"}
_UBYTE = 8


@DATASETS.register("idx")
def build(split: str, path: str, image_size: Size) -> Dataset:
    """The images and labels of the IDX files in folder `path`, gzipped or not."""
    if not path:
        raise UserError(
            "dataset 'idx' needs dataset.path: the folder with train-images-idx3-ubyte and its kin"
        )
    images, labels = read(Path(path), split)
    origin = f"IDX files in {path}"
    return from_arrays("idx", resize_array(images, image_size), labels, origin)


def find(folder: Path, split: str) -> dict[str, Path | None]:
    """The files of a split by kind, 'images' and 'labels'; None for a missing file."""
    found: dict[str, Path | None] = {}
    for kind, dims in (("images", 3), ("labels", 1)):
        stem = f"{_PREFIXES[split]}-{kind}"
        names = [f"{stem}{dot}idx{dims}-ubyte{zipped}" for zipped in ("", ".gz") for dot in "-."]
        found[kind] = next((folder / name for name in names if (folder / name).is_file()), None)
    return found


def is_present(folder: Path) -> bool:
    """Whether the folder holds any IDX file of any split, complete or not."""
    return any(file for split in _PREFIXES for file in find(folder, split).values())


def read(folder: Path, split: str) -> tuple[UInt8[np.ndarray, "N H W 1"], Int32[np.ndarray, " N"]]:
    """Images uint8 [N, H, W, 1] and labels int32 [N]; UserError names the file that is missing or damaged."""
    if not folder.is_dir():
        raise UserError(f"dataset.path = '{folder}' is not a folder; name the one with the IDX files")
    files = find(folder, split)
    for kind, file in files.items():
        if file is None:
            dims = {"images": 3, "labels": 1}[kind]
            raise UserError(
                f"no {_PREFIXES[split]}-{kind}-idx{dims}-ubyte[.gz] in '{folder}': "
                f"the '{split}' split needs its images and its labels; copy the missing file there"
            )
    images, labels = _read_array(files["images"], 3), _read_array(files["labels"], 1)
    if len(images) != len(labels):
        raise UserError(
            f"{files['images']} holds {len(images)} images, {files['labels']} {len(labels)} labels: "
            "one of them is of another data set or damaged; fetch both again"
        )
    if not images.size:
        raise UserError(f"{files['images']} holds no images; fetch it again")
    return images[..., None], labels.astype(np.int32)


def md5(array: UInt8[np.ndarray, "..."]) -> str:
    """The MD5 of the unzipped IDX file of an array of unsigned bytes."""
    header = bytes([0, 0, _UBYTE, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return hashlib.md5(header + array.tobytes(), usedforsecurity=False).hexdigest()


def _read_array(file: Path, dims: int) -> np.ndarray:
    """The unsigned bytes of one IDX file, [N, ...] of `dims` dimensions."""
    data = _read_bytes(file)
    header = 4 + 4 * dims
    if len(data) < header or data[:2] != b"\0\0":
        raise UserError(f"{file} is not an IDX file, or cut short: fetch it again")
    kind, found_dims = data[2], data[3]
    if (kind, found_dims) != (_UBYTE, dims):
        raise UserError(
            f"{file}: type {kind} with {found_dims} dimensions instead of type {_UBYTE} (unsigned byte) "
            f"with {dims}: a wrong or damaged file; fetch it again"
        )
    shape = np.frombuffer(data, ">u4", count=dims, offset=4).tolist()
    if len(data) - header != math.prod(shape):
        raise UserError(
            f"{file}: {len(data) - header:,} bytes of values where its header promises {math.prod(shape):,}: "
            "cut short or damaged; fetch it again"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _read_bytes(file: Path) -> bytes:
    """The content, unzipped if it begins with gzip's magic number, whatever the file's name."""
    try:
        data = file.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{file} is damaged or cut short ({error}); fetch it again") from error
    except OSError as error:
        raise UserError(
            f"cannot read {file}: {error.strerror or error}; check the file's permissions"
        ) from error
