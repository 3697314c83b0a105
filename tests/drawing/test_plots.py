import json
import math

import numpy as np
import pytest
from runs import lines as lines_of

from jaxgan import datasets
from jaxgan.datasets import Mixture
from jaxgan.drawing import plots
from jaxgan.metrics.modes import mode_coverage

NAMES = {
    "losses": ["discriminator_loss", "generator_loss"],
    "mean output of the discriminator": ["D(x)", "D(G(z))"],
    "accuracy of the discriminator": ["accuracy_real", "accuracy_fake"],
    "gradient norms": ["discriminator_grad_norm", "generator_grad_norm"],
    "diversity in a batch, fake / real": ["diversity"],
}


@pytest.fixture
def figures(monkeypatch):
    """The rendered figures, in order."""
    found = []
    render = plots.render
    monkeypatch.setattr(plots, "render", lambda figure: found.append(figure) or render(figure))
    return found


def panels(figure):
    """title -> the labels of the curves."""
    return {
        axes.get_title(): [text.get_text() for text in (legend.get_texts() if legend else [])]
        for axes in figure.axes
        for legend in [axes.get_legend()]
    }


def line(step, value=1.0, names=NAMES):
    return {"step": step, **{name: value for group in names.values() for name in group}, "dataset": "ring"}


def test_the_curves_of_a_run(trained, figures):
    picture = plots.draw_curves(lines_of(trained))
    assert picture.mode == "RGB" and picture.width > 1000
    assert panels(figures[0]) == {
        "losses": ["discriminator", "generator"],
        "mean output of the discriminator": ["D(x)", "D(G(z))"],
        "accuracy of the discriminator": ["real", "fake"],
        "gradient norms": ["discriminator", "generator"],
        "diversity in a batch, fake / real": [],
    }
    for axes in figures[0].axes:
        names = NAMES[axes.get_title()]
        for drawn, name in zip(
            axes.get_lines(), names, strict=True
        ):  # few points: not averaged, with markers
            expected = [(row["step"], row[name]) for row in lines_of(trained)]
            np.testing.assert_array_equal(drawn.get_xydata(), expected)
            assert drawn.get_marker() == "o"
        assert axes.get_yscale() == ("log" if axes.get_title() == "gradient norms" else "linear")
        low, high = axes.get_ylim()
        values = [row[name] for row in lines_of(trained) for name in names]
        assert low < min(values) and max(values) < high


def test_lines_need_not_have_the_same_keys(figures):
    lines = [line(step) for step in range(1, 8)]
    lines.append({"step": 7, "classifier_frechet_distance_10k": 12.5, "raw_frechet_distance_10k": 30.0})
    lines.append({"step": 3, "classifier_frechet_distance_10k": 40.0, "digits_seen": 7, "modes": 8})
    lines += [
        {"step": 3, "classifier_recall_10k": 0.5, "classifier_precision_10k": 0.7, "discriminator/r1": 0.1}
    ]
    lines += [{"step": 3, "kernel_distance": 0.4, "kernel_distance_stderr": 0.1}]
    plots.draw_curves(lines)
    found = panels(figures[0])
    assert found["Fréchet distance"] == ["classifier 10k", "raw 10k"]
    assert found["precision and recall"] == ["classifier precision 10k", "classifier recall 10k"]
    assert found["penalties"] == ["discriminator/r1"] and found["kernel distance"] == []
    assert list(found)[5:] == [
        "penalties", "Fréchet distance", "kernel distance", "precision and recall", "modes found",
        "digits seen",
    ]  # fmt: skip
    distances = figures[0].axes[6].get_lines()
    np.testing.assert_array_equal(distances[0].get_xydata(), [(3, 40.0), (7, 12.5)])
    np.testing.assert_array_equal(distances[1].get_xydata(), [(7, 30.0)])
    (bar,) = figures[0].axes[7].containers
    np.testing.assert_allclose(bar.lines[2][0].get_segments(), [[(3, 0.3), (3, 0.5)]])


def test_values_that_cannot_be_drawn_are_skipped(figures):
    lines = [
        line(1),
        line(2, math.nan),
        line(3, math.inf),
        line(4, None),
        line(5, "much"),
        line(6, True),
        line(7),
    ]
    plots.draw_curves([json.loads(json.dumps(row)) for row in lines])
    for axes in figures[0].axes:
        for drawn in axes.get_lines():
            np.testing.assert_array_equal(drawn.get_xdata(), [1, 7])
    plots.draw_curves([line(1, 0.0), line(2, -1.0)])  # not positive: no logarithmic axis
    assert {axes.get_yscale() for axes in figures[1].axes} == {"linear"}


@pytest.mark.parametrize(
    "lines", [[], [{"step": 3}], [{"step": 1, "dataset": "ring", "images_per_second": 8.0}]]
)
def test_missing_metrics_are_reported(lines, figures):
    plots.draw_curves(lines)
    assert not figures[0].axes and figures[0].texts[0].get_text() == "no metrics yet"


def test_a_single_line_gives_points(figures):
    picture = plots.draw_curves([line(0)])
    assert len(figures[0].axes) == 5 and picture.width > 1000


