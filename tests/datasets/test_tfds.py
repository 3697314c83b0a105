import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from runs import leaves, lines, tiny_config

from jaxgan import datasets
from jaxgan.datasets import network, tfds_prepare
from jaxgan.datasets.resize import resize_array
from jaxgan.datasets.tfds import _is_class, read
from jaxgan.datasets.tfds_records import RandomAccess
from jaxgan.errors import UserError
from jaxgan.jobs.train import train

RECORD_HEADER = 12  # bytes before the data of a tfrecord: length and checksum


@pytest.fixture
def copy(tmp_path, mnist_tfds):
    """(data_dir, tfrecord file): a copy of MNIST's test split."""
    version = tmp_path / "data" / "mnist" / "3.0.1"
    version.mkdir(parents=True)
    for file in (mnist_tfds / "mnist" / "3.0.1").iterdir():
        if "train" not in file.name:
            shutil.copyfile(file, version / file.name)
    return tmp_path / "data", version / "mnist-test.tfrecord-00000-of-00001"


def records_of(file, count):
    """The data of the first records of a tfrecord file."""
    data, records, start = file.read_bytes(), [], 0
    for _ in range(count):
        length = int.from_bytes(data[start : start + 8], "little")
        records.append(data[start + RECORD_HEADER : start + RECORD_HEADER + length])
        start += RECORD_HEADER + length + 4
    return records


def describe(version, **changes):
    """Rewrites dataset_info.json so that it has only a test split."""
    file = version / "dataset_info.json"
    info = json.loads(file.read_text())
    info["splits"] = [
        {**split, **changes.get("split", {})} for split in info["splits"] if split["name"] == "test"
    ]
    info.update(changes.get("info", {}))
    file.write_text(json.dumps(info))


@pytest.fixture
def indexed(copy):
    """MNIST's first 700 test images, prepared as array_record."""
    from array_record.python.array_record_module import ArrayRecordWriter

    data_dir, tfrecord = copy
    writer = ArrayRecordWriter(str(tfrecord).replace("tfrecord", "array_record"), "group_size:1")
    for record in records_of(tfrecord, 700):
        writer.write(record)
    writer.close()
    tfrecord.unlink()
    describe(tfrecord.parent, split={"shardLengths": ["700"]}, info={"fileFormat": "array_record"})
    return data_dir


def refused(name, split="test", **arguments):
    with pytest.raises(UserError) as caught:
        datasets.load(name, split, **arguments)
    assert "\n" not in str(caught.value) and not isinstance(caught.value, datasets.MissingDataset)
    return str(caught.value)


def test_a_prepared_set_is_decoded_once_and_then_needs_no_tensorflow(copy, mnist_idx, monkeypatch):
    found = datasets.load("tfds/mnist", "test", path=str(copy[0]))
    assert found.name == "tfds/mnist" and found.shape == (28, 28, 1) and len(found.labels) == 10_000
    original = datasets.load("mnist", "test", path=str(mnist_idx))
    pairs = [sorted(zip(map(bytes, d.examples), d.labels.tolist(), strict=True)) for d in (found, original)]
    assert pairs[0] == pairs[1]

    monkeypatch.setattr(tfds_prepare, "require_tensorflow", None)
    again = datasets.load("tfds/mnist", "test", path=str(copy[0]))
    assert again.fingerprint == found.fingerprint and np.array_equal(again.examples, found.examples)


