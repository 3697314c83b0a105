"""`sweep.json`: the runs, data and parts of a sweep, which are the same for every process and every start."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import jax
from absl import logging
from ml_collections import ConfigDict

from jaxgan.config import checks, fields
from jaxgan.config.essential import essential
from jaxgan.config.fields import flatten, plain
from jaxgan.errors import UserError
from jaxgan.sweeps import devices, plan, population
from jaxgan.sweeps.members import obstacle
from jaxgan.sweeps.plan import Plan

_MOST_MEMBERS = 256  # members of a population: each keeps a file open, and many systems allow 1,024


class Options(NamedTuple):
    """How a sweep is run.

    Attributes:
      population: 'auto', 'vmap', 'map' or 'measure' (see `members.train_members`), or 'off': each run alone.
      size: the largest number of members; 0: as many as fit into memory; never more than 256.
      baseline: the setting that others are tested against; empty: the first.
      spread: printed beside a mean, 'interval' or 'stderr' (see `report.write`).
      dry_run: only print the plan.
      command: for the report.
    """

    population: str = "auto"
    size: int = 0
    baseline: str = ""
    spread: str = "interval"
    dry_run: bool = False
    command: str = ""


def divide(made: Plan, options: Options) -> list[list[int]]:
    """The runs of the programs in parts, each of which is trained together."""
    parts = []
    for program in made.programs:
        config = made.runs[program[0]].config
        dataset = plan.load_dataset(config)
        if options.population == "off" or obstacle(config, dataset):
            most = 1
        else:
            most = min(most_members(config), _MOST_MEMBERS)
            most = min(most, options.size or most)
        num = math.ceil(len(program) / most)
        size = math.ceil(len(program) / num)  # of about the same size
        parts += [program[i : i + size] for i in range(0, len(program), size)]
    return parts


def most_members(config: ConfigDict) -> int:
    built = plan.build(config)
    key = jax.ShapeDtypeStruct((2,), "uint32")
    state = jax.eval_shape(
        lambda key: population.init_member(built.gan, key, built.hyper, built.optimizers), key
    )
    data_bytes = plan.load_dataset(config).nbytes
    chosen = jax.devices()[: config.num_devices or None]
    chosen = devices.devices_that_fit(chosen, devices.num_bytes(state), data_bytes)
    return devices.most_members(state, data_bytes, devices.memory_of_each(chosen), len(chosen))


def print_plan(made: Plan, parts: list[list[int]]) -> None:
    """The number of runs, programs and parts, and a line for each part."""
    settings = len({run.setting for run in made.runs})
    print(
        f"{len(made.runs)} runs ({settings} settings), {len(made.programs)} programs, {len(parts)} parts; "
        "how long it takes is known after the first calls of the first program"
    )
    for number, part in enumerate(parts):
        labels = list(dict.fromkeys(made.runs[i].setting for i in part))
        shown = "; ".join(labels[:4]) + (f"; and {len(labels) - 4} more" if len(labels) > 4 else "")
        print(f"  part {number}: {len(part)} runs of {made.runs[part[0]].config.num_steps} steps: {shown}")
    print(f"  evaluation: {_when_evaluated(made)}")
    for caution in dict.fromkeys(text for run in made.runs for text in checks.cautions(run.config)):
        logging.warning(caution)


def _when_evaluated(made: Plan) -> str:
    """When the runs are evaluated, and how."""
    configs = [run.config for run in made.runs]
    protocols = ", ".join(dict.fromkeys(config.evaluation.protocol for config in configs))
    how = f"protocol {protocols}; statistics: {', '.join(fields.names_of(configs[0].evaluation.statistics))}"
    if all(config.eval_every >= config.num_steps for config in configs):
        return f"every run at its end ({how}); --evaluate=off leaves it out"
    every = ", ".join(dict.fromkeys(f"{config.eval_every:,}" for config in configs))
    return f"every {every} steps and at the end ({how})" if all(c.eval_every for c in configs) else "none"


def record(made: Plan, parts: list[list[int]], options: Options) -> dict[str, Any]:
    """What `sweep.json` says."""
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
            "data": describe_data(run.config),
        }
        for run in made.runs
    ]


def describe_data(config: ConfigDict) -> str:
    """The data set that was really used; another process may not find it."""
    dataset = plan.load_dataset(config)
    return f"{dataset.name} (hash {dataset.fingerprint})"


def read(workdir: Path) -> dict[str, Any] | None:
    """The sweep in a folder, None if there is none; UserError if the folder has something else."""
    path = workdir / "sweep.json"
    if (workdir / "search.json").exists():
        raise UserError(f"{workdir} holds a search: choose another --workdir for the sweep")
    if not path.exists():
        if (workdir / "config.json").exists():
            raise UserError(f"{workdir} holds a single run: choose another --workdir for the sweep")
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): restore it, or choose another --workdir") from error


def require_same(made: Plan, known: dict[str, Any], options: Options, workdir: Path) -> None:
    """UserError if the sweep in a folder has other runs, other data or other parts."""
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
            changed = [f for f in sorted(old.keys() | new.keys()) if old.get(f) != new.get(f)]
            if changed:
                what = f"{changed[0]}={old.get(changed[0])!r}, now {new.get(changed[0])!r}"
                break
    raise UserError(f"{workdir} holds another sweep ({what}): choose another --workdir, or set this back")


def _require_same_parts(known: dict[str, Any], options: Options, workdir: Path) -> None:
    """Keeps the parts of the first start, whose folders have the checkpoints."""
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
