"""The time that a run may take, over all its starts."""

import time


class Budget:
    """Seconds spent in the training loop.

    Counted from when the first call is compiled, including evaluations and writing.

    Args:
      minutes: the limit; 0: none.
      spent: seconds of earlier starts, from a checkpoint.
    """

    def __init__(self, minutes: float, spent: float = 0.0):
        self._most, self._spent = 60 * minutes, spent
        self._begun: float | None = None

    def begin(self) -> None:
        """Starts the clock; only the first call has an effect."""
        if self._begun is None:
            self._begun = time.monotonic()

    def seconds(self) -> float:
        """Spent so far."""
        return self._spent + (0.0 if self._begun is None else time.monotonic() - self._begun)

    def is_spent(self) -> bool:
        """Whether the limit is reached."""
        return 0 < self._most <= self.seconds()
