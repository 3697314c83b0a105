"""A thread that works in order while the devices train."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

_MOST = 16  # tasks that may wait in the queue; if there are more, the caller waits


class Background:
    """A thread that runs tasks in order while the caller continues.

    After a task has failed no further task is run, and every later call raises its error: a checkpoint must
    not be ahead of the lines and pictures before it.
    """

    def __init__(self):
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="background")
        self._pending: deque[Future] = deque()
        self._error: BaseException | None = None

    def do(self, function: Callable[..., None], *args) -> Future:
        """Queues `function(*args)`; raises the error of an earlier task, if one failed."""
        while self._pending and (self._pending[0].done() or len(self._pending) >= _MOST):
            self._pending.popleft().result()
        self._pending.append(self._pool.submit(self._run, function, *args))
        return self._pending[-1]

    def wait(self) -> None:
        """Blocks until all tasks are done; raises the error of a failed task."""
        while self._pending:
            self._pending.popleft().result()

    def close(self, at_once: bool = False) -> None:
        """Ends the thread after all tasks, or `at_once`: after the current one."""
        self._pool.shutdown(cancel_futures=at_once)

    def _run(self, function, *args):
        if self._error:
            raise self._error
        try:
            function(*args)
        except BaseException as error:
            self._error = error
            raise
