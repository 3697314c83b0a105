"""The command line: what it prints, and what it does not import."""

import re
import shlex
import shutil
import subprocess
import sys

import pytest
from runs import ROOT, quick_environment


def shown(*flags):
    done = subprocess.run([sys.executable, "launch.py", *flags], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("flag", ["--help", "-h", "-?"])
def test_help_fits_one_screen(flag):
    lines = shown(flag).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100
    page = "\n".join(lines)
    for mode in ("train", "evaluate", "sample", "sweep", "fields"):
        assert (f"--mode={mode}" in page) or mode == "train"
    assert "--workdir=DIR --config.num_steps=N" in page and "--helpfull" in page


def test_helpfull_shows_all_flags():
    page = shown("--helpfull")
    assert "--population_size" in page and "--inception_weights" in page


def test_help_imports_next_to_nothing():
    code = "import sys, launch\nsys.argv = ['launch.py', '--help']\n"
    code += "try: launch.console.run(launch.main, launch.HELP)\nexcept SystemExit: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"jax", "numpy", "flax", "PIL", "orbax"} & {*done.stdout.splitlines()[-1].split()}


def test_the_hint_of_a_finished_run_makes_it_longer(trained, tmp_path):
    """The folder alone is enough to continue the run."""
    workdir = tmp_path / "a run"
    shutil.copytree(trained, workdir)
    command = [sys.executable, "launch.py", f"--workdir={workdir}"]
    environment = quick_environment()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert "this run is finished (20 steps)" in done.stdout
    (hint,) = re.findall(r"python (launch.py .*)", done.stdout)
    longer = [sys.executable, *shlex.split(hint.replace("num_steps=N", "num_steps=22"))]
    done = subprocess.run(longer, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert "going on from step 20" in done.stdout and "done: 22 steps" in done.stdout


def test_a_word_for_a_truth_value_is_refused():
    flags = ["--config=configs/gan_ring.py:small", "--config.regularizers.r1.own_step=maybe"]
    done = subprocess.run([sys.executable, "launch.py", *flags], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: regularizers.r1.own_step=maybe must be True or False\n"
