"""Functions of images that are restored or translated have the shapes of their annotations, and no others."""

import inspect
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from beartype import beartype
from jaxtyping import TypeCheckError, jaxtyped

from jaxgan.algorithm import pool
from jaxgan.datasets import folders, from_arrays, load, pictures, styled_digits
from jaxgan.evaluation import features
from jaxgan.evaluation import restoration as scores
from jaxgan.extractors import EXTRACTORS
from jaxgan.metrics import restoration
from jaxgan.regularizers import reconstruction
from jaxgan.sampler.tiles import in_tiles
from jaxgan.tasks import TASKS, inpainting, super_resolution

IMAGES = np.zeros((2, 8, 8, 3), np.float32)
PIXELS = np.zeros((2, 12, 12, 3), np.uint8)
DATA = from_arrays("mine", PIXELS, None, "here")
NOISE, RAW = TASKS["denoising"](), EXTRACTORS["raw"](load, (12, 12, 3))
ROWS, HERE = np.arange(2), Path()
KEYS = jax.random.split(jax.random.key(0), 2)
POOL = pool.init_pool(3, (8, 8, 3))
PICTURE = pictures.Picture(IMAGES[0], None, 255, "RGB", "PNG")


def same(images):
    return images


# function: its arguments, and such as are refused
CALLS = {
    super_resolution.reduce: ((jnp.asarray(IMAGES), 2), (jnp.asarray(IMAGES[0]), 2)),
    super_resolution.enlarge: ((IMAGES, 2), (IMAGES[0], 2)),
    inpainting.fill_with_mean: ((IMAGES,), (IMAGES[0],)),
    inpainting.fill_with_nearest: ((IMAGES,), (IMAGES[0],)),
    inpainting.fill_with_example: ((IMAGES, PIXELS[:, :8, :8, :2]), (IMAGES, IMAGES[..., :2])),
    scores.degrade: ((NOISE, DATA, ROWS), (NOISE, DATA, ROWS / 2)),
    scores.restore: ((same, IMAGES), (same, IMAGES[0])),
    features.extract_images: ((RAW, PIXELS), (RAW, PIXELS[0])),
    styled_digits.outline: ((PIXELS[..., :1], ROWS), (PIXELS, ROWS)),
    styled_digits.coloured: ((PIXELS[..., :1], ROWS), (PIXELS[..., :1], ROWS / 2)),
    styled_digits.inverted: ((PIXELS[..., :1], ROWS), (PIXELS[0], ROWS)),
    folders.decode_all: ((HERE, [HERE], len, None), (HERE, [HERE], len, ROWS / 2)),
    in_tiles: ((same, IMAGES), (same, IMAGES[0])),
    pictures.to_grey: ((IMAGES,), (PIXELS,)),
    pictures.encode_picture: ((IMAGES[0], PICTURE), (IMAGES, PICTURE)),
    pool.draw_from_pool: ((POOL, jnp.asarray(IMAGES), KEYS), (POOL, jnp.asarray(IMAGES), KEYS[0])),
    reconstruction.swap: ((jnp.asarray(IMAGES[..., :2]),), (jnp.asarray(IMAGES[0]),)),
    restoration.psnr: ((PIXELS, PIXELS), (PIXELS, PIXELS[:1])),
    restoration.ssim: ((PIXELS, PIXELS), (PIXELS, PIXELS[:1])),
    restoration.mean_psnr: ((PIXELS, PIXELS), (PIXELS, PIXELS[:1])),
    restoration.mean_ssim: ((PIXELS, PIXELS), (PIXELS, PIXELS[:1])),
}


@pytest.mark.parametrize("function", CALLS, ids=lambda function: function.__name__)
def test_shapes_are_as_annotated(function):
    checked = jaxtyped(inspect.unwrap(function), typechecker=beartype)
    right, wrong = CALLS[function]
    checked(*right)
    with pytest.raises(TypeCheckError):
        checked(*wrong)
