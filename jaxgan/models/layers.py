"""Layers and helpers that linen lacks, or that are too slow there."""

import functools
import re
from collections.abc import Callable
from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxgan.declarations import AtLeast, Between, OneOf, Pattern
from jaxgan.errors import UserError
from jaxgan.models.convolution import (
    conv,
    conv_transpose,
    fast_or_plain,
    plain_conv,
    plain_conv_transpose,
)

# Radford et al. 2016 (DCGAN), section 4: all weights are drawn from Normal(0, 0.02).
normal_init = nn.initializers.normal(0.02)


_INITIALIZERS = {
    "normal": normal_init,
    "glorot": nn.initializers.glorot_uniform(),
    "he": nn.initializers.he_normal(),
}


def make_initializer(name: str) -> nn.initializers.Initializer:
    """The initial weights called `name`: normal, N(0, 0.02); glorot (and Bengio 2010); he (et al. 2015)."""
    if name not in _INITIALIZERS:
        raise UserError(f"unknown initial weights '{name}'; known: {', '.join(_INITIALIZERS)}")
    return _INITIALIZERS[name]


_SCALED: dict[str, Callable[[float], nn.initializers.Initializer]] = {
    "xavier": lambda gain: nn.initializers.variance_scaling(gain**2, "fan_avg", "uniform"),
    "orthogonal": lambda gain: nn.initializers.orthogonal(),
    "normal": lambda gain: normal_init,
}


def scaled_initializer(name: str, gain: float = 1.0) -> nn.initializers.Initializer:
    """Initial weights called `name`, for residual networks.

    xavier: uniform with variance gain²·2/(fan_in + fan_out) (Glorot and Bengio 2010), as in SNGAN.
    orthogonal: Saxe et al. 2014, as in BigGAN; without the gain. normal: N(0, 0.02); without the gain.
    """
    return _SCALED[name](gain)


_ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "leaky_relu": nn.leaky_relu,
    "elu": nn.elu,
    "tanh": nn.tanh,
    "swish": nn.swish,
}


def make_activation(name: str, slope: float) -> Callable[[Float[Array, "..."]], Float[Array, "..."]]:
    """The activation called `name`: relu, leaky_relu (with `slope`), elu, tanh or swish."""
    if name not in _ACTIVATIONS:
        raise UserError(f"unknown activation '{name}'; known: {', '.join(_ACTIVATIONS)}")
    if name == "leaky_relu":
        return functools.partial(nn.leaky_relu, negative_slope=slope)
    return _ACTIVATIONS[name]


# Types of the fields of networks.
Sizes = Annotated[tuple[int, ...], AtLeast(1)]  # widths of layers, sizes of kernels, strides
Count = Annotated[int, AtLeast(0)]  # 0: none
Rate = Annotated[float, Between(0, 1)]  # of dropout
Activation = Annotated[str, OneOf(tuple(_ACTIVATIONS)), "activation of hidden layers"]
Slope = Annotated[float, "slope of leaky_relu below 0"]
Weights = Annotated[str, OneOf(tuple(_INITIALIZERS))]
Initializer = Annotated[str, OneOf(tuple(_SCALED))]
Width = Annotated[int, AtLeast(1)]
Remat = Annotated[
    bool,
    "keep only the maps between blocks for the gradient, and compute those within again: less memory on GPUs",
]
Layers = Annotated[  # see `apply_layer`
    str, Pattern(), "regular expression for the names of layers with spectral norm; '.': all, '': none"
]


def rematerialized(block: type[nn.Module], remat: bool) -> type[nn.Module]:
    """A class of blocks called with `(x, train, ...)`; with `remat` their inner maps are computed twice.

    Source: Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost.
    """
    return nn.remat(block, static_argnums=(2,)) if remat else block


class Conv(nn.Module):
    """`conv` with its parameters: `[N, H, W, I] -> [N, ⌈H/stride⌉, ⌈W/stride⌉, features]`."""

    features: int
    kernel_size: int
    stride: int = 1
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = normal_init

    @nn.compact
    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B h w O"]:
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        convolve = fast_or_plain(conv, plain_conv)
        y = convolve(x, self.param("kernel", self.kernel_init, shape), self.stride)
        return y + self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else y


class ConvTranspose(nn.Module):
    """`conv_transpose` with its parameters: `[N, H, W, I] -> [N, stride·H, stride·W, features]`.

    `size` can request fewer rows and columns, as in `conv_transpose`.
    The kernel is `[kh, kw, features, I]`, as PyTorch and TensorFlow store it up to the order of axes.
    """

    features: int
    kernel_size: int
    stride: int = 1
    use_bias: bool = True
    size: tuple[int, int] | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B h w O"]:
        shape = (self.kernel_size, self.kernel_size, self.features, x.shape[-1])
        size = self.size or (x.shape[1] * self.stride, x.shape[2] * self.stride)
        convolve = fast_or_plain(conv_transpose, plain_conv_transpose)
        y = convolve(x, self.param("kernel", normal_init, shape), self.stride, size)
        return y + self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else y


