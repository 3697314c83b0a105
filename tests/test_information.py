"""InfoGAN: the bound and its gradients against float64, the two routings, codes in samples and metrics."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conditional import configure, make, make_batch
from gans import load_digits
from scipy import stats

from jaxgan.algorithm.conditions import CONDITIONS, Codes, parse_codes, read_codes
from jaxgan.algorithm.randomness import example_keys
from jaxgan.algorithm.steps import train_step
from jaxgan.errors import UserError
from jaxgan.metrics.codes import code_agreement, information_bounds
from jaxgan.models import GENERATORS
from jaxgan.models.conditional import ConditionalGenerator
from jaxgan.regularizers import CLASS_LOSSES
from jaxgan.regularizers.classes import Said
from jaxgan.regularizers.information import Posterior
from jaxgan.sampler import Sampler

CODES = {
    "condition.name": "codes",
    "condition.codes.categorical": (3, 4),
    "regularizers.information.weight": 1.0,
    "generator_optimizer.name": "sgd",
    "discriminator_optimizer.name": "sgd",
}


def some_codes(num=5, dtype=np.float64):
    rng = np.random.default_rng(0)
    one_hot = tuple(np.eye(k, dtype=dtype)[rng.integers(0, k, num)] for k in (3, 4))
    return Codes(one_hot, rng.uniform(-1, 1, (num, 2)).astype(dtype))


def by_hand(logits, codes, learned, categorical=1.0, continuous=1.0):
    """-(H(c) + log Q(c|x)), example by example with SciPy's densities."""
    losses = []
    for i, row in enumerate(np.float64(logits)):
        log_q, start = 0.0, 0
        for code in codes.categorical:
            part = row[start : start + code.shape[1]]
            log_q += part[code[i].argmax()] - part.max() - np.log(np.exp(part - part.max()).sum())
            start += code.shape[1]
        of_values = 0.0
        for j in range(2):
            std = np.exp(row[start + 2 + j]) if learned else 1.0
            of_values += stats.norm.logpdf(codes.continuous[i, j], row[start + j], std)
        losses.append(
            -categorical * (math.log(3) + math.log(4) + log_q) - continuous * (2 * math.log(2) + of_values)
        )
    return np.array(losses)


@pytest.mark.parametrize("scale", [1.0, 50.0])
@pytest.mark.parametrize("variance", ["fixed", "learned"])
def test_the_bound_and_its_gradient_match_the_formulas(variance, scale):
    weights = {"categorical": 0.7, "continuous": 0.3}
    loss = CLASS_LOSSES["information"](variance=variance, **weights)
    condition = CONDITIONS["codes"]((), categorical=(3, 4))
    learned, codes = variance == "learned", some_codes()
    head = loss.head(condition)
    assert head.outputs == 7 + (4 if learned else 2) and head.hidden == 128
    logits = np.random.default_rng(1).normal(size=(5, head.outputs))
    logits[:, :9] *= scale

    def ours(logits):
        return loss.generator(None, Said(logits, None, {"codes": codes}))

    with jax.enable_x64(True):
        value, gradient = ours(logits), jax.grad(lambda x: jnp.sum(ours(x)))(logits)
    np.testing.assert_allclose(value, by_hand(logits, codes, learned, **weights), rtol=1e-10)
    for place in [(0, 0), (1, 5), (2, 8), (3, head.outputs - 1)]:
        moved = [logits.copy(), logits.copy()]
        for sign, some in zip((1, -1), moved, strict=True):
            some[place] += sign * 1e-6
        high, low = (by_hand(some, codes, learned, **weights).sum() for some in moved)
        np.testing.assert_allclose(gradient[place], (high - low) / 2e-6, rtol=1e-4, atol=1e-5)
    single = loss.discriminator(
        None, Said(jnp.float32(logits), None, {"codes": some_codes(dtype=np.float32)})
    )
    np.testing.assert_allclose(single, value, rtol=1e-4, atol=1e-4)


def test_a_perfect_posterior_of_a_categorical_code_reaches_its_entropy():
    loss = CLASS_LOSSES["information"](continuous=0.0)
    codes = some_codes(dtype=np.float32)
    logits = jnp.concatenate([*(1e4 * code for code in codes.categorical), codes.continuous], axis=1)
    bound = -loss.generator(None, Said(logits, None, {"codes": codes}))
    np.testing.assert_allclose(bound, math.log(12), rtol=1e-6)


