"""The type and the registry of augmentations, and functions that several of them use."""

import math
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxgan.errors import UserError
from jaxgan.registry import Registry

AUGMENTATIONS = Registry("augmentation")

Image = Float[Array, "H W C"]
Augmentation = Callable[[Key[Array, ""], Image], Image]


def check(field, value, high=math.inf):
    """Refuses a field outside of [0, high]. Traced numbers are not checked."""
    if isinstance(value, int | float) and not (0 <= value <= high and value < math.inf):
        bounds = "be finite and at least 0" if high == math.inf else f"lie in [0, {high}]"
        raise UserError(f"{field}={value} must {bounds}")


def shift(image, by, *, reflect=False):
    """The image moved by whole pixels, int [2]. Beyond the edge it is 0, or the image is mirrored.

    Moves rows, then columns: the gradient of gathering single pixels is slow on a CPU.
    """
    for axis, size in enumerate(image.shape[:2]):
        at = jnp.arange(size) - by[axis]
        if reflect:
            at = size - 1 - jnp.abs(size - 1 - jnp.abs(at))
        at = jnp.where((at >= 0) & (at < size), at, size)  # negative ones would count from the end
        image = jnp.take(image, at, axis, mode="fill", fill_value=0)
    return image
