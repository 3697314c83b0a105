"""The meaning, the better direction and the range of the numbers of statistics."""

import fnmatch
import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Number(NamedTuple):
    """One number of a statistic.

    Attributes:
      better: 'higher' or 'lower'; '' where neither is better by itself.
      meaning: one line.
      low, high: its range.
      counts_modes: whether the number of the data's modes is also an upper bound.
    """

    better: str
    meaning: str
    low: float = -math.inf
    high: float = math.inf
    counts_modes: bool = False

    @property
    def arrow(self) -> str:
        """↑ if higher is better, ↓ if lower is better, else ''."""
        return {"higher": "↑", "lower": "↓"}.get(self.better, "")


_NUMBERS: dict[str, Number] = {}


def describe(numbers: dict[str, Number]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator of a statistic: describes its numbers by name; `*` stands for anything."""

    def add(statistic):
        _NUMBERS.update(numbers)
        return statistic

    return add


def find_number(name: str) -> Number | None:
    """The description of the number `name` of a statistic; None if there is none."""
    return next((number for pattern, number in _NUMBERS.items() if fnmatch.fnmatchcase(name, pattern)), None)
