"""Translated files keep their names and their kind; the rest goes on where one cannot be translated."""

import functools
import shutil
import subprocess
import sys

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from gans import make_gan
from PIL import Image
from runs import ROOT, quick_environment
from scipy import ndimage
from translators import configure, make

from jaxgan import datasets
from jaxgan.algorithm.conditions import CONDITIONS
from jaxgan.datasets.pictures import read_picture
from jaxgan.errors import UserError
from jaxgan.jobs.train import train
from jaxgan.jobs.translate import Translator, make_translator, translate, translate_files
from jaxgan.sampler import Sampler
from jaxgan.tasks import TASKS


def darker(images):
    return (images + 1) * np.float32(0.5) - 1


DARKER = Translator(darker, 3, 3)
DARKER_GREY = Translator(darker, 1, 1)
TWICE = Translator(lambda images: images.repeat(2, axis=1).repeat(2, axis=2), 3, 3, factor=2)


@pytest.fixture
def digit():
    """A real digit, uint8 [16, 16]."""
    return datasets.load("digits", image_size=16).examples[3, ..., 0]


@pytest.fixture
def colours(digit):
    """uint8 [16, 16, 3], of few colours, so that a palette holds them."""
    return np.stack([digit // 64 * 64, 255 - digit // 64 * 64, np.full_like(digit, 40)], axis=-1)


def translated(tmp_path, image, translator=DARKER, name="a.png", **save):
    """The file that comes of an image's file."""
    source = tmp_path / "in" / name
    source.parent.mkdir(exist_ok=True)
    image.save(source, **save)
    assert translate_files(translator, source, tmp_path / "out") == 0
    with Image.open(tmp_path / "out" / name) as found:
        found.load()
    return found


def halved(levels):
    return np.rint(levels / 2)


@pytest.mark.parametrize("translator", [DARKER, DARKER_GREY], ids=["three channels", "one channel"])
@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA"])
def test_grey_colour_and_alpha_are_kept(tmp_path, digit, colours, mode, translator):
    """Whatever the channels of the network: colours go through a grey one channel by channel."""
    pixels = digit[..., None] if mode[0] == "L" else colours
    if mode.endswith("A"):
        pixels = np.concatenate([pixels, np.arange(256, dtype=np.uint8).reshape(16, 16, 1)], axis=-1)
    found = translated(tmp_path, Image.fromarray(np.squeeze(pixels)), translator)
    assert found.mode == mode and found.format == "PNG"
    values = np.asarray(found).reshape(pixels.shape).astype(int)
    alpha = mode.endswith("A")
    np.testing.assert_array_equal(values[..., -1:][..., :alpha], pixels[..., -1:][..., :alpha])
    colour = slice(0, pixels.shape[2] - alpha)
    assert np.abs(values[..., colour] - halved(pixels[..., colour])).max() <= 1


def test_sixteen_bits_are_kept(tmp_path, capsys):
    pixels = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    pixels[0, 0] = 30_003
    image = Image.fromarray(pixels)
    for name, others, remark in (("a.png", [], ""), ("b.tiff", [], ""), ("c.tiff", [image], "has 2 frames")):
        found = translated(
            tmp_path, image, name=name, **({"save_all": True, "append_images": others} if others else {})
        )
        assert found.mode == "I;16"
        assert np.abs(np.asarray(found).astype(int) - halved(pixels)).max() <= 1
        said = capsys.readouterr().err
        assert remark in said and bool(remark) == bool(said)


def test_a_transparent_level_of_sixteen_bits_is_kept(tmp_path, capsys):
    pixels = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    found = translated(tmp_path, Image.fromarray(pixels), transparency=257 * 7)
    assert (
        found.mode == "LA"
        and "has 16-bit grey and transparency: written with 8 bits" in capsys.readouterr().err
    )
    np.testing.assert_array_equal(np.asarray(found)[..., 1] == 0, pixels == 257 * 7)


def test_a_palette_stays_one(tmp_path, colours):
    image = Image.fromarray(colours).quantize(16)
    found = translated(tmp_path, image)
    assert found.mode == "P"
    assert np.abs(np.asarray(found.convert("RGB")).astype(int) - halved(colours)).max() <= 2


@pytest.mark.parametrize("name", ["a.png", "a.gif"])
def test_a_palette_keeps_what_is_transparent(tmp_path, colours, name):
    image = Image.fromarray(colours).quantize(15)
    indices = np.array(image)
    indices[:4] = 15
    transparent = Image.fromarray(indices)
    transparent.putpalette((image.getpalette() + [0] * 48)[:48])
    found = translated(tmp_path, transparent, TWICE, name=name, transparency=15)
    assert found.mode == "P" and found.size == (32, 32)
    values = np.asarray(found.convert("RGBA"))
    assert (values[:8, :, 3] == 0).all() and (values[8:, :, 3] == 255).all()
    wide = colours.repeat(2, axis=0).repeat(2, axis=1)
    assert np.abs(values[8:, :, :3].astype(int) - wide[8:]).max() <= 3


def test_graded_alpha_of_a_palette_is_kept_in_full_colours(tmp_path, colours, capsys):
    image = Image.fromarray(colours).quantize(16)
    found = translated(tmp_path, image, transparency=bytes(range(0, 256, 16)))
    assert found.mode == "RGBA" and "has a palette, which cannot hold its alpha" in capsys.readouterr().err
    np.testing.assert_array_equal(np.asarray(found)[..., 3], 16 * np.asarray(image))


@pytest.mark.parametrize(("name", "form"), [("a.jpg", "JPEG"), ("a.bmp", "BMP"), ("a.webp", "WEBP")])
def test_formats_are_kept(tmp_path, digit, name, form):
    smooth = ndimage.zoom(digit, 4, order=1)
    found = translated(tmp_path, Image.fromarray(smooth), TWICE, name=name)
    assert found.format == form and found.size == (128, 128)
    assert found.mode == ("RGB" if form == "WEBP" else "L")
    wide = smooth.repeat(2, axis=0).repeat(2, axis=1).astype(int)
    assert np.abs(np.asarray(found.convert("L")) - wide).mean() < 4


def test_two_levels_profiles_and_turned_pictures(tmp_path, digit, colours):
    assert translated(tmp_path, Image.fromarray(digit > 100)).mode == "1"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    found = translated(
        tmp_path, Image.fromarray(colours[:, :8]), DARKER, "b.png", exif=exif, icc_profile=b"profile"
    )
    assert found.size == (16, 8) and found.info["icc_profile"] == b"profile"


def test_what_is_not_kept_is_told(tmp_path, colours, capsys):
    frames = [Image.new("L", (4, 4), level) for level in (0, 90, 200)]
    found = translated(tmp_path, frames[0], name="a.gif", save_all=True, append_images=frames[1:])
    assert found.size == (4, 4) and "a.gif has 3 frames, of which the first" in capsys.readouterr().err
    assert translated(tmp_path, Image.new("CMYK", (4, 4)), name="b.jpg").mode == "RGB"
    assert "b.jpg has CMYK colours: written in RGB" in capsys.readouterr().err


def test_colours_for_grey_pictures(tmp_path, digit):
    """A network that does not restore decides itself whether pictures are grey; alpha is kept."""
    colouring = Translator(lambda images: images * np.float32([1, 0.5, 0]), 1, 3, restores=False)
    found = translated(tmp_path, Image.fromarray(np.stack([digit, 255 - digit], axis=-1)), colouring)
    assert found.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(found)[..., 0], digit)
    np.testing.assert_array_equal(np.asarray(found)[..., 3], 255 - digit)
    back = Translator(lambda images: images[..., :1], 3, 1, restores=False)
    assert translated(tmp_path, Image.new("RGB", (4, 4)), back, "b.png").mode == "L"
    deep = translated(tmp_path, Image.fromarray(np.full((4, 4), 40_000, np.uint16)), colouring, "c.png")
    assert deep.mode == "RGB"


def test_a_hole_is_what_is_transparent(tmp_path, colours, capsys):
    seen = []

    def fill(images):
        seen.append(images)
        return np.where(images[..., 3:] > 0, np.float32(1), images[..., :3])

    inpainting = Translator(fill, 4, 3, hole=True, fill=0.25)
    alpha = np.full((16, 16, 1), 255, np.uint8)
    alpha[4:7, 5:9] = 10
    found = translated(tmp_path, Image.fromarray(np.concatenate([colours, alpha], axis=-1)), inpainting)
    np.testing.assert_array_equal(seen[0][0, ..., 3], alpha[..., 0] == 10)
    assert (seen[0][0, 4:7, 5:9, :3] == 0.25).all()
    expected = colours.copy()
    expected[4:7, 5:9] = 255
    assert found.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(found), expected)
    Image.fromarray(colours).save(tmp_path / "in" / "b.png")
    assert translate_files(inpainting, tmp_path / "in", tmp_path / "other") == 2
    assert "b.png has no hole: make transparent what is to be filled" in capsys.readouterr().err


