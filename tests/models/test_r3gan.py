"""R3GAN: numbers of parameters, initial weights, and layers against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy_layers import conv, dense, number_of_parameters, params64

from jaxgan.errors import UserError
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.models.convolution import plain_layers
from jaxgan.models.grouped import grouped_conv, plain_grouped_conv
from jaxgan.models.resample import smooth_downsample, smooth_upsample

RNG = np.random.default_rng(0)


def test_the_preset_for_stacked_mnist_has_20_7_million_parameters_each():
    """4 stages of 2 blocks with 768 channels and 96 groups."""
    shape = (32, 32, 3)
    block = 2 * 768 * 1536 + 9 * 16 * 1536 + 2 * 1536  # two 1×1 kernels, a grouped kernel, two biases
    generator = 4 * 4 * 768 + 64 * 768 + 8 * block + 768 * 3
    discriminator = 3 * 768 + 8 * block + 4 * 4 * 768 + 768
    assert (generator, discriminator) == (20_732_160, 20_683_776)
    assert number_of_parameters(GENERATORS["r3gan"](shape, width=768), (64,)) == generator
    assert number_of_parameters(DISCRIMINATORS["r3gan"](shape, width=768), shape) == discriminator


@pytest.mark.parametrize("groups", [2, 33], ids=["few", "many"])
def test_grouped_convolution_matches_its_definition_to_second_order(groups):
    """First gradients, and the gradient of a squared gradient norm, as in gradient penalties."""
    x, y = RNG.normal(size=(2, 4, 3, groups * 2)), RNG.normal(size=(2, 4, 3, groups * 3))
    kernel = RNG.normal(size=(3, 3, 2, groups * 3))

    def of(convolve):
        def total(x, kernel):
            return jnp.sum(jnp.sin(convolve(x, kernel, groups)) * y)

        def slope(x, kernel):
            return sum(jnp.sum(g**2) for g in jax.grad(total, (0, 1))(x, kernel))

        @jax.jit
        def everything(x, kernel):
            first = jax.grad(total, (0, 1))(x, kernel)
            return convolve(x, kernel, groups), first, jax.grad(slope, (0, 1))(x, kernel)

        return everything(x, kernel)

    with jax.enable_x64(True):
        found, expected = of(grouped_conv), of(plain_grouped_conv)
    np.testing.assert_allclose(found[0], conv(x, {"kernel": kernel}, groups), rtol=1e-12)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max())


def up(x, size):
    """Zeros between the pixels, two zeros before and one after, then the filter."""
    b, h, w, c = x.shape
    wide = np.zeros((b, 2 * h + 3, 2 * w + 3, c))
    wide[:, 2:-1:2, 2:-1:2] = x
    taps = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16
    y = sum(taps[i, j] * wide[:, i : i + 2 * h, j : j + 2 * w] for i, j in np.ndindex(4, 4))
    return y[:, : size[0], : size[1]]


def down(x):
    b, h, w, c = x.shape
    high, wide = -(-h // 2), -(-w // 2)
    padded = np.zeros((b, 2 * high + 2, 2 * wide + 2, c))
    padded[:, 1 : h + 1, 1 : w + 1] = x
    taps = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
    return sum(
        taps[i, j] * padded[:, i : i + 2 * high : 2, j : j + 2 * wide : 2] for i, j in np.ndindex(4, 4)
    )


def test_resampling_by_hand():
    x = RNG.normal(size=(2, 5, 4, 3))
    np.testing.assert_allclose(jax.jit(smooth_downsample)(jnp.float32(x)), down(x), atol=1e-5)
    for size in ((10, 8), (9, 7)):
        found = jax.jit(smooth_upsample, static_argnums=1)(jnp.float32(x), size)
        np.testing.assert_allclose(found, up(x, size), atol=1e-5)


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def numpy_block(x, p, group_width):
    y = leaky(dense(x, p["conv_0"]))
    y = leaky(conv(y, p["conv_1"], y.shape[-1] // group_width))
    return x + dense(y, p["conv_2"])


def drawn(module, inputs):
    """Parameters drawn by NumPy, so that no branch is 0, and the compiled network."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), inputs)["params"]
    params = jax.tree.map(lambda leaf: jnp.float32(RNG.normal(0, 0.5, leaf.shape)), shapes)
    return params, jax.jit(lambda params: module.apply({"params": params}, inputs))


