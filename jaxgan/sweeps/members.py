"""Training the members of one population: K ordinary workdirs, one program.

A population has checkpoints of its own. At the end every member gets a checkpoint in its workdir, with which
it can be continued like any run.
"""

import contextlib
import functools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization
from ml_collections import ConfigDict

from jaxgan import sampler
from jaxgan.algorithm.train_state import GanState
from jaxgan.compilation import ONCE
from jaxgan.config import experiment
from jaxgan.datasets import Dataset, title
from jaxgan.devices.flops import steps_of_a_call
from jaxgan.drawing.grids import CLASS_COLUMNS, draw_samples, save
from jaxgan.errors import UserError
from jaxgan.evaluation.evaluator import Best, Evaluator, make_evaluator
from jaxgan.jobs.train import resident_data
from jaxgan.run import record
from jaxgan.run.checkpoint import Checkpoints
from jaxgan.run.workdir import Stop, claim
from jaxgan.run.writers import cut_lines
from jaxgan.sweeps import plan
from jaxgan.sweeps.claims import Claim
from jaxgan.sweeps.devices import devices_that_fit, members_of_a_device, num_bytes
from jaxgan.sweeps.layout import choose_population, shared
from jaxgan.sweeps.plan import Run
from jaxgan.sweeps.population import Population, init_members, member_of


def train_members(
    folder: Path,
    workdirs: Sequence[Path],
    runs: Sequence[Run],
    how: str,
    stop: Stop,
    claimed: Claim,
    note: Callable[[dict[str, Any]], None],
) -> list[dict[str, Any]] | None:
    """Trains runs of one program together, from where their checkpoint is.

    Args:
      folder: of the population.
      workdirs: of its members.
      runs: the members.
      how: 'vmap', 'map', 'measure' which of them is faster, or 'auto', by a rule.
      stop: a signal ends the training with a checkpoint.
      claimed: if the claim is lost, training ends without a checkpoint.
      note: called with the progress: step, members, alive, seconds_per_step.

    Returns:
      the outcome of every member: `status` 'done' or 'diverged', `step`, `seconds`, `reason`; None if
      stopped.
    """
    with contextlib.ExitStack() as stack:
        for path in workdirs:
            stack.enter_context(claim(path))
        saved = stack.enter_context(Checkpoints(folder / "checkpoints", keep=2))
        members = Members(folder, workdirs, runs, how, saved)
        return members.train(stop, claimed, note)


