import numpy as np
import pytest
from scipy import stats

from jaxgan import datasets
from jaxgan.datasets import order, stacked_mnist, stream
from jaxgan.errors import UserError


def load(split="train", **fields):
    return datasets.load("stacked_mnist", split, **{"digits": "digits", "num_triples": 500, **fields})


def test_channels_are_the_digits_of_the_label():
    data, digits = load(), datasets.load("digits")
    rows = data.examples.rows(np.arange(500))
    images = datasets.take(data.examples, np.arange(500))
    assert rows.shape == (500, 3) and images.shape == (500, 8, 8, 3) and images.dtype == np.uint8
    for channel, weight in enumerate((100, 10, 1)):
        assert np.array_equal(images[..., channel], digits.examples[rows[:, channel], ..., 0])
        assert np.array_equal(data.labels // weight % 10, digits.labels[rows[:, channel]])
    assert data.class_names[123] == "123" and len(data.class_names) == 1000
    assert data.parts.fingerprint == digits.fingerprint
    assert np.array_equal(data.parts.labels, digits.labels)


@pytest.mark.parametrize("num_triples", [500, 0])
def test_a_triple_does_not_depend_on_the_rows_read_with_it(num_triples):
    one, other = load(num_triples=num_triples), load(num_triples=num_triples)
    index = np.array([499, 3, 3, 77])
    images = datasets.take(one.examples, index)
    assert np.array_equal(
        images, np.concatenate([datasets.take(other.examples, index[i : i + 1]) for i in range(4)])
    )
    assert np.array_equal(images[1], images[2]) and not np.array_equal(images[0], images[1])


def test_new_triples_continue_the_fixed_ones():
    """The number of triples is only the length of the stream."""
    some, more, new = load(), load(num_triples=1000), load(num_triples=0)
    index = np.arange(500)
    assert np.array_equal(some.examples.rows(index), more.examples.rows(index))
    assert np.array_equal(some.examples.rows(index), new.examples.rows(index))
    assert new.labels is None and len(new) == order.MAX_SIZE - 1 and new.shape == (8, 8, 3)
    assert len({data.fingerprint for data in (some, more, new)}) == 3
    last = new.examples.rows(np.array([0, len(new) - 1]))
    assert not np.array_equal(*last) and last.max() < 1498


def test_new_triples_stream():
    """Every position in the order of a run is a new triple, and all readers get the same triples."""
    data, key = load(num_triples=0), np.array([1, 2], np.uint32)
    whole = stream.Stream(data, key, 8)
    steps = whole.steps(5)
    images, labels = next(steps)
    steps.close()
    assert images.shape == (8, 8, 8, 3) and labels is None
    assert np.array_equal(images, whole.read(5)[0])
    assert np.array_equal(images[6:], stream.Stream(data, key, 8, first=6, count=2).read(5)[0])
    drawn = np.concatenate([order.rows(key, step, 1000, len(data)) for step in range(20)])
    assert len(np.unique(drawn)) == 20_000


def test_the_fingerprint_depends_on_all_that_determines_the_triples():
    variants = [
        load(), load(seed=1), load(num_triples=501), load(num_triples=0), load("test"), load("test", seed=1),
        load(image_size=16),
    ]  # fmt: skip
    assert len({data.fingerprint for data in variants}) == len(variants)
    assert load().fingerprint == variants[0].fingerprint


def test_the_stream_is_frozen():
    # A change here changes the data of every published number of Stacked-MNIST: increase _FORMAT then.
    data = load()
    assert data.fingerprint == "578272cdfa41ee3a07535371d5b19aca"
    assert data.examples.rows(np.array([0, 1, 499])).tolist() == [
        [1174, 1426, 954],
        [952, 579, 433],
        [1024, 432, 64],
    ]
    assert load("test", seed=7).examples.rows(np.array([2**31 + 5])).tolist() == [[44, 121, 193]]


def test_the_test_split_uses_the_test_split_of_the_digits():
    test, digits = load("test"), datasets.load("digits", "test")
    assert len(test) == stacked_mnist.NUM_TEST == len(load("test", num_triples=0))
    rows = test.examples.rows(np.arange(len(test)))
    assert rows.max() == len(digits) - 1 and test.parts.fingerprint == digits.fingerprint
    images = datasets.take(test.examples, np.arange(50))
    assert np.array_equal(images[:, ..., 2], digits.examples[rows[:50, 2], ..., 0])
    train = load().examples.rows(np.arange(100))
    assert not np.array_equal(train % len(digits), rows[:100])  # other draws than those of the training set


def test_draws_are_uniform_and_independent():
    """χ² tests of digits, of pairs within a triple and of pairs in consecutive triples, at p = .001."""
    key, count = np.array([0, 0], np.uint32), 200_000
    drawn = order.draws(key, np.arange(count), 40, 3)
    assert drawn.shape == (count, 3) and drawn.min() == 0 and drawn.max() == 39

    def uniform(values, choices):
        return stats.chisquare(np.bincount(values, minlength=choices)).pvalue > 1e-3

    for channel in range(3):
        assert uniform(drawn[:, channel], 40)
        assert uniform(drawn[:, channel] * 40 + drawn[:, (channel + 1) % 3], 1600)
        assert uniform(drawn[:-1, channel] * 40 + drawn[1:, channel], 1600)
        assert uniform(drawn[:-1, channel] * 40 + drawn[1:, (channel + 1) % 3], 1600)
    others = order.draws(np.array([0, 1], np.uint32), np.arange(count), 40, 3)
    assert uniform(drawn[:, 0] * 40 + others[:, 0], 1600)
    far = order.draws(key, np.arange(2**32 - 1000, 2**32), 40, 3)
    assert np.array_equal(far, order.draws(key, np.arange(2**32 - 1000, 2**32), 40, 4)[:, :3])


def test_pacgans_protocol_on_mnist(mnist_idx):
    data = datasets.load("stacked_mnist", path=str(mnist_idx))
    assert len(data) == 128_000 and data.shape == (28, 28, 3) and data.nbytes == 128_000 * 2352
    counts = np.bincount(data.labels, minlength=1000)
    assert counts.min() > 0 and len(counts) == 1000
    share = np.bincount(data.parts.labels) / 60_000
    expected = np.einsum("i,j,k->ijk", share, share, share).ravel() * 128_000
    assert stats.chisquare(counts, expected).pvalue > 1e-3
    assert len(np.unique(data.examples.rows(np.arange(128_000)))) > 59_000  # 60,000 · (1 - e^-6.4)


def test_image_size_is_that_of_the_digits():
    data, digits = load(image_size=20), datasets.load("digits", image_size=20)
    images = datasets.take(data.examples, np.arange(9))
    assert images.shape == (9, 20, 20, 3)
    assert np.array_equal(images[..., 1], digits.examples[data.examples.rows(np.arange(9))[:, 1], ..., 0])
    assert np.array_equal(data.examples.rows(np.arange(9)), load().examples.rows(np.arange(9)))


@pytest.mark.parametrize(
    "fields, part",
    [
        (dict(num_triples=-1), "num_triples"),
        (dict(num_triples=2**30), "num_triples"),
        (dict(seed=-1), "seed"),
        (dict(seed=2**32), "seed"),
        (dict(digits="ring"), "grey images"),
        (dict(digits="digit"), "'digits'"),
    ],
)
def test_impossible_fields(fields, part):
    with pytest.raises(UserError, match=part) as caught:
        load(**fields)
    assert "\n" not in str(caught.value)


def test_other_digits_are_refused(tmp_path):
    path = tmp_path / "images.npz"
    images = np.zeros((24, 8, 8, 1), np.uint8)
    for arrays, part in [
        (dict(images=np.zeros((24, 8, 8, 3), np.uint8), labels=np.arange(24) % 10), r"\(8, 8, 3\)"),
        (dict(images=images), "labels"),
        (dict(images=images, labels=np.arange(24) % 9), "labels"),
        (dict(images=images, labels=np.arange(24) % 11), "labels"),
    ]:
        np.savez(path, **arrays)
        with pytest.raises(UserError, match=part):
            load(digits="array", path=str(path))
    np.savez(path, images=images, labels=np.arange(24) % 10)
    assert load(digits="array", path=str(path)).parts.name == "array"


def test_missing_digits_are_reported(tmp_path, monkeypatch):
    from tensorflow_datasets.core import constants

    from jaxgan.datasets import network

    monkeypatch.setattr(constants, "DATA_DIR", str(tmp_path / "tensorflow_datasets"))
    monkeypatch.setattr(network, "unreachable", lambda urls: "no answer")
    with pytest.raises(datasets.MissingDataset) as caught:
        datasets.load("stacked_mnist")
    assert caught.value.image_size == 28
