"""The report of a search: `report.html`, its figures as files, and `search.csv`."""

import json
import shlex
from pathlib import Path
from typing import Any

from jaxgan.evaluation.naming import number_of
from jaxgan.files import replace
from jaxgan.sweeps import figures, proposals, search_figures, tables
from jaxgan.sweeps.proposals import Objective, Trial
from jaxgan.sweeps.report import as_source
from jaxgan.sweeps.space import Space

_MIXTURES = ("ring", "grid")


def write(
    workdir: Path,
    known: dict[str, Any],
    space: Space,
    objective: Objective,
    trials: list[Trial],
    best: Trial | None,
) -> list[Path]:
    """Writes the results of a search, finished or not, into its folder.

    Args:
      workdir: of the search.
      known: `search.json`.
      space, objective: of the search.
      trials: those that have ended.
      best: of them.

    Returns:
      the files.
    """
    import pandas as pd

    drawn = _draw(workdir, space, objective, trials, best)
    rows = _rows(trials, objective)
    files: dict[str, str | bytes] = {
        "search.csv": pd.DataFrame(rows[1:], columns=rows[0]).to_csv(index=False),
        "report.html": _page(workdir, known, objective, trials, best, drawn),
    }
    for name, (_, _, figure) in drawn.items():
        files |= {f"figures/{name}.svg": figures.svg(figure), f"figures/{name}.pdf": figures.pdf(figure)}
    (workdir / "figures").mkdir(exist_ok=True)
    for name, content in files.items():
        replace(workdir / name, content)
    return [workdir / name for name in files if "/" not in name] + [workdir / "figures"]


def _draw(workdir, space: Space, objective: Objective, trials, best) -> dict[str, tuple[str, str, Any]]:
    """name → title, caption, figure."""
    measured = [trial for trial in trials if trial.rungs]
    if not measured:
        return {}
    curves = {trial.number: _curve(workdir, trial, objective.name) for trial in measured}
    drawn = {
        "history": ("History", "In the order of proposals, the value at the last rung that each reached.",
                    search_figures.draw_history(measured, objective)),
        "curves": ("Every setting's curve", "Blue: trained to the end; grey: stopped at a rung.",
                   search_figures.draw_curves(curves, measured, best and best.number, objective)),
        "front": ("Value and cost", "A step's time alone was measured once for each structure.",
                  search_figures.draw_front(measured, objective)),
    }  # fmt: skip
    first = min(min(trial.rungs) for trial in measured)
    alike = [trial for trial in measured if first in trial.rungs]
    varied = [f for f in space.axes if len({repr(trial.values[f]) for trial in alike}) > 1]
    if len(alike) > 2 and varied and len({trial.rungs[first] for trial in alike}) > 1:
        study = proposals.view(space, alike, objective, lambda trial: trial.rungs[first])
        optuna = proposals.import_optuna()
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        importance = optuna.importance.get_param_importances(study, evaluator=evaluator, params=varied)
        at = f"at step {first:,}, which {'all' if len(alike) == len(measured) else len(alike)} reached"
        drawn["importance"] = (
            "Importance", f"fANOVA's share of the variance of the value {at}.",
            search_figures.draw_importance(importance),
        )  # fmt: skip
        drawn["parallel_coordinates"] = (
            "Parallel coordinates", f"Each line is a setting, with its value {at}.",
            search_figures.draw_parallel(study, varied, objective),
        )  # fmt: skip
    return drawn


def _curve(workdir: Path, trial: Trial, name: str) -> list[tuple[int, float]]:
    """All evaluations of a setting: those at rungs, and every eval_every steps."""
    points = dict(trial.rungs)
    path = workdir / "runs" / trial.run / "metrics.jsonl"
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        line = json.loads(text)
        if name in line and line["step"] <= trial.step:  # it may have gone on alone since
            points[line["step"]] = line[name]
    return sorted(points.items())


def _rows(trials: list[Trial], objective: Objective) -> list[list[Any]]:
    fields = [*trials[0].values] if trials else []
    rows = [["setting", "wave", *fields, "status", "step", objective.name, "cost", "seconds", "reason"]]
    for trial in trials:
        values = [trial.values[field] for field in fields]
        came = [trial.status, trial.step, trial.value, round(trial.cost, 3), round(trial.seconds, 3)]
        rows.append([trial.number, trial.wave, *values, *came, trial.reason])
    return rows


def _page(workdir: Path, known, objective: Objective, trials, best, drawn) -> str:
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(
        Path(__file__).with_name("search_report.html").read_text(encoding="utf-8")
    )
    number, config = number_of(objective.name), known["config"]
    statuses = [trial.status for trial in trials]
    whole = config["num_steps"] * sum(status != "refused" for status in statuses)
    path = workdir / "winner.json"
    winners = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    tested = next((entry["numbers"] for entry in winners if best and entry["run"] == best.run), {})
    return template.render(
        objective=objective,
        arrow=number.arrow,
        meaning=number.meaning,
        data=known["data"],
        trials=trials,
        counts={name: statuses.count(name) for name in ("done", "pruned", "diverged", "refused")},
        saved=tables.percent(sum(trial.step for trial in trials) / whole) if whole else "–",
        cost=tables.number(sum(trial.cost for trial in trials)),
        winner=best,
        winner_value=best and tables.number(best.value, 4),
        tested={name: tables.number(value, 4) for name, value in tested.items()},
        times=len(winners),
        best_command=best and command_of(known, best),
        best_file=workdir / "best.py",
        measured=_measured(config["dataset.name"]),
        seed=config["seed"],
        rungs=", ".join(f"{step:,}" for step in sorted({s for trial in trials for s in trial.rungs})),
        eta=known["eta"],
        figures=[
            {"title": title, "caption": caption, "source": as_source(figures.svg(figure))}
            for title, caption, figure in drawn.values()
        ],
        rows=[[_cell(cell) for cell in row] for row in _rows(trials, objective)],
        command=known["command"],
        optuna=known["optuna"],
    )


def _measured(dataset: str) -> str:
    if dataset in _MIXTURES:
        return (
            "What is compared is measured on fresh samples of the generator, against the known centres of "
            "the mixture and, where a statistic needs real points, every sixth of the training points, which "
            "no GAN of the search was trained on. There is no classifier."
        )
    return (
        "What is compared is measured on the validation part, every sixth example of the training set. No "
        "GAN of the search, and no classifier, was trained on it."
    )


def command_of(known: dict[str, Any], best: Trial) -> str:
    """The command that trains the best setting on the whole training set."""
    values = {**known["fixed"], **best.values}
    given = [
        text for text in known["given"] if text.partition("=")[0].removeprefix("--config.") not in values
    ]
    flags = [*given, *(f"--config.{field}={value}" for field, value in values.items())]
    return f"python launch.py {shlex.join(flags)}"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
