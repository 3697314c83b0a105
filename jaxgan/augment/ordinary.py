"""Ordinary augmentations of real images: flips, crops, small rotations, scaling."""

import jax
import jax.numpy as jnp
from jax.scipy import ndimage

from jaxgan.augment.operation import AUGMENTATIONS, Augmentation, check, shift
from jaxgan.errors import UserError


@AUGMENTATIONS.register("flip")
def flip() -> Augmentation:
    """Mirrors left and right with probability 1/2."""
    return lambda key, image: jnp.where(jax.random.bernoulli(key), image[:, ::-1], image)


@AUGMENTATIONS.register("crop")
def crop(*, padding: int = 4, mode: str = "reflect") -> Augmentation:
    """Pads by `padding` pixels on every side and crops the old size at a uniform place.

    Args:
      padding: pixels, at least 0 and below the image's size.
      mode: 'reflect' mirrors the image about its outermost pixels, 'zero' pads with 0.

    Source: He et al. 2016, Deep Residual Learning for Image Recognition, section 4.2 (4 pixels of 0).
    """
    check("crop.padding", padding)
    if mode not in ("reflect", "zero"):
        raise UserError(f"unknown crop.mode '{mode}'; known: reflect, zero")

    def op(key, image):
        if padding >= min(image.shape[:2]):
            raise UserError(f"crop.padding={padding} must be below the image's size {image.shape[:2]}")
        by = jax.random.randint(key, (2,), -padding, padding + 1)
        return shift(image, by, reflect=mode == "reflect")

    return op


@AUGMENTATIONS.register("rotation")
def rotation(*, degrees: float = 15.0) -> Augmentation:
    """Turns about the centre by U(-degrees, degrees); bilinear, the edge's nearest pixel continues outside.

    Args:
      degrees: the largest angle, in [0, 180].
    """
    check("rotation.degrees", degrees, 180)

    def op(key, image):
        return _rotate(image, jax.random.uniform(key, (), image.dtype, -1, 1) * jnp.deg2rad(degrees))

    return op


@AUGMENTATIONS.register("scale")
def scale(*, zoom: float = 0.2) -> Augmentation:
    """Enlarges about the centre by f = (1 + zoom)^U(-1, 1), so in [1/(1 + zoom), 1 + zoom].

    Growing and shrinking are as likely. Bilinear; the edge's nearest pixel continues outside.

    Args:
      zoom: how much the largest factor exceeds 1, at least 0.
    """
    check("scale.zoom", zoom)

    def op(key, image):
        return _scale(image, (1 + zoom) ** jax.random.uniform(key, (), image.dtype, -1, 1))

    return op


def _rotate(image, angle):
    """The image turned counterclockwise about its centre by an angle in radians."""
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    return _sample(image, lambda y, x: (cosine * y + sine * x, cosine * x - sine * y))


def _scale(image, factor):
    """The image enlarged about its centre."""
    return _sample(image, lambda y, x: (y / factor, x / factor))


def _sample(image, source):
    """The image whose pixel at (y, x) from the centre is the old one's at `source(y, x)`, bilinear."""
    middle_y, middle_x = ((size - 1) / 2 for size in image.shape[:2])
    y, x = jnp.indices(image.shape[:2])
    y, x = source(y - middle_y, x - middle_x)

    def sample(channel):
        return ndimage.map_coordinates(channel, (y + middle_y, x + middle_x), order=1, mode="nearest")

    return jax.vmap(sample, -1, -1)(image)
