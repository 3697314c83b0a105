"""The measures by name: functions `(options) -> records`, each record a line of the result."""

import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxgan.benchmarks.commands import seconds_of, seconds_to_first_step, with_empty_caches
from jaxgan.benchmarks.loop import take_turns as take_turns_of_a_run
from jaxgan.benchmarks.ours import INPUTS
from jaxgan.benchmarks.timing import Times, apart, contenders, take_turns
from jaxgan.benchmarks.workloads import WORKLOADS
from jaxgan.registry import Registry

Record = dict[str, Any]

MEASURES = Registry("measure")

OF_THE_MACHINE = ("matrix_product", "launches", "start")  # measures without a workload

_SIZES = 512, 1024, 2048, 4096  # of square matrices
_STEPS_PER_CALL = 1, 2, 5, 10, 20, 50, 100, 200
_PREFETCH = 1, 8  # beside the default
_LAUNCHES = 8  # runs
_MOST_SECONDS_A_CALL = 5.0  # so that signals and progress stay prompt


class Options(NamedTuple):
    """The options of the command line.

    Attributes:
      workloads: keys of WORKLOADS.
      batch_sizes: of 'batch_size'.
      population_sizes: of 'population'.
      torch: whether to compare with PyTorch; compiled: also with torch.compile.
      compute_dtype: of the networks in training, 'float32' or 'bfloat16'.
      repeats: turns of each contender.
      seconds: of a turn.
    """

    workloads: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    population_sizes: tuple[int, ...]
    torch: bool
    compiled: bool
    compute_dtype: str
    repeats: int
    seconds: float