def test_large_pictures_go_through_in_tiles(tmp_path, colours):
    shapes = []

    def run(images):
        shapes.append(images.shape)
        return darker(images)

    (tmp_path / "in").mkdir()
    Image.fromarray(np.tile(colours, (3, 5, 1))).save(tmp_path / "in" / "a.png")
    assert translate_files(Translator(run, 3, 3), tmp_path / "in", tmp_path / "out", 32, 8) == 0
    assert set(shapes) == {(1, 32, 32, 3)} and len(shapes) == 6
    found = (read_picture(tmp_path / "out" / "a.png").pixels + 1) * 127.5
    assert np.abs(found - halved(np.tile(colours, (3, 5, 1)))).max() <= 1


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(tmp_path, colours, capsys):
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    for name in ("b.png", "deep/c.png", "d.tiff"):
        Image.fromarray(colours).save(source / name)
    (source / "a.png").write_bytes(b"no picture")
    (source / "e.jpg").write_bytes((source / "b.png").read_bytes()[:-40])
    Image.fromarray(np.zeros((4, 4), np.float32)).save(source / "d.tiff")
    assert translate_files(DARKER, source, tmp_path / "out") == 2
    told, error = capsys.readouterr()
    lines = [line for line in error.splitlines() if line.startswith("left out")]
    assert [line.split(" ")[2].rpartition("/")[2] for line in lines] == ["a.png", "d.tiff", "e.jpg"]
    assert "is damaged: 10 bytes that are no PNG" in lines[0] and "floating-point" in lines[1]
    assert "wrote 2 of 5 pictures" in told
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")}
    assert written == {"b.png", "deep/c.png"}
    with pytest.raises(UserError, match="none of the 1 files"):
        translate_files(DARKER, source / "a.png", tmp_path / "out")


