"""Measures the speed on this machine: prints a table, and writes the same as JSON.

    python -m jaxgan.benchmark
    python -m jaxgan.benchmark --compare=torch --measure=train --workload=dcgan_mnist:full

Run it in the project's folder. Things to be compared are measured in turns, each in a process of its own. The
table has medians over the turns and, in brackets, the smallest and largest value. Ratios are of neighbouring
turns. `--compare=torch` needs PyTorch (`pip install torch==2.13.0`), which is not a dependency.
"""

import datetime
import importlib.metadata
import importlib.util
import math
import os
import platform
import sys
from pathlib import Path
from typing import Any

from absl import flags
from rich import box
from rich.console import Console
from rich.table import Table

from jaxgan.benchmarks import measures
from jaxgan.benchmarks.workloads import WORKLOADS
from jaxgan.config.default import OWN
from jaxgan.errors import UserError
from jaxgan.run import console

MEASURE = flags.DEFINE_list("measure", "train,sample", "What: all, or some of matrix_product, train, sample, "
    "batch_size, input, steps_per_call, loop, population, launches, start.")  # fmt: skip
WORKLOAD = flags.DEFINE_list("workload", ",".join(WORKLOADS), f"On what: some of {', '.join(WORKLOADS)}.")
COMPARE = flags.DEFINE_enum(
    "compare", "none", ["none", "torch", "compiled"], "With the same GANs in PyTorch; compiled: also so."
)
BATCH_SIZES = flags.DEFINE_list("batch_sizes", "64,128,512,2048", "Of the measure batch_size.")
POPULATIONS = flags.DEFINE_list("population_sizes", "1,2,4,8,16,32", "Of the measure population.")
REPEATS = flags.DEFINE_integer("repeats", 5, "Turns of each contender.", lower_bound=1)
SECONDS = flags.DEFINE_float("seconds", 2.0, "Of a turn.", lower_bound=0.0)
COMPUTE_DTYPES = OWN["compute_dtype"].ranges[0].values
COMPUTE = flags.DEFINE_enum(
    "compute_dtype",
    "float32",
    OWN["compute_dtype"].ranges[0].values,
    "Of the networks, in the measures train and batch_size.",
)
OUT = flags.DEFINE_string("out", "benchmark.json", "The file to write.")


def machine() -> dict[str, Any]:
    """The machine and the versions that affect times."""
    import jax

    return {
        "date": datetime.date.today().isoformat(),
        "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("jax", "torch") if _is_here(name)},
        "load": os.getloadavg()[0],
    }


def _processor() -> str:
    """The model of the processor, if the system knows it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _is_here(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def table(records: list[measures.Record]) -> Table:
    """The records of one measure, as a table in Markdown."""
    made = Table(title=f"{records[0]['measure']}", title_justify="left", box=box.MARKDOWN)
    cells = [_cells(record) for record in records]
    columns = dict.fromkeys(name for row in cells for name in row)  # a reference has no ratio to itself
    for name in columns:
        made.add_column(name, justify="left" if name in ("workload", "contender") else "right", no_wrap=True)
    for row in cells:
        made.add_row(*(row.get(name, "") for name in columns))
    return made


def _cells(record: measures.Record) -> dict[str, str]:
    """What the table says of a record."""
    name = record["contender"]
    if record.get("update_order") == "simultaneous":
        name += ", simultaneous"
    cells = {"workload": record["workload"], "contender": name}
    if "batch_size" in record:
        cells["batch"] = str(record["batch_size"])
    cells["ms"] = f"{record['ms']:.3g} [{record['ms_low']:.3g}, {record['ms_high']:.3g}]"
    if record["items"] != 1:
        cells["images/s"] = f"{record['per_second']:,.0f}"
    if "call_ms" in record:
        cells["ms a call"] = f"{record['call_ms']:.4g}"
    if "gflops" in record:
        cells["GFLOP/s"] = f"{record['gflops']:.0f}"
    if "of_peak" in record:
        cells["of peak"] = f"{record['of_peak']:.0%}"
    if "host_ms" in record:
        cells["host ms"] = f"{record['host_ms']:.3g}"
    if "peak_mb" in record:
        cells["peak MB"] = f"{record['peak_mb']:,.0f}"
    if "longer_s" in record:
        cells["s more than the imports"] = "{:.2f} [{:.2f}, {:.2f}]".format(*record["longer_s"])
    for other, (median, low, high) in record.get("ratios", {}).items():
        cells[f"× {other}"] = f"{median:.2f} [{low:.2f}, {high:.2f}]"
    return cells


def main() -> int:
    """The command line.

    Raises:
      UserError: an unknown measure or workload, or what a measure needs is not here.
    """
    known = list(measures.MEASURES)
    chosen = known if MEASURE.value == ["all"] else MEASURE.value
    functions = {name: measures.MEASURES[name] for name in chosen}
    for name in WORKLOAD.value:
        if name not in WORKLOADS:
            raise UserError(f"unknown workload '{name}'; known: {', '.join(WORKLOADS)}")
    for flag in (BATCH_SIZES, POPULATIONS):
        if not all(size.isdecimal() and int(size) for size in flag.value):
            raise UserError(f"--{flag.name}={','.join(flag.value)}: give whole numbers above 0")
    if not (functions and WORKLOAD.value and BATCH_SIZES.value and POPULATIONS.value):
        raise UserError("--measure, --workload, --batch_sizes and --population_sizes each want one at least")
    if not math.isfinite(SECONDS.value):
        raise UserError(f"--seconds={SECONDS.value}: give a number")
    out = Path(OUT.value)
    if not out.parent.is_dir() or out.is_dir():
        raise UserError(f"--out={out}: " + (f"there is no folder {out.parent}", "this is one")[out.is_dir()])
    if COMPARE.value != "none" and not _is_here("torch"):
        raise UserError(f"--compare={COMPARE.value}: pip install torch==2.13.0")
    if not Path("launch.py").is_file():
        raise UserError("launch.py is not here: run the benchmark in the project's folder")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # contenders share the accelerator
    options = measures.Options(
        workloads=tuple(WORKLOAD.value),
        batch_sizes=tuple(map(int, BATCH_SIZES.value)),
        population_sizes=tuple(map(int, POPULATIONS.value)),
        torch=COMPARE.value != "none",
        compiled=COMPARE.value == "compiled",
        compute_dtype=COMPUTE.value,
        repeats=REPEATS.value,
        seconds=SECONDS.value,
    )
    here, records = machine(), []
    terminal = Console(width=None if sys.stdout.isatty() else 200)
    terminal.print(", ".join(f"{name}: {value}" for name, value in here.items()), highlight=False)
    for name, function in functions.items():
        found = []
        for workload in (None,) if name in measures.OF_THE_MACHINE else options.workloads:
            found += function(options._replace(workloads=(workload,)))
            measures.write(records + found, out, here)  # an interrupted run keeps its results
        records += found
        terminal.print(table(found))
    print(f"wrote {out}")
    return 0


if __name__ == "__main__":
    console.run(main)