def test_a_cached_set_does_not_import_tensorflow(copy):
    datasets.load("mnist", "test", path=str(copy[0]))
    code = (
        "import sys; from jaxgan import datasets; "
        f"datasets.load('mnist', 'test', path={str(copy[0])!r}); assert 'tensorflow' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


@pytest.mark.slow
def test_the_environment_variable_names_the_folder(copy):
    code = "from jaxgan import datasets; print(len(datasets.load('tfds/mnist', 'test', image_size=4)))"
    environment = {**os.environ, "TFDS_DATA_DIR": str(copy[0]), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, env=environment, capture_output=True, text=True
    )
    assert done.stdout.split()[-1] == "10000"


def test_resized_sets_differ_from_stored_ones(copy):
    assert datasets.load("tfds/mnist", "test", path=str(copy[0]), image_size=14).shape == (14, 14, 1)


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "lose a record", "empty"])
def test_damaged_tfrecords_are_errors(copy, damage):
    data_dir, file = copy
    data = bytearray(file.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    elif damage == "truncate":
        del data[len(data) // 2 :]
    elif damage == "lose a record":
        del data[: RECORD_HEADER + int.from_bytes(data[:8], "little") + 4]
    elif damage == "empty":
        data.clear()
    file.unlink() if damage == "remove" else file.write_bytes(data)
    for name in ("tfds/mnist", "mnist"):
        assert str(file.parent) in refused(name, path=str(data_dir), fallback="digits")


def test_array_record_is_read_by_index_when_large(indexed):
    decoded = datasets.load("tfds/mnist", "test", path=str(indexed))
    source = datasets.load("tfds/mnist", "test", path=str(indexed), decode_below_gb=0.0)
    assert isinstance(decoded.examples, np.ndarray) and isinstance(source.examples, RandomAccess)
    assert source.shape == decoded.shape and len(source) == 700 and source.nbytes == decoded.nbytes
    rows = np.array([699, 0, 3, 3])
    assert np.array_equal(datasets.take(source.examples, rows), decoded.examples[rows])
    assert np.array_equal(source.labels, decoded.labels)
    again = datasets.load("tfds/mnist", "test", path=str(indexed), decode_below_gb=0.0)
    assert again.fingerprint == source.fingerprint


def test_array_record_resizes_too(indexed):
    decoded = datasets.load("tfds/mnist", "test", path=str(indexed), image_size=14)
    source = datasets.load("tfds/mnist", "test", path=str(indexed), image_size=14, decode_below_gb=0.0)
    rows = np.arange(5)
    assert np.array_equal(datasets.take(source.examples, rows), decoded.examples[rows])


def test_a_wrong_count_is_an_error(indexed):
    describe(indexed / "mnist" / "3.0.1", split={"shardLengths": ["701"]})
    assert str(indexed) in refused("tfds/mnist", path=str(indexed))


def test_images_of_undeclared_size_need_an_image_size(copy):
    features = copy[1].parent / "features.json"
    declared = json.loads(features.read_text())
    image = declared["featuresDict"]["features"]["image"]["image"]
    image["shape"]["dimensions"] = ["-1", "-1", "1"]
    features.write_text(json.dumps(declared))
    # With a version in the name, TFDS reads the description of a set from its files, not from its code.
    assert "image_size" in refused("tfds/mnist:3.0.1", path=str(copy[0]))
    found = datasets.load("tfds/mnist:3.0.1", "test", path=str(copy[0]), image_size=7)
    declared = datasets.load("tfds/mnist", "test", path=str(copy[0]), image_size=7)
    assert found.fingerprint == declared.fingerprint


def test_another_prepared_version_is_used(copy):
    data_dir, file = copy
    file.parent.rename(data_dir / "mnist" / "3.0.0")
    info = data_dir / "mnist" / "3.0.0" / "dataset_info.json"
    info.write_text(info.read_text().replace("3.0.1", "3.0.0"))
    assert "3.0.0" in datasets.load("tfds/mnist", "test", path=str(data_dir), image_size=4).origin


@pytest.mark.parametrize(
    "name, fields, part",
    [
        ("tfds/mnistt", {}, "'mnist'"),
        ("tfds", {}, "tfds/cifar10"),
        ("tfds/", {}, "tfds/cifar10"),
        ("tfds/mnist/blurred", {}, "blurred"),
        ("tfds/mnist:9.9.9", {}, "9.9.9"),
        ("tfds/mnist", {"image_key": "picture"}, "image_key to image"),
    ],
)
def test_sets_and_splits_unknown_to_tfds(copy, name, fields, part):
    assert part in refused(name, path=str(copy[0]), **fields)


def test_an_absent_split_lists_the_splits(copy):
    describe(copy[1].parent)
    assert "it has test" in refused("tfds/mnist", "train", path=str(copy[0]))


def test_labels_must_be_integers():
    """LFW's are names."""
    from tensorflow_datasets import features

    assert _is_class(features.ClassLabel(num_classes=3)) and _is_class(features.Scalar(np.uint8))
    assert not _is_class(features.Text()) and not _is_class(features.Scalar(np.float32))
    assert not _is_class(features.Tensor(shape=(2,), dtype=np.int64))


def test_labels_are_optional(copy):
    found = datasets.load("tfds/mnist", "test", path=str(copy[0]), image_size=4, label_key="")
    assert found.labels is None and found.class_names == ()


def test_an_unprepared_set_without_a_network_is_missing_and_its_size_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(network, "unreachable", lambda urls: "example.org (no answer in 20 s)")
    with pytest.raises(datasets.MissingDataset, match="example.org") as caught:
        datasets.load("tfds/cifar10", path=str(tmp_path))
    assert caught.value.image_size == 32 and str(tmp_path) in str(caught.value)
    assert datasets.load("tfds/cifar10", path=str(tmp_path), fallback="digits").shape == (32, 32, 1)


def test_tfrecords_of_pngs_need_no_tensorflow(copy, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert len(datasets.load("tfds/mnist", "test", path=str(copy[0]), image_size=4)) == 10_000


@pytest.fixture(scope="module")
def own_set():
    """A user-defined set, registered with TFDS, which is prepared from code without downloads."""
    import tensorflow_datasets as tfds

    class EmbeddedDigits(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        failure, count, has_validation = None, 20, True

        def _info(self):
            features = tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1)),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            )
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            if self.failure is not None:
                raise self.failure
            names = {"train": "train", "validation": "test"} if self.has_validation else {"train": "train"}
            return {name: self._generate_examples(split) for name, split in names.items()}

        def _generate_examples(self, split):
            digits = datasets.load("digits", split)
            for n in range(min(self.count, len(digits))):
                yield n, {"image": digits.examples[n], "label": digits.labels[n]}

    return EmbeddedDigits


def test_an_unprepared_set_is_prepared(own_set, tmp_path):
    found = datasets.load("tfds/embedded_digits", path=str(tmp_path))
    digits = datasets.load("digits")
    assert sorted(map(bytes, found.examples)) == sorted(map(bytes, digits.examples[:20]))
    assert (tmp_path / "embedded_digits" / "1.0.0" / "dataset_info.json").is_file()
    assert "'validation'" in datasets.load("tfds/embedded_digits", "test", path=str(tmp_path)).origin


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_without_a_test_split_every_sixth_is_held_out(own_set, tmp_path, monkeypatch, file_format):
    import tensorflow_datasets as tfds

    monkeypatch.setattr(own_set, "has_validation", False)
    builder = tfds.builder("embedded_digits", data_dir=tmp_path, file_format=file_format)
    builder.download_and_prepare()
    indexed = file_format == "array_record"
    whole = builder.as_data_source("train") if indexed else tfds.as_numpy(builder.as_dataset(split="train"))
    images, labels = (np.array([example[key] for example in whole]) for key in ("image", "label"))
    fingerprints = set()
    for split, rows in {"train": np.delete(np.arange(20), [5, 11, 17]), "test": [5, 11, 17]}.items():
        for decode_below_gb in (4.0, 0.0) if indexed else (4.0,):
            fields = {"path": str(tmp_path), "decode_below_gb": decode_below_gb}
            found = datasets.load("tfds/embedded_digits", split, **fields)
            assert len(found) == len(rows) and "every sixth" in found.origin
            assert np.array_equal(datasets.take(found.examples, np.arange(len(found))), images[rows])
            assert np.array_equal(found.labels, labels[rows])
            fingerprints.add(found.fingerprint)
    assert len(fingerprints) == (4 if indexed else 2)


@pytest.mark.parametrize("encoding", ["png", "jpeg"])
@pytest.mark.parametrize("channels", [1, 3])
def test_tfrecords_give_the_pixels_of_tensorflow(tmp_path, encoding, channels, monkeypatch):
    """TensorFlow's JPEG decoder is not Pillow's. Without TensorFlow, JPEG sets are refused in one line."""
    import tensorflow_datasets as tfds

    images = np.random.default_rng(0).integers(0, 256, (7, 16, 16, channels), np.uint8)

    class Noise(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            image = tfds.features.Image(shape=(16, 16, channels), encoding_format=encoding)
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict({"image": image}))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(), "test": self._generate_examples()}

        def _generate_examples(self):
            for n, image in enumerate(images):
                yield n, {"image": image}

    builder = Noise(data_dir=tmp_path)
    builder.download_and_prepare()
    expected = np.array([example["image"] for example in tfds.as_numpy(builder.as_dataset(split="train"))])
    found = read(builder, "noise", "train", 0)
    assert np.array_equal(found.examples, expected) and found.labels is None
    small = read(builder, "noise", "train", 5).examples
    assert np.array_equal(small, resize_array(expected, 5))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    if encoding == "png":
        assert len(read(builder, "noise", "test", 0)) == 7
    else:
        with pytest.raises(UserError, match="needs TensorFlow.*pip install"):
            read(builder, "noise", "test", 0)


