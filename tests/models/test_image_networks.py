"""Networks that take an image: parameter counts as published, any rectangle, each example alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gans import load_digits

from jaxgan.errors import UserError
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.models.enlarger import shuffle
from jaxgan.models.image_layers import dropout
from jaxgan.models.layers import InstanceNorm

Z = jnp.float32(np.random.default_rng(1).normal(size=(3, 4)))
SMALL = {
    "unet": {"width": 2},
    "resnet_translator": {"width": 2, "blocks": 1, "halvings": 1},
    "enlarger": {"width": 2, "blocks": 1},
}
TRANSLATORS = [name for name in GENERATORS if "given_shape" in GENERATORS.takes(name)]
every_translator = pytest.mark.parametrize("name", TRANSLATORS)


def count(module, *inputs, **given):
    shapes = jax.eval_shape(lambda key: module.init(key, *inputs, **given), jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


def translator(name, shape, given_shape=None, **fields):
    return GENERATORS[name](shape, given_shape=given_shape or shape, **fields)


def images(shape, num=3):
    return jnp.float32(np.random.default_rng(0).uniform(-1, 1, (num, *shape)))


def grown(variables, by):
    """With weights large enough that every input counts."""
    return jax.tree.map(lambda p: p + by * jnp.cos(jnp.arange(p.size)).reshape(p.shape), variables)


@pytest.mark.parametrize(("name", "fields", "side", "wanted"), [
    ("unet", {"norm": "batch"}, 256, 54_413_955),
    ("unet", {"norm": "batch"}, 128, 41_828_995),
    ("resnet_translator", {}, 256, 11_378_179),
    ("resnet_translator", {"blocks": 6}, 256, 7_837_699),
])  # fmt: skip
def test_translators_have_the_published_numbers_of_parameters(name, fields, side, wanted):
    shape = (side, side, 3)
    assert count(translator(name, shape, **fields), Z[:1], image=images(shape, 1)) == wanted


@pytest.mark.parametrize(
    ("channels", "norm", "wanted"), [(6, "batch", 2_768_705), (3, "instance", 2_764_737)]
)
def test_patch_discriminators_have_the_published_numbers_of_parameters(channels, norm, wanted):
    shape = (256, 256, channels)
    assert count(DISCRIMINATORS["patchgan"](shape, norm=norm), jnp.zeros((1, *shape))) == wanted


@pytest.mark.parametrize(("field", "side", "wanted"), [
    (70, 256, 30), (70, 64, 6), (34, 64, 14), (70, 32, 2), (34, 32, 6), (16, 32, 14), (34, 28, 5),
])  # fmt: skip
def test_a_patch_discriminator_has_a_logit_for_each_patch(field, side, wanted):
    shape = (side, side, 1)
    module = DISCRIMINATORS["patchgan"](shape, receptive_field=field)
    found, _ = jax.eval_shape(lambda x: module.init_with_output(jax.random.key(0), x), images(shape))
    assert found.shape == (3, wanted**2)


@pytest.mark.parametrize("field", [16, 34, 70])
def test_a_logit_depends_on_its_patch_alone(field):
    shape = (96, 96, 1)
    module = DISCRIMINATORS["patchgan"](shape, receptive_field=field, width=2, norm="none")
    x = images(shape, 1)
    variables = module.init(jax.random.key(0), x)
    side = int(module.apply(variables, x).shape[1] ** 0.5)

    def middle(x):
        return module.apply(variables, x).reshape(side, side)[side // 2, side // 2]

    seen = np.argwhere(np.asarray(jax.grad(middle)(x))[0, :, :, 0])
    assert (np.ptp(seen, axis=0) + 1).tolist() == [field, field]


@every_translator
def test_translators_take_any_rectangle_and_any_channels(name):
    module = translator(name, (8, 16, 3), (8, 16, 2), **SMALL[name])
    for size in ((8, 16), (16, 8), (24, 40)):
        x = images((*size, 2))
        made, _ = jax.eval_shape(lambda x: module.init_with_output(jax.random.key(0), Z, image=x), x)
        assert made.shape == (3, *size, 3) and made.dtype == jnp.float32


@every_translator
@pytest.mark.parametrize("latent", ["none", "joined"])
def test_each_image_is_made_alone_and_z_counts_where_it_is_joined(name, latent):
    module = translator(name, (8, 8, 1), latent=latent, **SMALL[name])
    x = jnp.float32(load_digits()[:3]) / 127.5 - 1
    variables = module.init(jax.random.key(0), Z, image=x)
    assert list(variables) == ["params"]  # no state: neither batch norm nor else
    variables = jax.tree.map(
        lambda leaf: leaf + 0.1 * jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape), variables
    )
    made = module.apply(variables, Z, image=x)
    alone = module.apply(variables, Z[:1], image=x[:1])
    np.testing.assert_allclose(made[:1], alone, atol=1e-5)
    np.testing.assert_allclose(module.apply(variables, Z, True, image=x), made, atol=1e-6)
    changed = np.abs(module.apply(variables, Z + 1, image=x) - made).max()
    assert changed > 1e-4 if latent == "joined" else changed == 0


def test_dropout_of_the_unet_is_drawn_from_each_examples_z_alone():
    shape = (64, 64, 1)
    module = translator("unet", shape, width=2, norm="none", dropout=0.5)
    x = images(shape)
    variables = module.init(jax.random.key(0), Z, image=x)
    variables = jax.tree.map(
        lambda leaf: leaf + 0.3 * jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape), variables
    )
    run = jax.jit(module.apply, static_argnums=2)
    training, samples = run(variables, Z, True, image=x), run(variables, Z, False, image=x)
    assert np.abs(training - samples).max() > 0
    np.testing.assert_allclose(run(variables, Z[1:], True, image=x[1:]), training[1:], atol=1e-5)
    other = run(variables, Z.at[0].add(1), True, image=x)
    assert np.abs(other[0] - training[0]).max() > 0 and (other[1:] == training[1:]).all()
    stays = translator("unet", shape, width=2, norm="none", dropout_in_samples=True)
    assert (jax.jit(stays.apply)(variables, Z, image=x) == training).all()


def test_dropout_keeps_the_mean_and_differs_between_layers():
    keys = jax.random.split(jax.random.key(0), 2)
    x = jnp.ones((2, 50, 50, 1))
    first, second = (np.asarray(dropout(x, 0.25, keys, layer)) for layer in (0, 1))
    assert set(np.unique(first).round(6)) == {0, np.float32(4 / 3).round(6)}
    assert abs(first.mean() - 1) < 0.05 and (first != second).any() and (first[0] != first[1]).any()


def test_instance_norm_of_a_worked_example():
    """Of the pixels 0, 2, 4, 6 the mean is 3 and the variance 5."""
    x = jnp.array([0.0, 2, 4, 6]).reshape(1, 2, 2, 1)
    found = InstanceNorm().apply({"params": {"bias": jnp.array([1.0])}}, x)
    np.testing.assert_allclose(
        found.reshape(-1), 1 + (np.array([0, 2, 4, 6]) - 3) / np.sqrt(5 + 1e-5), rtol=1e-6
    )


def test_shuffled_channels_become_pixels():
    assert shuffle(jnp.arange(4.0).reshape(1, 1, 1, 4))[0, :, :, 0].tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize("upsampling", ["shuffle", "resize"])
def test_the_enlarger_begins_near_the_enlarged_image(upsampling):
    module = translator("enlarger", (16, 16, 1), (4, 4, 1), upsampling=upsampling, **SMALL["enlarger"])
    x = images((4, 4, 1))
    made, _ = module.init_with_output(jax.random.key(0), Z, image=x)
    large = jax.image.resize(x, (3, 16, 16, 1), "linear")
    assert made.shape == large.shape and np.abs(made - large).mean() < 0.1


@pytest.mark.parametrize(("name", "shape", "given", "message"), [
    ("unet", (7, 8, 1), (7, 8, 1), "generator.unet: images of 7x8 have a side that 2 does not divide"),
    ("unet", (8, 8, 1), (), "generator.unet: makes an image from another one: set condition.name=image"),
    ("unet", (8, 8, 1), (4, 4, 1), "keeps the size of an image, but 4x4 is given and 8x8 wanted"),
    ("resnet_translator", (30, 28, 1), (30, 28, 1), "30x28 have a side that 4 does not divide"),
    ("enlarger", (9, 9, 1), (3, 3, 1), "enlarges 1, 2, 4, 8, ... times, but 3x3 is given and 9x9 wanted"),
    ("enlarger", (8, 16, 1), (4, 4, 1), "4x4 is given and 8x16 wanted"),
    ("enlarger", (2,), (2,), "for points"),
])  # fmt: skip
def test_sizes_that_do_not_fit_are_refused(name, shape, given, message):
    with pytest.raises(UserError, match=message):
        GENERATORS[name](shape, given_shape=given)


def test_an_image_that_the_depth_does_not_divide_is_refused_when_it_is_given():
    module = translator("unet", (8, 8, 1), width=2)
    variables = module.init(jax.random.key(0), Z, image=images((8, 8, 1)))
    with pytest.raises(UserError, match="12x8 have a side that 8 does not divide: pad or crop"):
        module.apply(variables, Z, image=images((12, 8, 1)))


def test_patches_too_large_for_the_images_are_refused():
    with pytest.raises(UserError, match="receptive_field=70 leaves nothing of images of 8x8"):
        DISCRIMINATORS["patchgan"]((8, 8, 1))