class InstanceNorm(nn.Module):
    """(x - mean) / √(variance + 1e-5) over the pixels of each image and channel, plus a bias.

    The published networks have the bias in the convolution in front, where it has no effect.
    Source: Ulyanov et al. 2016, Instance Normalization: The Missing Ingredient for Fast Stylization.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        exact = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        mean = exact.mean(axis=(1, 2), keepdims=True)
        variance = jnp.square(exact - mean).mean(axis=(1, 2), keepdims=True)
        normalized = ((exact - mean) * lax.rsqrt(variance + 1e-5)).astype(x.dtype)
        return normalized + self.param("bias", nn.initializers.zeros, x.shape[-1:])


class SpectralNorm(nn.Module):
    """`layer` with its kernel divided by its largest singular value, as a matrix with one row per output.

    linen's own layer stores normalized weights at initialization, and confuses inputs and outputs of
    transposed convolutions. Here the norm is always computed in float32.
    """

    layer: nn.Module

    @nn.compact
    def __call__(self, x: Float[Array, "B ..."], train: bool) -> Float[Array, "B ..."]:
        if self.is_initializing():
            self.layer(x)
        params = self.layer.variables["params"]
        kernel = params["kernel"].astype(jnp.promote_types(params["kernel"].dtype, jnp.float32))
        outputs = -2 if isinstance(self.layer, ConvTranspose) else -1
        matrix = jnp.moveaxis(kernel, outputs, -1)
        matrix = matrix.reshape(-1, matrix.shape[-1])
        u = self.variable(
            "batch_stats", "u", lambda: jax.random.normal(self.make_rng("params"), matrix.shape[1:])
        )
        left = _normalize(lax.stop_gradient(matrix) @ u.value)
        right = _normalize(lax.stop_gradient(matrix).T @ left)
        if train:
            u.value = right
        kernel = (kernel / (left @ matrix @ right)).astype(params["kernel"].dtype)
        return self.layer.clone(parent=None).apply({"params": {**params, "kernel": kernel}}, x)


def _normalize(vector):
    return vector * lax.rsqrt(jnp.sum(jnp.square(vector)) + 1e-12)


def apply_layer(
    layer: nn.Module, x: Float[Array, "B ..."], *, spectral_norm: str, train: bool
) -> Float[Array, "B ..."]:
    """Applies `layer` to `x`, spectrally normalized if its name matches `spectral_norm`.

    The kernel is divided by its largest singular value. This is estimated by one power iteration in each
    training step; the vectors are in the collection `batch_stats`. Call it inside a compact `__call__`.

    Args:
      layer: a named layer with a `kernel`.
      spectral_norm: a regular expression (`re.search`); '' matches nothing, '.' every dense and
        convolutional layer (not the tensor of minibatch discrimination).
      train: whether to make a step of the power iteration.

    Source: Miyato et al. 2018, Spectral Normalization for GANs, algorithm 1.
    """
    if spectral_norm and re.search(spectral_norm, layer.name):
        return SpectralNorm(layer, name=f"spectral_{layer.name}")(x, train)
    return layer(x)


def batch_norm(
    x: Float[Array, "B *pixels C"],
    *,
    train: bool,
    axis_name: str | None,
    name: str,
    condition: Float[Array, "B K"] | None = None,
    spectral_norm: str = "",
    kernel_init: nn.initializers.Initializer = normal_init,
) -> Float[Array, "B *pixels C"]:
    """Batch normalization with momentum 0.9 of the running averages and epsilon 1e-5.

    Statistics are over all axes except the last, and over `axis_name` if it is given. With a condition c,
    `[B, K]`, each example has its own gain and bias: (1 + c·W_gain)·BN(x) + c·W_bias, W from `kernel_init`.
    Call it inside a compact `__call__`.

    Source: Ioffe and Szegedy 2015; the constants are those of the common port of DCGAN to TensorFlow,
    carpedm20/DCGAN-tensorflow. The condition: de Vries et al. 2017, Modulating early visual processing by
    language; 1 + gain as in BigGAN (Brock et al. 2019). W is spectrally normalized if `spectral_norm`
    matches the layers '<name>_gain' and '<name>_bias', as in SAGAN.
    """
    affine = condition is None
    x = nn.BatchNorm(
        use_running_average=not train,
        momentum=0.9,
        epsilon=1e-5,
        axis_name=axis_name,
        use_scale=affine,
        use_bias=affine,
        name=name,
    )(x)
    if affine:
        return x

    def of_example(part):
        layer = nn.Dense(x.shape[-1], use_bias=False, kernel_init=kernel_init, name=f"{name}_{part}")
        values = apply_layer(layer, condition, spectral_norm=spectral_norm, train=train)
        return jnp.expand_dims(values, range(1, x.ndim - 1))

    return (1 + of_example("gain")) * x + of_example("bias")
