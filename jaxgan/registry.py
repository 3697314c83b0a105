"""Name → component: how a config field such as `loss.name` finds its code.

A component's fields, with their defaults, ARE its config fields: the keyword-only parameters of a builder,
or the fields of a linen class. `config/default.py` reads them from here, so that a new variant is one file.
What a field may be stands in its annotation, `Annotated[int, AtLeast(1)]`, and is checked here.
"""

import ast
import dataclasses
import difflib
import functools
import inspect
import math
import re
import textwrap
import typing
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from jaxgan.errors import UserError

_OF_LINEN = {"name", "parent", "scope"}  # what linen gives every module; it drops an own field of that name


# --- What a field may be ------------------------------------------------------------------------------


class Range:
    """Of an `Annotated` field: what its value, or each entry of a tuple, may be."""

    def allows(self, value: Any) -> bool:
        """Whether the value is in the range."""
        raise NotImplementedError

    def __str__(self) -> str:
        """What the value must be, to go behind 'must'."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class AtLeast(Range):
    """Finite numbers from `low` on."""

    low: float

    def allows(self, value):
        return self.low <= value < math.inf

    def __str__(self):
        return f"be at least {self.low}" if self.low else "be 0 (none) or more"


@dataclasses.dataclass(frozen=True)
class Between(Range):
    """Numbers from `low` to `high`; `high` itself only where `closed`."""

    low: float
    high: float
    closed: bool = False

    def allows(self, value):
        return self.low <= value < self.high or self.closed and value == self.high

    def __str__(self):
        return f"lie in [{self.low}, {self.high}{']' if self.closed else ')'}"


@dataclasses.dataclass(frozen=True)
class OneOf(Range):
    """One of some names."""

    names: tuple[str, ...]

    def allows(self, value):
        return value in self.names

    def __str__(self):
        return f"be one of {', '.join(self.names)}"


@dataclasses.dataclass(frozen=True)
class Pattern(Range):
    """Regular expressions."""

    def allows(self, value):
        try:
            re.compile(value)
        except re.error:
            return False
        return True

    def __str__(self):
        return "be a regular expression; '.' matches all"


@dataclasses.dataclass(frozen=True)
class Field:
    """A config field of a component.

    Attributes:
      name: of the field.
      default: its value where a config says nothing.
      annotation: its type, without the ranges.
      ranges: what its value may be.
    """

    name: str
    default: Any
    annotation: Any
    ranges: tuple[Range, ...] = ()

    def convert(self, value: Any, path: str) -> Any:
        """The value, lists as tuples; UserError naming `path` where it cannot be meant.

        Only values that Python itself knows are looked at: in a compiled program a number is a tracer.
        """
        origin, kinds = typing.get_origin(self.annotation), typing.get_args(self.annotation)
        is_tuple = origin is tuple or self.annotation is tuple
        if is_tuple:
            if not isinstance(value, list | tuple):
                raise UserError(f"{path}={value!r} must be a list of values, as {tuple(self.default)}")
            value = tuple(value)
        kind = kinds[0] if is_tuple and kinds else self.annotation
        for entry in value if is_tuple else (value,):
            if not isinstance(entry, bool | int | float | str):
                continue
            whole = kind is not int or isinstance(entry, int) and not isinstance(entry, bool)
            for range_ in self.ranges or (() if whole else (None,)):
                fits = isinstance(entry, str) == isinstance(range_, OneOf | Pattern)
                if not (whole and fits and range_.allows(entry)):
                    integer = ", in whole numbers" if kind is int else ""
                    wanted = "be a whole number" if range_ is None else f"{range_}{integer}"
                    raise UserError(f"{path}={value!r} must {wanted}")
        return value


def _make_field(name: str, default: Any, annotation: Any) -> Field:
    ranges = ()
    if typing.get_origin(annotation) is typing.Annotated:
        annotation, *extras = typing.get_args(annotation)
        ranges = tuple(extra for extra in extras if isinstance(extra, Range))
    return Field(name, default, annotation, ranges)


def _fields_of_class(kind: str, name: str, cls: type, given: tuple[str, ...]) -> dict[str, Field]:
    annotations: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if not base.__module__.startswith(("flax.", "builtins")):
            annotations |= inspect.get_annotations(base, eval_str=True)
            if clash := sorted(_OF_LINEN & _written_fields(base)):
                raise ValueError(
                    f"{kind} '{name}' has a field '{clash[0]}', which linen drops: give it another name"
                )
    fields = {}
    for field in dataclasses.fields(cls):
        if field.name in given or field.name in _OF_LINEN or not field.init:
            continue
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if default is dataclasses.MISSING:
            raise ValueError(f"{kind} '{name}': field '{field.name}' has no default, which a config shows")
        fields[field.name] = _make_field(field.name, default, annotations[field.name])
    return fields


def _written_fields(cls: type) -> set[str]:
    """The fields in the source of a class: linen writes its own among the annotations."""
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, SyntaxError):  # defined where there is no file
        return set()
    return {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)}


def _fields_of_function(function: Callable[..., Any]) -> dict[str, Field]:
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    return {
        p.name: _make_field(p.name, p.default, p.annotation) for p in parameters if p.kind is p.KEYWORD_ONLY
    }


# --- The registry -------------------------------------------------------------------------------------


class Registry:
    """Components of one kind (`loss`, `generator`, ...) by name.

    Args:
      kind: what they are called in messages.
      given: of networks, the arguments that are not config fields, in the order in which they are given. A
        component gets those of them that it declares.
    """

    def __init__(self, kind: str, given: tuple[str, ...] = ()):
        self.kind, self.given = kind, given
        self._builders: MutableMapping[str, Callable[..., Any]] = {}
        self._fields: MutableMapping[str, dict[str, Field]] = {}

    def register(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorator that files a builder or a linen class under `name`.

        Raises:
          ValueError: another one has this name, or linen would drop one of its fields.
        """

        def add(component):
            if name in self._builders:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            if isinstance(component, type):
                fields = _fields_of_class(self.kind, name, component, self.given)
            else:
                fields = _fields_of_function(component)
            self._fields[name] = fields
            checked = self.given or isinstance(component, type) or any(f.ranges for f in fields.values())
            self._builders[name] = functools.partial(self._build, name, component) if checked else component
            return component

        return add

    def _build(self, name: str, component: Callable[..., Any], *args, **values):
        """`component` with its fields checked and, of what is given, that which it declares."""
        path, fields = f"{self.kind}.{name}", self._fields[name]
        if self.given:
            values = dict(zip(self.given, args, strict=False)) | values
            declared = inspect.signature(component).parameters
            values = {key: v for key, v in values.items() if key in declared or key not in self.given}
            args = ()
        if unknown := values.keys() - fields.keys() - set(self.given):
            raise self._unknown_field(name, min(unknown))
        for key in values.keys() & fields.keys():
            values[key] = fields[key].convert(values[key], f"{path}.{key}")
        built = component(*args, **values)
        if isinstance(component, type) and hasattr(built, "check"):
            try:
                built.check()
            except UserError as error:
                raise UserError(f"{path}: {error}") from error
        return built

    def _unknown_field(self, name: str, field: str) -> UserError:
        return UserError(
            f"{self.kind} '{name}' has no field '{field}'; it has: {', '.join(self._fields[name])}"
        )

    def __getitem__(self, name: str) -> Callable[..., Any]:
        """The builder called `name`; UserError with the known names when there is none."""
        if name not in self._builders:
            close = difflib.get_close_matches(str(name), self._builders, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise UserError(f"unknown {self.kind} '{name}'; known: {', '.join(sorted(self))}.{hint}")
        return self._builders[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._builders)

    def fields(self, name: str) -> dict[str, Field]:
        """The config fields of `name`."""
        self[name]
        return dict(self._fields[name])

    def bind(self, name: str, **fields) -> tuple[Callable[..., Any], dict[str, float]]:
        """The builder with its static fields bound, and its numbers.

        Fields whose default is a float are numbers: they live in the training state, and the step calls the
        builder with them, so that one compiled program serves every value.
        """
        known = self.fields(name)
        if unknown := fields.keys() - known.keys():
            raise self._unknown_field(name, min(unknown))
        defaults = {field: entry.default for field, entry in known.items()}
        numeric = {field for field, default in defaults.items() if isinstance(default, float)}
        fields = {**defaults, **fields}
        static = {field: value for field, value in fields.items() if field not in numeric}
        return functools.partial(self[name], **static), {field: float(fields[field]) for field in numeric}


def union(kind: str, families: Mapping[str, Registry]) -> Registry:
    """The components of several registries as one, for reading; it has what they get later, too."""
    registry = Registry(kind)
    registry._builders = ChainMap(*(family._builders for family in reversed(families.values())))
    registry._fields = ChainMap(*(family._fields for family in reversed(families.values())))
    return registry


def family_of(name: str, kind: str, families: Mapping[str, Registry]) -> str:
    """The key of the registry that has `name`.

    Raises:
      UserError: none has it; all names are listed.
      ValueError: two have it.
    """
    union(kind, families)[name]
    found = [family for family, registry in families.items() if name in registry]
    if len(found) > 1:
        raise ValueError(f"{kind} '{name}' is registered in two families: {', '.join(found)}")
    return found[0]
