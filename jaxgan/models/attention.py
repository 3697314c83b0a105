"""Self-attention between the pixels of maps."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.models import layers


class SelfAttention(nn.Module):
    """y = x + γ·o(A·g), A = softmax(θ·φᵀ), γ initially 0: maps `[B, H, W, C]` to the same.

    θ, φ, g, o are 1×1 convolutions without biases: C → C/8, C/8, C/2 and back to C. φ and g are max-pooled
    over 2×2 pixels, so each of the HW pixels attends to about HW/4 positions. θ·φᵀ is not scaled.

    Source: Zhang et al. 2019, Self-Attention Generative Adversarial Networks, equations 1 to 3. The widths of
    θ and φ and the pooling are those of the authors' code; the paper does not give them.

    Attributes:
      spectral_norm, initializer: see `layers`.
    """

    spectral_norm: str = ""
    initializer: str = "xavier"

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Float[Array, "B H W C"]:
        batch, _, _, channels = x.shape

        def linear(name, inputs, width):
            kernel_init = layers.scaled_initializer(self.initializer)
            layer = nn.Dense(max(width, 1), use_bias=False, kernel_init=kernel_init, name=name)
            return layers.apply_layer(layer, inputs, spectral_norm=self.spectral_norm, train=train)

        def places(maps):
            return maps.reshape(batch, -1, maps.shape[-1])

        theta = places(linear("theta", x, channels // 8))
        phi = places(max_pool(linear("phi", x, channels // 8)))
        g = places(max_pool(linear("g", x, channels // 2)))
        exact = jnp.promote_types(x.dtype, jnp.float32)
        logits = jnp.einsum("bqc,bkc->bqk", theta, phi, preferred_element_type=exact)
        found = jnp.einsum("bqk,bkc->bqc", jax.nn.softmax(logits).astype(x.dtype), g)
        gain = self.param("gain", nn.initializers.zeros, ())
        return x + gain * linear("o", found, channels).reshape(x.shape)


def max_pool(x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
    """The maxima of 2×2 pixels: `[B, H, W, C]` to `[B, ⌈H/2⌉, ⌈W/2⌉, C]`; at an odd edge, of fewer pixels."""
    n, h, w, c = x.shape
    if h % 2 or w % 2:
        x = jnp.pad(x, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)), mode="edge")
    return x.reshape(n, -(-h // 2), 2, -(-w // 2), 2, c).max(axis=(2, 4))


def attend(
    network: nn.Module, x: Float[Array, "B H W C"], train: bool, index: int, sides: list[int]
) -> Float[Array, "B H W C"]:
    """Applies attention after block `index` if its maps are the first with one of the sides in `attention`.

    Call it inside a compact `__call__` of `network`, whose fields `attention`, `spectral_norm` and
    `initializer` it reads.

    Args:
      network: see above.
      x: the output of the block.
      train: whether to make a step of the power iteration.
      index: number of the block.
      sides: the shorter side of the output of each block.
    """
    side = sides[index]
    if side not in network.attention or side in sides[:index]:
        return x
    return SelfAttention(network.spectral_norm, network.initializer, name=f"attention_{side}")(x, train)
