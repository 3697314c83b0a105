"""Sampling from a run whose folder is read-only or shared."""

import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from runs import ROOT, quick_environment

import jaxgan
from jaxgan.errors import UserError
from jaxgan.jobs.sample import sample


def test_a_run_on_a_read_only_disk_is_sampled_into_another_folder(tmp_path, trained):
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"]).returncode:
        pytest.skip("a user may not mount here")
    run, out = tmp_path / "run", tmp_path / "out.npz"
    shutil.copytree(trained, run)
    before = sorted(path.name for path in run.iterdir())
    job = f"{sys.executable} {ROOT / 'launch.py'} --mode=sample --workdir={run}"
    read_only = f"mount --bind {shlex.quote(str(run))} {run} && mount -o remount,bind,ro {run}"
    command = f"{read_only} && {job} --num=5 --out={out} && {job}"
    done = subprocess.run(
        ["unshare", "-rm", "bash", "-c", command], env=quick_environment(), capture_output=True, text=True
    )
    assert np.array_equal(np.load(out)["images"], jaxgan.load(trained)(num=5)), done.stderr
    assert done.stdout.strip() == f"wrote {out}" and sorted(path.name for path in run.iterdir()) == before
    assert done.returncode == 2 and "Read-only file system; check the path" in done.stderr
    assert "no pictures in" in done.stderr and "Traceback" not in done.stderr


def test_samples_of_two_calls_are_not_mixed(tmp_path, trained):
    folder = tmp_path / "pngs"
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    assert sample(run, 5, folder, 0, None, "ema") == 0
    with pytest.raises(UserError, match="already holds 5 samples") as error:
        sample(run, 3, folder, 0, None, "ema")
    assert "remove them, or give another folder" in str(error.value) and len(list(folder.iterdir())) == 5
