"""Training a wave of a search: a population whose members are compared at rungs; the best continue.

What is compared is measured on the validation part. Schedules are those of the whole run: a rung sees one
that is not annealed yet.
"""

import contextlib
import json
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxgan.config.fields import plain
from jaxgan.evaluation.evaluator import Evaluator
from jaxgan.run.checkpoint import Checkpoints
from jaxgan.run.workdir import Stop, claim
from jaxgan.sweeps.claims import Claim
from jaxgan.sweeps.members import Members
from jaxgan.sweeps.plan import Run
from jaxgan.sweeps.population import select
from jaxgan.sweeps.structure import key_of

Keep = Callable[[int, Float[np.ndarray, " n"]], Int[np.ndarray, " kept"]]
_evaluators: dict[Hashable, Evaluator] = {}
_MOST_EVALUATORS = 8


def train_wave(
    folder: Path,
    workdirs: Sequence[Path],
    runs: Sequence[Run],
    how: str,
    rungs: Sequence[int],
    objective: str,
    keep: Keep,
    stop: Stop,
    claimed: Claim,
    note: Callable[[dict[str, Any]], None],
) -> list[dict[str, Any]] | None:
    """Trains runs of one program from rung to rung, from where their checkpoint is.

    Args:
      folder, workdirs, runs, how, stop, claimed, note: as of `members.train_members`.
      rungs: steps; the last is the length of the runs.
      objective: the number that is compared.
      keep: `step, values [n] -> rows` that go on.

    Returns:
      of every run its outcome: `status` 'done', 'pruned' or 'diverged', `step`, `seconds`, `rungs` (step →
      objective), `reason`; None if stopped.
    """
    with contextlib.ExitStack() as stack:
        for path in workdirs:
            stack.enter_context(claim(path))
        saved = stack.enter_context(Checkpoints(folder / "checkpoints", keep=2))
        wave = _Wave(folder, workdirs, runs, how, saved, rungs, objective, keep)
        return wave.train(stop, claimed, note)


class _Wave(Members):
    """Members of a wave, whose number decreases at each rung.

    `_rows` are those of the runs that are left, `_ended` is what came of the others.
    """

    def __init__(self, folder, workdirs, runs, how, saved, rungs, objective, keep: Keep):
        self._rungs, self._objective, self._keep = [*rungs], objective, keep
        checkpoint = saved.restore()
        before = checkpoint.extra["wave"] if checkpoint else {}
        self._rows: list[int] = before.get("rows", [*range(len(runs))])
        self._ended = {int(row): outcome for row, outcome in before.get("ended", {}).items()}
        self._values = {int(row): rungs for row, rungs in before.get("values", {}).items()}
        self._shares: list[float] = before.get("shares", [0.0] * len(runs))
        self._counted: float = before.get("counted", 0.0)
        left = [workdirs[row] for row in self._rows], [runs[row] for row in self._rows]
        super().__init__(folder, *left, how, saved)

    def _evaluates(self) -> bool:
        return True

    def _make_evaluator(self) -> Evaluator:
        """One that an earlier wave of this structure has had, with what it has compiled."""
        section = json.dumps(plain(self._config.evaluation.to_dict()), sort_keys=True)
        key = key_of(self._gan), section, self._dataset.fingerprint
        if key not in _evaluators:
            if len(_evaluators) >= _MOST_EVALUATORS:
                _evaluators.clear()
            _evaluators[key] = super()._make_evaluator()
        return _evaluators[key]

    def _marks(self) -> list[int]:
        return self._rungs

    def train(self, stop, claimed, note):
        if self._step in self._rungs and not self._is_decided():  # stopped in between
            self._reach()
        return super().train(stop, claimed, note)

    def _is_decided(self) -> bool:
        return any(str(self._step) in rungs for rungs in self._values.values())

    def _reach(self) -> None:
        """Measures all that are left, and goes on with the best of them."""
        self._share()
        found = self._evaluate()
        values = np.array([found.get(i, {}).get(self._objective, np.nan) for i in range(len(self._rows))])
        for i, (row, value) in enumerate(zip(self._rows, values, strict=True)):
            if np.isfinite(value):
                self._values.setdefault(row, {})[str(self._step)] = float(value)
            elif self._alive[i]:
                self._alive[i] = False
                self._lose(i, f"{self._objective} was {value} at step {self._step}", self._step)
        if self._step == self._config.num_steps:
            return
        kept = self._keep(self._step, values)
        kept = kept[self._alive[kept]]
        if len(kept) < len(self._rows):
            self._drop(np.setdiff1d(np.arange(len(self._rows)), kept))
            self._remain(kept)
        self._save()

    def _share(self) -> None:
        """Divides the seconds since the last time among those that were trained in them."""
        for row in self._rows:
            self._shares[row] += (self._seconds - self._counted) / len(self._rows)
        self._counted = self._seconds

    def _drop(self, rows: Int[np.ndarray, " n"]) -> None:
        for i in rows:
            if self._alive[i]:
                self._outcomes[i] = {"status": "pruned", "step": self._step, "reason": ""}
            self._end(i)

    def _end(self, i: int) -> None:
        row = self._rows[i]
        step = self._outcomes[i]["step"]
        status = self._outcomes[i]["status"]
        if status == "pruned":  # an ordinary run that goes on from there
            self._outcomes[i]["status"] = "done"
        self._publish_member(i, self._shares[row], picture=status == "done")
        self._outcomes[i] |= {"status": status, "step": self._step if status != "diverged" else step}
        self._ended[row] = {**self._outcomes[i], "rungs": self._values.get(row, {})}

    def _remain(self, kept: Int[np.ndarray, " n"]) -> None:
        """Goes on with these: the others cost nothing more."""
        states = self._host() if len(kept) else None
        self._rows = [self._rows[i] for i in kept]
        self._workdirs = [self._workdirs[i] for i in kept]
        self._outcomes = [self._outcomes[i] for i in kept]
        self._alive = self._alive[kept]
        self._window = {name: values[kept] for name, values in self._window.items()}
        if len(kept):
            self._arrange(select(states, kept))

    def _save(self) -> None:
        if self._rows:
            super()._save()

    def _extra(self) -> dict[str, Any]:
        wave = {
            "rows": self._rows,
            "ended": self._ended,
            "values": self._values,
            "shares": self._shares,
            "counted": self._counted,
        }
        return {**super()._extra(), "wave": wave}

    def _publish(self) -> list[dict[str, Any]]:
        self._share()
        for i in range(len(self._rows)):
            self._end(i)
        return [self._ended[row] for row in sorted(self._ended)]
