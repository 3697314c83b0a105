"""The contract of every data set. A new one adds an entry to `request_for`."""

import numpy as np
import pytest
from PIL import Image

from jaxgan import datasets
from jaxgan.datasets.dataset import DATASETS, Fingerprint, fingerprint, from_arrays, hold_out
from jaxgan.datasets.resize import resize, resize_array
from jaxgan.errors import UserError


@pytest.fixture
def request_for(tmp_path, request):
    """Builder name → arguments of `load` on this machine."""

    def of(name):
        if name == "array":
            np.save(tmp_path / "images.npy", datasets.load("digits").examples[:60])
            return "array", dict(path=str(tmp_path / "images.npy"))
        if name == "images":
            (tmp_path / "files").mkdir()
            for n, image in enumerate(datasets.load("digits").examples[:60, ..., 0]):
                Image.fromarray(image).save(tmp_path / "files" / f"{n:02}.png")
            return "images", dict(path=str(tmp_path / "files"))
        if name in ("paired", "unpaired"):
            pictures = datasets.load("digits").examples[:60, ..., 0]
            for n, (a, b) in enumerate(zip(pictures[::2], pictures[1::2], strict=True)):
                for folder, image in (("A", a), ("B", b), ("trainA", a), ("trainB", b)):
                    (tmp_path / name / folder).mkdir(parents=True, exist_ok=True)
                    Image.fromarray(image).save(tmp_path / name / folder / f"{n:02}.png")
            return name, dict(path=str(tmp_path / name))
        if name == "tfds":
            return "tfds/mnist", dict(path=str(request.getfixturevalue("mnist_tfds")))
        if name in ("mnist", "idx"):
            return name, dict(path=str(request.getfixturevalue("mnist_idx")))
        if name == "stacked_mnist":
            return name, dict(digits="digits", num_triples=30_000)
        if name == "styled_digits":
            return name, dict(digits="digits")
        return name, {}

    return of


@pytest.mark.parametrize("builder", sorted(datasets.DATASETS))
def test_the_contract(builder, request_for):
    name, arguments = request_for(builder)
    first, again = (datasets.load(name, "test", **arguments) for _ in range(2))
    train = datasets.load(name, "train", **arguments)
    assert len(train) > len(first) or not train.is_images
    assert first.name == name and first.origin and not first.fallback_for
    for data in (first, train):
        assert data.examples.dtype == (np.uint8 if data.is_images else np.float32)
        whole = datasets.take(data.examples, np.arange(len(data)))
        assert data.examples.shape == whole.shape == (len(data), *data.shape)
        assert whole.dtype == data.examples.dtype and whole.nbytes == data.nbytes
        assert data.labels is None or (data.labels.dtype == np.int32 and data.labels.shape == (len(data),))
        if data.class_names:
            assert 0 <= data.labels.min() and data.labels.max() < len(data.class_names)
    assert first.fingerprint == again.fingerprint != train.fingerprint
    rows = np.array([len(first) - 1, 0, 0])
    whole = datasets.take(first.examples, np.arange(len(first)))
    assert np.array_equal(datasets.take(first.examples, rows), whole[rows])


@pytest.mark.parametrize("builder", sorted(datasets.DATASETS))
def test_fields_have_plain_defaults(builder):
    for field in datasets.DATASETS.fields(builder).values():
        assert field.default is None or isinstance(field.default, (bool, int, float, str, tuple)), field


def test_unknown_names_splits_and_sizes():
    for arguments, part in [
        (dict(name="digit"), "'digits'"),
        (dict(name="digits/x"), "digits/x"),
        (dict(name="digits", split="validation"), "train, test"),
        (dict(name="digits", image_size=-1), "image_size"),
        (dict(name="digits", image_size=(8,)), r"\(8,\): give one whole number, or \(height"),
        (dict(name="digits", image_size=(8, 0)), "image_size=0 must be at least 1"),
        (dict(name="digits", image_size=(8, 9.5)), "image_size=9.5"),
        (dict(name="digits", image_size="8x9"), "image_size='8x9'"),
        (dict(name="ring", image_size=8), "image_size"),
    ]:
        with pytest.raises(UserError, match=part) as caught:
            datasets.load(**arguments)
        assert "\n" not in str(caught.value)


def test_digits_are_scaled_to_the_full_range():
    train, test = datasets.load("digits"), datasets.load("digits", "test")
    assert (len(train), len(test)) == (1498, 299)
    assert set(np.unique(train.examples)) == set(np.round(np.arange(17) * 255 / 16).astype(int))


def test_hold_out_is_every_sixth_example_and_is_not_empty():
    assert np.array_equal(hold_out(13, "test"), [5, 11])
    assert np.array_equal(np.union1d(hold_out(13, "train"), hold_out(13, "test")), np.arange(13))
    with pytest.raises(UserError, match="test"):
        hold_out(5, "test")


def test_the_fingerprint_depends_on_every_part_and_not_on_chunks():
    images = np.arange(24, dtype=np.uint8).reshape(6, 2, 2, 1)
    labels = np.arange(6, dtype=np.int32)
    changed = images.copy()
    changed[-1, 1, 1, 0] ^= 1
    variants = [
        (images, labels),
        (changed, labels),
        (images, labels[::-1]),
        (images, None),
        (images.reshape(6, 4, 1, 1), labels),
        (images.view(np.int8), labels),
        (images[::-1], labels),
    ]
    assert len({fingerprint(*variant) for variant in variants}) == len(variants)
    content = Fingerprint()
    for chunk in (images[:1], images[1:]):
        content.update(chunk)
    assert content.digest(images.shape, images.dtype, labels) == fingerprint(images, labels)
    assert fingerprint(np.asfortranarray(images), labels.astype(np.int64)) == fingerprint(images, labels)


def test_resizing_keeps_flat_images_flat_and_size_zero_keeps_all():
    images = datasets.load("digits").examples[:3]
    assert resize_array(images, 0) is images and resize_array(images, 8) is images
    assert (resize_array(np.full((1, 9, 5, 2), 77, np.uint8), 28) == 77).all()
    colour = np.repeat(images, 3, axis=-1)
    assert np.array_equal(resize_array(colour, 20)[..., :1], resize_array(images, 20))


def test_resizing_takes_the_centre_of_the_longer_side():
    image = Image.new("L", (30, 10))
    image.paste(255, (8, 0, 22, 10))  # the filter also uses pixels just outside of the crop
    assert (np.asarray(resize(image, 10)) == 255).all()
    assert (np.asarray(resize(image.rotate(90, expand=True), 5)) == 255).all()


def test_images_of_a_user_defined_data_set_are_uint8(monkeypatch):
    images = np.zeros((6, 4, 4, 1), np.float32)
    monkeypatch.setitem(DATASETS._builders, "mine", lambda *_: from_arrays("mine", images, None, "here"))
    with pytest.raises(UserError, match="examples float32 .6, 4, 4, 1.: give uint8"):
        datasets.load("mine")
