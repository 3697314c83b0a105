"""ADA's colour transformations, the same for all pixels of an image. 0 is mid-grey.

Source: Karras et al. 2020, Training Generative Adversarial Networks with Limited Data, appendix B.
"""

import math

import jax
import jax.numpy as jnp

from jaxgan.augment.operation import AUGMENTATIONS, Augmentation, check


@AUGMENTATIONS.register("brightness")
def brightness(*, stddev: float = 0.2) -> Augmentation:
    """x ← x + N(0, stddev²), the same for all pixels and channels.

    Args:
      stddev: in pixel values of [-1, 1], at least 0.
    """
    check("brightness.stddev", stddev)
    return lambda key, image: image + _normal(key, stddev, image)


@AUGMENTATIONS.register("contrast")
def contrast(*, stddev: float = 0.5) -> Augmentation:
    """x ← 2^N(0, stddev²)·x.

    Args:
      stddev: deviation of the factor's binary logarithm, at least 0.
    """
    check("contrast.stddev", stddev)
    return lambda key, image: jnp.exp2(_normal(key, stddev, image)) * image


@AUGMENTATIONS.register("luma_flip")
def luma_flip() -> Augmentation:
    """x ← x - 2·mean(x) over the channels, with probability 1/2: light and dark change places, hues stay."""

    def op(key, image):
        return jnp.where(jax.random.bernoulli(key), image - 2 * _grey(image), image)

    return op


@AUGMENTATIONS.register("hue")
def hue(*, degrees: float = 180.0) -> Augmentation:
    """Turns the colours (R, G, B) about the axis of greys by U(-degrees, degrees).

    Only images of three channels have a hue; others stay as they are.

    Args:
      degrees: the largest angle, in [0, 180].
    """
    check("hue.degrees", degrees, 180)

    def op(key, image):
        if image.shape[-1] != 3:
            return image
        reach = jnp.asarray(degrees, image.dtype) * (math.pi / 180)
        angle = reach * jax.random.uniform(key, (), image.dtype, -1, 1)
        # Rodrigues: about v = (1, 1, 1)/√3, v × x is the difference of the two other channels over √3
        across = (jnp.roll(image, 1, axis=-1) - jnp.roll(image, -1, axis=-1)) / math.sqrt(3)
        grey = _grey(image)
        return grey + jnp.cos(angle) * (image - grey) + jnp.sin(angle) * across

    return op


@AUGMENTATIONS.register("saturation")
def saturation(*, stddev: float = 1.0) -> Augmentation:
    """x ← grey + 2^N(0, stddev²)·(x - grey); grey is the mean of a pixel's channels.

    One channel has no saturation, and stays as it is.

    Args:
      stddev: deviation of the factor's binary logarithm, at least 0.
    """
    check("saturation.stddev", stddev)

    def op(key, image):
        if image.shape[-1] == 1:
            return image
        grey = _grey(image)
        return grey + jnp.exp2(_normal(key, stddev, image)) * (image - grey)

    return op


def _grey(image):
    return image.mean(axis=-1, keepdims=True)


def _normal(key, stddev, image):
    return jnp.asarray(stddev, image.dtype) * jax.random.normal(key, (), image.dtype)
