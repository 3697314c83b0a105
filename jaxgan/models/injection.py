"""Further inputs of a generator's hidden layers: the latent itself, and noise.

The noise is derived from the bits of z, so a generator is still a pure function of z. It changes completely
with z, so interpolations flicker.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxgan.errors import UserError
from jaxgan.models.layers import apply_layer


def check_injection(hidden: int, noise: bool, latent: bool) -> None:
    """UserError if there are too few `hidden` layers for the noise or the latent that is wanted."""
    for field, wanted, least in (("noise", noise, 1), ("latent_injection", latent, 2)):
        if wanted and hidden < least:
            raise UserError(f"{field} has no effect with {hidden} hidden layers: it takes at least {least}")


class NoiseInjection(nn.Module):
    """x + w·n: n ~ N(0, 1) for each pixel of an image, or each unit; w for each channel, initially 0.

    Source: Karras et al. 2019, A Style-Based Generator Architecture for GANs, section 2 (B in figure 1).
    """

    @nn.compact
    def __call__(self, x: Float[Array, "B *pixels C"], keys: Key[Array, " B"]) -> Float[Array, "B *pixels C"]:
        """`x` is `[B, H, W, C]` or `[B, C]`; `keys` `[B]`, one for each example."""
        weight = self.param("weight", nn.initializers.zeros, x.shape[-1:])
        shape = (*x.shape[1:3], 1) if x.ndim == 4 else x.shape[1:]
        noise = jax.vmap(lambda key: jax.random.normal(key, shape, jnp.float32))(keys)
        return x + weight * noise.astype(x.dtype)


def inject(
    x: Float[Array, "B *pixels C"],
    z: Float[Array, "B Z"],
    layer: int,
    *,
    keys: Key[Array, " B"] | None,
    latent: bool,
    kernel_init: nn.initializers.Initializer,
    spectral_norm: str,
    train: bool,
) -> Float[Array, "B *pixels C"]:
    """Adds noise and the latent to a hidden layer before its activation, according to the generator's fields.

    Call it inside a compact `__call__`.

    Args:
      x: the layer's outputs, `[B, H, W, C]` or `[B, C]`.
      z: `[B, latent_dim]`.
      layer: its number; layer 0 has z as its input, so nothing is added.
      keys: of the noise, `latent_keys(z)`; None: no noise.
      latent: whether to add a linear projection of z to each channel (Brock et al. 2019, BigGAN, section 3:
        skip-z; here it is the bias alone).
      kernel_init: of that projection.
      spectral_norm: see `layers.apply_layer`.
      train: whether to make a step of the power iteration.
    """
    if latent and layer > 0:
        project = nn.Dense(x.shape[-1], use_bias=False, kernel_init=kernel_init, name=f"inject_{layer}")
        bias = apply_layer(project, z, spectral_norm=spectral_norm, train=train)
        x = x + jnp.expand_dims(bias, range(1, x.ndim - 1))
    if keys is not None:
        keys = jax.vmap(jax.random.fold_in, (0, None))(keys, layer)
        x = NoiseInjection(name=f"noise_{layer}")(x, keys)
    return x
