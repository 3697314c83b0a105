"""Keys that show whether two Python objects give the same program."""

import dataclasses
import functools
import types
from collections.abc import Hashable, Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np

_PLAIN = (type(None), bool, int, float, complex, str, bytes)


class _Itself:
    """An object of an unknown kind, equal only to itself. It is kept alive, so its identity is unique."""

    def __init__(self, value):
        self._value = value

    def __eq__(self, other):
        return isinstance(other, _Itself) and self._value is other._value

    def __hash__(self):
        return id(self._value)


def key_of(value: Any) -> Hashable:
    """A key that is equal for two values only if they surely have the same structure.

    The key of a module or dataclass is its type and fields; of a function its code, closure and defaults; of
    an array its bytes. Of optax transformations only the update counts, because the initial numbers are
    leaves of their states. Objects of unknown kinds are equal only to themselves.
    """
    return _key(value, frozenset())


def _key(value, within) -> Hashable:
    if id(value) in within:  # a function that refers to itself
        return "itself"

    def key(part):
        return _key(part, within | {id(value)})

    if isinstance(value, _PLAIN):
        return type(value).__name__, repr(value)  # 0.0 and -0.0 are different programs, and so are 1 and True
    if isinstance(value, np.ndarray | jax.Array | np.generic):
        array = np.asarray(value)
        return "array", array.dtype.str, array.shape, array.tobytes()
    if isinstance(value, tuple) and hasattr(value, "init") and hasattr(value, "update"):
        return "transformation", key(value.update)
    if isinstance(value, Mapping):
        return "mapping", tuple((key(name), key(part)) for name, part in value.items())
    if isinstance(value, list | tuple):
        return type(value).__name__, tuple(key(part) for part in value)
    if isinstance(value, functools.partial):
        return "partial", key(value.func), key(value.args), key(dict(sorted(value.keywords.items())))
    if isinstance(value, types.MethodType):
        return "method", key(value.__func__), key(value.__self__)
    if isinstance(value, types.FunctionType):
        cells = tuple(key(cell.cell_contents) for cell in value.__closure__ or ())
        return "function", value.__code__, cells, key(value.__defaults__), key(value.__kwdefaults__)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        unseen = ("parent", "name") if isinstance(value, nn.Module) else ()
        names = [field.name for field in dataclasses.fields(value) if field.name not in unseen]
        return "dataclass", type(value), tuple((name, key(getattr(value, name))) for name in names)
    return _Itself(value)
