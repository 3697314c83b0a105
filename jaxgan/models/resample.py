"""Maps of twice or half the height and width, of any size: halves are rounded up."""

import jax
import jax.numpy as jnp


def upsample(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Each pixel as 2×2 of its like, cut to `size`: `[B, H, W, C]` to `[B, *size, C]`."""
    n, h, w, c = x.shape
    if size == (h, w):
        return x
    x = jnp.broadcast_to(x[:, :, None, :, None], (n, h, 2, w, 2, c)).reshape(n, 2 * h, 2 * w, c)
    return x[:, : size[0], : size[1]]


def average_pool(x: jax.Array) -> jax.Array:
    """Means of 2×2 pixels: `[B, H, W, C]` to `[B, ⌈H/2⌉, ⌈W/2⌉, C]`; at an odd edge of those there are."""
    n, h, w, c = x.shape
    if h % 2 or w % 2:
        x = jnp.pad(x, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)), mode="edge")
    return x.reshape(n, -(-h // 2), 2, -(-w // 2), 2, c).mean(axis=(2, 4))
