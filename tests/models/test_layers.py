import functools
import itertools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgan.errors import UserError
from jaxgan.models.convolution import (
    conv,
    conv_kernel_gradient,
    conv_transpose,
    dilated_transpose,
    plain_conv,
    plain_conv_transpose,
    subpixel_transpose,
    summed_transpose,
)
from jaxgan.models.layers import Conv, ConvTranspose, apply_layer, batch_norm, make_activation

LARGE = pytest.param(28, marks=pytest.mark.slow)
SIZES, STRIDES, KERNELS = (7, 8, LARGE), (1, 2, 3), (1, 2, 3, 4, 5, 7)


def taps(size, kernel, stride):
    """Yields (a, b, rows, columns): the positions of tap (a, b) for each output.

    Positions outside of the image refer to the extra row or column of `with_rest`. "SAME" padding:
    ⌈size/stride⌉ outputs, the padding is split evenly, with an odd pixel at the end.
    """
    places = []
    for big, k in zip(size, kernel, strict=True):
        out = -(-big // stride)
        low = max((out - 1) * stride + k - big, 0) // 2
        place = np.arange(out)[:, None] * stride + np.arange(k) - low
        places.append(np.where((place >= 0) & (place < big), place, big))
    for a, b in itertools.product(*map(range, kernel)):
        yield a, b, places[0][:, a, None], places[1][None, :, b]


def with_rest(x):
    return np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))


def numpy_conv(x, k, stride):
    x, size = with_rest(x), x.shape[1:3]
    return sum(x[:, rows, columns] @ k[a, b] for a, b, rows, columns in taps(size, k.shape[:2], stride))


def numpy_conv_transpose(y, k, stride, size):
    x = with_rest(np.zeros((len(y), *size, k.shape[2])))
    for a, b, rows, columns in taps(size, k.shape[:2], stride):
        x[:, rows, columns] += y @ k[a, b].T
    return x[:, :-1, :-1]


def numpy_kernel_gradient(x, y, stride, size):
    gradient = np.zeros((*size, x.shape[-1], y.shape[-1]))
    for a, b, rows, columns in taps(x.shape[1:3], size, stride):
        gradient[a, b] = np.einsum("npqi,npqo->io", with_rest(x)[:, rows, columns], y)
    return gradient


