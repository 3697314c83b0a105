"""A search for good settings: `--combine=search --draws=N --objective=NUMBER[,cost]`.

Its folder holds `search.json` (what is searched), `waves/0003/plan.json` (its settings), with the claims and
checkpoints of that wave and `result.json`; `runs/0012`, an ordinary workdir for each setting; Optuna's
`journal.log`; and the report. Any number of processes may be started on it: one that finds no open wave
proposes the next. What is proposed and what goes on follows from the results of the waves that a plan names,
so a search by one process is the same however often it is killed.
"""

import itertools
import json
import time
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float, Int

from jaxgan.errors import UserError
from jaxgan.run.workdir import Stop
from jaxgan.sweeps import halving, proposals
from jaxgan.sweeps.claims import Claim, claim, publish
from jaxgan.sweeps.proposals import Objective, Trial
from jaxgan.sweeps.space import Space

_POLL = 3.0  # seconds between two looks at what other processes do


class Budget(NamedTuple):
    """How a search spends its draws.

    Attributes:
      draws: settings in all.
      wave: settings that train together.
      eta: of so many members one goes on at a rung.
      seed: of the proposals.
    """

    draws: int
    wave: int = 8
    eta: int = 3
    seed: int = 0


class Problem(Protocol):
    """What is searched."""

    space: Space
    objective: Objective

    def accept(self, values: dict[str, Any]) -> str:
        """Why no config can have these values; '' where one can."""

    def structural(self, values: dict[str, Any]) -> set[str]:
        """The fields whose values decide which program is compiled; `joins` compares with these values."""

    def joins(self, values: dict[str, Any]) -> bool:
        """Whether these values are the program of those that `structural` was last asked about."""

    def name(self, number: int, values: dict[str, Any]) -> str:
        """Of the folder of a run."""

    def train(
        self, folder: Path, trials: list[Trial], keep, stop: Stop, claimed: Claim
    ) -> list[dict[str, Any]] | None:
        """Trains a wave: see `waves.train_wave`. The outcomes also have their `cost`."""


def search(problem: Problem, folder: Path, budget: Budget, stop: Stop) -> int:
    """Searches until every wave has its result, this process's or another's; returns the signal that came.

    Raises:
      UserError: no config can be like the first settings.
    """
    (folder / "waves").mkdir(parents=True, exist_ok=True)
    exhausted, said = False, -1
    while not stop.signal:
        waves = read_waves(folder)
        said = _tell(problem, folder, waves, said)
        unfinished = [number for number, wave in enumerate(waves) if not is_finished(wave)]
        if any(_work(problem, folder, waves, number, budget, stop) for number in unfinished):
            continue
        if stop.signal:
            break
        if sum(map(len, waves)) < budget.draws and not exhausted:
            exhausted = not _propose(problem, folder, waves, budget)
        elif unfinished:
            time.sleep(_POLL)
        else:
            break
    return stop.signal


def is_finished(wave: list[Trial]) -> bool:
    """Whether a wave has its result."""
    return all(trial.status != "open" for trial in wave)


def read_waves(folder: Path) -> list[list[Trial]]:
    """The trials of every wave that was proposed, with what came of them."""
    waves = []
    while (path := _folder(folder, len(waves)) / "plan.json").exists():
        planned = json.loads(path.read_text(encoding="utf-8"))["trials"]
        result = path.with_name("result.json")
        outcomes = json.loads(result.read_text(encoding="utf-8"))["trials"] if result.exists() else {}
        wave = len(waves)
        waves.append([_trial(entry, wave, outcomes.get(str(entry["number"]))) for entry in planned])
    return waves


def _trial(entry: dict[str, Any], wave: int, outcome: dict[str, Any] | None) -> Trial:
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in entry["values"].items()}
    trial = Trial(entry["number"], wave, entry["run"], values)
    if outcome is None:
        return trial
    if entry["reason"]:
        return trial._replace(status="refused", reason=entry["reason"])
    rungs = {int(step): value for step, value in outcome["rungs"].items()}
    kept = ("status", "step", "seconds", "cost", "reason")
    return trial._replace(rungs=rungs, **{name: outcome[name] for name in kept})


