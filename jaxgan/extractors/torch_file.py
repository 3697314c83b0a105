"""Reads a PyTorch state dict (.pth) without PyTorch, and without running code from the file.

`torch.save` writes a pickle of the dict, in which each tensor is a call of `_rebuild_tensor_v2` on a storage,
and the bytes of the storages: since version 1.6 as members of a zip archive, before that one after the other.
A pickle can call any function. Here it can name only those that rebuild tensors, and these are replaced by
records of their arguments. Tensors are made from the records afterwards, and must lie within their storage.
"""

import collections
import io
import math
import pickle
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from jaxgan.errors import UserError

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001  # of the format before 1.6

_STORAGES = {
    "BoolStorage": "?",
    "ByteStorage": "u1",
    "CharStorage": "i1",
    "ShortStorage": "<i2",
    "IntStorage": "<i4",
    "LongStorage": "<i8",
    "HalfStorage": "<f2",
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
}


class _Storage(NamedTuple):
    dtype: str
    key: str
    count: int

    @property
    def num_bytes(self):
        return self.count * np.dtype(self.dtype).itemsize


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors by name from a file of `torch.save(model.state_dict(), path)`, in either format.

    Raises:
      UserError: no such file; or not a dict of tensors alone; or it asks for any code, which is not run.
    """
    try:
        with open(path, "rb") as file:
            return _read_zip(file) if zipfile.is_zipfile(file) else _read_stream(file)
    except Exception as error:  # what a damaged pickle raises may be anything
        if why := getattr(error, "strerror", None):
            raise UserError(f"{path}: {why}") from error
        raise UserError(f"{path} is no PyTorch state dict that can be read: {error}") from error


def _read_zip(file):
    with zipfile.ZipFile(file) as archive:
        roots = [name.removesuffix("data.pkl") for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise ValueError("the archive has no data.pkl")
        (root,) = roots
        if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("it was written on a big-endian machine")
        state = _unpickle(io.BytesIO(archive.read(f"{root}data.pkl")))
        storages = _storages(state)
        return _tensors(state, {key: archive.read(f"{root}data/{key}") for key in storages})


def _read_stream(file):
    file.seek(0)
    if _unpickle(file) != _MAGIC or _unpickle(file) != _VERSION:
        raise ValueError("it does not begin as one")
    if not _unpickle(file)["little_endian"]:
        raise ValueError("it was written on a big-endian machine")
    state = _unpickle(file)
    storages = _storages(state)
    contents = {}
    for key in _unpickle(file):
        if int.from_bytes(file.read(8), "little") != storages[key].count:
            raise ValueError(f"storage {key} has another length than announced")
        contents[key] = file.read(storages[key].num_bytes)
    return _tensors(state, contents)


class _Unpickler(pickle.Unpickler):
    """Names become constants of strings, or functions that only file away what they are given."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor_record
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter_record
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        raise ValueError(f"it asks for {module}.{name}, which no dict of tensors needs; nothing was run")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _location, count, *view = pid
        if kind != "storage" or dtype not in _STORAGES.values() or any(part is not None for part in view):
            raise ValueError("it holds something else than tensors")
        return _Storage(dtype, str(key), int(count))


def _tensor_record(storage, offset, shape, strides, *_flags_and_hooks):
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _parameter_record(data, *_flags_and_hooks):
    return data


def _unpickle(file: BinaryIO) -> Any:
    return _Unpickler(file, encoding="utf-8").load()


def _storages(state: Any) -> dict[str, _Storage]:
    """The storages of a state dict by their keys, checked to be one."""
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise ValueError("it holds no dict of tensors")
    for name, tensor in state.items():
        if not isinstance(tensor, _Tensor) or not isinstance(tensor.storage, _Storage):
            raise ValueError(f"'{name}' is no tensor")
    return {tensor.storage.key: tensor.storage for tensor in state.values()}


def _tensors(state, contents):
    return {name: _tensor(name, tensor, contents[tensor.storage.key]) for name, tensor in state.items()}


def _tensor(name: str, tensor: _Tensor, content: bytes) -> np.ndarray:
    storage, offset, shape, strides = tensor
    if len(content) != storage.num_bytes:
        raise ValueError(f"the numbers of '{name}' are cut off")
    numbers = np.frombuffer(content, storage.dtype)
    if not math.prod(shape):
        return np.zeros(shape, storage.dtype)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    # without this check, strides from the file could read other memory
    if min(offset, *shape, *strides, 0) < 0 or last >= len(numbers):
        raise ValueError(f"'{name}' lies outside its storage")
    steps = [stride * numbers.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps).copy()
