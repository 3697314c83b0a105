import gzip
import shutil
import struct

import numpy as np
import pytest

from jaxgan import datasets
from jaxgan.datasets import idx
from jaxgan.errors import UserError


def write(file, array, *, zipped=False, kind=8):
    data = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    file.write_bytes(gzip.compress(data) if zipped else data)


@pytest.fixture
def digits_as_idx(tmp_path):
    """The embedded digits in the four IDX files."""
    folder = tmp_path / "idx"
    folder.mkdir()
    for split, prefix in (("train", "train"), ("test", "t10k")):
        digits = datasets.load("digits", split)
        write(folder / f"{prefix}-images-idx3-ubyte", digits.examples[..., 0])
        write(folder / f"{prefix}-labels-idx1-ubyte", digits.labels.astype(np.uint8))
    return folder


def error_of(folder, split="train"):
    with pytest.raises(UserError) as caught:
        datasets.load("idx", split, path=str(folder))
    assert "\n" not in str(caught.value) and not isinstance(caught.value, datasets.MissingDataset)
    return str(caught.value)


@pytest.mark.parametrize("split", ["train", "test"])
def test_reads_what_was_written(digits_as_idx, split):
    found, digits = datasets.load("idx", split, path=str(digits_as_idx)), datasets.load("digits", split)
    assert np.array_equal(found.examples, digits.examples) and np.array_equal(found.labels, digits.labels)
    assert found.fingerprint == digits.fingerprint


def test_other_spellings_and_zipping_give_the_same_content(digits_as_idx):
    before = datasets.load("idx", path=str(digits_as_idx)).fingerprint
    images = digits_as_idx / "train-images-idx3-ubyte"
    images.rename(digits_as_idx / "train-images.idx3-ubyte")
    labels = digits_as_idx / "train-labels-idx1-ubyte"
    (digits_as_idx / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels.read_bytes()))
    labels.unlink()
    assert datasets.load("idx", path=str(digits_as_idx)).fingerprint == before


def test_a_gzipped_file_without_the_suffix_is_read(digits_as_idx):
    labels = digits_as_idx / "train-labels-idx1-ubyte"
    labels.write_bytes(gzip.compress(labels.read_bytes()))
    assert len(datasets.load("idx", path=str(digits_as_idx))) == 1498


@pytest.mark.parametrize("kind", ["images-idx3", "labels-idx1"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:9],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"\1" + data[1:],
        lambda data: data[:2] + b"\x0d" + data[3:],
        lambda data: data[:3] + b"\2" + data[4:],
        lambda data: gzip.compress(data)[:-9],
        lambda data: gzip.compress(data)[:-8] + b"12345678",
        lambda data: gzip.compress(data)[:40],
    ],
)
def test_damaged_files_are_named(digits_as_idx, kind, damage):
    file = digits_as_idx / f"train-{kind}-ubyte"
    file.write_bytes(damage(file.read_bytes()))
    assert str(file) in error_of(digits_as_idx)


def test_a_flipped_byte_in_a_gzipped_file_is_found(tmp_path, mnist_idx):
    for file in mnist_idx.glob("t10k*"):
        shutil.copyfile(file, tmp_path / file.name)
    images = tmp_path / "t10k-images-idx3-ubyte.gz"
    data = bytearray(images.read_bytes())
    data[len(data) // 2] ^= 1
    images.write_bytes(data)
    assert str(images) in error_of(tmp_path, "test")


@pytest.mark.parametrize("kind", ["images-idx3", "labels-idx1"])
def test_half_a_pair_is_an_error(digits_as_idx, kind):
    (digits_as_idx / f"train-{kind}-ubyte").unlink()
    assert f"train-{kind}" in error_of(digits_as_idx)


def test_counts_must_agree(digits_as_idx):
    write(digits_as_idx / "train-labels-idx1-ubyte", np.zeros(1497, np.uint8))
    assert "1498 images" in error_of(digits_as_idx)


def test_no_path_and_a_wrong_path(tmp_path):
    assert "dataset.path" in error_of("")
    assert str(tmp_path / "nowhere") in error_of(tmp_path / "nowhere")
    assert not idx.is_present(tmp_path)


def test_rectangles_keep_their_shape(digits_as_idx):
    digits = datasets.load("digits")
    write(digits_as_idx / "train-images-idx3-ubyte", digits.examples[:, 1:, :, 0])
    assert datasets.load("idx", path=str(digits_as_idx)).shape == (7, 8, 1)
    assert datasets.load("idx", path=str(digits_as_idx), image_size=7).shape == (7, 7, 1)
