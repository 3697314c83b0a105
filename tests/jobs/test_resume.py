"""A run that is killed and restarted ends with the same bits as an uninterrupted run."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from gans import load_digits
from PIL import Image
from runs import (
    DCGAN,
    ROOT,
    arguments,
    assert_same_run,
    environment,
    hparams,
    launch,
    leaves,
    lines,
    quick_environment,
    tiny_config,
)  # fmt: skip
from translators import BOTH_WAYS, image_fields

import jaxgan
from jaxgan.errors import UserError
from jaxgan.jobs.sample import sample
from jaxgan.jobs.train import train
from jaxgan.run import budget

KILLS = int(os.environ.get("JAXGAN_TEST_KILLS", "2"))
STEPS = max(60, 20 * KILLS)
NETWORKS = {"dense": {}, "convolutions": DCGAN}  # both with batch norm, spectral norm and dropout


@pytest.fixture(scope="module", params=["dense", pytest.param("convolutions", marks=pytest.mark.slow)])
def run(request):
    """The fields of the reference, except for the number of checkpoints kept."""
    return {"num_steps": STEPS, **NETWORKS[request.param]}


@pytest.fixture(scope="module")
def reference(run, tmp_path_factory):
    """The uninterrupted run."""
    workdir = tmp_path_factory.mktemp("reference") / "run"
    done = launch(workdir, **run, checkpoints_kept=STEPS)
    assert done.returncode == 0, done.stderr
    return workdir


@pytest.fixture
def start():
    """Starts a run; its process is always killed at the end of the test."""
    with contextlib.ExitStack() as stack:

        def popen(workdir, env=None, **overrides):
            process = subprocess.Popen(
                arguments(workdir, **overrides),
                env=env or environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            stack.enter_context(process)  # closes its output and waits for it
            stack.callback(process.kill)
            return process

        yield popen


def wait_for(process, text):
    """Reads the output up to a line with `text`; False if the process ends first."""
    return any(text in line for line in process.stdout)


def wait_for_checkpoint(workdir):
    """Waits until a checkpoint is complete. Progress lines appear before that."""
    deadline = time.monotonic() + 120
    while not any(path.name.isdecimal() for path in _listed(workdir / "checkpoints")):
        assert time.monotonic() < deadline
        time.sleep(0.001)  # polling interval; shorter would take CPU time from the run


def kill(process):
    """Sends SIGKILL and asserts that it ended the process."""
    process.kill()
    assert process.wait() == -signal.SIGKILL


def test_sigkill_at_any_moment(run, reference, start, tmp_path):
    """During compilation, at a progress line, while a checkpoint is written, and with streamed data."""
    rng = random.Random(os.environ.get("JAXGAN_TEST_KILL_SEED", "0"))
    workdir, streamed = tmp_path / "run", {"dataset__max_device_bytes": 0}
    process = start(workdir, **run)
    assert wait_for(process, "compiling")
    kill(process)
    assert not (workdir / "metrics.jsonl").read_text() and not _listed(workdir / "checkpoints")
    for i in range(KILLS):
        process = start(workdir, **run, **(streamed if 2 * i >= KILLS else {}))
        if i % 2:  # during a save: the temporary folder of a checkpoint exists
            folder = workdir / "checkpoints"
            while process.poll() is None and not any("tmp" in path.name for path in _listed(folder)):
                pass
        else:
            wait_for_checkpoint(workdir)
            for _ in range(rng.randint(1, 5)):
                wait_for(process, "images/s")
        kill(process)
    done = launch(workdir, **run, **streamed)
    assert done.returncode == 0 and "read as it is needed" in done.stdout, done.stderr
    assert "going on from step" in done.stdout
    assert_same_run(workdir, reference)


def _listed(folder):
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


@pytest.mark.slow
def test_sigkill_under_pmap_on_two_devices(start, tmp_path):
    """Dense networks. Batch norm and dropout differ between the devices."""
    run = {
        "parallel": "pmap",
        "num_devices": 2,
        "num_steps": STEPS,
        "discriminator__mlp__spectral_norm": "",
        "env": quick_environment(devices=2),
    }
    done = launch(tmp_path / "whole", **run)
    assert done.returncode == 0 and "devices: 2" in done.stdout, done.stderr
    process = start(tmp_path / "killed", **run)
    wait_for_checkpoint(tmp_path / "killed")
    kill(process)
    done = launch(tmp_path / "killed", **run)
    assert done.returncode == 0 and "going on from step" in done.stdout, done.stderr
    assert_same_run(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.slow
def test_sigkill_of_a_cyclegan(start, tmp_path):
    """Two folders of pictures, both ways, and a pool of more fakes than a batch has."""
    for letter, digits in (("A", load_digits()[:24]), ("B", load_digits()[100:117])):
        (folder := tmp_path / "pictures" / f"train{letter}").mkdir(parents=True)
        for number, image in enumerate(digits):
            Image.fromarray(image[..., 0]).save(folder / f"{number:02d}.png")
    data = {"dataset.name": "unpaired", "dataset.path": tmp_path / "pictures", "dataset.unpaired.channels": 1}
    adam = {f"{network}_optimizer.name": "adam" for network in ("generator", "discriminator")}
    run = image_fields(BOTH_WAYS | data | adam | {"image_pool": 11, "num_steps": 40})
    run |= {"env": quick_environment()}
    done = launch(tmp_path / "whole", **run)
    assert done.returncode == 0, done.stderr
    process = start(tmp_path / "killed", **run)
    wait_for_checkpoint(tmp_path / "killed")
    assert wait_for(process, "images/s")
    kill(process)
    assert leaves(tmp_path / "killed")[0] < 40
    done = launch(tmp_path / "killed", **run)
    assert done.returncode == 0 and "going on from step" in done.stdout, done.stderr
    assert_same_run(tmp_path / "killed", tmp_path / "whole")
    pool = leaves(tmp_path / "killed")[1]["['extras']['discriminator']['pool']['images']"]
    assert pool.shape == (2, 11, 8, 8, 1) and (np.ptp(pool, axis=(2, 3, 4)) > 0).all()


@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGINT])
def test_a_signal_saves_and_the_run_can_resume(run, reference, start, tmp_path, number):
    workdir = tmp_path / "run"
    process = start(workdir, **run)
    assert wait_for(process, "step 8/")
    process.send_signal(number)
    output = process.stdout.read()
    assert process.wait() == 128 + number and "the same command goes on" in output, output
    step, _ = leaves(workdir)
    assert 8 <= step < STEPS
    if number == signal.SIGINT:
        return
    assert launch(workdir, **run).returncode == 0
    assert_same_run(workdir, reference)
    assert len(hparams(workdir)) == 1


# A run that gets SIGINT twice, without progress between.
ASKED_TWICE = """
import signal
import launch
from jaxgan.run.monitor import Monitor

