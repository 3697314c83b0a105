"""The job of a search: what it keeps to, the search itself, the winner on the test set, the report."""

import copy
import itertools
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from jaxgan import sampler
from jaxgan.config import experiment, fields
from jaxgan.config.checks import check
from jaxgan.errors import UserError
from jaxgan.evaluation.evaluator import make_evaluator
from jaxgan.files import replace
from jaxgan.run import record
from jaxgan.run.workdir import Stop, require_local
from jaxgan.sweeps import plan, proposals, search_report
from jaxgan.sweeps.claims import claim, publish
from jaxgan.sweeps.proposals import Objective, Trial
from jaxgan.sweeps.search import Budget, best, is_finished, read_waves, search
from jaxgan.sweeps.settings import GANs, find_objective
from jaxgan.sweeps.space import make_space, recorded_space


class Options(NamedTuple):
    """How a search is run.

    Attributes:
      objective: NUMBER, or NUMBER,cost.
      draws, wave, eta, seed: see `search.Budget`.
      population: how the members of a wave lie: 'auto', 'vmap', 'map' or 'measure'.
      dry_run: print the plan, and stop there.
      command: for the report.
      given: the flags of the config, for the best setting's command.
    """

    objective: str
    draws: int
    wave: int = 8
    eta: int = 3
    seed: int = 0
    population: str = "auto"
    dry_run: bool = False
    command: str = ""
    given: Collection[str] = ()


def run(
    config: ConfigDict,
    sweeps: Collection[str],
    settings: dict[str, dict[str, Any]],
    overrides: Collection[str],
    workdir: Path,
    options: Options,
) -> int:
    """Searches, or goes on with it, and writes the report; returns the exit status.

    Raises:
      UserError: the input is wrong, or the folder holds something else.
    """
    proposals.import_optuna()
    require_local(workdir)
    if not options.objective:
        raise UserError("--combine=search needs what it improves: --objective=NUMBER, or NUMBER,cost")
    if options.draws < options.wave:
        raise UserError(
            f"--draws={options.draws} is less than a wave of {options.wave}: give more draws, or --wave=K"
        )
    if len(settings) > 1:
        raise UserError("--combine=search takes one of the named settings, as what its own begin with")
    config = with_validation_part(config)
    fields.import_modules(config)
    space = make_space(plan.parse_axes(config, sweeps))
    check(config)
    objective = find_objective(options.objective, config)
    budget = Budget(options.draws, options.wave, options.eta, options.seed)
    fixed = next(iter(settings.values()), {})
    problem = GANs(config, space, objective, budget, workdir, options.population, overrides, fixed)
    _print_plan(problem, budget, config)
    known = _agree(workdir, problem, options, write=not options.dry_run)
    if options.dry_run:
        return 0
    with Stop() as stop:
        if signal := search(problem, workdir, budget, stop):
            print(f"stopped; the same command goes on: {workdir}")
            return 128 + signal
        _measure_winner(workdir, Objective(**known["objective"]))
    print("wrote " + ", ".join(map(str, report(workdir))))
    return 0


def with_validation_part(config: ConfigDict) -> ConfigDict:
    """The config of all settings: trained without the validation part, which they are measured on."""
    config = copy.deepcopy(config)  # with its references, which follow what is set
    with config.unlocked():
        config.dataset.hold_out = True
    return config.lock()


def _print_plan(problem: GANs, budget: Budget, config: ConfigDict) -> None:
    objective = problem.objective
    rungs, _ = problem.rungs_of(config)
    halved = f"rungs at steps {', '.join(f'{step:,}' for step in rungs)}"
    print(
        f"search: {budget.draws} settings in waves of {budget.wave}, "
        f"{'none of which is pruned' if objective.with_cost else halved}; "
        f"{'highest' if objective.highest else 'lowest'} {objective.name}"
        f"{' and lowest cost' if objective.with_cost else ''}, on the validation part"
    )
    for field, axis in problem.space.axes.items():
        span = axis.span
        words = f"{span.low:g} to {span.high:g}{', in the logarithm' * span.log}" if span else axis.values
        print(f"  {field}: {words}")


