"""Checks of features for every statistic: the shape, enough rows, finite numbers."""

import numpy as np
from jaxtyping import Num

from jaxgan.declarations import arguments
from jaxgan.errors import UserError, WrongArgument

_ROWS = 4096  # rows checked at a time


def check_features(
    features: Num[np.ndarray, "N D"], name: str, *, at_least: int = 1, what: str = "features"
) -> Num[np.ndarray, "N D"]:
    """The features `[N, D]` as a NumPy array, unchanged.

    Args:
      features: `[N, D]` of any real type.
      name: what to call them in a message: 'real', 'fake'.
      at_least: rows that the statistic needs.
      what: what the numbers are, for messages.

    Raises:
      WrongArgument: another shape, or no real numbers.
      UserError: fewer rows, or rows with NaN or infinite numbers.
    """
    features = arguments.array(f"{name} {what}", features, "[N, D]")
    if not features.shape[1]:
        raise WrongArgument(f"{name} {what} have shape {features.shape}, not [N, D]: give D of at least 1")
    if len(features) < at_least:
        raise UserError(f"{len(features)} {name} examples are too few: this statistic needs {at_least}")
    chunks = (features[start : start + _ROWS] for start in range(0, len(features), _ROWS))
    broken = sum(np.count_nonzero(~np.isfinite(chunk).all(axis=1)) for chunk in chunks)
    if broken:
        raise UserError(f"{broken} of {len(features)} {name} examples have NaN or infinite {what}")
    return features


def check_pair(
    real_features: Num[np.ndarray, "N D"], fake_features: Num[np.ndarray, "M D"], *, at_least: int = 1
) -> tuple[Num[np.ndarray, "N D"], Num[np.ndarray, "M D"]]:
    """`check_features` of both, which must have the same D."""
    real = check_features(real_features, "real", at_least=at_least)
    fake = check_features(fake_features, "fake", at_least=at_least)
    check_width(real, fake)
    return real, fake


def check_width(features: Num[np.ndarray, "N D"], others: Num[np.ndarray, "M D"]):
    """WrongArgument if two sets of features differ in D."""
    if features.shape[1] != others.shape[1]:
        raise WrongArgument(
            f"features of {features.shape[1]} and of {others.shape[1]} numbers do not compare"
        )
