"""One's own pictures to translate between: pairs in one file or in two folders, and two unpaired domains."""

import numpy as np
import pytest
from PIL import Image

from jaxgan import datasets
from jaxgan.errors import UserError
from jaxgan.tasks import TASKS


@pytest.fixture
def digits():
    return datasets.load("digits").examples[..., 0]


def write(folder, names, pictures):
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in zip(names, pictures, strict=True):
        Image.fromarray(picture).save(folder / name)


def names(num, suffix="png"):
    return [f"{n:02}.{suffix}" for n in range(num)]


def error_of(path, name="paired", **fields):
    with pytest.raises(UserError) as caught:
        datasets.load(name, path=str(path), **fields)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300 + 2 * len(str(path))
    return str(caught.value)


def grey(path, split="train", **fields):
    return datasets.load("paired", split, path=str(path), channels=1, **fields)


def test_side_by_side(tmp_path, digits):
    """A stands left; every sixth pair is held out; the task gives A and wants B, or the other way round."""
    first, second = digits[:12], digits[12:24]
    write(tmp_path, names(12), np.concatenate([first, second], axis=2))
    train, test = grey(tmp_path), grey(tmp_path, "test")
    np.testing.assert_array_equal(test.examples, np.stack([first[[5, 11]], second[[5, 11]]], axis=-1))
    assert train.shape == (8, 8, 2) and len(train) == 10 and train.held_out == 2 and train.labels is None
    target, given = TASKS["paired"]().real(test.examples, None)
    np.testing.assert_array_equal(target[..., 0], second[[5, 11]])
    np.testing.assert_array_equal(given["image"][..., 0], first[[5, 11]])
    back = grey(tmp_path, "test", direction="BtoA")
    np.testing.assert_array_equal(back.examples, test.examples[..., ::-1])
    assert back.fingerprint != test.fingerprint


@pytest.mark.parametrize(("size", "warned"), [((8, 8), True), ((8, 12), True), ((16, 8), False)])
def test_whole_pictures_that_would_be_cut_in_two_are_told(tmp_path, size, warned, caplog):
    """Square or narrow ones, of which not a single one is wide; (width, height)."""
    write(tmp_path, names(6), np.zeros((6, *size[::-1]), np.uint8))
    (tmp_path / "05.png").write_bytes((tmp_path / "05.png").read_bytes()[:40])  # damaged, and held out
    with caplog.at_level("WARNING"):
        assert len(grey(tmp_path)) == 5
    said = f"00.png for one ({size[0]}x{size[1]}): if they are whole pictures, put them into folders A and B"
    assert [said in record.getMessage() for record in caplog.records] == [True] * warned
    caplog.clear()
    write(tmp_path, ["03.png"], np.zeros((1, 8, 10), np.uint8))
    with caplog.at_level("WARNING"), pytest.raises(UserError, match="set dataset.image_size"):
        grey(tmp_path)  # of several sizes
    assert not caplog.records


def test_folders_with_square_pictures_are_as_they_should_be(tmp_path, digits, caplog):
    for side in "AB":
        write(tmp_path / side, names(6), digits[:6])
    with caplog.at_level("WARNING"):
        assert len(grey(tmp_path)) == 5
    assert not caplog.records


@pytest.mark.parametrize("layout", ["{side}", "train/{side}", "{side}/train"])
def test_two_folders(tmp_path, digits, layout):
    """With equal names, whatever the suffix; the splits may be above or below."""
    for side, pictures, suffix in (("A", digits[:6], "png"), ("B", digits[6:12], "bmp")):
        write(tmp_path / layout.format(side=side), names(6, suffix), pictures)
        if "train" in layout:
            folder = tmp_path / layout.format(side=side).replace("train", "test")
            write(folder, names(2, suffix), pictures[:2])
    pairs = np.stack([digits[:6], digits[6:12]], axis=-1)
    train, test = (grey(tmp_path, split).examples for split in ("train", "test"))
    np.testing.assert_array_equal(train, pairs if "train" in layout else pairs[:5])
    np.testing.assert_array_equal(test, pairs[:2] if "train" in layout else pairs[5:])


def test_crops_and_sizes(tmp_path, digits):
    """A is 16 x 8 and B 8 x 8: the centre of each, then one size; colours stay with their picture."""
    wide = digits[:6].repeat(2, axis=2)
    write(tmp_path / "A", names(6), wide)
    write(tmp_path / "B", names(6), digits[6:12])
    found = grey(tmp_path, crop=8).examples
    np.testing.assert_array_equal(found, np.stack([wide[:5, :, 4:12], digits[6:11]], axis=-1))
    small = datasets.load("paired", path=str(tmp_path), crop=6, image_size=3)
    assert small.shape == (3, 3, 6)
    alone = datasets.load("images", path=str(tmp_path / "B"), image_size=4).examples
    halved = datasets.load("paired", path=str(tmp_path), image_size=4).examples
    np.testing.assert_array_equal(halved[..., 3:], alone)
    assert "00.png is 16x8 and " in error_of(tmp_path) and "set dataset.image_size" in error_of(tmp_path)
    assert "dataset.paired.crop=9 is larger than " in (message := error_of(tmp_path, crop=9))
    assert "00.png, 16x8" in message


