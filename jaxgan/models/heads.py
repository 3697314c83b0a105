"""Heads on the last features of a discriminator, for class losses (`regularizers/classes.py`)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.models.layers import apply_layer, batch_norm, normal_init
from jaxgan.regularizers.classes import Head


def unit(vectors: Float[Array, "... W"]) -> Float[Array, "... W"]:
    """The vectors along the last axis, scaled to length 1."""
    return vectors * jax.lax.rsqrt(jnp.sum(jnp.square(vectors), axis=-1, keepdims=True) + 1e-12)


class Proxies(nn.Module):
    """The cosines of embeddings `[B, W]` of length 1 to `num` learned vectors: `[B, num]`."""

    num: int

    @nn.compact
    def __call__(self, embedding: Float[Array, "B W"]) -> Float[Array, "B num"]:
        proxies = self.param("embedding", nn.initializers.normal(1.0), (self.num, embedding.shape[-1]))
        return embedding @ unit(proxies).T


def apply_head(
    head: Head,
    name: str,
    features: Float[Array, "B F"],
    *,
    spectral_norm: str,
    train: bool,
    axis_name: str | None,
) -> dict[str, Float[Array, "B _"]]:
    """The outputs of a head for last features `[B, F]`: `logits`, and `embedding` if it has one.

    Call it inside a compact `__call__`.

    Args:
      head: its shape.
      name: the layers are called 'head_<name>'.
      features: of the discriminator.
      spectral_norm: see `layers.apply_layer`.
      train: whether to make a step of the power iteration.
      axis_name: the device axis, for batch norm.
    """
    if head.hidden:
        layer = nn.Dense(
            head.hidden, not head.batch_norm, kernel_init=normal_init, name=f"head_{name}_hidden"
        )
        features = apply_layer(layer, features, spectral_norm=spectral_norm, train=train)
        if head.batch_norm:
            features = batch_norm(features, train=train, axis_name=axis_name, name=f"head_{name}_batch_norm")
        features = nn.leaky_relu(features, 0.01)
    width = head.embedding or head.outputs
    layer = nn.Dense(width, bool(head.embedding), kernel_init=normal_init, name=f"head_{name}")
    outputs = apply_layer(layer, features, spectral_norm=spectral_norm, train=train)
    if not head.embedding:
        return {"logits": outputs}
    embedding = unit(outputs)
    return {"logits": Proxies(head.outputs, name=f"proxies_{name}")(embedding), "embedding": embedding}
