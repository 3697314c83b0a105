"""Claims of a workdir, failed starts, and signals."""

import signal
from pathlib import Path

import pytest

from jaxgan.errors import UserError
from jaxgan.run.workdir import Stop, claim


def test_a_claimed_workdir_is_refused_until_its_release(tmp_path):
    with claim(tmp_path / "run"):
        with pytest.raises(UserError, match="in use by another process"), claim(tmp_path / "run"):
            pass
        with claim(tmp_path / "other"):
            pass
    with claim(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()


@pytest.mark.parametrize("error", [UserError, KeyboardInterrupt])
def test_a_failed_start_leaves_nothing(tmp_path, error):
    with pytest.raises(error), claim(tmp_path / "runs" / "mine" / "run"):
        raise error
    assert not list(tmp_path.iterdir())


def test_a_failed_start_keeps_the_user_s_folders(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError), claim(tmp_path / "empty"):
        raise UserError
    with pytest.raises(UserError), claim(tmp_path / "new" / "run"):
        (tmp_path / "new" / "notes.txt").touch()
        raise UserError
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "new", "notes.txt"]


def test_a_failed_run_is_kept(tmp_path):
    with pytest.raises(UserError), claim(tmp_path / "run"):
        (tmp_path / "run" / "config.json").write_text("{}")
        raise UserError
    assert (tmp_path / "run" / "config.json").exists()
    with pytest.raises(UserError), claim(tmp_path / "run"):
        raise UserError
    assert (tmp_path / "run" / "config.json").exists()


def test_a_lock_that_its_holder_removed_is_not_enough(tmp_path, monkeypatch):
    """A failed start removes its lock file just after another process has opened it."""
    import fcntl

    lock = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", lambda *args: ((tmp_path / "run" / ".lock").unlink(), lock(*args)))
    with pytest.raises(UserError, match="in use"), claim(tmp_path / "run"):
        pass


def test_a_signal_is_noted_and_the_second_one_acts():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Stop() as stop:
        assert not stop.signal
        signal.raise_signal(signal.SIGTERM)
        assert stop.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert stop.signal == signal.SIGTERM
    assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


def test_a_signal_in_nested_blocks_is_for_both():
    """A signal before or during the inner block, or none."""
    with Stop() as outer:
        with Stop() as inner:
            pass
        assert not inner.signal and not outer.signal
        with Stop() as inner:
            signal.raise_signal(signal.SIGTERM)
            assert inner.signal == signal.SIGTERM
        assert outer.signal == signal.SIGTERM
        with Stop() as inner:
            assert inner.signal == signal.SIGTERM


@pytest.mark.parametrize("name", ["gs://bucket/run", "s3://bucket/run", "caf\udce9/run"])
def test_an_unusable_name_is_refused_before_anything_is_written(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="--workdir") as error, claim(Path(name)):
        pass
    str(error.value).encode()  # it can be printed
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a:b/run", "16:30", "C:/runs", "run[lr=0.1]", "café ×"])
def test_an_unusual_name_is_accepted(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with claim(Path(name)):
        assert Path(name, ".lock").exists()
