"""Name → builder: how a config field such as `loss.name` finds its code.

A builder's keyword-only parameters, with their defaults, ARE its config fields:
`configs/default.py` reads them from here, so that a new variant is one file.
"""

import difflib
import functools
import inspect
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from jaxgan.errors import UserError


class Registry:
    """Builders of one kind (`loss`, `generator`, ...) by name."""

    def __init__(self, kind: str):
        self.kind = kind
        self._builders: MutableMapping[str, Callable[..., Any]] = {}

    def register(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorator that files a builder under `name`; a second one of that name raises ValueError."""

        def add(builder):
            if name in self._builders:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            self._builders[name] = builder
            return builder

        return add

    def __getitem__(self, name: str) -> Callable[..., Any]:
        """The builder called `name`; UserError with the known names when there is none."""
        if name not in self._builders:
            close = difflib.get_close_matches(str(name), self._builders, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise UserError(f"unknown {self.kind} '{name}'; known: {', '.join(sorted(self))}.{hint}")
        return self._builders[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._builders)

    def fields(self, name: str) -> dict[str, inspect.Parameter]:
        """The config fields of `name`: its builder's keyword-only parameters."""
        parameters = inspect.signature(self[name]).parameters.values()
        return {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}

    def bind(self, name: str, **fields) -> tuple[Callable[..., Any], dict[str, float]]:
        """The builder with its static fields bound, and its numbers.

        Fields whose default is a float are numbers: they live in the training state, and the step calls the
        builder with them, so that one compiled program serves every value.
        """
        known = self.fields(name)
        unknown = fields.keys() - known.keys()
        if unknown:
            raise UserError(f"{self.kind} '{name}' has no field '{min(unknown)}'; it has: {', '.join(known)}")
        defaults = {field: parameter.default for field, parameter in known.items()}
        numeric = {field for field, default in defaults.items() if isinstance(default, float)}
        fields = {**defaults, **fields}
        static = {field: value for field, value in fields.items() if field not in numeric}
        return functools.partial(self[name], **static), {field: float(fields[field]) for field in numeric}


def union(kind: str, families: Mapping[str, Registry]) -> Registry:
    """The builders of several registries as one, for reading; it has what they get later, too."""
    registry = Registry(kind)
    registry._builders = ChainMap(*(family._builders for family in reversed(families.values())))
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
