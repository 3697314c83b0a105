"""The transformations of Karras et al. 2020, appendix B, against NumPy and distributions known by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats
from test_augment import apply, assert_uniform, coordinates, images, some_keys, which, windows

from configs import recipes
from jaxgan.augment import AUGMENTATIONS, augment
from jaxgan.augment.geometry import Geometric, resample

PIPELINE = (
    "flip", "quarter_turns", "integer_translation", "isotropic_scale", "pre_rotation", "anisotropic_scale",
    "post_rotation", "fractional_translation", "brightness", "contrast", "luma_flip", "hue", "saturation",
)  # fmt: skip


def assert_normal(draws, stddev):
    assert stats.kstest(np.ravel(draws), stats.norm(0, stddev).cdf).pvalue > 1e-3


def assert_any_angle(radians):
    assert stats.kstest(np.ravel(radians), stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3


def test_the_recipe_is_the_published_pipeline_in_its_order():
    config = recipes.get_config("ada")
    assert config.augment.names == PIPELINE
    assert config.augment.adaptive and config.augment.probability == 0


def test_quarter_turns_are_those_of_numpy_and_equally_likely():
    square = np.resize(images()[:, :7], (2000, 7, 7, 3))
    _, found = apply("quarter_turns", pictures=square)
    assert_uniform(which(found, [np.rot90(square, turns, axes=(1, 2)) for turns in range(4)]))


def test_integer_translations_are_windows_of_the_mirrored_image():
    """8 rows and 7 columns, ratio .3: round(U(-2.4, 2.4)) and round(U(-2.1, 2.1))."""
    pictures, found = apply("integer_translation", count=4000, ratio=0.3)
    hits = which(found, windows(pictures, 2, 2, "reflect")).reshape(5, 5)
    rows, columns = hits.sum(axis=1), hits.sum(axis=0)
    assert stats.chisquare(rows, 4000 * np.array([0.9, 1, 1, 1, 0.9]) / 4.8).pvalue > 1e-4
    assert stats.chisquare(columns, 4000 * np.array([0.6, 1, 1, 1, 0.6]) / 4.2).pvalue > 1e-4


def test_scales_are_powers_of_two_with_a_normal_exponent():
    _, found = apply("isotropic_scale", pictures=coordinates(2000))
    down, right = -np.log2(found[:, 5, 4, 0]), -np.log2(found[:, 4, 5, 1])
    assert_normal(right, 0.2)
    np.testing.assert_allclose(down, right, atol=1e-5)
    _, found = apply("anisotropic_scale", pictures=coordinates(2000))
    down, right = -np.log2(found[:, 5, 4, 0]), -np.log2(found[:, 4, 5, 1])
    assert_normal(right, 0.2)
    np.testing.assert_allclose(down, -right, atol=1e-5)


@pytest.mark.parametrize("name", ["pre_rotation", "post_rotation"])
def test_angles_of_rotations_are_uniform(name):
    _, found = apply(name, pictures=coordinates(2000))
    y, x = found[:, 4, 5].T  # one to the right of the centre
    np.testing.assert_allclose(np.hypot(y, x), 1, atol=1e-5)
    assert_any_angle(np.arctan2(y, x))


def test_fractional_translations_are_normal_and_independent():
    _, found = apply("fractional_translation", pictures=coordinates(2000), stddev=0.05)
    y, x = found[:, 4, 4].T
    assert_normal(y, 0.45)
    assert_normal(x, 0.45)
    assert stats.pearsonr(y, x).pvalue > 1e-3
    assert AUGMENTATIONS.fields("fractional_translation")["stddev"].default == 0.125


def test_brightness_and_contrast_change_the_whole_image():
    pictures, found = apply("brightness", count=1000)
    shift = (found - pictures).reshape(1000, -1)
    assert np.ptp(shift, axis=1).max() < 1e-6
    assert_normal(shift[:, 0], 0.2)
    pictures, found = apply("contrast", count=1000)
    factor = (found / pictures).reshape(1000, -1)
    np.testing.assert_allclose(factor, np.broadcast_to(factor[:, :1], factor.shape), rtol=1e-5)
    assert_normal(np.log2(factor[:, 0]), 0.5)


def test_luma_flips_keep_the_hue():
    """(.5, .3, -.2) has the mean .2 and becomes (.1, -.1, -.6). Every grey value changes its sign."""
    pictures = np.resize(np.float32([0.5, 0.3, -0.2]), (1000, 1, 1, 3))
    _, found = apply("luma_flip", pictures=pictures)
    flipped = np.isclose(found, [0.1, -0.1, -0.6], atol=1e-6).all(axis=(1, 2, 3))
    assert_uniform([flipped.sum(), (found == pictures).all(axis=(1, 2, 3)).sum()])
    grey = images()[..., :1]
    _, found = apply("luma_flip", pictures=grey)
    assert which(found, [grey, -grey]).all()


def test_hue_rotates_about_the_grey_axis_by_any_angle():
    """Red is (1, 0, 0). Its mean stays 1/3, and its distance from the grey axis stays √(2/3)."""
    _, found = apply("hue", pictures=np.resize(np.float32([1, 0, 0]), (2000, 1, 1, 3)))
    red, green, blue = found.reshape(2000, 3).T
    np.testing.assert_allclose(red + green + blue, 1, atol=1e-6)
    np.testing.assert_allclose(red**2 + green**2 + blue**2, 1, atol=1e-5)
    angle = np.arctan2((green - blue) / np.sqrt(2), (2 * red - green - blue) / np.sqrt(6))
    assert_any_angle(angle)


def test_saturation_scales_the_distance_from_grey():
    pictures, found = apply("saturation", count=1000)
    grey, after = pictures.mean(axis=-1, keepdims=True), found.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(after, grey, atol=1e-5)
    ratio = np.linalg.norm((found - after).reshape(1000, -1), axis=1)
    ratio /= np.linalg.norm((pictures - grey).reshape(1000, -1), axis=1)
    assert_normal(np.log2(ratio), 1)


@pytest.mark.parametrize("name", ["hue", "saturation"])
def test_grey_images_have_neither_hue_nor_saturation(name):
    pictures, found = apply(name, pictures=images()[..., :1])
    assert np.array_equal(found, pictures)


def test_resampling_is_that_of_scipy_with_mirrored_edges():
    matrix = np.array([[1.1, 0.4, 1.7], [-0.3, 0.8, -2.6], [0, 0, 1]])
    image = images()[3]
    inverse = np.linalg.inv(matrix)
    y, x = np.mgrid[:8, :7] - np.array([3.5, 3.0])[:, None, None]
    x, y, _ = np.einsum("ij,jhw->ihw", inverse, np.stack([x, y, np.ones_like(x)]))
    expected = [
        ndimage.map_coordinates(channel, (y + 3.5, x + 3), order=1, mode="mirror")
        for channel in np.moveaxis(np.float64(image), -1, 0)
    ]
    found = resample(image, jnp.float32(matrix))
    np.testing.assert_allclose(found, np.stack(expected, axis=-1), atol=1e-5)
    assert np.array_equal(resample(image, jnp.eye(3)), image)


def test_consecutive_geometric_transformations_are_one_resampling_in_their_order():
    """A shift by two columns and one row, then a quarter turn, is exact. No image is resampled twice."""
    shift = Geometric(lambda key, image: jnp.array([[1.0, 0, 2], [0, 1, 1], [0, 0, 1]]))
    turn = Geometric(lambda key, image: jnp.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]))
    half = Geometric(lambda key, image: jnp.array([[1.0, 0, 0.5], [0, 1, 0], [0, 0, 1]]))
    square = images()[:, :7]
    padded = np.pad(square, ((0, 0), (1, 0), (2, 0), (0, 0)), "reflect")[:, :7, :7]
    expected = np.rot90(padded, axes=(1, 2))
    for probability in (None, 1.0):
        found = augment((shift, turn), some_keys(64), square, probability)
        assert np.array_equal(found, expected)
    np.testing.assert_allclose(augment((half, turn, turn, turn, turn, half), some_keys(64), square)[:, :, 1:],
                               square[:, :, :-1], atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("probability", [0.3, 1.0])
def test_one_of_the_two_rotations_is_applied_with_the_probability(probability):
    ops = tuple(AUGMENTATIONS[name]() for name in ("pre_rotation", "post_rotation"))
    pictures = coordinates(3000)
    run = jax.jit(lambda probability: augment(ops, some_keys(3000), pictures, probability))
    turned = int((np.abs(np.asarray(run(probability)) - pictures).max(axis=(1, 2, 3)) > 1e-3).sum())
    assert turned >= 2990 if probability == 1 else stats.binomtest(turned, 3000, probability).pvalue > 1e-3
    first = np.asarray(jax.jit(lambda p: augment(ops[:1], some_keys(3000), pictures, p))(probability))
    alone = int((np.abs(first - pictures).max(axis=(1, 2, 3)) > 1e-3).sum())
    share = 1 - np.sqrt(1 - probability)  # .163 of .3
    assert alone >= 2990 if probability == 1 else stats.binomtest(alone, 3000, share).pvalue > 1e-3


@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_of_the_whole_pipeline_are_finite_differences(channels):
    ops = tuple(AUGMENTATIONS[name]() for name in PIPELINE)
    pictures = jnp.asarray(images()[:4, ..., :channels])
    with jax.enable_x64(True):
        pictures, weights, direction = np.random.default_rng(0).normal(size=(3, *pictures.shape))

        @jax.jit
        def both(pictures, probability):
            functional = lambda x: (weights * augment(ops, some_keys(4), x, probability)).sum()  # noqa: E731
            difference = functional(pictures + direction / 2) - functional(pictures - direction / 2)
            return jax.grad(functional)(pictures), difference

        found, difference = both(pictures, 0.5)
        np.testing.assert_allclose((found * direction).sum(), difference, atol=1e-9)
        assert np.abs(found).max() > 0.1
        assert np.array_equal(augment(ops, some_keys(4), pictures, 0.0), pictures)
