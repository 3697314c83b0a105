"""Times of our statistics and of the reference packages, in one run on one machine.

    python tests/parity/speed.py [--scale=0.05] [--repeats=5] [--only=frechet,kernel,prdc,memory]

Needs `pip install -e '.[test,parity]'`, and Linux for the memory. Features are random float32 numbers, 2,048
per example and not negative, like Inception's. Both sides get the same arrays, in turns, with their default
numbers of threads. The lines show medians, with minimum and maximum in brackets. The full size needs 8 GiB
and an hour or more on 2 cores; each repetition takes some minutes.
"""

import argparse
import contextlib
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

DIM = 2048


def draw(count, seed, shift=0.0):
    """float32 `[count, 2048]`, computed in place, so peak memory is the size of the features."""
    features = np.random.default_rng(seed).standard_normal((count, DIM), np.float32)
    features += np.float32(shift)
    return np.maximum(features, 0, out=features)


def seconds(function):
    start = time.perf_counter()
    with contextlib.redirect_stdout(None):
        function()
    return time.perf_counter() - start


def compare(title, ours, theirs, repeats):
    """Runs all in turns and prints their times and the ratios to ours."""
    functions = {"jaxgan": ours, **theirs}
    times = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            times[name].append(seconds(function))
    print(title)
    own = statistics.median(times["jaxgan"])
    for name, values in times.items():
        median = statistics.median(values)
        # the ratio of each turn, in which both sides ran under the same load
        ratios = [value / mine for value, mine in zip(values, times["jaxgan"], strict=True)]
        spread = f"[{min(values):.3g}, {max(values):.3g}]"
        ratio = f"{median / own:.2f} of ours [{min(ratios):.2f}, {max(ratios):.2f}]" if name in theirs else ""
        print(f"  {name:<15} {median:9.3f} s {spread:<18} {ratio}", flush=True)


def frechet(count, repeats):
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    from jaxgan.metrics.frechet import frechet_distance

    real, fake = draw(count, 0), draw(count, 1, 0.1)

    def reference():
        pair = [fid_features_to_statistics(torch.from_numpy(features)) for features in (real, fake)]
        fid_statistics_to_metric(*pair, verbose=False)

    title = f"Fréchet distance, moments and all, of {count:,} and {count:,} x {DIM:,}"
    compare(title, lambda: frechet_distance(real, fake), {"torch-fidelity": reference}, repeats)


def kernel(count, repeats):
    from torch_fidelity.metric_kid import kid_features_to_metric

    from jaxgan.metrics.kernel import kernel_distance

    real, fake = draw(count, 0), draw(count, 1, 0.1)
    size = min(1000, count // 2)

    def reference():
        kid_features_to_metric(
            torch.from_numpy(real),
            torch.from_numpy(fake),
            kid_subset_size=size,
            kid_subsets=100,
            rng_seed=2020,
            verbose=False,
        )

    def ours():
        kernel_distance(real, fake, subset_size=size, num_subsets=100)

    title = f"kernel distance, 100 subsets of {size:,}, of {count:,} and {count:,} x {DIM:,}"
    compare(title, ours, {"torch-fidelity": reference}, repeats)


def neighbours(count, repeats):
    from prdc import compute_prdc
    from torch_fidelity.metric_prc import prc_features_to_metric

    from jaxgan.metrics.prdc import prdc

    real, fake = draw(count, 0), draw(count, 1, 0.1)

    def fidelity():
        prc_features_to_metric(torch.from_numpy(fake), torch.from_numpy(real), verbose=False)

    theirs = {"torch-fidelity": fidelity, "prdc": lambda: compute_prdc(real, fake, nearest_k=5)}
    title = f"precision, recall (and, torch-fidelity apart, density, coverage) of {count:,} and {count:,}"
    compare(f"{title} x {DIM:,}", lambda: prdc(real, fake), theirs, repeats)


def peak():
    """Peak memory of this process in MiB. (`getrusage` also counts that of its parent.)"""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 2**10


def memory_here(count):
    from jaxgan.metrics.prdc import prdc

    real, fake = draw(count, 0), draw(count, 1, 0.1)
    before = peak()
    took = seconds(lambda: prdc(real, fake))
    whole = (real.nbytes + fake.nbytes) / 2**20
    after = peak()
    print(f"precision, recall, density, coverage of {count:,} and {count:,} x {DIM:,}: {took:.1f} s")
    print(
        f"  peak {after:,.0f} MiB, {after - before:,.0f} MiB more than features ({whole:,.0f} MiB) and Python"
    )
    print(f"  (whole matrices of distances: {3 * count**2 * 8 / 2**20:,.0f} MiB)")


def memory(count, repeats):
    # in a separate process, because the peak of this one is that of the references
    subprocess.run([sys.executable, __file__, f"--memory-of={count}"], check=True)


JOBS = {
    "frechet": (frechet, 50_000),
    "kernel": (kernel, 10_000),
    "prdc": (neighbours, 10_000),
    "memory": (memory, 50_000),
}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of examples")
    parser.add_argument("--repeats", type=int, default=5, help="of each, in turns")
    parser.add_argument("--only", default=",".join(JOBS), help="some of them, joined by commas")
    parser.add_argument("--memory-of", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        memory_here(options.memory_of)
        sys.exit()
    from packages import torch

    print(
        f"{platform.machine()}, {os.cpu_count()} cores; PyTorch {torch.__version__}, NumPy {np.__version__}"
    )
    for job in options.only.split(","):
        measure, count = JOBS[job]
        measure(int(count * options.scale), options.repeats)
