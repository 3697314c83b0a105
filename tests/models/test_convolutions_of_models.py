"""The convolutions of the configs' networks in float32, compiled as in training."""

import importlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgan.compilation import compiler_options
from jaxgan.config import experiment
from jaxgan.models.convolution import conv, conv_transpose
from jaxgan.models.layers import Conv, ConvTranspose

NETWORKS = {  # config, variant: shape of an example
    ("dcgan_digits", ""): (16, 16, 1),
    ("dcgan_mnist", ""): (28, 28, 1),
    ("dcgan_mnist", "full"): (28, 28, 1),
    ("dcgan_images", ""): (32, 32, 3),
    ("dcgan_images", "small"): (32, 32, 3),
    ("stacked_mnist", ""): (28, 28, 3),
    ("faces", ""): (48, 48, 1),
    ("faces", "small"): (24, 24, 1),
}


def convolutions(config, variant, shape):
    """All convolutions: (direction, large size, kernel, stride, channels of large and small image)."""
    get_config = importlib.import_module(f"configs.{config}").get_config
    gan = experiment.make_gan(get_config(variant) if variant else get_config(), shape)
    found = []

    def note(call, args, kwargs, context):
        outputs, layer = call(*args, **kwargs), context.module
        if context.method_name == "__call__" and isinstance(layer, Conv | ConvTranspose):
            down = isinstance(layer, Conv)
            large, small = (args[0], outputs) if down else (outputs, args[0])
            how = large.shape[1], layer.kernel_size, layer.stride, large.shape[-1], small.shape[-1]
            found.append(("down" if down else "up", *how))
        return outputs

    def run():
        with nn.intercept_methods(note):
            gan.generator.init(jax.random.key(0), jnp.zeros((2, gan.latent_dim)), train=False)
            gan.discriminator.init(jax.random.key(0), jnp.zeros((2, *shape)), train=False)

    jax.eval_shape(run)
    return found


def through_lax(way, stride, size):
    """JAX's convolution, or its transpose by JAX's differentiation rules."""

    def plain(x, k):
        return lax.conv_general_dilated(
            x, k, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def transpose(y, k):
        large = jnp.zeros((len(y), size, size, k.shape[2]), y.dtype)
        return jax.linear_transpose(lambda x: plain(x, k), large)(y)[0]

    return plain if way == "down" else transpose


def ours(way, stride, size):
    if way == "down":
        return lambda x, k: conv(x, k, stride)
    return lambda y, k: conv_transpose(y, k, stride, (size, size))


def everything(convolve, x, k, weights):
    """The value, the gradients, and those of a squared gradient norm, as gradient penalties take them."""

    def critic(x, k):
        return jnp.sum(jnp.sin(convolve(x, k)) * weights)

    def penalty(x, k):
        return jnp.sum(jnp.square(jax.grad(critic)(x, k)))

    return convolve(x, k), jax.grad(critic, (0, 1))(x, k), jax.grad(penalty, (0, 1))(x, k)


@pytest.mark.parametrize(("config", "variant"), [
    ("dcgan_digits", ""),
    *(pytest.param(*name, marks=pytest.mark.slow) for name in NETWORKS if name[0] != "dcgan_digits"),
])  # fmt: skip
def test_convolutions_and_their_derivatives_in_float32_match_jax(config, variant):
    found = convolutions(config, variant, NETWORKS[config, variant])
    assert "down" in {way for way, *_ in found}
    for case in dict.fromkeys(found):
        way, size, kernel, stride, inputs, outputs = case
        random, small = np.random.default_rng(0), -(-size // stride)
        large, small = (2, size, size, inputs), (2, small, small, outputs)
        shapes = (large, small) if way == "down" else (small, large)
        x, weights = (random.normal(size=shape) for shape in shapes)
        # values near 1, so that the sine does not amplify rounding errors
        k = random.normal(size=(kernel, kernel, inputs, outputs)) / np.sqrt(kernel**2 * x.shape[-1])
        fast = jax.jit(
            lambda *arrays, way=way, stride=stride, size=size: everything(ours(way, stride, size), *arrays),
            compiler_options=compiler_options(),
        )
        leaves = jax.tree.leaves(fast(jnp.float32(x), jnp.float32(k), jnp.float32(weights)))
        with jax.enable_x64(True):
            rounded = (np.float64(np.float32(array)) for array in (x, k, weights))
            exact = jax.tree.leaves(everything(through_lax(way, stride, size), *rounded))
        for a, b in zip(*map(jax.device_get, (leaves, exact)), strict=True):
            assert a.dtype == jnp.float32 and b.dtype == jnp.float64 and a.shape == b.shape
            assert np.abs(np.float64(a) - b).max() <= 1e-5 * np.abs(b).max(), case
