"""Convolution, its transpose and its kernel gradient, in a form that XLA:CPU also runs fast inside loops.

The form T(x, y, k) = <conv(x; k), y> is linear in each of a large image x, a small image y and a kernel k,
so the three functions below are each other's derivatives, to any order (gradient penalties need two).
The derivatives are written by hand for speed on the CPU. XLA:CPU has a fast path only for convolutions with
the dimension order NHWC, HWIO -> NHWC. XLA brings the derivatives of automatic differentiation into this form
outside of loops, but not in the loop over training steps, where they are 40 to 80 times slower. The kernel
gradient of a dilated convolution is slow everywhere. (See also `compilation.py`.)
"""

import contextlib
import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

_FEW_CHANNELS = 4
_plain = jax.make_user_context(default_value=False)


@contextlib.contextmanager
def plain_layers():
    """Convolutions of networks that are called within it are single XLA operations, for exporters.

    There is then no choice between platforms, and no derivative written by hand. The results are equal up to
    rounding. What counts is where a compiled function is called, not where it is made.
    """
    with _plain(True):
        yield


def fast_or_plain(fast, plain):
    """Of two functions `plain` within `plain_layers`, else `fast`."""
    return plain if _plain.value else fast


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
def conv(
    x: Float[Array, "N H W I"], kernel: Float[Array, "kh kw I O"], stride: int
) -> Float[Array, "N h w O"]:
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


def plain_conv(
    x: Float[Array, "N H W I"], kernel: Float[Array, "kh kw I O"], stride: int
) -> Float[Array, "N h w O"]:
    """`conv` as one XLA operation: see `plain_layers`."""
    return _canonical_conv(x, kernel, stride, "SAME")


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv_transpose(
    y: Float[Array, "N h w O"], kernel: Float[Array, "kh kw I O"], stride: int, size: tuple[int, int]
) -> Float[Array, "N H W I"]:
    """Transposed convolution with "SAME" padding: the adjoint of `conv` in its first argument.

    It equals `lax.conv_transpose(..., transpose_kernel=True)` if `size` is `stride` times the size of y.

    Args:
      y: `[N, h, w, O]`.
      kernel: `[kh, kw, I, O]`, as `conv` takes it.
      stride: the factor by which height and width grow.
      size: `(H, W)` of the result, with h = ⌈H/stride⌉ and w = ⌈W/stride⌉.

    Returns:
      `[N, H, W, I]`.
    """
    if kernel.shape[2] <= _FEW_CHANNELS:
        on_cpu = summed_transpose
    else:
        on_cpu = dilated_transpose if stride == 1 else subpixel_transpose
    ways = {"cpu": on_cpu, "default": dilated_transpose}
    ways = {name: functools.partial(way, stride=stride, size=size) for name, way in ways.items()}
    return lax.platform_dependent(y, kernel, **ways)


def plain_conv_transpose(
    y: Float[Array, "N h w O"], kernel: Float[Array, "kh kw I O"], stride: int, size: tuple[int, int]
) -> Float[Array, "N H W I"]:
    """`conv_transpose` as one XLA operation: see `plain_layers`."""
    flipped, padding = _adjoint(kernel, stride, size)
    return _canonical_conv(y, flipped, 1, padding, lhs_dilation=stride)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv_kernel_gradient(
    x: Float[Array, "N H W I"], y: Float[Array, "N h w O"], stride: int, size: tuple[int, int]
) -> Float[Array, "kh kw I O"]:
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
    # here y is the kernel, the channels of x are the batch, and the sum is over the batch
    gradient = _canonical_conv(
        jnp.transpose(x, (3, 1, 2, 0)), jnp.transpose(y, (1, 2, 0, 3)), 1, padding, rhs_dilation=stride
    )
    return jnp.transpose(gradient, (1, 2, 0, 3))


def dilated_transpose(y, kernel, stride, size):
    """A convolution of y with zeros between its pixels, which libraries can skip."""
    flipped, padding = _adjoint(kernel, stride, size)
    y, padding = _enlarge(y, kernel, padding, stride)
    return _canonical_conv(y, flipped, 1, padding, lhs_dilation=stride)