def test_generator_by_hand():
    """Two stages of different widths, to an image of odd size. The plain form gives the same result."""
    fields = {"width": 2, "multipliers": (2, 1), "blocks": 1, "group_width": 2}
    module, z = GENERATORS["r3gan"]((5, 6, 3), **fields), jnp.float32(RNG.normal(size=(3, 4)))
    params, run = drawn(module, z)
    p = params64(params)
    x = p["basis"] * dense(np.float64(z), p["project"])[:, None, None]
    assert x.shape == (3, 3, 3, 4)
    x = up(dense(numpy_block(x, p["block_0_0"], 2), p["transition_1"]), (5, 6))
    expected = dense(numpy_block(x, p["block_1_0"], 2), p["output"])
    np.testing.assert_allclose(run(params), expected, rtol=1e-3, atol=1e-4)
    with plain_layers():
        np.testing.assert_allclose(module.apply({"params": params}, z), expected, rtol=1e-3, atol=1e-4)


def test_discriminator_by_hand():
    module = DISCRIMINATORS["r3gan"]((5, 6, 3), width=2, multipliers=(1, 2), blocks=1, group_width=2)
    images = jnp.float32(RNG.normal(size=(3, 5, 6, 3)))
    params, run = drawn(module, images)
    p = params64(params)
    x = numpy_block(dense(np.float64(images), p["input"]), p["block_0_0"], 2)
    x = numpy_block(dense(down(x), p["transition_1"]), p["block_1_0"], 2)
    h = (x * p["basis"]).sum(axis=(1, 2))
    np.testing.assert_allclose(run(params), dense(h, p["output"])[:, 0], rtol=1e-3, atol=1e-4)


def test_activations_start_at_one_and_branches_at_zero():
    """Second moments in the network over many latents and images. With 4 blocks the gain is 4^(-1/4)."""
    shape = (8, 8, 3)
    generator, discriminator = (
        registry["r3gan"](shape, width=64) for registry in (GENERATORS, DISCRIMINATORS)
    )
    inputs = jnp.float32(RNG.normal(size=(64, 32))), jnp.float32(RNG.normal(size=(64, *shape)))

    @jax.jit
    def moments(key):
        found = []
        for module, x in zip((generator, discriminator), inputs, strict=True):
            outputs, state = module.init_with_output(key, x, capture_intermediates=True, mutable=True)
            seen = state["intermediates"]
            layers = {name: seen["block_0_0"][name]["__call__"][0] for name in ("conv_0", "conv_1", "conv_2")}
            layers |= {"first": seen["block_0_0"]["__call__"][0], "outputs": outputs}
            found.append(jax.tree.map(lambda value: jnp.mean(value**2), layers))
        return found

    for found, side in zip(jax.device_get(moments(jax.random.key(0))), (4, 8), strict=True):
        found = {name: float(value) for name, value in found.items()}
        assert found["first"] == pytest.approx(1, rel=0.2)
        branch = 2 / 1.04 / 2  # L^(-1/2) = 1/2 of an activation with second moment 1
        assert found["conv_0"] == pytest.approx(branch * found["first"], rel=0.2)
        within = ((3 * side - 2) / (3 * side)) ** 2  # the share of taps that are not on the zero padding
        assert found["conv_1"] == pytest.approx(branch * found["conv_0"] * 1.04 / 2 * within, rel=0.2)
        assert found["conv_2"] == 0


def test_widths_that_are_not_a_multiple_of_the_groups_are_refused():
    with pytest.raises(UserError, match="width=20: 40 inner channels do not part into groups of .*=16"):
        GENERATORS["r3gan"]((8, 8, 1), width=20)
