"""Whether two things that Python built are the same program: what they are made of, as a key to compare."""

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
    """Something that cannot be looked into: equal to itself alone. It is kept alive, and so its identity."""

    def __init__(self, value):
        self._value = value

    def __eq__(self, other):
        return isinstance(other, _Itself) and self._value is other._value

    def __hash__(self):
        return id(self._value)


def key_of(value: Any) -> Hashable:
    """A key that is equal for two values only where they are surely made alike.

    Modules and dataclasses are their types and fields, functions their code with what they hold on to, and
    arrays their bytes. Of optax's transformations only the update counts: the numbers with which their states
    begin are leaves of these. What is of no known kind is equal to itself alone.
    """
    return _key(value, frozenset())


def _key(value, within) -> Hashable:
    if id(value) in within:  # a function that holds on to itself
        return "itself"

    def key(part):
        return _key(part, within | {id(value)})

    if isinstance(value, _PLAIN):
        return type(value).__name__, repr(value)  # 0.0 and -0.0 are two programs, 1 and True, too
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