def subpixel_transpose(y, kernel, stride, size):
    """A convolution of y to stride² times as many channels, which are then rearranged as pixels.

    Pixel s·q + r of the result is Σ_d y[q + d]·kernel[r + low - s·d], where at most one pixel of
    the kernel belongs to each d and r. On XLA:CPU this is about twice as fast as with zeros.
    Source: Shi et al. 2016, Is the deconvolution layer the same as a convolutional layer?
    """
    s, padding, pad = stride, [], []
    for k, (low, _) in zip(kernel.shape[:2], _padding(size, kernel.shape, s), strict=True):
        last = -(-low // s)  # the largest d
        front = s * last - low
        taps = -(-(k + front) // s)
        pad.append((front, s * taps - k - front))
        padding.append((taps - 1 - last, last))
    kernel = jnp.pad(kernel, (*pad, (0, 0), (0, 0)))
    height, width, features, channels = kernel.shape
    # [last - d, r, ..., I, O] -> [d, ..., O, r, ..., I]
    kernel = kernel.reshape(height // s, s, width // s, s, features, channels)
    kernel = jnp.flip(kernel, (0, 2)).transpose(0, 2, 5, 1, 3, 4)
    kernel = kernel.reshape(height // s, width // s, channels, s * s * features)
    y, padding = _enlarge(y, kernel, padding)
    x = _canonical_conv(y, kernel, 1, padding)
    n, h, w, _ = x.shape
    x = x.reshape(n, h, w, s, s, features).transpose(0, 1, 3, 2, 4, 5).reshape(n, s * h, s * w, features)
    return x[:, : size[0], : size[1]]


def summed_transpose(y, kernel, stride, size):
    """One matrix product and, for each pixel of the kernel, one shifted addition.

    On XLA:CPU this is about four times as fast if the result has few channels, such as an image.
    """
    kh, kw, features, channels = kernel.shape
    n, h, w, _ = y.shape
    exact = jnp.promote_types(y.dtype, jnp.float32)  # in bfloat16, k² rounded terms would be summed
    terms = jnp.matmul(y.reshape(-1, channels), kernel.reshape(-1, channels).T, preferred_element_type=exact)
    terms = terms.reshape(n, h, w, kh, kw, features)
    (top, _), (left, _) = _padding(size, kernel.shape, stride)
    x = jnp.zeros((n, *size, features), terms.dtype)
    for a in range(kh):
        for b in range(kw):
            # padding of the terms of pixel (a, b) within the result, on both sides; negative values crop
            spread = []
            for big, small, before in zip(size, (h, w), (a - top, b - left), strict=True):
                spread.append((before, big - stride * (small - 1) - 1 - before, stride - 1))
            x += lax.pad(terms[:, :, :, a, b], jnp.zeros((), x.dtype), [(0, 0, 0), *spread, (0, 0, 0)])
    return x.astype(y.dtype)


def _adjoint(kernel, stride, size):
    """The kernel and the padding of the convolution that is the adjoint of `conv` in its first argument."""
    padding = []
    for k, (low, high) in zip(kernel.shape[:2], _padding(size, kernel.shape, stride), strict=True):
        padding.append((k - 1 - low, k - 1 - high))
    return jnp.swapaxes(jnp.flip(kernel, (0, 1)), 2, 3), padding


def _padding(size, kernel_size, stride):
    """The (low, high) padding of each dimension: "SAME", but without pixels that `conv` never reads."""
    padding = []
    for big, k in zip(size, kernel_size[:2], strict=True):
        read = (-(-big // stride) - 1) * stride + k  # pixels that the windows span
        low = max(read - big, 0) // 2
        padding.append((low, read - big - low))  # negative if the windows do not reach the end
    return padding


def _enlarge(image, kernel, padding, dilation=1):
    """Appends zeros so that the image is as large as the kernel, and subtracts them from the padding.

    If the kernel is larger, XLA swaps the two and leaves the fast path.
    """
    rest = [max(k - h, 0) for h, k in zip(image.shape[1:3], kernel.shape[:2], strict=True)]
    if not any(rest):
        return image, padding
    # Without the barrier XLA would turn the zeros into padding again.
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
