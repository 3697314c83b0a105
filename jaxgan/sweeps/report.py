"""The report of a sweep: `report.html`, its tables, curves and figures as files for a paper."""

import base64
import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.evaluation.naming import number_of
from jaxgan.files import replace
from jaxgan.sweeps import figures, results, tables
from jaxgan.sweeps.results import Frame, Results, find_baseline

__all__ = ["find_baseline", "write"]

_CURVES = 8  # settings drawn into one panel
_PICTURES = 24  # settings of which samples are shown
_HEAT_MAPS = 3  # pairs of swept numbers


def write(workdir: Path, baseline: str = "", spread: str = "interval") -> list[Path]:
    """Writes the results of a sweep, finished or not, into its folder.

    Args:
      workdir: of the sweep.
      baseline: the setting that others are tested against, or a part of its name; empty: the first.
      spread: printed beside a mean: its 95 % 'interval', or its standard error, 'stderr'.

    Returns:
      the files.
    """
    found = results.read(workdir)
    baseline = find_baseline(found.settings, baseline)
    table = results.summarize(found, baseline)
    drawn: dict[str, figures.Figure] = {}
    files: dict[str, str | bytes] = {
        "sweep.csv": found.runs.to_csv(index=False),
        "curves.csv": found.curves.to_csv(index=False),
        "report.html": _page(workdir, found, table, baseline, spread, drawn),
        "table.md": tables.markdown(found, table, baseline, spread),
        "table.tex": tables.latex(found, table, baseline, spread),
    }
    for name, figure in drawn.items():
        files |= {f"figures/{name}.svg": figures.svg(figure), f"figures/{name}.pdf": figures.pdf(figure)}
    (workdir / "figures").mkdir(exist_ok=True)
    for name, content in files.items():
        replace(workdir / name, content)
    return [workdir / name for name in files if "/" not in name] + [workdir / "figures"]


# --- The page -----------------------------------------------------------------------------------------


