"""The settings of a search as GANs: which can be, which are one program, and their training."""

import hashlib
import json
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxgan.config.essential import essential
from jaxgan.config.fields import flatten, names_of, plain
from jaxgan.devices.flops import steps_of_a_call
from jaxgan.errors import UserError
from jaxgan.evaluation.evaluator import make_evaluator
from jaxgan.evaluation.naming import number_of
from jaxgan.files import replace
from jaxgan.jobs.train import resident_data
from jaxgan.metrics.protocol import find_protocol
from jaxgan.run.workdir import Stop
from jaxgan.sweeps import agreement, halving, plan
from jaxgan.sweeps.claims import Claim
from jaxgan.sweeps.members import obstacle
from jaxgan.sweeps.plan import Leader, Run
from jaxgan.sweeps.population import Population, init_members, member_of
from jaxgan.sweeps.proposals import Objective, Trial
from jaxgan.sweeps.search import Budget
from jaxgan.sweeps.space import Space
from jaxgan.sweeps.waves import train_wave

_CALLS = 5  # that are timed


def find_objective(text: str, config: ConfigDict) -> Objective:
    """The objective that `--objective=NUMBER[,cost]` names, in the direction of the number's own arrow.

    Raises:
      UserError: the evaluations of this config do not give it, or neither direction of it is better.
    """
    name, comma, cost = (part.strip() for part in text.partition(","))
    if comma and cost != "cost":
        raise UserError(f"--objective={text}: beside the number there may be cost: --objective={name},cost")
    if not names_of(config.evaluation.statistics):
        raise UserError(
            "--combine=search, but nothing is evaluated: set "
            "--config.evaluation.statistics.names=frechet_distance"
        )
    if find_protocol(config.evaluation.protocol).split != "test":
        raise UserError(
            f"a search measures on the validation part, and evaluation.protocol={config.evaluation.protocol} "
            "on the training set: set --config.evaluation.protocol=10k"
        )
    dataset = plan.load_dataset(config)
    evaluator = make_evaluator(config, plan.build(config).gan, dataset)
    names = [*evaluator.floor]
    names = names if name in names else evaluator.names()  # some have no floor
    known = [f"{other} {number_of(other).arrow}" for other in names if _better(other)]
    if name not in names or not _better(name):
        what = "no direction of it is better" if name in names else "no evaluation of this config gives it"
        raise UserError(f"--objective={name}: {what}; there are: {', '.join(known)}"[:290])
    return Objective(name, _better(name) == "higher", bool(comma))


def _better(name: str) -> str:
    number = number_of(name)
    return number.better if number else ""


