"""Digits beside their outlines, colours and negatives."""

import numpy as np
import pytest

from jaxgan import datasets
from jaxgan.datasets import styled_digits
from jaxgan.errors import UserError


def load(split="train", **fields):
    return datasets.load("styled_digits", split, **{"digits": "digits", **fields})


def whole(dataset):
    return datasets.take(dataset.examples, np.arange(len(dataset)))


@pytest.fixture
def tiny(tmp_path):
    """Twenty images of 2x4 pixels with the classes 0 to 9 twice; the first is 10 30 0 0 / 20 50 0 200."""
    images = np.zeros((20, 2, 4, 1), np.uint8)
    images[0, ..., 0] = [[10, 30, 0, 0], [20, 50, 0, 200]]
    images[:, 0, 0, 0] = 10 * np.arange(1, 21)
    np.savez(tmp_path / "tiny.npz", x_train=images, y_train=np.arange(20) % 10,
             x_test=images[::-1], y_test=np.arange(20)[::-1] % 10)  # fmt: skip
    return {"digits": "array", "path": str(tmp_path / "tiny.npz")}


def test_the_pixels_of_each_style(tiny):
    """By hand; the two rows see both rows, and a column its neighbours."""
    image = whole(load(**tiny))[0]
    assert image[..., 0].tolist() == [[10, 30, 0, 0], [20, 50, 0, 200]]
    assert image[..., 1].tolist() == [[40, 50, 200, 200], [40, 50, 200, 200]]
    negative = whole(load(**tiny, style="inverted"))[0]
    assert negative[..., 1].tolist() == [[245, 225, 255, 255], [235, 205, 255, 55]]
    colours = whole(load(**tiny, style="coloured"))
    assert colours.shape == (20, 2, 4, 6)
    for channel in range(3):
        assert np.array_equal(colours[..., channel], whole(load(**tiny))[..., 0])
    assert colours[0, 1, 3].tolist() == [200, 200, 200, 200, 0, 0]  # class 0 is red
    assert colours[1, 0, 0].tolist() == [20, 20, 20, 20, 12, 0]  # 36° is (255, 153, 0)
    assert colours[5, 0, 0, 3:].tolist() == [0, 60, 60]  # 180° is cyan
    assert colours[13, 0, 0, 3:].tolist() == [28, 140, 0]  # 140 of (51, 255, 0)
    assert styled_digits.COLOURS[[3, 7]].tolist() == [[51, 255, 0], [51, 0, 255]]


@pytest.mark.parametrize("style", sorted(styled_digits.STYLES))
def test_the_forms_hold_the_same_pictures(style):
    """Pairs are (A | B), domains the halves of the training split, and `styled` is B."""
    digits, pairs = datasets.load("digits"), load(style=style)
    plain, styled = np.split(whole(pairs), 2, axis=-1)
    assert np.array_equal(plain, np.repeat(digits.examples, plain.shape[-1], axis=-1))
    assert not np.array_equal(plain, styled)
    assert np.array_equal(whole(load(style=style, form="styled")), styled)
    back = load(style=style, direction="BtoA")
    assert np.array_equal(whole(back), np.concatenate([styled, plain], axis=-1))
    assert all(np.array_equal(data.labels, digits.labels) for data in (pairs, back))

    first = load(style=style, form="domains")
    other = load(style=style, form="domains", direction="BtoA")
    assert np.array_equal(whole(first), plain[::2]) and np.array_equal(whole(first.partner), styled[1::2])
    assert np.array_equal(first.labels, digits.labels[::2])
    assert np.array_equal(first.partner.labels, digits.labels[1::2])
    assert np.array_equal(whole(other), styled[1::2]) and np.array_equal(whole(other.partner), plain[::2])
    assert not first.matched and len(first) + len(first.partner) == len(digits)


def test_the_pairs_of_the_test_split_belong_together():
    digits, test = datasets.load("digits", "test"), load("test", form="domains")
    assert test.matched and len(test) == len(test.partner) == len(digits)
    assert np.array_equal(whole(test), digits.examples)
    assert np.array_equal(whole(test.partner), whole(load("test", form="styled")))
    for labels in (test.labels, test.partner.labels):
        assert np.array_equal(labels, digits.labels)


def test_digits_are_scaled_before_they_are_styled():
    data, digits = load(image_size=16), datasets.load("digits", image_size=16)
    assert data.shape == (16, 16, 2) and np.array_equal(whole(data)[..., :1], digits.examples)
    assert np.array_equal(whole(data)[..., 1:], styled_digits.outline(digits.examples, digits.labels))


def test_the_fingerprint_depends_on_all_that_determines_the_pictures():
    variants = [
        load(), load("test"), load(style="inverted"), load(style="coloured"), load(direction="BtoA"),
        load(form="styled"), load(form="domains"), load("test", form="domains"),
        load(form="domains", direction="BtoA"), load(image_size=16),
    ]  # fmt: skip
    assert len({data.fingerprint for data in variants}) == len(variants)
    assert load().fingerprint == variants[0].fingerprint
    assert load(form="domains").partner.fingerprint != load(form="styled").fingerprint


@pytest.mark.parametrize(
    "fields, part",
    [
        (dict(digits="ring"), "dataset.styled_digits.digits = 'ring' has examples of shape"),
        (dict(digits="digit"), "'digits'"),
        (dict(style="bold"), "outline, coloured, inverted"),
        (dict(form="triples"), "pairs, domains, styled"),
        (dict(form="styled", direction="BtoA"), "has no effect"),
    ],
)
def test_impossible_fields(fields, part):
    with pytest.raises(UserError, match=part) as caught:
        load(**fields)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_other_digits_are_refused(tmp_path):
    path = tmp_path / "images.npz"
    for arrays, part in [
        (dict(images=np.zeros((24, 8, 8, 3), np.uint8), labels=np.arange(24) % 10), r"\(8, 8, 3\)"),
        (dict(images=np.zeros((24, 8, 8, 1), np.uint8)), "lacks labels"),
    ]:
        np.savez(path, **arrays)
        with pytest.raises(UserError, match=part):
            load(digits="array", path=str(path))


def test_missing_digits_are_reported(tmp_path, monkeypatch):
    from tensorflow_datasets.core import constants

    from jaxgan.datasets import network

    monkeypatch.setattr(constants, "DATA_DIR", str(tmp_path / "tensorflow_datasets"))
    monkeypatch.setattr(network, "unreachable", lambda urls: "no answer")
    with pytest.raises(datasets.MissingDataset, match="dataset.styled_digits.digits = 'digits'") as caught:
        datasets.load("styled_digits")
    assert caught.value.image_size == 28 and "\n" not in str(caught.value)


def test_pairs_of_mnist(mnist_idx):
    data = datasets.load("styled_digits", path=str(mnist_idx), form="domains", style="coloured")
    assert (len(data), len(data.partner), data.shape) == (30_000, 30_000, (28, 28, 3))
    rows = np.array([0, 29_999])
    assert datasets.take(data.partner.examples, rows).max(axis=(1, 2, 3)).tolist() == [255, 255]
