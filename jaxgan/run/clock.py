"""Measures how long the devices work, independently of the host."""

import collections
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax

_LEAST = 2.0  # seconds over which a rate is measured


class Clock:
    """Seconds of work of calls that run one after the other.

    A call's work begins when it is dispatched or when the call before it is done, and ends when its results
    are ready. A thread waits for the results, so the time for pictures and files is not counted.

    Args:
      now: the time in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self._now, self._last = now, now()
        self._thread = ThreadPoolExecutor(1, "clock")

    def watch(self, begun: float, results: Any) -> "Future[float]":
        """A future of the seconds of the call that was dispatched at `begun` and computes `results`."""
        return self._thread.submit(self._wait, begun, results)

    def _wait(self, begun: float, results: Any) -> float:
        jax.block_until_ready(results)
        begun, self._last = max(begun, self._last), self._now()
        return self._last - begun

    def close(self) -> None:
        """Ends the thread without waiting for running calls."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class Rate:
    """Steps a second, line by line.

    A thread that waits for the devices may wake up later than a short call takes. So the rate is over at
    least two seconds, which may include calls before the line. The first call of a length includes
    compilation, so it counts only if there is no other.
    """

    def __init__(self):
        self._lengths: set[int] = set()
        self._first = 0, 0.0
        self._calls: collections.deque[tuple[int, float]] = collections.deque()
        self._fresh = 0  # calls since the last line

    def add(self, steps: int, seconds: float) -> None:
        """A call of so many steps."""
        if steps in self._lengths:
            self._calls.append((steps, seconds))
            self._fresh += 1
        else:
            self._lengths.add(steps)
            self._first = steps, seconds

    def of_line(self) -> float:
        """Steps a second of the calls since the last line."""
        spent = sum(seconds for _, seconds in self._calls)
        while len(self._calls) > max(self._fresh, 1) and spent - self._calls[0][1] >= _LEAST:
            spent -= self._calls.popleft()[1]
        self._fresh = 0
        steps, seconds = map(sum, zip(*(self._calls or [self._first]), strict=True))
        return steps / max(seconds, 1e-9)
