"""Contenders do their work in turns, each in a process of its own.

Shared machines are noisy, so times of neighbouring turns are compared.
"""

import contextlib
import contextvars
import importlib
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any, NamedTuple

from jaxgan.errors import UserError


def _pool() -> Executor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))


class Times(NamedTuple):
    """Seconds of a piece of work in each turn; the n-th turns of all contenders are neighbours."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def per(self, other: "Times") -> tuple[float, float, float]:
        """The median, smallest and largest ratio of neighbouring turns."""
        ratios = [mine / theirs for mine, theirs in zip(self.seconds, other.seconds, strict=True)]
        return statistics.median(ratios), min(ratios), max(ratios)


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`, in a process of its own."""
    pool = _pool()
    try:
        return pool.submit(function, *arguments).result()
    finally:
        pool.shutdown()


class Contender:
    """Work in a process of its own.

    Args:
      make: 'module:function', called with `arguments`; it returns `work` and facts about it. `work(num)` does
        the work `num` times, a multiple of `facts.get('granule', 1)`, and waits for its end. If only a part
        of this counts, it returns the seconds.
    """

    def __init__(self, make: str, **arguments: Any):
        self._pool = _pool()
        try:
            self.facts: dict[str, Any] = self._pool.submit(_make, make, arguments).result()
        except BaseException:
            self.close()
            raise
        self._num = self._granule = self.facts.get("granule", 1)

    def calibrate(self, seconds: float) -> None:
        """Chooses the number of pieces of work in a turn, so that it takes about `seconds`."""
        for _ in range(2):  # the first one may be slow
            self._num = self._granule * max(1, round(seconds / self.turn() / self._granule))

    def turn(self) -> float:
        """Seconds of one piece of work: the mean over a turn."""
        return self._pool.submit(_time, self._num).result() / self._num

    def peak_bytes(self) -> int:
        """The peak memory so far: of the accelerator, or of the whole process."""
        return self._pool.submit(_peak_bytes).result()

    def close(self) -> None:
        self._pool.shutdown()


def take_turns(contenders: dict[str, Contender], repeats: int, seconds: float) -> dict[str, Times]:
    """Each contender's times of `repeats` turns of about `seconds`."""
    for contender in contenders.values():
        contender.calibrate(seconds)
    turns: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, contender in contenders.items():
            turns[name].append(contender.turn())
    return {name: Times(tuple(values)) for name, values in turns.items()}


@contextlib.contextmanager
def contenders(**specifications: tuple[str, dict[str, Any]]) -> Iterator[dict[str, Contender]]:
    """Contenders by name, each of `(make, arguments)`; their processes end with the block."""
    with contextlib.ExitStack() as stack:
        made = {}
        for name, (make, arguments) in specifications.items():
            made[name] = Contender(make, **arguments)
            stack.callback(made[name].close)
        yield made


# --- In the contender's process -----------------------------------------------------------------------

_work = contextvars.ContextVar("work")  # the contender's own


def _make(make: str, arguments: dict[str, Any]) -> dict[str, Any]:
    module, _, function = make.partition(":")
    try:
        work, facts = getattr(importlib.import_module(module), function)(**arguments)
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed: pip install {error.name}") from error
    _work.set(work)
    work(facts.get("granule", 1))  # compiles
    return facts


def _time(num: int) -> float:
    start = time.perf_counter()
    seconds = _work.get()(num)
    return time.perf_counter() - start if seconds is None else seconds


def _peak_bytes() -> int:
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated()
    if "jax" in sys.modules:
        memory = sys.modules["jax"].devices()[0].memory_stats()
        if memory:
            return memory["peak_bytes_in_use"]
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
