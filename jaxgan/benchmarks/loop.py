"""The cost of the training loop beside its program: a run in which parts of the loop are turned on and off.

Measured in one process, in turns of seconds, because processes and minutes differ by more than the loop
costs.
"""

import contextlib
import math
import tempfile
import time
from pathlib import Path
from unittest import mock

import jax
import numpy as np

from jaxgan.benchmarks.timing import Times
from jaxgan.benchmarks.workloads import WORKLOADS
from jaxgan.jobs import train
from jaxgan.run import monitor
from jaxgan.run.monitor import Monitor

# What is on in a turn, and the periods of the config that are without effect in it.
_TURNS = {
    "program": ("sample_every", "checkpoint_every"),
    "lines alone": ("sample_every", "checkpoint_every"),
    "lines and grids": ("checkpoint_every",),
    "run": (),
}


def take_turns(workload: str, repeats: int, seconds: float) -> tuple[dict[str, Times], int]:
    """Times of a step in turns of one run on one device: 'program', 'lines alone', 'lines and grids', 'run'.

    'program' waits for each call and does nothing else. 'lines' are progress, metrics and TensorBoard. A turn
    has whole periods of grids and checkpoints, and ends one line later, when most of their writing is done.

    Args:
      workload: a key of WORKLOADS.
      repeats: turns of each.
      seconds: of a turn, about.

    Returns:
      the times, and the batch size.
    """
    config = WORKLOADS[workload].read()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        data = WORKLOADS[workload].draw_data()
        np.savez(Path(folder) / "data.npz", images=data.pop("examples"), **data)
        with config.unlocked():
            config.dataset.name, config.dataset.fallback = "array", ""
            config.dataset.path = f"{folder}/data.npz"
            config.num_devices = 1
            config.eval_every = 0  # evaluation is not part of the measurement
            config.num_steps = 10**9  # it ends with the last turn
        turns = _Turns(config, repeats, seconds)
        nothing = mock.patch.object(monitor, "diagnose", lambda *args, **kwargs: {})  # the examples are noise
        with nothing, mock.patch.object(train, "Monitor", turns.monitor):
            train.train(config.copy_and_resolve_references(), Path(folder) / "run")
    return {name: Times(tuple(times)) for name, times in turns.times.items()}, config.batch_size


class _Turns:
    """The order and the times of the turns."""

    def __init__(self, config, repeats: int, seconds: float):
        self.times: dict[str, list[float]] = {name: [] for name in _TURNS}
        self.periods = {name: config[name] for name in ("sample_every", "checkpoint_every")}
        self._granule = math.lcm(config.log_every, *(period for period in self.periods.values() if period))
        self._seconds = seconds
        # two turns to start: one compiles, one sets the length of a turn. Then the order alternates, so that
        # a machine that becomes slower affects all alike
        turns = [name for i in range(repeats) for name in (_TURNS if i % 2 else reversed(_TURNS))]
        self._rest = iter([(False, "run"), (False, "run"), *((True, name) for name in turns)])
        self._counts, self.name = next(self._rest)
        self._begin, self._length, self._now = config.log_every, self._granule, time.perf_counter()

    def monitor(self, *args) -> Monitor:
        return _Monitor(self, *args)

    def end_of_call(self, step: int) -> bool:
        """Records the time if a turn ends with this step; returns whether another turn follows."""
        if step < self._begin + self._length:
            return True
        now = time.perf_counter()
        taken = (now - self._now) / (step - self._begin)
        if self._counts:
            self.times[self.name].append(taken)
        else:
            self._length = self._granule * max(1, round(self._seconds / taken / self._granule))
        self._begin, self._now = step, now
        self._counts, self.name = next(self._rest, (False, "program"))
        return self._counts or not self.times["program"]


class _Monitor(Monitor):
    """A monitor that does only what is on in the turn."""

    def __init__(self, turns: _Turns, *args):
        super().__init__(*args)
        self._turns = turns

    def write(self) -> None:
        if self._pending is None:
            return
        step, metrics, *_ = self._pending
        jax.block_until_ready(metrics)
        if not self._turns.end_of_call(step):
            self._config.num_steps = 0  # which ends the run
        for period, value in self._turns.periods.items():
            self._config[period] = 0 if period in _TURNS[self._turns.name] else value
        if self._turns.name == "program":
            self._pending = None
        else:
            super().write()
