"""Which members of a wave continue: successive halving at rungs, by one number.

Source: Jamieson & Talwalkar 2016, Non-stochastic Best Arm Identification and Hyperparameter Optimization.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int


def make_rungs(num_steps: int, wave: int, eta: int, unit: int) -> tuple[list[int], int]:
    """The steps at which members are compared; the last is `num_steps`.

    There are as many rungs as needed to leave one member of a wave: for 8 members and η = 3 they are about
    num_steps/η², num_steps/η and num_steps. If num_steps has a suitable divisor, all are multiples of the
    length of a call, so that there is one program.

    Args:
      num_steps: of a whole run.
      wave: members.
      eta: one of `eta` members continues.
      unit: the longest call.

    Returns:
      the rungs, and the length of a call.
    """
    halvings = 0
    while math.ceil(wave / eta**halvings) > 1:
        halvings += 1
    limit = max(1, min(unit, num_steps // eta**halvings))
    call = max(n for n in range(1, limit + 1) if num_steps % n == 0)
    call = call if 4 * call >= limit else limit
    marks = (num_steps / eta**k for k in range(halvings, 0, -1))
    rungs = {min(num_steps, max(call, round(mark / call) * call)) for mark in marks}
    return sorted(rungs | {num_steps}), call


def keep(
    values: Float[np.ndarray, " n"], others: Sequence[float], eta: int, highest: bool
) -> Int[np.ndarray, " kept"]:
    """The members that continue after a rung: the best ⌈n/η⌉ that are not worse than the median.

    The median is over the members of all waves at this rung, including this wave. If all members of a wave
    are worse, none continues, so a wave with a bad structure ends. Values that are not finite are the worst.

    Args:
      values: `[n]`, of the wave's members.
      others: of the members of other waves.
      eta: one of `eta` members continues.
      highest: whether higher is better.

    Returns:
      their rows, ascending.
    """
    scores = np.asarray(values, np.float64) * (-1 if highest else 1)
    scores = np.where(np.isfinite(scores), scores, np.inf)
    known = np.asarray(others, np.float64) * (-1 if highest else 1)
    known = np.where(np.isfinite(known), known, np.inf)
    median = np.median(np.concatenate([scores, known])) if len(scores) else np.inf
    best = np.argsort(scores, kind="stable")[: math.ceil(len(scores) / eta)]
    return np.sort(best[(scores[best] <= median) & np.isfinite(scores[best])])