def _agree(workdir: Path, problem: GANs, options: Options, write: bool) -> dict[str, Any]:
    """What `search.json` says, which is written at the first start; UserError if it is another search."""
    import optuna

    path = workdir / "search.json"
    mine = fields.plain(problem.describe())
    if not path.exists():
        for name, what in (("sweep.json", "a sweep"), ("config.json", "a single run")):
            if (workdir / name).exists():
                raise UserError(f"{workdir} holds {what}: choose another --workdir for the search")
        about = {"command": options.command, "given": [*options.given], "optuna": optuna.__version__}
        if not write:
            return {**mine, **about}
        workdir.mkdir(parents=True, exist_ok=True)
        publish(path, json.dumps({**mine, **about}, indent=1))
    known = read_record(workdir)
    old, new = (fields.flatten({name: one.get(name) for name in mine}) for one in (known, mine))
    differing = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    if differing:
        name = differing[0]
        raise UserError(
            f"{workdir} holds another search ({name.removeprefix('config.')} was {old.get(name)}, now "
            f"{new.get(name)}): choose another --workdir, or set this back"[:290]
        )
    return known


def read_record(workdir: Path) -> dict[str, Any]:
    """What `search.json` says."""
    path = workdir / "search.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): restore it, or choose another --workdir") from error


def _measure_winner(workdir: Path, objective: Objective) -> None:
    """The winner's numbers on the test set, which nothing else of a search has seen, once."""
    trials = [*itertools.chain(*read_waves(workdir))]
    winner, path = best(trials, objective), workdir / "winner.json"
    with claim(workdir / "winner") as claimed:
        entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        if not claimed or winner is None or any(entry["run"] == winner.run for entry in entries):
            return
        folder = workdir / "runs" / winner.run
        drawn = sampler.load(folder, winner.step)
        config = experiment.without_hold_out(record.recorded_config(record.read_record(folder)))
        evaluator = make_evaluator(config, drawn.gan, experiment.load_dataset(config))
        numbers = evaluator(drawn.weights)
        about = {"protocol": evaluator.protocol, "numbers": numbers, "floor": evaluator.floor}
        entries.append({"run": winner.run, "number": winner.number, **about})
        replace(path, json.dumps(entries, indent=1) + "\n")


def report(workdir: Path) -> list[Path]:
    """Writes the report of a search, finished or not; returns the files."""
    known = read_record(workdir)
    space = recorded_space(known["fields"], known["spans"])
    objective = Objective(**known["objective"])
    trials = [trial for wave in read_waves(workdir) if is_finished(wave) for trial in wave]
    winner = best(trials, objective)
    written = _write_best(workdir, known, winner, objective) if winner else []
    return [*written, *search_report.write(workdir, known, space, objective, trials, winner)]


def _write_best(workdir: Path, known: dict[str, Any], winner: Trial, objective: Objective) -> list[Path]:
    """`best.py`: the best setting as a config file."""
    from jaxgan.config import default

    folder = workdir / "runs" / winner.run
    if not (recorded := record.read_record(folder)):
        raise UserError(f"the best run, {folder}, has no config.json: restore it")
    config = record.recorded_config(recorded)
    flat, modules = fields.flatten(config.to_dict()), config.modules
    original = fields.flatten(fields.plain(default.get_config().to_dict()))
    longest = known["config"]["steps_per_call"]
    lines = []
    for name, value in flat.items():
        if name == "dataset.hold_out" or name.endswith(".num_steps") and name not in known["config"]:
            continue
        value = longest if name == "steps_per_call" else value
        is_length = name.endswith(".num_steps") and value == config.num_steps  # 0: that of the run
        value = known["config"].get(name, value) if is_length and not known["config"].get(name) else value
        if name not in original or fields.plain(value) != original[name]:
            lines.append(f"            {name!r}: {tuple(value) if isinstance(value, list) else value!r},")
    path = workdir / "best.py"
    imported = "".join(f"import {module}  # noqa: F401\n" for module in modules)
    text = [
        f'"""The best of a search, {winner.run}: {objective.name} {winner.value:.5g} on the validation part.',
        "",
        f"python launch.py --config={path}",
        '"""',
        "",
        f"{imported}from jaxgan.config import default",
        "",
        "",
        "def get_config():",
        "    config = default.get_config()",
        "    config.update_from_flattened_dict(",
        "        {",
        *lines,
        "        }",
        "    )",
        "    return config",
    ]
    replace(path, "\n".join(text) + "\n")
    return [path]
