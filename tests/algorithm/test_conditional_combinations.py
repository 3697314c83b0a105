"""Conditions with losses, penalties and tricks: every pair of choices is traced, and each loss trains.

Pairs are only traced, not run: tracing checks shapes, arguments and the structure of the state.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cells import pairs
from conditional import CLASSES, configure, digit_labels, make, make_batch

from jaxgan.algorithm.gan import init_state
from jaxgan.algorithm.steps import train_step
from jaxgan.config import experiment
from jaxgan.errors import UserError
from jaxgan.losses import LOSSES

# The choices. Each is a dict of fields.
FACTORS = {
    "generator": {how: {"condition.labels.generator": how} for how in ("joined", "batch_norm")},
    "discriminator": {
        how: {"condition.labels.discriminator": how}
        for how in ("none", "joined", "projection", "select", "inner_product")
    },
    "class loss": {
        "": {},
        **{name: {f"regularizers.{name}.weight": 1.0}
           for name in ("ac", "adc", "multi_hinge", "contrastive", "d2d_ce")},
        "tac": {"regularizers.ac.weight": 1.0, "regularizers.tac.weight": 1.0},
    },
    "fakes": {how: {"condition.labels.fakes": how} for how in ("auto", "paired", "data", "uniform")},
    "penalty": {
        "": {},
        "r1 and r2": {"regularizers.r1.weight": 1.0, "regularizers.r2.weight": 1.0},
        "wgan_gp": {"regularizers.wgan_gp.weight": 1.0},
        "lecam": {"regularizers.lecam.weight": 1.0},
        "icr": {"regularizers.bcr.weight": 1.0, "regularizers.zcr.weight": 1.0,
                "consistency_augment.names": ("flip",)},
        "feature_matching": {"regularizers.feature_matching_l1.weight": 1.0},
    },
    "loss": {name: {"loss.name": name} for name in
             ("hinge", "nonsaturating", "relativistic_pairing", "relativistic_average")},
    "trick": {
        "": {},
        "three to one": {"discriminator_steps": 3},
        "one to two": {"generator_steps": 2},
        "unrolling": {"unrolled_steps": 1, "discriminator_optimizer.adam.eps_root": 1e-16},
        "bfloat16": {"compute_dtype": "bfloat16"},
        "top-k": {"top_k": 4},
    },
}  # fmt: skip
AXES = {name: list(levels) for name, levels in FACTORS.items()}


def is_told(choice):
    """Whether any loss depends on the labels of the fakes."""
    return choice["discriminator"] != "none" or choice["class loss"] != ""


# Combinations that are not refused by design: see `config.conditions.check_condition` and `config.checks`.
ALLOWED = {
    ("loss", "fakes"): lambda c: c["loss"] != "relativistic_pairing" or c["fakes"] in ("auto", "paired"),
    ("penalty", "fakes"): lambda c: c["penalty"] != "wgan_gp" or c["fakes"] in ("auto", "paired"),
    ("discriminator", "class loss"): is_told,
    ("trick", "loss"): lambda c: c["trick"] != "top-k" or c["loss"] != "relativistic_average",
    ("trick", "penalty"): lambda c: c["trick"] != "unrolling" or c["penalty"] != "icr",
}


def fields_of(choice):
    return functools.reduce(lambda fields, item: fields | FACTORS[item[0]][item[1]], choice.items(), {})


def trace(choice):
    config = configure(**fields_of(choice))
    gan = experiment.make_gan(config, (8, 8, 1), None, CLASSES)
    hyper = experiment.make_hyper(config, digit_labels())
    state = jax.eval_shape(lambda: init_state(gan, np.zeros(2, np.uint32), hyper))
    after, metrics = jax.eval_shape(functools.partial(train_step, gan=gan), state, make_batch(gan))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
        lambda x: (x.shape, x.dtype), state
    )
    if choice["class loss"]:
        assert f"generator/{choice['class loss']}" in metrics


def name(choice):
    return "-".join(choice.values())


@pytest.mark.parametrize("choice", pairs(AXES, ALLOWED), ids=name)
def test_every_pair_of_choices_gives_a_step(choice):
    trace(choice)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(8))
def test_every_triple_of_choices_gives_a_step(first):
    for choice in pairs(AXES, ALLOWED, strength=3)[first::8]:
        trace(choice)


@pytest.mark.slow
@pytest.mark.parametrize("discriminator", FACTORS["discriminator"])
@pytest.mark.parametrize("loss", FACTORS["class loss"])
def test_all_combinations_that_change_the_losses_give_a_step(discriminator, loss):
    """Without tricks, and with automatic labels of the fakes."""
    rest = {"discriminator": discriminator, "class loss": loss, "fakes": "auto", "trick": ""}
    if not is_told(rest):
        pytest.skip("refused")
    names = "generator", "penalty", "loss"
    for levels in itertools.product(*(FACTORS[name] for name in names)):
        trace(rest | dict(zip(names, levels, strict=True)))


@pytest.mark.parametrize("choice", [
    {"loss": "relativistic_pairing", "fakes": "data"},
    {"penalty": "wgan_gp", "fakes": "uniform"},
    {"discriminator": "none", "class loss": ""},
], ids=name)  # fmt: skip
def test_what_is_not_allowed_is_refused(choice):
    assert not all(rule(choice) for names, rule in ALLOWED.items() if {*names} <= {*choice})
    with pytest.raises(UserError):
        configure(**fields_of(choice))


@pytest.mark.parametrize("loss", sorted({*LOSSES} - {"cubic"}))  # registered by tests/own_components.py
def test_every_adversarial_loss_trains_with_projection(loss):
    gan, state = make(configure(**{"condition.labels.discriminator": "projection", "loss.name": loss}))
    after, metrics = train_step(state, make_batch(gan), gan=gan)
    assert all(np.isfinite(value) for value in metrics.values())
    moved = jnp.abs(
        after.discriminator.params["projection"]["kernel"]
        - state.discriminator.params["projection"]["kernel"]
    )
    assert moved.max() > 0