def test_a_download_that_fails_is_missing_and_one_that_is_damaged_is_not(own_set, tmp_path, monkeypatch):
    from tensorflow_datasets.core.download import download_manager, util

    monkeypatch.setattr(own_set, "failure", util.DownloadError("connection lost\nin the middle"))
    with pytest.raises(datasets.MissingDataset, match="connection lost") as caught:
        datasets.load("tfds/embedded_digits", path=str(tmp_path))
    assert "\n" not in str(caught.value)
    for failure, part in [
        (download_manager.NonMatchingChecksumError("wrong checksum"), "downloads"),
        (AssertionError("Manual directory not enabled."), "Manual directory"),
        (OSError(28, "No space left on device"), "No space left"),
    ]:
        monkeypatch.setattr(own_set, "failure", failure)
        assert part in refused("tfds/embedded_digits", "train", path=str(tmp_path), fallback="digits")


@pytest.mark.slow
def test_a_run_streams_array_records_as_it_trains_from_memory(own_set, tmp_path, monkeypatch):
    """Decoded in memory, decoded from records to the device, and read from records at each step."""
    import tensorflow_datasets as tfds

    monkeypatch.setattr(own_set, "count", 2000)
    tfds.builder("embedded_digits", data_dir=tmp_path, file_format="array_record").download_and_prepare()
    ways = {"memory": (4.0, 2**31), "device": (0.0, 2**31), "streamed": (0.0, 0)}
    for name, (decode_below_gb, max_device_bytes) in ways.items():
        config = tiny_config(
            dataset__name="tfds/embedded_digits",
            dataset__path=str(tmp_path),
            dataset__tfds__decode_below_gb=decode_below_gb,
            dataset__max_device_bytes=max_device_bytes,
            num_steps=8,
            discriminator_steps=2,
        )
        assert train(config, tmp_path / name) == 0
    _, expected = leaves(tmp_path / "memory")
    for name in ("device", "streamed"):
        _, found = leaves(tmp_path / name)
        assert all(found[path].tobytes() == leaf.tobytes() for path, leaf in expected.items())
        assert lines(tmp_path / name) == lines(tmp_path / "memory")
