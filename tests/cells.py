"""The cells of a fault matrix: all pairs of conditions by default, all combinations with `-m slow`.

A cell must give a correct result, or one line that names the cause and the remedy.
"""

import functools
import itertools
import math
from collections.abc import Sequence

import covertable
import pytest

from jaxgan.errors import UserError

LONGEST = 300  # maximum length of a message, in characters
MOST = 10_000  # maximum number of cells


def pairs(axes, allowed=None, strength=2):
    """A small set of cells that contains every pair of values of different axes.

    Args:
      axes: the values of each axis by its name.
      allowed: rules. The key of a rule is the axes that it depends on; the value is a function of a cell that
        returns False if the values of these axes make no sense together.
      strength: 2 for all pairs, 3 for all triples.
    """
    rules = [
        {"operator": "fn", "requires": list(names), "evaluate": rule}
        for names, rule in (allowed or {}).items()
    ]
    made = covertable.make(axes, constraints=rules, strength=min(strength, len(axes)))
    return [{name: cell[name] for name in axes} for cell in made]


def every(axes, allowed=None):
    """All combinations that the rules allow; all triples if the combinations are too many."""
    if math.prod(map(len, axes.values())) > MOST:
        return pairs(axes, allowed, strength=3)
    cells = (dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values()))
    return [cell for cell in cells if all(rule(cell) for rule in (allowed or {}).values())]


def name(cell):
    """The name of a cell in messages."""
    return " ".join(f"{axis}={value}" for axis, value in cell.items())


class Later(Sequence):
    """Cells that are made at the first access, not when tests are collected."""

    def __init__(self, make):
        self._make = functools.cache(make)

    def __getitem__(self, i):
        return self._make()[i]

    def __len__(self):
        return len(self._make())


def parametrize(*groups):
    """Decorator for a test of the cells `made`: once with `pairs`, and once with `every`, marked slow.

    Args:
      *groups: pairs (axes, rules), the arguments of `pairs`; cells are made from each.
    """

    def make(generate):
        return [cell for axes, allowed in groups for cell in generate(axes, allowed)]

    return pytest.mark.parametrize(
        "made",
        [
            pytest.param(make(pairs), id="pairs"),
            pytest.param(Later(functools.partial(make, every)), id="every", marks=pytest.mark.slow),
        ],
    )


def refusal(call, *names, root=""):
    """(result, message, fault): what `call` returns, or its error message and what is wrong with it.

    Args:
      call: a function without arguments.
      names: possible names of the cause; the message must contain at least one.
      root: a folder whose path does not count for the length of the message.
    """
    try:
        return call(), "", ""
    except UserError as error:
        message = str(error)
    except Exception as error:
        return None, "", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    shown = message.replace(str(root), "")
    fault = ""
    if len(message.splitlines()) != 1:
        fault = "not one line"
    elif len(shown) >= LONGEST:
        fault = f"{len(shown)} characters"
    elif names and not any(word and word in message for word in names):
        fault = f"does not name {' or '.join(names)}"
    return None, message, fault and f"{fault}: {shown[:400]!r}"


def require_none(faults, count):
    """Fails with the cells that have a fault."""
    lines = [f"{name(cell)}: {fault}" for cell, fault in faults]
    lines = [
        line.encode("ascii", "backslashreplace").decode() for line in lines
    ]  # names may be invalid UTF-8
    assert not lines, f"{len(lines)} of {count} cells fail\n" + "\n".join(lines[:40])
