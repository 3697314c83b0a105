"""BigGAN and BigGAN-deep: published numbers of parameters, and blocks against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy_layers import average_pool, batch_norm, conv, dense, number_of_parameters, params64, relu, upsample

from jaxgan.algorithm.conditions import Codes
from jaxgan.errors import UserError
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.models.conditional import ConditionalDiscriminator, ConditionalGenerator
from jaxgan.models.layout import deep_discriminator_layout

RNG = np.random.default_rng(0)
CIFAR = (32, 32, 3)
LABELS = jnp.array([1, 0, 2])


def test_published_numbers_of_parameters():
    """BigGAN's for CIFAR-10, from StudioGAN's log."""
    fields = {"width": 96, "attention": (16,), "spectral_norm": "."}
    generator = ConditionalGenerator(GENERATORS["biggan"](CIFAR, norm_bias=True, **fields), 10, "batch_norm")
    assert number_of_parameters(generator, (80,), labels=jnp.zeros(2, jnp.int32)) == 9_416_196
    discriminator = ConditionalDiscriminator(DISCRIMINATORS["biggan"](CIFAR, **fields), 10, "projection")
    assert number_of_parameters(discriminator, CIFAR, labels=jnp.zeros(2, jnp.int32)) == 2_415_170


def test_numbers_of_parameters_of_biggan_deep():
    """Sums over its layers: width 4, one doubling, 3 classes."""
    module = GENERATORS["biggan_deep"]((8, 8, 3), width=4, multipliers=(4, 2), shared=5)
    told = ConditionalGenerator(module, 3, "batch_norm")
    project = 12 * 256 + 256

    def block(width, out):  # 1×1, 3×3, 3×3, 1×1 without biases; gain and bias of 4 norms from 7 + 5 numbers
        inner = width // 4
        return width * inner + 2 * 9 * inner**2 + inner * out + 2 * 12 * (width + 3 * inner)

    expected = project + 3 * 5 + block(16, 16) + block(16, 8) + 2 * 8 + 9 * 8 * 3 + 3
    assert number_of_parameters(told, (7,), labels=jnp.zeros(2, jnp.int32)) == expected


def told_norm(x, told, block, i):
    gain, bias = (told @ block[f"batch_norm_{i}_{part}"]["kernel"] for part in ("gain", "bias"))
    return (1 + gain[:, None, None]) * batch_norm(x) + bias[:, None, None]


def run_of(module, z):
    told = ConditionalGenerator(module, 3, "batch_norm")
    params = jax.jit(told.init)(jax.random.key(0), z, labels=LABELS)["params"]

    @jax.jit
    def run(params):
        return told.apply({"params": params}, z, True, labels=LABELS, mutable=["batch_stats"])[0]

    return run(params), params64(params), np.eye(3)[LABELS]


def test_chunks_of_z_and_a_shared_embedding_reach_the_blocks():
    """7 numbers in 3 chunks: 3 to the projection, 2 and 2 to the blocks."""
    module = GENERATORS["biggan"]((8, 12, 2), width=2, multipliers=(2, 1, 1), shared=4)
    z = jnp.float32(RNG.normal(size=(3, 7)))
    found, p, classes = run_of(module, z)
    chunks, embedded = np.split(np.float64(z), [3, 5], axis=1), dense(classes, p["label_embedding"])
    x = dense(chunks[0], p["project"]).reshape(3, 2, 3, 4)
    for block, chunk, size in ((p["block_0"], chunks[1], (4, 6)), (p["block_1"], chunks[2], (8, 12))):
        told = np.concatenate([embedded, chunk], axis=1)
        y = conv(upsample(relu(told_norm(x, told, block, 0)), size), block["conv_0"])
        y = conv(relu(told_norm(y, told, block, 1)), block["conv_1"])
        x = dense(upsample(x, size), block["shortcut"]) + y
    x = conv(relu(batch_norm(x, **p["last_norm"])), p["output"])
    np.testing.assert_allclose(found, np.tanh(x), atol=1e-5)


def test_without_labels_blocks_get_only_z():
    module = GENERATORS["biggan"]((8, 8, 1), width=2, multipliers=(2, 1))
    params = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((2, 7)))["params"]
    assert "label_embedding" not in params
    assert params["block_0"]["batch_norm_0_gain"]["kernel"].shape == (3, 4)
    plain = GENERATORS["biggan"]((8, 8, 1), width=2, multipliers=(2, 1), split_z=False)
    params = jax.eval_shape(plain.init, jax.random.key(0), jnp.zeros((2, 7)))["params"]
    assert "batch_norm_0_gain" not in params["block_0"] and params["project"]["kernel"].shape[0] == 7
    with pytest.raises(UserError, match="1 numbers do not part into 2: raise latent_dim"):
        jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((2, 1)))
    for name in ("biggan", "biggan_deep"):
        with pytest.raises(UserError, match=f"generator.{name}: batch_norm=False"):
            GENERATORS[name]((8, 8, 1), batch_norm=False)


def test_what_is_joined_to_z_reaches_every_block():
    """Also in z's split, whose chunks are 4 and 3 numbers of z, each with 5 of the class or of codes."""
    module = GENERATORS["biggan"]((8, 8, 1), width=2, multipliers=(2, 1))
    joined = ConditionalGenerator(module, 3, "joined", embedding=5)
    codes = Codes((jax.nn.one_hot(LABELS, 3),), jnp.zeros((3, 2)))
    for network, given in ((joined, {"labels": LABELS}), (ConditionalGenerator(module), {"codes": codes})):
        params = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((3, 7)), **given)["params"]
        assert params["project"]["kernel"].shape[0] == 4 + 5
        assert params["block_0"]["batch_norm_0_gain"]["kernel"].shape == (3 + 5, 4)
        assert params["block_0"]["batch_norm_1_gain"]["kernel"].shape == (3 + 5, 2)


