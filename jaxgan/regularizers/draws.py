"""Random draws for each example, which do not depend on the number of devices."""

from collections.abc import Callable

import jax
from jaxtyping import Array, Float, Key


def draw(sampler: Callable, keys: Key[Array, " B"], shape: tuple[int, ...]) -> Float[Array, "B ..."]:
    """Per-example draws `[B, *shape]` from typed keys `[B]`."""
    return jax.vmap(lambda key: sampler(key, shape))(keys)


def split(keys: Key[Array, " B"]) -> tuple[Key[Array, " B"], Key[Array, " B"]]:
    """Two independent typed keys `[B]` of each of the keys."""
    pairs = jax.vmap(jax.random.split)(keys)
    return pairs[:, 0], pairs[:, 1]