def lax_conv(x, k, stride):
    return lax.conv_general_dilated(
        x, k, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def arrays(size, kernel, stride, channels=(2, 3), seed=0):
    """x, kernel, y in float64."""
    rng, out = np.random.default_rng(seed), -(-size // stride)
    inputs, outputs = channels
    shapes = ((2, size, size, inputs), (kernel, kernel, inputs, outputs), (2, out, out, outputs))
    return [rng.normal(size=shape) for shape in shapes]


def close(a, b, tolerance):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= tolerance * np.abs(b).max()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stride", STRIDES)
def test_values_of_all_functions_and_of_their_plain_forms_match_their_definitions(size, stride):
    for kernel in KERNELS:
        x, k, y = arrays(size, kernel, stride)
        with jax.enable_x64(True):
            found = (
                conv(x, k, stride),
                conv_transpose(y, k, stride, (size, size)),
                conv_kernel_gradient(x, y, stride, (kernel, kernel)),
                plain_conv(x, k, stride),
                plain_conv_transpose(y, k, stride, (size, size)),
            )
        down, up = numpy_conv(x, k, stride), numpy_conv_transpose(y, k, stride, (size, size))
        gradient = numpy_kernel_gradient(x, y, stride, (kernel, kernel))
        for result, expected in zip(found, (down, up, gradient, down, up), strict=True):
            close(result, expected, 1e-12)


@pytest.mark.parametrize("way", [dilated_transpose, subpixel_transpose, summed_transpose])
@pytest.mark.parametrize("stride", STRIDES)
def test_every_form_of_the_transpose_matches_its_definition(way, stride):
    """Each is the fastest on some backend for some channels. Tested in float64 and float32."""
    for size, kernel in [(1, 4), (7, 1), (7, 5), (8, 2), (8, 4), (8, 5)]:
        _, k, y = arrays(size, kernel, stride, channels=(5, 3))
        expected = numpy_conv_transpose(y, k, stride, (size, size))
        transpose = jax.jit(functools.partial(way, stride=stride, size=(size, size)))
        close(transpose(jnp.float32(y), jnp.float32(k)), expected, 1e-5)
        with jax.enable_x64(True):
            close(transpose(y, k), expected, 1e-12)


@pytest.mark.parametrize(
    ("stride", "kernel"),
    [(1, 1), (1, 3), (1, 4), (2, 1), (2, 2), (2, 5), (2, 7), (3, 2), (3, 3), (3, 4)],
)
def test_derivatives_of_the_convolution_are_those_of_lax(stride, kernel):
    """First gradients, and the gradient of a squared gradient norm, as gradient penalties take it."""

    def everything(convolve, x, k, y):
        def critic(x, k):
            return jnp.sum(jnp.sin(convolve(x, k, stride)) * y)

        def penalty(x, k):
            return jnp.sum(jnp.square(jax.grad(critic)(x, k)))

        return jax.grad(critic, (0, 1))(x, k), jax.grad(penalty, (0, 1))(x, k)

    x, k, y = arrays(7 + (kernel + stride) % 2, kernel, stride)
    with jax.enable_x64(True):
        found, expected = (everything(convolve, x, k, y) for convolve in (conv, lax_conv))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        close(a, b, 1e-12)


@pytest.mark.parametrize(("size", "kernel", "stride", "features"), [
    *((28, 5, 2, 2), (28, 7, 1, 5), (8, 4, 3, 2), (7, 3, 2, 5)),  # few features of the result, and more
    *(pytest.param(*case, marks=pytest.mark.slow) for case in [(28, 5, 2, 5), (28, 7, 1, 2), (8, 4, 3, 5)]),
])  # fmt: skip
def test_derivatives_of_the_transpose_are_those_of_lax(size, kernel, stride, features):
    small = -(-size // stride)

    def through_lax(y, k, stride):
        return lax.conv_transpose(y, k, (stride, stride), "SAME", transpose_kernel=True)

    def ours(y, k, stride):
        return conv_transpose(y, k, stride, (small * stride, small * stride))

    def everything(convolve, y, k, x):
        def critic(y, k):
            return jnp.sum(jnp.sin(convolve(y, k, stride)) * x)

        def penalty(y, k):
            return jnp.sum(jnp.square(jax.grad(critic)(y, k)))

        return convolve(y, k, stride), jax.grad(critic, (0, 1))(y, k), jax.grad(penalty, (0, 1))(y, k)

    x, k, y = arrays(small * stride, kernel, stride, channels=(features, 3))
    with jax.enable_x64(True):
        found, expected = (everything(convolve, y, k, x) for convolve in (ours, through_lax))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        close(a, b, 1e-12)


def test_third_derivatives():
    """The three functions are each other's derivatives to any order."""
    x, k, y = arrays(7, 3, 2)

    def value(convolve):
        def chain(x, k):
            return jnp.sum(jnp.sin(convolve(x, k, 2)) * y)

        def second(x, k):
            return jnp.sum(jnp.cos(jax.grad(chain)(x, k)))

        def third(x, k):
            return jnp.sum(jnp.sin(jax.grad(second, 1)(x, k)))

        return jax.grad(third, (0, 1))(x, k)

    with jax.enable_x64(True):
        for a, b in zip(value(conv), value(lax_conv), strict=True):
            close(a, b, 1e-11)


@pytest.mark.parametrize(("size", "kernel", "stride"), [(28, 5, 2), (7, 4, 3), (8, 7, 1)])
def test_the_three_functions_are_one_trilinear_form(size, kernel, stride):
    """<conv(x; k), y> = <x, conv_transpose(y; k)> = <k, conv_kernel_gradient(x, y)>, in float32 too."""
    x, k, y = (jnp.float32(array) for array in arrays(size, kernel, stride, channels=(3, 4)))
    by_conv = np.vdot(conv(x, k, stride), y)
    assert abs(by_conv) > 1
    np.testing.assert_allclose(np.vdot(x, conv_transpose(y, k, stride, (size, size))), by_conv, rtol=1e-4)
    np.testing.assert_allclose(
        np.vdot(k, conv_kernel_gradient(x, y, stride, (kernel, kernel))), by_conv, rtol=1e-4
    )


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("size", "kernel"), [(7, 5), (4, 5), (2, 3)])
def test_in_a_loop_every_convolution_keeps_the_fast_order(size, kernel, stride):
    """XLA swaps image and kernel if the kernel is larger: 20 times as slow on the CPU (4×4, kernel 5)."""
    y, k = jnp.ones((2, size, size, 3)), jnp.ones((kernel, kernel, 5, 3))
    large = (stride * size, stride * size)

    def body(carry, _):
        def critic(y, k):
            return jnp.sum(jnp.sin(conv(conv_transpose(y, k, stride, large), k, stride)))

        return jax.grad(critic, (0, 1))(*carry), None

    text = jax.jit(lambda *carry: lax.scan(body, carry, length=3)[0]).lower(y, k).compile().as_text()
    orders = re.findall(r"convolution\(.*dim_labels=(\S+?)[,\s]", text)
    assert len(orders) == 6 and set(orders) == {"b01f_01io->b01f"}


def test_images_need_not_be_square():
    rng = np.random.default_rng(1)
    x, k = rng.normal(size=(2, 9, 14, 3)), rng.normal(size=(3, 5, 3, 2))
    with jax.enable_x64(True):
        y = conv(x, k, 2)
        assert y.shape == (2, 5, 7, 2)
        close(y, numpy_conv(x, k, 2), 1e-12)
        close(conv_transpose(y, k, 2, (9, 14)), numpy_conv_transpose(np.asarray(y), k, 2, (9, 14)), 1e-12)
        close(
            conv_kernel_gradient(x, y, 2, (3, 5)), numpy_kernel_gradient(x, np.asarray(y), 2, (3, 5)), 1e-12
        )


@pytest.mark.parametrize(("size", "kernel", "stride"), [(7, 3, 2), (2, 3, 1)])
def test_convolutions_and_their_gradients_in_bfloat16(size, kernel, stride):
    halves = [jnp.bfloat16(array) for array in arrays(size, kernel, stride)]
    x, k, y = (np.float64(array) for array in halves)

    def form(x, k, y):
        return jnp.vdot(conv(x, k, stride), y) + jnp.vdot(x, conv_transpose(y, k, stride, (size, size)))

    value, gradients = jax.jit(jax.value_and_grad(form, (0, 1, 2)))(*halves)
    expected = (
        numpy_conv_transpose(y, k, stride, (size, size)),
        numpy_kernel_gradient(x, y, stride, (kernel, kernel)),
        numpy_conv(x, k, stride),
    )
    assert value.dtype == jnp.bfloat16
    for found, exact in zip(gradients, expected, strict=True):
        assert found.dtype == jnp.bfloat16
        close(found, 2 * exact, 1e-2)


@pytest.mark.parametrize("use_bias", [True, False])
def test_conv_modules(use_bias):
    x = jnp.float32(np.random.default_rng(2).normal(size=(2, 7, 7, 3)))
    down, up = Conv(4, 5, 2, use_bias), ConvTranspose(4, 5, 2, use_bias)
    shapes = ((5, 5, 3, 4), (5, 5, 4, 3))  # the transposed kernel has output channels first
    smaller = ConvTranspose(4, 5, 2, use_bias, (13, 14))
    for layer, shape, size in zip(
        (down, up, smaller), (*shapes, shapes[1]), ((4, 4), (14, 14), (13, 14)), strict=True
    ):
        params = jax.jit(layer.init)(jax.random.key(0), x)["params"]
        assert params["kernel"].shape == shape and ("bias" in params) == use_bias
        if use_bias:
            assert not params["bias"].any() and params["bias"].shape == (4,)
            params["bias"] = jnp.arange(4.0)
        y = jax.jit(layer.apply)({"params": params}, x)
        assert y.shape == (2, *size, 4)
        k = np.asarray(params["kernel"], np.float64)
        expected = numpy_conv(x, k, 2) if layer is down else numpy_conv_transpose(x, k, 2, size)
        close(y, expected + (np.arange(4) if use_bias else 0), 1e-5)


class Layers(nn.Module):
    """One layer of each kind, applied with `apply_layer`."""

    spectral_norm: str

    @nn.compact
    def __call__(self, x, train):
        layers = (Conv(4, 3, name="conv_0"), ConvTranspose(5, 3, 2, name="up_0"), nn.Dense(6, name="dense"))
        outputs = []
        for layer in layers:
            x = apply_layer(layer, x, spectral_norm=self.spectral_norm, train=train)
            outputs.append(x)
        return outputs


@pytest.fixture(scope="module")
def normalized():
    """The module, its variables after 100 power iterations, an input."""
    module, x = Layers("."), jnp.float32(np.random.default_rng(0).normal(size=(2, 4, 4, 3)))
    variables = jax.jit(lambda key: module.init(key, x, train=False))(jax.random.key(0))
    # weights whose norm is far from 1
    variables["params"] = jax.tree.map(lambda leaf: 3 * leaf, variables["params"])
    step = jax.jit(lambda variables: module.apply(variables, x, train=True, mutable=["batch_stats"])[1])
    states = [variables["batch_stats"]]
    for _ in range(200):
        states.append(step({**variables, "batch_stats": states[-1]})["batch_stats"])
    return module, variables["params"], states, x


def kernels(params):
    return {name: np.asarray(layer["kernel"], np.float64) for name, layer in params.items()}


def largest_singular_value(name, kernel):
    """Of the kernel as a matrix with one row per output. Transposed convolutions have outputs on axis 2."""
    matrix = np.moveaxis(kernel, 2, 0) if name == "up_0" else np.moveaxis(kernel, -1, 0)
    return np.linalg.svd(matrix.reshape(len(matrix), -1), compute_uv=False)[0]


def test_spectral_norm_divides_weights_by_their_largest_singular_value(normalized):
    module, params, states, x = normalized
    outputs, _ = module.apply({"params": params, "batch_stats": states[-1]}, x, train=True, mutable=True)
    true = {name: kernel / largest_singular_value(name, kernel) for name, kernel in kernels(params).items()}
    x = np.asarray(x, np.float64)
    close(outputs[0], x := numpy_conv(x, true["conv_0"], 1), 1e-4)
    close(outputs[1], x := numpy_conv_transpose(x, true["up_0"], 2, (8, 8)), 1e-4)
    close(outputs[2], x @ true["dense"], 1e-4)


def test_one_power_iteration_matches_the_algorithm(normalized):
    """v = Wu / |Wu|, u = Wᵀv / |Wᵀv|: Miyato et al. 2018, algorithm 1."""
    _, params, states, _ = normalized

    def vector(state):
        leaves = jax.tree_util.tree_flatten_with_path(state["spectral_dense"])[0]
        (u,) = [leaf for path, leaf in leaves if path[-1].key.endswith("u")]
        return np.float64(u).ravel()

    w, u = kernels(params)["dense"], vector(states[0])
    v = w @ u / np.linalg.norm(w @ u)
    close(vector(states[1]), w.T @ v / np.linalg.norm(w.T @ v), 1e-5)


def test_spectral_norms_are_computed_in_float32(normalized):
    """Parameters and layers are bfloat16; the norm is computed in float32."""
    module, params, states, x = normalized
    half = jax.tree.map(jnp.bfloat16, params)
    apply = jax.jit(lambda params, x: module.apply(
        {"params": params, "batch_stats": states[5]}, x, train=True, mutable=["batch_stats"]
    ))  # fmt: skip
    outputs, updated = apply(half, jnp.bfloat16(x))
    expected, exact = apply(jax.tree.map(jnp.float32, half), jnp.float32(jnp.bfloat16(x)))
    for found, single in zip(outputs, expected, strict=True):
        assert found.dtype == jnp.bfloat16
        close(found, single, 2e-2)
    for found, single in zip(jax.tree.leaves(updated), jax.tree.leaves(exact), strict=True):
        assert found.dtype == jnp.float32
        close(found, single, 1e-5)


def test_the_power_iteration_moves_in_training_only(normalized):
    module, params, states, x = normalized
    variables = {"params": params, "batch_stats": states[0]}
    _, updated = module.apply(variables, x, train=False, mutable=["batch_stats"])
    for old, new in zip(jax.tree.leaves(states[0]), jax.tree.leaves(updated["batch_stats"]), strict=True):
        assert np.array_equal(old, new)
    moved = [
        not np.array_equal(old, new)
        for old, new in zip(jax.tree.leaves(states[0]), jax.tree.leaves(states[1]), strict=True)
    ]
    assert all(moved)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [("", set()), (".", {"conv_0", "up_0", "dense"}), ("conv", {"conv_0"}), ("_0$", {"conv_0", "up_0"})],
)
def test_a_pattern_selects_layers(pattern, names):
    shapes = jax.eval_shape(lambda: Layers(pattern).init(jax.random.key(0), jnp.ones((1, 4, 4, 3)), False))
    found = {name.removeprefix("spectral_") for name in shapes.get("batch_stats", {})}
    assert found == names


class BatchNorm(nn.Module):
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train):
        return batch_norm(x, train=train, axis_name=self.axis_name, name="norm")


