"""How long the devices work on what they are given, whenever the host comes to look."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax


class Clock:
    """Seconds of work of calls that run one after the other.

    A call's work begins when it is given to the devices, or when the one before it is done, and ends when its
    results are there. A thread waits for these, so that pictures and files do not count.

    Args:
      now: the time in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self._now, self._last = now, now()
        self._thread = ThreadPoolExecutor(1, "clock")

    def watch(self, begun: float, results: Any) -> "Future[float]":
        """Of the call that was given to the devices at `begun` and makes `results`: its seconds."""
        return self._thread.submit(self._wait, begun, results)

    def _wait(self, begun: float, results: Any) -> float:
        jax.block_until_ready(results)
        begun, self._last = max(begun, self._last), self._now()
        return self._last - begun

    def close(self) -> None:
        """Ends the thread; what is under way is waited for by nobody."""
        self._thread.shutdown(wait=False, cancel_futures=True)
