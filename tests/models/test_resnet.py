"""SNGAN's residual networks: sizes, numbers of parameters, and blocks against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy_layers import average_pool, batch_norm, conv, dense, number_of_parameters, params64, relu, upsample

from jaxgan.errors import UserError
from jaxgan.models import DISCRIMINATORS, GENERATORS, layers
from jaxgan.models.conditional import ConditionalDiscriminator, ConditionalGenerator
from jaxgan.models.layout import discriminator_layout, generator_layout

RNG = np.random.default_rng(0)
CIFAR = (32, 32, 3)


def test_published_numbers_of_parameters():
    """SNGAN for CIFAR-10; with conditional batch norm and projection from StudioGAN's log."""
    generator = GENERATORS["resnet"](CIFAR, width=64, norm_bias=True)
    discriminator = DISCRIMINATORS["resnet"](CIFAR, width=64)
    assert number_of_parameters(generator, (128,)) == 4_276_739
    assert number_of_parameters(discriminator, CIFAR) == 1_053_825
    labels = jnp.zeros(2, jnp.int32)
    told = ConditionalGenerator(generator, 10, "batch_norm")
    assert number_of_parameters(told, (128,), labels=labels) == 4_304_387
    told = ConditionalDiscriminator(discriminator, 10, "projection")
    assert number_of_parameters(told, CIFAR, labels=labels) == 1_055_105


@pytest.mark.parametrize(
    ("shape", "sizes", "of_generator", "of_discriminator", "halved"),
    [
        ((32, 32), [4, 8, 16, 32], (4,) * 4, (2,) * 4, 2),
        ((48, 48), [6, 12, 24, 48], (8, 4, 2, 1), (1, 2, 4, 8, 16), 4),
        ((64, 64), [4, 8, 16, 32, 64], (16, 8, 4, 2, 1), (1, 2, 4, 8, 16), 4),
        ((128, 128), [4, 8, 16, 32, 64, 128], (16, 16, 8, 4, 2, 1), (1, 2, 4, 8, 16, 16), 5),
        ((28, 28), [7, 14, 28], (4,) * 3, (2,) * 4, 2),
        ((30, 41), [4, 8, 15, 30], (4,) * 4, (2,) * 4, 2),
        ((3, 2), [3], (4,), (2,) * 4, 2),
    ],
)
def test_layouts_follow_from_the_image(shape, sizes, of_generator, of_discriminator, halved):
    found, multipliers = generator_layout((*shape, 3))
    assert [height for height, _ in found] == sizes and found[-1] == shape
    assert multipliers == of_generator
    blocks = discriminator_layout((*shape, 3))
    assert tuple(multiplier for multiplier, _ in blocks) == of_discriminator
    assert [halve for _, halve in blocks] == [True] * halved + [False] * (len(blocks) - halved)


@pytest.mark.parametrize("size", [1024, 2048])
def test_very_large_images_have_more_maps_of_the_extreme_widths(size):
    found, multipliers = generator_layout((size, size, 3))
    assert found[0] == (4, 4) and multipliers[-2:] == (1, 1)
    assert len(discriminator_layout((size, size, 3))) == len(found)


def test_multipliers_set_the_depth():
    assert generator_layout((40, 24, 1), (2, 1)) == ([(20, 12), (40, 24)], (2, 1))
    assert discriminator_layout((32, 32, 1), (3, 3, 5)) == [(3, True), (3, True), (5, False)]
    assert discriminator_layout((64, 64, 1), (1, 2)) == [(1, True), (2, False)]


@pytest.mark.parametrize(("registry", "shape", "deepest"), [
    ("generator", (5, 6, 1), 4),  # 5×6, 3×3, 2×2, 1×1 pixels
    ("generator", (1, 1, 1), 1),
    ("discriminator", (48, 36, 1), 7),
])  # fmt: skip
@pytest.mark.parametrize("name", ["resnet", "biggan", "biggan_deep", "r3gan"])
def test_maps_of_one_pixel_are_not_halved(registry, name, shape, deepest):
    networks = {"generator": GENERATORS, "discriminator": DISCRIMINATORS}[registry]
    networks[name](shape, width=32, multipliers=(1,) * deepest)
    with pytest.raises(UserError, match=f"give at most {deepest} numbers"):
        networks[name](shape, width=32, multipliers=(1,) * (deepest + 1))


