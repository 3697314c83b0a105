"""Turns, ratios and operation counts of the benchmark; every measure runs."""

import contextvars
import itertools
import json
import subprocess
import sys
from concurrent.futures import Future
from io import StringIO
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict
from rich.console import Console

from configs import gan_ring
from jaxgan import benchmark
from jaxgan.algorithm.gan import init_state
from jaxgan.benchmarks import loop, measures, ours, timing
from jaxgan.benchmarks.measures import MEASURES, Options
from jaxgan.benchmarks.timing import Times, contenders, take_turns
from jaxgan.benchmarks.workloads import WORKLOADS
from jaxgan.config import experiment
from jaxgan.devices.flops import step_flops
from jaxgan.errors import UserError

ROOT = Path(__file__).parents[2]


def make_counter(seconds, granule=1):
    """A contender whose work reports a duration and takes no time."""
    done = []

    def work(num):
        assert num % granule == 0
        done.append(num)
        return num * seconds * (1 + len(done) % 2)

    return work, {"granule": granule}


def make_failure():
    raise UserError("it cannot be made")


def make_missing():
    import a_module_that_is_not_there  # noqa: F401


def counter(**arguments):
    return f"{__name__}:make_counter", arguments


def test_contenders_take_turns_in_separate_processes():
    with contenders(slow=counter(seconds=0.02), fast=counter(seconds=0.01)) as players:
        times = take_turns(players, 4, seconds=1.0)
    # every second turn takes twice as long for both
    assert sorted(times["slow"].seconds) == pytest.approx([0.02, 0.02, 0.04, 0.04])
    assert times["slow"].median == pytest.approx(0.03)
    assert times["slow"].per(times["fast"]) == pytest.approx((2, 2, 2))


def test_work_is_a_multiple_of_a_call(monkeypatch):
    monkeypatch.setattr(timing, "_pool", InThisProcess)
    with contenders(one=counter(seconds=0.001, granule=7)) as players:
        players["one"].calibrate(0.05)  # work() refuses other numbers
        assert players["one"].turn() > 0


@pytest.mark.parametrize(
    ("function", "message"),
    [("make_failure", "it cannot be made"), ("make_missing", "pip install a_module_that_is_not_there")],
)
def test_a_contender_that_cannot_be_made_gives_one_line(monkeypatch, function, message):
    monkeypatch.setattr(timing, "_pool", InThisProcess)
    with pytest.raises(UserError, match=message), contenders(one=(f"{__name__}:{function}", {})):
        pass


def test_ratios_are_between_neighbouring_turns():
    # both slow down in the second turn: the ratio does not change
    assert Times((2.0, 6.0, 2.0)).per(Times((1.0, 3.0, 2.0))) == (2.0, 1.0, 2.0)


@pytest.mark.parametrize(("seconds", "length"), [(0.0, 12), (0.17, 36)])
def test_turns_within_a_run(monkeypatch, seconds, length):
    """With a simulated clock, in which each kind of step has its own duration, over whole periods."""
    cost = {"program": 0.002, "lines alone": 0.003, "lines and grids": 0.004, "run": 0.005}
    now = [0.0]
    monkeypatch.setattr(loop.time, "perf_counter", lambda: now[0])
    config = ConfigDict({"log_every": 2, "sample_every": 4, "checkpoint_every": 6})
    turns, step, ends, going = loop._Turns(config, 3, seconds), 0, [], True
    while going:
        step, of, done = step + 2, turns.name, sum(map(len, turns.times.values()))
        now[0] += 2 * cost[of]
        going = turns.end_of_call(step)
        if sum(map(len, turns.times.values())) > done:
            ends.append((step, of))
    assert turns.times == {of: pytest.approx([taken] * 3) for of, taken in cost.items()}
    steps, order = zip(*ends, strict=True)
    assert {b - a for a, b in itertools.pairwise(steps)} == {length}
    assert steps[0] % 12 == 2  # a line after whole periods
    assert order == (*reversed(cost), *cost, *reversed(cost))


def gan_of(name):
    workload = WORKLOADS[name]
    return experiment.make_gan(workload.read(), workload.shape, classes=workload.classes)


def flops_of(name, batch_size):
    hyper = experiment.make_hyper(WORKLOADS[name].read(), np.array(WORKLOADS[name].classes))
    key = np.zeros(2, np.uint32)
    gan = gan_of(name)
    return step_flops(gan, jax.eval_shape(lambda key: init_state(gan, key, hyper), key), batch_size)


