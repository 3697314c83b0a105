import zipfile

import numpy as np
import pytest

from jaxgan import datasets
from jaxgan.errors import UserError


@pytest.fixture
def images():
    """60 embedded digits, uint8 [60, 8, 8]."""
    return datasets.load("digits").examples[:60, ..., 0]


def save(tmp_path, array, name="images.npy", **arrays):
    file = tmp_path / name
    np.savez(file, **arrays) if arrays else np.save(file, array)
    return str(file)


def error_of(path, **fields):
    with pytest.raises(UserError) as caught:
        datasets.load("array", path=path, **fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_npy_holds_out_every_sixth(tmp_path, images):
    path = save(tmp_path, images)
    train, test = datasets.load("array", path=path), datasets.load("array", "test", path=path)
    assert np.array_equal(test.examples[..., 0], images[5::6]) and test.labels is None
    assert len(train) == 50 and train.shape == (8, 8, 1)
    merged = np.empty_like(images)
    merged[5::6], merged[np.arange(60) % 6 != 5] = test.examples[..., 0], train.examples[..., 0]
    assert np.array_equal(merged, images)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_channels_and_resizing(tmp_path, images, channels):
    path = save(tmp_path, np.stack([images] * channels, axis=-1))
    assert datasets.load("array", path=path).shape == (8, 8, channels)
    resized = datasets.load("array", path=path, image_size=16).examples
    assert resized.shape == (50, 16, 16, channels)
    assert (resized == resized[..., :1]).all()  # all channels are resized in the same way


def test_npz_with_splits_and_labels(tmp_path, images):
    labels = np.arange(60) % 10
    parts = dict(x_train=images[:40], y_train=labels[:40], x_test=images[40:], y_test=labels[40:])
    path = save(tmp_path, None, "set.npz", **parts)
    assert len(datasets.load("array", path=path)) == 40
    test = datasets.load("array", "test", path=path)
    assert np.array_equal(test.examples[..., 0], images[40:]) and np.array_equal(test.labels, labels[40:])
    assert test.labels.dtype == np.int32


@pytest.mark.parametrize("key", ["images", "arr_0", "faces"])
def test_npz_keys(tmp_path, images, key):
    path = save(tmp_path, None, "set.npz", **{key: images, "labels": np.zeros(60, np.int64)})
    assert datasets.load("array", path=path).labels.shape == (50,)


def test_ambiguous_npz_lists_its_keys(tmp_path, images):
    message = error_of(save(tmp_path, None, "set.npz", a=images, b=images))
    assert "'a', 'b'" in message


def test_floats_are_mapped_from_their_declared_range(tmp_path, images):
    path = save(tmp_path, images.astype(np.float32) / 127.5 - 1)
    found = datasets.load("array", "test", path=path, low=-1.0, high=1.0)
    assert np.array_equal(found.examples[..., 0], images[5::6])


def test_floats_without_a_range_or_outside_it_are_refused(tmp_path, images):
    path = save(tmp_path, images / 255)
    assert "dataset.array.low" in error_of(path)
    assert "dataset.array.low" in error_of(path, low=0.0)
    assert "dataset.array.low" in error_of(path, low=1.0, high=0.0)
    assert "outside" in error_of(path, low=0.0, high=0.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_are_refused(tmp_path, images, bad):
    floats = images / 255
    floats[7, 2, 3] = bad
    assert "NaN" in error_of(save(tmp_path, floats), low=0.0, high=1.0)
    assert "NaN" in error_of(save(tmp_path, floats.reshape(60, 64), "points.npy"))


def test_points_are_returned_as_float32(tmp_path):
    points = np.random.default_rng(0).normal(size=(30, 2))
    path = save(tmp_path, points)
    found = datasets.load("array", "test", path=path)
    assert not found.is_images and found.examples.dtype == np.float32
    assert np.array_equal(found.examples, points[5::6].astype(np.float32))
    assert "image_size" in error_of(path, image_size=8)


def test_wrong_layouts_and_types(tmp_path, images):
    assert "transpose" in error_of(save(tmp_path, np.stack([images] * 3, axis=1)))
    assert "channels" in error_of(save(tmp_path, np.stack([images] * 5, axis=-1)))
    assert "int64" in error_of(save(tmp_path, images.astype(np.int64)))
    assert "[N, H, W, C]" in error_of(save(tmp_path, images[0]))
    assert "empty" in error_of(save(tmp_path, images[:0]))
    assert "low" in error_of(save(tmp_path, images), low=0.0, high=255.0)


def test_labels_that_do_not_fit(tmp_path, images):
    for labels in (np.zeros(59, np.int64), np.zeros(60), np.full(60, -1), np.zeros((60, 10), np.int64)):
        assert "labels" in error_of(save(tmp_path, None, "set.npz", images=images, labels=labels))


@pytest.mark.parametrize("name", ["objects.npy", "objects.npz"])
def test_pickles_are_never_loaded(tmp_path, name):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    objects = np.array([Bomb(), Bomb()], dtype=object)
    file = tmp_path / name
    np.savez(file, images=objects) if name.endswith("z") else np.save(file, objects, allow_pickle=True)
    assert "pickled" in error_of(str(file))
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("content", [b"", b"PK\3\4 not a zip", b"no array at all"])
def test_unreadable_files_are_named(tmp_path, content):
    file = tmp_path / "broken.npz"
    file.write_bytes(content)
    assert str(file) in error_of(str(file))


def test_another_format_is_not_reported_as_a_pickle(tmp_path):
    (tmp_path / "faces.csv").write_text("1,2,3\n")
    assert "another format" in error_of(str(tmp_path / "faces.csv"))


def test_a_damaged_npy_is_named(tmp_path, images):
    path = save(tmp_path, images)
    with open(path, "r+b") as file:
        file.seek(20)
        file.write(b"#")
    assert path in error_of(path)
    save(tmp_path, images)
    with open(path, "r+b") as file:
        file.truncate(1000)
    assert path in error_of(path)


def test_a_missing_file(tmp_path):
    assert "dataset.path" in error_of("")
    assert str(tmp_path / "x.npy") in error_of(str(tmp_path / "x.npy"))


@pytest.mark.parametrize("fields", [{}, {"low": 0.0, "high": 255.0}])
def test_large_files_go_through_the_memory_mapped_cache(tmp_path, images, fields, monkeypatch):
    path = save(tmp_path, images.astype(np.float32) if fields else images)
    monkeypatch.setattr("jaxgan.datasets.array._CHUNK", 7 * 64)
    small = datasets.load("array", path=path, **fields)
    large = datasets.load("array", path=path, in_memory_gb=0.0, **fields)
    assert isinstance(large.examples, np.memmap) and large.fingerprint == small.fingerprint


def test_values_just_outside_of_the_range_are_shown_with_all_digits(tmp_path):
    path = tmp_path / "images.npy"
    np.save(path, np.full((12, 4, 4), 1.0000001, np.float32))
    with pytest.raises(UserError, match=r"1\.0000001.*numpy\.clip\(images, 0\.0, 1\.0\)"):
        datasets.load("array", path=str(path), low=0.0, high=1.0)


def test_arrays_that_would_not_be_read_are_named(tmp_path):
    """Labels given by position, and archives of other files."""
    path = tmp_path / "pair.npz"
    np.savez(path, np.zeros((12, 4, 4), np.uint8), np.arange(12))
    with pytest.raises(UserError, match="'arr_1' would not be read, beside 'arr_0': call labels 'labels'"):
        datasets.load("array", path=str(path))
    archive = tmp_path / "images.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("0.png", b"not an array")
    with pytest.raises(UserError, match="'0.png', which is no array; a folder is dataset 'images'"):
        datasets.load("array", path=str(archive))
