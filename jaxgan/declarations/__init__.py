"""Declarations of components: their config fields with defaults, ranges and meanings.

An annotation gives the range: `Annotated[int, AtLeast(1)]`, `Annotated[tuple[int, ...], AtLeast(1)]`. The
meaning is a text in the annotation, or an entry of the docstring below `Args:` or `Attributes:`.
"""

import ast
import dataclasses
import inspect
import math
import numbers
import re
import textwrap
import types
import typing
from collections.abc import Callable
from typing import Any

from jaxgan.errors import UserError

_OF_LINEN = {
    "name",
    "parent",
    "scope",
}  # fields that linen adds to every module; it drops own fields of these names
_IN_A_CONFIG = bool | int | float | str | None


# --- Ranges -------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class AtLeast:
    """Finite numbers from `low` on."""

    low: float

    def allows(self, value: Any) -> bool:
        return isinstance(value, numbers.Real) and self.low <= value < math.inf

    def __str__(self):
        return f"be at least {self.low}"


@dataclasses.dataclass(frozen=True)
class Above:
    """Finite numbers above `low`."""

    low: float

    def allows(self, value: Any) -> bool:
        return isinstance(value, numbers.Real) and self.low < value < math.inf

    def __str__(self):
        return f"be above {self.low}"


@dataclasses.dataclass(frozen=True)
class Between:
    """Numbers from `low` to `high`; `high` itself only where `closed`."""

    low: float
    high: float
    closed: bool = False

    def allows(self, value: Any) -> bool:
        if not isinstance(value, numbers.Real):
            return False
        return self.low <= value < self.high or self.closed and value == self.high

    def __str__(self):
        return f"lie in [{self.low}, {self.high}{']' if self.closed else ')'}"


@dataclasses.dataclass(frozen=True)
class OneOf:
    """One of some values."""

    values: tuple[Any, ...]

    def allows(self, value: Any) -> bool:
        return value in self.values

    def __str__(self):
        return "be one of " + ", ".join(str(value) or "''" for value in self.values)


@dataclasses.dataclass(frozen=True)
class Pattern:
    """Regular expressions."""

    def allows(self, value: Any) -> bool:
        try:
            re.compile(value)
        except (re.error, TypeError):
            return False
        return True

    def __str__(self):
        return "be a regular expression; '.' matches all"


@dataclasses.dataclass(frozen=True)
class SideOrSides:
    """A whole number from 0 on, or two from 1 on: height and width."""

    def allows(self, value: Any) -> bool:
        sides, least = (value, 1) if isinstance(value, tuple) and len(value) == 2 else ((value,), 0)
        return all(
            isinstance(side, numbers.Integral) and not isinstance(side, bool) and side >= least
            for side in sides
        )

    def __str__(self):
        return "be a whole number from 0 on, or (height, width) from 1 on"


Range = AtLeast | Above | Between | OneOf | Pattern | SideOrSides


# --- Fields -------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Field:
    """A config field of a component.

    Attributes:
      name: of the field.
      default: its default value.
      annotation: its annotation as written.
      kind: the type of its value, or of each entry of a tuple.
      is_tuple: whether its value is a tuple.
      ranges: of its value, or of each entry.
      sentence: its meaning.
    """

    name: str
    default: Any
    annotation: Any
    kind: Any
    is_tuple: bool
    ranges: tuple[Range, ...] = ()
    sentence: str = ""

    def convert(self, value: Any, path: str) -> Any:
        """The value, with lists as tuples; UserError naming `path` if it is not allowed.

        Tracers of compiled programs are not checked.
        """
        if value is None and self.default is None:
            return value
        if self.is_tuple:
            if not isinstance(value, list | tuple):
                raise UserError(f"{path}={value!r} must be a list of values")
            value = tuple(value)
        for entry in value if self.is_tuple else (value,):
            if not isinstance(entry, numbers.Real | str | tuple):  # a tracer, say
                continue
            whole = (
                self.kind is not int or isinstance(entry, numbers.Integral) and not isinstance(entry, bool)
            )
            real = isinstance(entry, numbers.Real) and not isinstance(entry, numbers.Integral)
            if not self.ranges and real and not math.isfinite(entry):
                raise UserError(f"{path}={value!r} must be finite")
            broken = [range_ for range_ in self.ranges if not range_.allows(entry)]
            if broken or not whole:
                wanted = " and ".join(map(str, broken or self.ranges)) or "be"
                integer = ", in whole numbers" if self.kind is int else ""
                raise UserError(f"{path}={value!r} must {wanted}{integer}")
        return value


def own_field(name: str, default: Any, sentence: str, *ranges: Range) -> Field:
    """A field that belongs to no component. Its type is that of the default; tuples hold text, or numbers.

    With `SideOrSides` its type is object: it may be a tuple or a number.
    """
    if any(isinstance(range_, SideOrSides) for range_ in ranges):
        return Field(name, default, object, object, False, ranges, sentence)
    kind, is_tuple = type(default), isinstance(default, tuple)
    of_entries = float if ranges else str
    return Field(name, default, kind, of_entries if is_tuple else kind, is_tuple, ranges, sentence)


