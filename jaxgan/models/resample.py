"""Doubling and halving of the height and width of maps of any size. Halves are rounded up."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def upsample(x: Float[Array, "B H W C"], size: tuple[int, int]) -> Float[Array, "B h w C"]:
    """Repeats each pixel 2×2 times, cropped to `size`: `[B, H, W, C]` to `[B, *size, C]`."""
    n, h, w, c = x.shape
    if size == (h, w):
        return x
    x = jnp.broadcast_to(x[:, :, None, :, None], (n, h, 2, w, 2, c)).reshape(n, 2 * h, 2 * w, c)
    return x[:, : size[0], : size[1]]


def average_pool(x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
    """Means of 2×2 pixels: `[B, H, W, C]` to `[B, ⌈H/2⌉, ⌈W/2⌉, C]`; at an odd edge, of fewer pixels."""
    n, h, w, c = x.shape
    if h % 2 or w % 2:
        x = jnp.pad(x, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)), mode="edge")
    return x.reshape(n, -(-h // 2), 2, -(-w // 2), 2, c).mean(axis=(2, 4))


def smooth_upsample(x: Float[Array, "B H W C"], size: tuple[int, int]) -> Float[Array, "B h w C"]:
    """Bilinear upsampling with zero padding: `[B, H, W, C]` to `[B, *size, C]`, at most twice as large.

    Zeros between the pixels, then the filter [1, 3, 3, 1]/4 along both axes, as in StyleGAN2 (Karras et
    al. 2020, appendix B).
    """
    for axis, length in ((1, size[0]), (2, size[1])):
        before, after = _neighbours(x, axis), _neighbours(x, axis, after=True)
        pixels = jnp.stack([(before + 3 * x) / 4, (3 * x + after) / 4], axis=axis + 1)
        x = pixels.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
        x = jax.lax.slice_in_dim(x, 0, length, axis=axis)
    return x


def smooth_downsample(x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
    """The filter [1, 3, 3, 1]/8 along both axes, then every second pixel: to `[B, ⌈H/2⌉, ⌈W/2⌉, C]`.

    The adjoint of `smooth_upsample` up to a factor of 4, where sizes are even.
    """
    for axis in (1, 2):
        rest = [(0, x.shape[axis] % 2 if d == axis else 0) for d in range(4)]
        x = jnp.pad(x, rest) if x.shape[axis] % 2 else x
        x = x.reshape(*x.shape[:axis], x.shape[axis] // 2, 2, *x.shape[axis + 1 :])
        first, second = (jax.lax.index_in_dim(x, i, axis + 1, keepdims=False) for i in (0, 1))
        outer = _neighbours(second, axis) + _neighbours(first, axis, after=True)
        x = (outer + 3 * (first + second)) / 8
    return x


def _neighbours(x, axis, after=False):
    """The neighbour of each pixel, before or after it along an axis; 0 at the edge."""
    padding = [(0, 0)] * x.ndim
    padding[axis] = (0, 1) if after else (1, 0)
    start = 1 if after else 0
    return jax.lax.slice_in_dim(jnp.pad(x, padding), start, start + x.shape[axis], axis=axis)
