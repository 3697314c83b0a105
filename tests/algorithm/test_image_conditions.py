"""A generator that is given images: what reaches the networks, terms of what is wanted, losses of patches."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gans import load_digits
from translators import B, configure, make, make_batch

from jaxgan.algorithm.discriminator import discriminate
from jaxgan.algorithm.gan import Game, init_state
from jaxgan.algorithm.randomness import example_keys
from jaxgan.algorithm.steps import train_step
from jaxgan.algorithm.tricks import flip_labels
from jaxgan.augment import init_adaptive, update_adaptive
from jaxgan.config import experiment
from jaxgan.devices.parallel import AXIS, make_program
from jaxgan.errors import UserError
from jaxgan.latents import make_key
from jaxgan.losses import LOSSES, per_example
from jaxgan.models import GENERATORS
from jaxgan.regularizers import RECONSTRUCTION
from jaxgan.sweeps.population import Population, init_members, optimizer_numbers

SAME_SIZE = {"task.name": "inpainting"}
CHOICES = {
    "enlarger": {},
    "enlarger, D alone": {"condition.image.discriminator": "none"},
    "unet": {**SAME_SIZE, "generator.name": "unet", "generator.unet.width": 2},
    "resnet_translator": {
        **SAME_SIZE, "generator.name": "resnet_translator", "generator.resnet_translator.width": 2,
        "generator.resnet_translator.blocks": 1,
    },
    "dense discriminator": {"discriminator.name": "mlp", "discriminator.mlp.hidden": (8,)},
    "denoising": {"task.name": "denoising"},
    "without a GAN": {"generator_loss_weight": 0.0},
    "content": {"regularizers.content.weight": 1.0, "regularizers.l2.weight": 1.0},
    "tricks": {
        "label_flip": 0.3, "top_k": 4, "regularizers.r1.weight": 0.1, "regularizers.lecam.weight": 0.1,
        "discriminator_steps": 2, "generator.enlarger.latent": "joined",
    },
    "augmented": {
        "condition.image.discriminator": "none", "augment.names": ("translation",), "augment.adaptive": True,
        "augment.probability": 0.0,
    },
    "unrolled": {"unrolled_steps": 1, "loss.name": "relativistic_pairing", "batch_size": B,
                 "discriminator_optimizer.adam.eps_root": 1e-16},
    "relativistic average": {"loss.name": "relativistic_average"},
    "accumulated": {"accumulate": 2},
}  # fmt: skip


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_is_a_step(choice):
    trace(configure(**CHOICES[choice]), "l1")


def trace(config, term):
    """A step by its shapes alone; `term` is among its metrics."""
    gan = experiment.make_gan(config, (8, 8, 1))
    hyper = experiment.make_hyper(config)
    state = jax.eval_shape(lambda: init_state(gan, np.zeros(2, np.uint32), hyper))
    after, metrics = jax.eval_shape(functools.partial(train_step, gan=gan), state, make_batch(gan))
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (state, after))
    assert shapes[0] == shapes[1] and metrics[f"generator/{term}"].shape == ()


ELSEWHERE = {"classifier_content", "vgg_content"}  # test_image_runs.py, test_vgg.py
TERMS = ["content", *sorted({*RECONSTRUCTION} - ELSEWHERE)]


@pytest.mark.parametrize("term", TERMS)
def test_every_term_is_in_a_step(term):
    both_ways = {**SAME_SIZE, "task.name": "unpaired", "condition.image.discriminator": "none"}
    fields = both_ways if term in ("cycle", "identity") else {}
    trace(configure(**fields, **{"regularizers.l1.weight": 0.0, f"regularizers.{term}.weight": 1.0}), term)


def test_every_network_that_takes_an_image_is_among_them():
    takes = {name for name in GENERATORS if "given_shape" in GENERATORS.takes(name)}
    assert takes == {*CHOICES} & {*GENERATORS}


@pytest.mark.parametrize(("task", "shape"), [("inpainting", (8, 8, 1)), ("colouring", (8, 8, 3))])
def test_what_is_known_is_kept_and_the_rest_is_the_networks(task, shape):
    fields = {"task.name": task, "generator.name": "unet", "generator.unet.width": 2}
    plain, kept = (
        experiment.make_gan(configure(**fields | {f"task.{task}.keep": keep}), shape)
        for keep in (False, True)
    )
    images = jnp.linspace(-1, 1, 4 * 8 * 8 * shape[2]).reshape(4, *shape)
    target, given = kept.task.real(images, jax.random.split(jax.random.key(0), 4))
    z = jnp.zeros((4, 1))
    variables, same = (gan.generator.init(jax.random.key(1), z, **given) for gan in (plain, kept))
    assert jax.tree.all(jax.tree.map(np.array_equal, variables, same))
    alone, made = (gan.generator.apply(variables, z, **given) for gan in (plain, kept))
    if task == "inpainting":
        hole = np.zeros((4, 8, 8, 1), bool)
        hole[:, 2:6, 2:6] = True
        np.testing.assert_array_equal(made, np.where(hole, alone, target))
    else:
        luma = np.array([0.299, 0.587, 0.114], np.float32)
        np.testing.assert_allclose(made @ luma, given["image"][..., 0], atol=1e-6)
        np.testing.assert_allclose(made[..., 0] - made[..., 2], alone[..., 0] - alone[..., 2], atol=1e-6)


@pytest.fixture(scope="module")
def first():
    """A GAN, a state and its batch."""
    gan, state = make(configure())
    return gan, state, make_batch(gan)


def real_and_given(gan, state, batch):
    """The targets and given images of the first discriminator update of a step."""
    key = jax.random.fold_in(make_key(state.key), state.step + 1)
    keys = example_keys(jax.random.split(key, gan.discriminator_steps)[0], batch["index"])
    target, given = gan.condition.real({"examples": jnp.float32(batch["examples"][0]) / 127.5 - 1}, keys)
    return target, given, keys


def test_the_discriminator_sees_the_given_image_where_it_is_joined(first):
    gan, state, batch = first
    target, given, keys = real_and_given(gan, state, batch)
    other = {"image": given["image"][::-1]}
    for told, differs in (("joined", True), ("none", False)):
        gan, state = make(configure(**{"condition.image.discriminator": told}))
        game = Game(gan, state.step, state.hyper, state.generator, None)
        judge = functools.partial(
            discriminate,
            state.discriminator,
            state.discriminator.params,
            state.discriminator.model_state,
            target,
        )
        one, two = (
            judge(some, keys, state.extras["discriminator"], game)[0].logits for some in (given, other)
        )
        assert one.shape == (B, 4) and bool(jnp.any(one != two)) == differs


def test_without_its_gan_the_generator_descends_the_reconstruction_alone():
    """θ - η·∇ mean |x - G(y)|, by plain descent."""
    fields = {"generator_loss_weight": 0.0, "regularizers.l1.weight": 3.0, "generator_optimizer.name": "sgd"}
    config = configure(**fields, **{"generator_optimizer.sgd.learning_rate": 0.1})
    gan, state = make(config)
    batch = make_batch(gan)
    target, given, _ = real_and_given(gan, state, batch)

    def loss(params):
        made = gan.generator.apply({"params": params}, jnp.zeros((B, 2)), **given)
        return 3.0 * jnp.abs(target - made).mean()

    after, metrics = jax.jit(functools.partial(train_step, gan=gan))(state, batch)
    value, gradient = jax.value_and_grad(loss)(state.generator.params)
    np.testing.assert_allclose(3.0 * metrics["generator/l1"], value, rtol=1e-5)
    wanted = jax.tree.map(lambda p, g: p - 0.1 * g, state.generator.params, gradient)
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-6), after.generator.params, wanted)


def test_a_perfect_translator_stays_perfect():
    """Without noise the given image is the target; a residual network of zeros gives it back."""
    fields = {"task.name": "denoising", "task.denoising.sigma": 1e-20, "generator_loss_weight": 0.0}
    # not l1, whose gradient is a sign, also of rounding
    fields |= {
        "regularizers.l1.weight": 0.0,
        "regularizers.l2.weight": 1.0,
        "generator_optimizer.name": "sgd",
    }
    gan, state = make(configure(**fields))
    generator = state.generator.replace(params=jax.tree.map(jnp.zeros_like, state.generator.params))
    after, metrics = jax.jit(functools.partial(train_step, gan=gan))(
        state.replace(generator=generator), make_batch(gan)
    )
    assert metrics["generator/l2"] < 1e-12
    assert all(np.abs(leaf).max() < 1e-5 for leaf in jax.tree.leaves(after.generator.params))


# --- Losses of patches ------------------------------------------------------------------------------------

PATCHES = jnp.array([[1.0, 3.0], [-2.0, 0.0]])


def test_losses_of_patches_are_averaged_for_each_example():
    assert per_example(PATCHES).tolist() == [2, -1] and per_example(PATCHES[0]).tolist() == [1, 3]
    hinge = LOSSES["hinge"]()
    # max(0, 1 - D(x)) + max(0, 1 + D(G(z))) of D(x) = PATCHES and D(G(z)) = 0
    assert per_example(hinge.discriminator(PATCHES, 0 * PATCHES)).tolist() == [1, 1 + (3 + 1) / 2]


def test_all_patches_of_an_example_are_flipped():
    real, fake = flip_labels(PATCHES, 10 * PATCHES, jnp.array([False, True]))
    assert real.tolist() == [[1, 3], [-20, 0]] and fake.tolist() == [[10, 30], [-2, 0]]


def test_ada_counts_images_not_patches():
    """Two images of patches whose mean sign is 1/4: above the target p rises by 2 images of 8."""
    memory = init_adaptive(jnp.float32(0))
    after = update_adaptive(memory, PATCHES, 2, target=0.2, length=8.0, interval=1)
    assert after["heuristic"] == 0.25 and after["probability"] == 0.25


def test_the_step_counts_images_not_patches():
    choice = {
        **CHOICES["augmented"],
        "augment.adaptive_interval": 1,
        "augment.length": 80.0,
        "augment.target": -1.0,
    }
    gan, state = make(configure(**choice))
    after, _ = jax.jit(functools.partial(train_step, gan=gan))(state, make_batch(gan))
    np.testing.assert_allclose(after.extras["discriminator"]["adaptive"]["probability"], B / 80, rtol=1e-6)


def test_a_gradient_penalty_is_of_the_mean_logit():
    fields = {"regularizers.r1.weight": 1.0, "discriminator.patchgan.norm": "none"}
    gan, state = make(configure(**fields))
    batch = make_batch(gan)
    target, given, keys = real_and_given(gan, state, batch)
    variables = {"params": state.discriminator.params}

    def mean_logits(x):
        return gan.discriminator.apply(variables, x, True, **given).mean(axis=1).sum()

    wanted = 0.5 * jnp.square(jax.grad(mean_logits)(target)).sum(axis=(1, 2, 3)).mean()
    _, metrics = jax.jit(functools.partial(train_step, gan=gan))(state, batch)
    np.testing.assert_allclose(metrics["discriminator/r1"], wanted, rtol=1e-4)


# --- Where it runs ----------------------------------------------------------------------------------------


def train(gan, state, mode, num_devices, num=4):
    program = make_program(gan, mode, B, num_devices=num_devices)
    return program.train_steps(
        program.place_state(state), program.place_data({"examples": load_digits()}), num
    )


def test_two_devices_and_accumulation_change_nothing():
    """Holes at drawn places, and noise of the latents: all from each example's own key."""
    fields = {
        "task.name": "inpainting", "task.inpainting.holes": "boxes", "generator.enlarger.latent": "joined",
        "generator_optimizer.name": "sgd", "discriminator_optimizer.name": "sgd",
    }  # fmt: skip
    gan, state = make(configure(**fields))
    _, expected = train(gan, state, "jit", 1)
    split = configure(**fields, accumulate=2)
    for mode, devices, config in (("jit", 2, None), ("pmap", 2, None), ("jit", 1, split)):
        axis_name = AXIS if mode == "pmap" else None
        gan, state = make(config or configure(**fields), axis_name)
        _, found = train(gan, state, mode, devices)
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_members_of_a_population_are_what_each_is_alone():
    configs = [configure(**{"regularizers.l1.weight": weight}) for weight in (1.0, 10.0)]
    gans = [experiment.make_gan(config, (8, 8, 1)) for config in configs]
    hypers = [experiment.make_hyper(config) for config in configs]
    keys = np.array([[0, 0], [0, 1]], np.uint32)
    population = Population(gans[0], B, 2, 2, jax.devices()[:1])
    numbers = [optimizer_numbers(gan) for gan in gans]
    states = jax.jit(functools.partial(init_members, gans[0], keys, hypers, numbers))()
    states, alive = population.place(states, np.ones(2, bool))
    data = population.place_data({"examples": load_digits()})
    _, alive, found = population.train_steps(states, alive, data, 3)
    assert np.asarray(alive).all()
    for i in range(2):
        state = jax.jit(lambda i=i: init_state(gans[i], keys[i], hypers[i]))()
        _, metrics = train(gans[i], state, "jit", 1, 3)
        for name, values in metrics.items():
            np.testing.assert_allclose(found[name][i], values, rtol=2e-3, atol=1e-4, err_msg=name)


