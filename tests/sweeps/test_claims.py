"""Work shared through a folder: one owner at a time, recovery of stale claims, the first result wins."""

import errno
import json
import os
import subprocess
import sys
import time

import pytest
from runs import ROOT

from jaxgan.errors import UserError
from jaxgan.sweeps import claims
from jaxgan.sweeps.claims import claim, publish


def lease(folder, machine, age):
    """A lease file left by another process."""
    folder.mkdir(parents=True, exist_ok=True)
    number = max(claims._leases(folder), default=0) + 1
    path = folder / f"lease-{number}"
    path.write_text(json.dumps({"machine": machine}))
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_one_owner_at_a_time(tmp_path):
    with claim(tmp_path / "a") as mine:
        assert mine and mine.check()
        with claim(tmp_path / "a") as other:  # the lock on this machine
            assert other is None
        with claim(tmp_path / "b") as other:
            assert other
    with claim(tmp_path / "a") as again:
        assert again
    assert not list((tmp_path / "a").glob("lease-*"))


def test_a_lease_of_another_machine_holds_until_it_is_stale(tmp_path):
    fresh = lease(tmp_path, "elsewhere", age=1)
    with claim(tmp_path, patience=60) as mine:
        assert mine is None
    os.utime(fresh, (time.time() - 100,) * 2)
    with claim(tmp_path, patience=60) as mine:
        assert mine and mine.check()


def test_a_dead_owner_on_this_machine_is_replaced_at_once(tmp_path):
    lease(tmp_path, claims._machine(), age=0)
    with claim(tmp_path) as mine:
        assert mine


def test_a_process_that_wakes_late_notices_its_lost_claim(tmp_path):
    with claim(tmp_path, patience=60) as mine:
        taken = lease(tmp_path, "elsewhere", age=0)
        assert not mine.check() and mine.lost
    assert taken.exists()  # it belongs to the other process


def test_a_process_that_wakes_after_the_end_notices_it(tmp_path):
    with claim(tmp_path, patience=60) as mine:
        for path in tmp_path.glob("lease-*"):
            path.unlink()
        assert not mine.check()
        another = lease(tmp_path, "elsewhere", age=0)
        assert another.name == "lease-1" and not mine.check()
    assert another.exists()


def test_a_stale_lease_is_removed(tmp_path):
    lease(tmp_path, "elsewhere", age=100)
    with claim(tmp_path, patience=60) as mine:
        assert mine and [path.name for path in tmp_path.glob("lease-*")] == ["lease-2"]
    assert not list(tmp_path.glob("lease-*"))


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(claims.fcntl, "flock", refuse)
    with pytest.raises(UserError, match="cannot be locked .No locks available"), claim(tmp_path):
        pass


def test_a_killed_process_does_not_block_others(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from jaxgan.sweeps.claims import claim\n"
        "with claim(Path(sys.argv[2])) as c:\n  print(bool(c), flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(ROOT), str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "True\n"
        with claim(tmp_path) as mine:
            assert mine is None
        process.kill()
    with claim(tmp_path) as mine:
        assert mine


def test_the_first_result_wins(tmp_path):
    assert publish(tmp_path / "result.json", "mine")
    assert not publish(tmp_path / "result.json", "yours")
    assert (tmp_path / "result.json").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
