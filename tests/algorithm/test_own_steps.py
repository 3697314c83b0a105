"""Penalties with an optimizer step of their own, and guards against NaN, against values by hand."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gans import make_gan, make_state
from runs import tiny_config

from jaxgan.algorithm import steps
from jaxgan.algorithm.gan import Regularizer
from jaxgan.algorithm.guards import NONFINITE
from jaxgan.config import checks, experiment
from jaxgan.config.essential import essential
from jaxgan.config.schedules import for_own_steps
from jaxgan.errors import UserError
from jaxgan.losses import LOSSES
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.optimizers import SCHEDULES
from jaxgan.regularizers import FAMILIES

B, POINTS = 4, (2,)


def make_linear(**overrides):
    """x = zW + c, logit = xw + b, rates .1, plain descent."""
    networks = {
        "generator": GENERATORS["mlp"](POINTS, hidden=()),
        "discriminator": DISCRIMINATORS["mlp"](POINTS, hidden=()),
    }
    return make_gan(shape=POINTS, **{**networks, "loss": LOSSES["wasserstein"], **overrides})


def r1(interval, own_step):
    build = FAMILIES["gradient"].bind("r1")[0]
    return {"r1": Regularizer("gradient", build, interval, SCHEDULES["constant"], own_step)}


R1 = {"regularizers": {"r1": {"weight": 2.0, "schedule": {}, "fields": {}}}}


def batch(value=1.0):
    examples = np.random.default_rng(0).normal(value, 0.5, (1, B, 2)).astype(np.float32)
    return {"examples": jnp.asarray(examples), "index": jnp.arange(B)}


def train(gan, state, num, data=None):
    step, found = jax.jit(functools.partial(steps.train_step, gan=gan)), []
    for _ in range(num):
        state, metrics = step(state, data or batch())
        found.append((state, metrics))
    return found


def weight(state):
    return np.float64(state.discriminator.params["output"]["kernel"] if "output" in state.discriminator.params
                      else jax.tree.leaves(state.discriminator.params)[1])  # fmt: skip


@pytest.mark.parametrize("interval", [1, 2])
def test_a_penalty_takes_a_step_of_its_own(interval):
    """R1 of a linear critic is ½‖w‖²: its step is w ← w - .1·k·2·w, after that of the loss."""
    plain, own = make_linear(), make_linear(regularizers=r1(interval, True))
    (after, _) = train(plain, make_state(plain), 1)[0]
    (first, metrics), (second, later) = train(own, make_state(own, **R1), 2)
    np.testing.assert_allclose(weight(first), weight(after) * (1 - 0.2 * interval), rtol=1e-5)
    expected = interval * (weight(after) ** 2).sum() / 2
    np.testing.assert_allclose(metrics["discriminator/r1"], expected, rtol=1e-5)
    assert int(first.discriminator.step) == 2  # optimizer steps
    assert int(second.discriminator.step) == (4 if interval == 1 else 3)
    assert (later["discriminator/r1"] == 0) == (interval == 2)


def test_own_steps_lower_rates_and_betas_as_published():
    """k = 16: lr·16/17, β^(16/17), of the discriminator alone, and of its schedules."""
    given = {
        "discriminator__mlp__dropout": 0.0, "discriminator_optimizer__adam__b1": 0.0,
        "regularizers__r1__weight": 1.0, "regularizers__r1__interval": 16, "regularizers__r1__own_step": True,
        "schedules__discriminator_optimizer__adam__b2__form": "linear",
        "schedules__discriminator_optimizer__adam__b2__end": 0.9,
    }  # fmt: skip
    config = tiny_config(**given)
    checks.check(config)
    gan = experiment.make_gan(config, (8, 8, 1))
    assert gan.regularizers["r1"].own_step
    numbers = gan.discriminator_optimizer.init({"w": jnp.zeros(())}).hyperparams
    found = [numbers[name] for name in ("learning_rate", "b1", "b2")]
    np.testing.assert_allclose(found, [0.01 * 16 / 17, 0.0, 0.999 ** (16 / 17)], rtol=1e-6)
    others = gan.generator_optimizer.init({"w": jnp.zeros(())}).hyperparams
    np.testing.assert_allclose(others["learning_rate"], 0.01, rtol=1e-6)
    (schedule,) = experiment.make_hyper(config)["schedules"].values()
    assert schedule["end"] == pytest.approx(0.9 ** (16 / 17))
    assert essential(config)["regularizers"]["r1"]["own_step"]
    config.regularizers.r1.own_step = False
    assert "own_step" not in essential(config)["regularizers"]["r1"]
    assert for_own_steps(config, {"b2": 0.9}) == {"b2": 0.9}


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("only gradient penalties", {"lecam__own_step": True, "lecam__weight": 1.0}),
        ("take that step together", {
            "r1__weight": 1.0, "r1__own_step": True, "r1__interval": 4,
            "r2__weight": 1.0, "r2__own_step": True,
        }),
        ("set regularizers.r1.weight", {"r1__own_step": True}),
    ],
)  # fmt: skip
def test_own_steps_that_cannot_be_are_refused(message, changes):
    config = tiny_config(**{f"regularizers__{name}": value for name, value in changes.items()})
    with pytest.raises(UserError, match=message) as error:
        checks.check(config)
    assert len(str(error.value)) < 250


# --- NaN and infinity ---------------------------------------------------------------------------------


@pytest.mark.parametrize("how", NONFINITE)
def test_gradients_that_are_not_finite(how):
    """A NaN in an image makes the discriminator's gradient by w NaN in one coordinate, not by b."""
    gan = make_linear(nonfinite=how)
    state, data = make_state(gan), batch()
    data = {**data, "examples": data["examples"].at[0, 0, 0].set(jnp.nan)}
    ((after, metrics),) = train(gan, state, 1, data)
    moved = np.abs(weight(after) - weight(state))[:, 0]
    if how == "keep":
        assert np.isnan(weight(after)).any() and "discriminator_nonfinite" not in metrics
        return
    assert all(np.isfinite(value) for value in metrics.values())
    assert metrics["discriminator_nonfinite"] == 1 and metrics["generator_nonfinite"] == 0
    assert (moved[0], moved[1] > 0) == (0, how == "replace")
    if how == "skip":
        for new, old in zip(
            jax.tree.leaves(after.discriminator), jax.tree.leaves(state.discriminator), strict=True
        ):
            np.testing.assert_array_equal(new, old)
    ((sound, clean),) = train(gan, state, 1)
    ((plain, _),) = train(make_linear(), state, 1)
    assert clean["discriminator_nonfinite"] == 0
    np.testing.assert_array_equal(weight(sound), weight(plain))