@pytest.mark.parametrize("routing", ["both", "generator"])
def test_the_routing_decides_whether_the_trunk_learns_from_the_codes(routing):
    """The term always changes the head's update; it changes the trunk's update only with `both`."""
    gan, state = make(configure(**CODES, **{"regularizers.information.routing": routing}), grow=5.0)
    run, batch = jax.jit(functools.partial(train_step, gan=gan)), make_batch(gan)

    def after(weight):
        numbers = {**state.hyper["regularizers"]["information"], "weight": np.float32(weight)}
        return run(state.replace(hyper={**state.hyper, "regularizers": {"information": numbers}}), batch)[0]

    def moved(name, layer, part):
        one, other = (np.asarray(getattr(after(w), name).params[layer][part]) for w in (0.0, 1.0))
        return bool((one != other).any())

    assert moved("discriminator", "head_information", "kernel")
    assert moved("discriminator", "head_information_hidden", "kernel")
    assert moved("discriminator", "dense_0", "kernel") == (routing == "both")
    assert not moved(
        "discriminator", "output", "kernel"
    )  # above the trunk; the gradient of the codes does not pass it
    assert moved("generator", "dense_0", "kernel") and moved("generator", "output", "kernel")


def test_a_scale_multiplies_the_categorical_codes_in_the_generator_alone():
    codes, z = some_codes(dtype=np.float32), jnp.ones((5, 2))
    network = GENERATORS["mlp"]((4,), hidden=(3,))
    scaled = ConditionalGenerator(network, code_scale=3.0)
    variables = scaled.init(jax.random.key(0), z, codes=codes)
    tripled = codes._replace(categorical=tuple(3 * code for code in codes.categorical))
    expected = ConditionalGenerator(network).apply(variables, z, codes=tripled)
    np.testing.assert_array_equal(scaled.apply(variables, z, codes=codes), expected)


def test_codes_have_the_declared_distribution():
    condition = CONDITIONS["codes"]((), categorical=(3,), continuous=1)
    keys = example_keys(jax.random.key(0), jnp.arange(3000))
    codes = condition.fake(keys, {}, {})["codes"]
    assert np.abs(np.asarray(codes.categorical[0]).mean(axis=0) - 1 / 3).max() < 0.04
    assert np.array_equal(np.asarray(codes.categorical[0]).sum(axis=1), np.ones(3000))
    assert stats.kstest(np.asarray(codes.continuous)[:, 0], "uniform", (-1, 2)).pvalue > 0.01
    correlation = np.corrcoef(codes.categorical[0][:, 0], codes.continuous[:, 0])[0, 1]
    assert abs(correlation) < 0.06


@pytest.fixture(scope="module")
def sampler():
    gan, state = make(configure(**CODES), grow=3.0)
    weights = {"params": state.discriminator.params, "model_state": state.discriminator.model_state}
    ema = {"params": state.generator.params, "model_state": state.generator.model_state}
    return Sampler(gan, jax.device_get(ema), 0, {}, jax.device_get(weights), {})


def test_fixing_a_code_changes_nothing_else(sampler):
    plain, fixed = sampler(seed=1, num=9), sampler(seed=1, num=9, codes={0: 2})
    of_first = sampler.codes(seed=1, num=9).categorical[0].argmax(axis=1)
    same = (plain == fixed).reshape(9, -1).all(axis=1)
    assert same[of_first == 2].all() and not same[of_first != 2].any()
    turns = sampler(seed=1, num=4, codes={0: [2, 1], 2: 0.5})
    assert np.array_equal(turns[::2], sampler(seed=1, num=4, codes={0: 2, 2: 0.5})[::2])
    z = sampler.latents(seed=1, num=9)
    codes = sampler.codes(seed=1, num=9)
    assert np.array_equal(sampler.decode(z, codes=codes), plain)
    fewer, wider = (
        codes._replace(categorical=codes.categorical[:1]),
        codes._replace(continuous=np.ones((9, 3))),
    )
    for wrong in (None, {0: 2}, sampler.codes(seed=1, num=8), fewer, wider):
        with pytest.raises(UserError, match="give Codes with 9 rows, .*: categorical .9, 3., .9, 4.; cont"):
            sampler.decode(z, codes=wrong)


def test_one_code_varies_and_the_rest_is_fixed(sampler):
    varied = sampler.vary_code(1, seed=1, num=3)
    assert varied.shape[0] == 3 * 4
    for value in range(4):
        assert np.array_equal(varied[value::4], sampler(seed=1, num=3, codes={1: value}))
    varied = sampler.vary_code(2, seed=1, steps=3, num=2)
    assert np.array_equal(varied[2::3], sampler(seed=1, num=2, codes={2: 1.0}))
    rows = sampler.rows()
    assert len(rows) == 3 * 8 and np.array_equal(rows[8], sampler(num=1, codes={0: 1})[0])
    assert len(sampler.interpolate(steps=2, pairs=2)) == 4


def test_the_posterior_of_images_is_a_distribution(sampler):
    found = sampler.posterior(load_digits()[:7])
    assert [part.shape for part in found.categorical] == [(7, 3), (7, 4)] and found.mean.shape == (7, 2)
    np.testing.assert_allclose(np.exp(found.categorical[0]).sum(axis=1), 1, rtol=1e-5)


