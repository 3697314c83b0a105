"""What networks that take an image need: normalization, paddings, dropout and latents, for any rectangle."""

from collections.abc import Callable
from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxgan.declarations import OneOf
from jaxgan.errors import UserError
from jaxgan.models import layers
from jaxgan.models.layout import require_images
from jaxgan.models.resample import upsample

Norm = Annotated[
    str,
    OneOf(("instance", "batch", "none")),
    "normalization of hidden layers: instance, of each image alone; batch; or none",
]
Padding = Annotated[str, OneOf(("reflect", "zero")), "what lies beyond the edges of an image"]
Upsampling = Annotated[
    str,
    OneOf(("transposed", "resize")),
    "transposed convolutions; or resize: nearest neighbours, then a convolution, without checkerboards "
    "(Odena et al. 2016)",
]
Latent = Annotated[
    str,
    OneOf(("none", "joined")),
    "none: z draws dropout alone; joined: a linear function of z is added to the first map",
]


def normalize(
    x: Float[Array, "B H W C"], norm: str, *, train: bool, axis_name: str | None, name: str
) -> Float[Array, "B H W C"]:
    """`layers.batch_norm`, `layers.InstanceNorm` or nothing. Call it inside a compact `__call__`."""
    if norm == "batch":
        return layers.batch_norm(x, train=train, axis_name=axis_name, name=name)
    return layers.InstanceNorm(name=name)(x) if norm == "instance" else x


def dropout(
    x: Float[Array, "B *pixels C"], rate: float, keys: Key[Array, " B"], layer: int
) -> Float[Array, "B *pixels C"]:
    """Each number is 0 with probability `rate`, or divided by 1 - rate; drawn for each example by its key.

    Args:
      x: `[B, ...]`.
      rate: in [0, 1).
      keys: one an example.
      layer: its number; every layer has draws of its own.
    """
    keys = jax.vmap(jax.random.fold_in, (0, None))(keys, layer)
    kept = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - rate, x.shape[1:]))(keys)
    return jnp.where(kept, x / (1 - rate), 0)


def join_latent(x: Float[Array, "B H W C"], z: Float[Array, "B Z"], latent: str) -> Float[Array, "B H W C"]:
    """A map plus a linear function of z, the same at every pixel, if `latent` is 'joined'.

    As if z stood beside the image, but behind the norm, which would subtract it. Call it inside a compact
    `__call__`.
    """
    if latent == "none":
        return x
    project = nn.Dense(x.shape[-1], use_bias=False, kernel_init=layers.normal_init, name="latent")
    return x + project(z)[:, None, None, :]


def same_size(layer: Callable, kernel: int, padding: str, x: Float[Array, "B H W I"]):
    """A convolution of stride 1, with an odd kernel, that keeps the size: see `Padding`."""
    p = kernel // 2
    if padding == "zero" or not p:
        return layer(x)
    reflected = jnp.pad(x, ((0, 0), (p, p), (p, p), (0, 0)), mode="reflect")
    return layer(reflected)[:, p:-p, p:-p]


def double(
    x: Float[Array, "B H W I"], features: int, kernel: int, upsampling: str, use_bias: bool, name: str
) -> Float[Array, "B h w O"]:
    """Twice the height and width: see `Upsampling`; `kernel` is that of the transposed convolution.

    Call it inside a compact `__call__`.
    """
    if upsampling == "transposed":
        return layers.ConvTranspose(features, kernel, 2, use_bias, name=name)(x)
    x = upsample(x, (2 * x.shape[1], 2 * x.shape[2]))
    return layers.Conv(features, 3, 1, use_bias, name=name)(x)


def require_given(shape: tuple[int, ...], given_shape: tuple[int, ...], same: bool = True) -> None:
    """UserError where there is no image to begin with, or not of the size (`same`) of the one to make."""
    require_images(shape, "generator")
    if not given_shape:
        raise UserError("makes an image from another one: set condition.name=image and a task.name")
    if same and given_shape[:2] != shape[:2]:
        given, wanted = ("x".join(map(str, size[:2])) for size in (given_shape, shape))
        raise UserError(
            f"keeps the size of an image, but {given} is given and {wanted} wanted: use "
            "generator.name=enlarger"
        )


def require_divisible(shape: tuple[int, ...], by: int) -> None:
    """UserError where a side is no multiple of `by`."""
    height, width = shape[:2]
    if height % by or width % by:
        raise UserError(
            f"images of {height}x{width} have a side that {by} does not divide: pad or crop them to "
            f"multiples of {by} (dataset.image_size), or make the network less deep"
        )
