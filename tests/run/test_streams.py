"""Runs with faulty output devices and environments: real commands on the digits."""

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from runs import arguments, leaves, quick_environment

import jaxgan
from jaxgan.errors import UserError
from jaxgan.run.streams import Stream
from jaxgan.run.workdir import require_local

FEW = {"num_steps": 8, "log_every": 4, "sample_every": 0, "checkpoint_every": 8}


def run(workdir, redirection="", **variables):
    """Runs the command in a shell with a redirection. Returns status, output and errors."""
    words = " ".join(f"'{word}'" for word in arguments(workdir, **FEW))
    environment = {**quick_environment(), **variables}
    return subprocess.run(
        ["bash", "-c", f"{words} {redirection}"], env=environment, capture_output=True, text=True, timeout=300
    )


def test_no_output_device_ends_training(tmp_path):
    """First stdout on a full disk and closed stderr, then a pipe without a reader, in ASCII."""
    assert run(tmp_path / "full", "> /dev/full 2>&-").returncode == 0
    assert leaves(tmp_path / "full")[0] == 8
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    done = run(tmp_path / "pipe", "| true; exit ${PIPESTATUS[0]}", **ascii_only)
    assert done.returncode == 0, done.stderr
    assert "stdout cannot be written (Broken pipe)" in done.stderr
    assert leaves(tmp_path / "pipe")[0] == 8
    lines = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("full", "pipe")]
    assert [json.loads(line)["generator_loss"] for line in lines[0]] == [
        json.loads(line)["generator_loss"] for line in lines[1]
    ]


def test_a_closed_terminal_is_no_reason_to_fail():
    """Every write to it fails (EIO)."""
    terminal, number = pty.openpty()
    with os.fdopen(number, "w", buffering=1, encoding="utf-8") as file:
        stream = Stream(file, "stderr")
        stream.write("seen\n")
        os.close(terminal)
        with pytest.raises(OSError):
            os.write(number, b"lost")
        assert stream.write("lost\n") == 5 and stream.flush() is None
        assert stream.write("lost, too\n") == 10


def test_a_missing_platform_gives_one_line(tmp_path):
    done = run(tmp_path / "run", JAX_PLATFORMS="cuda")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and len(done.stderr) < 300
    assert "JAX_PLATFORMS=cuda" in done.stderr


def test_without_a_home_the_cache_folder_must_be_given(tmp_path):
    """A user without HOME and without an entry in passwd, as in containers."""
    user = ["unshare", "--user", "--map-user=12345", "--map-group=12345"]
    if not shutil.which("unshare") or subprocess.run([*user, "true"], capture_output=True).returncode:
        pytest.skip("user namespaces are not permitted here")
    away = ("HOME", "JAXGAN_CACHE_DIR", "XDG_CACHE_HOME")
    environment = {name: value for name, value in quick_environment().items() if name not in away}
    command = [*user, *arguments(tmp_path / "run", **FEW)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "JAXGAN_CACHE_DIR" in done.stderr


def test_x64_changes_nothing(tmp_path):
    """All numbers are float32, also if a program has enabled x64."""
    wide = run(tmp_path / "wide", JAX_ENABLE_X64="1")
    assert wide.returncode == 0, wide.stderr
    assert {str(leaf.dtype) for leaf in leaves(tmp_path / "wide")[1].values()} <= {
        "float32",
        "int32",
        "uint32",
    }
    code = """
        import jax
        jax.config.update("jax_enable_x64", True)
        import jaxgan, numpy, sys
        numpy.save(sys.argv[2], jaxgan.load(sys.argv[1])(seed=1, num=3))
        assert jax.numpy.zeros(1).dtype == "float64"
    """
    code = "\n".join(line.strip() for line in code.splitlines())
    command = [
        sys.executable,
        "-W",
        "error::UserWarning",
        "-c",
        code,
        str(tmp_path / "wide"),
        str(tmp_path / "x.npy"),
    ]
    environment = {**quick_environment(), "PYTHONPATH": str(Path(jaxgan.__file__).parents[1])}
    subprocess.run(command, env=environment, check=True, timeout=300)
    np.testing.assert_allclose(
        np.load(tmp_path / "x.npy").astype(int), jaxgan.load(tmp_path / "wide")(seed=1, num=3), atol=1
    )


@pytest.mark.parametrize(("path", "message"), [("gs://bucket/run", "is a URL"), ("caf\udce9", "is no UTF-8")])
def test_invalid_paths_are_refused(path, message):
    with pytest.raises(UserError, match=message):
        require_local(Path(path))


def test_a_run_continues_from_its_folder_alone(tmp_path):
    """`config.json` has all fields. Other fields besides --workdir are checked as usual."""
    workdir = tmp_path / "run"
    assert run(workdir).returncode == 0
    launch = [sys.executable, arguments(workdir)[1], f"--workdir={workdir}"]

    def again(*flags):
        return subprocess.run(
            [*launch, *flags], env=quick_environment(), capture_output=True, text=True, timeout=300
        )

    assert "this run is finished (8 steps)" in again().stdout
    assert again("--config.num_steps=12").returncode == 0 and leaves(workdir)[0] == 12
    refused = again("--config.batch_size=32")
    assert refused.returncode == 2 and "batch_size (was 16, now 32)" in refused.stderr


@pytest.mark.slow
def test_the_step_can_be_debugged_operation_by_operation(tmp_path):
    done = run(tmp_path / "run", JAX_DISABLE_JIT="1")
    assert done.returncode == 0, done.stderr
    assert leaves(tmp_path / "run")[0] == 8
