"""Real processes on this machine train one run together with CPU collectives."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from runs import (
    ROOT,
    arguments,
    assert_same_run,
    environment,
    free_address,
    launch,
    leaves,
    lines,
    several,
    tiny_config,
    together,
)

from jaxgan.jobs.train import train

# Takes minutes, because each process compiles. Their runs draw pictures, so the reference runs do, too.
pytestmark = [pytest.mark.slow, pytest.mark.pictures]

DENSE = {
    "generator__name": "mlp",
    "generator__mlp__hidden": (8,),
    "discriminator__name": "mlp",
    "discriminator__mlp__hidden": (8,),
    "discriminator__mlp__dropout": 0.0,  # under pmap each device draws its own masks
}
# Plain gradient descent, because Adam would hide a gradient with a wrong scale. With the least squares loss
# no gradient is a small difference of large terms, which rounding would destroy.
DESCENT = {
    **DENSE,
    "loss__name": "least_squares",
    "generator_optimizer__name": "sgd",
    "discriminator_optimizer__name": "sgd",
    "num_steps": 20,
}
# Runs that several processes train, one after the other. A single process must get the same results.
RUNS = {
    "streamed and evaluated": {
        **DESCENT,
        "discriminator_steps": 2,
        "dataset__max_device_bytes": 0,
        "eval_every": 8,
        "evaluation__protocol": "64",
        "evaluation__extractor__name": "raw",
        "evaluation__statistics__names": ("frechet_distance",),
        "evaluation__best": "raw_frechet_distance_64",
    },
    "pmap": {**DESCENT, "generator__mlp__batch_norm": True, "parallel": "pmap"},
}
MORE = {
    **RUNS,
    "jit": DESCENT,
    "streamed under pmap": {**DESCENT, "parallel": "pmap", "dataset__max_device_bytes": 0},
    "convolutions": {name: value for name, value in DESCENT.items() if name not in DENSE} | {"num_steps": 8},
}


LONG = {**DESCENT, "num_steps": 10**6, "log_every": 20, "checkpoint_every": 40}


def assert_close(workdir, reference, tolerance=1e-5):
    """‖a - b‖ ≤ tolerance ‖b‖ for every leaf of the newest checkpoints, except the length of the schedule."""
    (step, found), (expected_step, expected) = leaves(workdir), leaves(reference)
    assert step == expected_step and found.keys() == expected.keys()
    for path, leaf in expected.items():
        a, b = np.float64(found[path]), np.float64(leaf)
        assert np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b) or "num_steps" in path, path


def train_together(num, folder, runs, devices=1):
    """`num` processes train runs together, one after the other; the i-th run in `folder/i`."""
    folder.mkdir()
    file = folder / "runs.json"
    file.write_text(json.dumps([{**overrides, "num_devices": 0} for overrides in runs]))
    worker = [sys.executable, str(Path(__file__).with_name("train_worker.py"))]
    more = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    more["PYTHONPATH"] = os.pathsep.join(str(Path(__file__).parents[up]) for up in (1, 2))

    def command(address, i):
        return [*worker, address, str(num), str(i), str(folder), str(file)]

    return several(num, command, environment(**more))


def wait_for(process, text):
    """Reads the output up to a line with `text`, and returns it."""
    output = ""
    for line in process.stdout:
        output += line
        if text in line:
            return output
    raise AssertionError(output)


def end(processes, seconds=60):
    """The statuses and outputs of processes, which must all end in time."""
    deadline = time.monotonic() + seconds
    outputs = [p.communicate(timeout=max(deadline - time.monotonic(), 0.1))[0] for p in processes]
    return [process.returncode for process in processes], outputs


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """`name -> workdir` of the same runs on one device of this process."""
    folder = tmp_path_factory.mktemp("alone")

    def trained(name):
        if not (folder / name).exists():
            assert train(tiny_config(**MORE[name]), folder / name) == 0
        return folder / name

    return trained


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Runs of two processes, by name, and 'stopped': LONG, in which one process got a signal."""
    folder = tmp_path_factory.mktemp("pair") / "pair"
    with train_together(2, folder, [*RUNS.values(), LONG]) as processes:
        wait_for(processes[0], "step 60/1000000")
        processes[1].send_signal(signal.SIGTERM)
        statuses, outputs = end(processes)
    assert statuses == [128 + signal.SIGTERM] * 2, outputs
    assert "the same command goes on" in outputs[0] and "stopped" not in outputs[1]
    return {name: folder / str(i) for i, name in enumerate([*RUNS, "stopped"])}


def files(workdir):
    names = (str(path.relative_to(workdir)) for path in workdir.rglob("*.*"))
    return sorted(name for name in names if "checkpoints" not in name and "events" not in name)


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_get_the_result_of_one(alone, pair, name):
    assert_close(pair[name], alone(name))
    assert files(pair[name]) == files(alone(name))
    for found, expected in zip(lines(pair[name]), lines(alone(name)), strict=True):
        assert found.keys() == expected.keys() and found["step"] == expected["step"]


