"""Conditions with losses, penalties and tricks: every pair of choices is traced, and each loss trains.

Pairs are traced and not run: shapes, names of what is given and what is carried are seen in that.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conditional import CLASSES, configure, digit_labels, make, make_batch

from jaxgan.algorithm.gan import init_state
from jaxgan.algorithm.steps import train_step
from jaxgan.config import experiment
from jaxgan.errors import UserError
from jaxgan.losses import LOSSES

# The choices; each is some fields.
FACTORS = {
    "generator": {how: {"condition.labels.generator": how} for how in ("joined", "batch_norm")},
    "discriminator": {
        how: {"condition.labels.discriminator": how} for how in ("none", "joined", "projection", "select")
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
NAMES = list(FACTORS)


def allowed(choice):
    """What is refused by design: see `config.conditions.check_condition` and `config.checks`."""
    compared = choice.get("loss") == "relativistic_pairing" or choice.get("penalty") == "wgan_gp"
    return not (
        (compared and choice.get("fakes") in ("data", "uniform"))
        or (choice.get("discriminator") == "none" and choice.get("class loss") == "")
        or (choice.get("trick") == "top-k" and choice.get("loss") == "relativistic_average")
        or (choice.get("trick") == "unrolling" and choice.get("penalty") == "icr")
    )


def fields_of(choice):
    return functools.reduce(lambda fields, item: fields | FACTORS[item[0]][item[1]], choice.items(), {})


def pairs_of(choice):
    return set(itertools.combinations(choice.items(), 2))


def all_pairs():
    """Choices of all factors, with every allowed pair among them: greedily, the most new ones first."""
    wanted = set()
    for one, other in itertools.combinations(NAMES, 2):
        for a, b in itertools.product(FACTORS[one], FACTORS[other]):
            if allowed({one: a, other: b}):
                wanted.add(((one, a), (other, b)))
    rows = []
    while wanted:
        choice = dict(min(wanted))
        for name in NAMES:
            if name not in choice:
                tried = [{**choice, name: level} for level in FACTORS[name]]
                tried = [{k: t[k] for k in NAMES if k in t} for t in tried if allowed(t)]
                choice = max(tried, key=lambda t: len(pairs_of(t) & wanted))
        choice = {name: choice[name] for name in NAMES}
        rows.append(choice)
        wanted -= pairs_of(choice)
    return rows


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


@pytest.mark.parametrize("choice", all_pairs(), ids=lambda choice: "-".join(map(str, choice.values())))
def test_every_pair_of_choices_is_a_step(choice):
    trace(choice)


@pytest.mark.slow
@pytest.mark.parametrize("discriminator", FACTORS["discriminator"])
@pytest.mark.parametrize("loss", FACTORS["class loss"])
@pytest.mark.parametrize("penalty", FACTORS["penalty"])
def test_the_product_of_heads_and_penalties(discriminator, loss, penalty):
    for rest in itertools.product(FACTORS["generator"], FACTORS["fakes"], FACTORS["loss"], FACTORS["trick"]):
        levels = (rest[0], discriminator, loss, rest[1], penalty, rest[2], rest[3])
        choice = dict(zip(NAMES, levels, strict=True))
        if allowed(choice):
            trace(choice)


def test_what_is_not_allowed_is_refused():
    for choice in (
        {"loss": "relativistic_pairing", "fakes": "data"},
        {"penalty": "wgan_gp", "fakes": "uniform"},
        {"discriminator": "none", "class loss": ""},
    ):
        assert not allowed(choice)
        with pytest.raises(UserError):
            configure(**fields_of(choice))


@pytest.mark.parametrize("loss", [*LOSSES])
def test_every_adversarial_loss_trains_with_projection(loss):
    if loss == "cubic":
        return  # of tests/own_components.py, where that was read
    gan, state = make(configure(**{"condition.labels.discriminator": "projection", "loss.name": loss}))
    after, metrics = train_step(state, make_batch(gan), gan=gan)
    assert all(np.isfinite(value) for value in metrics.values())
    moved = jnp.abs(
        after.discriminator.params["projection"]["kernel"]
        - state.discriminator.params["projection"]["kernel"]
    )
    assert moved.max() > 0
