"""Name → component: how a config field such as `loss.name` finds its code.

The fields of a component are its config fields: the keyword-only parameters of a builder, or the fields of a
linen class. `config/default.py` reads them from here, so a new variant is one file. A field's annotation
gives its range (`jaxgan/declarations/`), which is checked here.
"""

import difflib
import functools
import inspect
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from jaxgan.declarations import Field, fields_of_class, fields_of_function
from jaxgan.errors import UserError


class Registry:
    """Components of one kind (`loss`, `generator`, ...) by name.

    Args:
      kind: what they are called in messages.
      given: of networks, the arguments that are not config fields, in their order. A component gets those
        that it declares.
      section: the config section, if it has another name than the kind.
    """

    def __init__(self, kind: str, given: tuple[str, ...] = (), section: str = ""):
        self.kind, self.given, self._section = kind, given, section or kind
        self._builders: MutableMapping[str, Callable[..., Any]] = {}
        self._fields: MutableMapping[str, dict[str, Field]] = {}

    def register(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorator that registers a builder or a linen class as `name`.

        Raises:
          ValueError: another one has this name, or a field cannot be one of a config (`declarations`).
        """

        def add(component):
            of = f"{self.kind} '{name}'"
            if name in self._builders:
                raise ValueError(f"{of} is registered twice")
            read = fields_of_class if isinstance(component, type) else fields_of_function
            self._fields[name] = fields = read(of, component, self.given)
            checked = self.given or isinstance(component, type) or any(f.ranges for f in fields.values())
            self._builders[name] = functools.partial(self._build, name, component) if checked else component
            return component

        return add

    def _build(self, name: str, component: Callable[..., Any], *args, **values):
        """Builds a component: checks its fields, and passes the given arguments that it declares."""
        path, fields = f"{self._section}.{name}", self._fields[name]
        if self.given:
            if len(args) > len(self.given) or values.keys() & set(self.given[: len(args)]):
                raise TypeError(f"{self.kind} '{name}' takes {', '.join(self.given)}, each once")
            values = dict(zip(self.given, args, strict=False)) | values
            taken = self.takes(name)
            values = {key: value for key, value in values.items() if key in taken or key not in self.given}
            args = ()
        if unknown := values.keys() - fields.keys() - set(self.given):
            raise self._unknown_field(name, min(unknown))
        for key in values.keys() & fields.keys():
            values[key] = fields[key].convert(values[key], f"{path}.{key}")
        built = component(*args, **values)
        if self.given and isinstance(component, type) and hasattr(built, "check"):
            try:
                built.check()
            except (UserError, ValueError) as error:
                raise UserError(f"{path}: {error}") from error
        return built

    def takes(self, name: str) -> frozenset[str]:
        """Which of the given arguments the component called `name` declares."""
        parameters = inspect.signature(self._component(name)).parameters
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            return frozenset(self.given)
        return frozenset(self.given) & parameters.keys()

    def _component(self, name: str) -> Callable[..., Any]:
        """What was registered."""
        builder = self[name]
        checked = getattr(getattr(builder, "func", None), "__func__", None) is Registry._build
        return builder.args[1] if checked else builder

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

    def module(self, name: str) -> str:
        """The Python module that the component `name` was written in."""
        return getattr(self._component(name), "__module__", "")

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
    """A read-only view of several registries as one; it shows later registrations, too."""
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
