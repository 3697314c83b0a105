"""A run that is killed and started again ends with the bits of one that never was."""

import os
import random
import signal
import subprocess

import pytest
from runs import arguments, assert_same_run, environment, launch, leaves, lines

KILLS = int(os.environ.get("JAXGAN_TEST_KILLS", "4"))
STEPS = max(60, 20 * KILLS)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The run that nobody disturbs."""
    workdir = tmp_path_factory.mktemp("reference") / "run"
    done = launch(workdir, num_steps=STEPS)
    assert done.returncode == 0, done.stderr
    return workdir


def start(workdir, **overrides):
    return subprocess.Popen(
        arguments(workdir, **overrides),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(process, text):
    """Reads the output up to a line with `text`; False if the process ends first."""
    return any(text in line for line in process.stdout)


def test_sigkill_at_random_moments(reference, tmp_path):
    """Killed as progress lines appear, and while a checkpoint is being written."""
    rng = random.Random(os.environ.get("JAXGAN_TEST_KILL_SEED", "0"))
    workdir, killed = tmp_path / "run", 0
    for i in range(KILLS):
        process = start(workdir, num_steps=STEPS)
        if i % 2:  # in the middle of a save: a checkpoint's temporary folder is there
            folder = workdir / "checkpoints"
            while process.poll() is None and not any("tmp" in path.name for path in _listed(folder)):
                pass
        else:
            for _ in range(rng.randint(1, 3)):
                wait_for(process, "images/s")
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        process.stdout.close()
    assert killed == KILLS
    done = launch(workdir, num_steps=STEPS)
    assert done.returncode == 0, done.stderr
    assert_same_run(workdir, reference)


def _listed(folder):
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_the_run_goes_on(reference, tmp_path, number):
    workdir = tmp_path / "run"
    process = start(workdir, num_steps=STEPS)
    assert wait_for(process, "step 8/")
    process.send_signal(number)
    output = process.stdout.read()
    process.stdout.close()
    assert process.wait() == 128 + number and "the same command goes on" in output, output
    step, _ = leaves(workdir)
    assert 8 <= step < STEPS
    assert launch(workdir, num_steps=STEPS).returncode == 0
    assert_same_run(workdir, reference)


def test_raising_num_steps_does_not_bend_the_schedule(reference, tmp_path):
    """23 steps, which is no multiple of anything, then 60: as 60 at once. Cosine, of its own length."""
    cosine = {"schedule__name": "cosine", "schedule__cosine__num_steps": 40, "log_every": 1}
    whole, split = tmp_path / "whole", tmp_path / "split"
    assert launch(whole, **cosine).returncode == 0
    assert launch(split, **cosine, num_steps=23).returncode == 0
    assert launch(split, **cosine).returncode == 0
    (_, expected), (_, found) = leaves(whole), leaves(split)
    assert all(found[path].tobytes() == leaf.tobytes() for path, leaf in expected.items())
    assert lines(split) == lines(whole)


def test_a_schedule_keeps_the_length_of_the_new_run(tmp_path):
    linear = {"schedule__name": "linear"}
    assert launch(tmp_path / "run", **linear, num_steps=10).returncode == 0
    assert launch(tmp_path / "run", **linear, num_steps=20).returncode == 0
    _, state = leaves(tmp_path / "run")
    assert state["['hyper']['schedule']['num_steps']"] == 10
    assert state["['generator']['opt_state']['hyperparams']['learning_rate']"] == 0


def test_a_finished_run_says_so(reference):
    before = {path: path.stat().st_mtime_ns for path in reference.rglob("*") if path.is_file()}
    done = launch(reference, num_steps=STEPS)
    assert done.returncode == 0 and "finished" in done.stdout
    assert before == {path: path.stat().st_mtime_ns for path in reference.rglob("*") if path.is_file()}


def test_a_second_process_is_refused(reference, tmp_path):
    workdir = tmp_path / "run"
    process = start(workdir, num_steps=STEPS)
    assert wait_for(process, "step 4/")
    second = launch(workdir, num_steps=STEPS)
    assert second.returncode == 2 and "in use by another process" in second.stderr
    assert process.wait() == 0
    process.stdout.close()
    assert_same_run(workdir, reference)
