"""Tiles give what the whole picture gives, as far as a pixel's surroundings reach."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxgan.errors import UserError
from jaxgan.sampler.tiles import in_tiles, sizes

PICTURE = np.random.default_rng(0).uniform(-1, 1, (1, 37, 61, 3)).astype(np.float32)


def reach(radius, seen=None):
    """A plain convolution over all pixels up to `radius` away; it records the sizes that it is given."""
    kernel = np.random.default_rng(radius).normal(size=(2 * radius + 1, 2 * radius + 1))

    def run(images):
        if seen is not None:
            seen.append(images.shape[1:3])
        return np.stack([ndimage.convolve(image, kernel[..., None] / 9, mode="constant") for image in images])

    return run


@pytest.mark.parametrize(("tile", "overlap"), [(24, 12), (30, 13), (48, 24), (40, 12)])
def test_tiles_are_the_whole_picture(tile, overlap):
    """Within a third of the overlap; every tile is as large as promised, and of one size."""
    seen = []
    run = reach(overlap // 3, seen)
    found = in_tiles(run, PICTURE, tile, overlap)
    assert set(seen) == {(min(tile, 37), min(tile, 61))} and len(seen) > 1
    np.testing.assert_allclose(found, run(PICTURE), atol=1e-5)
    assert np.abs(in_tiles(reach(overlap), PICTURE, tile, overlap) - reach(overlap)(PICTURE)).max() > 1e-3


def test_a_network_of_strides_that_enlarges():
    """Halved and doubled again, twice as large: tiles begin where its strides do; odd sides are continued."""
    kernels = [jax.random.normal(jax.random.key(i), (3, 3, 3, 3)) / 5 for i in range(2)]
    dimensions = ("NHWC", "HWIO", "NHWC")

    @jax.jit
    def run(images):
        x = jax.lax.conv_general_dilated(images, kernels[0], (2, 2), "SAME", dimension_numbers=dimensions)
        x = jnp.repeat(jnp.repeat(jnp.tanh(x), 4, axis=1), 4, axis=2)
        return jax.lax.conv_general_dilated(x, kernels[1], (1, 1), "SAME", dimension_numbers=dimensions)

    whole = in_tiles(run, PICTURE, 0, 0, multiple=2, factor=2)
    assert whole.shape == (1, 74, 122, 3)
    even = np.pad(PICTURE, ((0, 0), (0, 1), (0, 1), (0, 0)), mode="edge")
    np.testing.assert_allclose(whole, np.asarray(run(even))[:, :74, :122], atol=1e-5)
    tiled = in_tiles(run, PICTURE, 25, 12, multiple=2, factor=2)
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_tiles_fade_into_each_other():
    """Two tiles that say 0 and 1: between them a ramp over the middle third of what they share."""
    answers = iter([0.0, 1.0])
    row = in_tiles(lambda part: np.full_like(part, next(answers)), np.zeros((1, 1, 23, 1), np.float32), 15, 7)
    expected = [*[0] * 10, 1 / 6, 0.5, 5 / 6, *[1] * 10]
    np.testing.assert_allclose(row[0, 0, :, 0], expected, atol=1e-6)


def test_small_pictures_and_odd_requests():
    seen = []
    assert in_tiles(reach(1, seen), PICTURE, 64, 12).shape == PICTURE.shape and len(seen) == 1
    tiny = in_tiles(reach(0), PICTURE[:, :1, :3], 0, 0, multiple=8)
    np.testing.assert_allclose(tiny, reach(0)(PICTURE[:, :1, :3]), atol=1e-6)
    assert in_tiles(reach(0), PICTURE, 10, 0).shape == PICTURE.shape
    assert sizes(512, 64, 256) == sizes(512, 64, 512) == (512, 64) and sizes(100, 10, 4) == (100, 12)
    assert in_tiles(reach(0), PICTURE, 32, 5, multiple=16).shape == PICTURE.shape
    with pytest.raises(UserError, match="tile=20 must be at least twice overlap=12"):
        in_tiles(reach(0), PICTURE, 20, 12)
    with pytest.raises(UserError, match="in multiples of 16"):
        in_tiles(reach(0), PICTURE, 15, 0, multiple=16)
