"""Plots of a run: curves of its metrics, and samples over the true density."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from jaxgan.datasets.dataset import Mixture
from jaxgan.drawing.grids import draw_circles, render

# Panels: title, pattern of the names of curves, scale. The legend has only the part of a name that the
# pattern leaves open. A 'share' shows all of [0, 1] if its values are within.
_PANELS = (
    ("losses", r"_loss$", "linear"),
    ("mean output of the discriminator", r"^(?=D\()", "share"),
    ("accuracy of the discriminator", r"^accuracy_", "share"),
    ("gradient norms", r"_grad_norm$", "log"),
    ("diversity in a batch, fake / real", r"^diversity$", "linear"),
    ("penalties", r"(?=/)", "linear"),
    ("Fréchet distance", r"_?frechet_distance|^(?=fid_)", "linear"),
    ("kernel distance", r"_?kernel_distance|^(?=kid_)", "linear"),
    ("precision and recall", r"(?=precision|recall)", "share"),
    ("modes found", r"(^|_)modes(?=_|$)", "linear"),
    ("reverse KL divergence, nats", r"(^|_)reverse_kl(?=_|$)", "linear"),
    ("density and coverage", r"(?=density|coverage)", "linear"),
)
_LEFT_OUT = ("step", "images_per_second")
_ERROR = re.compile(r"_(stderr|std)(?=_|$)")  # a metric's error bar
_IS_FAKE, _IS_REAL = re.compile(r"generator|fake|G\(z"), re.compile(r"discriminator|real|D\(x")
_FAKE, _REAL = "#d55e00", "#0072b2"  # Okabe and Ito's colours, distinguishable for the colour-blind
_OTHERS = ("#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#555555")
_SMOOTH_FROM = 100  # points; fewer are drawn without a mean
_MARK_UP_TO = 40  # points; curves with fewer have markers
_SMALL = {"fontsize": 8}
_FIELD = 200  # points on a side at which the discriminator is evaluated


def draw_curves(lines: Sequence[dict[str, Any]], title: str = "") -> Image.Image:
    """All metrics of a run over its steps, in panels of related metrics.

    A curve of many points is drawn faint, with its running mean (of logarithms on a logarithmic scale). The
    panel shows all of the mean and the middle 99 % of the points. A curve of few points, for example of
    evaluations, has markers. `NAME_stderr` and `NAME_std` become the error bars of `NAME`.

    Args:
      lines: of metrics.jsonl, parsed. Timings and numbers that are not finite are ignored.
      title: written above.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, MaxNLocator

    curves = _read_curves(lines)
    errors = {_ERROR.sub("", name): curves[name] for name in curves if _ERROR.search(name)}
    panels = _panels(name for name in curves if not (_ERROR.search(name) and _ERROR.sub("", name) in curves))
    if not panels:
        figure = Figure(figsize=(4, 1.5), dpi=100)
        figure.text(0.5, 0.5, "no metrics yet", ha="center", va="center")
        return render(figure)
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(4.2 * columns, 2.8 * rows), dpi=100, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (heading, pattern, scale, names) in zip(grid, panels, strict=False):
        _draw_panel(axes, pattern, scale, {name: curves[name] for name in names}, errors)
        axes.set_title(heading, fontsize=10)
        axes.set_xlabel("step", **_SMALL)
        axes.set_xlim(0, 1.01 * max(1, *(steps[-1] for steps, _ in curves.values())))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.tick_params(which="both", labelsize=8)
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[len(panels) :]:
        axes.remove()
    if title:
        figure.suptitle(title, fontsize=10)
    return render(figure)


def _read_curves(lines):
    """name -> (steps [n], values [n]), by step."""
    points: dict[str, dict[int, float]] = {}
    for line in lines:
        for name, value in line.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if name not in _LEFT_OUT and is_number and math.isfinite(value):
                points.setdefault(name, {})[line["step"]] = float(value)
    return {name: tuple(np.array(sorted(values.items())).T) for name, values in points.items()}