def test_codes_from_a_command_line():
    assert parse_codes(["0:7", " 2:-.5", "0:3", "1:1e-1"]) == {0: [7, 3], 2: [-0.5], 1: [0.1]}
    example = Codes((np.zeros((1, 3)),), np.zeros((1, 0)))
    assert list(read_codes(parse_codes(["0:2", "0:1"]), example)[0]) == [2, 1]
    for text in ("7", "a:1", "0:b", "0:", ":1", "0:1:2", "0:1e", "-1:0"):
        with pytest.raises(UserError, match="--codes=.*NUMBER:VALUE|no number"):
            parse_codes([text])
    with pytest.raises(UserError, match="--codes is empty"):
        parse_codes([])


def test_unknown_codes_are_refused(sampler):
    example = sampler.gan.given_example["codes"]
    for asked, message in (
        ({4: 0}, "number of a code=4 must be at least 0 and below 4"),
        ({0: 3}, r"codes\[0\]=3 must be at least 0 and below 3"),
        ({0: 0.5}, r"codes\[0\]=0.5 must"),
        ({2: float("nan")}, "codes have NaN"),
        ({2: []}, "empty list"),
        ([0, 1], "give a dict"),
        ({"a": 0}, "number of a code"),
    ):
        with pytest.raises(UserError, match=message):
            read_codes(asked, example)
    with pytest.raises(UserError, match="takes none: .* leave them out, or train with condition.name=codes"):
        read_codes({0: 1}, None)
    with pytest.raises(UserError, match="nothing ties fakes to their codes"):
        configure(**CODES | {"regularizers.information.weight": 0.0})
    for weightless in (("categorical", "continuous"), ("continuous",)):
        zero = {f"regularizers.information.{kind}": 0.0 for kind in weightless}
        sizes = {} if len(weightless) == 2 else {"condition.codes.categorical": ()}
        with pytest.raises(UserError, match="weighs every code by 0"):
            configure(**CODES | zero | sizes)
    with pytest.raises(UserError, match="information.hidden is 0"):
        normalized = {"regularizers.information.hidden": 0, "regularizers.information.batch_norm": True}
        configure(**CODES | normalized)
    with pytest.raises(UserError, match="information.continuous=-1.0 must be at least 0"):
        configure(**CODES | {"regularizers.information.continuous": -1.0})
    with pytest.raises(UserError, match="looks at codes: set condition.name=codes"):
        configure(**{"regularizers.information.weight": 1.0})


def test_agreement_of_codes_and_classes_by_hand():
    codes, labels = np.array([0, 0, 1, 1, 2, 2]), np.array([7, 7, 7, 9, 9, 9])
    found = code_agreement(codes, labels, 3)
    assert found["code_purity"] == pytest.approx(4 / 6)  # 0 → 7 and 2 → 9; 1 is not used
    h_code, h_class = math.log(3), math.log(2)
    information = 2 / 3 * math.log(2)
    assert found["code_nmi"] == pytest.approx(information / ((h_code + h_class) / 2))
    assert found["code_evenness"] == pytest.approx(1)
    same = code_agreement(np.array([2, 0, 1]), np.array([0, 1, 2]), 3)
    assert same == {"code_purity": 1, "code_nmi": pytest.approx(1), "code_evenness": pytest.approx(1)}
    constant = code_agreement(np.zeros(4, int), np.array([0, 0, 1, 1]), 5)
    assert constant == {"code_purity": 0.5, "code_nmi": 0, "code_evenness": 0}
    assert str(constant["code_evenness"]) == "0.0"


def test_information_bounds_of_known_posteriors():
    codes = some_codes(2000)
    sure = tuple(np.log(np.maximum(code, 1e-9)) for code in codes.categorical)
    noisy = codes.continuous + np.random.default_rng(2).normal(0, 0.1, (2000, 2))
    found = information_bounds(codes, Posterior(sure, noisy, np.zeros_like(noisy)))
    assert found["code_information_0"] == pytest.approx(math.log(3), rel=1e-6)
    gaussian = math.log(2) - math.log(0.1) - math.log(2 * math.pi * math.e) / 2
    assert found["code_information_3"] == pytest.approx(gaussian, abs=0.05)
    blind = tuple(np.full_like(code, -math.log(code.shape[1])) for code in codes.categorical)
    found = information_bounds(codes, Posterior(blind, np.zeros_like(noisy), np.zeros_like(noisy)))
    assert abs(found["code_information_1"]) < 1e-9
    assert found["code_information_2"] == pytest.approx(
        math.log(2) - math.log(2 * math.pi * math.e / 3) / 2, abs=0.05
    )
