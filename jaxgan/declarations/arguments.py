"""Checks and conversions of public arguments, with errors of one line."""

import math
import operator
import os
import reprlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num

from jaxgan.errors import WrongArgument

NUMBERS = "fiub"  # kinds of NumPy types


def shown(value: Any) -> str:
    """A value for a message: short, and in one line."""
    if hasattr(value, "dtype") and getattr(value, "shape", ()):
        return f"{value.dtype} {list(value.shape)}"
    return " ".join(reprlib.repr(value).split())


def whole(name: str, value: Any, low: int | None = 0, high: int | None = None) -> int:
    """A whole number from `low` on, below `high`; None: any.

    Raises:
      WrongArgument: it is something else, or out of range; True and False are refused, too.
    """
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        number = None
    low_enough = high is None or number is not None and number < high
    if number is None or not low_enough or (low is not None and number < low):
        upper = "" if high is None else f" and below {high}"
        lower = "be" if low is None else f"be at least {low}"
        raise WrongArgument(f"{name}={shown(value)} must {lower}{upper}, in whole numbers")
    return number


def positive(name: str, value: Any) -> float:
    """A finite number above 0.

    Raises:
      WrongArgument: it is something else, or out of range.
    """
    try:
        number = math.nan if isinstance(value, str | bytes) or np.ndim(value) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise WrongArgument(f"{name}={shown(value)}: give a finite number above 0")
    return number


def array(name: str, value: Any, *layouts: str, kinds: str = NUMBERS) -> np.ndarray:
    """The value as a NumPy array, with its own type.

    Args:
      name: of the argument.
      value: an array of any library, or nested lists.
      *layouts: allowed axes, such as '[N, D]'.
      kinds: allowed kinds of NumPy types; bfloat16 is a float, too.

    Raises:
      WrongArgument: it is no array, or has another type or number of axes.
    """
    layout = " or ".join(layouts)
    try:
        found = np.asarray(value)
    except (TypeError, ValueError) as error:  # rows of different lengths, say
        raise WrongArgument(f"{name} make no array: give {_words(kinds)} {layout}") from error
    kind = "f" if found.dtype.name.startswith(("bfloat", "float")) else found.dtype.kind
    if found.ndim not in [layout.count(",") + 1 for layout in layouts] or kind not in kinds:
        what = f"{found.dtype} {list(found.shape)}" if found.ndim else shown(value)
        raise WrongArgument(f"{name} have shape {found.shape}, not {layout} ({what}): give {_words(kinds)}")
    return found


def finite(name: str, value: Num[np.ndarray, "*shape"]) -> Num[np.ndarray, "*shape"]:
    """The same array; WrongArgument if it has NaN or infinite numbers."""
    if not np.isfinite(value).all():
        raise WrongArgument(f"{name} have NaN or infinite numbers: leave these out")
    return value


def choice(name: str, value: Any, choices: Collection[str]) -> str:
    """One of the choices; WrongArgument if it is something else."""
    if not isinstance(value, str) or value not in choices:
        raise WrongArgument(f"{name}={shown(value)} is not known; choose one of {', '.join(choices)}")
    return value


def text(name: str, value: Any) -> str:
    """A text; WrongArgument if it is something else."""
    if not isinstance(value, str):
        raise WrongArgument(f"{name}={shown(value)}: give a text")
    return value


def folder(name: str, value: Any) -> Path:
    """The path of a folder, which need not exist, with `~` expanded.

    Raises:
      WrongArgument: it is no path, or empty, or its home directory does not exist.
    """
    try:
        path = os.fspath(value)
    except TypeError:
        path = b""
    if not isinstance(path, str) or not path or "\0" in path:
        raise WrongArgument(f"{name}={shown(value)}: give the path of a folder, a text or a pathlib.Path")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise WrongArgument(
            f"{name}={shown(value)}: there is no such home directory: give a folder"
        ) from error


def _words(kinds: str) -> str:
    return "whole numbers" if "f" not in kinds else "numbers"
