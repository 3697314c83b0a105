"""Conditional networks: their layers, and that the rest is the same as without labels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.models import DISCRIMINATORS, GENERATORS, layers
from jaxgan.models.conditional import ConditionalDiscriminator, ConditionalGenerator, joined_shape
from jaxgan.models.heads import unit
from jaxgan.regularizers.classes import Head

SHAPE, K = (8, 8, 1), 3
SMALL = {
    "dcgan": {"channels": (4, 4), "kernels": (3, 3), "strides": (2, 1)},
    "mlp": {"hidden": (8, 8)},
}
LABELS = jnp.array([0, 2, 2, 1])
every_network = pytest.mark.parametrize("name", SMALL)


def images(channels=1, seed=0):
    return jnp.float32(np.random.default_rng(seed).uniform(-1, 1, (4, 8, 8, channels)))


def names(tree):
    return {jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]}


def zero(variables, *parts):
    """The variables with zeros for names that contain one of the parts."""

    def change(path, leaf):
        return leaf * 0 if any(part in jax.tree_util.keystr(path) for part in parts) else leaf

    return jax.tree_util.tree_map_with_path(change, variables)


@pytest.mark.parametrize("train", [False, True])
@every_network
def test_conditional_batch_norm_with_zero_gain_and_bias_is_batch_norm(name, train):
    plain = GENERATORS[name](SHAPE, **SMALL[name], batch_norm=True)
    module = ConditionalGenerator(plain, K, "batch_norm")
    z = jnp.float32(np.random.default_rng(1).normal(size=(4, 5)))
    variables = zero(module.init(jax.random.key(0), z, labels=LABELS), "_gain", "_bias'")
    without = plain.init(jax.random.key(0), z)
    found, expected = (
        net.apply(values, z, train, mutable=["batch_stats"], **told)
        for net, values, told in ((module, variables, {"labels": LABELS}), (plain, without, {}))
    )
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_conditional_batch_norm_is_one_plus_gain_by_hand():
    x, c = images(channels=3), jax.nn.one_hot(LABELS, K)

    class Norm(layers.nn.Module):
        @layers.nn.compact
        def __call__(self, x):
            return layers.batch_norm(x, train=True, axis_name=None, name="norm", condition=c)

    params = Norm().init(jax.random.key(0), x)["params"]
    found, _ = Norm().apply({"params": params}, x, mutable=["batch_stats"])
    gain, bias = (
        np.asarray(params[f"norm_{part}"]["kernel"])[np.asarray(LABELS)] for part in ("gain", "bias")
    )
    normal = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5)
    np.testing.assert_allclose(
        found, (1 + gain[:, None, None]) * normal + bias[:, None, None], rtol=1e-4, atol=1e-5
    )
    assert "norm" not in params  # no gain and bias without a condition


@every_network
def test_a_wrapped_network_keeps_the_names_and_values_of_its_weights(name):
    plain = DISCRIMINATORS[name](SHAPE, **SMALL[name])
    told = ConditionalDiscriminator(plain, K, "projection", heads=(("ac", Head(K)), ("e", Head(K, 6))))
    expected = plain.init(jax.random.key(0), images())["params"]
    found = told.init(jax.random.key(0), images(), labels=LABELS)["params"]
    assert names(found) - names(expected) == {
        "['projection']['kernel']", "['head_ac']['kernel']", "['head_e']['kernel']", "['head_e']['bias']",
        "['proxies_e']['embedding']",
    }  # fmt: skip
    for layer, values in expected.items():
        jax.tree.map(np.testing.assert_array_equal, found[layer], values)


@every_network
def test_projection_by_hand(name):
    plain = DISCRIMINATORS[name](SHAPE, **SMALL[name])
    told = ConditionalDiscriminator(plain, K, "projection")
    variables = told.init(jax.random.key(0), images(), labels=LABELS)
    own = {**variables, "params": {k: v for k, v in variables["params"].items() if k != "projection"}}
    logits, h = plain.apply(own, images(), features=True)
    v = np.asarray(variables["params"]["projection"]["kernel"])[np.asarray(LABELS)]
    found = told.apply(variables, images(), labels=LABELS)
    np.testing.assert_allclose(found, logits + (v * h).sum(axis=1), rtol=1e-4, atol=1e-6)
    mixed = told.apply(variables, images(), labels=jax.nn.one_hot(LABELS, K))
    np.testing.assert_allclose(mixed, found, rtol=1e-6)


def test_joined_labels_are_a_channel_of_an_image_or_an_embedding_beside_a_point():
    assert joined_shape(SHAPE, 5) == (8, 8, 2) and joined_shape((2,), 5) == (7,)
    for shape, inputs, width in ((SHAPE, images(), 64), ((2,), jnp.ones((4, 2)), 5)):
        plain = DISCRIMINATORS["mlp"](joined_shape(shape, 5), hidden=(4,))
        told = ConditionalDiscriminator(plain, K, "joined", embedding=5)
        variables = told.init(jax.random.key(0), inputs, labels=LABELS)
        table = variables["params"]["label_embedding"]["embedding"]
        assert table.shape == (K, width)
        rows = table[LABELS].reshape(4, *shape[:-1], -1)
        own = {"params": {k: v for k, v in variables["params"].items() if k != "label_embedding"}}
        expected = plain.apply(own, jnp.concatenate([inputs, rows], axis=-1))
        np.testing.assert_allclose(told.apply(variables, inputs, labels=LABELS), expected, rtol=1e-6)


@pytest.mark.parametrize("num", [K, 1])
def test_select_returns_the_output_of_the_label(num):
    plain = DISCRIMINATORS["mlp"](SHAPE, outputs=num, hidden=(4,))
    told = ConditionalDiscriminator(plain, num, "select")
    labels = jnp.asarray(LABELS) % num
    variables = told.init(jax.random.key(0), images(), labels=labels)
    expected = np.asarray(plain.apply(variables, images())).reshape(4, num)[np.arange(4), labels]
    np.testing.assert_allclose(told.apply(variables, images(), labels=labels), expected, rtol=1e-6)


@pytest.mark.parametrize("width", [6, 1])
def test_inner_product_by_hand(width):
    """⟨D(x), v_y⟩, also of one output; v of variance 1/(K·width)."""
    plain = DISCRIMINATORS["mlp"](SHAPE, outputs=width, hidden=(4,))
    told = ConditionalDiscriminator(plain, K, "inner_product", embedding=width)
    variables = told.init(jax.random.key(0), images(), labels=LABELS)
    params = dict(variables["params"])
    table = np.asarray(params.pop("label_embedding")["embedding"])
    said = np.asarray(plain.apply({"params": params}, images())).reshape(4, width)
    expected = (said * table[np.asarray(LABELS)]).sum(axis=1)
    np.testing.assert_allclose(told.apply(variables, images(), labels=LABELS), expected, rtol=1e-5)


def test_embeddings_of_r3gan_start_as_in_the_paper():
    """N(0, 1/K) beside z; N(0, 1/(K·width)) in the inner product."""
    discriminator = DISCRIMINATORS["r3gan"](SHAPE, outputs=512, width=8)
    for module, inputs, stddev in (
        (ConditionalGenerator(GENERATORS["r3gan"](SHAPE, width=8), 10, embedding=512), jnp.ones((4, 5)), 1),
        (ConditionalDiscriminator(discriminator, 10, "inner_product", 512), images(), 512**-0.5),
    ):
        params = jax.jit(module.init)(jax.random.key(0), inputs, labels=LABELS)["params"]
        drawn = np.std(params["label_embedding"]["embedding"])
        assert drawn == pytest.approx(stddev / np.sqrt(10), rel=0.05)


def test_heads_give_logits_or_cosines():
    plain = DISCRIMINATORS["dcgan"](SHAPE, **SMALL["dcgan"], spectral_norm=".")
    told = ConditionalDiscriminator(plain, K, "none", heads=(("ac", Head(K)), ("e", Head(4, 6))))
    variables = told.init(jax.random.key(0), images())
    logits, said, h = told.apply(variables, images(), heads=True)
    assert logits.shape == (4,) and said["ac"]["logits"].shape == (4, K) and h.shape[0] == 4
    np.testing.assert_allclose(np.linalg.norm(said["e"]["embedding"], axis=1), 1, rtol=1e-5)
    proxies = unit(variables["params"]["proxies_e"]["embedding"])
    np.testing.assert_allclose(said["e"]["logits"], said["e"]["embedding"] @ proxies.T, rtol=1e-5)
    assert "spectral_head_ac" in variables["batch_stats"] and "spectral_head_e" in variables["batch_stats"]
    np.testing.assert_array_equal(told.apply(variables, images()), logits)


def test_user_defined_networks_need_no_changes_for_joined_labels():
    """Layers without names, and no `features` argument: joined labels require nothing of the networks."""

    class Generator(layers.nn.Module):
        @layers.nn.compact
        def __call__(self, z, train=False):
            return layers.nn.Dense(64)(layers.nn.relu(layers.nn.Dense(3)(z))).reshape(-1, 8, 8, 1)

    class Discriminator(layers.nn.Module):
        @layers.nn.compact
        def __call__(self, images, train=False):
            return layers.nn.Dense(1)(images.reshape(len(images), -1))[:, 0]

    for module, inputs in (
        (ConditionalGenerator(Generator(), K, embedding=2), jnp.ones((4, 5))),
        (ConditionalDiscriminator(Discriminator(), K), jnp.ones((4, 8, 8, 1))),
    ):
        variables = module.init(jax.random.key(0), inputs, labels=LABELS)
        assert {"Dense_0", "label_embedding"} <= variables["params"].keys()
        outputs = module.apply(variables, inputs, labels=LABELS)
        assert (outputs[1] == outputs[2]).all() and (outputs[0] != outputs[1]).any()
