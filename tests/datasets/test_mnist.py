import gzip
import shutil
import struct

import numpy as np
import pytest

from jaxgan import datasets
from jaxgan.datasets import network
from jaxgan.errors import UserError


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A machine without MNIST and without a network. Returns TFDS's default folder."""
    from tensorflow_datasets.core import constants

    monkeypatch.setattr(constants, "DATA_DIR", str(tmp_path / "tensorflow_datasets"))
    monkeypatch.setattr(network, "unreachable", lambda urls: f"{sorted(urls)[0]} (no answer in 20 s)")
    return tmp_path / "tensorflow_datasets"


@pytest.mark.parametrize("split, count", [("train", 60_000), ("test", 10_000)])
def test_the_idx_files(mnist_idx, split, count):
    found = datasets.load("mnist", split, path=str(mnist_idx))
    assert found.examples.shape == (count, 28, 28, 1) and found.examples.dtype == np.uint8
    assert found.labels.shape == (count,) and found.fallback_for == ""
    # Published: the training images have mean .1307 and standard deviation .3081 (of values / 255).
    if split == "train":
        assert abs(found.examples.mean() / 255 - 0.1307) < 1e-4
        assert abs(found.examples.std() / 255 - 0.3081) < 1e-4
        assert np.array_equal(found.labels[:5], [5, 0, 4, 1, 9])
        assert found.fingerprint == datasets.load("idx", path=str(mnist_idx)).fingerprint


def test_tfds_default_folder_holds_the_same_digits_in_another_order(
    mnist_idx, mnist_tfds, monkeypatch, tmp_path
):
    from tensorflow_datasets.core import constants

    monkeypatch.setattr(constants, "DATA_DIR", str(mnist_tfds))
    for path in ("", str(mnist_tfds), str(tmp_path)):
        found = datasets.load("mnist", "test", path=path)
    original = datasets.load("mnist", "test", path=str(mnist_idx))
    assert sorted(map(bytes, found.examples)) == sorted(map(bytes, original.examples))
    assert np.array_equal(np.bincount(found.labels), np.bincount(original.labels))


def test_absent_without_a_fallback_names_places_and_remedies(nowhere, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(datasets.MissingDataset) as caught:
        datasets.load("mnist", path=str(tmp_path / "mine"))
    message = str(caught.value)
    assert "\n" not in message
    for part in (tmp_path / "mine", nowhere, "storage.googleapis.com", "no answer in 20 s"):
        assert str(part) in message
    for remedy in ("train-images-idx3-ubyte.gz", "TFDS_DATA_DIR", "network", "fallback"):
        assert remedy in message


@pytest.mark.parametrize("image_size, side", [(0, 28), (14, 14)])
def test_absent_with_a_fallback_gives_one_prominent_warning(nowhere, caplog, image_size, side):
    with caplog.at_level("WARNING"):
        found = datasets.load("mnist", image_size=image_size, fallback="digits")
    assert (found.name, found.fallback_for) == ("digits", "mnist") and found.shape == (side, side, 1)
    assert found.fingerprint == datasets.load("digits", image_size=side).fingerprint
    (record,) = [r for r in caplog.records if r.levelname == "WARNING"]
    assert "'MNIST' IS NOT HERE" in record.getMessage() and "\n" not in record.getMessage()


def refused(path, split="train"):
    with pytest.raises(UserError) as caught:
        datasets.load("mnist", split, path=str(path), fallback="digits")
    assert not isinstance(caught.value, datasets.MissingDataset) and "\n" not in str(caught.value)
    return str(caught.value)


def test_a_truncated_file_is_never_a_reason_to_fall_back(nowhere, tmp_path, mnist_idx):
    for file in mnist_idx.iterdir():
        shutil.copyfile(file, tmp_path / file.name)
    images = tmp_path / "t10k-images-idx3-ubyte.gz"
    images.write_bytes(images.read_bytes()[:100_000])
    assert str(images) in refused(tmp_path, "test")
    images.unlink()
    assert "t10k-images" in refused(tmp_path, "test")


def test_other_data_in_mnists_files_are_refused(nowhere, tmp_path):
    digits = datasets.load("digits")
    for name, array in (
        ("images-idx3", digits.examples[..., 0]),
        ("labels-idx1", digits.labels.astype(np.uint8)),
    ):
        header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        (tmp_path / f"train-{name}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))
    assert "60,000" in refused(tmp_path) and "idx" in refused(tmp_path)


def test_a_changed_pixel_or_label_is_not_mnist(nowhere, tmp_path, mnist_idx):
    for kind in ("images", "labels"):
        for file in mnist_idx.glob("t10k*"):
            shutil.copyfile(file, tmp_path / file.name)
        (file,) = tmp_path.glob(f"t10k-{kind}*")
        data = bytearray(gzip.decompress(file.read_bytes()))
        data[-1] ^= 1
        file.write_bytes(gzip.compress(bytes(data), 1))
        assert f"{kind} of IDX files" in refused(tmp_path, "test") and "idx" in refused(tmp_path, "test")


def test_a_mistyped_folder_is_no_reason_to_look_elsewhere(nowhere, tmp_path):
    assert "not a folder" in refused(tmp_path / "mnits")


def test_a_half_prepared_tfds_copy_is_refused(nowhere):
    (nowhere / "mnist" / "3.0.1").mkdir(parents=True)
    assert "only in part" in refused("")
