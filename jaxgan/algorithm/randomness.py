"""Keys of the random draws of a step: one for each example, and one for each use of it."""

import zlib

import jax
from jaxtyping import Array, Int, Key


def example_keys(key: Key[Array, ""], index: Int[Array, " B"]) -> Key[Array, " B"]:
    """One typed key an example, `[B]`, from its global index: noise does not depend on how devices share."""
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(index)


def named_keys(keys: Key[Array, "*B"], name: str) -> Key[Array, "*B"]:
    """Keys of the same shape for one use of them, independent of those for any other use."""
    fold = lambda key: jax.random.fold_in(key, zlib.crc32(name.encode()))  # noqa: E731
    return jax.vmap(fold)(keys) if keys.ndim else fold(keys)