def test_deep_generator_by_hand():
    module = GENERATORS["biggan_deep"]((5, 8, 2), width=4, multipliers=(4, 2), shared=3)
    z = jnp.float32(RNG.normal(size=(3, 4)))
    found, p, classes = run_of(module, z)
    told = np.concatenate([np.float64(z), dense(classes, p["label_embedding"])], axis=1)
    x = dense(told, p["project"]).reshape(3, 3, 4, 16)
    for block, size, width in ((p["block_0_0"], (3, 4), 16), (p["block_0_1"], (5, 8), 8)):
        y = dense(relu(told_norm(x, told, block, 0)), block["conv_0"])
        y = relu(told_norm(y, told, block, 1))
        y = conv(upsample(y, size) if size == (5, 8) else y, block["conv_1"])
        y = conv(relu(told_norm(y, told, block, 2)), block["conv_2"])
        y = dense(relu(told_norm(y, told, block, 3)), block["conv_3"])
        shortcut = x[..., :width]
        x = y + (upsample(shortcut, size) if size == (5, 8) else shortcut)
    x = conv(relu(batch_norm(x, **p["last_norm"])), p["output"])
    np.testing.assert_allclose(found, np.tanh(x), atol=1e-5)


def test_deep_discriminator_by_hand():
    module = DISCRIMINATORS["biggan_deep"]((6, 5, 2), width=4, multipliers=(1, 2))
    images = jnp.float32(RNG.normal(size=(3, 6, 5, 2)))
    params = jax.jit(module.init)(jax.random.key(0), images)["params"]
    found = jax.jit(lambda p: module.apply({"params": p}, images))(params)
    p = params64(params)
    x = conv(np.float64(images), p["input"])
    for block, halve in ((p["block_0_0"], True), (p["block_0_1"], False)):
        y = conv(relu(dense(relu(x), block["conv_0"])), block["conv_1"])
        y = relu(conv(relu(y), block["conv_2"]))
        y, x = (average_pool(y), average_pool(x)) if halve else (y, x)
        if halve:
            x = np.concatenate([x, dense(x, block["shortcut"])], axis=-1)
        x = x + dense(y, block["conv_3"])
    h = relu(x).sum(axis=(1, 2))
    np.testing.assert_allclose(found, dense(h, p["output"])[:, 0], rtol=1e-4, atol=1e-5)


def test_deep_layouts_and_invalid_ones():
    assert deep_discriminator_layout(CIFAR) == (4, [(4, True), (4, True), (4, False)])
    first, pairs = deep_discriminator_layout((128, 128, 3))
    assert (first, *(width for width, _ in pairs)) == (1, 2, 4, 8, 16, 16) and all(h for _, h in pairs)
    with pytest.raises(UserError, match="none may be larger"):
        GENERATORS["biggan_deep"](CIFAR, multipliers=(1, 2))
    with pytest.raises(UserError, match="none may be smaller"):
        DISCRIMINATORS["biggan_deep"](CIFAR, multipliers=(2, 1))
