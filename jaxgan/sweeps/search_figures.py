"""The figures of a search's report."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxgan.sweeps.figures import COLOURS, Figure, finish, start
from jaxgan.sweeps.proposals import Objective, Trial, experiments_allowed, import_optuna

_GREY = "#9aa5b1"
_MARKS = {"done": ("o", COLOURS[0], "trained to the end"), "pruned": ("x", _GREY, "stopped at a rung")}


def draw_history(trials: Sequence[Trial], objective: Objective) -> Figure:
    """Every setting's last value in the order of proposals, and the best so far of those that finished."""
    figure, axes = start(3.1)
    _scatter(axes, trials, lambda trial: trial.number)
    done = [trial for trial in trials if trial.status == "done"]
    if done:
        best = np.maximum.accumulate if objective.highest else np.minimum.accumulate
        numbers = [*(trial.number for trial in done), max(trial.number for trial in trials)]
        values = best([trial.value for trial in done])
        axes.step(numbers, [*values, values[-1]], where="post", color=COLOURS[1], label="best so far")
    axes.set_xlabel("setting", fontsize=9)
    return _labelled(figure, axes, objective)


def draw_curves(
    curves: dict[int, list[tuple[int, float]]],
    trials: Sequence[Trial],
    best: int | None,
    objective: Objective,
) -> Figure:
    """The objective of every setting over the steps; `curves` are (step, value) by number."""
    from matplotlib.ticker import EngFormatter

    figure, axes = start(3.1)
    for trial in trials:
        points = curves.get(trial.number)
        if not points:
            continue
        _, colour, _ = _MARKS.get(trial.status, _MARKS["pruned"])
        style = {"color": colour, "linewidth": 1.0, "alpha": 0.6}
        if trial.number == best:
            style = {"color": COLOURS[1], "linewidth": 2.2, "zorder": 3, "label": "the best"}
        axes.plot(*zip(*points, strict=True), marker="o", markersize=2.5, **style)
    axes.set_xlabel("step", fontsize=9)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    return _labelled(figure, axes, objective)


def pareto(trials: Sequence[Trial], objective: Objective) -> list[Trial]:
    """Those that no other beats in both value and cost, by cost."""
    sign, front = -1 if objective.highest else 1, []
    for trial in sorted(trials, key=lambda trial: (trial.cost, sign * trial.value)):
        if not front or sign * trial.value < sign * front[-1].value:
            front.append(trial)
    return front


def draw_front(trials: Sequence[Trial], objective: Objective) -> Figure:
    """The value that each setting reached over its cost, and the Pareto front."""
    figure, axes = start(3.1)
    _scatter(axes, trials, lambda trial: trial.cost)
    front = pareto(trials, objective)
    if front:
        costs, values = [trial.cost for trial in front], [trial.value for trial in front]
        axes.step(costs, values, where="post", color=COLOURS[1], label="Pareto front")
    axes.set_xlabel("cost: steps × seconds of a step alone", fontsize=9)
    axes.set_xscale("log")
    return _labelled(figure, axes, objective)


def draw_importance(importance: dict[str, float]) -> Figure:
    """Bars; shares of the variance that each field explains."""
    names = [*importance][::-1]
    figure, axes = start(0.9 + 0.32 * len(names))
    axes.barh(range(len(names)), [importance[name] for name in names], color=COLOURS[0], height=0.6)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0, 1)
    return finish(figure, axes)


def draw_parallel(study: Any, fields: Sequence[str], objective: Objective) -> Figure:
    """Optuna's parallel coordinates of a study, without a trace in pyplot's state."""
    optuna = import_optuna()
    import matplotlib.pyplot as plt

    with experiments_allowed(), plt.rc_context({"font.size": 8}):
        plt.switch_backend("agg")
        axes = optuna.visualization.matplotlib.plot_parallel_coordinate(
            study, params=[*fields], target_name=objective.name
        )
        figure = axes.figure
        figure.set_size_inches(8.5, 4.2)
        axes.set_title("")
        axes.set_xticks(axes.get_xticks(), [_short(name) for name in (objective.name, *sorted(fields))])
        axes.tick_params(axis="x", rotation=0)
        figure.tight_layout()
        plt.close(figure)
    return figure


def _short(name: str) -> str:
    return "\n".join(name.rsplit(".", 2))


def _scatter(axes, trials, place) -> None:
    for status, (marker, colour, label) in _MARKS.items():
        some = [trial for trial in trials if trial.status == status and trial.value is not None]
        if some:
            axes.scatter(
                [place(trial) for trial in some], [trial.value for trial in some],
                s=22, marker=marker, color=colour, label=label,
            )  # fmt: skip


def _labelled(figure, axes, objective: Objective) -> Figure:
    values = axes.dataLim.get_points()[:, 1]
    if values[0] > 0 and values[1] > 20 * values[0]:
        axes.set_yscale("log")
    axes.set_ylabel(objective.name, fontsize=9)
    axes.grid(alpha=0.3, linewidth=0.6)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(fontsize=8, frameon=False, loc="outside lower center", ncols=3)
    return finish(figure, axes)
