"""What an augmentation is, where those by name are kept, and what their families share."""

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
    """Refuses a number outside of [0, high], by its field's name. Traced ones are not known yet."""
    if isinstance(value, int | float) and not (0 <= value <= high and value < math.inf):
        bounds = "be finite and at least 0" if high == math.inf else f"lie in [0, {high}]"
        raise UserError(f"{field}={value} must {bounds}")


def shift(image, by, *, reflect=False):
    """The image moved by whole pixels, int [2]; 0 comes in at the edge, or the image mirrored there.

    Rows and columns one after the other: the gradient of a gather of pixels is slow on a CPU.
    """
    for axis, size in enumerate(image.shape[:2]):
        at = jnp.arange(size) - by[axis]
        if reflect:
            at = size - 1 - jnp.abs(size - 1 - jnp.abs(at))
        at = jnp.where((at >= 0) & (at < size), at, size)  # negative ones would count from the end
        image = jnp.take(image, at, axis, mode="fill", fill_value=0)
    return image
