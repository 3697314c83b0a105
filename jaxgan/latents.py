"""Latent distributions. Each draw depends on the seed and the example's index alone.

So the latent of example i does not depend on the batch size or the number of devices.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Key, UInt32

from jaxgan.declarations import arguments
from jaxgan.errors import UserError, WrongArgument
from jaxgan.registry import Registry

LATENTS = Registry("latent")


def make_key(data: UInt32[Array, "2"] | UInt32[np.ndarray, "2"]) -> Key[Array, ""]:
    """The typed key of raw key words, uint32 `[2]`. Always Threefry: `rbg` draws other numbers under vmap."""
    return jax.random.wrap_key_data(data, impl="threefry2x32")


@LATENTS.register("normal")
def normal(key: Key[Array, ""], size: int) -> Float[Array, " size"]:
    """z ~ N(0, 1), `[size]`."""
    return jax.random.normal(key, (size,))


@LATENTS.register("uniform")
def uniform(key: Key[Array, ""], size: int) -> Float[Array, " size"]:
    """z ~ U(-1, 1), `[size]`."""
    return jax.random.uniform(key, (size,), minval=-1.0, maxval=1.0)


@LATENTS.register("truncated")
def truncated(key: Key[Array, ""], size: int, *, threshold: float = 2.0) -> Float[Array, " size"]:
    """z ~ N(0, 1) given |z| ≤ threshold, `[size]`. A lower threshold gives better images with less variety.

    Source: Marchesi 2017; Brock et al. 2019, BigGAN, section 3.1 (the truncation trick, after training).
    """
    if not threshold > 0:
        raise UserError(f"latent 'truncated': threshold={threshold} must be above 0")
    return jax.random.truncated_normal(key, -threshold, threshold, (size,))


def sample_latents(
    latent: str, key: Key[Array, ""], index: Int[Array, " B"], size: int, **fields
) -> Float[Array, "B size"]:
    """Latents `[B, size]` of the examples with the given global indices, int32 `[B]`.

    Args:
      latent: name of the distribution; `fields` are its own.
      key: typed; each example's draw folds in its index.
      index: int32 `[B]`.
      size: the latent dimension.
    """
    size = arguments.whole("size", size, 1)
    index = (
        jnp.asarray(index)
        if isinstance(index, jax.Array)
        else arguments.array("index", index, "[B]", kinds="iu")
    )
    if index.ndim != 1 or not jnp.issubdtype(index.dtype, jnp.integer):
        raise WrongArgument(f"index is {arguments.shown(index)}: give int32 [B]")
    draw = functools.partial(LATENTS[latent], size=size, **fields)
    return jax.vmap(lambda i: draw(jax.random.fold_in(key, i)))(jnp.asarray(index))


def latent_keys(z: Float[Array, "B Z"]) -> Key[Array, " B"]:
    """A typed key for each latent, made from its bits: `[B, D]` to `[B]`.

    So the noise that a generator draws is a pure function of z. The bits are those of z in bfloat16: networks
    that compute in bfloat16 get the same key, and the last bit of a float32 hardly ever matters.
    """
    bits = lax.bitcast_convert_type(z.astype(jnp.bfloat16), jnp.uint16).astype(jnp.uint32)

    def words(position, bits):
        return jax.random.key_data(jax.random.fold_in(make_key(jnp.stack([0, position])), bits))

    positions = jnp.arange(z.shape[-1], dtype=jnp.uint32)
    mixed = jax.vmap(jax.vmap(words), (None, 0))(positions, bits)
    return jax.vmap(make_key)(jnp.sum(mixed, axis=1, dtype=jnp.uint32))
