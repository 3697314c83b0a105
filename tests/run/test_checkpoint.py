import gc
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import serialization
from gans import make_gan, make_state

from jaxgan.errors import Diverged, UserError
from jaxgan.run.checkpoint import Checkpoints
from jaxgan.run.plain_path import PlainPath


def tree(seed=0, size=40):
    """A tree like a state: random matrices, vectors of length 1, scalars, key words, empty parts."""
    rng = np.random.default_rng(seed)
    return {
        "step": np.int32(seed),
        "key": rng.integers(0, 2**32, 2, np.uint32),
        "generator": {"kernel": rng.normal(size=(size, 30)).astype(np.float32), "bias": np.float32([seed])},
        "model_state": {},
    }


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        b = np.asarray(b)
        assert isinstance(a, np.ndarray) and (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.tobytes() == b.tobytes()


def save(directory, steps, keep=5, **how):
    with Checkpoints(directory, keep) as checkpoints:
        for step in steps:
            checkpoints.save(step, tree(step, **how), {"window": [{"loss": step / 3}]})


def restore(directory, step=None, **how):
    with Checkpoints(directory, 5, **how) as checkpoints:
        return checkpoints.restore(step)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with checkpoints 10, 20 and 30. Tests that change it use a copy."""
    directory = tmp_path_factory.mktemp("saved") / "checkpoints"
    save(directory, (10, 20, 30))
    return directory


@pytest.fixture
def copy(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "checkpoints")
    return tmp_path / "checkpoints"


def snapshot(directory):
    """All files under the parent of a folder, with content and modification time."""
    files = [path for path in sorted(directory.parent.rglob("*")) if path.is_file()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def array_files(step_directory):
    """The data files of the state, which have the arrays."""
    files = [path for path in step_directory.rglob("*") if path.is_file() and path.parent.name == "d"]
    assert files
    return sorted(files, key=lambda path: path.stat().st_size)


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(content)


def flip_middle(step_directory):
    """Changes one byte in the middle of the file with the largest array."""
    path = array_files(step_directory)[-1]
    flip(path, path.stat().st_size // 2)


def warnings_in(caplog):
    messages = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    return [message for message in messages if "damaged" in message]


def test_a_state_is_restored_bitwise(saved):
    checkpoint = restore(saved)
    assert checkpoint.step == 30 and checkpoint.extra == {"window": [{"loss": 10.0}]}
    assert_same(checkpoint.tree, tree(30))
    assert_same(restore(saved, 10).tree, tree(10))
    assert restore(saved, 10).extra == {"window": [{"loss": 10 / 3}]}  # a float with all bits


def test_the_state_of_a_gan_is_restored_bitwise(tmp_path):
    state = make_state(make_gan(batch_norm=True, optimizer="adam"), num_steps=3)
    with Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.save(7, state, {})
        checkpoints.wait()
        checkpoint = checkpoints.restore()
    blank = jax.tree.map(lambda leaf: jnp.full_like(leaf, 3), state)
    back = serialization.from_state_dict(blank, checkpoint.tree)
    assert jax.tree.structure(back) == jax.tree.structure(state)
    for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(state), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == np.asarray(b).tobytes()


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float16, np.uint8, np.bool_])
def test_leaves_of_every_type(tmp_path, dtype):
    expected = {"leaf": np.asarray([[0, 1], [1, 1]], dtype)}
    with Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.save(1, expected, {})
    assert_same(restore(tmp_path / "c").tree, expected)


def test_the_newest_are_kept(tmp_path):
    with Checkpoints(tmp_path / "c", keep=2) as checkpoints:
        for step in (3, 5, 8, 13):
            checkpoints.save(step, tree(step), {})
        checkpoints.wait()
        assert checkpoints.steps() == [8, 13]
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["13", "8"]
    with Checkpoints(tmp_path / "c", keep=2) as again:
        assert again.steps() == [8, 13]
        assert_same(again.restore().tree, tree(13))


def test_changes_after_saving_are_not_saved(tmp_path):
    """The next step may reuse the buffers while the files are still being written."""
    state = tree(4, size=50_000)
    on_device = jax.device_put({"donated": jnp.arange(1000.0)})
    with Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.save(4, {**state, **on_device}, {})
        state["generator"]["kernel"][:] = -1
        on_device["donated"].delete()
    restored = restore(tmp_path / "c").tree
    np.testing.assert_array_equal(restored.pop("donated"), np.arange(1000.0))
    assert_same(restored, tree(4, size=50_000))


def test_an_empty_or_missing_folder_has_nothing_to_restore(tmp_path):
    assert restore(tmp_path / "new") is None
    assert restore(tmp_path / "missing", read_only=True) is None
    assert not (tmp_path / "missing").exists()
    with pytest.raises(UserError, match="no checkpoint of step 3"):
        restore(tmp_path / "new", 3)


def test_an_unknown_step_lists_the_saved_steps(saved):
    with pytest.raises(UserError, match=r"no checkpoint of step 25 in .*; there are: \[10, 20, 30\]"):
        restore(saved, 25)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.8])
def test_one_flipped_byte_in_an_array_is_detected(copy, caplog, share):
    """Orbax itself returns wrong numbers without an error."""
    largest = array_files(copy / "30")[-1]
    flip(largest, int(share * (largest.stat().st_size - 1)))
    checkpoint = restore(copy)
    assert checkpoint.step == 20
    assert_same(checkpoint.tree, tree(20))
    (warning,) = warnings_in(caplog)
    assert str(copy / "30") in warning and "\n" not in warning
    assert (copy.parent / "checkpoints-damaged" / "30").is_dir() and not (copy / "30").exists()
    save(copy, (30,))  # the step can be saved again
    assert_same(restore(copy).tree, tree(30))


def test_a_flipped_byte_in_any_file_never_gives_wrong_numbers(saved, tmp_path, caplog):
    files = [path.relative_to(saved) for path in (saved / "30").rglob("*") if path.is_file()]
    assert len(files) >= 6
    fell_back = 0
    for i, file in enumerate(files):
        directory = tmp_path / str(i) / "checkpoints"
        shutil.copytree(saved, directory)
        flip(directory / file, (directory / file).stat().st_size // 2)
        checkpoint = restore(directory)
        assert_same(checkpoint.tree, tree(checkpoint.step))
        assert checkpoint.step in (20, 30) and checkpoint.extra["window"][0]["loss"] == checkpoint.step / 3
        fell_back += checkpoint.step == 20
    assert (
        fell_back >= 2
    )  # at least the largest array and the digests are detected; some bytes are never read
    assert len(warnings_in(caplog)) == fell_back


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_truncated_file_is_detected(copy, caplog, share):
    largest = array_files(copy / "30")[-1]
    largest.write_bytes(largest.read_bytes()[: int(share * largest.stat().st_size)])
    assert_same(restore(copy).tree, tree(20))
    assert len(warnings_in(caplog)) == 1


def test_a_missing_array_file_is_detected(copy, caplog):
    array_files(copy / "30")[-1].unlink()
    assert_same(restore(copy).tree, tree(20))
    assert len(warnings_in(caplog)) == 1


def test_one_damaged_array_of_many_gives_one_line_and_no_traceback(trained, tmp_path, caplog, monkeypatch):
    """Orbax drops a hundred pending reads when the first one fails."""
    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    for i, damage in enumerate([lambda file: flip(file, 50), Path.unlink]):
        copy = tmp_path / str(i) / "checkpoints"
        shutil.copytree(trained / "checkpoints", copy)
        for file in (copy / "20" / "state" / "manifest.ocdbt", *(copy / "20" / "state" / "d").iterdir()):
            damage(file)
        assert restore(copy).step == 16
        gc.collect()
        assert len(caplog.records) == i + 1 and len(caplog.messages[i]) < 1000 and not complaints


def test_two_consecutive_damaged_checkpoints(copy, caplog):
    for step in ("20", "30"):
        flip_middle(copy / step)
    assert restore(copy).step == 10
    assert len(warnings_in(caplog)) == 2
    assert sorted(path.name for path in copy.with_name("checkpoints-damaged").iterdir()) == ["20", "30"]


def test_if_all_checkpoints_are_damaged_the_user_decides(copy):
    for step in ("10", "20", "30"):
        flip_middle(copy / step)
    with pytest.raises(UserError, match=r"every checkpoint .* damaged \(steps \[30, 20, 10\]\)") as error:
        restore(copy)
    assert "\n" not in str(error.value)
    assert sorted(path.name for path in copy.iterdir()) == ["10", "20", "30"]


def test_a_damaged_step_that_is_requested_is_an_error(copy):
    flip_middle(copy / "20")
    with pytest.raises(UserError, match="damaged"):
        restore(copy, 20)
    assert restore(copy, 10).step == 10


def test_half_written_checkpoints_are_ignored(copy, caplog):
    """Folders left by a killed process: with temporary names and missing files."""
    half = copy / "40.orbax-checkpoint-tmp"
    shutil.copytree(copy / "30", half)
    array_files(half)[-1].unlink()
    (copy / "50.orbax-checkpoint-tmp").mkdir()
    with Checkpoints(copy, 5) as checkpoints:
        assert checkpoints.steps() == [10, 20, 30]
        assert_same(checkpoints.restore().tree, tree(30))
        checkpoints.save(40, tree(40), {})
    assert restore(copy).step == 40
    assert not warnings_in(caplog)


def test_a_reader_changes_nothing(copy, caplog):
    flip_middle(copy / "30")
    shutil.copytree(copy / "20", copy / "40.orbax-checkpoint-tmp")
    before = snapshot(copy)
    with Checkpoints(copy, 1, read_only=True) as reader:
        assert reader.steps() == [10, 20, 30]
        assert reader.restore().step == 20
        assert reader.restore(10).step == 10
    assert snapshot(copy) == before and len(warnings_in(caplog)) == 1


def test_a_reader_finds_checkpoints_saved_later(copy):
    with Checkpoints(copy, 1, read_only=True) as reader:
        assert reader.restore().step == 30
        save(copy, (40,), keep=2)
        assert reader.steps() == [30, 40] and reader.restore().step == 40


def test_a_reader_works_while_a_run_deletes_checkpoints(copy, caplog, monkeypatch):
    """A checkpoint vanishes while Orbax lists the folder; the newest is partly removed while it is read."""
    looks = []
    with Checkpoints(copy, read_only=True) as reader:
        reload, read = reader._manager.reload, reader._read

        def gone():
            looks.append(reload)
            if len(looks) == 1:
                raise FileNotFoundError
            reload()

        def overtaken(step):
            if step == 30:
                save(copy, (40,))
                array_files(copy / "30")[-1].unlink()
            return read(step)

        monkeypatch.setattr(reader._manager, "reload", gone)
        monkeypatch.setattr(reader, "_read", overtaken)
        assert reader.restore().step == 40
    assert not warnings_in(caplog)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, jnp.bfloat16])
def test_a_state_that_is_not_finite_is_not_saved(tmp_path, value, dtype):
    bad = tree(2)
    bad["generator"]["bias"] = np.asarray([0, value], dtype)
    with Checkpoints(tmp_path / "c", keep=1) as checkpoints:
        checkpoints.save(1, tree(1), {})
        checkpoints.wait()
        with pytest.raises(Diverged, match=r"not finite at step 2 \(\['generator'\]\['bias'\]\)"):
            checkpoints.save(2, bad, {})
        checkpoints.wait()
        assert checkpoints.steps() == [1]
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["1"]
    assert_same(restore(tmp_path / "c").tree, tree(1))


# In a separate process, because the limit applies to all files, also to those of pytest.
FULL_DISK = """
import resource, sys
from jaxgan.run.checkpoint import Checkpoints
from jaxgan.errors import UserError
from test_checkpoint import tree

try:
    with Checkpoints(sys.argv[1], 2) as checkpoints:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
        checkpoints.save(40, tree(40, size=5000), {})
        checkpoints.wait()
except UserError as error:
    print("REFUSED", error)
"""


@pytest.mark.parametrize("allowed", [20_000, 10])
def test_a_full_disk_loses_no_checkpoint(copy, allowed):
    """With a limit on file sizes, writing fails as on a full disk."""
    here = Path(__file__).parent
    paths = os.pathsep.join(map(str, (here, here.parent, here.parents[1])))
    finished = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(copy), str(allowed)],
        env={**os.environ, "PYTHONPATH": paths, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    (message,) = [line for line in finished.stdout.splitlines() if line]
    assert finished.returncode == 0 and message.startswith("REFUSED could not save a checkpoint")
    assert "step 30 is safe" in message and "run the same command again" in message
    checkpoint = restore(copy)
    assert checkpoint.step == 30
    assert_same(checkpoint.tree, tree(30))
    save(copy, (40,), keep=2)  # space again
    assert_same(restore(copy).tree, tree(40))


def test_a_changed_digit_outside_of_the_arrays_is_detected(copy, caplog):
    """A resumed run also depends on the unfinished window of metrics."""
    changed = [path for path in (copy / "30" / "extra").rglob("*") if path.is_file()]
    changed = [path for path in changed if b'"loss": 10.0' in path.read_bytes()]
    assert len(changed) == 1
    changed[0].write_bytes(changed[0].read_bytes().replace(b'"loss": 10.0', b'"loss": 10.5'))
    assert restore(copy).step == 20 and warnings_in(caplog)


def test_extra_values_are_saved_as_they_were_at_the_call(tmp_path):
    """The list of the caller grows during asynchronous writing."""
    window = [{"loss": 1.0}]
    with Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.save(1, {"leaf": np.ones(3)}, {"window": window})
        window.append({"loss": 2.0})
    assert restore(tmp_path / "c").extra == {"window": [{"loss": 1.0}]}


@pytest.mark.parametrize("name", ["a b", "run[lr=0.1]", "[", "a*", "a**b", "a?", "a\\b", "100%20", "×"])
def test_a_folder_may_have_any_name(tmp_path, name):
    """Orbax interprets some names as patterns. A damaged checkpoint is moved away there, too."""
    folder = tmp_path / name / "c"
    for step in (10, 20):
        save(folder, (step,), keep=2)
    assert_same(restore(folder).tree, tree(20))
    for path in array_files(folder / "20"):
        path.unlink()
    assert restore(folder).step == 10 and (tmp_path / name / "c-damaged" / "20").is_dir()


def test_a_first_checkpoint_that_cannot_be_read_back_ends_the_run(tmp_path, monkeypatch):
    """The cause here is a folder name that Orbax interprets as a pattern."""

    def own_name(self, folder):
        self.path, self.close = folder, lambda: None

    monkeypatch.setattr(PlainPath, "__init__", own_name)
    with Checkpoints(tmp_path / "run[lr=0.1]" / "c") as checkpoints:
        with pytest.raises(UserError, match=r"run\[lr=0.1\]/c, but cannot be read back") as error:
            checkpoints.save(1, tree(1), {})
    assert "\n" not in str(error.value) and "--workdir" in str(error.value)


def test_several_processes_read_their_first_checkpoint_back_before_the_second(tmp_path, monkeypatch):
    def unreadable(step):
        raise ValueError(f"step {step} is gone")

    with Checkpoints(tmp_path / "c") as checkpoints:
        monkeypatch.setattr("jaxgan.devices.processes.connected", lambda: True)
        monkeypatch.setattr(checkpoints, "_open", lambda among=None: checkpoints._manager)
        read = checkpoints._read
        monkeypatch.setattr(checkpoints, "_read", unreadable)
        checkpoints.save(1, tree(1), {})
        with pytest.raises(UserError, match=r"cannot be read back \(step 1 is gone\)"):
            checkpoints.save(2, tree(2), {})
        monkeypatch.setattr(checkpoints, "_read", read)
        checkpoints.save(2, tree(2), {})
        checkpoints.wait()
        monkeypatch.setattr(checkpoints, "_read", unreadable)  # not called again
        checkpoints.save(3, tree(3), {})