def test_names_that_do_not_match(tmp_path, digits):
    write(tmp_path / "A", names(6), digits[:6])
    write(tmp_path / "B", names(5), digits[:5])
    message = error_of(tmp_path)
    assert f"1 of 6 pictures have no partner in {tmp_path / 'B'}, {tmp_path / 'A' / '05.png'}" in message
    write(tmp_path / "B", names(8), digits[:8])
    assert f"2 of 8 pictures have no partner in {tmp_path / 'A'}" in error_of(tmp_path)
    write(tmp_path / "A", ["00.bmp"], digits[:1])
    assert "has the name of another picture" in error_of(tmp_path)


def test_what_else_is_refused(tmp_path, digits):
    odd = tmp_path / "odd"
    write(odd, names(6), digits[:6, :, :7])
    assert "00.png is 7 pixels wide, which is odd" in error_of(odd)
    assert "channels = 2" in error_of(odd, channels=2)
    assert "dataset.paired.direction='AB' must be one of AtoB, BtoA" in error_of(odd, direction="AB")
    assert "is not a folder" in error_of(tmp_path / "none") and "dataset 'paired'" in error_of(
        tmp_path / "none"
    )
    half = tmp_path / "half"
    write(half / "A" / "train", names(6), digits[:6])
    write(half / "A" / "test", names(6), digits[:6])
    write(half / "B", names(6), digits[:6])
    assert "must both have a folder for the split" in error_of(half)


def test_damaged_pairs_are_left_out_on_request(tmp_path, digits):
    write(tmp_path / "A", names(7), digits[:7])
    write(tmp_path / "B", names(7), digits[7:14])
    (tmp_path / "B" / "02.png").write_bytes(b"no image")
    assert "damaged image" in (message := error_of(tmp_path)) and "dataset.paired.skip_damaged" in message
    found = grey(tmp_path, skip_damaged=True).examples
    np.testing.assert_array_equal(found[..., 0], digits[[0, 1, 3, 4, 6]])
    np.testing.assert_array_equal(found[..., 1], digits[[7, 8, 10, 11, 13]])


# --- Two domains ----------------------------------------------------------------------------------------


def domains(path, digits, test=True):
    write(path / "trainA", names(7), digits[:7])
    write(path / "trainB", names(13), digits[7:20])
    if test:
        write(path / "testA", names(2), digits[20:22])
        write(path / "testB", names(3), digits[22:25])
    return path


def test_two_domains(tmp_path, digits):
    path = str(domains(tmp_path, digits))
    train, test = (datasets.load("unpaired", split, path=path, channels=1) for split in ("train", "test"))
    np.testing.assert_array_equal(train.examples[..., 0], digits[:7])
    np.testing.assert_array_equal(train.partner.examples[..., 0], digits[7:20])
    np.testing.assert_array_equal(test.examples[..., 0], digits[20:22])
    np.testing.assert_array_equal(test.partner.examples[..., 0], digits[22:25])
    back = datasets.load("unpaired", path=path, channels=1, direction="BtoA")
    np.testing.assert_array_equal(back.examples, train.partner.examples)
    np.testing.assert_array_equal(back.partner.examples, train.examples)
    assert len({train.fingerprint, test.fingerprint, back.fingerprint}) == 3
    assert train.fingerprint == datasets.load("unpaired", path=path, channels=1).fingerprint
    part = datasets.validation_split(train, "test")
    for side, whole, rows in ((part, train, [5]), (part.partner, train.partner, [5, 11])):
        found = datasets.take(side.examples, np.arange(len(side)))
        np.testing.assert_array_equal(found, whole.examples[rows])


def test_domains_without_a_test_split_hold_out_every_sixth(tmp_path, digits):
    path = str(domains(tmp_path, digits, test=False))
    train, test = (datasets.load("unpaired", split, path=path, channels=1) for split in ("train", "test"))
    assert (len(train), len(train.partner), len(test), len(test.partner)) == (6, 11, 1, 2)
    np.testing.assert_array_equal(test.partner.examples[..., 0], digits[[12, 18]])


def test_pairs_of_the_test_set_alone(tmp_path, digits):
    domains(tmp_path, digits)
    assert "1 of 3 pictures have no partner" in error_of_test(tmp_path, test_pairs=True)
    (tmp_path / "testB" / "02.png").unlink()
    how = dict(path=str(tmp_path), channels=1, test_pairs=True)
    train, test = (datasets.load("unpaired", split, **how) for split in ("train", "test"))
    assert test.matched and not train.matched and len(train.partner) == 13
    np.testing.assert_array_equal(test.examples[..., 0], digits[20:22])
    np.testing.assert_array_equal(test.partner.examples[..., 0], digits[22:24])
    for side in "AB":
        (tmp_path / f"test{side}").rename(tmp_path / f"no{side}")
    assert "needs folders testA and testB" in error_of_test(tmp_path, test_pairs=True)


def error_of_test(path, **fields):
    with pytest.raises(UserError) as caught:
        datasets.load("unpaired", "test", path=str(path), **fields)
    return str(caught.value)


def test_domains_that_do_not_fit(tmp_path, digits):
    domains(tmp_path, digits)
    write(tmp_path / "trainB", names(13), digits[7:20, :6])
    message = error_of(tmp_path, "unpaired")
    assert "8x8 and those of" in message and "dataset.image_size" in message
    assert "dataset.unpaired.crop=7 is larger than" in error_of(tmp_path, "unpaired", crop=7)
    assert "no folder trainA" in error_of(tmp_path / "testA", "unpaired")
    assert "dataset 'unpaired' needs trainA and trainB" in error_of(tmp_path / "none", "unpaired")
    assert "dataset.name=unpaired" in error_of(tmp_path, "images")