def test_nothing_is_overwritten(tmp_path, colours):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(colours).save(source / name)
    assert translate_files(DARKER, source / "a.png", out) == 0
    before = (out / "a.png").read_bytes()
    for folder, count in ((out, 1), (source, 2)):
        with pytest.raises(UserError, match=f"already has {count} of these pictures, .*a.png for one"):
            translate_files(DARKER, source, folder)
    assert not (out / "b.png").exists() and (out / "a.png").read_bytes() == before
    within = source / "translated"
    assert translate_files(DARKER, source / "b.png", within) == 0
    with pytest.raises(UserError, match="already has 1 of these pictures"):  # not those in `translated`
        translate_files(DARKER, source, within)
    for wrong, message in (
        ((tmp_path / "none", out), "is no file and no folder"),
        ((source, source / "a.png"), "is no folder"),
    ):
        with pytest.raises(UserError, match=message):
            translate_files(DARKER, *wrong)
    with pytest.raises(UserError, match="translates 5 channels into 3"):
        translate_files(Translator(darker, 5, 3), source, tmp_path / "new")
    with pytest.raises(UserError, match="tile=100 must be at least twice overlap=64"):
        translate_files(DARKER, source, tmp_path / "new", 100)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no image files in .*; set --input"):
        translate_files(DARKER, tmp_path / "empty", tmp_path / "new")


