"""What is given, by hand: reductions, holes, greys and noise; and the simple methods to compare with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import stats

from jaxgan import datasets
from jaxgan.tasks import TASKS
from jaxgan.tasks.inpainting import fill_with_example, fill_with_nearest


def keys(count, seed=0):
    return jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(jnp.arange(count))


def digits(count):
    """Real digits, enlarged: float32 [count, 24, 16, 1] in [-1, 1]."""
    return datasets.load("digits", image_size=(24, 16)).examples[:count] / np.float32(127.5) - 1


def given(name, images, seed=0, **fields):
    """What the task gives of NumPy images, with a key of its own for each."""
    task = TASKS[name](**fields)
    return task, np.asarray(jax.jit(task.real)(jnp.asarray(images), keys(len(images), seed))[1]["image"])


# --- Super-resolution -----------------------------------------------------------------------------------


def test_box_reduction_is_the_mean_of_blocks():
    image = np.array([[0, 4, 1, 1], [4, 8, 1, 1], [2, 2, -4, 4], [2, 6, 4, -4]], np.float32) / 8
    _, small = given("super_resolution", image[None, :, :, None], factor=2, reduction="box")
    np.testing.assert_array_equal(small[0, :, :, 0], np.array([[4, 1], [3, 0]]) / 8)


@pytest.mark.parametrize("factor", [2, 4])
def test_bicubic_reduction_is_pillows(factor):
    """Of floats, with Pillow's antialiasing; at the borders, too."""
    images = digits(3)
    _, small = given("super_resolution", images, factor=factor)
    size = (16 // factor, 24 // factor)
    for image, found in zip(images, small, strict=True):
        expected = np.asarray(Image.fromarray(image[:, :, 0]).resize(size, Image.Resampling.BICUBIC))
        np.testing.assert_allclose(found[:, :, 0], expected.clip(-1, 1), atol=1e-5)


def test_bicubic_reduction_by_hand():
    """One bright pixel in a row, 1/4, 3/4, 5/4 and 7/4 of a step from four pixels of the half row."""
    row = np.zeros(24, np.float32)
    row[11] = 0.5  # the small row's pixels have their centres at 0.5, 2.5, ...
    _, small = given("super_resolution", np.tile(row, (1, 2, 1))[..., None], factor=2)
    keys_1981 = np.array([-9, 111, 29, -3]) / 128  # at -5/4, -1/4, 3/4, 7/4, with a = -1/2
    expected = np.zeros(12)
    expected[4:8] = 0.5 * keys_1981 / 2
    np.testing.assert_allclose(small[0, 0, :, 0], expected, atol=1e-6)


def test_enlargements():
    small = np.array([[-1, 1], [0, 0.5]], np.float32)[None, :, :, None]
    found = TASKS["super_resolution"](factor=2).baselines(small)
    np.testing.assert_array_equal(found["nearest"][0, :, :, 0], np.kron(small[0, :, :, 0], np.ones((2, 2))))
    constant = TASKS["super_resolution"](factor=4).baselines(np.full((1, 3, 2, 3), 0.25, np.float32))
    assert constant["bicubic"].shape == (1, 12, 8, 3)
    np.testing.assert_allclose(constant["bicubic"], 0.25, atol=1e-6)


# --- Holes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "side", "rows", "columns"),
    [((28, 28), 14, (7, 21), (7, 21)), ((6, 9), 0, (1, 4), (3, 6)), ((5, 5), 2, (1, 3), (1, 3))],
)
def test_the_centre(size, side, rows, columns):
    images = np.linspace(-1, 1, 2 * size[0] * size[1] * 3, dtype=np.float32).reshape(2, *size, 3)
    task, found = given("inpainting", images, side=side, fill=-0.25)
    mask = np.zeros((2, *size, 1))
    mask[:, slice(*rows), slice(*columns)] = 1
    np.testing.assert_array_equal(found, np.concatenate([np.where(mask, -0.25, images), mask], axis=-1))
    np.testing.assert_array_equal(task.hole(found), mask)


def test_boxes_are_inside_and_uniform():
    images = np.ones((2000, 8, 6, 1), np.float32)
    _, found = given("inpainting", images, holes="boxes", side=3, count=1)
    masks = found[..., 1].astype(bool)
    heights, widths = masks.any(axis=2).sum(axis=1), masks.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(masks.sum(axis=(1, 2)), heights * widths)  # whole rectangles
    assert set(heights) == set(widths) == {2, 3}
    assert stats.binomtest(int((heights == 2).sum()), 2000).pvalue > 1e-4
    tops = masks.any(axis=2).argmax(axis=1)[heights == 3]
    assert stats.chisquare(np.bincount(tops, minlength=6)).pvalue > 1e-4
    lefts = masks.any(axis=1).argmax(axis=1)[widths == 2]
    assert stats.chisquare(np.bincount(lefts, minlength=5)).pvalue > 1e-4
    _, several = given("inpainting", images[:50], holes="boxes", side=3, count=4)
    assert several[..., 1].sum(axis=(1, 2)).max() > 9


