import json
import os
import resource
from pathlib import Path

import numpy as np
import pytest

from jaxgan.datasets import cache, dataset

IMAGES = np.arange(20 * 4 * 4, dtype=np.uint8).reshape(20, 4, 4, 1)
LABELS = np.arange(20, dtype=np.int32)


class Source:
    """Chunks of unequal length; counts its calls."""

    def __init__(self, labels=LABELS):
        self.labels, self.calls = labels, 0

    def __call__(self):
        self.calls += 1
        for start, stop in ((0, 7), (7, 8), (8, 20)):
            yield IMAGES[start:stop], None if self.labels is None else self.labels[start:stop]


def check(found, labels=LABELS):
    assert np.array_equal(found.examples, IMAGES) and found.examples.dtype == np.uint8
    assert labels is None if found.labels is None else np.array_equal(found.labels, labels)
    assert found.fingerprint == dataset.fingerprint(IMAGES, labels)


@pytest.mark.parametrize("labels", [LABELS, None])
def test_made_once_and_memory_mapped(labels):
    source = Source(labels)
    for _ in range(2):
        found = cache.decoded("set", {"a": 1}, source)
        check(found, labels)
    assert source.calls == 1 and isinstance(found.examples, np.memmap)


def test_another_key_gives_another_entry():
    source = Source()
    for key in ({"a": 1}, {"a": 2}, {"a": 1}):
        cache.decoded("tfds/set", key, source)
    assert source.calls == 2


def flip(file, position):
    data = bytearray(file.read_bytes())
    data[position] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: flip(entry / "examples.npy", -1),
        lambda entry: flip(entry / "examples.npy", 20),
        lambda entry: flip(entry / "labels.npy", -1),
        lambda entry: (entry / "labels.npy").unlink(),
        lambda entry: (entry / "examples.npy").write_bytes(b""),
        lambda entry: (entry / "examples.npy").write_bytes((entry / "examples.npy").read_bytes()[:-1]),
        lambda entry: flip(entry / "meta.json", 40),
        lambda entry: (entry / "meta.json").write_text(json.dumps([1])),
        lambda entry: (entry / "meta.json").unlink(),
    ],
)
def test_a_damaged_entry_is_made_again(cache_dir, damage):
    source = Source()
    cache.decoded("set", {"a": 1}, source)
    (entry,) = cache_dir.iterdir()
    damage(entry)
    check(cache.decoded("set", {"a": 1}, source))
    assert source.calls == 2 and list(cache_dir.iterdir()) == [entry]


@pytest.mark.parametrize("damaged", [False, True])
def test_the_entry_of_a_faster_process_stays(cache_dir, damaged):
    if damaged:
        cache.decoded("set", {"a": 1}, Source())
        flip(next(cache_dir.iterdir()) / "examples.npy", -1)
    inodes = []

    def overtaken():
        yield from Source()()
        cache.decoded("set", {"a": 1}, Source())
        entry = next(path for path in cache_dir.iterdir() if not path.name.startswith("."))
        inodes.extend(file.stat().st_ino for file in sorted(entry.iterdir()))

    check(cache.decoded("set", {"a": 1}, overtaken))
    (entry,) = cache_dir.iterdir()
    assert inodes == [file.stat().st_ino for file in sorted(entry.iterdir())] and len(inodes) == 3


def test_an_interrupted_writing_leaves_nothing(cache_dir):
    def broken():
        yield IMAGES[:7], LABELS[:7]
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        cache.decoded("set", {"a": 1}, broken)
    assert not list(cache_dir.iterdir())
    check(cache.decoded("set", {"a": 1}, Source()))


def test_an_unwritable_folder_falls_back_to_memory_with_one_warning(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("JAXGAN_CACHE_DIR", str(tmp_path / "file"))
    with caplog.at_level("WARNING"):
        check(cache.decoded("set", {"a": 1}, Source()))
    assert len(caplog.records) == 1 and "JAXGAN_CACHE_DIR" in caplog.text


def test_a_full_disk_falls_back_to_memory_and_leaves_no_files(cache_dir, monkeypatch, caplog):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_write_header", full)
    with caplog.at_level("WARNING"):
        check(cache.decoded("set", {"a": 1}, Source()))
    assert "No space left on device" in caplog.text and not list(cache_dir.iterdir())


def test_the_folder_of_the_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("JAXGAN_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "jaxgan" / "datasets"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.folder() == tmp_path / ".cache" / "jaxgan" / "datasets"


def test_an_error_of_the_source_is_not_reported_as_a_full_disk():
    def unreadable():
        yield IMAGES[:7], LABELS[:7]
        raise OSError("the source")

    with pytest.raises(OSError, match="the source"):
        cache.decoded("set", {"a": 1}, unreadable)


def test_a_disk_without_space_falls_back_to_memory():
    """Simulated by a limit on file sizes: the write fails, and closing the file fails again."""
    images = np.arange(300 * 32 * 32, dtype=np.uint8).reshape(300, 32, 32, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        found = cache.decoded("set", {"a": 1}, lambda: iter([(images, None)]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert np.array_equal(found.examples, images) and not isinstance(found.examples, np.memmap)
    assert not list(cache.folder().iterdir())


def test_a_name_with_invalid_utf8_has_an_identity(tmp_path):
    file = os.fsencode(tmp_path) + b"/caf\xe9.png"
    with open(file, "wb"):
        pass
    assert len(cache.identity([Path(os.fsdecode(file))])) == 32


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JAXGAN_CACHE_DIR", "~/c")
    assert cache.folder() == tmp_path / "c" / "datasets"