def _folder(folder: Path, number: int) -> Path:
    return folder / "waves" / f"{number:04d}"


# --- Proposing and telling ----------------------------------------------------------------------------


def _propose(problem: Problem, folder: Path, waves: list[list[Trial]], budget: Budget) -> bool:
    """Publishes the next wave, unless another process was faster; returns whether there are settings left."""
    trials, number = list(itertools.chain(*waves)), len(waves)
    size = min(budget.wave, budget.draws - len(trials))
    about = problem.accept, problem.structural, problem.joins
    found = proposals.propose(problem.space, trials, problem.objective, size, budget.seed, number, *about)
    if not found:
        return False
    if not trials and all(reason for _, reason in found):
        raise UserError(f"no config can be like the first settings: {found[0][1]}")
    entries = [
        {"number": i, "run": problem.name(i, values), "values": values, "reason": reason}
        for i, (values, reason) in enumerate(found, start=len(trials))
    ]
    known = [i for i, wave in enumerate(waves) if is_finished(wave)]
    path = _folder(folder, number)
    path.mkdir(parents=True, exist_ok=True)
    publish(path / "plan.json", json.dumps({"trials": entries, "known": known}, indent=1))
    return True


def _tell(problem: Problem, folder: Path, waves: list[list[Trial]], said: int) -> int:
    """Tells Optuna of the waves that are finished, as far as all before them are; how many these are."""
    finished = [*itertools.takewhile(is_finished, waves)]
    if len(finished) == said:
        return said
    trials = list(itertools.chain(*finished))
    proposals.tell(folder / "journal.log", problem.space, trials, problem.objective)
    if finished:
        print(describe(trials, problem.objective), flush=True)
    return len(finished)


def best(trials: list[Trial], objective: Objective) -> Trial | None:
    """The trial with the best objective, of those that trained to the end."""
    done = [trial for trial in trials if trial.status == "done"]
    sign = -1 if objective.highest else 1
    return min(done, key=lambda trial: sign * trial.value, default=None)


def describe(trials: list[Trial], objective: Objective) -> str:
    """One line about a search."""
    states = [trial.status for trial in trials]
    parts = [f"{states.count(name)} {name}" for name in ("done", "pruned", "diverged", "refused")]
    line = f"search: {len(trials)} settings in {len({t.wave for t in trials})} waves: {', '.join(parts)}"
    if winner := best(trials, objective):
        line += f"; best {objective.name} {winner.value:.5g}, of {winner.run}"
    return line


# --- Training -----------------------------------------------------------------------------------------


def _work(problem: Problem, folder: Path, waves, number: int, budget: Budget, stop: Stop) -> bool:
    """Trains a wave, if no other process is at it; returns whether it has a result now."""
    path = _folder(folder, number)
    if stop.signal:
        return False
    with claim(path) as claimed:
        if not claimed:
            return False
        if (path / "result.json").exists():
            return True
        plan = json.loads((path / "plan.json").read_text(encoding="utf-8"))
        refused = {entry["number"] for entry in plan["trials"] if entry["reason"]}
        trials = [trial for trial in waves[number] if trial.number not in refused]
        others = [trial for known in plan["known"] for trial in waves[known]]

        def keep(step: int, values: Float[np.ndarray, " n"]) -> Int[np.ndarray, " kept"]:
            if problem.objective.with_cost:  # nothing is pruned where both count
                return np.arange(len(values))
            at_rung = [trial.rungs[step] for trial in others if step in trial.rungs]
            return halving.keep(values, at_rung, budget.eta, problem.objective.highest)

        outcomes = problem.train(path, trials, keep, stop, claimed) if trials else []
        if outcomes is None:
            return False
        found = {trial.number: outcome for trial, outcome in zip(trials, outcomes, strict=True)}
        found |= dict.fromkeys(sorted(refused), {})
        publish(path / "result.json", json.dumps({"trials": found}, indent=1))
        return True
