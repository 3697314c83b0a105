"""The report of a sweep: `sweep.csv`, `report.html`, `table.md`, `table.tex`."""

import base64
import itertools
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan import figures, results
from jaxgan.results import Frame, Results, find_baseline

__all__ = ["find_baseline", "write"]

_CURVES = 8  # settings drawn into one panel
_PICTURES = 24  # settings of which samples are shown
_HEAT_MAPS = 3  # pairs of swept numbers


def write(workdir: Path, baseline: str = "") -> list[Path]:
    """Writes the results of a sweep, finished or not, into its folder.

    Args:
      workdir: of the sweep.
      baseline: the setting that others are tested against, or a part of its name; empty: the first.

    Returns:
      the files.
    """
    found = results.read(workdir)
    baseline = find_baseline(found.settings, baseline)
    table = results.summarize(found, baseline)
    texts = {
        "sweep.csv": found.runs.to_csv(index=False),
        "report.html": _page(workdir, found, table, baseline),
        "table.md": _markdown(found, table, baseline),
        "table.tex": _latex(found, table, baseline),
    }
    for name, text in texts.items():
        temporary = workdir / f".{name}.{os.getpid()}"
        temporary.write_text(text)
        os.replace(temporary, workdir / name)
    return [workdir / name for name in texts]


# --- Numbers as words ---------------------------------------------------------------------------------


def number(x: float, digits: int = 3) -> str:
    """Of about `digits` significant digits, no exponent where it is short without; a dash for NaN."""
    if x is None or not math.isfinite(x):
        return "–"
    if x != 0 and not 1e-3 <= abs(x) < 1e5:
        return f"{x:.{digits - 1}e}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(x)))) if x else 0
    return f"{x:.{min(places, 6)}f}"


def estimate(row) -> str:
    """A mean with its interval, all to the same decimal place."""
    if not math.isfinite(row.mean):
        return "–"
    if not math.isfinite(row.low):
        return number(row.mean)
    width = row.high - row.low
    size = width if width > 0 else abs(row.mean)
    if size and (size < 1e-4 or abs(row.mean) >= 1e5):
        return f"{row.mean:.2e} [{row.low:.2e}, {row.high:.2e}]"
    places = max(0, 1 - math.floor(math.log10(size))) if size else 0
    return f"{row.mean:.{places}f} [{row.low:.{places}f}, {row.high:.{places}f}]"


def p_value(p: float) -> str:
    """As it is written in papers; a dash for NaN."""
    return "–" if not math.isfinite(p) else "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0") or "0"


def percent(share: float) -> str:
    return "–" if not math.isfinite(share) else f"{100 * share:.0f} %"


# --- Tables -------------------------------------------------------------------------------------------

_HEAD = ("setting", "seeds", "mean [95 % interval]", "median", "failed", "difference", "p", "p corrected")


def _cells(row, labels: dict[str, str], baseline: str) -> list[str]:
    tested = row.setting != baseline
    return [
        labels[row.setting],
        str(row.n),
        estimate(row),
        number(row.median),
        percent(row.failed),
        number(row.difference) if tested else "baseline",
        p_value(row.p) if tested else "",
        p_value(row.p_corrected) if tested else "",
    ]


def _frame(found: Results, table: Frame, baseline: str) -> Frame:
    """The table for papers: a row a setting, a column a number."""
    import pandas as pd

    rows = []
    for setting, of_setting in table.groupby("setting", sort=False):
        row = {"setting": found.labels[setting], "seeds": max(of_setting.n)}
        for cell in of_setting.itertuples():
            star = "*" if cell.p_corrected < 0.05 else ""
            row[cell.metric] = estimate(cell) + star
            row[f"{cell.metric}, median"] = number(cell.median)
        row["failed"] = percent(of_setting.failed.iloc[0])
        rows.append(row)
    return pd.DataFrame(rows)


def _caption(found: Results, baseline: str) -> str:
    return (
        "Mean over training seeds with a 95 % bootstrap interval (BCa), and median; runs that diverged are "
        "left out and counted as failed. *: differs from the baseline "
        f"'{found.labels[baseline]}' (permutation test of paired seeds, Holm-corrected p < 0.05)."
    )


def _markdown(found: Results, table: Frame, baseline: str) -> str:
    frame = _frame(found, table, baseline).map(lambda cell: str(cell).replace("|", "\\|"))
    rows = [frame.columns, ["---"] * frame.shape[1], *frame.to_numpy()]
    text = "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)
    return f"{text}\n\n{_caption(found, baseline)}\n"