def _panels(names):
    """[title, pattern, scale, names] of each panel: the known ones in their order, then the others."""
    panels = {title: [title, pattern, scale, []] for title, pattern, scale in _PANELS}
    for name in sorted(names, key=lambda name: (bool(_IS_FAKE.search(name)), name)):
        own = name.replace("_", " ")
        title = next((title for title, pattern, _ in _PANELS if re.search(pattern, name)), own)
        panels.setdefault(title, [title, f"^{re.escape(name)}$", "linear", []])[-1].append(name)
    return [panel for panel in panels.values() if panel[-1]]


def _draw_panel(axes, pattern, scale, curves, errors):
    from matplotlib.ticker import MaxNLocator

    logarithmic = scale == "log" and all((values > 0).all() for _, values in curves.values())
    colours = iter(_OTHERS * len(curves))
    shown = []
    for name, (steps, values) in curves.items():
        colour = _FAKE if _IS_FAKE.search(name) else _REAL if _IS_REAL.search(name) else next(colours)
        label = re.sub(pattern, "", name).replace("_", " ").strip()
        drawn = values
        if len(values) >= _SMOOTH_FROM:
            axes.plot(steps, values, color=colour, alpha=0.3, linewidth=0.6)
            drawn = np.exp(_running_mean(np.log(values))) if logarithmic else _running_mean(values)
            shown.append(np.quantile(values, [0.005, 0.995]))
        if name in errors:
            places, sizes = errors[name]
            middle = np.interp(places, steps, values)
            axes.errorbar(places, middle, sizes, fmt="none", ecolor=colour, elinewidth=0.9, capsize=2.5)
            shown += [middle - sizes, middle + sizes]
        marker = "o" if len(values) <= _MARK_UP_TO else ""
        axes.plot(steps, drawn, color=colour, linewidth=1.5, marker=marker, markersize=4, label=label)
        shown.append(drawn)
    low, high = min(part.min() for part in shown), max(part.max() for part in shown)
    if logarithmic:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.15, high * 1.15)
    elif scale == "share" and low >= 0 and high <= 1:
        axes.set_ylim(-0.03, 1.03)
    else:
        margin = 0.06 * (high - low) or 0.05 * abs(high) or 1
        axes.set_ylim(low - margin, high + margin)
    if high > 1 and all((values == np.round(values)).all() for _, values in curves.values()):  # counts
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    if len(curves) > 1 or label:
        axes.legend(fontsize=8, framealpha=0.8, edgecolor="none")


def _running_mean(values):
    """The centred running mean over about a twentieth of the points, over fewer at the ends."""
    half = len(values) // 40
    sums = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(len(values))
    first, last = np.maximum(place - half, 0), np.minimum(place + half + 1, len(values))
    return (sums[last] - sums[first]) / (last - first)


