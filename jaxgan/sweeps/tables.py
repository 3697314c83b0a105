"""The numbers of a sweep as text, and as tables for a paper."""

import math

from jaxgan.evaluation.naming import number_of
from jaxgan.sweeps.results import ALPHA, MIN_SEEDS, Frame, Results


def is_scientific(x: float) -> bool:
    """Whether a number is long without an exponent."""
    return x != 0 and math.isfinite(x) and not 1e-3 <= abs(x) < 1e5


def number(x: float, digits: int = 3, scientific: bool | None = None) -> str:
    """A number with about `digits` significant digits; a dash for NaN.

    Args:
      x: the number.
      digits: how many.
      scientific: whether to write an exponent; None: if the number is long without.
    """
    if x is None or not math.isfinite(x):
        return "–"
    if is_scientific(x) if scientific is None else scientific:
        return f"{x:.{digits - 1}e}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(x)))) if x else 0
    return f"{x:.{min(places, 6)}f}"


def estimate(row, scientific: bool | None = None, spread: str = "interval") -> str:
    """A mean with its spread, all to the same decimal place: that of the spread's second digit.

    Args:
      row: of `results.summarize`.
      scientific: whether with exponents, as the column has it; None: where the mean is long without.
      spread: of SPREADS.
    """
    if not math.isfinite(row.mean):
        return "–"
    shown, width, form = {
        "interval": ((row.low, row.high), row.high - row.low, "{} [{}, {}]"),
        "stderr": ((row.stderr,), row.stderr, "{} ± {}"),
    }[spread]
    if not all(map(math.isfinite, shown)):
        return number(row.mean, scientific=scientific)
    size = width if width > 0 else abs(row.mean) / 10
    last = math.floor(math.log10(size)) - 1 if size else 0  # the power of ten of the last digit
    if is_scientific(row.mean) if scientific is None else scientific:
        return form.format(*(f"{x:.{_digits(x, last)}e}" for x in (row.mean, *shown)))
    places = max(0, -last)
    return form.format(*(f"{x:.{places}f}" for x in (row.mean, *shown)))


def _digits(x: float, last: int) -> int:
    """Behind the point of x with an exponent, down to the power of ten `last`."""
    return max(1, math.floor(math.log10(abs(x))) - last) if x else 1


def scientific_column(table: Frame) -> bool:
    """Whether all means of a number are written with exponents."""
    means = [abs(mean) for mean in table["mean"] if math.isfinite(mean)]
    return is_scientific(max(means, default=0.0))


def p_value(p: float) -> str:
    """A p-value as in papers; a dash for NaN."""
    return "–" if not math.isfinite(p) else "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0") or "0"


def percent(share: float) -> str:
    """A share in [0, 1] in percent; a dash for NaN."""
    return "–" if not math.isfinite(share) else f"{100 * share:.0f} %"


SPREADS = {"interval": "mean [95 % interval]", "stderr": "mean ± standard error"}


def head(spread: str) -> list[str]:
    """The names of the columns of `cells`."""
    return ["setting", "seeds", SPREADS[spread], "median", "failed", "difference", "p", "p corrected"]


def cells(
    row, labels: dict[str, str], baseline: str, scientific: bool | None = None, spread: str = "interval"
) -> list[str]:
    """A row of `results.summarize` as text, for the columns `head`; other arguments as of `estimate`."""
    tested = row.setting != baseline
    return [
        labels[row.setting],
        str(row.n),
        estimate(row, scientific, spread),
        number(row.median, scientific=scientific),
        percent(row.failed),
        number(row.difference) if tested else "baseline",
        p_value(row.p) if tested else "",
        p_value(row.p_corrected) if tested else "",
    ]


def _frame(found: Results, table: Frame, spread: str, bold: str) -> Frame:
    """The table for papers: a row for each setting, a column for each number; `bold` formats the best."""
    import pandas as pd

    rows = []
    scientific = {metric: scientific_column(part) for metric, part in table.groupby("metric")}
    for setting, of_setting in table.groupby("setting", sort=False):
        row = {"setting": found.labels[setting], "seeds": max(of_setting.n)}
        for cell in of_setting.itertuples():
            star = "*" if cell.p_corrected < ALPHA else ""
            form = scientific[cell.metric]
            words = estimate(cell, form, spread)
            row[_titled(cell.metric)] = (bold.format(words) if cell.best else words) + star
            row[f"{cell.metric}, median"] = number(cell.median, scientific=form)
        row["failed"] = percent(of_setting.failed.iloc[0])
        rows.append(row)
    return pd.DataFrame(rows)


def _titled(metric: str) -> str:
    number = number_of(metric)
    return f"{metric} {number.arrow}".rstrip() if number else metric


def _caption(found: Results, baseline: str, spread: str) -> str:
    spreads = {
        "interval": f"a 95 % interval (Student's t, from {MIN_SEEDS} seeds on)",
        "stderr": "its standard error",
    }
    text = (
        f"Mean over training seeds with {spreads[spread]}, and median; runs that diverged are left out and "
        "counted as failed."
    )
    if not found.evaluated:
        return f"{text} Numbers of the training, which are not compared."
    return (
        f"{text} *: differs from the baseline '{found.labels[baseline]}' (permutation test of paired seeds, "
        f"Holm-corrected p < {ALPHA}). Bold: better than every other setting (the largest p of the one-sided "
        f"tests, times the number of settings, < {ALPHA})."
    )


def markdown(found: Results, table: Frame, baseline: str, spread: str = "interval") -> str:
    """The table in Markdown, with a caption."""
    frame = _frame(found, table, spread, "**{}**").map(lambda cell: str(cell).replace("|", "\\|"))
    rows = [frame.columns, ["---"] * frame.shape[1], *frame.to_numpy()]
    text = "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)
    return f"{text}\n\n{_caption(found, baseline, spread)}\n"


_LATEX = str.maketrans({"–": "--", "<": "$<$", "±": "$\\pm$", "↑": "$\\uparrow$", "↓": "$\\downarrow$"})


def latex(found: Results, table: Frame, baseline: str, spread: str = "interval") -> str:
    """The table in LaTeX, for the package booktabs."""

    def escape(text):
        for letter in "&%$#_":
            text = str(text).replace(letter, f"\\{letter}")
        return text.translate(_LATEX)

    frame = _frame(found, table, spread, "\\textbf{{{}}}")
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
        f"\\caption{{{escape(_caption(found, baseline, spread))}}}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"