def test_infinite_gradients_become_large_ones():
    gan = make_linear(nonfinite="replace")
    data = batch()
    data = {**data, "examples": data["examples"].at[0, 0, 0].set(jnp.inf)}
    state = make_state(gan)
    ((after, _),) = train(gan, state, 1, data)
    # the loss falls by -D(x): the gradient is -∞, and the step .1·1e5
    np.testing.assert_allclose((weight(after) - weight(state))[0, 0], 1e4, rtol=1e-5)


class Normed(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(1)(nn.BatchNorm(use_running_average=not train)(x))[:, 0]


def test_after_replaced_gradients_statistics_and_memories_are_finite():
    """Batch norm's running averages and LeCam's mean logits of a batch with NaN keep their old numbers."""
    build = FAMILIES["logit"].bind("lecam")[0]
    entry = Regularizer("logit", build, 1, SCHEDULES["constant"], False)
    gan = make_linear(nonfinite="replace", regularizers={"lecam": entry}, discriminator=Normed())
    state = make_state(gan, regularizers={"lecam": {"weight": 0.3, "schedule": {}, "fields": {}}})
    data = {**batch(), "examples": batch()["examples"].at[0, 0, 0].set(jnp.nan)}
    ((bad, metrics),) = train(gan, state, 1, data)
    assert metrics["discriminator_nonfinite"] > 0
    ((after, metrics),) = train(gan, bad, 1)
    assert metrics["discriminator_nonfinite"] == 0 and metrics["discriminator/lecam"] > 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after.discriminator))


def test_a_penalty_s_own_gradient_that_is_not_finite_leaves_out_its_step_alone():
    gan = make_linear(regularizers=r1(1, True), nonfinite="skip")
    large = {"regularizers": {"r1": {"weight": 3e38, "schedule": {}, "fields": {}}}}
    state = make_state(gan, **large)
    state = state.replace(discriminator=enlarged(state.discriminator))  # ∇½‖w‖² = w, times 3e38
    ((after, metrics),) = train(gan, state, 1)
    ((plain, _),) = train(make_linear(), state, 1)
    assert metrics["discriminator_nonfinite"] == 2 and int(after.discriminator.step) == 1
    np.testing.assert_array_equal(weight(after), weight(plain))


def enlarged(network):
    return network.replace(params=jax.tree.map(lambda leaf: 1e3 * leaf, network.params))
