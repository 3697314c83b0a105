"""Class losses in the training step: which networks their gradients update, on one or more devices."""

import functools

import jax
import numpy as np
import pytest
from conditional import configure, digit_labels, make, make_batch
from gans import load_digits

from jaxgan.algorithm.steps import train_step
from jaxgan.devices import parallel
from jaxgan.errors import UserError
from jaxgan.sampler import Sampler

HEADS = {"condition.labels.discriminator": "none"}
SGD = {
    "generator_optimizer.name": "sgd",
    "discriminator_optimizer.name": "sgd",
    "generator_optimizer.sgd.learning_rate": 0.1,
    "discriminator_optimizer.sgd.learning_rate": 0.1,
}


def with_loss(name, **changes):
    return configure(**HEADS | SGD | {f"regularizers.{name}.weight": 1.0} | changes)


def step(config, change=lambda state: state):
    gan, state = make(config, grow=5.0)
    state = change(state)
    after, metrics = jax.jit(functools.partial(train_step, gan=gan))(state, make_batch(gan))
    return state, after, metrics


@pytest.mark.parametrize(("fakes", "moves"), [(False, False), (True, True)])
def test_the_classifier_learns_from_fakes_only_if_configured(fakes, moves):
    """With another generator, the update of the head is bitwise equal unless it learns from fakes."""

    def other(state):
        params = jax.tree.map(lambda leaf: -leaf, state.generator.params)
        return state.replace(generator=state.generator.replace(params=params))

    config = with_loss("ac", **{"regularizers.ac.fakes": fakes})
    heads = [
        step(config, change)[1].discriminator.params["head_ac"]["kernel"] for change in (lambda s: s, other)
    ]
    assert moves == bool((np.asarray(heads[0]) != np.asarray(heads[1])).any())


def test_the_class_loss_of_the_generator_does_not_update_the_discriminator():
    """With an adversarial loss of weight 0 the generator learns only from the class loss."""
    config = with_loss("ac", **{"regularizers.feature_matching.weight": 1.0})
    gan, state = make(config, grow=5.0)
    batch = make_batch(gan)
    run = jax.jit(functools.partial(train_step, gan=gan))

    def weigh(**weights):
        numbers = {n: {**v, "weight": np.float32(weights[n])} for n, v in state.hyper["regularizers"].items()}
        loss_weight = {"generator": np.float32(0), "discriminator": np.float32(1)}
        return state.replace(hyper={**state.hyper, "regularizers": numbers, "loss_weight": loss_weight})

    still, _ = run(weigh(ac=0, feature_matching=0), batch)
    moved, _ = run(weigh(ac=1, feature_matching=0), batch)
    changes = [
        jax.tree.leaves(
            jax.tree.map(lambda a, b: np.abs(a - b).max(), s.generator.params, state.generator.params)
        )
        for s in (still, moved)
    ]
    assert max(changes[0]) == 0 and min(changes[1]) > 0
    untouched = np.asarray(still.discriminator.params["head_ac"]["kernel"])
    assert (untouched == np.asarray(state.discriminator.params["head_ac"]["kernel"])).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ac", "contrastive", "d2d_ce", "multi_hinge", "adc"])
def test_under_pmap_class_losses_see_the_whole_batch(name):
    _compare(name)


def test_under_pmap_a_coupled_class_loss_sees_the_whole_batch():
    _compare("d2d_ce")


def _compare(name):
    config = with_loss(name, **{"generator.mlp.batch_norm": False})

    def train(mode, num_devices):
        gan, state = make(config, parallel.AXIS if mode == "pmap" else None, grow=5.0)
        program = parallel.make_program(gan, mode, 8, num_devices=num_devices)
        data = program.place_data({"examples": load_digits(), "labels": digit_labels()})
        state, metrics = program.train_steps(program.place_state(state), data, 2)
        return jax.device_get((state.discriminator.params, metrics))

    (params, metrics), (expected, wanted) = train("pmap", 2), train("jit", 1)
    for found, leaf in zip(jax.tree.leaves(params), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(found, leaf, rtol=1e-3, atol=2e-5)
    for key in (f"discriminator/{name}", f"generator/{name}"):
        np.testing.assert_allclose(metrics[key], wanted[key], rtol=1e-3)


def test_projection_classifies_by_the_highest_logit():
    config = configure(**{"condition.labels.discriminator": "projection", "loss.name": "hinge"})
    gan, state = make(config, grow=5.0)
    weights = {"params": state.discriminator.params, "model_state": state.discriminator.model_state}
    sampler, digits = Sampler(gan, {}, 0, {}, weights, {}), load_digits()[:20]
    logits = np.stack([sampler.judge(digits, labels=label) for label in range(10)], axis=1)
    assert np.array_equal(sampler.classify(digits), logits.argmax(axis=1))
    assert sampler.classify(digits[:0]).shape == (0,)
    generator = {"params": state.generator.params, "model_state": state.generator.model_state}
    with pytest.raises(UserError, match="codes are given, but this generator takes none"):
        Sampler(gan, generator, 0, {}, weights, {}).decode(np.zeros((1, 4)), [1], codes={0: 1})
    np.testing.assert_allclose(sampler.judge(digits), logits.mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize("name", ["ac", "adc"])
def test_the_discriminator_learns_to_classify_the_digits(name):
    changes = {"discriminator.mlp.hidden": (32,), "discriminator_optimizer.sgd.learning_rate": 0.05}
    config = with_loss(name, **changes | {"loss.name": "hinge"})
    gan, state = make(config, grow=3.0)
    program = parallel.make_program(gan, "jit", 64, num_devices=1)
    data = program.place_data({"examples": load_digits(), "labels": digit_labels()})
    state, _ = program.train_steps(program.place_state(state), data, 300)
    weights = {"params": state.discriminator.params, "model_state": state.discriminator.model_state}
    sampler = Sampler(gan, state.ema, 0, {}, jax.device_get(weights), {})
    found = sampler.classify(load_digits()[:500])
    assert np.mean(found == digit_labels()[:500]) > 0.8


def test_contradictory_class_losses_are_refused():
    for changes, message in (
        ({"regularizers.tac.weight": 1.0}, "regularizers.tac is a twin of ac"),
        (
            {
                "regularizers.ac.weight": 1.0,
                "regularizers.tac.weight": 1.0,
                "regularizers.tac.base": "d2d_ce",
            },
            "twin of d2d_ce",
        ),
        ({"regularizers.d2d_ce.weight": 1.0, "accumulate": 2}, "d2d_ce looks at the whole batch"),
        (
            {"regularizers.ac.weight": 1.0, "condition.name": "none"},
            "looks at labels: set condition.name=labels",
        ),
        ({"regularizers.ac.fakes": True}, "its weight is 0"),
        (
            {"regularizers.contrastive.weight": 1.0, "regularizers.contrastive.temperature": 0.0},
            "contrastive.temperature=0.0 must be above 0",
        ),
        (
            {"regularizers.d2d_ce.weight": 1.0, "regularizers.d2d_ce.margin": 1.5},
            r"d2d_ce.margin=1.5 must lie in \[0, 1\]",
        ),
        (
            {"regularizers.multi_hinge.weight": 1.0, "regularizers.multi_hinge.generator": -0.1},
            "multi_hinge.generator=-0.1 must be at least 0",
        ),
    ):
        heads = {} if "condition.name" in changes else HEADS
        with pytest.raises(UserError, match=message) as error:
            configure(**heads | changes)
        assert "\n" not in str(error.value) and len(str(error.value)) < 300
    configure(**HEADS, **{"regularizers.ac.weight": 1.0, "accumulate": 2})
