"""The time that a run may take, over all its starts."""

import time


class Budget:
    """Seconds spent in the training loop.

    They count from the moment at which the first call is compiled, with evaluations and all that is written.

    Args:
      minutes: how much there is; 0: no limit.
      spent: seconds of earlier starts, from a checkpoint.
    """

    def __init__(self, minutes: float, spent: float = 0.0):
        self._most, self._spent = 60 * minutes, spent
        self._begun: float | None = None

    def begin(self) -> None:
        """The loop goes on from here; only the first call counts."""
        if self._begun is None:
            self._begun = time.monotonic()

    def seconds(self) -> float:
        """Spent so far."""
        return self._spent + (0.0 if self._begun is None else time.monotonic() - self._begun)

    def is_spent(self) -> bool:
        """Whether there is a limit, and it is reached."""
        return 0 < self._most <= self.seconds()
