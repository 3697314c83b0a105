"""What the numbers of statistics mean, which direction is better, and what range they have."""

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
      counts_modes: whether it is at most the number of the data's modes, beside.
    """

    better: str
    meaning: str
    low: float = -math.inf
    high: float = math.inf
    counts_modes: bool = False

    @property
    def arrow(self) -> str:
        """↑ where higher is better, ↓ where lower is, else nothing."""
        return {"higher": "↑", "lower": "↓"}.get(self.better, "")


_NUMBERS: dict[str, Number] = {}


def describe(numbers: dict[str, Number]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator of a statistic that says what its numbers mean, by their names; `*` stands for anything."""

    def add(statistic):
        _NUMBERS.update(numbers)
        return statistic

    return add


def find_number(name: str) -> Number | None:
    """The number that a statistic calls so; None where no statistic describes it."""
    return next((number for pattern, number in _NUMBERS.items() if fnmatch.fnmatchcase(name, pattern)), None)
