"""The numbers of a sweep in words, and as the tables of a paper."""

import math

from jaxgan.sweeps.results import Frame, Results


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
    """A share in [0, 1]; a dash for NaN."""
    return "–" if not math.isfinite(share) else f"{100 * share:.0f} %"


HEAD = ("setting", "seeds", "mean [95 % interval]", "median", "failed", "difference", "p", "p corrected")


def cells(row, labels: dict[str, str], baseline: str) -> list[str]:
    """A row of `results.summarize` in words, under HEAD."""
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


def _frame(found: Results, table: Frame) -> Frame:
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


def markdown(found: Results, table: Frame, baseline: str) -> str:
    """A row a setting, with its caption."""
    frame = _frame(found, table).map(lambda cell: str(cell).replace("|", "\\|"))
    rows = [frame.columns, ["---"] * frame.shape[1], *frame.to_numpy()]
    text = "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)
    return f"{text}\n\n{_caption(found, baseline)}\n"


def latex(found: Results, table: Frame, baseline: str) -> str:
    """The same, for the package booktabs."""

    def escape(text):
        for letter in "&%$#_":
            text = str(text).replace(letter, f"\\{letter}")
        return text.replace("–", "--").replace("<", "$<$")

    frame = _frame(found, table)
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