def test_a_signal_to_one_stops_both_and_one_alone_can_continue(pair, tmp_path):
    step, _ = leaves(pair["stopped"])
    assert step >= 60 and step % 2 == 0
    whole = {**LONG, "num_steps": (step // 20 + 1) * 20}
    assert train(tiny_config(**whole), pair["stopped"]) == 0
    assert train(tiny_config(**whole), tmp_path / "alone") == 0
    assert_close(pair["stopped"], tmp_path / "alone", 1e-4)
    rows, expected = lines(pair["stopped"]), lines(tmp_path / "alone")
    assert [row["step"] for row in rows] == [row["step"] for row in expected]


@pytest.mark.parametrize("victim", [1, 0])
def test_a_killed_process_ends_the_other_within_a_minute(tmp_path, victim):
    with train_together(2, tmp_path / "pair", [LONG]) as processes:
        wait_for(processes[0], "step 20/")
        processes[victim].kill()
        statuses, outputs = end(processes)
    status, output = statuses[1 - victim], outputs[1 - victim]
    assert (
        status == 4
        and output.splitlines()[-1].startswith("error: another process of this run is gone")
        or (status == -signal.SIGABRT and "another task died" in output)
    ), (status, output)


@pytest.mark.parametrize(("num", "devices"), [(4, 1), (2, 4)])
def test_more_processes_and_more_devices_of_each(alone, tmp_path, num, devices):
    with train_together(num, tmp_path / "more", MORE.values(), devices) as processes:
        statuses, outputs = end(processes, 230)
    assert statuses == [0] * num, outputs
    for i, name in enumerate(MORE):
        assert_close(tmp_path / "more" / str(i), alone(name))


def test_an_error_ends_all_processes_with_its_line(tmp_path):
    with together(2, tmp_path / "run", **{**DESCENT, "batch_size": 15}) as processes:
        statuses, outputs = end(processes)
    assert statuses == [2, 2] and not (tmp_path / "run").exists(), outputs
    for output in outputs:
        line = output.strip().splitlines()[-1]
        assert "batch_size=15 cannot be shared by 2 devices: set it to 14 or 16" in line, output


def test_connecting_does_not_initialize_devices():
    """Later XLA options, for example deterministic operations, must still have an effect."""
    program = (
        "import os; from jax._src import xla_bridge; from jaxgan.devices import processes; "
        f"processes.connect('{free_address()}', 1, 0); "
        "os._exit(77 if xla_bridge.backends_are_initialized() else 0)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment()).returncode == 0


def test_processes_started_with_different_configs_end(tmp_path):
    def command(address, i):
        where = [f"--coordinator={address}", "--num_processes=2", f"--process_id={i}"]
        return [*arguments(tmp_path / "run", **{**DESCENT, "num_devices": 0, "seed": i}), *where]

    with several(2, command) as processes:
        statuses, outputs = end(processes)
    assert statuses == [2, 2] and not (tmp_path / "run").exists(), outputs
    assert all("the config differs between process 0 and process 1" in output for output in outputs), outputs


@pytest.mark.parametrize("victim", [0, 1])
def test_resuming_after_a_kill_is_exact(tmp_path, victim):
    run = {**DENSE, "num_steps": 200, "checkpoint_every": 20, "log_every": 20}
    with together(2, tmp_path / "whole", **run) as processes:
        statuses, outputs = end(processes, 200)
        assert statuses == [0, 0], outputs
    with together(2, tmp_path / "killed", **run) as processes:
        wait_for(processes[0], "step 60/")
        processes[victim].kill()
        statuses, outputs = end(processes)
        assert statuses[1 - victim] in (4, -signal.SIGABRT), outputs
    with together(2, tmp_path / "killed", **run) as processes:
        statuses, outputs = end(processes, 200)
        assert statuses == [0, 0] and "going on from step" in outputs[0], outputs
    assert_same_run(tmp_path / "killed", tmp_path / "whole")


def test_one_or_two_processes_continue_a_run_of_four(alone, tmp_path):
    for num in (1, 2):
        workdir = tmp_path / str(num)
        half = {**DESCENT, "num_steps": 10}
        with together(4, workdir, **half) as processes:
            statuses, outputs = end(processes, 200)
            assert statuses == [0] * 4, outputs
        if num == 1:
            assert launch(workdir, **DESCENT).returncode == 0
        else:
            with together(2, workdir, **{**DESCENT, "parallel": "pmap"}) as processes:
                statuses, outputs = end(processes, 200)
                assert statuses == [0] * 2, outputs
        assert_close(workdir, alone("jit"))
