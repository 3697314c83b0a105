"""Schedules of any number of the state, half-lives, and fresh batches, against values worked out by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gans import load_digits, make_gan, make_hyper, make_state
from runs import tiny_config

from configs import r3gan
from jaxgan.algorithm import schedules, steps
from jaxgan.algorithm.gan import Game, data_key, init_state
from jaxgan.algorithm.schedules import Schedule, value_at
from jaxgan.config import checks, experiment, fields
from jaxgan.config.dependencies import reset_idle
from jaxgan.config.essential import essential
from jaxgan.config.schedules import numbers
from jaxgan.datasets import order
from jaxgan.devices import parallel
from jaxgan.errors import UserError
from jaxgan.optimizers import OPTIMIZERS
from jaxgan.sweeps import plan, population

B = 8
MLP = {
    "generator__mlp__batch_norm": False,
    "discriminator__mlp__dropout": 0.0,
    "discriminator__mlp__spectral_norm": "",
    "batch_size": B,
}


def configure(**changes):
    config = tiny_config(**MLP, **changes)
    checks.check(config)
    return fields.fix_schedule(config)


@pytest.mark.parametrize(
    ("form", "start", "end", "expected"),
    [
        ("linear", 1.0, 0.0, [1, 1, 0.75, 0.5, 0.25, 0, 0]),
        # R3GAN: base + (1 - ½(1 + cos πp))·(final - base)
        ("cosine", 0.9, 0.99, [0.9, 0.9, 0.9131802, 0.945, 0.9768198, 0.99, 0.99]),
        ("exponential", 16.0, 1.0, [16, 16, 8, 4, 2, 1, 1]),
    ],
)
def test_forms_go_from_start_to_end_over_their_steps(form, start, end, expected):
    numbers = {"start": start, "end": end, "from_step": 10, "num_steps": 4}
    found = [value_at(form, step, **numbers) for step in (0, 10, 11, 12, 13, 14, 10**6)]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    assert found[-1] == np.float32(end)


def test_values_are_written_into_the_state():
    """Of `hyper` and of an optimizer; a factor on the learning rates comes on top."""
    half = {"start": 1.0, "end": 0.0, "from_step": 0, "num_steps": 2}
    gan = make_gan(
        optimizer="adam",
        schedules={
            "label_flip": Schedule(("label_flip",), "linear"),
            "rate": Schedule(("learning_rate", "generator"), "linear"),
            "b2": Schedule(("discriminator", "b2"), "linear"),
        },
    )
    all_ = dict.fromkeys(("label_flip", "rate", "b2"), half)
    state = make_state(gan, label_flip=0.3, schedules=all_, schedule={})
    state = state.replace(step=jnp.int32(1))
    hyper, optimizers = schedules.at_this_step(state, gan.schedules, gan.schedule)
    assert hyper["label_flip"] == optimizers["generator"]["learning_rate"] == 0.5
    assert optimizers["discriminator"].keys() == {"b2", "learning_rate"}
    assert optimizers["discriminator"]["b2"] == 0.5 and state.hyper["label_flip"] == np.float32(0.3)


SCHEDULED = {
    "ema_half_life": 1e-8,
    "schedules__ema_half_life__form": "cosine",
    "schedules__ema_half_life__end": 100.0,
    "regularizers__r1__weight": 1.0,
    "schedules__regularizers__r1__weight__form": "cosine",
    "schedules__regularizers__r1__weight__end": 0.1,
    "schedules__discriminator_optimizer__adam__b2__form": "linear",
    "schedules__discriminator_optimizer__adam__b2__end": 0.9,
    "schedules__discriminator_optimizer__adam__b2__from_step": 1,
    "schedules__discriminator_optimizer__adam__b2__num_steps": 2,
    "generator_batch": "fresh",
    "num_steps": 6,
}


class Trained:
    def __init__(self, **changes):
        self.config = config = configure(**changes)
        self.gan = experiment.make_gan(config, (8, 8, 1))
        self.hyper = experiment.make_hyper(config)
        self.state = jax.jit(functools.partial(init_state, self.gan, hyper=self.hyper))(
            np.array([0, 3], np.uint32)
        )

    def train(self, *lengths, mode="jit", devices=1):
        program = parallel.make_program(self.gan, mode, B, num_devices=devices)
        state = program.place_state(self.state)
        data = program.place_data({"examples": load_digits()})
        for num in lengths:
            state, _ = program.train_steps(state, data, num)
        return jax.device_get(state)


@pytest.fixture(scope="module")
def trained():
    return Trained(**SCHEDULED)


def test_a_run_follows_its_schedules_and_resumes_to_the_bit(trained):
    """Calls of three and one step are what going on from a checkpoint is: the same function of the state."""
    whole, parts = trained.train(4), trained.train(3, 1)
    for one, two in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        assert np.asarray(one).tobytes() == np.asarray(two).tobytes()
    adam = whole.discriminator.opt_state.hyperparams
    np.testing.assert_allclose(adam["b2"], 0.9, rtol=1e-6)  # of step 3
    assert trained.hyper["schedules"]["discriminator_optimizer.adam.b2"]["start"] == 0.999
    assert whole.hyper["regularizers"]["r1"]["weight"] == 1.0  # the start stays


def test_devices_and_members_do_the_same(trained):
    alone = trained.train(2)
    split = trained.train(2, mode="pmap", devices=2)
    one = population.Population(trained.gan, B, 2, 2, jax.devices()[:1])
    keys = np.array([[0, 3], [0, 4]], np.uint32)
    hypers, optimizers = [trained.hyper] * 2, [population.optimizer_numbers(trained.gan)] * 2
    states = population.init_members(trained.gan, keys, hypers, optimizers)
    placed = one.place(jax.device_get(states), np.ones(2, bool))
    states, _, _ = one.train_steps(*placed, one.place_data({"examples": load_digits()}), 2)
    for other in (split, population.member_of(states, 0)):
        for name in ("generator", "discriminator"):
            pairs = zip(*(jax.tree.leaves(getattr(s, name).params) for s in (alone, other)), strict=True)
            for found, expected in pairs:
                np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_other_ends_are_the_same_program_but_other_forms_are_not():
    """So a population can vary them."""
    base = configure(**SCHEDULED)
    leader = plan.Leader(base, plan.build(base))
    assert leader.is_number("schedules.regularizers.r1.weight.end", 0.2)
    assert leader.is_number("schedules.ema_half_life.num_steps", 3)
    assert not leader.is_number("schedules.regularizers.r1.weight.form", "linear")


def test_nothing_is_said_of_schedules_that_are_not_set():
    assert "schedules" not in experiment.make_hyper(configure())
    said = essential(configure())
    assert not {"schedules", "ema_half_life", "ema_rampup", "generator_batch"} & said.keys()
    said = essential(configure(**SCHEDULED))["schedules"]
    assert said["ema_half_life"] == {"form": "cosine", "end": 100.0, "from_step": 0, "num_steps": 6}
    assert said["discriminator_optimizer"]["adam"].keys() == {"b2"}


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("schedules.ema_decay.end is set, but schedules.ema_decay.form is ''", {"ema_decay.end": 0.5}),
        ("schedules.ema_decay.form='cosin' must be one of", {"ema_decay.form": "cosin"}),
        ("r1.weight is not in use: set regularizers.r1.weight", {"regularizers.r1.weight.form": "linear"}),
        ("set loss.name=hinge|loss.name=least_squares", {"loss.least_squares.a.form": "linear"}),
        ("augment.names=color", {"augment.color.brightness.form": "linear"}),
        ("ema_decay.end=1.5 must lie in", {"ema_decay.form": "linear", "ema_decay.end": 1.5}),
        ("b2.end=1.0 must lie in \\[0.0, 1.0\\)", {
            "generator_optimizer.adam.b2.form": "linear", "generator_optimizer.adam.b2.end": 1.0,
        }),
        ("by factors: both must be above 0", {"ema_decay.form": "exponential"}),
        ("from_step=-1 must be at least 0", {"ema_decay.form": "linear", "ema_decay.from_step": -1}),
    ],
)  # fmt: skip
def test_schedules_that_cannot_be_meant_are_refused(message, changes):
    with pytest.raises(UserError, match=message) as error:
        configure(**{f"schedules__{name.replace('.', '__')}": value for name, value in changes.items()})
    assert len(str(error.value)) < 250


def test_every_number_lies_in_the_state_of_a_config_that_uses_it():
    """The places that are declared are those that `make_hyper` fills."""
    config = tiny_config(
        ema_rampup=0.05, ema_half_life=10.0, label_flip=0.1, instance_noise__stddev=0.1, lookahead_every=2,
        augment__names=("color",), augment__probability=0.5, generator_clip_norm=1.0,
        discriminator_clip_norm=1.0, regularizers__wgan_gp__weight=1.0,
    )  # fmt: skip
    checks.check(config)
    hyper = experiment.make_hyper(config) | {"learning_rate": {"generator": 0, "discriminator": 0}}
    optimizers = {name: OPTIMIZERS["adam"]().init({"w": jnp.zeros(())}).hyperparams for name in (
        "generator", "discriminator"
    )}  # fmt: skip
    flat, checked = fields.flatten(config.to_dict()), 0
    for path, number in numbers().items():
        if number.field and number.place[0] == "augment" and "color" not in path:
            continue
        if all(fields.is_met(need, flat) for need in number.needs if need != "color"):
            tree = optimizers if number.place[0] in optimizers else hyper
            for name in number.place:
                tree = tree[name]
            checked += 1
    assert checked > 20


# --- The averaged generator ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        ({"ema_half_life": 64.0}, 0.5**0.5),  # a batch of 32
        ({"ema_half_life": 1e-8}, 0.0),
        # 3 steps of 32 images: at most .5·96 = 48 of half-life
        ({"ema_half_life": 64.0, "ema_rampup": 0.5}, 0.5 ** (32 / 48)),
        ({"ema_half_life": 40.0, "ema_rampup": 0.5}, 0.5 ** (32 / 40)),
        ({}, 4 / 13),
    ],
)
def test_the_decay_follows_a_half_life_in_images(knobs, expected):
    game = Game(None, jnp.int32(3), make_hyper(ema_decay=0.9, **knobs), None, None)
    np.testing.assert_allclose(steps.ema_decay(game, 32), expected, rtol=1e-6)


def test_a_half_life_replaces_the_decay():
    with pytest.raises(UserError, match="ema_decay is set, but ema_half_life is 5.0"):
        configure(ema_half_life=5.0, ema_decay=0.5)
    with pytest.raises(UserError, match="ema_rampup is set, but ema_half_life is 0.0"):
        configure(ema_rampup=0.05)


# --- The generator's batch ----------------------------------------------------------------------------


def test_a_fresh_batch_is_the_next_one_and_has_latents_of_its_own(trained):
    """The last of two batches moves the generator alone, the first the discriminator alone."""
    gan, state = trained.gan, trained.state
    assert gan.batches == 2
    step = jax.jit(functools.partial(steps.train_step, gan=gan))
    digits = np.asarray(load_digits()[: 4 * B]).reshape(4, B, 8, 8, 1)

    def after(first, second):
        batch = {"examples": jnp.asarray(digits[[first, second]]), "index": jnp.arange(B)}
        return step(state, batch)

    (a, of_a), (b, of_b), (c, _) = after(0, 1), after(0, 2), after(3, 1)

    def same(one, two):
        return all((x == y).all() for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True))

    assert same(a.discriminator.params, b.discriminator.params)
    assert not same(a.discriminator.params, c.discriminator.params)
    assert of_a["diversity"] != of_b["diversity"]  # of the generator's batch


def test_streamed_batches_are_those_from_the_device(trained):
    key, digits, num = np.asarray(data_key(trained.state.key)), load_digits(), 2
    rows = np.stack([order.rows(key, step, 2 * B, len(digits)) for step in range(num)])
    program = parallel.make_program(trained.gan, "jit", B, streamed=True, num_devices=1)
    blocks = program.place_data({"examples": digits[rows].reshape(num, 2, B, 8, 8, 1)})
    streamed, _ = program.train_steps(program.place_state(trained.state), blocks, num)
    for one, two in zip(jax.tree.leaves(trained.train(num)), jax.tree.leaves(streamed), strict=True):
        assert np.asarray(one).tobytes() == np.asarray(two).tobytes()


# --- R3GAN --------------------------------------------------------------------------------------------


def test_r3gan_is_as_published():
    """Burn-in of 20 million images, CIFAR-10; 2 million, Stacked-MNIST; all in batches of 512."""
    config = r3gan.get_config()
    checks.check(config)
    found = experiment.make_hyper(config)["schedules"]
    assert {schedule["num_steps"] for schedule in found.values()} == {round(20e6 / 512 + 0.1)}
    ends = {field: (schedule["start"], schedule["end"]) for field, schedule in found.items()}
    both = ("generator_optimizer", "discriminator_optimizer")
    assert ends == {
        **{f"{network}.adam.learning_rate": (2e-4, 5e-5) for network in both},
        **{f"{network}.adam.b2": (0.9, 0.99) for network in both},
        **{f"regularizers.{name}.weight": (0.05, pytest.approx(0.005)) for name in ("r1", "r2")},
        "ema_half_life": (1e-8, 5e6),
        "augment.probability": (0.0, 0.55),
    }
    assert config.generator_batch == "fresh" and config.discriminator_optimizer.adam.b1 == 0
    halved = dict(zip(config.augment.names, config.augment.multipliers, strict=True))
    assert {name for name, factor in halved.items() if factor == 0.5} == {
        "brightness", "contrast", "luma_flip", "hue", "saturation"
    }  # fmt: skip
    assert {halved[name] for name in ("flip", "quarter_turns", "fractional_translation", "cutout")} == {1}
    gan = experiment.make_gan(config, (32, 32, 3), classes=tuple(range(10)))
    hyper = experiment.make_hyper(config)
    state = jax.eval_shape(functools.partial(init_state, gan, np.array([0, 0], np.uint32), hyper))
    generator, discriminator = state.generator.params, state.discriminator.params
    assert generator["label_embedding"]["embedding"].shape == (10, 64)
    assert generator["project"]["kernel"].shape == (64 + 64, 768)
    assert discriminator["label_embedding"]["embedding"].shape == (10, 768)
    assert discriminator["output"]["kernel"].shape == (768, 768)
    stacked = experiment.make_hyper(r3gan.get_config("stacked_mnist"))["schedules"]
    assert stacked["regularizers.r1.weight"] == {"start": 1.0, "end": 0.1, "from_step": 0, "num_steps": 3906}
    assert stacked["ema_half_life"]["end"] == 5e5 and len(stacked) == 5


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({"regularizers.r1.weight": 0.0}, {"regularizers.r1.weight"}),
        ({"ema_half_life": 0.0}, {"ema_half_life"}),
        ({"augment.names": (), "augment.probability": 1.0}, {"augment.probability"}),
        (
            {"generator_optimizer.name": "sgd"},
            {"generator_optimizer.adam.learning_rate", "generator_optimizer.adam.b2"},
        ),
    ],
)
def test_what_is_switched_off_takes_its_schedule_along(changes, gone):
    config = r3gan.get_config("small")
    before = fields.scheduled(config).keys()
    config.update_from_flattened_dict(changes)
    reset_idle(config, changes, changes)
    checks.check(config)
    assert before - fields.scheduled(config).keys() == gone