def test_generator_by_hand():
    """Two blocks to an image of odd size, with conditional batch norm, in training mode."""
    shape, classes = (7, 10, 2), jnp.array([1, 0, 2])
    module = GENERATORS["resnet"](shape, width=3, multipliers=(2, 1, 1))
    told = ConditionalGenerator(module, 3, "batch_norm")
    z = jnp.float32(RNG.normal(size=(3, 4)))
    params = jax.jit(told.init)(jax.random.key(0), z, labels=classes)["params"]
    assert "bias" not in params["block_0"]["conv_0"] and "bias" in params["output"]

    @jax.jit
    def run(params):
        return told.apply({"params": params}, z, True, labels=classes, mutable=["batch_stats"])

    found, _ = run(params)

    p, c = params64(params), np.eye(3)[classes]
    x = dense(np.float64(z), p["project"]).reshape(3, 2, 3, 6)
    for block, size in ((p["block_0"], (4, 5)), (p["block_1"], (7, 10))):
        y = x
        for i in range(2):
            gain, bias = (c @ block[f"batch_norm_{i}_{part}"]["kernel"] for part in ("gain", "bias"))
            y = relu((1 + gain[:, None, None]) * batch_norm(y) + bias[:, None, None])
            y = conv(upsample(y, size) if i == 0 else y, block[f"conv_{i}"])
        x = dense(upsample(x, size), block["shortcut"]) + y
    x = relu(batch_norm(x, **p["last_norm"]))
    np.testing.assert_allclose(found, np.tanh(conv(x, p["output"])), atol=1e-5)


def test_discriminator_by_hand():
    """Blocks that halve maps of odd size, that change the width, and that do neither."""
    shape = (7, 6, 2)
    module = DISCRIMINATORS["resnet"](shape, width=2, multipliers=(1, 2, 3, 3))
    images = jnp.float32(RNG.normal(size=(3, *shape)))
    params = jax.jit(module.init)(jax.random.key(0), images)["params"]
    logits, features = jax.jit(lambda p: module.apply({"params": p}, images, features=True))(params)

    p, x = params64(params), np.float64(images)
    for i in range(4):
        block = p[f"block_{i}"]
        y = conv(relu(conv(x if i == 0 else relu(x), block["conv_0"])), block["conv_1"])
        assert block["conv_0"]["kernel"].shape[-1] == (2, 2, 4, 6)[i]
        if i < 2:
            y, x = average_pool(y), average_pool(x)
        assert ("shortcut" in block) == (i < 3)
        x = (dense(x, block["shortcut"]) if i < 3 else x) + y
    h = relu(x).sum(axis=(1, 2))
    np.testing.assert_allclose(features, h, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logits, dense(h, p["output"])[:, 0], rtol=1e-4, atol=1e-5)


def test_initial_weights_are_those_of_the_paper():
    """Xavier uniform, √2 times larger within blocks; orthogonal columns; or N(0, 0.02)."""
    module = DISCRIMINATORS["resnet"]((8, 8, 1), width=8, multipliers=(1, 2))
    params = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))["params"]
    for name, gain in (("conv_1", 2), ("shortcut", 1)):
        kernel = np.float64(params["block_1"][name]["kernel"])
        bound = np.sqrt(6 * gain / (kernel[..., 0].size + kernel[..., 0, :].size))
        assert 0.95 * bound < np.abs(kernel).max() <= bound and abs(kernel.mean()) < bound / 5
    matrix = layers.scaled_initializer("orthogonal", 3.0)(jax.random.key(0), (3, 3, 2, 4)).reshape(18, 4)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(4), atol=1e-5)
    assert abs(layers.scaled_initializer("normal", 3.0)(jax.random.key(0), (40, 40)).std() - 0.02) < 1e-3
    with pytest.raises(UserError, match="initializer='he' must be one of xavier, orthogonal, normal"):
        DISCRIMINATORS["resnet"]((8, 8, 1), initializer="he")
