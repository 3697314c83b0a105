"""Which members of a wave go on: successive halving at rungs, by one number.

Source: Jamieson & Talwalkar 2016, Non-stochastic Best Arm Identification and Hyperparameter Optimization.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int


def make_rungs(num_steps: int, wave: int, eta: int, unit: int) -> tuple[list[int], int]:
    """The steps at which members are compared, the last of which is `num_steps`.

    There are as many as leave one member of a wave: about num_steps/η², num_steps/η, num_steps for 8 members
    and η = 3. All are multiples of one length of call, so that calls are one program, where num_steps has
    such a divisor.

    Args:
      num_steps: of a whole run.
      wave: members.
      eta: of so many members one goes on.
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
    """The members that go on after a rung: the best ⌈n/η⌉, as far as none is worse than the median.

    The median is of all waves' members at this rung, those of this wave included. Where all of a wave are
    worse than it, none goes on: a wave of a hopeless structure ends there. What is not finite is the worst.

    Args:
      values: `[n]`, of the wave's members.
      others: of the members of other waves.
      eta: of so many members one goes on.
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