def _make_field(of: str, name: str, default: Any, annotation: Any, sentence: str = "") -> Field:
    """A field of the component `of`; ValueError if a config cannot hold or check it."""
    if not _is_plain(default):
        raise ValueError(
            f"{of}: the default of '{name}', {default!r}, is nothing that a config holds: make it a ClassVar"
        )
    kind, is_tuple, ranges = annotation, False, []
    while True:
        origin, args = typing.get_origin(kind), typing.get_args(kind)
        known = [argument for argument in args if argument not in (types.NoneType, Ellipsis)]
        if origin is typing.Annotated:
            kind = args[0]
            ranges += [extra for extra in args[1:] if isinstance(extra, Range)]
            sentence = next((extra for extra in args[1:] if isinstance(extra, str)), sentence)
        elif origin in (typing.Union, types.UnionType) and len(known) == 1:
            kind = known[0]
        elif origin in (tuple, list) and not is_tuple and known and all(k == known[0] for k in known):
            kind, is_tuple = known[0], True
        else:
            break
    if any(isinstance(extra, Range) for extra in _extras(kind)):
        raise ValueError(f"{of}: the range of '{name}' stands where it cannot be checked: {annotation}")
    field = Field(name, default, annotation, kind, is_tuple or kind is tuple, tuple(ranges), sentence)
    try:
        field.convert(default, name)
    except UserError as error:
        raise ValueError(f"{of}: the default of a field is out of its own range: {error}") from error
    return field


def _is_plain(default: Any) -> bool:
    if isinstance(default, tuple):
        return all(map(_is_plain, default))
    return isinstance(default, _IN_A_CONFIG)


def _extras(annotation: Any):
    for argument in typing.get_args(annotation):
        yield argument
        yield from _extras(argument)


def sentences(docstring: str) -> dict[str, str]:
    """The meanings of the names below `Args:` and `Attributes:` of a docstring."""
    found: dict[str, str] = {}
    names: list[str] = []
    inside = False
    for line in inspect.cleandoc(docstring).splitlines():
        if line and not line.startswith(" "):
            inside, names = line in ("Args:", "Attributes:"), []
        elif inside and (entry := re.match(r"  (\w+(?:, \w+)*): (.*)", line)):
            names = entry[1].split(", ")
            found |= dict.fromkeys(names, entry[2])
        elif line.startswith("    "):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def fields_of_class(of: str, cls: type, given: tuple[str, ...]) -> dict[str, Field]:
    """The config fields of a linen class, without given arguments and fields of linen.

    Raises:
      ValueError: a field has no default, or one that no config can hold, or linen would drop it.
    """
    annotations: dict[str, Any] = {}
    meanings: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base) or base.__module__ == "flax.linen.module":
            continue
        try:
            annotations |= inspect.get_annotations(base, eval_str=True)
        except NameError as error:
            raise ValueError(
                f"{of}: an annotation cannot be read ({error}): import it at run time"
            ) from error
        meanings |= sentences(base.__doc__ or "")
        if clash := sorted(_OF_LINEN & _written_fields(base)):
            raise ValueError(f"{of} has a field '{clash[0]}', which linen drops: give it another name")
    fields = {}
    for field in dataclasses.fields(cls):
        if field.name in given or field.name in _OF_LINEN or not field.init:
            continue
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if default is dataclasses.MISSING:
            raise ValueError(f"{of}: field '{field.name}' has no default, which a config shows")
        fields[field.name] = _make_field(
            of, field.name, default, annotations[field.name], meanings.get(field.name, "")
        )
    return fields


def _written_fields(cls: type) -> set[str]:
    """The fields in the source of a class, because linen adds its own to the annotations."""
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, SyntaxError):  # defined where there is no file
        written = list(vars(cls))  # in their order: linen's own `parent` and `name` come last
        own = {"name"} if written.index("name") < written.index("parent") else set()
        return own | (cls.__annotations__.keys() & {"scope"})
    return {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)}


def fields_of_function(of: str, function: Callable[..., Any], given: tuple[str, ...]) -> dict[str, Field]:
    """The config fields of a builder: its keyword-only parameters.

    Raises:
      ValueError: a field has no default, or one that no config can hold; or a parameter with a default is not
        keyword-only.
    """
    fields = {}
    meanings = sentences(function.__doc__ or "")
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        has_default = parameter.default is not parameter.empty
        if parameter.kind is parameter.KEYWORD_ONLY:
            if parameter.name in given:
                continue
            if not has_default:
                raise ValueError(f"{of}: field '{parameter.name}' has no default, which a config shows")
            name, meaning = parameter.name, meanings.get(parameter.name, "")
            fields[name] = _make_field(of, name, parameter.default, parameter.annotation, meaning)
        elif given and has_default and parameter.name not in given:
            raise ValueError(f"{of}: put '*' in front of '{parameter.name}': fields are keyword-only")
    return fields
