"""Layers and layer helpers that linen does not have, or has too slow."""

import functools
import re
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxgan.errors import UserError

# Radford et al. 2016 (DCGAN), section 4: all weights are drawn from Normal(0, 0.02).
normal_init = nn.initializers.normal(0.02)


def check_fields(
    network: str,
    sizes: dict[str, Sequence[int]],
    activation: str,
    slope: float,
    spectral_norm: str,
    dropout: float = 0.0,
    counts: dict[str, int] | None = None,
) -> None:
    """Refuses what no network of the builders in `jaxgan.models` can be made of, by the field's name.

    Raises:
      UserError: a size is no positive integer, a count is below 0, or another field is out of its range.
    """
    for field, values in sizes.items():
        if not all(isinstance(value, int) and value >= 1 for value in values):
            raise UserError(f"{network}.{field}={tuple(values)} must be at least 1, in whole numbers")
    for field, value in (counts or {}).items():
        if not (isinstance(value, int) and value >= 0):
            raise UserError(f"{network}.{field}={value} must be 0 (none) or more, in whole numbers")
    if not 0 <= dropout < 1:
        raise UserError(f"{network}.dropout={dropout} must lie in [0, 1)")
    make_activation(activation, slope)
    try:
        re.compile(spectral_norm)
    except re.error as error:
        raise UserError(
            f"{network}.spectral_norm='{spectral_norm}' is no regular expression ({error}); '.' is all layers"
        ) from error


def make_initializer(name: str) -> nn.initializers.Initializer:
    """The initial weights called `name`: normal, N(0, 0.02); glorot (and Bengio 2010); he (et al. 2015)."""
    initializers = {
        "normal": normal_init,
        "glorot": nn.initializers.glorot_uniform(),
        "he": nn.initializers.he_normal(),
    }
    if name not in initializers:
        raise UserError(f"unknown initial weights '{name}'; known: {', '.join(initializers)}")
    return initializers[name]


# --- Convolution ------------------------------------------------------------------------------------
#
# The form T(x, y, k) = <conv(x; k), y> is linear in each of a large image x, a small image y and a kernel k,
# so the three functions below are each other's derivatives, to any order (gradient penalties need two).
# They say so by hand for the CPU's sake: XLA:CPU has a fast path for convolutions in the dimension order
# NHWC, HWIO -> NHWC only. The order that automatic differentiation makes is brought into this form outside
# of loops, but not within the loop that scans the training steps, where it is 40 to 80 times slower; and the
# kernel gradient of a dilated convolution is slow everywhere.


