"""Feature extractors: results, saved files, and refused inputs."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from jaxgan import datasets
from jaxgan.datasets import validation_rows
from jaxgan.errors import UserError
from jaxgan.extractors import EXTRACTORS, classifier, files

TREE = {"a": {"kernel": np.arange(6.0, dtype=np.float32).reshape(2, 3)}, "b": np.array(3, np.int32)}


@functools.cache
def load(split):
    return datasets.load("digits", split, image_size=8)


@pytest.fixture(scope="module")
def digits_classifier():
    return EXTRACTORS["classifier"](load, (8, 8, 1), num_steps=200)


def test_raw_features_are_pixels_or_points():
    images = load("test").examples[:3]
    found = EXTRACTORS["raw"](load, (8, 8, 1)).extract({}, images)["features"]
    np.testing.assert_allclose(found, images.reshape(3, 64) / 255, rtol=1e-6)
    points = np.array([[0.5, -2.0]], np.float32)
    assert np.array_equal(EXTRACTORS["raw"](load, (2,)).extract({}, points)["features"], points)


def test_the_classifier_knows_digits(digits_classifier):
    """It is trained on 1,498 digits; its reported accuracy is that on the others."""
    test = load("test")
    found = digits_classifier.extract(digits_classifier.weights, test.examples)
    assert found["features"].shape == (299, 128) and found["logits"].shape == (299, 10)
    accuracy = np.mean(found["logits"].argmax(axis=-1) == test.labels)
    assert accuracy == pytest.approx(digits_classifier.protocol["accuracy"]) and accuracy > 0.95
    assert digits_classifier.protocol["accuracy_of"] == "299 test images"
    counts = np.bincount(load("train").labels)
    np.testing.assert_allclose(digits_classifier.mode_shares, counts / counts.sum())


def test_the_classifier_is_trained_once(digits_classifier, tmp_path, monkeypatch, caplog):
    """If its file is damaged, it is trained again, to the same bits."""
    trained = []
    train = classifier._train
    monkeypatch.setattr(classifier, "_train", lambda *args: trained.append(1) or train(*args))
    again = EXTRACTORS["classifier"](load, (8, 8, 1), num_steps=200)
    assert not trained and again.protocol == digits_classifier.protocol
    monkeypatch.setenv("JAXGAN_CACHE_DIR", str(tmp_path))
    first = EXTRACTORS["classifier"](load, (8, 8, 1), num_steps=3)
    (path,) = (tmp_path / "extractors").iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    second = EXTRACTORS["classifier"](load, (8, 8, 1), num_steps=3)
    assert len(trained) == 2 and "training a classifier again" in caplog.text
    assert first.protocol["digest"] == second.protocol["digest"] == files.digest(second.weights)
    shared = EXTRACTORS["classifier"](load, (8, 8, 1), weights=str(path))
    assert len(trained) == 2 and shared.protocol == second.protocol


def test_without_labels_of_the_test_split_the_accuracy_is_that_of_the_validation_part(monkeypatch, capsys):
    def unlabelled(split):
        changes = {"labels": None, "fingerprint": "unlabelled"} if split == "test" else {}
        return dataclasses.replace(load(split), **changes)

    train = classifier._train
    monkeypatch.setattr(classifier, "_train", lambda *args: train(*args[:-1], 3))
    found = EXTRACTORS["auto"](unlabelled, (8, 8, 1))
    assert found.protocol["accuracy_of"] == "249 validation images" and found.unseen == "validation"
    assert found.name == "weak_classifier" and found.protocol["accuracy"] < 0.9  # after 3 steps
    assert "its accuracy on 249 validation images" in capsys.readouterr().out


def test_a_classifier_is_not_trained_on_the_validation_part(monkeypatch):
    """Its training reads only the other rows, and floors take into account which examples it used."""
    taken = []
    read = classifier.take
    monkeypatch.setattr(classifier, "take", lambda examples, rows: taken.append(rows) or read(examples, rows))
    _, about = classifier._train(classifier.Classifier(10), load("train"), load("test"), 30)
    training = np.concatenate(taken[:-1])  # the last access is to the test images
    assert about["num_train"] + about["num_validation"] == len(load("train")) == 1498
    assert set(training).isdisjoint(validation_rows(1498)) and len(set(training)) == 1249


def test_an_accurate_classifier_is_reported_as_good(digits_classifier):
    assert digits_classifier.protocol["accuracy"] >= 0.9
    assert digits_classifier.name == "classifier" and digits_classifier.unseen == "validation"


def test_a_classifier_reads_its_training_set_in_blocks(monkeypatch):
    """The result is bitwise equal for all block sizes."""
    taken = []

    class Source:
        shape, dtype = load("train").examples.shape, np.dtype(np.uint8)

        def __len__(self):
            return self.shape[0]

        def __getitems__(self, rows):
            taken.append(len(rows))
            return load("train").examples[rows]

    train, test = dataclasses.replace(load("train"), examples=Source()), load("test")
    whole, _ = classifier._train(classifier.Classifier(10), train, test, 4)
    monkeypatch.setattr(classifier, "_STEPS_PER_CALL", 2)
    parts, _ = classifier._train(classifier.Classifier(10), train, test, 4)
    assert taken == [4 * 128, 2 * 128, 2 * 128]
    assert files.digest(whole) == files.digest(parts)


def test_labels_need_not_be_dense(digits_classifier):
    """Classes are the labels that occur: here 10 times the digit."""

    def sparse(split):
        return dataclasses.replace(load(split), labels=load(split).labels * 10, fingerprint="sparse")

    found = EXTRACTORS["classifier"](sparse, (8, 8, 1), num_steps=200)
    assert found.protocol["accuracy"] == digits_classifier.protocol["accuracy"]
    assert found.protocol["digest"] == digits_classifier.protocol["digest"]


def test_stacked_images_are_classified_channel_by_channel(digits_classifier):
    """The mode is the number whose digits are those of the channels."""
    singles = load("test").examples[:60]

    def stacked(split):
        examples = np.zeros((1, 8, 8, 3), np.uint8)
        return dataclasses.replace(load(split), examples=examples, labels=None, parts=load(split))

    extractor = EXTRACTORS["classifier"](stacked, (8, 8, 3), num_steps=200)
    images = np.moveaxis(singles.reshape(20, 3, 8, 8), 1, -1)
    found = extractor.extract(extractor.weights, images)
    alone = digits_classifier.extract(digits_classifier.weights, singles)
    digits = np.asarray(alone["logits"].argmax(axis=-1)).reshape(20, 3)
    np.testing.assert_array_equal(found["modes"], digits @ [100, 10, 1])
    np.testing.assert_allclose(found["features"], alone["features"].reshape(20, -1), atol=1e-5)
    assert "logits" not in found and extractor.mode_shares.shape == (1000,)
    share = digits_classifier.mode_shares
    np.testing.assert_allclose(extractor.mode_shares[372], share[3] * share[7] * share[2])


def test_unsuitable_training_sets_of_the_classifier_are_refused():
    with pytest.raises(UserError, match="images, not points"):
        EXTRACTORS["classifier"](load, (2,))

    def unlabelled(split):
        return dataclasses.replace(load(split), labels=None)

    with pytest.raises(UserError, match="needs labels of two classes"):
        EXTRACTORS["classifier"](unlabelled, (8, 8, 1))
    assert EXTRACTORS["auto"](unlabelled, (8, 8, 1)).name == "raw"

    def one_class(split):
        return dataclasses.replace(load(split), labels=np.zeros(len(load(split)), np.int32))

    assert EXTRACTORS["auto"](one_class, (8, 8, 1)).name == "raw"


def test_a_classifier_of_other_data_is_refused(digits_classifier, tmp_path):
    path = tmp_path / "other.npz"
    with pytest.raises(UserError, match=r"classifier\.weights: .*other\.npz"):
        EXTRACTORS["classifier"](load, (8, 8, 1), weights=str(path))
    files.write(path, TREE, {})
    with pytest.raises(UserError, match="for other images or classes"):
        EXTRACTORS["classifier"](load, (8, 8, 1), weights=str(path))


def test_files_return_what_was_written(tmp_path):
    path = tmp_path / "folder" / "weights.npz"
    files.write(path, TREE, {"accuracy": 0.5})
    found, about = files.read(path)
    assert about == {"accuracy": 0.5, "digest": files.digest(TREE)}
    assert jax.tree.all(jax.tree.map(np.array_equal, found, TREE))
    assert [path] == list(path.parent.iterdir())
    changed = {"a": {"kernel": TREE["a"]["kernel"] + 1}, "b": TREE["b"]}
    assert files.digest(changed) != files.digest(TREE) != files.digest({"c": TREE["a"], "b": TREE["b"]})
    np.savez(path, **{"a/kernel": TREE["a"]["kernel"]}, about=np.array('{"digest": "0"}'))
    with pytest.raises(ValueError, match="differs from its digest"):
        files.read(path)
    path.write_text("no file of NumPy")
    with pytest.raises(ValueError, match=r"weights\.npz"):
        files.read(path)


def test_of_two_processes_that_save_one_file_the_first_wins(tmp_path):
    path, other = tmp_path / "weights.npz", {**TREE, "b": TREE["b"] + 1}
    assert files.store(path, TREE, {}) == (TREE, {})
    found, about = files.store(path, other, {})
    assert about["digest"] == files.digest(found) == files.digest(TREE)
    path.write_text("damaged")
    assert files.store(path, other, {})[0] is other
    assert files.digest(files.read(path)[0]) == files.digest(other)
    assert [path] == list(tmp_path.iterdir())