def _ours(function: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    return f"jaxgan.benchmarks.ours:{function}", arguments


def _torch(function: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    return f"jaxgan.benchmarks.pytorch:{function}", arguments


def _record(measure: str, workload: str, contender: str, times: Times, items: float, **more: Any) -> Record:
    """A record: seconds of a piece of work (median, smallest, largest), and items a second."""
    low, high = min(times.seconds), max(times.seconds)
    return {
        "measure": measure,
        "workload": workload,
        "contender": contender,
        "ms": 1e3 * times.median,
        "ms_low": 1e3 * low,
        "ms_high": 1e3 * high,
        "items": items,
        "per_second": items / times.median,
        **more,
    }


def _ratios(times: dict[str, Times], name: str, references: Iterable[str]) -> Record:
    """Ratios of times to each reference: median, smallest and largest of neighbouring turns."""
    return {"ratios": {other: times[name].per(times[other]) for other in references if other != name}}


def _compare_training(measure: str, options: Options, workload: str, batch_size: int) -> list[Record]:
    """A step with both update orders, beside PyTorch's."""
    peak = _peak(options)
    records = []
    for order in WORKLOADS[workload].update_orders if measure == "train" else ("alternating",):
        common = {"workload": workload, "batch_size": batch_size, "update_order": order}
        common |= {"compute_dtype": options.compute_dtype}
        specifications = {"jaxgan": _ours("train", **common)}
        if options.torch:
            specifications["torch"] = _torch("train", **common)
        if options.compiled:
            specifications["torch_compiled"] = _torch("train", **common, compiled=True)
        with contenders(**specifications) as running:
            times = take_turns(running, options.repeats, options.seconds)
            facts = running["jaxgan"].facts
            for name, contender in running.items():
                flops = facts["flops"] / times[name].median
                more = {"batch_size": facts["batch_size"], "update_order": order}
                more |= {"gflops": flops / 1e9, "of_peak": flops / peak}
                more |= {"peak_mb": contender.peak_bytes() / 1e6, "device": facts["device"]}
                if name == "jaxgan":
                    more["state_mb"] = facts["state_bytes"] / 1e6
                    more |= {"host_ms": facts["host_ms"]} if "host_ms" in facts else {}
                    more |= _ratios(times, name, times)
                records.append(_record(measure, workload, name, times[name], facts["batch_size"], **more))
    return records


_peaks: list[float] = []


def _peak(options: Options) -> float:
    """The machine's floating-point operations a second, by its best float32 matrix product; measured once."""
    if not _peaks:
        matrix_product(options)
    return _peaks[-1]


@MEASURES.register("matrix_product")
def matrix_product(options: Options) -> list[Record]:
    """Products of square matrices: the machine's peak."""
    records = []
    sizes = {f"{n}x{n}": _ours("matrix_product", size=n) for n in _SIZES}
    with contenders(**sizes) as running:
        times = take_turns(running, options.repeats, options.seconds / 4)
        for name, contender in running.items():
            flops = contender.facts["flops"] / times[name].median
            more = {"gflops": flops / 1e9, "device": contender.facts["device"]}
            records.append(_record("matrix_product", name, "jaxgan", times[name], 1, **more))
    _peaks.append(max(record["gflops"] for record in records) * 1e9)
    return records


@MEASURES.register("train")
def train(options: Options) -> list[Record]:
    """A training step of each workload, alternating and simultaneous."""
    return [r for name in options.workloads for r in _compare_training("train", options, name, 0)]


@MEASURES.register("batch_size")
def batch_size(options: Options) -> list[Record]:
    """How the step's time grows with the batch."""
    return [
        record
        for name in options.workloads
        for size in options.batch_sizes
        for record in _compare_training("batch_size", options, name, size)
    ]


@MEASURES.register("sample")
def sample(options: Options) -> list[Record]:
    """Sampling, to NumPy arrays."""

    def contenders_of(workload):
        ours = {"jaxgan": _ours("sample", workload=workload)}
        return {**ours, "torch": _torch("sample", workload=workload)} if options.torch else ours

    return _compare("sample", options, contenders_of, "torch")


@MEASURES.register("input")
def inputs(options: Options) -> list[Record]:
    """The cost of input: data on the device, and streamed, relative to a constant batch."""

    def contenders_of(workload):
        images = len(WORKLOADS[workload].shape) == 3
        names = [name for name in INPUTS if name != "encoded" or images]
        found = {name: _ours("train", workload=workload, inputs=name) for name in names}
        for prefetch in _PREFETCH:
            name = f"streamed, {prefetch} ahead"
            found[name] = _ours("train", workload=workload, inputs="streamed", prefetch=prefetch)
        return found

    return _compare("input", options, contenders_of, "constant")


@MEASURES.register("loop")
def loop(options: Options) -> list[Record]:
    """The cost of the training loop: progress, metrics, grids, TensorBoard, checkpoints."""
    records = []
    for workload in options.workloads:
        times, batch = apart(take_turns_of_a_run, workload, options.repeats, options.seconds)
        records += _records("loop", workload, times, dict.fromkeys(times, batch), "program")
    return records


def _compare(
    measure: str,
    options: Options,
    contenders_of: Callable[[str], dict[str, tuple[str, dict[str, Any]]]],
    reference: str,
) -> list[Record]:
    """All contenders of each workload, and their ratios to one of them."""
    records = []
    for workload in options.workloads:
        with contenders(**contenders_of(workload)) as running:
            times = take_turns(running, options.repeats, options.seconds)
            batches = {name: contender.facts["batch_size"] for name, contender in running.items()}
        records += _records(measure, workload, times, batches, reference)
    return records


def _records(
    measure: str, workload: str, times: dict[str, Times], batches: dict[str, int], reference: str
) -> list[Record]:
    """A record for each contender, with its ratio to the reference if there is one."""
    references = times.keys() & {reference}
    return [
        _record(
            measure,
            workload,
            name,
            times[name],
            batches[name],
            batch_size=batches[name],
            **_ratios(times, name, references),
        )
        for name in times
    ]


@MEASURES.register("steps_per_call")
def steps_per_call(options: Options) -> list[Record]:
    """The time of a step and of a call, for different numbers of steps in a call."""
    records = []
    for workload in options.workloads:
        with contenders(run=_ours("train", workload=workload)) as running:
            of_a_run = running["run"].facts["granule"]
            step = take_turns(running, 1, options.seconds)["run"].median
        specifications = {
            str(steps): _ours("train", workload=workload, steps_per_call=steps)
            for steps in sorted({*_STEPS_PER_CALL, of_a_run})
        }
        short = {n: s for n, s in specifications.items() if n == "1" or int(n) * step <= _MOST_SECONDS_A_CALL}
        with contenders(**short) as running:
            times = take_turns(running, options.repeats, options.seconds)
            for name, contender in running.items():
                more = {"steps_per_call": int(name), "call_ms": 1e3 * int(name) * times[name].median}
                more |= {"peak_mb": contender.peak_bytes() / 1e6, "default": int(name) == of_a_run}
                more |= _ratios(times, name, ["1"])
                batch = contender.facts["batch_size"]
                records.append(_record("steps_per_call", workload, name, times[name], batch, **more))
    return records


@MEASURES.register("population")
def population(options: Options) -> list[Record]:
    """The time of a member's step when many runs train as one program, relative to a single run."""

    def contenders_of(workload):
        sizes = {f"{size} members": size for size in options.population_sizes}
        together = {
            name: _ours("population", workload=workload, members=size) for name, size in sizes.items()
        }
        return {"alone": _ours("train", workload=workload), **together}

    return _compare("population", options, contenders_of, "alone")


@MEASURES.register("launches")
def launches(options: Options) -> list[Record]:
    """Short runs with start-up and compilation: each launched by itself, and all as one sweep."""
    seeds = range(_LAUNCHES)
    config = ["--config=configs/gan_ring.py:small", "--config.num_steps=2000", "--config.log_every=500"]
    turns: dict[str, list[float]] = {"launches": [], "sweep": []}
    for _ in range(options.repeats):
        for name, times in turns.items():
            with tempfile.TemporaryDirectory() as folder:
                one = "--config.num_devices=1"
                commands = [[f"--workdir={folder}/{i}", f"--config.seed={i}", one] for i in seeds]
                if name == "sweep":
                    commands = [[f"--workdir={folder}/all", "--mode=sweep", f"--sweep=seed=0:{_LAUNCHES}"]]
                environment = with_empty_caches(folder)
                times.append(
                    sum(seconds_of([sys.executable, "launch.py", *config, *c], environment) for c in commands)
                )
    times = {name: Times(tuple(seconds)) for name, seconds in turns.items()}
    return [
        _record(
            "launches", "gan_ring:small", f"{name} of {_LAUNCHES}", taken, 1, **_ratios(times, name, times)
        )
        for name, taken in times.items()
    ]


_LIBRARIES = "import jax, flax, optax, orbax"
_FLAGS = "from absl import app; from ml_collections import config_flags"


@MEASURES.register("start")
def start(options: Options) -> list[Record]:
    """From the command to the first step done, on the embedded digits, and to the end of `--help`.

    'cold' is with empty and 'warm' with full caches. Also measures the bare imports, and how much longer each
    takes.
    """
    bare = {f"python -c '{code}'": [sys.executable, "-c", code] for code in (_LIBRARIES, _FLAGS)}
    commands = {**bare, "launch.py --help": [sys.executable, "launch.py", "--help"]}
    turns: dict[str, list[float]] = {name: [] for name in (*commands, "cold", "warm")}
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory() as folder:
            turns["cold"].append(seconds_to_first_step(Path(folder), "cold"))
            for name, command in commands.items():
                turns[name].append(seconds_of(command))
            turns["warm"].append(seconds_to_first_step(Path(folder), "warm"))
    libraries, few = bare
    references = {"cold": libraries, "warm": libraries, "launch.py --help": few}
    records = []
    for name, seconds in turns.items():
        more: Record = {}
        if name in references:
            longer = np.subtract(seconds, turns[references[name]])
            more["longer_s"] = [float(value) for value in (np.median(longer), longer.min(), longer.max())]
        records.append(_record("start", "dcgan_digits", name, Times(tuple(seconds)), 1, **more))
    return records


def write(records: list[Record], path: Path, machine: dict[str, Any]) -> None:
    """All records and the machine, as JSON."""
    path.write_text(json.dumps({"machine": machine, "records": records}, indent=1) + "\n", encoding="utf-8")