# --- What is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fields", "message"), [
    ({"generator.name": "dcgan"}, "generator 'dcgan' takes no image: set generator.name to one of enlarger"),
    ({"augment.names": ("flip",)}, "augment.names transform what is judged, and not the given image"),
    ({"image_pool": 50}, "image_pool keeps fakes without what they were made of, which the discriminator"),
    ({"packing": 2}, "packing=2 and condition.name=image: translations of several"),
    ({"regularizers.ac.weight": 1.0}, "regularizers.ac looks at labels: set condition.name=labels"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(fields, message):
    with pytest.raises(UserError, match=message):
        configure(**fields)


@pytest.mark.parametrize("name", ["l1", "content"])
def test_nothing_can_be_reconstructed_without_an_image(name):
    from runs import tiny_config

    from jaxgan.config import checks

    with pytest.raises(
        UserError, match=f"regularizers.{name} compares with what is wanted: set condition.name"
    ):
        checks.check(tiny_config(**{f"regularizers__{name}__weight": 1.0}))


def test_sizes_that_do_not_fit_are_refused_with_the_name_of_the_network():
    with pytest.raises(
        UserError, match="generator.unet: keeps the size of an image, but 4x4 is given and 8x8"
    ):
        experiment.make_gan(configure(**{"generator.name": "unet"}), (8, 8, 1))