def _page(workdir: Path, found: Results, table: Frame, baseline: str, spread: str, drawn: dict) -> str:
    """The page; its figures are added to `drawn`, by name."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
    runs = found.runs

    def draw(name: str, figure: figures.Figure) -> str:
        name = re.sub(r"[^\w.+=-]+", "_", name).strip("_")
        drawn[name] = figure
        return as_source(figures.svg(figure))

    metrics = [
        _metric(found, table[table.metric == metric], metric, baseline, spread, draw)
        for metric in found.metrics
    ]
    counts = runs.status.value_counts()
    return template.render(
        title=f"{len(runs)} runs, {len(found.settings)} settings",
        counts={status: int(counts.get(status, 0)) for status in ("done", "diverged", "failed", "open")},
        total=len(runs),
        seeds=int(runs.seed.nunique()),
        num_settings=len(found.settings),
        hours=runs.seconds.sum() / 3600,
        baseline=found.labels[baseline],
        least_p=_powerless(table, baseline),
        evaluated=found.evaluated,
        spread=spread,
        head=tables.head(spread),
        metrics=metrics,
        progress=_training(found, spread, draw),
        curves_of=min(_CURVES, len(found.settings)),
        heat_maps=_heat_maps(found, draw),
        pictures=_pictures(workdir, found),
        runs=_run_rows(found),
        losses=[
            {**row, "label": found.labels[row["setting"]]}
            for row in runs.to_dict("records")
            if row["status"] in ("diverged", "failed")
        ],
        data=_data(workdir, found),
        command=found.record["command"],
        versions=found.record["versions"],
    )


def _powerless(table: Frame, baseline: str) -> str:
    """A sentence if there are too few seeds to show any difference; else empty."""
    tested = table[(table.setting != baseline) & table.p.notna()]
    if not len(tested):
        return ""
    pairs, comparisons = int(tested.n.max()), len(tested)
    least = comparisons * results.least_p(pairs)
    if least < results.ALPHA:
        return ""
    corrected = f", or {min(least, 1):.2g} corrected for {comparisons} comparisons" * (comparisons > 1)
    return (
        f"With {pairs} seeds p is at least {results.least_p(pairs):.2g}{corrected}: no difference from the "
        "baseline can be significant, however large. Use more seeds."
    )


def _metric(found: Results, table: Frame, metric: str, baseline: str, spread: str, draw) -> dict[str, Any]:
    done = found.runs[found.runs.status == "done"]
    values = {setting: rows[metric].dropna().to_numpy(float) for setting, rows in done.groupby("setting")}
    values = {setting: values.get(setting, np.zeros(0)) for setting in found.settings}
    curves = found.curves[found.curves.metric == metric]
    several = curves.step.nunique() > 1
    described, scientific = number_of(metric), tables.scientific_column(table)
    return {
        "name": metric,
        "arrow": described.arrow if described else "",
        "meaning": described.meaning if described else "",
        "rows": [tables.cells(row, found.labels, baseline, scientific, spread) for row in table.itertuples()],
        "significant": [bool(row.p_corrected < results.ALPHA) for row in table.itertuples()],
        "best": [*table.best],
        "intervals": draw(f"{metric}_intervals", figures.draw_intervals(table, values, found.labels, spread)),
        "bands": draw(f"{metric}_curves", _bands(found, curves, metric, spread)) if several else "",
    }


def _bands(found: Results, curves, metric: str, spread: str) -> figures.Figure:
    """The curves without runs that diverged or failed."""
    lost = found.runs[found.runs.status.isin(["diverged", "failed"])]
    lost = set(zip(lost.setting, lost.seed, strict=True))
    kept = [pair not in lost for pair in zip(curves.setting, curves.seed, strict=True)]
    within = results.range_of(metric, found.num_modes)
    return figures.draw_bands(curves[kept], metric, found.settings[:_CURVES], found.labels, spread, within)


def _training(found: Results, spread: str, draw) -> list[dict[str, str]]:
    """Curves of the training itself."""
    names = [name for name in ("generator_loss", "discriminator_loss", "D(x)", "D(G(z))", "diversity")
             if name not in found.metrics]  # fmt: skip
    panels = []
    for name in names:
        curves = found.curves[found.curves.metric == name]
        if curves.step.nunique() > 1:
            figure = _bands(found, curves, name, spread)
            panels.append({"name": name, "figure": draw(f"{name}_curves", figure)})
    return panels


def _heat_maps(found: Results, draw) -> list[dict[str, str]]:
    done = found.runs[found.runs.status == "done"]
    numeric = [f for f in found.fields if found.runs[f].map(lambda x: type(x) in (int, float)).all()]
    numeric = [field for field in numeric if found.runs[field].nunique() > 1]
    maps = []
    for row, column in list(itertools.combinations(numeric, 2))[:_HEAT_MAPS]:
        for metric in found.metrics:
            means = done.pivot_table(index=row, columns=column, values=metric, aggfunc="mean")
            if len(means) and means.size <= 2 * means.count().sum():  # not of random draws
                name = f"{metric} over {row} and {column}"
                maps.append({"name": name, "figure": draw(name, figures.draw_heat_map(means))})
    return maps


def _pictures(workdir: Path, found: Results) -> list[dict[str, str]]:
    """The last samples of each setting, from its first seed that finished."""
    pictures = []
    for setting in found.settings[:_PICTURES]:
        runs = found.runs[(found.runs.setting == setting) & (found.runs.status == "done")]
        for run in runs.itertuples():
            path = workdir / "runs" / run.run / "samples" / f"step_{int(run.step):08d}.png"
            if path.exists():
                content = base64.b64encode(path.read_bytes()).decode()
                name = f"{found.labels[setting]}, seed {run.seed}"
                pictures.append({"name": name, "source": f"data:image/png;base64,{content}"})
                break
    return pictures


def _run_rows(found: Results) -> list[list[str]]:
    columns = ["setting", "seed", "status", "step", "seconds", *found.metrics]
    rows = [[*columns]]
    for run in found.runs.to_dict("records"):
        numbers = [tables.number(run[name]) for name in found.metrics]
        step = "–" if run["step"] is None or run["step"] != run["step"] else f"{int(run['step']):,}"
        seconds = tables.number(run["seconds"] if run["seconds"] is not None else math.nan)
        rows.append([found.labels[run["setting"]], str(run["seed"]), run["status"], step, seconds, *numbers])
    return rows


def _data(workdir: Path, found: Results) -> list[str]:
    """The data sets that were really used for training."""
    said = []
    for run in found.runs.run:
        path = workdir / "runs" / run / "config.json"
        if path.exists():
            dataset = json.loads(path.read_text(encoding="utf-8"))["dataset"]
            instead = f", in place of {dataset['fallback_for']}" if dataset["fallback_for"] else ""
            said.append(
                f"{dataset['name']} ({dataset['num_examples']:,} examples, {dataset['origin']}{instead})"
            )
    return list(dict.fromkeys(said))


def as_source(text: str) -> str:
    """An SVG text as the source of an image in HTML."""
    return f"data:image/svg+xml;base64,{base64.b64encode(text.encode()).decode()}"