def test_batch_norm_by_hand():
    x = jnp.float32(np.random.default_rng(0).normal(3, 2, size=(4, 5, 5, 2)))
    variables = BatchNorm().init(jax.random.key(0), x, train=False)
    scale, bias = np.array([2.0, -1.0]), np.array([0.5, 0.0])
    params = {"norm": {"scale": jnp.float32(scale), "bias": jnp.float32(bias)}}
    old_mean, old_var = np.array([1.0, -1.0]), np.array([4.0, 0.25])
    stats = {"norm": {"mean": jnp.float32(old_mean), "var": jnp.float32(old_var)}}
    assert jax.tree.structure(variables) == jax.tree.structure({"params": params, "batch_stats": stats})
    variables = {"params": params, "batch_stats": stats}
    exact = np.asarray(x, np.float64)
    mean, var = exact.mean((0, 1, 2)), exact.var((0, 1, 2))

    y, updated = BatchNorm().apply(variables, x, train=True, mutable=["batch_stats"])
    close(y, (exact - mean) / np.sqrt(var + 1e-5) * scale + bias, 1e-5)
    close(updated["batch_stats"]["norm"]["mean"], 0.9 * old_mean + 0.1 * mean, 1e-6)
    close(updated["batch_stats"]["norm"]["var"], 0.9 * old_var + 0.1 * var, 1e-5)

    y = BatchNorm().apply(variables, x, train=False)
    close(y, (exact - old_mean) / np.sqrt(old_var + 1e-5) * scale + bias, 1e-6)