def test_many_points_get_a_running_mean(figures):
    noise = np.random.default_rng(0).normal(size=1000)
    noise[500] = 1000
    plots.draw_curves(
        [{"step": i, "a_loss": 5 + v, "a_grad_norm": math.exp(v / 99)} for i, v in enumerate(noise)]
    )
    losses, norms = figures[0].axes
    raw, mean = losses.get_lines()
    np.testing.assert_array_equal(raw.get_ydata(), 5 + noise)
    assert raw.get_alpha() < 0.5 and mean.get_marker() in ("", "None")
    expected = [5 + noise[max(0, i - 25) : i + 26].mean() for i in range(1000)]
    np.testing.assert_allclose(mean.get_ydata(), expected, rtol=1e-9)
    low, high = losses.get_ylim()
    assert 2 * max(expected) > high > max(expected) and 0 < low < 3  # an outlier does not determine the scale
    expected = [math.exp(noise[max(0, i - 25) : i + 26].mean() / 99) for i in range(1000)]
    np.testing.assert_allclose(norms.get_lines()[1].get_ydata(), expected, rtol=1e-9)


def disc_of(mixture):
    """A discriminator that judges points within .5 of a mode as real."""

    def discriminate(points):
        assert points.dtype == np.float32 and points.ndim == 2
        return 0.5 - np.linalg.norm(points[:, None] - mixture.centres[None], axis=-1).min(axis=1)

    return discriminate


@pytest.mark.parametrize(("name", "threshold"), [("ring", 0.0), ("grid", None)])
def test_samples_and_the_discriminator_of_a_mixture(name, threshold, figures):
    data = datasets.load(name, num_points=400)
    picture = plots.draw_mixture(
        data.examples, data.mixture, disc_of(data.mixture), "a title", threshold=threshold
    )
    left, right, bar = figures[0].axes
    assert picture.mode == "RGB" and picture.width > 1000
    assert figures[0].get_suptitle() == "a title"
    (image,) = left.get_images()
    field, (low, high) = image.get_array(), image.get_clim()
    undecided = (low + high) / 2
    assert abs(undecided) < 1e-9 if threshold == 0.0 else 0.2 < undecided < 0.5
    assert field[0, 0] < undecided  # beyond all modes
    assert (field[100, 100] > 0) == (name == "grid")  # the grid has a mode at its centre, the ring has none
    drawn = [np.asarray(collection.get_offsets()) for collection in left.collections]
    for expected in (data.examples, data.mixture.centres):
        assert any(part.shape == expected.shape and np.allclose(part, expected) for part in drawn)
    found = mode_coverage(data.examples, *data.mixture)
    share = f"{found['good']:.1%} of samples within 3 σ"
    assert right.get_title() == f"{found['modes']:.0f} of {len(data.mixture.centres)} modes met, {share}"
    assert "real" in bar.get_ylabel()


def test_stray_samples_are_counted(figures):
    mixture = Mixture(np.array([[0.0, 0.0], [1.0, 0.0]]), 0.1)
    samples = np.array([[0.0, 0.2], [0.0, 0.35], [50.0, 0.0], [np.nan, 0.0]])
    plots.draw_mixture(samples, mixture, lambda points: np.zeros(len(points)))
    left, right, _ = figures[0].axes
    assert (
        "2 of 4 outside" in left.get_title()
        and right.get_title() == "1 of 2 modes met, 25.0% of samples within 3 σ"
    )
    low, high = left.get_xlim()
    assert -3 < low < -0.5 and 1.5 < high < 4


def test_samples_that_are_not_in_a_plane_are_refused():
    mixture = Mixture(np.zeros((2, 2)), 0.1)
    for samples in (np.zeros((5, 3)), np.zeros((5, 8, 8, 1)), np.zeros((0, 2)), np.full((2, 2), np.nan)):
        with pytest.raises(ValueError, match="points|finite"):
            plots.draw_mixture(samples, mixture, len)
    with pytest.raises(ValueError, match="points"):
        plots.draw_mixture(np.zeros((5, 2)), Mixture(np.zeros((2, 3)), 0.1), len)


def test_curves_are_titled_and_counts_have_whole_numbers():
    from matplotlib.figure import Figure

    lines = [{"step": step, "modes": modes, "diversity": 0.5} for step, modes in ((10, 2), (20, 3), (30, 4))]
    titled, plain = plots.draw_curves(lines, "ring_1: ring"), plots.draw_curves(lines)
    assert titled.size == plain.size and titled.tobytes() != plain.tobytes()
    axes = Figure().subplots()
    steps = np.array([10.0, 20.0, 30.0])
    plots._draw_panel(axes, "^", "linear", {"modes": (steps, np.array([2.0, 3.0, 4.0]))}, {})
    assert all(tick == round(tick) for tick in axes.get_yticks())
    axes = Figure().subplots()
    plots._draw_panel(axes, "^", "linear", {"loss": (steps, np.array([0.5, 1.5, 1.0]))}, {})
    assert not all(tick == round(tick) for tick in axes.get_yticks())
