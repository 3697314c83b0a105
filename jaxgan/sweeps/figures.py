"""The figures of a sweep's report, and their files."""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxgan.sweeps.results import MIN_SEEDS, Frame, interval

Figure = Any  # a matplotlib Figure; matplotlib is imported late

# Okabe and Ito's colours, distinguishable for the colour-blind
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#7b4fa3")
_WIDTH = 5.2  # inches; about as many pixels at 72 a inch as a phone has
_POINTS = 200  # of a curve; more are thinned out


def draw_intervals(
    table: Frame, values: dict[str, np.ndarray], labels: dict[str, str], spread: str = "interval"
) -> Figure:
    """The mean and its spread of each setting, over dots for its seeds.

    Args:
      table: rows of `results.summarize`, of one metric.
      values: setting → those of its seeds `[n]`.
      labels: setting → its name.
      spread: 'interval', or 'stderr': one standard error to each side.
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = start(0.9 + 0.32 * len(table))
    for place, row in enumerate(table.itertuples()):
        colour = COLOURS[place % len(COLOURS)]
        dots = values[row.setting]
        axes.scatter(dots, np.full(len(dots), place), s=14, color=colour, alpha=0.35, linewidths=0)
        ends = [row.low, row.high] if spread == "interval" else [row.mean - row.stderr, row.mean + row.stderr]
        axes.plot(ends, [place, place], color=colour, linewidth=2)
        axes.scatter([row.mean], [place], s=34, color=colour, zorder=3, edgecolors="white")
    axes.set_yticks(range(len(table)), [_wrap(labels[setting]) for setting in table.setting])
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.set_xlabel(table.metric.iloc[0], fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="x", alpha=0.3, linewidth=0.6)
    return finish(figure, axes)


def draw_bands(
    curves: Frame,
    metric: str,
    settings: Sequence[str],
    labels: dict[str, str],
    spread: str = "interval",
    within: tuple[float, float] = (-math.inf, math.inf),
) -> Figure:
    """The mean curve of each setting with a band over its seeds.

    Args:
      curves: setting, seed, step, value, of one metric and of runs that did not diverge or fail.
      metric: its name.
      settings: which of them to draw, in this order.
      labels: setting → its name.
      spread: what the band is: the 95 % interval of the mean (`results.interval`), or one standard error to
        each side ('stderr').
      within: the range of possible values.
    """
    from matplotlib.ticker import EngFormatter, MaxNLocator

    figure, axes = start(3.1)
    for i, setting in enumerate(settings):
        rows = curves[curves.setting == setting].pivot_table(index="seed", columns="step", values="value")
        if not len(rows):
            continue
        rows = rows.dropna(axis="columns")  # if some seeds have no value, the mean would be over other seeds
        if not rows.shape[1]:
            continue
        rows = rows.iloc[:, np.unique(np.linspace(0, rows.shape[1] - 1, _POINTS).astype(int))]
        steps, seeds = rows.columns.to_numpy(), rows.to_numpy()
        colour = COLOURS[i % len(COLOURS)]
        style = ("-", "--", ":")[i // len(COLOURS) % 3]
        marker = "o" if len(steps) < 30 else ""
        line = {"color": colour, "linewidth": 1.6, "marker": marker, "markersize": 3.5}
        axes.plot(steps, seeds.mean(axis=0), style, label=_wrap(labels[setting]), **line)
        if len(seeds) >= MIN_SEEDS:
            if spread == "interval":
                low, high = np.transpose([interval(values, *within) for values in seeds.T])
            else:
                error = seeds.std(axis=0, ddof=1) / math.sqrt(len(seeds))
                low, high = seeds.mean(axis=0) - error, seeds.mean(axis=0) + error
            axes.fill_between(steps, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.set_xlabel("step", fontsize=9)
    axes.set_ylabel(metric, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.3, linewidth=0.6)
    if len(settings) > 1:
        columns = 1 if max(len(labels[setting]) for setting in settings) > 32 else 2
        figure.set_figheight(3.1 + 0.2 * -(-len(settings) // columns))
        figure.legend(fontsize=8, frameon=False, loc="outside lower center", ncols=columns)
    return finish(figure, axes)


def draw_heat_map(table: Frame) -> Figure:
    """A heat map of means over two swept numbers: index and columns of `table`."""
    values = table.to_numpy(float)
    figure, axes = start(1.3 + 0.42 * len(table))
    image = axes.imshow(values, cmap="viridis", aspect="auto")
    middle = (np.nanmin(values) + np.nanmax(values)) / 2
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if value < middle else "black"
            axes.text(column, row, f"{value:.3g}", ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(table.shape[1]), [f"{x:g}" for x in table.columns])
    axes.set_yticks(range(table.shape[0]), [f"{x:g}" for x in table.index])
    axes.set_xlabel(table.columns.name, fontsize=9)
    axes.set_ylabel(table.index.name, fontsize=9)
    figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02).ax.tick_params(labelsize=8)
    return finish(figure, axes)


def start(height: float):
    """A figure with one pair of axes, `height` inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def finish(figure, axes) -> Figure:
    """Applies the common style."""
    axes.tick_params(labelsize=8.5)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def svg(figure: Figure) -> str:
    """The figure as SVG text, reproducible."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": "jaxgan"}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    return buffer.getvalue()


def pdf(figure: Figure) -> bytes:
    """The figure as a PDF file with text, reproducible."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    buffer = io.BytesIO()
    with rc_context({"pdf.fonttype": 42}):
        FigureCanvasPdf(figure).print_pdf(buffer, metadata={"CreationDate": None})
    return buffer.getvalue()


def _wrap(label: str, width: int = 30) -> str:
    """Wraps a text into lines of about this many letters."""
    lines = [""]
    for word in label.split(", "):
        if lines[-1] and len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += (", " if lines[-1] else "") + word
    return "\n".join(lines)
