"""The statistics and the report of a sweep, with synthetic results."""

import html
import itertools
import json
import math
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from jaxgan.errors import UserError
from jaxgan.metrics.number import Number
from jaxgan.sweeps import report, results, tables

LOSSES, WEIGHTS, SEEDS = ("hinge", "wasserstein"), (0.1, 1.0), range(6)
BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A sweep of 24 runs: hinge is better by 1, and a run of wasserstein has diverged."""
    workdir = tmp_path_factory.mktemp("sweep")
    source = np.random.default_rng(0)
    runs, outcomes = [], []
    for i, (loss, weight, seed) in enumerate(itertools.product(LOSSES, WEIGHTS, SEEDS)):
        values = {"loss.name": loss, "regularizers.r1.weight": weight}
        setting = f"loss.name={loss}, regularizers.r1.weight={weight:g}"
        name = f"run{i}"
        runs.append({"name": name, "setting": setting, "seed": seed, "values": values,
                     "config": {"num_steps": 40}})  # fmt: skip
        diverged = loss == "wasserstein" and seed == 3 and weight == 1
        status, reason = ("diverged", "<b>NaN</b> & more") if diverged else ("done", "")
        outcomes.append({"status": status, "step": 40, "seconds": 1.5, "reason": reason})
        lines = []
        for step in (10, 20, 30, 40, 50):  # 50: from a run that was continued alone
            if diverged and step > 10:
                break
            lines.append({"step": step, "discriminator_loss": 1.0 / step, "generator_loss": 1.0,
                          "dataset": "ring", "images_per_second": 10.0})  # fmt: skip
            modes = 7 + (loss == "hinge") + 0.1 * source.normal() + (100 if step == 50 else 0)
            lines.append({"step": step, "modes_2.5k": modes, "dataset": "ring"})
        run = workdir / "runs" / name
        (run / "samples").mkdir(parents=True)
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        Image.new("RGB", (60, 60), "teal").save(run / "samples" / "step_00000040.png")
    (workdir / "parts" / "0000").mkdir(parents=True)
    (workdir / "parts" / "0000" / "result.json").write_text(json.dumps({"runs": outcomes}))
    record = {"command": "python launch.py --sweep='a&b'", "versions": {"jax": "1"}, "runs": runs,
              "parts": [list(range(len(runs)))]}  # fmt: skip
    (workdir / "sweep.json").write_text(json.dumps(record))
    return workdir


def test_one_row_per_run(folder):
    found = results.read(folder)
    assert len(found.runs) == 24 and found.metrics == ["modes_2.5k"]
    assert found.fields == ["loss.name", "regularizers.r1.weight"]
    assert found.runs["modes_2.5k"].max() < 10  # no values beyond the steps of the sweep
    assert set(found.runs.status) == {"done", "diverged"}
    assert found.labels["loss.name=hinge, regularizers.r1.weight=0.1"] == "hinge, r1.weight=0.1"


def test_the_summary_matches_the_synthetic_results(folder):
    found = results.read(folder)
    table = results.summarize(found, found.settings[0]).set_index("setting")
    assert list(table.n) == [6, 6, 6, 5]
    assert list(table.failed.round(3)) == [0, 0, 0, 0.167]
    worse = table.loc["loss.name=wasserstein, regularizers.r1.weight=0.1"]
    assert worse.low < worse["mean"] < worse.high and abs(worse["mean"] - 7) < 0.1
    assert abs(worse.difference + 1) < 0.2
    assert worse.p == 2 / 2**6 and worse.p_corrected == 3 * worse.p
    assert math.isnan(table.loc[found.settings[0]].p)


def test_statistics():
    assert results.holm(np.array([0.01, math.nan, 0.04, 0.03]))[[0, 2, 3]].tolist() == [0.03, 0.06, 0.06]
    assert results.holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
    assert results.paired_test(np.zeros(4)) == 1
    assert results.paired_test(np.ones(4)) == 2 / 2**4
    assert results.interval(np.full(5, 2.0)) == (2, 2)
    assert math.isnan(results.interval(np.ones(1))[0]) and math.isnan(results.interval(np.ones(2))[0])
    # 1, 2, 3: mean 2, standard deviation 1; t with 2 degrees of freedom is 4.302653
    np.testing.assert_allclose(
        results.interval(np.arange(1.0, 4.0)), 2 + 4.302653 / 3**0.5 * np.array([-1, 1]), 1e-6
    )
    assert results.interval(np.array([0.9, 1.0, 1.0]), 0, 1)[1] == 1


@pytest.mark.parametrize("n", [3, 5, 10, 20])
def test_intervals_have_their_nominal_coverage(n):
    """For normal data. 2,000 intervals measure the coverage within ± .01 (two standard errors)."""
    source = np.random.default_rng(n)
    held = [low <= 0 <= high for low, high in (results.interval(source.normal(size=n)) for _ in range(2_000))]
    assert 0.93 <= np.mean(held) <= 0.97


def test_the_smallest_p_belongs_to_differences_of_one_sign():
    for pairs in (2, 3, 5, 8):
        assert results.paired_test(np.arange(1.0, pairs + 1)) == results.least_p(pairs)


def by_seed(*values):
    return pd.Series(np.array(values, float))


def test_the_best_is_better_than_every_other():
    """With 6 seeds the one-sided p is at least 1/64: 3/64 < .05 for 3 settings, 4/64 > .05 for 4."""
    higher, lower = Number("higher", ""), Number("lower", "")
    good, fair, poor = by_seed(5, 6, 7, 8, 9, 10), by_seed(4, 5, 6, 7, 8, 9), by_seed(1, 2, 3, 4, 5, 6)
    three = {"a": good, "b": fair, "c": poor}
    assert results.find_best(three, higher) == "a" and results.find_best(three, lower) == "c"
    assert results.find_best({**three, "d": poor - 1}, higher) == ""
    assert (
        results.find_best({"a": good, "b": by_seed(4, 5, 8, 7, 8, 9)}, higher) == ""
    )  # p = 2/32 for two settings
    assert results.find_best(three, Number("", "")) == "" and results.find_best(three, None) == ""
    assert results.find_best({"a": good}, higher) == ""
    assert results.find_best({"a": good[:1], "b": poor[:1]}, higher) == ""  # one seed is not enough
    assert results.find_best({**three, "d": by_seed()}, higher) == "a"  # no run of d finished


def test_equal_settings_are_seldom_called_best():
    """For equal settings the error rate is at most .05; 400 draws measure it within 2 · .011."""
    source, number = np.random.default_rng(0), Number("higher", "")
    found = [
        results.find_best({name: pd.Series(source.normal(size=8)) for name in "abc"}, number)
        for _ in range(400)
    ]
    assert np.mean([name != "" for name in found]) <= 0.072


def test_bold_and_standard_errors(folder):
    found = results.read(folder)
    table = results.summarize(found, found.settings[0])
    assert not table.best.any()  # both settings of hinge are equally good
    finished = found.runs[(found.runs.setting == found.settings[1])]["modes_2.5k"]
    assert table.stderr[1] == pytest.approx(finished.std(ddof=1) / 6**0.5)
    table.loc[1, "best"] = True
    assert "**" in tables.markdown(found, table, found.settings[0])
    text = tables.latex(found, table, found.settings[0], "stderr")
    assert "\\textbf{" in text and "$\\pm$" in text and "its standard error" in text and "$\\uparrow$" in text
    report.write(folder, spread="stderr")
    assert "mean ± standard error" in (folder / "report.html").read_text()


def test_losses_are_not_ranked(folder, tmp_path):
    """Without evaluations there are no tests, and the page gives the reason."""
    shutil.copytree(folder, tmp_path / "sweep")
    for path in (tmp_path / "sweep" / "runs").glob("*/metrics.jsonl"):
        kept = [line for line in path.read_text().splitlines() if "modes" not in line]
        path.write_text("\n".join(kept) + "\n")
    found = results.read(tmp_path / "sweep")
    assert found.metrics == ["generator_loss", "discriminator_loss"] and not found.evaluated
    table = results.summarize(found, found.settings[0])
    assert table.p.isna().all() and not table.best.any()
    report.write(tmp_path / "sweep")
    assert "Nothing was evaluated" in (tmp_path / "sweep" / "report.html").read_text()
    assert "not compared" in (tmp_path / "sweep" / "table.md").read_text()


def test_the_baseline_has_a_name(folder):
    settings = results.read(folder).settings
    assert results.find_baseline(settings, "") == settings[0]
    assert results.find_baseline(settings, "wasserstein, regularizers.r1.weight=1") == settings[3]
    for name in ("hinge", "nobody"):
        with pytest.raises(UserError, match="fits"):
            results.find_baseline(settings, name)


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.text = [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_report_is_a_single_file(folder):
    written = report.write(folder)
    names = [path.name for path in written]
    assert names == ["sweep.csv", "curves.csv", "report.html", "table.md", "table.tex", "figures"]
    pictures = {path.name for path in (folder / "figures").iterdir()}
    assert {"modes_2.5k_intervals.svg", "modes_2.5k_intervals.pdf", "modes_2.5k_curves.pdf"} <= pictures
    assert (folder / "figures" / "modes_2.5k_curves.pdf").read_bytes().startswith(b"%PDF")
    assert (folder / "curves.csv").read_text().startswith("setting,seed,step,metric,value")
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert page.sources and all(source.startswith("data:image/") for source in page.sources)
    assert not re.search(r"url\(|@import|<script|<link", text)
    for piece in (
        "23of 24 runs done",
        "1diverged",
        "python launch.py --sweep='a&b'",
        "<b>NaN</b> & more",
        "jax 1",
    ):
        assert piece in page.text.replace("\n", "")
    assert "modes_2.5k over" not in page.text  # a single metric gives no map
    assert len((folder / "sweep.csv").read_text().splitlines()) == 25
    markdown = (folder / "table.md").read_text().splitlines()
    assert markdown[0].startswith("| setting | seeds | modes_2.5k ↑ |")
    assert len({line.count("|") for line in markdown[:6]}) == 1
    latex = (folder / "table.tex").read_text()
    assert (
        "\\begin{tabular}{lrrrr}" in latex
        and "modes\\_2.5k" in latex
        and "17 \\%" in latex
        and " p $<$ 0.05" in latex
    )


def test_a_sweep_without_a_line_has_a_report(tmp_path):
    """A sweep that has just started, or whose runs have all failed."""
    runs = [{"name": "a", "setting": "base", "seed": 0, "values": {}, "config": {"num_steps": 4}}]
    record = {"command": "", "versions": {}, "runs": runs, "parts": [[0]]}
    (tmp_path / "sweep.json").write_text(json.dumps(record))
    report.write(tmp_path)
    assert len((tmp_path / "sweep.csv").read_text().splitlines()) == 2


def test_only_a_grid_gives_a_map(folder):
    found = results.read(folder)
    count = len(found.runs)
    grid = found.runs.assign(a=[i % 4 for i in range(count)], b=[i // 4 for i in range(count)])
    draws = found.runs.assign(a=range(count), b=range(count))
    for runs, expected in ((grid, 1), (draws, 0)):
        assert len(report._heat_maps(found._replace(runs=runs, fields=["a", "b"]), lambda *_: "")) == expected


def test_figures_are_complete(folder):
    import pandas as pd

    from jaxgan.sweeps import figures

    table = pd.DataFrame([[1.0, math.nan], [3.0, 4.0]], index=[0.1, 1.0], columns=[2, 4])
    table.index.name, table.columns.name = "weight", "packing"
    svg = figures.svg(figures.draw_heat_map(table))
    assert ElementTree.fromstring(svg.split("?>", 1)[1].split(">", 1)[1]).tag.endswith("svg")
    assert svg == figures.svg(figures.draw_heat_map(table))
    assert figures.pdf(figures.draw_heat_map(table)) == figures.pdf(figures.draw_heat_map(table))


def test_numbers_as_words():
    assert [tables.number(x) for x in (0, 7.5, 123.4, 1e-5, math.nan, 12345)] == [
        *("0", "7.50", "123", "1.00e-05", "–", "12345")
    ]
    assert [tables.p_value(p) for p in (1e-4, 0.0312, 1.0)] == ["< .001", ".031", "1.000"]


# Only a browser can check the layout, and tests cannot install one as a Python package.
@pytest.mark.skipif(BROWSER is None, reason="renders the report: install chromium to run it")
@pytest.mark.parametrize("width", [390, 1400, 2000])
def test_the_report_fits_in_a_browser(folder, tmp_path, width):
    """Nothing overflows in narrow and wide windows, and the page is not empty."""
    report.write(folder)
    # in a frame, because browser windows have a minimum width
    script = (
        "onload = () => {const frame = document.querySelector('iframe'), page = frame.contentDocument; "
        "const wide = [...page.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > "
        "frame.contentWindow.innerWidth + 1 && !e.closest('.wide')).length; const broken = "
        "[...page.images].filter(i => !i.naturalWidth).length; document.title = [frame.contentWindow"
        ".innerWidth, page.documentElement.scrollWidth, wide, broken, page.body.scrollHeight].join(' ')}"
    )
    text = html.escape((folder / "report.html").read_text())
    page = tmp_path / "page.html"
    frame = f'<iframe width="{width}" height="900" style="border: 0" srcdoc="{text}"></iframe>'
    page.write_text(f"<!doctype html><title></title>{frame}<script>{script}</script>")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    command += ["--window-size=2100,1000", "--dump-dom", f"file://{page}"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    inner, scroll, wide, broken, height = map(int, re.search(r"<title>([\d ]+)</title>", shown)[1].split())
    assert inner == width and scroll <= width and not wide and not broken and height > 1000


@pytest.mark.parametrize(
    ("mean", "low", "high", "text"),
    [
        (45.81234, 45.81231, 45.81239, "45.812340 [45.812310, 45.812390]"),
        (45.8, 40.1, 51.5, "46 [40, 52]"),
        (0.99829, 0.9971, 0.9995, "0.9983 [0.9971, 0.9995]"),
        (1234567.0, 1234000.0, 1235134.0, "1.2346e+06 [1.2340e+06, 1.2351e+06]"),
        (7.0, math.nan, math.nan, "7.00"),
        (math.nan, math.nan, math.nan, "–"),
    ],
)
def test_the_digits_of_an_estimate_follow_its_interval(mean, low, high, text):
    assert tables.estimate(Row(mean, low, high)) == text


@pytest.mark.parametrize(
    ("mean", "stderr", "text"),
    [
        (45.81234, 0.00021, "45.81234 ± 0.00021"),
        (45.8, 12.3, "46 ± 12"),
        (3.0, 0.0, "3.00 ± 0.00"),
        (7.0, math.nan, "7.00"),
    ],
)
def test_the_digits_of_an_estimate_follow_its_error(mean, stderr, text):
    assert tables.estimate(Row(mean, math.nan, math.nan, stderr), spread="stderr") == text


def test_an_interval_of_a_count_ends_at_all_modes(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "sweep")
    record = {"config": {}, "dataset": {"num_modes": 8}}
    for run in (tmp_path / "sweep" / "runs").iterdir():
        (run / "config.json").write_text(json.dumps(record))
    for num_modes, workdir in ((None, folder), (8, tmp_path / "sweep")):
        found = results.read(workdir)
        assert found.num_modes == num_modes
        most = results.summarize(found, found.settings[0]).high.max()
        assert most <= 8.3 if num_modes else most > 8
    assert results.range_of("classifier_modes_10k", 10) == (0, 10)
    assert results.range_of("good_2.5k", 8) == (0, 1)


def test_a_column_has_one_notation():
    """For example, 9.99e-01 must not be below 0.99829."""
    rows = pd.DataFrame({"mean": [0.99829, 0.999, 0.0002]})
    assert not tables.scientific_column(rows)
    assert (
        tables.estimate(Row(0.0002, 0.0001, 0.0003), tables.scientific_column(rows))
        == "0.00020 [0.00010, 0.00030]"
    )
    assert tables.scientific_column(pd.DataFrame({"mean": [2e5, 3.0]}))
    assert tables.estimate(Row(3.0, 2.0, 4.0), True) == "3.0e+00 [2.0e+00, 4.0e+00]"


class Row(NamedTuple):
    mean: float
    low: float
    high: float
    stderr: float = math.nan