def _canonical_conv(lhs, rhs, stride, padding, lhs_dilation=1, rhs_dilation=1):
    return lax.conv_general_dilated(
        lhs,
        rhs,
        (stride, stride),
        padding,
        (lhs_dilation, lhs_dilation),
        (rhs_dilation, rhs_dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Strided convolution with "SAME" padding.

    Args:
      x: `[N, H, W, I]`.
      kernel: `[kh, kw, I, O]`.
      stride: the factor by which height and width shrink (rounded up).

    Returns:
      `[N, ⌈H/stride⌉, ⌈W/stride⌉, O]`.
    """
    padding = "SAME"
    if stride == 1:
        x, padding = _enlarge(x, kernel, _padding(x.shape[1:3], kernel.shape, stride))
    return _canonical_conv(x, kernel, stride, padding)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv_transpose(y: jax.Array, kernel: jax.Array, stride: int, size: tuple[int, int]) -> jax.Array:
    """Transposed convolution with "SAME" padding: the adjoint of `conv` in its first argument.

    It equals `lax.conv_transpose(..., transpose_kernel=True)` where `size` is `stride` times y's.

    Args:
      y: `[N, h, w, O]`.
      kernel: `[kh, kw, I, O]`, as `conv` takes it.
      stride: the factor by which height and width grow.
      size: `(H, W)` of the result, with h = ⌈H/stride⌉ and w = ⌈W/stride⌉.

    Returns:
      `[N, H, W, I]`.
    """
    padding = []
    for k, (low, high) in zip(kernel.shape[:2], _padding(size, kernel.shape, stride), strict=True):
        padding.append((k - 1 - low, k - 1 - high))
    flipped = jnp.swapaxes(jnp.flip(kernel, (0, 1)), 2, 3)
    y, padding = _enlarge(y, kernel, padding, stride)
    return _canonical_conv(y, flipped, 1, padding, lhs_dilation=stride)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv_kernel_gradient(x: jax.Array, y: jax.Array, stride: int, size: tuple[int, int]) -> jax.Array:
    """The gradient of <conv(x; kernel), y> with respect to a kernel of height and width `size`.

    Args:
      x: `[N, H, W, I]`.
      y: `[N, ⌈H/stride⌉, ⌈W/stride⌉, O]`.
      stride: of the convolution.
      size: `(kh, kw)`.

    Returns:
      `[kh, kw, I, O]`.
    """
    padding = _padding(x.shape[1:3], size, stride)
    # y is the kernel here, the channels of x are the batch, and the batch is what is summed over
    gradient = _canonical_conv(
        jnp.transpose(x, (3, 1, 2, 0)), jnp.transpose(y, (1, 2, 0, 3)), 1, padding, rhs_dilation=stride
    )
    return jnp.transpose(gradient, (1, 2, 0, 3))


def _padding(size, kernel_size, stride):
    """Where `conv` reads: (low, high) padding a dimension, "SAME" but for pixels it never looks at."""
    padding = []
    for big, k in zip(size, kernel_size[:2], strict=True):
        read = (-(-big // stride) - 1) * stride + k  # pixels that the windows span
        low = max(read - big, 0) // 2
        padding.append((low, read - big - low))  # negative where windows leave a rest unread
    return padding


def _enlarge(image, kernel, padding, dilation=1):
    """The image with zeros behind it, at least as large as the kernel, and its padding without them.

    Where the kernel is the larger one, XLA swaps the two and leaves the fast path.
    """
    rest = [max(k - h, 0) for h, k in zip(image.shape[1:3], kernel.shape[:2], strict=True)]
    if not any(rest):
        return image, padding
    # The barrier is against XLA: it would take the zeros for padding again.
    image = lax.optimization_barrier(jnp.pad(image, ((0, 0), (0, rest[0]), (0, rest[1]), (0, 0))))
    return image, [(low, high - dilation * r) for (low, high), r in zip(padding, rest, strict=True)]


conv.defvjp(
    lambda x, kernel, stride: (conv(x, kernel, stride), (x, kernel)),
    lambda stride, residuals, dy: (
        conv_transpose(dy, residuals[1], stride, residuals[0].shape[1:3]),
        conv_kernel_gradient(residuals[0], dy, stride, residuals[1].shape[:2]),
    ),
)
conv_transpose.defvjp(
    lambda y, kernel, stride, size: (conv_transpose(y, kernel, stride, size), (y, kernel)),
    lambda stride, size, residuals, dx: (
        conv(dx, residuals[1], stride),
        conv_kernel_gradient(dx, residuals[0], stride, residuals[1].shape[:2]),
    ),
)
conv_kernel_gradient.defvjp(
    lambda x, y, stride, size: (conv_kernel_gradient(x, y, stride, size), (x, y)),
    lambda stride, size, residuals, dk: (
        conv_transpose(residuals[1], dk, stride, residuals[0].shape[1:3]),
        conv(residuals[0], dk, stride),
    ),
)


class Conv(nn.Module):
    """`conv` with its parameters: `[N, H, W, I] -> [N, ⌈H/stride⌉, ⌈W/stride⌉, features]`."""

    features: int
    kernel_size: int
    stride: int = 1
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        y = conv(x, self.param("kernel", normal_init, shape), self.stride)
        return y + self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else y


class ConvTranspose(nn.Module):
    """`conv_transpose` with its parameters: `[N, H, W, I] -> [N, stride·H, stride·W, features]`.

    `size` asks for fewer rows and columns, as `conv_transpose` allows.
    The kernel is `[kh, kw, features, I]`, as PyTorch and TensorFlow store it up to the order of axes.
    """

    features: int
    kernel_size: int
    stride: int = 1
    use_bias: bool = True
    size: tuple[int, int] | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel_size, self.kernel_size, self.features, x.shape[-1])
        size = self.size or (x.shape[1] * self.stride, x.shape[2] * self.stride)
        y = conv_transpose(x, self.param("kernel", normal_init, shape), self.stride, size)
        return y + self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else y


class SpectralNorm(nn.Module):
    """`layer` with its kernel divided by its largest singular value, as a matrix of outputs by all else.

    Not linen's: that one stores the weights normalized when it initializes them, and takes the inputs of a
    transposed convolution for its outputs. The norm is computed in float32 whatever the kernel is kept in.
    """

    layer: nn.Module

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
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


def apply_layer(layer: nn.Module, x: jax.Array, *, spectral_norm: str, train: bool) -> jax.Array:
    """Applies `layer` to `x`, spectrally normalized if its name matches `spectral_norm`.

    Its weights are divided by their largest singular value, estimated by one power iteration a training
    step whose vectors live in the collection `batch_stats`.
    Call it inside a compact `__call__`.

    Args:
      layer: a named layer with a `kernel`.
      spectral_norm: a regular expression (`re.search`); '' matches nothing here, '.' every layer.
      train: whether the power iteration moves on.

    Source: Miyato et al. 2018, Spectral Normalization for GANs, algorithm 1.
    """
    if spectral_norm and re.search(spectral_norm, layer.name):
        return SpectralNorm(layer, name=f"spectral_{layer.name}")(x, train)
    return layer(x)


def make_activation(name: str, slope: float) -> Callable[[jax.Array], jax.Array]:
    """The activation called `name`: relu, leaky_relu (with `slope`), elu, tanh or swish."""
    activations = {
        "relu": nn.relu,
        "leaky_relu": functools.partial(nn.leaky_relu, negative_slope=slope),
        "elu": nn.elu,
        "tanh": nn.tanh,
        "swish": nn.swish,
    }
    if name not in activations:
        raise UserError(f"unknown activation '{name}'; known: {', '.join(activations)}")
    return activations[name]


def batch_norm(x: jax.Array, *, train: bool, axis_name: str | None, name: str) -> jax.Array:
    """Batch normalization with the field's constants: running averages of momentum 0.9, epsilon 1e-5.

    Statistics are over all axes but the last, and over `axis_name` too where it is given.
    Source: Ioffe and Szegedy 2015; the constants are those of Radford et al. 2016's published code.
    """
    return nn.BatchNorm(
        use_running_average=not train, momentum=0.9, epsilon=1e-5, axis_name=axis_name, name=name
    )(x)
