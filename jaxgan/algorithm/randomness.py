"""Random keys of a step: one for each example, and from it one for each use."""

import zlib

import jax
from jaxtyping import Array, Int, Key


def example_keys(key: Key[Array, ""], index: Int[Array, " B"]) -> Key[Array, " B"]:
    """A typed key for each example, `[B]`, from its global index: noise does not depend on the devices."""
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(index)


def named_keys(keys: Key[Array, "*B"], name: str) -> Key[Array, "*B"]:
    """Keys of the same shape for the use called `name`, independent of those for other uses."""
    fold = lambda key: jax.random.fold_in(key, zlib.crc32(name.encode()))  # noqa: E731
    return jax.vmap(fold)(keys) if keys.ndim else fold(keys)