def test_batch_norm_over_an_axis_is_that_of_the_whole_batch():
    x = jnp.float32(np.random.default_rng(0).normal(3, 2, size=(6, 5)))
    variables = {
        "params": {"norm": {"scale": jnp.ones(5), "bias": jnp.zeros(5)}},
        "batch_stats": {"norm": {"mean": jnp.zeros(5), "var": jnp.ones(5)}},
    }
    whole, _ = BatchNorm().apply(variables, x, train=True, mutable=["batch_stats"])
    parts, _ = jax.vmap(
        lambda x: BatchNorm("device").apply(variables, x, train=True, mutable=["batch_stats"]),
        axis_name="device",
    )(x.reshape(3, 2, 5))
    close(parts.reshape(6, 5), whole, 1e-5)
    alone, _ = BatchNorm().apply(variables, x[:2], train=True, mutable=["batch_stats"])
    assert np.abs(alone - whole[:2]).max() > 0.1


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("relu", [0, 0, 2]),
        ("leaky_relu", [-0.3, 0, 2]),
        ("elu", [np.exp(-3) - 1, 0, 2]),
        ("tanh", np.tanh([-3, 0, 2])),
        ("swish", [-3 / (1 + np.exp(3)), 0, 2 / (1 + np.exp(-2))]),
    ],
)
def test_activations(name, values):
    np.testing.assert_allclose(make_activation(name, 0.1)(jnp.array([-3.0, 0.0, 2.0])), values, rtol=1e-6)


def test_an_unknown_activation_lists_the_known_ones():
    with pytest.raises(UserError, match="'gelu'; known: relu, leaky_relu, elu, tanh, swish"):
        make_activation("gelu", 0.1)