@pytest.mark.parametrize(  # sngan stands for the residual networks
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * name.startswith(("biggan", "r3gan")))
        for name in WORKLOADS
    ],
)
def test_workloads_are_gans_with_data(name):
    gan, examples = gan_of(name), WORKLOADS[name].draw_examples()
    assert examples.shape[1:] == gan.shape
    assert len(examples) == WORKLOADS[name].num_examples
    labels = WORKLOADS[name].draw_data().get("labels", [])
    assert (*np.unique(labels),) == gan.classes
    assert flops_of(name, 4) > 0


class InThisProcess:
    """Replaces the process of a contender, so that programs compiled here are reused."""

    def __init__(self):
        self._context = contextvars.copy_context()

    def submit(self, function, *arguments):
        done = Future()
        done.set_result(self._context.run(function, *arguments))
        return done

    def shutdown(self): ...


@pytest.fixture
def ring(monkeypatch):
    """A small workload with the shortest turns and contenders in this process."""

    config = gan_ring.get_config()
    config.update(batch_size=20, steps_per_call=2, log_every=2, sample_every=2, checkpoint_every=4)
    config.generator.mlp.hidden = config.discriminator.mlp.hidden = (8,)
    monkeypatch.setattr(gan_ring, "get_config", config.copy_and_resolve_references)
    monkeypatch.setattr(timing, "_pool", InThisProcess)
    monkeypatch.setattr(measures, "_SIZES", (16, 32))
    monkeypatch.setattr(measures, "_STEPS_PER_CALL", (1, 2))
    monkeypatch.setattr(measures, "_peaks", [])
    monkeypatch.chdir(ROOT)
    return Options(
        ("gan_ring",),
        (10, 20),
        (1, 3),
        torch=False,
        compiled=False,
        compute_dtype="float32",
        repeats=1,
        seconds=0.0,
    )


QUICK = "matrix_product", "train", "sample"


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in MEASURES]
)
def test_every_measure_gives_records_and_a_table(ring, name, tmp_path):
    records = MEASURES[name](ring)
    assert {record["measure"] for record in records} == {name}
    for record in records:
        assert 0 < record["ms_low"] <= record["ms"] <= record["ms_high"]
        assert record["per_second"] == pytest.approx(1e3 * record["items"] / record["ms"])
    measures.write(records, tmp_path / "benchmark.json", benchmark.machine())
    assert len(json.loads((tmp_path / "benchmark.json").read_text())["records"]) == len(records)
    shown = StringIO()
    Console(file=shown, width=200).print(benchmark.table(records))
    lines = [line for line in shown.getvalue().splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(records)
    assert all(record["contender"] in shown.getvalue() for record in records)
    assert all(f"× {other}" in lines[0] for record in records for other in record.get("ratios", {}))


def test_the_table_has_columns_that_only_some_records_have():
    record = {"workload": "ring", "ms": 1.0, "ms_low": 1.0, "ms_high": 1.0, "items": 1, "measure": "loop"}
    records = [
        record | {"contender": "program"},
        record | {"contender": "run", "ratios": {"program": (1, 1, 1)}},
    ]
    assert [column.header for column in benchmark.table(records).columns][-1] == "× program"


def test_training_is_reported_with_its_arithmetic(ring):
    record, _ = measures.train(ring)
    assert record["update_order"] == "alternating"
    assert record["batch_size"] == record["items"] == 20
    flops = flops_of("gan_ring", 20)
    assert record["gflops"] == pytest.approx(flops / record["ms"] / 1e6)
    assert record["of_peak"] == pytest.approx(1e9 * record["gflops"] / measures._peaks[0])


@pytest.mark.parametrize("inputs", ["constant", "streamed"])
def test_all_inputs_train(ring, inputs):
    work, facts = ours.train("gan_ring", inputs=inputs, steps_per_call=2)
    work(4)
    assert facts["granule"] == 2


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--measure=speed", "unknown measure 'speed'"),
        ("--workload=biggan", "unknown workload 'biggan'; known: dcgan_mnist:full"),
        ("--batch_sizes=64,many", "--batch_sizes=64,many: give whole numbers above 0"),
        ("--out=no/such/folder/x.json", "there is no folder no/such/folder"),
    ],
)
def test_wrong_flags_give_one_line(flag, message):
    command = [sys.executable, "-m", "jaxgan.benchmark", flag]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_outside_of_the_repository_it_names_its_place(monkeypatch):
    monkeypatch.setitem(sys.modules, "configs.gan_ring", None)
    with pytest.raises(UserError, match="run the benchmark in the project's folder"):
        WORKLOADS["gan_ring"].read()