class GANs:
    """A `search.Problem`: settings of a config.

    Args:
      config: what the search does not set.
      space: what it sets.
      objective: what for.
      budget: see there.
      folder: of the search.
      how: the members of a wave lie (see `members.train_members`).
      overrides: see `plan.make_plan`.
      fixed: field → value, of all settings.

    Raises:
      UserError: waves of this config cannot train together, or not in this memory.
    """

    def __init__(
        self,
        config: ConfigDict,
        space: Space,
        objective: Objective,
        budget: Budget,
        folder: Path,
        how: str,
        overrides: Collection[str] = (),
        fixed: dict[str, Any] | None = None,
    ):
        self.space, self.objective = space, objective
        self._config, self._budget, self._folder, self._how = config, budget, folder, how
        self._overrides, self._fixed = overrides, fixed or {}
        self._leader: Leader | None = None
        reason = obstacle(config, plan.load_dataset(config))
        if reason or how == "off":
            raise UserError(f"--combine=search trains waves as one program: {reason or '--population=off'}")
        most = agreement.most_members(config)
        if most < budget.wave:
            raise UserError(f"--wave={budget.wave}, but memory holds {most} members: --wave={most}")

    def make(self, values: dict[str, Any], name: str = "") -> Run:
        """The run of a setting; UserError if it cannot be."""
        setting = ", ".join(plan.in_words(values))
        fixed = {**self._fixed, **values}
        run = plan.make_run(self._config, setting, fixed, self._config.seed, self._overrides)
        _, call = self._rungs(run.config.num_steps, run.config.steps_per_call)
        run.config.steps_per_call = call  # no influence on the result
        return run._replace(name=name or run.name, values=values)

    def _rungs(self, num_steps: int, longest: int) -> tuple[list[int], int]:
        wave = 1 if self.objective.with_cost else self._budget.wave
        return halving.make_rungs(num_steps, wave, self._budget.eta, longest)

    def rungs_of(self, config: ConfigDict) -> tuple[list[int], int]:
        """The steps at which members of this config are compared, and the length of a call."""
        return self._rungs(config.num_steps, config.steps_per_call)

    def accept(self, values: dict[str, Any]) -> str:
        try:
            plan.build(self.make(values).config)
        except UserError as error:
            return str(error)
        return ""

    def structural(self, values: dict[str, Any]) -> set[str]:
        run = self.make(values)
        self._leader = Leader(run.config, plan.build(run.config))
        return self._structural(self._leader, values)

    def _structural(self, leader: Leader, values: dict[str, Any]) -> set[str]:
        return {
            field
            for field, value in values.items()
            if not all(leader.is_number(field, other) for other in self.space.others(field, value))
        }

    def joins(self, values: dict[str, Any]) -> bool:
        config = self.make(values).config
        return self._leader.leads(config, plan.build(config))

    def name(self, number: int, values: dict[str, Any]) -> str:
        return f"{number:04d}"

    def train(self, folder: Path, trials: list[Trial], keep, stop: Stop, claimed: Claim):
        runs = [self.make(trial.values, trial.run) for trial in trials]
        rungs, _ = self._rungs(runs[0].config.num_steps, runs[0].config.steps_per_call)
        seconds = self._seconds_per_step(runs[0])
        workdirs = [self._folder / "runs" / run.name for run in runs]

        def note(status: dict[str, Any]) -> None:
            replace(folder / "status.json", json.dumps(status))

        about = self._how, rungs, self.objective.name, keep, stop, claimed, note
        try:
            outcomes = train_wave(folder, workdirs, runs, *about)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise UserError(
                f"a wave of {len(runs)} needs more memory than there is: --population=map needs least, or "
                "begin another search with a smaller --wave"
            ) from error
        if outcomes is None:
            return None
        return [{**outcome, "cost": seconds * outcome["step"]} for outcome in outcomes]

    def _seconds_per_step(self, run: Run) -> float:
        """Of a member alone, on an otherwise idle machine at best; measured once for each structure."""
        leader = Leader(run.config, plan.build(run.config))
        structure = {field: run.values[field] for field in self._structural(leader, run.values)}
        text = json.dumps(plain(structure), sort_keys=True)
        path = self._folder / "steps" / f"{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            replace(path, json.dumps({"structure": structure, "seconds": measure_step(run.config)}))
        return json.loads(path.read_text(encoding="utf-8"))["seconds"]

    def describe(self) -> dict[str, Any]:
        """What `search.json` says, to which every start keeps."""
        return {
            "spans": [field for field, axis in self.space.axes.items() if axis.span],
            "fields": {
                field: [*axis.span[:3], axis.span.kind.__name__] if axis.span else plain(axis.values)
                for field, axis in self.space.axes.items()
            },
            "fixed": plain(self._fixed),
            "objective": self.objective._asdict(),
            "wave": self._budget.wave,
            "eta": self._budget.eta,
            "seed": self._budget.seed,
            "data": agreement.describe_data(self._config),
            "config": flatten(plain(essential(self._config))),
        }


def measure_step(config: ConfigDict) -> float:
    """The seconds of a step of a run alone on the first device: the least of some calls, once compiled."""
    built = plan.build(config)
    states = init_members(built.gan, np.zeros((1, 2), np.uint32), [built.hyper], [built.optimizers])
    population = Population(built.gan, config.batch_size, 1, 1, jax.devices()[:1])
    data = population.place_data(resident_data(config, plan.load_dataset(config)))
    first = jax.eval_shape(lambda states: member_of(states, 0), states)
    periods = [config.steps_per_call]
    num = steps_of_a_call(built.gan, first, config.batch_size, 1, config.steps_per_call, periods)
    placed = population.place(jax.device_get(states), np.ones(1, bool))
    times = []
    for _ in range(_CALLS + 1):
        begun = time.monotonic()
        jax.block_until_ready(population.train_steps(*placed, data, num))
        times.append(time.monotonic() - begun)
    return min(times[1:]) / num
