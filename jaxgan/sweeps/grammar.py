"""Parses `--sweep='FIELD=VALUES'`.

| values | what |
| --- | --- |
| `a,b,c` | a list; brackets group values: `(64,64),(128,128)` |
| `a:b` | integers from a to b - 1: `seed=0:10`; with random draws, also real numbers |
| `a:b:n` | n evenly spaced numbers from a to b, both included (rounded for integer fields) |
| `log(a:b:n)` | the same, evenly spaced in the logarithm |
"""

import ast
import math
import random
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxgan.errors import UserError

_NUMBER = r"([-+]?[\d.]+(?:e[-+]?\d+)?)"
_RANGE = re.compile(rf"(log\()?{_NUMBER}:{_NUMBER}(?::(\d+))?(\))?", re.IGNORECASE)


class Span(NamedTuple):
    """A range with both ends, of `int` or `float`, and whether it is logarithmic."""

    low: float
    high: float
    log: bool
    kind: type


class Axis(NamedTuple):
    """The values of one field.

    Attributes:
      field: its dotted path.
      values: the values of a grid; None if there are too many, so that only draws make sense.
      draw: `random.Random -> value`, a random one.
      span: the range of draws, if no number of values is given.
    """

    field: str
    values: list[Any] | None
    draw: Callable[[random.Random], Any]
    span: Span | None = None


def parse(text: str, kind_of: Callable[[str], type]) -> Axis:
    """One `FIELD=VALUES`.

    Args:
      text: as on the command line.
      kind_of: the type of a field's values; raises UserError if there is no such field.

    Raises:
      UserError: it cannot be read.
    """
    field, equals, values = (part.strip() for part in text.partition("="))
    if not (field and equals and values):
        raise UserError(f"--sweep='{text}' does not fit: it looks like --sweep='FIELD=a,b,c'")
    field = field.removeprefix("config.")
    kind = kind_of(field)
    if kind in (int, float) and (match := _RANGE.fullmatch(values.replace(" ", ""))):
        return _range(field, kind, text, match)
    listed = [_value(part, kind, text) for part in split(values)]
    if len({repr(value) for value in listed}) < len(listed):
        raise UserError(f"--sweep='{text}' names a value twice")
    return Axis(field, listed, lambda source: source.choice(listed))


def split(text: str) -> list[str]:
    """Splits at commas that are not in brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _range(field, kind, text, match):
    log, low, high, num, close = match.groups()
    low, high = _value(low, float, text), _value(high, float, text)
    if bool(log) != bool(close) or not low < high or (log and low <= 0) or num == "0":
        raise UserError(f"--sweep='{text}' does not fit: a range goes up, a log range from above 0")

    def cast(x):
        return round(x) if kind is int else float(f"{x:.6g}")

    def draw(source):
        if kind is int and not (log or num):
            return source.randrange(int(low), int(high))
        place = source.random()
        return cast(low * (high / low) ** place if log else low + (high - low) * place)

    values = None
    if num:
        points = np.geomspace(low, high, int(num)) if log else np.linspace(low, high, int(num))
        values = list(dict.fromkeys(cast(x) for x in points))
    elif kind is int and not log:
        values = list(range(int(low), int(high)))
    span = None
    if not num:
        ends = (round(low), round(high) - (not log)) if kind is int else (low, high)
        span = Span(*ends, bool(log), kind) if ends[0] < ends[1] else None
        values = values if span or values else [ends[0]]
    return Axis(field, values, draw, span)


def _value(text: str, kind: type, whole: str) -> Any:
    """The value of a text, of the field's type."""
    try:
        if kind is bool:
            return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
        if kind is int:
            return int(text)
        if kind is float:
            value = float(text)
            if not math.isfinite(value):
                raise ValueError(text)
            return value
        if kind is str:
            return text.strip("'\"")
        if kind in (tuple, list):
            return _tuple(text)
    except (ValueError, KeyError) as error:
        raise UserError(f"--sweep='{whole}': '{text}' is no {kind.__name__}") from error
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _tuple(text):
    if not text.startswith(("(", "[")):
        text = f"({text},)"
    try:
        found = ast.literal_eval(text)
        return tuple(found) if isinstance(found, tuple | list) else (found,)
    except (ValueError, SyntaxError):  # names without quotes: (flip,crop)
        return tuple(part for part in split(text[1:-1]) if part)
