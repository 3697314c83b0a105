"""Labels in the training step: labels of fakes, and which networks get them."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conditional import CLASSES, configure, digit_labels, make, make_batch
from gans import load_digits

from jaxgan import datasets
from jaxgan.algorithm.conditions import CONDITIONS, find_labels
from jaxgan.algorithm.gan import init_state
from jaxgan.algorithm.randomness import example_keys
from jaxgan.algorithm.steps import train_step
from jaxgan.config import conditions, experiment
from jaxgan.devices import parallel
from jaxgan.errors import UserError
from jaxgan.jobs.train import resident_data
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.models.conditional import ConditionalGenerator
from jaxgan.regularizers.critic import Critic, of_fakes


def keys(num, seed=0):
    return example_keys(jax.random.key(seed), jnp.arange(num))


def test_labels_of_fakes_are_paired_or_drawn():
    shares = jnp.array([0.5, 0.0, 0.5])
    given = {"labels": jnp.arange(4, dtype=jnp.int32) % 3}
    paired = CONDITIONS["labels"]((0, 1, 2), fakes="paired")
    assert paired.fake(keys(4), given, {}) is given
    drawn = CONDITIONS["labels"]((0, 1, 2), fakes="data")
    found = np.asarray(drawn.fake(keys(2000), {}, {"label_shares": shares})["labels"])
    counts = np.bincount(found, minlength=3)
    assert found.dtype == np.int32 and counts[1] == 0 and abs(counts[0] - 1000) < 100
    again = drawn.fake(keys(5), {}, {"label_shares": shares})["labels"]
    assert np.array_equal(again, found[:5])  # depends only on the index


def test_samples_have_only_labels_of_the_data():
    draw = CONDITIONS["labels"]((1, 4), fakes="data").draw
    counts = np.bincount(np.asarray(draw(keys(1000))["labels"]))
    assert np.flatnonzero(counts).tolist() == [1, 4] and abs(counts[1] - 500) < 80


@pytest.mark.parametrize(("changes", "paired"), [
    ({}, False),
    ({"loss.name": "relativistic_pairing"}, True),
    ({"regularizers.wgan_gp.weight": 1.0}, True),
    ({"regularizers.zero_centered.weight": 1.0}, True),
    ({"regularizers.r1.weight": 1.0, "regularizers.r2.weight": 1.0}, False),
])  # fmt: skip
def test_labels_are_paired_if_a_loss_compares_real_and_fake_in_pairs(changes, paired):
    config = configure(**changes)
    assert conditions.make_condition(config, CLASSES).paired == paired
    numbers = conditions.condition_numbers(config, np.array([0, 2, 2, 2]))
    assert paired == (not numbers)
    if not paired:
        assert numbers["label_shares"].tolist() == [0.25, 0, 0.75]
        config.class_balance = "resample"
        assert conditions.condition_numbers(config, np.array([0, 2, 2]))["label_shares"].tolist() == [
            0.5,
            0,
            0.5,
        ]


def test_a_penalty_judges_each_side_with_its_own_condition():
    critic = Critic(lambda examples, like: like)
    assert (critic(0), of_fakes(critic)(0)) == ("real", "fake")
    plain = lambda examples: examples  # noqa: E731
    assert of_fakes(plain) is plain


@pytest.mark.parametrize("penalty", ["r1", "r2"])
def test_gradient_penalties_use_the_labels_of_their_side(penalty):
    """The labels of fakes change only R2, those of real examples only R1."""
    config = configure(
        **{f"regularizers.{penalty}.weight": 1.0, "condition.labels.discriminator": "projection"}
    )
    gan, state = make(config, grow=5.0)
    step = jax.jit(functools.partial(train_step, gan=gan))
    batch = make_batch(gan)
    other = {**batch, "labels": (batch["labels"] + 1) % 10}
    before, after = (step(state, some)[1][f"discriminator/{penalty}"] for some in (batch, other))
    assert (before != after) == (penalty == "r1")


@pytest.mark.parametrize("how", ["joined", "projection", "select", "inner_product"])
@pytest.mark.parametrize("generator", ["joined", "batch_norm"])
def test_both_networks_use_their_labels(how, generator):
    changes = {"condition.labels.discriminator": how, "condition.labels.generator": generator}
    gan, state = make(configure(**changes), grow=3.0)
    labels = digit_labels()[:4]
    images, z = jnp.ones((4, 8, 8, 1)) / 2, jnp.ones((4, 4))
    for network, inputs in ((state.discriminator, images), (state.generator, z)):

        def run(labels, network=network, inputs=inputs):
            variables = {"params": network.params, **network.model_state}
            return np.asarray(network.apply_fn(variables, inputs, labels=labels)).reshape(4, -1)

        outputs = run(labels)
        np.testing.assert_allclose(run(labels[::-1]), outputs[::-1], rtol=1e-6)  # depends only on its label
        different = np.abs(outputs[:, None] - outputs[None]).max(axis=-1) > 1e-4
        assert (different == (labels[:, None] != labels[None])).all()


def test_labels_stay_integers_in_bfloat16():
    """257 has no representation in bfloat16."""
    gan, state = make(configure(compute_dtype="bfloat16"))
    state, metrics = jax.jit(functools.partial(train_step, gan=gan))(state, make_batch(gan))
    assert all(np.isfinite(value) for value in metrics.values())
    seen = []

    def apply(variables, z, labels, **_):
        seen.append((z.dtype, labels.dtype))
        return z, {}

    network = state.generator.replace(apply_fn=apply)
    network.forward(network.params, {}, jnp.zeros((1, 4)), {"labels": jnp.array([257])})
    assert seen == [(jnp.bfloat16, jnp.int32)]


TRICKS = {
    "unrolling": {"unrolled_steps": 2, "discriminator_optimizer.adam.eps_root": 1e-16},
    "accumulation": {"accumulate": 2},
    "three to one": {"discriminator_steps": 3},
    "consistency": {
        "regularizers.bcr.weight": 1.0,
        "regularizers.zcr.weight": 1.0,
        "consistency_augment.names": ("flip",),
    },
    "interpolates": {"regularizers.wgan_gp.weight": 1.0},
    "class weights": {"class_balance": "weights"},
    "uniform labels": {"condition.labels.fakes": "uniform"},
}


@pytest.mark.parametrize("trick", TRICKS)
def test_tricks_work_with_labels(trick):
    gan, state = make(configure(**TRICKS[trick]))
    after, metrics = jax.jit(functools.partial(train_step, gan=gan))(state, make_batch(gan))
    assert all(np.isfinite(value) for value in metrics.values())
    embeddings = [s.generator.params["label_embedding"]["embedding"] for s in (state, after)]
    assert np.abs(embeddings[0] - embeddings[1]).max() > 0


def test_parts_of_a_batch_have_their_own_labels():
    """Without batch norm, two consecutive parts give the result of the whole batch."""
    changes = {"generator.mlp.batch_norm": False, "condition.labels.discriminator": "projection"}
    steps = []
    for num in (1, 2):
        gan, state = make(configure(accumulate=num, **changes))
        steps.append(jax.jit(functools.partial(train_step, gan=gan))(state, make_batch(gan))[1])
    for name, value in steps[0].items():
        np.testing.assert_allclose(steps[1][name], value, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_labels_are_distributed_over_devices_like_examples(mode):
    config = configure(**{"generator.mlp.batch_norm": False})

    def train(mode, num_devices):
        gan, state = make(config, parallel.AXIS if mode == "pmap" else None)
        program = parallel.make_program(gan, mode, 8, num_devices=num_devices)
        data = program.place_data({"examples": load_digits(), "labels": digit_labels()})
        state, metrics = program.train_steps(program.place_state(state), data, 3)
        return jax.device_get((state.generator.params, metrics))

    for found, expected in zip(*map(jax.tree.leaves, (train(mode, 2), train("jit", 1))), strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize(("labels", "found"), [
    (2, [2]), ("7", [2]), ("cat", [0]), (["dog", 2], [1, 2]), (np.array([1, 0]), [1, 0]),
])  # fmt: skip
def test_labels_are_numbers_or_names(labels, found):
    names = ("cat", "dog", "7")
    assert find_labels(labels, (0, 1, 2), names).tolist() == found


def test_a_label_that_the_data_does_not_have_is_refused():
    for label in (3, -1, "fish", "1.5", True, 1.0):
        with pytest.raises(UserError, match=f"label {label!r} is none of the data's: cat, dog"):
            find_labels([label], (0, 1), ("cat", "dog"))
    with pytest.raises(UserError, match="labels=1.5: give a label"):
        find_labels(1.5, (0, 1), ())
    with pytest.raises(UserError, match=r"0, 1, .*, \.\.\. \(20 in all\)"):
        find_labels(20, tuple(range(20)), ())
    for several in ({0: 1}, {0, 1}, b"1"):  # without an order, or with numbers of letters
        with pytest.raises(UserError, match="give a label, a class's name, or several"):
            find_labels(several, tuple(range(100)), ())
    with pytest.raises(UserError, match="is none of the data's"):
        find_labels("7" * 5000, (0, 7), ())
    with pytest.raises(UserError, match="takes none: .* leave them out, or train with condition.name=labels"):
        find_labels(3, (), ())
    with pytest.raises(UserError, match="empty list"):
        find_labels([], (0, 1), ())


def program_of(name, data):
    """A GAN of dense networks, its state, the names of its data, and its step's program."""
    config, rows = configure(**{"condition.name": name}), np.arange(8)[None]
    gan = experiment.make_gan(config, (8, 8, 1), None, conditions.classes_of(data))
    hyper = experiment.make_hyper(config, data.labels)
    state = jax.eval_shape(lambda: init_state(gan, np.array([0, 3], np.uint32), hyper))
    stored = resident_data(config, data)
    batch = {"index": np.arange(8), "examples": data.examples[rows]}
    batch |= {part: stored[part][rows] for part in ("labels",) if part in stored}
    program = jax.make_jaxpr(functools.partial(train_step, gan=gan))(state, batch)
    return gan, state, stored.keys(), re.sub(r"0x[0-9a-f]+", "", str(program))  # without addresses


