"""Places that jobs write to × faults of the places × jobs, with real command lines."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cells import parametrize, require_none
from places import CONDITIONS, GROUPS, JOBS, PLACES, makes_sense
from runs import quick_environment

AXES = {"place": tuple(PLACES), "condition": CONDITIONS, "job": JOBS}
ALLOWED = {tuple(AXES): makes_sense}


@pytest.mark.parametrize("jobs", GROUPS, ids=["runs", "sweeps"])  # one process for each
@parametrize((AXES, ALLOWED))
def test_places(tmp_path, made, jobs):
    able = shutil.which("unshare") and not subprocess.run(["unshare", "-rm", "true"]).returncode
    if not able:
        pytest.skip("a user may not mount here")
    made = [cell for cell in made if cell["job"] in jobs]
    (tmp_path / "cells.json").write_text(json.dumps(made))
    script = Path(__file__).with_name("places.py")
    command = ["unshare", "-rm", sys.executable, script, tmp_path / "cells.json", tmp_path / "results.json"]
    done = subprocess.run(command, env=quick_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads((tmp_path / "results.json").read_text())
    assert len(results) == len(made)
    faults = [({axis: cell[axis] for axis in AXES}, cell["fault"]) for cell in results if cell["fault"]]
    require_none(faults, len(made))
