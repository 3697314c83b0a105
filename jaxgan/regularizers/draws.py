"""Draws that belong to one example each, so that they do not depend on how many devices share the batch."""

import jax


def draw(sampler, keys, shape):
    """Per-example draws `[B, *shape]` from typed keys `[B]`."""
    return jax.vmap(lambda key: sampler(key, shape))(keys)


def split(keys):
    """Two independent typed keys `[B]` of each of the keys."""
    pairs = jax.vmap(jax.random.split)(keys)
    return pairs[:, 0], pairs[:, 1]
