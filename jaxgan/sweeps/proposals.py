"""Optuna: the next proposals of a search, and the journal of its results.

A proposal is a pure function of what is known and of the wave's number, so that a search that was killed
proposes what it would have proposed.
"""

import contextlib
import datetime
import fcntl
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jaxgan.errors import UserError
from jaxgan.sweeps.space import Space

_TRIES = 30  # draws in a row that are all known already, after which a space is taken as exhausted
_STATES = {"done": "COMPLETE", "pruned": "PRUNED", "diverged": "FAIL", "refused": "FAIL", "open": "RUNNING"}


class Trial(NamedTuple):
    """A setting of a search, and what came of it.

    Attributes:
      number: from 0, in the order of proposals.
      wave: that it belongs to.
      run: its folder's name in `runs`.
      values: field → value.
      status: 'open', 'done', 'pruned', 'diverged', or 'refused': no config can be like that.
      rungs: step → the objective there.
      step: steps trained.
      seconds: that it took, of all that its wave took.
      cost: steps times the seconds of a step alone.
      reason: of 'diverged' and 'refused'.
    """

    number: int
    wave: int
    run: str
    values: dict[str, Any]
    status: str = "open"
    rungs: dict[int, float] = {}
    step: int = 0
    seconds: float = 0.0
    cost: float = 0.0
    reason: str = ""

    @property
    def value(self) -> float | None:
        """The objective at the last rung that it reached."""
        return self.rungs[max(self.rungs)] if self.rungs else None


class Objective(NamedTuple):
    """What a search is for: a number of the evaluation, and whether its cost counts, too."""

    name: str
    highest: bool
    with_cost: bool = False

    @property
    def directions(self) -> list[str]:
        """As Optuna names them."""
        return ["maximize" if self.highest else "minimize", *(["minimize"] if self.with_cost else [])]


def import_optuna() -> Any:
    """The module, quiet; UserError without it."""
    try:
        import optuna
    except ImportError as error:
        raise UserError("--combine=search needs Optuna: pip install 'jaxgan[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@contextlib.contextmanager
def experiments_allowed() -> Iterator[None]:
    """Without Optuna's warnings that a part of it may change."""
    optuna = import_optuna()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def propose(
    space: Space,
    known: list[Trial],
    objective: Objective,
    size: int,
    seed: int,
    wave: int,
    accept: Callable[[dict[str, Any]], str],
    structural: Callable[[dict[str, Any]], set[str]],
    joins: Callable[[dict[str, Any]], bool] = lambda values: True,
) -> list[tuple[dict[str, Any], str]]:
    """The settings of the next wave: the first is proposed freely, the others share its structural fields.

    Args:
      space: to draw from.
      known: the trials so far; those that are open count as bad ones (Optuna's constant liar).
      objective: of the search.
      size: settings, at most; there are fewer where no others are left.
      seed: of the search.
      wave: its number.
      accept: `values -> reason`, why no config can have these; '' where one can.
      structural: `values -> fields` whose values decide which program is compiled.
      joins: whether a setting is of the first one's program.

    Returns:
      values, and the reason why they are refused, of each.
    """
    optuna = import_optuna()
    with experiments_allowed():
        sampler = optuna.samplers.TPESampler(seed=(seed * 1_000_003 + wave) % 2**32)
        study = optuna.create_study(directions=objective.directions, sampler=sampler)
        for trial in known:
            study.add_trial(_frozen(optuna, space, trial, objective))
        seen = {repr(trial.values) for trial in known}
        found: list[tuple[dict[str, Any], str]] = []
        led, misses = False, 0
        while len(found) < size and misses < _TRIES:
            trial = study.ask(space.distributions())
            values = space.values(trial.params)
            if repr(values) in seen:
                misses += 1
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                continue
            reason = accept(values)
            if not reason and led and not joins(values):
                misses += 1
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                continue
            seen.add(repr(values))
            found.append((values, reason))
            misses = 0
            if reason:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            elif not led:
                led = True
                fixed = {field: trial.params[field] for field in sorted(structural(values))}
                study.sampler = optuna.samplers.PartialFixedSampler(fixed, sampler)
                if fixed.keys() == space.axes.keys():
                    break
    return found


def tell(path: Path, space: Space, trials: list[Trial], objective: Objective) -> None:
    """Appends to the journal, in their order, the trials that it does not have yet.

    Several processes may call this; the system lets go of a killed one's lock.

    Raises:
      UserError: the journal cannot be read.
    """
    optuna = import_optuna()
    with path.with_name(f".{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        study = open_study(path, objective)
        for trial in trials[len(study.get_trials(deepcopy=False)) :]:
            study.add_trial(_frozen(optuna, space, trial, objective))


def open_study(path: Path, objective: Objective) -> Any:
    """The study of a journal, which is made where it is not there."""
    optuna = import_optuna()
    journal = optuna.storages.journal
    try:
        storage = journal.JournalStorage(journal.JournalFileBackend(str(path), lock_obj=_NoLock()))
        if any(study.study_name == "search" for study in storage.get_all_studies()):
            return optuna.load_study(study_name="search", storage=storage)
        return optuna.create_study(study_name="search", storage=storage, directions=objective.directions)
    except ValueError as error:
        raise UserError(
            f"{path} is damaged ({error}): remove it, and the same command writes it again from waves/"
        ) from error


def view(space: Space, trials: list[Trial], objective: Objective, value: Callable[[Trial], float]) -> Any:
    """A study in memory, of one objective, in which every trial has that value: for importance and plots."""
    optuna = import_optuna()
    study = optuna.create_study(direction=objective.directions[0])
    for trial in trials:
        made = _frozen(optuna, space, trial._replace(status="open"), objective)
        made.state, made.values = optuna.trial.TrialState.COMPLETE, [value(trial)]
        made.datetime_complete = made.datetime_start
        study.add_trial(made)
    return study


def _frozen(optuna, space: Space, trial: Trial, objective: Objective):
    state = optuna.trial.TrialState[_STATES[trial.status]]
    values = None
    if trial.status == "done":
        values = [trial.value, trial.cost] if objective.with_cost else [trial.value]
    rungs = {} if objective.with_cost or state == optuna.trial.TrialState.FAIL else trial.rungs
    made = optuna.trial.create_trial(
        state=state,
        values=values,
        params=space.params(trial.values),
        distributions=space.distributions(),
        intermediate_values={int(step): x for step, x in rungs.items()},
        user_attrs={
            "run": trial.run,
            "wave": trial.wave,
            "step": trial.step,
            "cost": trial.cost,
            "reason": trial.reason,
        },
    )
    made.datetime_start = made.datetime_start or datetime.datetime.now()
    return made


class _NoLock:
    """For the journal: `tell` holds one that a killed process lets go of, unlike Optuna's."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None: ...
