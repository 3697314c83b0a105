"""Many runs and one report: `python launch.py --mode=sweep --config=... --sweep='FIELD=VALUES' ...`.

A sweep's folder holds `sweep.json` (its plan), `runs/<name>` (an ordinary workdir for each run), `parts/`
(who works on what, checkpoints of populations), and the results. Any number of processes may be
started on it.
"""

import json
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from jaxgan import train
from jaxgan.errors import Diverged, UserError
from jaxgan.fields import essential, flatten, plain
from jaxgan.sweeps import devices, plan, population, progress, report
from jaxgan.sweeps.claims import claim, publish, replace
from jaxgan.sweeps.members import obstacle, train_members
from jaxgan.sweeps.plan import Plan
from jaxgan.workdir import Stop

_POLL = 3.0  # seconds between two looks at what other processes do
_SAY_EVERY = 10.0  # seconds between two lines of progress
_MOST_MEMBERS = 256  # of a population: each holds a file open, of which many systems allow 1,024


class Options(NamedTuple):
    """How a sweep is run.

    Attributes:
      population: 'auto', 'vmap', 'map' or 'measure' (see `members.train_members`), or 'off': each run alone.
      size: most members of a population; 0: as many as fit into memory; never more than 256.
      baseline: the setting that others are tested against; empty: the first.
      dry_run: print the plan, and stop there.
      command: for the report.
    """

    population: str = "auto"
    size: int = 0
    baseline: str = ""
    dry_run: bool = False
    command: str = ""


def sweep(made: Plan, workdir: Path, options: Options) -> int:
    """Trains all runs of a plan, or goes on with them, and writes the report; returns the exit status.

    Raises:
      UserError: the folder holds another sweep.
    """
    parts = _divide(made, options)
    known = _read(workdir)
    if known:
        _require_same(made, known, options, workdir)
        parts = known["parts"]
    _print_plan(made, parts)
    report.find_baseline([run.setting for run in made.runs], options.baseline)  # refused now, not at the end
    if options.dry_run:
        return 0
    (workdir / "parts").mkdir(parents=True, exist_ok=True)
    if not known:
        publish(workdir / "sweep.json", json.dumps(_record(made, parts, options), indent=1))
        known = _read(workdir)
    _require_same(made, known, options, workdir)
    job = _Job(made, known["parts"], workdir, options)
    with Stop() as stop:
        signal = job.run(stop)
        if signal:
            print(f"stopped; the same command goes on: {workdir}")
            return 128 + signal
    written = report.write(workdir, options.baseline)
    print("wrote " + ", ".join(map(str, written)))
    return 2 if job.unfinished() else 0


# --- The plan -----------------------------------------------------------------------------------------


def _divide(made: Plan, options: Options) -> list[list[int]]:
    """The programs' runs in parts, each of which is trained at once."""
    parts = []
    for program in made.programs:
        config = made.runs[program[0]].config
        dataset = plan.load_dataset(config)
        if options.population == "off" or obstacle(config, dataset):
            most = 1
        else:
            most = min(_most_members(config), _MOST_MEMBERS)
            most = min(most, options.size or most)
        num = math.ceil(len(program) / most)
        size = math.ceil(len(program) / num)  # of about the same size
        parts += [program[i : i + size] for i in range(0, len(program), size)]
    return parts


def _most_members(config: ConfigDict) -> int:
    built = plan.build(config)
    key = jax.ShapeDtypeStruct((2,), "uint32")
    state = jax.eval_shape(
        lambda key: population.init_member(built.gan, key, built.hyper, built.optimizers), key
    )
    data_bytes = plan.load_dataset(config).nbytes
    chosen = jax.devices()[: config.num_devices or None]
    chosen = devices.devices_that_fit(chosen, devices.num_bytes(state), data_bytes)
    return devices.most_members(state, data_bytes, devices.memory_of_each(chosen), len(chosen))


def _print_plan(made: Plan, parts: list[list[int]]) -> None:
    settings = len({run.setting for run in made.runs})
    print(
        f"{len(made.runs)} runs ({settings} settings), {len(made.programs)} programs, {len(parts)} parts; "
        "how long it takes is known after the first calls of the first program"
    )
    for number, part in enumerate(parts):
        labels = list(dict.fromkeys(made.runs[i].setting for i in part))
        shown = "; ".join(labels[:4]) + (f"; and {len(labels) - 4} more" if len(labels) > 4 else "")
        print(f"  part {number}: {len(part)} runs of {made.runs[part[0]].config.num_steps} steps: {shown}")


def _record(made: Plan, parts: list[list[int]], options: Options) -> dict[str, Any]:
    import flax
    import numpy
    import optax

    import jaxgan

    libraries = (jaxgan, jax, flax, optax, numpy)
    return {
        "command": options.command,
        "versions": {library.__name__: library.__version__ for library in libraries},
        "runs": _describe(made),
        "parts": parts,
        "alone": options.population == "off",
    }