def test_bad_networks_are_told(tmp_path, colours, capsys):
    Image.fromarray(colours).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="none of the 1 files"):
        translate_files(
            Translator(lambda images: images * np.nan, 3, 3), tmp_path / "a.png", tmp_path / "out"
        )
    assert "NaN or infinite numbers" in capsys.readouterr().err
    assert read_picture(tmp_path / "a.png").pixels.dtype == np.float32


# --- Of a run -------------------------------------------------------------------------------------------


def sampler_of(kept=None, **changes):
    """An untrained one of tiny networks."""
    gan, state = make(configure(**changes))
    weights = {"params": state.discriminator.params, "model_state": state.discriminator.model_state}
    return Sampler(gan, state.ema, 0, {}, weights, {}, kept)


@pytest.mark.parametrize(
    ("changes", "given", "factor"),
    [
        ({}, (9, 5, 1), 2),
        ({"task.name": "inpainting", "generator.name": "unet", "generator.unet.width": 2}, (16, 8, 2), 1),
    ],
)
def test_a_run_translates_files_as_it_translates_arrays(changes, given, factor):
    """The same numbers, for a size other than that of the training, too."""
    sampler = sampler_of(**changes)
    translator = make_translator(sampler)
    images = np.random.default_rng(0).uniform(-1, 1, (1, *given)).astype(np.float32)
    found = translator.run(images)
    assert found.shape == (1, factor * given[0], factor * given[1], 1)
    np.testing.assert_allclose(found, sampler.translate(images), atol=1e-6)
    assert translator[1:3] == (given[2], 1) and translator.factor == factor and translator.restores
    assert translator.hole == ("task.name" in changes) and translator.multiple == (8 if changes else 1)


def test_a_run_on_pictures_that_its_depth_does_not_divide(tmp_path, digit):
    """They are continued by their mirror images, and the result is cropped."""
    changes = {"task.name": "denoising", "generator.name": "unet", "generator.unet.width": 2}
    translator = make_translator(sampler_of(**changes))
    found = translated(tmp_path, Image.fromarray(digit[:11, :13]), translator)
    assert found.size == (13, 11) and found.mode == "L"


def test_unpaired_pictures_go_both_ways():
    """The network gives (F(b) | G(a)) of (a | b)."""

    class Exchange(nn.Module):
        @nn.compact
        def __call__(self, z, image=None, train=False):
            return jnp.concatenate([image[..., 1:] / 2, image[..., :1] / 4], axis=-1)

    condition = CONDITIONS["image"]((), TASKS["unpaired"](), (8, 8, 1))
    gan = make_gan(shape=condition.shape, generator=Exchange(), condition=condition, stored_shape=(8, 8, 1))
    sampler = Sampler(gan, {"params": {}, "model_state": {}}, 0, {}, {}, {})
    images = np.full((1, 8, 8, 1), 0.5, np.float32)
    for direction, value in (("AtoB", 0.125), ("BtoA", 0.25)):
        translator = make_translator(sampler, direction=direction)
        assert (translator.run(images) == value).all() and translator.run(images).shape == images.shape
        assert translator[1:3] == (1, 1) and not translator.restores
    with pytest.raises(UserError, match="--direction=BtoA is of runs on unpaired pictures"):
        make_translator(sampler_of(), direction="BtoA")