def _latex(found: Results, table: Frame, baseline: str) -> str:
    def escape(text):
        for letter in "&%$#_":
            text = str(text).replace(letter, f"\\{letter}")
        return text.replace("–", "--").replace("±", "$\\pm$")

    frame = _frame(found, table, baseline)
    lines = [
        f"% {found.record['command']}",
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "\\centering",
        f"\\begin{{tabular}}{{l{'r' * (frame.shape[1] - 1)}}}",
        "\\toprule",
        " & ".join(map(escape, frame.columns)) + " \\\\",
        "\\midrule",
        *(" & ".join(map(escape, row)) + " \\\\" for row in frame.to_numpy()),
        "\\bottomrule",
        "\\end{tabular}",
        f"\\caption{{{escape(_caption(found, baseline))}}}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


# --- The page -----------------------------------------------------------------------------------------


def _page(workdir: Path, found: Results, table: Frame, baseline: str) -> str:
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(Path(__file__).with_name("report.html").read_text())
    runs = found.runs
    metrics = [_metric(found, table[table.metric == metric], metric, baseline) for metric in found.metrics]
    counts = runs.status.value_counts()
    return template.render(
        title=f"{len(runs)} runs, {len(found.settings)} settings",
        counts={status: int(counts.get(status, 0)) for status in ("done", "diverged", "failed", "open")},
        total=len(runs),
        seeds=int(runs.seed.nunique()),
        num_settings=len(found.settings),
        hours=runs.seconds.sum() / 3600,
        baseline=found.labels[baseline],
        head=_HEAD,
        metrics=metrics,
        progress=_training(found),
        curves_of=min(_CURVES, len(found.settings)),
        heat_maps=_heat_maps(found),
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


def _metric(found: Results, table: Frame, metric: str, baseline: str) -> dict[str, Any]:
    done = found.runs[found.runs.status == "done"]
    values = {setting: rows[metric].dropna().to_numpy(float) for setting, rows in done.groupby("setting")}
    values = {setting: values.get(setting, np.zeros(0)) for setting in found.settings}
    curves = found.curves[found.curves.metric == metric]
    several = curves.step.nunique() > 1
    return {
        "name": metric,
        "rows": [_cells(row, found.labels, baseline) for row in table.itertuples()],
        "significant": [bool(row.p_corrected < 0.05) for row in table.itertuples()],
        "intervals": _svg(figures.draw_intervals(table, values, found.labels)),
        "bands": _bands(found, curves) if several else "",
    }


def _bands(found: Results, curves) -> str:
    return _svg(figures.draw_bands(curves, found.settings[:_CURVES], found.labels))


def _training(found: Results) -> list[dict[str, str]]:
    """Curves of the training itself."""
    names = [name for name in ("generator_loss", "discriminator_loss", "D(x)", "D(G(z))", "diversity")
             if name not in found.metrics]  # fmt: skip
    panels = []
    for name in names:
        curves = found.curves[found.curves.metric == name]
        if curves.step.nunique() > 1:
            panels.append({"name": name, "figure": _bands(found, curves)})
    return panels


def _heat_maps(found: Results) -> list[dict[str, str]]:
    done = found.runs[found.runs.status == "done"]
    numeric = [f for f in found.fields if found.runs[f].map(lambda x: type(x) in (int, float)).all()]
    numeric = [field for field in numeric if found.runs[field].nunique() > 1]
    maps = []
    for row, column in list(itertools.combinations(numeric, 2))[:_HEAT_MAPS]:
        for metric in found.metrics:
            means = done.pivot_table(index=row, columns=column, values=metric, aggfunc="mean")
            if len(means):
                name = f"{metric} over {row} and {column}"
                maps.append({"name": name, "figure": _svg(figures.draw_heat_map(means))})
    return maps


def _pictures(workdir: Path, found: Results) -> list[dict[str, str]]:
    """Of each setting the last samples of its first seed that finished."""
    pictures = []
    for setting in found.settings[:_PICTURES]:
        runs = found.runs[(found.runs.setting == setting) & (found.runs.status == "done")]
        for run in runs.itertuples():
            paths = sorted((workdir / "runs" / run.run / "samples").glob("step_*.png"))
            if paths:
                content = base64.b64encode(paths[-1].read_bytes()).decode()
                name = f"{found.labels[setting]}, seed {run.seed}"
                pictures.append({"name": name, "source": f"data:image/png;base64,{content}"})
                break
    return pictures


def _run_rows(found: Results) -> list[list[str]]:
    columns = ["setting", "seed", "status", "step", "seconds", *found.metrics]
    rows = [[*columns]]
    for run in found.runs.to_dict("records"):
        numbers = [number(run[name]) for name in found.metrics]
        step = "–" if run["step"] is None or run["step"] != run["step"] else f"{int(run['step']):,}"
        seconds = number(run["seconds"] if run["seconds"] is not None else math.nan)
        rows.append([found.labels[run["setting"]], str(run["seed"]), run["status"], step, seconds, *numbers])
    return rows


def _data(workdir: Path, found: Results) -> list[str]:
    """The data sets that the runs were really trained on."""
    said = []
    for run in found.runs.run:
        path = workdir / "runs" / run / "config.json"
        if path.exists():
            dataset = json.loads(path.read_text())["dataset"]
            instead = f", in place of {dataset['fallback_for']}" if dataset["fallback_for"] else ""
            said.append(
                f"{dataset['name']} ({dataset['num_examples']:,} examples, {dataset['origin']}{instead})"
            )
    return list(dict.fromkeys(said))


def _svg(text: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(text.encode()).decode()}"
