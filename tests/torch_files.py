"""Files in the format of `torch.save`, made without PyTorch, and random weights of Inception-v3."""

import pickle
import zipfile
from typing import Any, NamedTuple

import numpy as np

from jaxgan.extractors.convert_inception import torch_name
from jaxgan.extractors.inception_v3 import weight_shapes
from jaxgan.extractors.vgg import torch_places


def draw_inception(seed=0):
    """Weights with the names and layout of the PyTorch port, scaled so that activations stay near 1."""
    random = np.random.RandomState(seed)
    tensors = {}
    for name, shape in sorted(weight_shapes().items()):
        numbers = random.standard_normal(shape).astype(np.float32)
        if name.endswith("conv/kernel"):
            tensor = (numbers * np.sqrt(2 / np.prod(shape[:-1]), dtype=np.float32)).transpose(3, 2, 0, 1)
        elif name.endswith("fc/kernel"):
            tensor = (numbers / np.sqrt(np.float32(shape[0]))).T
        elif name.endswith(("scale", "var")):
            tensor = np.float32(1) + np.float32(0.2) * np.tanh(numbers)
        else:
            tensor = np.float32(0.1) * numbers
        tensors[torch_name(name)] = np.ascontiguousarray(tensor)
    return tensors


def draw_vgg(layer="relu2_2", seed=0):
    """Weights of VGG-19 up to a layer, with torchvision's names and layout."""
    random, tensors, channels = np.random.RandomState(seed), {}, 3
    for name, place in torch_places(layer).items():
        width = min(64 * 2 ** (int(name[4]) - 1), 512)
        kernel = random.standard_normal((width, channels, 3, 3)) * np.sqrt(2 / (9 * channels))
        tensors[f"features.{place}.weight"] = np.float32(kernel)
        tensors[f"features.{place}.bias"] = np.float32(0.1 * random.standard_normal(width))
        channels = width
    return tensors


# --- Pickles --------------------------------------------------------------------------------------------


class Global(NamedTuple):
    """A function or class by its name."""

    module: str
    name: str


class Call(NamedTuple):
    """A call during unpickling."""

    function: Any
    arguments: tuple


class Persistent(NamedTuple):
    """A persistent ID, which the reader looks up."""

    value: tuple


def emit(value):
    """The opcodes that build a value."""
    if isinstance(value, Global):
        return f"c{value.module}\n{value.name}\n".encode()
    if isinstance(value, Call):
        return emit(value.function) + emit(value.arguments) + b"R"
    if isinstance(value, Persistent):
        return emit(value.value) + b"Q"
    if isinstance(value, dict):
        return b"}(" + b"".join(emit(part) for item in value.items() for part in item) + b"u"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(emit, value)) + b"t"
    return pickle.dumps(value, protocol=2)[2:-1]


def pickled(value):
    return b"\x80\x02" + emit(value) + b"."


_TYPES = {"f4": "FloatStorage", "f2": "HalfStorage", "i8": "LongStorage"}


def tensor(key, array, *extra, offset=0, shape=None, strides=None):
    """A tensor as PyTorch pickles it."""
    kind = Global("torch", _TYPES[array.dtype.str[1:]])
    storage = Persistent(("storage", kind, key, "cpu", array.size, *extra))
    strides = tuple(stride // array.itemsize for stride in array.strides) if strides is None else strides
    arguments = (storage, offset, array.shape if shape is None else shape, strides, False, {})
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), arguments)


# --- Files ----------------------------------------------------------------------------------------------


def write_zip(path, arrays, state=None, byteorder=b"little"):
    """The format since PyTorch 1.6; `state`, if given, is pickled instead of the arrays."""
    keys = {name: str(number) for number, name in enumerate(arrays)}
    if state is None:
        state = {name: tensor(keys[name], array) for name, array in arrays.items()}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(state))
        archive.writestr("archive/byteorder", byteorder)
        for name, array in arrays.items():
            archive.writestr(f"archive/data/{keys[name]}", array.tobytes())
        archive.writestr("archive/version", "3\n")


def write_stream(path, arrays, state=None, little_endian=True):
    """The format before PyTorch 1.6."""
    keys = {name: str(94000000 + number) for number, name in enumerate(arrays)}
    if state is None:
        state = {name: tensor(keys[name], array, None) for name, array in arrays.items()}
    info = {"protocol_version": 1001, "little_endian": little_endian, "type_sizes": {"int": 4}}
    with open(path, "wb") as file:
        file.write(pickled(0x1950A86A20F9469CFC6C) + pickled(1001) + pickled(info) + pickled(state))
        file.write(pickle.dumps(list(keys.values()), protocol=2))
        for array in arrays.values():
            file.write(array.size.to_bytes(8, "little") + array.tobytes())