class Members:
    """The training loop of a population."""

    def __init__(self, folder: Path, workdirs, runs, how: str, saved: Checkpoints):
        self._folder, self._how, self._workdirs, self._saved = folder, how, workdirs, saved
        self._config = config = runs[0].config
        self._dataset = plan.load_dataset(config)
        built = {run.setting: run for run in runs}
        built = {setting: plan.build(run.config) for setting, run in built.items()}
        self._gan = shared(built[runs[0].setting].gan)
        for path, run in zip(workdirs, runs, strict=True):
            if before := record.read_record(path):
                record.require_same_dataset(self._dataset, before, path)
                record.require_same_features(self._gan, before, path)
            record.write_record(path, run.config, self._dataset, self._gan)
        self._devices = jax.devices()[: config.num_devices or None]

        keys = np.array([[0, run.config.seed] for run in runs], np.uint32)
        hypers = [built[run.setting].hyper for run in runs]
        optimizers = [built[run.setting].optimizers for run in runs]
        fresh = functools.partial(init_members, self._gan, keys, hypers, optimizers)
        like = jax.eval_shape(fresh)
        size = num_bytes(like) // len(runs)
        self._devices = devices_that_fit(self._devices, size, self._dataset.nbytes)
        self._outcomes = [{"status": "done", "step": None, "reason": ""} for _ in runs]
        self._window: dict[str, np.ndarray] = {}
        self._step, self._seconds = 0, 0.0
        if checkpoint := saved.restore():
            states = serialization.from_state_dict(like, checkpoint.tree["states"])
            self._step, self._window = checkpoint.step, dict(checkpoint.tree.get("window") or {})
            self._outcomes, self._seconds = checkpoint.extra["outcomes"], checkpoint.extra["seconds"]
        else:
            states = jax.device_get(jax.jit(fresh, compiler_options=ONCE)())
        self._alive = np.array([outcome["status"] == "done" for outcome in self._outcomes])
        self._arrange(states)
        self._evaluator = self._make_evaluator() if self._evaluates() else None
        for path in workdirs:
            cut_lines(path / "metrics.jsonl", self._step)
            (path / "metrics.jsonl").touch()

    def _arrange(self, states: GanState) -> None:
        """Places states and data on the devices, and chooses the layout."""
        config, gan, num = self._config, self._gan, len(states.key)
        one = Population(gan, config.batch_size, num, 1, self._devices)
        self._data = one.place_data(resident_data(config, self._dataset))
        local = members_of_a_device(num, self._devices)
        most, periods = config.steps_per_call, _periods(config)
        first = jax.eval_shape(lambda states: member_of(states, 0), states)
        self._call_steps = steps_of_a_call(gan, first, config.batch_size, 1 / local, most, periods)
        length = min(self._call_steps, config.num_steps)
        about = self._how, gan, config, states, self._data, self._devices, length
        self._population = choose_population(self._folder, *about)
        self._states, self._on_device = self._population.place(states, self._alive)

    def _evaluates(self) -> bool:
        return bool(self._config.eval_every)

    def _make_evaluator(self) -> Evaluator:
        return make_evaluator(self._config, self._gan, self._dataset)

    def _marks(self) -> list[int]:
        """Further steps at which calls end, because something is due."""
        return []

    def _reach(self) -> None:
        """Does what is due at such a step."""

    def train(self, stop, claimed, note):
        config, start = self._config, time.monotonic()
        spent = self._seconds
        while self._step < config.num_steps and self._alive.any() and not stop.signal:
            end = self._end_of_call()
            self._population.compile(self._states, self._data, end - self._step)
            begun = time.monotonic()
            self._call(end)
            rate = (time.monotonic() - begun) / (end - self._step)
            self._step = end
            if not claimed.check():
                return None
            self._write_lines(rate)
            if self._evaluator and _due(config.eval_every, end, config) and end not in self._marks():
                self._evaluate()
            self._seconds = spent + time.monotonic() - start
            if end in self._marks():
                self._reach()
            if _due(config.checkpoint_every, end, config) and end < config.num_steps:
                self._save()
            note(
                {
                    "step": end,
                    "members": len(self._alive),
                    "alive": int(self._alive.sum()),
                    "seconds_per_step": rate,
                }
            )
        if not claimed.check():
            return None
        if self._step < config.num_steps and self._alive.any():  # stopped
            self._save()
            return None
        return self._publish()

    def _end_of_call(self) -> int:
        """The end of the next call: the next multiple of a period."""
        periods = self._call_steps, *_periods(self._config)
        ends = [(self._step // period + 1) * period for period in periods]
        ends += [mark for mark in self._marks() if mark > self._step]
        return min(self._config.num_steps, *ends)

    def _call(self, end: int) -> None:
        """Makes a call, and freezes members that diverged in it."""
        self._states, self._on_device, metrics = self._population.train_steps(
            self._states, self._on_device, self._data, end - self._step
        )
        metrics = {name: np.asarray(values, np.float64) for name, values in metrics.items()}
        alive = np.array(self._on_device)[: len(self._alive)]
        for i in np.flatnonzero(self._alive & ~alive):
            bad = {name: np.flatnonzero(~np.isfinite(values[i])) for name, values in metrics.items()}
            first = min(((rows[0], name) for name, rows in bad.items() if len(rows)), default=None)
            at, what = (first[0] + 1, first[1]) if first else (end - self._step, "the state")
            self._lose(i, f"{what} was not finite at step {self._step + at}", self._step)
        self._alive = alive
        # checkpoints hold finite states; nothing more is written about frozen members
        metrics = {name: np.where(alive[:, None], values, 0.0) for name, values in metrics.items()}
        window = self._window or {name: values[:, :0] for name, values in metrics.items()}
        self._window = {name: np.concatenate([window[name], metrics[name]], axis=1) for name in metrics}

    def _lose(self, i: int, reason: str, step: int) -> None:
        self._outcomes[i] = {"status": "diverged", "step": step, "reason": reason}
        print(f"{self._workdirs[i].name} diverged: {reason}; it rests at step {step}", flush=True)

    def _write_lines(self, rate: float) -> None:
        """The means over the window, as in a single run."""
        config, step = self._config, self._step
        on_beat = step % config.log_every == 0
        if not on_beat and step != config.num_steps:
            return
        speed = {"dataset": self._dataset.name, "images_per_second": round(config.batch_size / rate, 1)}
        for i in np.flatnonzero(self._alive):
            means = {name: float(np.mean(values[i])) for name, values in self._window.items()}
            self._line(i, {**means, **speed})
        if on_beat:
            self._window = {}

    def _line(self, i: int, values: dict[str, Any]) -> None:
        with (self._workdirs[i] / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": self._step, **values}) + "\n")

    def _evaluate(self) -> dict[int, dict[str, float]]:
        """Computes and writes the evaluation of every member that is alive."""
        found = {}
        for i in np.flatnonzero(self._alive):
            try:
                numbers = self._evaluator(self._member(i).ema)
            except UserError as error:  # fakes that are not finite
                self._alive[i] = False
                self._lose(i, str(error), self._step)
                continue
            self._line(i, {**numbers, "dataset": self._dataset.name})
            found[int(i)] = numbers
        if (np.asarray(self._on_device)[: len(self._alive)] != self._alive).any():
            self._states, self._on_device = self._population.place(self._host(), self._alive)
        return found

    def _member(self, i: int) -> GanState:
        """The state of one member, on one device, so that computations with it use this device alone."""
        return jax.device_put(member_of(self._states, i), jax.devices()[0])

    def _host(self) -> GanState:
        """The states of the members, without the padding."""
        states, num = jax.device_get(self._states), len(self._alive)
        return jax.tree.map(lambda leaf: leaf[:num], states.replace(step=None)).replace(step=states.step)

    def _save(self) -> None:
        if self._step not in self._saved.steps():
            tree = {"states": self._host(), "window": self._window}
            self._saved.save(self._step, tree, self._extra())

    def _extra(self) -> dict[str, Any]:
        """Further JSON values of a checkpoint, besides the states."""
        return {"outcomes": self._outcomes, "seconds": self._seconds}

    def _publish(self) -> list[dict[str, Any]]:
        """A checkpoint and a picture in every member's workdir; their outcomes."""
        for i in range(len(self._workdirs)):
            self._publish_member(i, self._seconds / len(self._workdirs))
        return self._outcomes

    def _publish_member(self, i: int, seconds: float, picture: bool = True) -> None:
        """A checkpoint and a picture in a member's workdir."""
        path, outcome = self._workdirs[i], self._outcomes[i]
        frozen = outcome["status"] != "done"
        step = outcome["step"] if frozen else self._step
        state = self._member(i).replace(step=jnp.int32(step))
        window = {} if frozen else self._window
        rows = zip(*(values[i].tolist() for values in window.values()), strict=True)
        window = [dict(zip(window, row, strict=True)) for row in rows]
        with Checkpoints(path / "checkpoints", self._config.checkpoints_kept) as saved:
            if step not in saved.steps():
                extra = {"window": window, "best": Best()._asdict(), "seconds": seconds}
                saved.save(step, state, extra)
        if picture:
            columns = CLASS_COLUMNS if self._gan.rows or self._gan.task else 0
            kept = sampler.keep(path, self._gan, functools.partial(experiment.load_dataset, self._config))
            shown = sampler.fixed_inputs(self._gan, kept=kept)
            samples = np.asarray(sampler.show(self._gan, state.ema, shown, kept))
            name = title(self._dataset.name, self._dataset.fallback_for)
            caption, mixture = f"{name}, step {step}", self._dataset.mixture
            drawn = draw_samples(samples, caption, columns, mixture=mixture)
            weights = "ema" if self._config.ema_decay else "raw"
            about = {"Run": path.absolute().name, "Step": step, "Data": name, "Weights": weights}
            save(drawn, path / "samples" / f"step_{step:08d}.png", about)
        outcome |= {"step": step, "seconds": seconds}


def _periods(config: ConfigDict) -> list[int]:
    """Periods at whose multiples calls end."""
    periods = config.steps_per_call, config.log_every, config.checkpoint_every, config.eval_every
    return [period for period in periods if period]


def _due(every: int, step: int, config: ConfigDict) -> bool:
    return step == config.num_steps or bool(every and step % every == 0)


def obstacle(config: ConfigDict, dataset: Dataset) -> str:
    """Why runs of this config cannot train together; empty if they can."""
    reasons = {
        "the data set is streamed from disk": dataset.nbytes > config.dataset.max_device_bytes,
        "parallel is pmap": config.parallel == "pmap",
        "init_from is set": bool(config.init_from),
        "evaluation.best keeps checkpoints of its own": bool(config.evaluation.best),
        "profile_at is set": bool(config.profile_at),
        "max_minutes is of a run alone": bool(config.get("max_minutes", 0.0)),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")