def test_a_run_without_a_task_translates_nothing():
    with pytest.raises(UserError, match="has no task: draw from it with --mode=sample"):
        make_translator(Sampler(make_gan(), {}, 0, {}, {}, {}))


def test_the_command_line(tmp_path, digit):
    """A run of two steps; its flags; what is wrong in one line."""
    workdir = tmp_path / "run"
    assert train(configure(num_steps=2, sample_every=0), workdir) == 0
    (tmp_path / "in").mkdir()
    Image.fromarray(digit).save(tmp_path / "in" / "a.png")
    command = [sys.executable, "launch.py", "--mode=translate", f"--workdir={workdir}", "--tile=12"]
    command += ["--overlap=6", f"--input={tmp_path / 'in'}"]
    how = dict(cwd=ROOT, env=quick_environment(), capture_output=True, text=True)
    done = subprocess.run([*command, f"--out={tmp_path / 'out'}"], **how)
    assert done.returncode == 0 and "wrote 1 of 1 pictures" in done.stdout, done.stderr
    assert read_picture(tmp_path / "out" / "a.png").pixels.shape == (32, 32, 1)
    done = subprocess.run(command, **how)
    said = "error: --mode=translate needs --input=FOLDER and --out=FOLDER\n"
    assert (done.returncode, done.stderr) == (2, said)
    again = functools.partial(
        translate, workdir, tmp_path / "in", tmp_path / "out", None, "ema", 0, "AtoB", tile=12, overlap=6
    )
    assert again() == 0
    shutil.rmtree(workdir)
    assert train(configure(num_steps=2, sample_every=0, seed=1), workdir) == 0
    with pytest.raises(UserError, match="already has 1 of these pictures"):  # of other weights
        again()


def test_after_a_stop_the_same_command_goes_on(tmp_path, colours, capsys):
    source, out, about = tmp_path / "in", tmp_path / "out", {"run": "a", "step": 2}
    source.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(colours).save(source / name)
    left = [1]  # pictures until the stop

    def stopped(images):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return darker(images)

    with pytest.raises(KeyboardInterrupt):
        translate_files(Translator(stopped, 3, 3), source, out, about=about)
    before = (out / "a.png").stat().st_mtime_ns
    with pytest.raises(UserError, match="already has 1 of these pictures, .*only the same command"):
        translate_files(DARKER, source, out, about=about | {"step": 3})
    assert translate_files(DARKER, source, out, about=about) == 0
    assert "wrote 2 of 3 pictures" in capsys.readouterr().out
    assert (out / "a.png").stat().st_mtime_ns == before and (out / "c.png").exists()
    assert translate_files(DARKER, source, out, about=about) == 0


def test_pictures_without_a_hole_are_told_in_one_line(tmp_path, colours, capsys):
    for i in range(5):
        Image.fromarray(colours).save(tmp_path / f"{i}.png")
    inpainting = Translator(lambda images: images[..., :3], 4, 3, hole=True)
    with pytest.raises(UserError, match="none of the 5 files"):
        translate_files(inpainting, tmp_path, tmp_path / "out")
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        line.startswith("left out: 5 files, each has no hole: make") and "(0.png, 1.png, 2.png, ...)" in line
    )


def test_arrays_of_any_size():
    sampler = sampler_of(**{"task.name": "inpainting", "generator.name": "unet", "generator.unet.width": 2})
    images = np.zeros((2, 5, 9, 1), np.uint8)
    assert sampler.translate(images, np.ones((2, 5, 9), bool)).shape == images.shape
    with pytest.raises(UserError, match="give some with pixels"):
        sampler.translate(images[:, :0], np.ones((2, 0, 9), bool))
    with pytest.raises(UserError, match=r"holes are float64 \[2, 5, 9\]: give bool \[2, 5, 9\]"):
        sampler.translate(images, np.ones((2, 5, 9)))
