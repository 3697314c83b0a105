"""Layers that compare the examples of a batch, so that a discriminator can detect mode collapse."""

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def minibatch_stddev(
    x: Float[Array, "B *pixels F"], group_size: int, axis_name: str | None = None
) -> Float[Array, "B *pixels F+1"]:
    """Appends a feature: the standard deviation over a group of examples, averaged over all features.

    mean_f √(mean_i (x_if - mean_i x_if)² + 1e-8) over the group's examples i, features f (and pixels).
    G, the size of a group, is the largest divisor of B that is at most `group_size`. Example i of the B
    examples belongs to group i mod B/G.

    Args:
      x: `[B, H, W, C]` or `[B, F]`.
      group_size: at least 1.
      axis_name: the device axis over which the batch is distributed.

    Returns:
      `[B, H, W, C + 1]` or `[B, F + 1]`.

    Source: Karras et al. 2018, Progressive Growing of GANs, section 3; groups as in the code of Karras et al.
    2020 (StyleGAN2), which refuses batches that the group size does not divide.
    """
    everyone = _gather(x, axis_name)
    everyone = everyone.astype(jnp.promote_types(x.dtype, jnp.float32))
    size = max(divisor for divisor in range(1, group_size + 1) if len(everyone) % divisor == 0)
    groups = everyone.reshape(size, len(everyone) // size, -1)
    variance = jnp.mean(jnp.square(groups - groups.mean(axis=0)), axis=0)
    deviation = jnp.tile(jnp.sqrt(variance + 1e-8).mean(axis=-1), size)
    if axis_name is not None:
        deviation = lax.dynamic_slice_in_dim(deviation, lax.axis_index(axis_name) * len(x), len(x))
    deviation = jnp.broadcast_to(deviation.reshape(-1, *[1] * (x.ndim - 1)), (*x.shape[:-1], 1))
    return jnp.concatenate([x, deviation.astype(x.dtype)], axis=-1)


class MinibatchDiscrimination(nn.Module):
    """Appends `kernels` features that measure how near an example is to the others: `[B, F + kernels]`.

    o_b(x_i) = Σ_{j≠i} exp(-‖M_ib - M_jb‖₁), M_i = x_i·T, a matrix `[kernels, dim]`.

    Source: Salimans et al. 2016, Improved Techniques for Training GANs, section 3.2; `dim` as in its code.

    Attributes:
      kernels, dim: of the matrix.
      axis_name: the device axis over which the batch is distributed.
    """

    kernels: int
    dim: int = 5
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "B F"]) -> Float[Array, "B F+{self.kernels}"]:
        # Columns of length 1, as in the published code: with smaller ones all distances would be near 0.
        initializer = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
        kernel = self.param("kernel", initializer, (x.shape[-1], self.kernels * self.dim))
        matrix = (x @ kernel).astype(jnp.promote_types(x.dtype, jnp.float32))
        matrix = matrix.reshape(-1, self.kernels, self.dim)
        others = _gather(matrix, self.axis_name)
        distances = jnp.sum(jnp.abs(matrix[:, None] - others[None]), axis=-1)
        nearness = jnp.sum(jnp.exp(-distances), axis=1) - 1  # x_i itself is at distance 0
        return jnp.concatenate([x, nearness.astype(x.dtype)], axis=-1)


def with_batch_features(
    x: Float[Array, "B *pixels F"], *, stddev: int, discrimination: int, axis_name: str | None
) -> Float[Array, "B features"]:
    """Last features `[B, F]` of a discriminator, with minibatch features, from its last maps or units.

    Call it inside a compact `__call__`.

    Args:
      x: `[B, H, W, C]` or `[B, F]`.
      stddev: the group size of `minibatch_stddev`; 0: none.
      discrimination: the kernels of `MinibatchDiscrimination`; 0: none.
      axis_name: the device axis over which the batch is distributed.
    """
    if stddev:
        x = minibatch_stddev(x, stddev, axis_name)
    x = x.reshape(len(x), -1)
    if discrimination:
        x = MinibatchDiscrimination(discrimination, axis_name=axis_name, name="minibatch_discrimination")(x)
    return x


def _gather(x, axis_name):
    return x if axis_name is None else lax.all_gather(x, axis_name, tiled=True)