def _describe(made: Plan) -> list[dict[str, Any]]:
    return [
        {
            "name": run.name,
            "setting": run.setting,
            "seed": run.config.seed,
            "values": run.values,
            "config": plain(essential(run.config)),
            "data": _describe_data(run.config),
        }
        for run in made.runs
    ]


def _describe_data(config: ConfigDict) -> str:
    """The data set really used, which another process may not find."""
    dataset = plan.load_dataset(config)
    return f"{dataset.name} (hash {dataset.fingerprint})"


def _read(workdir: Path) -> dict[str, Any] | None:
    path = workdir / "sweep.json"
    if not path.exists():
        if (workdir / "config.json").exists():
            raise UserError(f"{workdir} holds a single run: choose another --workdir for the sweep")
        return None
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): restore it, or choose another --workdir") from error


def _require_same(made: Plan, known: dict[str, Any], options: Options, workdir: Path) -> None:
    if "alone" not in known:
        raise UserError(
            f"{workdir} holds a sweep of an earlier version: go on with that, or choose another --workdir"
        )
    mine, theirs = plain(_describe(made)), known["runs"]
    if mine == theirs:
        _require_same_parts(known, options, workdir)
        return
    names = {run["name"] for run in mine} ^ {run["name"] for run in theirs}
    if names:
        what = f"other runs, such as {min(names)}"
    else:
        pairs = zip(
            sorted(mine, key=lambda r: r["name"]), sorted(theirs, key=lambda r: r["name"]), strict=True
        )
        what = "its runs in another order"
        for one, other in pairs:
            old, new = flatten(other["config"]), flatten(one["config"])
            old["data"], new["data"] = other.get("data"), one["data"]
            fields = [f for f in sorted(old.keys() | new.keys()) if old.get(f) != new.get(f)]
            if fields:
                what = f"{fields[0]}={old.get(fields[0])!r}, now {new.get(fields[0])!r}"
                break
    raise UserError(f"{workdir} holds another sweep ({what}): choose another --workdir, or set this back")


def _require_same_parts(known: dict[str, Any], options: Options, workdir: Path) -> None:
    """How the runs were divided at the first start holds for good: checkpoints lie where that put them."""
    if (options.population == "off") != known["alone"]:
        which = "with" if known["alone"] else "without"
        raise UserError(
            f"{workdir} was begun {which} --population=off: leave that as it was, or choose another --workdir"
        )
    most = max(map(len, known["parts"]))
    if 0 < options.size < most:
        raise UserError(
            f"--population_size={options.size}, but {workdir} was begun with parts of up to {most} runs: "
            "--population=map needs the least memory, or choose another --workdir"
        )


# --- Doing it -----------------------------------------------------------------------------------------


def _on_one_device(config: ConfigDict) -> ConfigDict:
    """A run alone takes the whole CPU as one device, where cores were made devices for populations."""
    if devices.uses_cores() and not config.num_devices:
        config = config.copy_and_resolve_references()
        config.num_devices = 1
    return config


def _train_alone(folder: Path, config: ConfigDict, workdir: Path) -> tuple[dict[str, Any], int]:
    """The outcome of one run, and the signal that stopped it; its seconds are those of all its starts."""
    path = folder / "status.json"
    before = json.loads(path.read_text()) if path.exists() else {}
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
    rate = seconds / config.num_steps
    replace(path, json.dumps({**status, "step": config.num_steps, "seconds_per_step": rate}))
    return {**outcome, "seconds": seconds}, 0


class _Job:
    """This process's share of the work."""

    def __init__(self, made: Plan, parts: list[list[int]], workdir: Path, options: Options):
        self._runs, self._parts, self._workdir, self._options = made.runs, parts, workdir, options
        self._folders = [workdir / "parts" / f"{number:04d}" for number in range(len(parts))]
        self._said = 0.0
        self._failed: set[int] = set()

    def unfinished(self) -> list[int]:
        """The parts that have no result, not by another process either."""
        return [i for i, folder in enumerate(self._folders) if not (folder / "result.json").exists()]

    def run(self, stop: Stop) -> int:
        """Works until every part has a result, its own or another process's; returns the signal that came."""
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
            if not worked and not stop.signal:  # others are at all that is left: theirs may yet fail
                self._say()
                time.sleep(_POLL)
        self._say(at_once=True)
        return stop.signal

    def _work(self, i: int, stop: Stop, claimed) -> int:
        folder, runs = self._folders[i], [self._runs[k] for k in self._parts[i]]
        workdirs = [self._workdir / "runs" / run.name for run in runs]
        note = self._note(folder)
        (folder / "failed.json").unlink(missing_ok=True)  # of an earlier start
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
            self._failed.add(i)
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