def test_strokes_are_as_wide_as_the_brush():
    """Every hole is what a disc of the brush's width can sweep, and strokes differ from key to key."""
    images = np.zeros((40, 32, 24, 1), np.float32)
    _, found = given("inpainting", images, holes="strokes", side=10, count=1, brush=5.0)
    masks = found[..., 1].astype(bool)
    assert masks.any(axis=(1, 2)).all()
    assert len(np.unique(masks.reshape(40, -1), axis=0)) == 40
    assert 9 <= np.median(masks.sum(axis=(1, 2))) <= 5 * (40 + 5)
    padded = np.pad(masks, ((0, 0), (3, 3), (3, 3)), mode="edge")
    square = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]  # fits in a disc of width 5
    shifts = np.array([padded[:, 3 + dy : 35 + dy, 3 + dx : 27 + dx] for dy, dx in square])
    core = shifts.all(axis=0)
    grown = np.pad(core, ((0, 0), (1, 1), (1, 1)), mode="edge")
    grown = np.array([grown[:, 1 + dy : 33 + dy, 1 + dx : 25 + dx] for dy, dx in square]).any(axis=0)
    assert (grown & masks).sum() > 0.8 * masks.sum()  # nowhere thin, but for the rounding of the disc's edge


@pytest.mark.parametrize("holes", ["boxes", "strokes"])
def test_holes_come_from_the_example_alone(holes):
    """The same key gives the same hole, whatever the image and its place in the batch."""
    _, found = given("inpainting", digits(6), holes=holes)
    task = TASKS["inpainting"](holes=holes)
    alone = jax.jit(task.real)(jnp.zeros((1, 24, 16, 1)), keys(6)[4:5])[1]["image"]
    np.testing.assert_array_equal(alone[0, ..., -1], found[4, ..., -1])
    assert len(np.unique(found[..., -1].reshape(6, -1), axis=0)) == 6


def test_simple_fills():
    image = np.array([[0.5, 0.1, 0.1, -0.5], [0.3, 9, 9, -0.1], [0.3, 0.3, -0.2, -0.2]], np.float32)
    hole = np.zeros((3, 4), np.float32)
    hole[1, 1:3] = 1
    found = TASKS["inpainting"]().baselines(np.stack([image, hole], axis=-1)[None])
    known = hole == 0
    for restored in found.values():
        np.testing.assert_array_equal(restored[0, known, 0], image[known])
    np.testing.assert_allclose(found["mean"][0, 1, 1:3, 0], image[known].mean(), rtol=1e-6)
    assert found["nearest"][0, 1, 1, 0] in (np.float32(0.1), np.float32(0.3))
    assert found["nearest"][0, 1, 2, 0] in (np.float32(0.1), np.float32(-0.1), np.float32(-0.2))
    everything = np.stack([image, np.ones_like(hole)], axis=-1)[None]
    np.testing.assert_array_equal(TASKS["inpainting"]().baselines(everything)["mean"], 0)
    np.testing.assert_array_equal(fill_with_nearest(everything), 0)


def test_the_nearest_example_fills_a_hole():
    """Against a search one by one; an image that is among the examples gets its own pixels back."""
    examples = datasets.load("digits").examples[:200]
    task, found = given("inpainting", examples[:9] / np.float32(127.5) - 1, holes="boxes", side=4)
    hole = found[..., 1:] > 0.5
    restored = fill_with_example(found, examples[5:])
    np.testing.assert_array_equal(restored[5:], examples[5:9] / np.float32(127.5) - 1)
    scaled = examples[5:] / np.float32(127.5) - 1
    for i in range(5):
        squares = (np.square(found[i, ..., :1] - scaled) * ~hole[i]).sum(axis=(1, 2, 3), dtype=float)
        expected = np.where(hole[i], scaled[squares.argmin()], found[i, ..., :1])
        np.testing.assert_array_equal(restored[i], expected)


# --- Greys, noise and pairs -----------------------------------------------------------------------------


def test_luma_is_pillows():
    image = np.array([[[-1, 0, 1], [1, 1, 1], [-1, -1, -1]]], np.float32)
    task, grey = given("colouring", image[None])
    np.testing.assert_allclose(grey[0, 0, :, 0], [-0.299 + 0.114, 1, -1], atol=1e-6)
    assert task.baselines(grey)["grey"].shape == (1, 1, 3, 3)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 20, 20, 3), np.uint8)
    _, grey = given("colouring", pixels / np.float32(127.5) - 1)
    levels = np.asarray(Image.fromarray(pixels[0]).convert("L")).astype(float)
    assert np.abs((grey[0, :, :, 0] + 1) * 127.5 - levels).max() < 0.51


def test_noise_has_its_deviation():
    images = np.zeros((50, 20, 20, 1), np.float32)
    task, noisy = given("denoising", images, sigma=51.0)
    assert stats.kstest(noisy.ravel()[::7] / 0.4, "norm").pvalue > 1e-4  # 51 / 127.5 = 0.4
    assert noisy.std() == pytest.approx(0.4, rel=0.02)
    _, other = given("denoising", images, seed=1, sigma=51.0)
    assert abs(np.corrcoef(noisy.ravel(), other.ravel())[0, 1]) < 0.03
    _, on_white = given("denoising", images + 1, sigma=51.0)
    np.testing.assert_allclose(on_white, noisy + 1, atol=1e-6)  # not clipped
    assert task.baselines(on_white)["input"].max() == 1


def test_pairs():
    pair = np.arange(2 * 2 * 2 * 4, dtype=np.float32).reshape(2, 2, 2, 4) / 32
    for fields, split in (({}, 2), ({"given_channels": 1}, 1)):
        task = TASKS["paired"](**fields)
        target, of_given = task.real(jnp.asarray(pair), keys(2))
        np.testing.assert_array_equal(target, pair[..., split:])
        np.testing.assert_array_equal(of_given["image"], pair[..., :split])
    task = TASKS["unpaired"]()
    target, of_given = task.real(jnp.asarray(pair), keys(2))
    np.testing.assert_array_equal(target, pair)
    np.testing.assert_array_equal(of_given["image"], pair)
    np.testing.assert_array_equal(task.baselines(pair)["input"], pair[..., [2, 3, 0, 1]])
    assert task.reads == ("partner",)
