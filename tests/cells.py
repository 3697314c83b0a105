"""The cells of a fault matrix: every pair of conditions by default, combinations with `-m slow`.

A cell ends in a right result, or in one line that names the thing and the remedy.
"""

import functools
import itertools
import math
from collections.abc import Sequence

import covertable
import pytest

from jaxgan.errors import UserError

LONGEST = 300  # characters of a message
MOST = 10_000  # cells


def pairs(axes, allowed=None, strength=2):
    """Few cells in which each two values of different axes meet.

    Args:
      axes: the values of each axis by its name.
      allowed: for a rule, the axes that it looks at and a function of a cell, false where they make no sense
        together.
      strength: how many values meet.
    """
    rules = [
        {"operator": "fn", "requires": list(names), "evaluate": rule}
        for names, rule in (allowed or {}).items()
    ]
    made = covertable.make(axes, constraints=rules, strength=min(strength, len(axes)))
    return [{name: cell[name] for name in axes} for cell in made]


def every(axes, allowed=None):
    """All combinations that the rules of `pairs` allow; of more than can be run, each three values."""
    if math.prod(map(len, axes.values())) > MOST:
        return pairs(axes, allowed, strength=3)
    cells = (dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values()))
    return [cell for cell in cells if all(rule(cell) for rule in (allowed or {}).values())]


def name(cell):
    """Of a cell in messages."""
    return " ".join(f"{axis}={value}" for axis, value in cell.items())


class Later(Sequence):
    """Cells that are made when they are first asked for, not when tests are collected."""

    def __init__(self, make):
        self._make = functools.cache(make)

    def __getitem__(self, i):
        return self._make()[i]

    def __len__(self):
        return len(self._make())


def parametrize(*groups):
    """Decorator: a test of `made`, the cells: once all pairs, and once, marked slow, `every`.

    Args:
      *groups: axes and rules, as `pairs` takes them; pairs are made of each.
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
    """What `call` returns, and what is wrong with how it refuses: (result, message, fault).

    Args:
      call: of no arguments.
      names: of the thing, one of which a message has to have.
      root: a folder whose length does not count.
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
    lines = [line.encode("ascii", "backslashreplace").decode() for line in lines]  # names that are no UTF-8
    assert not lines, f"{len(lines)} of {count} cells fail\n" + "\n".join(lines[:40])
