import os
import tarfile

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from jaxgan import datasets
from jaxgan.datasets.decode import decode
from jaxgan.errors import UserError


@pytest.fixture
def digits():
    return datasets.load("digits")


@pytest.fixture
def folder(tmp_path, digits):
    """12 embedded digits as grey PNG files, without classes."""
    root = tmp_path / "faces"
    root.mkdir()
    for n in range(12):
        Image.fromarray(digits.examples[n, ..., 0]).save(root / f"{n:02}.png")
    return root


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def error_of(path, **fields):
    with pytest.raises(UserError) as caught:
        datasets.load("images", path=str(path), **fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def flat(size, colour, mode="RGB"):
    return Image.new(mode, size, colour)


def load_one(tmp_path, image, name="a.png", image_size=0, channels=3, **save):
    """The loaded pixels of an image. The folder has two copies, of which one is held out."""
    root = tmp_path / "one"
    root.mkdir()
    for n in range(6):
        image.save(root / f"{n}-{name}", **save)
    return datasets.load("images", path=str(root), image_size=image_size, channels=channels).examples[0]


def test_a_flat_folder_has_no_labels_and_holds_out_every_sixth(folder, digits):
    train = datasets.load("images", path=str(folder), channels=1)
    test = datasets.load("images", "test", path=str(folder), channels=1)
    assert train.labels is None and len(train) == 10
    assert np.array_equal(test.examples, digits.examples[[5, 11]])
    assert train.examples.dtype == np.uint8 and train.shape == (8, 8, 1)


def test_real_photographs_in_class_folders(tmp_path, cifar_tar):
    classes = (
        "cifar10-jpeg/train/cat/",
        "cifar10-jpeg/train/frog/",
        "cifar10-jpeg/test/cat/",
        "cifar10-jpeg/test/frog/",
    )
    taken = dict.fromkeys(classes, 0)
    with tarfile.open(cifar_tar) as tar:
        for member in tar:
            group = next((c for c in classes if member.name.startswith(c) and member.isfile()), None)
            if group and taken[group] < 20:
                taken[group] += 1
                tar.extract(member, tmp_path, filter="data")
            if min(taken.values()) == 20:
                break
    for split in ("train", "test"):
        found = datasets.load("images", split, path=str(tmp_path / "cifar10-jpeg"))
        assert found.shape == (32, 32, 3) and found.class_names == ("cat", "frog")
        assert np.array_equal(found.labels, np.repeat([0, 1], 20))
        file = min((tmp_path / "cifar10-jpeg" / split / "cat").iterdir())
        assert np.array_equal(found.examples[0], np.asarray(Image.open(file)))


def test_a_folder_with_only_a_train_split_is_split_by_the_hold_out(folder, tmp_path):
    (tmp_path / "set").mkdir()
    folder.rename(tmp_path / "set" / "train")
    assert len(datasets.load("images", "test", path=str(tmp_path / "set"))) == 2


def test_class_folders_are_sorted_and_images_beside_them_mean_no_classes(folder):
    for name in ("b", "a"):
        (folder / name / "deeper").mkdir(parents=True)
        for n in range(6):
            (folder / f"{'ab'.index(name) * 6 + n:02}.png").rename(folder / name / "deeper" / f"{n}.PNG")
    found = datasets.load("images", path=str(folder))
    assert found.class_names == ("a", "b") and np.array_equal(found.labels, [0] * 5 + [1] * 5)
    (folder / "a" / "deeper" / "0.PNG").rename(folder / "beside.png")
    assert datasets.load("images", path=str(folder)).labels is None


def test_the_classes_of_both_splits_are_numbered_by_the_training_set(tmp_path):
    """Also if the test set lacks some classes. Classes that only it has are refused."""
    for name in ("train/ant", "train/bee", "train/cow", "test/bee", "test/cow"):
        (tmp_path / name).mkdir(parents=True)
        flat((8, 8), 9).save(tmp_path / name / "0.png")
    for _ in range(2):  # a second time from the cache
        test = datasets.load("images", "test", path=str(tmp_path))
        assert test.class_names == ("ant", "bee", "cow") and np.array_equal(test.labels, [1, 2])
    (tmp_path / "train" / "ant").rename(tmp_path / "train" / "dog")
    assert np.array_equal(datasets.load("images", "test", path=str(tmp_path)).labels, [0, 1])
    (tmp_path / "test" / "bee").rename(tmp_path / "beside")
    assert np.array_equal(datasets.load("images", "test", path=str(tmp_path)).labels, [1])
    (tmp_path / "test" / "cow").rename(tmp_path / "test" / "cows")
    assert "'cows'" in error_of(tmp_path, split="test") and error_of(tmp_path, split="test").count("train")
    assert len(datasets.load("images", path=str(tmp_path))) == 3


def test_the_second_load_decodes_nothing(folder, monkeypatch):
    first = datasets.load("images", path=str(folder))
    monkeypatch.setattr("jaxgan.datasets.folders.decode", None)
    again = datasets.load("images", path=str(folder))
    assert again.fingerprint == first.fingerprint and np.array_equal(again.examples, first.examples)


def test_a_changed_file_is_decoded_again(folder):
    first = datasets.load("images", path=str(folder))
    flat((8, 8), 9, "L").save(folder / "00.png")
    again = datasets.load("images", path=str(folder))
    assert again.fingerprint != first.fingerprint and (again.examples[0] == 9).all()


def test_the_fingerprint_does_not_depend_on_the_folder(folder, tmp_path):
    first = datasets.load("images", path=str(folder))
    folder.rename(tmp_path / "elsewhere")
    assert datasets.load("images", path=str(tmp_path / "elsewhere")).fingerprint == first.fingerprint


def test_transparency_becomes_white(tmp_path):
    image = flat((8, 8), (255, 0, 0, 255), "RGBA")
    image.paste((0, 0, 255, 0), (0, 0, 4, 8))
    pixels = load_one(tmp_path, image)
    assert (pixels[:, :4] == 255).all() and (pixels[:, 4:] == [255, 0, 0]).all()


def test_four_channels_keep_alpha(tmp_path):
    assert (load_one(tmp_path, flat((8, 8), (1, 2, 3, 40), "RGBA"), channels=4) == [1, 2, 3, 40]).all()


def test_palette_with_a_transparent_colour(tmp_path):
    image = flat((8, 8), (200, 100, 50)).quantize(4)
    assert (load_one(tmp_path, image) == [200, 100, 50]).all()
    data = tmp_path / "transparent.png"
    image.save(data, transparency=image.getpixel((0, 0)))
    assert (decode(data.read_bytes(), 3) == 255).all()
    assert (decode(data.read_bytes(), 1) == 255).all()


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    ramp = np.array([[0, 257 * 7, 257 * 100, 65535]] * 4, np.uint16)
    pixels = load_one(tmp_path, Image.fromarray(ramp), channels=1)
    assert np.array_equal(pixels[0, :, 0], [0, 7, 100, 255])


@pytest.mark.parametrize("mode, colour", [("L", 90), ("LA", (90, 255)), ("1", 1), ("RGB", (90, 90, 90))])
def test_grey_and_colour_convert_into_each_other(tmp_path, mode, colour):
    expected = 255 if mode == "1" else 90
    flat((8, 8), colour, mode).save(tmp_path / "x.png")
    for channels in (1, 3):
        pixels = decode((tmp_path / "x.png").read_bytes(), channels)
        assert pixels.shape == (8, 8, channels) and (pixels == expected).all()


def test_cmyk_jpeg(tmp_path):
    pixels = load_one(tmp_path, flat((16, 16), (0, 0, 0, 0), "CMYK"), "a.jpeg", quality=95)
    assert pixels.shape == (16, 16, 3) and pixels.min() >= 250


def test_exif_orientation_turns_the_image_upright(tmp_path):
    image = flat((16, 16), 0, "L")
    image.paste(255, (0, 0, 8, 16))  # white on the left as stored
    exif = Image.Exif()
    exif[0x0112] = 6  # stored rotated to the left, so it is rotated to the right
    pixels = load_one(tmp_path, image, "a.jpg", channels=1, exif=exif.tobytes(), quality=95)[..., 0]
    assert (pixels[:7] > 240).all() and (pixels[9:] < 15).all()


def test_mixed_sizes_need_a_size_and_are_cropped_at_the_centre(folder):
    image = flat((24, 12), "black")
    image.paste("white", (6, 0, 18, 12))
    image.save(folder / "00.png")
    assert "image_size" in error_of(folder)
    found = datasets.load("images", path=str(folder), image_size=12)
    assert found.shape == (12, 12, 3) and (found.examples[0] == 255).all()


def test_rectangles_keep_their_shape_or_are_resized(tmp_path):
    image = flat((40, 8), "black")
    image.paste("white", (6, 0, 34, 8))
    for n in range(6):
        image.save(tmp_path / f"{n}.png")
    assert datasets.load("images", path=str(tmp_path)).shape == (8, 40, 3)
    found = datasets.load(
        "images", path=str(tmp_path), image_size=(4, 8)
    )  # from the 16 columns in the middle
    assert found.shape == (4, 8, 3) and (found.examples == 255).all()
    found = datasets.load("images", path=str(tmp_path), image_size=(4, 20))
    assert (found.examples[:, :, 5:15] == 255).all() and (found.examples[:, :, 0] < 128).all()
    assert datasets.load("images", path=str(tmp_path), image_size=8).shape == (8, 8, 3)


@pytest.mark.parametrize(
    "suffix, damage",
    [
        ("jpg", lambda data: data[: len(data) // 2]),
        ("png", lambda data: data[: len(data) // 2]),
        ("png", lambda data: b"\0" * len(data)),
        ("png", lambda data: b""),
        ("png", lambda data: bytes([*data[:-30], data[-30] ^ 4, *data[-29:]])),
    ],
)
def test_a_damaged_image_is_named_or_skipped_on_request(folder, digits, suffix, damage, caplog):
    victim = folder / f"03x.{suffix}"
    Image.fromarray(np.tile(digits.examples[3, ..., 0], (1, 1))).save(victim)
    victim.write_bytes(damage(victim.read_bytes()))
    message = error_of(folder, channels=1)
    assert str(victim) in message and "skip_damaged" in message
    with caplog.at_level("WARNING"):
        found = datasets.load("images", path=str(folder), channels=1, skip_damaged=True)
    assert "left out 1 damaged of 11 images" in caplog.text and str(victim) in caplog.text
    assert len(found) == 10


def test_only_damaged_images(tmp_path):
    for n in range(3):
        (tmp_path / f"{n}.png").write_bytes(b"x")
    assert "every one of the 3" in error_of(tmp_path, skip_damaged=True)


def test_empty_and_missing_folders_and_wrong_arguments(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    assert "no image files" in error_of(tmp_path / "empty")
    assert "not a folder" in error_of(tmp_path / "absent")
    assert "dataset.path" in error_of("")
    assert "channels" in error_of(folder, channels=2)


def test_an_unreadable_folder_is_named(folder, monkeypatch):
    import os

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    assert "Permission denied" in error_of(folder)


def test_hidden_files_and_link_loops_are_skipped(folder):
    (folder / "._00.png").write_bytes(b"resource fork")
    (folder / "loop").symlink_to(folder)
    assert len(datasets.load("images", path=str(folder))) == 10


@pytest.mark.parametrize(
    ("train", "test"), [("Train", "Test"), ("training", "testing"), ("TRAIN", "val"), ("train", "Validation")]
)
def test_splits_are_known_by_their_usual_names(tmp_path, train, test):
    """In lower and upper case. No test image is used for training, and no split becomes a class."""
    for folder, shade, count in ((train, 10, 4), (test, 200, 3)):
        for name in ("a", "b"):
            for i in range(count):
                write(tmp_path / folder / name / f"{i}.png", np.full((4, 4, 3), shade, np.uint8))
    found = {split: datasets.load("images", split, path=str(tmp_path)) for split in ("train", "test")}
    assert {split: (len(d), int(d.examples.max())) for split, d in found.items()} == {
        "train": (8, 10),
        "test": (6, 200),
    }
    assert found["train"].class_names == ("a", "b") and "2 classes: a, b" in found["train"].origin


def test_folders_that_are_half_a_split_are_refused(tmp_path):
    for folder in ("cats", "test"):
        write(tmp_path / "one" / folder / "0.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(UserError, match="has a folder test and none called train"):
        datasets.load("images", path=str(tmp_path / "one"))
    for folder in ("trainA", "trainB"):
        write(tmp_path / "two" / folder / "0.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(UserError, match="has trainA, of one domain"):
        datasets.load("images", path=str(tmp_path / "two"))


def test_all_common_formats_are_read_and_others_are_named(tmp_path, caplog):
    for suffix in ("png", "jpg", "webp", "bmp", "gif", "tiff"):
        write(tmp_path / f"a.{suffix}", np.full((4, 4, 3), 128, np.uint8))
    write(tmp_path / "left.ppm", np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("nothing")
    counts = [len(datasets.load("images", split, path=str(tmp_path))) for split in ("train", "test")]
    assert counts == [5, 1]
    assert "left out 1 files of .ppm" in caplog.text and "notes" not in caplog.text


def test_intact_images_that_are_refused_have_their_own_messages(tmp_path, monkeypatch):
    """They are not skipped as damaged images."""
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "x" * 2_000_000, zip=True)
    (tmp_path / "text").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "text" / "0.png", pnginfo=text)
    write(tmp_path / "large" / "0.png", np.zeros((9, 9, 3), np.uint8))
    write(tmp_path / "float" / "0.tiff", np.zeros((4, 4), np.float32))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    for folder, words in (("text", "more text"), ("large", "80 pixels"), ("float", "floating-point")):
        for skip in (False, True):
            with pytest.raises(UserError, match=rf"0\.\w+ has .*{words}") as error:
                datasets.load("images", path=str(tmp_path / folder), skip_damaged=skip)
            assert len(str(error.value)) < 300 + len(str(tmp_path)) and "damaged" not in str(error.value)


def test_a_name_need_not_be_utf8(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    for i in range(6):
        write(tmp_path / f"{i}{name}", np.full((4, 4, 3), i, np.uint8))
    assert len(datasets.load("images", path=str(tmp_path))) == 5
