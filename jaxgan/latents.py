"""Latent distributions. Each draw depends on the seed and the example's own index alone.

So the noise of example i is the same whatever the batch size is and however many devices share the batch.
"""

import jax
import jax.numpy as jnp

from jaxgan.registry import Registry

LATENTS = Registry("latent")


def make_key(data: jax.Array) -> jax.Array:
    """The typed key of raw key words, uint32 `[2]`. Threefry: `rbg` draws other numbers under vmap."""
    return jax.random.wrap_key_data(data, impl="threefry2x32")


@LATENTS.register("normal")
def normal(key: jax.Array, size: int) -> jax.Array:
    """z ~ N(0, 1), `[size]`."""
    return jax.random.normal(key, (size,))


@LATENTS.register("uniform")
def uniform(key: jax.Array, size: int) -> jax.Array:
    """z ~ U(-1, 1), `[size]`."""
    return jax.random.uniform(key, (size,), minval=-1.0, maxval=1.0)


def sample_latents(latent: str, key: jax.Array, index: jax.Array, size: int) -> jax.Array:
    """Latents `[B, size]` of the examples with the given global indices, int32 `[B]`."""
    draw = LATENTS[latent]
    return jax.vmap(lambda i: draw(jax.random.fold_in(key, i), size))(jnp.asarray(index))