def take(self, step, *results, take=Monitor.take):
    take(self, step, *results)
    if step == 24:
        self._background.wait()  # until step 16 is being saved
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

Monitor.take = take
launch.console.run(launch.main)
"""


@pytest.mark.slow
def test_a_second_sigint_ends_the_run_at_once(run, reference, tmp_path):
    """Nothing more is saved, and nothing saved is lost."""
    workdir = tmp_path / "run"
    _, _, *flags = arguments(workdir, **run)
    command = [sys.executable, "-c", ASKED_TWICE, *flags]
    done = subprocess.run(command, env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 128 + signal.SIGINT and "stopped at" not in done.stdout
    assert done.stderr.splitlines()[-1] == "interrupted" and "Traceback" not in done.stderr, done.stderr
    (step, found), (_, expected) = leaves(workdir), leaves(reference, step=16)
    assert step == 16 and all(found[path].tobytes() == leaf.tobytes() for path, leaf in expected.items())


def test_raising_num_steps_does_not_change_the_schedule(tmp_path):
    """23 steps, not a multiple of any period, then 60: the same as 60 at once. Cosine of a fixed length."""
    cosine = {"schedule__name": "cosine", "schedule__cosine__num_steps": 40, "log_every": 1}
    whole, split = tmp_path / "whole", tmp_path / "split"
    assert train(tiny_config(**cosine), whole) == 0
    assert train(tiny_config(**cosine, num_steps=23), split) == 0
    assert train(tiny_config(**cosine), split) == 0
    (_, expected), (_, found) = leaves(whole), leaves(split)
    assert all(found[path].tobytes() == leaf.tobytes() for path, leaf in expected.items())
    assert lines(split) == lines(whole)


def test_a_guard_and_a_step_of_its_own_go_on_with_the_same_bits(exact, tmp_path):
    """Stopped within an interval of the penalty, and between two lines."""
    fields = {f"regularizers__r1__{name}": value for name, value in R1_ALONE.items()}
    fields |= {"nonfinite_gradients": "skip", "discriminator__mlp__dropout": 0.0, "num_steps": 14}
    for steps in (7, 14):
        assert train(tiny_config(**fields | {"num_steps": steps}), tmp_path / "split") == 0
    assert train(tiny_config(**fields), tmp_path / "whole") == 0
    (_, expected), (step, found) = leaves(tmp_path / "whole"), leaves(tmp_path / "split")
    assert step == 14 and int(found["['discriminator']['step']"]) == 14 + 5
    for path, leaf in expected.items():
        assert "['schedule']" in path or found[path].tobytes() == leaf.tobytes(), path
    assert [line for line in lines(tmp_path / "split") if line["step"] != 7] == lines(tmp_path / "whole")
    assert lines(tmp_path / "whole")[-1]["discriminator_nonfinite"] == 0


R1_ALONE = {"weight": 1.0, "interval": 3, "own_step": True}


@pytest.mark.slow
def test_a_schedule_keeps_the_length_of_the_new_run(tmp_path):
    linear = {"schedule__name": "linear"}
    assert train(tiny_config(**linear, num_steps=10), tmp_path / "run") == 0
    assert train(tiny_config(**linear, num_steps=20), tmp_path / "run") == 0
    _, state = leaves(tmp_path / "run")
    assert state["['hyper']['schedule']['num_steps']"] == 10
    assert state["['generator']['opt_state']['hyperparams']['learning_rate']"] == 0


def test_a_finished_run_reports_it(run, reference, capsys):
    before = {path: path.stat().st_mtime_ns for path in reference.rglob("*") if path.is_file()}
    assert train(tiny_config(**run, checkpoints_kept=STEPS), reference) == 0
    assert "finished" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in reference.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_run_in_progress(run, reference, start, tmp_path):
    """It can be sampled although it deletes old checkpoints. A second training process is refused."""
    workdir = tmp_path / "run"
    endless = {**run, "num_steps": 10**6, "log_every": 20, "checkpoints_kept": 1}
    process = start(workdir, **endless)
    wait_for_checkpoint(workdir)
    process.send_signal(signal.SIGSTOP)  # at an arbitrary moment
    sampler = jaxgan.load(workdir)
    expected = jaxgan.load(reference, step=sampler.step)
    assert np.array_equal(sampler(num=3), expected(num=3))
    process.send_signal(signal.SIGCONT)
    steps = [sampler.step]
    while len(set(steps)) < 4:
        steps.append(jaxgan.load(workdir).step)
    with pytest.raises(UserError, match="in use by another process"):
        train(tiny_config(**endless), workdir)
    assert sample(workdir, 3, None, 0, None, "ema") == 0
    with np.load(workdir / "samples.npz") as file:
        assert file["images"].shape == (3, 8, 8, 1)
    assert steps == sorted(steps) and process.poll() is None
    process.terminate()
    output = process.stdout.read()
    assert process.wait() == 128 + signal.SIGTERM and "WARNING" not in output, output


def test_a_run_stops_when_its_time_has_passed(tmp_path, capsys, monkeypatch):
    """It saves a checkpoint. With more time it continues as if it had not stopped."""
    now = iter(range(10**6))  # the clock advances a second at each reading
    monkeypatch.setattr(budget.time, "monotonic", lambda: float(next(now)))
    split, whole = tmp_path / "split", tmp_path / "whole"
    lengths = {"num_steps": 40, "checkpoint_every": 40}
    assert train(tiny_config(**lengths, max_minutes=0.1), split) == 0
    step = leaves(split)[0]
    assert 0 < step < 40 and f"max_minutes=0.1 have passed at step {step} of 40" in capsys.readouterr().out
    assert train(tiny_config(**lengths, max_minutes=0.1), split) == 0 and leaves(split)[0] == step
    assert train(tiny_config(**lengths), split) == 0
    assert train(tiny_config(**lengths), whole) == 0
    (found_step, found), (expected_step, expected) = leaves(split), leaves(whole)
    assert found_step == expected_step == 40
    assert all(found[path].tobytes() == leaf.tobytes() for path, leaf in expected.items())
    assert [line for line in lines(split) if line["step"] % 4 == 0] == lines(whole)


def test_time_is_counted_over_all_starts(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(budget.time, "monotonic", lambda: now[0])
    spent = budget.Budget(minutes=1, spent=50)
    now[0] += 1_000  # compiling
    assert spent.seconds() == 50 and not spent.is_spent()
    spent.begin()
    now[0] += 9
    spent.begin()
    assert spent.seconds() == 59 and not spent.is_spent()
    now[0] += 1
    assert spent.is_spent() and not budget.Budget(0, 10**9).is_spent()
    with pytest.raises(UserError, match="max_minutes=-1"):
        train(tiny_config(max_minutes=-1.0), "nowhere")
