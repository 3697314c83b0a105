"""The space that a search draws from: what `--sweep` says, as Optuna's distributions."""

from typing import Any, NamedTuple

from jaxgan.errors import UserError
from jaxgan.sweeps.grammar import Axis, Span

_NATIVE = (bool, int, float, str)


class Space(NamedTuple):
    """The fields of a search.

    Attributes:
      axes: field → its axis.
    """

    axes: dict[str, Axis]

    def distributions(self) -> dict[str, Any]:
        """field → Optuna's distribution. Values that are no plain ones, such as tuples, stand as words."""
        from optuna import distributions

        made = {}
        for field, axis in self.axes.items():
            if axis.span is None:
                made[field] = distributions.CategoricalDistribution([*self._choices(field)])
                continue
            kind = distributions.IntDistribution if axis.span.kind is int else distributions.FloatDistribution
            made[field] = kind(axis.span.low, axis.span.high, log=axis.span.log)
        return made

    def values(self, params: dict[str, Any]) -> dict[str, Any]:
        """field → value, of Optuna's parameters."""
        found = {}
        for field, param in params.items():
            span = self.axes[field].span
            if span is None:
                found[field] = self._choices(field)[param]
            elif span.kind is float:  # as short as a command line has it
                found[field] = min(max(float(f"{param:.6g}"), span.low), span.high)
            else:
                found[field] = param
        return found

    def params(self, values: dict[str, Any]) -> dict[str, Any]:
        """Optuna's parameters, of field → value as JSON has it."""
        return {
            field: _plain(tuple(v) if isinstance(v, list) else v)
            for field, v in values.items()
            if field in self.axes
        }

    def others(self, field: str, value: Any) -> list[Any]:
        """Values of a field beside this one, that show whether it is a number of the state."""
        axis = self.axes[field]
        if axis.span is None:
            return [other for other in self._choices(field).values() if other != value]
        low, high = axis.span.low, axis.span.high
        inner = [low + (high - low) / 3, low + (high - low) * 2 / 3]
        inner = [round(x) if axis.span.kind is int else x for x in inner]
        return [x for x in inner if x != value] or [x for x in (low, high) if x != value]

    def _choices(self, field: str) -> dict[Any, Any]:
        return {_plain(value): value for value in self.axes[field].values}


def _plain(value: Any) -> Any:
    return value if isinstance(value, _NATIVE) else str(value)


def make_space(axes: list[Axis]) -> Space:
    """The space of parsed `--sweep` flags.

    Raises:
      UserError: there is none, or a field that a search cannot vary.
    """
    names = [axis.field for axis in axes]
    if not names:
        raise UserError("--combine=search needs a field to vary: --sweep='FIELD=log(a:b)' or FIELD=a,b,c")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"--sweep names {twice} twice: give all its values at once, {twice}=a,b,c")
    for name in names:
        if name == "seed":
            raise UserError(
                "--combine=search trains every setting with config.seed: leave --sweep=seed=... away, and "
                "train the best setting with several seeds in a sweep of its own"
            )
        if name.startswith(("dataset.", "evaluation.")):
            raise UserError(f"--combine=search compares numbers, and {name} changes what they mean")
    for axis in axes:
        if axis.span is None and len(axis.values) < 2:
            raise UserError(
                f"--sweep={axis.field} has one value: give several, or --config.{axis.field} for all"
            )
    return Space({axis.field: axis for axis in axes})


def recorded_space(fields: dict[str, list[Any]], spans: list[str]) -> Space:
    """The space that `search.json` tells."""
    axes = {}
    for field, words in fields.items():
        values = [tuple(word) if isinstance(word, list) else word for word in words]
        span = None
        if field in spans:
            low, high, log, kind = words
            span, values = Span(low, high, log, {"int": int, "float": float}[kind]), None
        axes[field] = Axis(field, values, lambda source: None, span)
    return Space(axes)