def test_an_unconditional_program_knows_nothing_of_labels():
    data = datasets.load("digits", image_size=8)
    bare = dataclasses.replace(data, labels=None)
    gan, state, stored, program = program_of("none", data)
    assert gan.condition is None and gan.given_example == {} and gan.classes == ()
    for network, registry in ((gan.generator, GENERATORS), (gan.discriminator, DISCRIMINATORS)):
        assert type(network) is type(registry["mlp"]((8, 8, 1)))
    assert "condition" not in state.hyper and stored == {"examples"}
    assert program == program_of("none", bare)[3]
    gan, state, stored, other = program_of("labels", data)  # all of this differs with labels
    assert isinstance(gan.generator, ConditionalGenerator) and "condition" in state.hyper
    assert stored == {"examples", "labels"} and program != other


def test_projection_on_patches_is_refused():
    changes = {"discriminator.name": "patchgan", "discriminator.patchgan.receptive_field": 16}
    for how in ("joined", "projection"):
        config = configure(**changes | {"condition.labels.discriminator": how})
        if how == "joined":
            experiment.make_gan(config, (16, 16, 1), None, CLASSES)
            continue
        with pytest.raises(UserError, match="'patchgan' judges patches: set it to joined"):
            experiment.make_gan(config, (16, 16, 1), None, CLASSES)