def draw_mixture(
    samples: Float[np.ndarray, "N 2"],
    mixture: Mixture,
    discriminator: Callable[[Float[np.ndarray, "M 2"]], Float[np.ndarray, " M"]],
    title: str = "",
    *,
    threshold: float | None = 0.0,
) -> Image.Image:
    """Samples over the true density and the discriminator's output; and their offsets from the modes.

    The left plot shows the discriminator's output in two colours, with a line at the threshold between real
    and fake; circles of 3 σ around the modes; and the samples. The right plot shows the offset of every
    sample from its nearest mode, in σ.

    Args:
      samples: `[N, 2]`; those that are not finite or far away are counted, not drawn.
      mixture: the true density, in two dimensions.
      discriminator: points float32 `[K, 2]` -> outputs `[K]`, larger for examples that it judges real.
      title: written above.
      threshold: the output between real and fake: 0 for logits, ½ for probabilities. None: halfway between
        the mean outputs on the modes and on the samples (for critics).
    """
    from matplotlib.figure import Figure

    if samples.ndim != 2 or samples.shape[1] != 2 or mixture.centres.shape[1] != 2:
        raise ValueError(f"points [N, 2] can be drawn, not {samples.shape} of {mixture.centres.shape[1]}")
    finite = samples[np.isfinite(samples).all(axis=1)].astype(np.float64)
    if not len(finite):
        raise ValueError(f"none of {len(samples)} samples is finite")
    nearest = np.linalg.norm(finite[:, None] - mixture.centres[None], axis=-1).argmin(axis=1)
    offsets = (finite - mixture.centres[nearest]) / mixture.std
    good = np.linalg.norm(offsets, axis=1) <= 3
    middle, reach = _view(finite, mixture)

    figure = Figure(figsize=(11.6, 5.5), dpi=100, layout="compressed")
    left, right = figure.subplots(1, 2)
    bar = _draw_field(left, middle, reach, finite, mixture, discriminator, threshold)
    bar.set_label("discriminator (blue: real, red: fake)", **_SMALL)
    bar.ax.tick_params(labelsize=8)
    draw_circles(left, mixture.centres, 3 * mixture.std)
    left.scatter(*finite.T, s=5, color="black", alpha=0.4, linewidths=0)
    left.set(xlim=middle[0] + reach * np.array([-1, 1]), ylim=middle[1] + reach * np.array([-1, 1]))
    outside = len(samples) - int((abs(finite - middle) <= reach).all(axis=1).sum())
    note = f"; {outside:,} of {len(samples):,} outside" if outside else ""
    left.set_title(f"samples, and modes with their 3 σ{note}", fontsize=10)

    right.scatter(*offsets.T, s=6, color="black", alpha=0.4, linewidths=0)
    draw_circles(right, np.zeros((3, 2)), [1, 2, 3])
    right.set(xlim=(-10, 10), ylim=(-10, 10), xticks=range(-9, 10, 3), yticks=range(-9, 10, 3))
    right.set_xlabel("offset from the nearest mode, σ", **_SMALL)
    met = f"{len(np.unique(nearest[good]))} of {len(mixture.centres)} modes met, "
    share = f"{good.sum() / len(samples):.1%} of samples within 3 σ"
    right.set_title(met + share, fontsize=10)
    for axes in (left, right):
        axes.set_aspect("equal")
        axes.tick_params(labelsize=8)
    figure.suptitle(title, fontsize=12)
    return render(figure)


def _view(points, mixture):
    """Centre [2] and half-width of the square to show: all modes, and 99 % of the points unless far away."""
    middle = (mixture.centres.min(axis=0) + mixture.centres.max(axis=0)) / 2
    modes = abs(mixture.centres - middle).max() + 6 * mixture.std
    far = np.quantile(abs(points - middle).max(axis=1), 0.99)
    return middle, 1.15 * min(max(modes, far), 2 * modes)


def _draw_field(axes, middle, reach, samples, mixture, discriminator, threshold):
    """Draws the discriminator's output in colours, with a line at the threshold; returns the colour bar."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    def discriminate(points):
        return np.asarray(discriminator(points.astype(np.float32)), np.float64)

    if threshold is None:
        threshold = (discriminate(mixture.centres).mean() + discriminate(samples).mean()) / 2
    places = np.linspace(-reach, reach, _FIELD)
    x, y = np.meshgrid(middle[0] + places, middle[1] + places)
    field = discriminate(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(x.shape)
    spread = np.quantile(abs(field - threshold), 0.98) or 1
    beyond = abs(field - threshold).max() > 1.01 * spread
    pale = colormaps["RdBu"](np.linspace(0.25, 0.75, 256))  # without the dark ends, which would hide samples
    image = axes.imshow(
        field,
        cmap=ListedColormap(pale),
        vmin=threshold - spread,
        vmax=threshold + spread,
        extent=(x[0, 0], x[0, -1], y[0, 0], y[-1, 0]),
        origin="lower",
        interpolation="bilinear",
    )
    if field.min() < threshold < field.max():
        axes.contour(x, y, field, levels=[threshold], colors="0.35", linewidths=0.8)
    extend = "both" if beyond else "neither"
    return axes.figure.colorbar(image, ax=axes, extend=extend, fraction=0.046, pad=0.02)
