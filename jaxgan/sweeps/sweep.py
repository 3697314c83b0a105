"""Many runs and one report: `python launch.py --mode=sweep --config=... --sweep='FIELD=VALUES' ...`.

A sweep's folder holds `sweep.json` (its plan), `runs/<name>` (an ordinary workdir for each run), `parts/`
(claims, and checkpoints of populations), and the results. Any number of processes may be
started on it.
"""

import json
import time
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from jaxgan.errors import Diverged, UserError
from jaxgan.files import replace
from jaxgan.jobs import train
from jaxgan.run.checkpoint import Checkpoints
from jaxgan.run.workdir import Stop, require_local
from jaxgan.sweeps import agreement, devices, plan, progress, report
from jaxgan.sweeps.agreement import Options
from jaxgan.sweeps.claims import claim, publish
from jaxgan.sweeps.members import obstacle, train_members
from jaxgan.sweeps.plan import Plan

_POLL = 3.0  # seconds between two checks of other processes
_SAY_EVERY = 10.0  # seconds between two lines of progress


def sweep(made: Plan, workdir: Path, options: Options) -> int:
    """Trains all runs of a plan, or continues them, and writes the report; returns the exit status.

    Raises:
      UserError: the folder holds another sweep.
    """
    require_local(workdir)
    parts = agreement.divide(made, options)
    known = agreement.read(workdir)
    if known:
        agreement.require_same(made, known, options, workdir)
        parts = known["parts"]
    agreement.print_plan(made, parts)
    report.find_baseline([run.setting for run in made.runs], options.baseline)  # refuse now, not at the end
    if options.dry_run:
        return 0
    (workdir / "parts").mkdir(parents=True, exist_ok=True)
    if not known:
        publish(workdir / "sweep.json", json.dumps(agreement.record(made, parts, options), indent=1))
        known = agreement.read(workdir)
    agreement.require_same(made, known, options, workdir)
    job = _Job(made, known["parts"], workdir, options)
    with Stop() as stop:
        signal = job.run(stop)
        if signal:
            print(f"stopped; the same command goes on: {workdir}")
            return 128 + signal
    written = report.write(workdir, options.baseline, options.spread)
    print(f"wrote in {workdir}: {', '.join(path.name for path in written)}")
    if job.unfinished():
        raise UserError(job.failure())
    return 0


# --- Training -----------------------------------------------------------------------------------------


def _on_one_device(config: ConfigDict) -> ConfigDict:
    """A single run uses the whole CPU as one device, also if cores are devices for populations."""
    if devices.uses_cores() and not config.num_devices:
        config = config.copy_and_resolve_references()
        config.num_devices = 1
    return config


def _train_alone(folder: Path, config: ConfigDict, workdir: Path) -> tuple[dict[str, Any], int]:
    """The outcome of one run with the seconds of all its starts, and the signal that stopped it."""
    path = folder / "status.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    spent = before.get("seconds", 0.0)  # a population keeps its own in its checkpoints
    status = {"step": 0, **before, "members": 1, "alive": 1, "seconds_per_step": 0.0}  # not known yet
    replace(path, json.dumps(status))
    outcome, begun = {"status": "done", "step": config.num_steps, "reason": ""}, time.monotonic()
    try:
        code = train.train(_on_one_device(config), workdir)
    except Diverged as error:
        outcome, code = {"status": "diverged", "step": None, "reason": str(error)}, 0
    seconds = spent + time.monotonic() - begun
    if code:
        replace(path, json.dumps({**status, "seconds": seconds}))
        return outcome, code - 128
    if outcome["status"] == "done" and config.get("max_minutes", 0.0):  # it may have ended earlier
        with Checkpoints(workdir / "checkpoints", read_only=True) as saved:
            outcome["step"] = max(saved.steps())
    rate = seconds / config.num_steps
    replace(path, json.dumps({**status, "step": config.num_steps, "seconds_per_step": rate}))
    return {**outcome, "seconds": seconds}, 0


class _Job:
    """This process's share of the work."""

    def __init__(self, made: Plan, parts: list[list[int]], workdir: Path, options: Options):
        self._runs, self._parts, self._workdir, self._options = made.runs, parts, workdir, options
        self._folders = [workdir / "parts" / f"{number:04d}" for number in range(len(parts))]
        self._said = 0.0
        self._failed: dict[int, str] = {}

    def unfinished(self) -> list[int]:
        """The parts without a result, also of other processes."""
        return [i for i, folder in enumerate(self._folders) if not (folder / "result.json").exists()]

    def failure(self) -> str:
        """The parts without a result, and why the first of them has none."""
        parts = self.unfinished()
        reason = self._failed.get(parts[0], "another process had it")[:150]
        return (
            f"{len(parts)} of {len(self._parts)} parts of {self._workdir} failed, part {parts[0]} as "
            f"{reason}: set this right, and run the same command again"
        )

    def run(self, stop: Stop) -> int:
        """Works until every part has a result of any process; returns the signal that stopped it."""
        while not stop.signal:
            open_parts = [i for i in self.unfinished() if i not in self._failed]
            if not open_parts:
                break
            worked = False
            for i in open_parts:
                if stop.signal:
                    break
                with claim(self._folders[i]) as claimed:
                    if claimed and not (self._folders[i] / "result.json").exists():
                        worked = True
                        signal = self._work(i, stop, claimed)
                        if signal:
                            return signal
            if not worked and not stop.signal:  # others work on all remaining parts, which may still fail
                self._say()
                time.sleep(_POLL)
        self._say(at_once=True)
        return stop.signal

    def _work(self, i: int, stop: Stop, claimed) -> int:
        folder, runs = self._folders[i], [self._runs[k] for k in self._parts[i]]
        workdirs = [self._workdir / "runs" / run.name for run in runs]
        note = self._note(folder)
        (folder / "failed.json").unlink(missing_ok=True)  # from an earlier start
        try:
            config, how = runs[0].config, self._options.population
            if how == "off" or obstacle(config, plan.load_dataset(config)):  # a part of one run
                outcome, signal = _train_alone(folder, config, workdirs[0])
                if signal:
                    return signal
                outcomes = [outcome]
            else:
                outcomes = train_members(folder, workdirs, runs, how, stop, claimed, note)
        except (UserError, jax.errors.JaxRuntimeError) as error:
            if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            reason = " ".join(str(error).split())[:500]
            print(f"part {i} failed: {reason}", flush=True)
            replace(folder / "failed.json", json.dumps({"reason": reason}))
            self._failed[i] = reason
            return 0
        if outcomes is None:
            return stop.signal
        publish(folder / "result.json", json.dumps({"runs": outcomes}, indent=1))
        self._say(at_once=True)
        return 0

    def _note(self, folder: Path):
        def note(status: dict[str, Any]) -> None:
            now = time.monotonic()
            if now - self._said > _SAY_EVERY or not (folder / "status.json").exists():
                replace(folder / "status.json", json.dumps(status))
                self._say()

        return note

    def _say(self, at_once: bool = False) -> None:
        """One line: runs done, running, failed, and the time left, over all processes."""
        if not at_once and time.monotonic() - self._said < _SAY_EVERY:
            return
        self._said = time.monotonic()
        steps = [[self._runs[k].config.num_steps for k in part] for part in self._parts]
        print(progress.describe(self._folders, steps), flush=True)
