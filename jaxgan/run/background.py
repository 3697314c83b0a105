"""What is done beside the training, while the devices go on: by one thread, in order."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

_MOST = 16  # that wait at once, with what they hold; then the caller waits, too


class Background:
    """A thread that does what it is given, in that order, while the caller goes on.

    Once something failed nothing more is done, and all that comes later fails likewise, for it may rest on
    that: a checkpoint must not be ahead of the lines and pictures before it.
    """

    def __init__(self):
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="background")
        self._pending: deque[Future] = deque()
        self._error: BaseException | None = None

    def do(self, function: Callable[..., None], *args) -> Future:
        """Has `function(*args)` done after all that was given before, and raises what failed of that."""
        while self._pending and (self._pending[0].done() or len(self._pending) >= _MOST):
            self._pending.popleft().result()
        self._pending.append(self._pool.submit(self._run, function, *args))
        return self._pending[-1]

    def wait(self) -> None:
        """Blocks until all is done; raises what failed."""
        while self._pending:
            self._pending.popleft().result()

    def close(self, at_once: bool = False) -> None:
        """Ends the thread, after all that was given to it, or `at_once` after what it is doing."""
        self._pool.shutdown(cancel_futures=at_once)

    def _run(self, function, *args):
        if self._error:
            raise self._error
        try:
            function(*args)
        except BaseException as error:
            self._error = error
            raise
