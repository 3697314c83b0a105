"""Each trick of the two updates against a float64 reference, on a linear game.

The game: fakes x = zW + c, logits xw + b, gradient descent with learning rate 0.1.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gans import enlarge, make_gan, make_state

from jaxgan.algorithm.gan import Regularizer
from jaxgan.algorithm.randomness import example_keys, named_keys
from jaxgan.algorithm.steps import train_step
from jaxgan.losses import LOSSES, identification, real_or_fake
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.models.multi import MultiGenerator
from jaxgan.optimizers import SCHEDULES
from jaxgan.regularizers import FAMILIES, family_of

B, RATE, POINTS = 8, 0.1, (2,)


def make_linear(packing=1, outputs=1, num_generators=1, **overrides):
    generator = GENERATORS["mlp"](POINTS, hidden=())
    if num_generators > 1:
        generator = MultiGenerator(generator, num_generators)
    discriminator = DISCRIMINATORS["mlp"]((2 * packing,), None, outputs, hidden=())
    fields = {"packing": packing, "num_generators": num_generators, **overrides}
    return make_gan(shape=POINTS, generator=generator, **{"discriminator": discriminator, **fields})


def start(gan, **knobs):
    return enlarge(make_state(gan, **knobs), 40.0)


def make_batch(n_d=1, seed=0):
    points = np.random.default_rng(seed).normal([1.0, -0.5], 0.7, (n_d, B, 2))
    return {"examples": jnp.float32(points), "index": jnp.arange(B)}


def step(gan, state, batch=None, num=1):
    """The state after some steps, and the metrics of each step; without jit."""
    metrics = []
    for _ in range(num):
        state, values = train_step(state, batch or make_batch(gan.discriminator_steps), gan=gan)
        metrics.append({name: float(value) for name, value in values.items()})
    return state, metrics


def critic(state):
    """(w [2m, outputs], b [outputs]) in float64."""
    output = state.discriminator.params["output"]
    return np.float64(output["kernel"]), np.float64(output["bias"])


def generator(state):
    """(W [latent, 2], c [2]) in float64."""
    output = state.generator.params["output"]
    return np.float64(output["kernel"]), np.float64(output["bias"])


def keys(state, i=0, n_d=1):
    """The keys of a step's i-th discriminator update."""
    key = jax.random.wrap_key_data(state.key, impl="threefry2x32")
    return jax.random.split(jax.random.fold_in(key, state.step + 1), n_d)[i]


def latents(gan, state):
    return np.float64(gan.sample_latents(named_keys(keys(state), "latent"), jnp.arange(B)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def moves(gan, state, after):
    """(dw, db, dW, dc): the gradients of both updates."""
    old, new = (*critic(state), *generator(state)), (*critic(after), *generator(after))
    return [(a - b) / RATE for a, b in zip(old, new, strict=True)]


def by_hand(gan, state, real_weight=1.0, fake_weight=1.0, generator_weight=1.0, swap=None):
    """The gradients of the non-saturating game, with weights of the examples' terms (`[B]` or a number)."""
    (w, b), (big_w, c) = critic(state), generator(state)
    real, z = np.float64(make_batch()["examples"][0]), latents(gan, state)
    fake = z @ big_w + c
    swap = np.zeros(B, bool) if swap is None else swap
    as_real = np.where(swap[:, None], fake, real)
    as_fake = np.where(swap[:, None], real, fake)
    d_real = -sigmoid(-(as_real @ w + b)[:, 0]) * real_weight / B
    d_fake = sigmoid((as_fake @ w + b)[:, 0]) * fake_weight / B
    dw = (as_real.T @ d_real + as_fake.T @ d_fake)[:, None]
    db = np.array([d_real.sum() + d_fake.sum()])
    new_w, new_b = w - RATE * dw, b - RATE * db
    d_images = (-sigmoid(-(fake @ new_w + new_b)[:, 0]) * generator_weight / B)[:, None] * new_w.T
    return dw, db, z.T @ d_images, d_images.sum(axis=0)


def assert_moves(found, expected, rtol=2e-4):
    for value, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=rtol, atol=3e-5)


def penalty(name, interval=1, schedule="constant", **static):
    family = family_of(name)
    build, _ = FAMILIES[family].bind(name, **static)
    return {name: Regularizer(family, build, interval, SCHEDULES[schedule])}


def weighted(name, weight, schedule=None, **fields):
    return {"regularizers": {name: {"weight": weight, "schedule": schedule or {}, "fields": fields}}}


def test_without_tricks_updates_match_the_reference():
    gan = make_linear()
    state = start(gan)
    assert_moves(moves(gan, state, step(gan, state)[0]), by_hand(gan, state))


def test_the_discriminator_s_loss_has_its_weight():
    gan = make_linear()
    state = start(gan, loss_weight={"generator": 1.0, "discriminator": 0.25})
    after, _ = step(gan, state)
    full = by_hand(gan, state)
    assert_moves(moves(gan, state, after)[:2], [0.25 * full[0], 0.25 * full[1]])


def test_flipped_labels_swap_real_and_fake():
    gan = make_linear()
    state = start(gan, label_flip=0.5)
    draws = named_keys(example_keys(keys(state), jnp.arange(B)), "flip")
    swap = np.asarray(jax.vmap(lambda key: jax.random.bernoulli(key, 0.5))(draws))
    assert 0 < swap.sum() < B
    assert_moves(moves(gan, state, step(gan, state)[0]), by_hand(gan, state, swap=swap))


def test_class_weights_apply_to_the_discriminator_s_loss():
    gan, labels = make_linear(), np.arange(B) % 3
    state = start(gan, class_weights=np.array([0.5, 1.0, 2.5]))
    after, _ = step(gan, state, {**make_batch(), "labels": jnp.asarray(labels)[None]})
    weights = np.array([0.5, 1.0, 2.5])[labels]
    assert_moves(moves(gan, state, after), by_hand(gan, state, real_weight=weights, fake_weight=weights))


@pytest.mark.parametrize(
    ("num_steps", "t", "k"), [(0, 0, 3), (10, 0, 8), (10, 5, 4), (10, 10, 3), (10, 99, 3)]
)
def test_the_generator_learns_from_its_k_best_fakes(num_steps, t, k):
    """k falls from 8 to 3: after half of the steps it is ⌊8·√(3/8)⌋ = 4."""
    gan = make_linear()
    state = start(gan, top_k={"k": 3, "num_steps": num_steps}).replace(step=jnp.int32(t))
    after, _ = step(gan, state)
    (w, b), (big_w, c) = critic(after), generator(state)
    logits = ((latents(gan, state) @ big_w + c) @ w + b)[:, 0]
    weights = np.where(logits >= np.sort(logits)[-k], B / k, 0)
    assert_moves(moves(gan, state, after), by_hand(gan, state, generator_weight=weights))


@pytest.mark.parametrize("name", ["generator", "discriminator"])
def test_a_clipped_gradient_keeps_its_direction(name):
    gan = make_linear()
    state = start(gan, clip_norm={name: 0.01})
    found, free = moves(gan, state, step(gan, state)[0]), by_hand(gan, state)
    part = slice(0, 2) if name == "discriminator" else slice(2, 4)
    norm = np.sqrt(sum((leaf**2).sum() for leaf in free[part]))
    assert norm > 0.02
    if name == "discriminator":
        assert_moves(found[part], [0.01 * leaf / norm for leaf in free[part]], rtol=1e-2)
    np.testing.assert_allclose(np.sqrt(sum((leaf**2).sum() for leaf in found[part])), 0.01, rtol=1e-2)
    loose = start(gan, clip_norm={name: 1e3})
    assert_moves(moves(gan, loose, step(gan, loose)[0]), free)


def test_a_lazy_penalty_acts_in_every_third_update_three_times_as_strongly():
    """R1 of a linear critic is ½‖w‖² and its gradient w; the schedule falls linearly over 10 steps."""
    gan = make_linear(regularizers=penalty("r1", interval=3, schedule="linear"))
    state = start(gan, **weighted("r1", 0.5, {"num_steps": 10}))
    for t in range(7):
        w, _ = critic(state)
        free = by_hand(gan, state)
        after, (metrics,) = step(gan, state)
        strength = 3 * 0.5 * (1 - t / 10) if t % 3 == 0 else 0.0
        assert_moves(moves(gan, state, after)[:2], [free[0] + strength * w, free[1]])
        value = 3 * 0.5 * (w**2).sum() if t % 3 == 0 else 0.0
        np.testing.assert_allclose(metrics["discriminator/r1"], value, rtol=1e-4)
        state = after


def test_lazy_penalties_count_discriminator_updates():
    """Of updates 0 to 11 the even ones have a penalty. Metrics are means over the three updates of a step."""
    gan = make_linear(discriminator_steps=3, regularizers=penalty("r1", interval=2))
    state = start(gan, **weighted("r1", 0.5))
    state.hyper["learning_rate"]["discriminator"] *= 0  # so that the penalty does not change
    _, metrics = step(gan, state, num=4)
    value = 0.5 * (critic(state)[0] ** 2).sum()
    expected = [2 * value * due / 3 for due in (2, 1, 2, 1)]
    np.testing.assert_allclose([values["discriminator/r1"] for values in metrics], expected, rtol=1e-5)


def test_weights_are_clipped_after_the_update():
    gan = make_linear(regularizers=penalty("clip"))
    state, _ = step(gan, start(gan, **weighted("clip", 1.0, bound=0.05)))
    assert np.float32(max(np.abs(leaf).max() for leaf in critic(state))) <= np.float32(0.05)


def test_historical_averaging_pulls_to_the_mean_of_the_past():
    gan = make_linear(regularizers=penalty("historical_averaging"))
    state, past = start(gan), []
    state = start(gan, **weighted("historical_averaging", 0.5))
    memory = state.extras["discriminator"]["regularizers"]["historical_averaging"]
    initial = np.float64(memory["average"]["output"]["kernel"])
    past.append(initial)
    for _ in range(3):
        w, _ = critic(state)
        free, (after, _) = by_hand(gan, state), step(gan, state)
        pull = 0.5 * 2 * (w - np.mean(past, axis=0))
        assert_moves(moves(gan, state, after)[:1], [free[0] + pull])
        state = after
        past.append(critic(state)[0])


def test_feature_matching_alone():
    """Without hidden layers the last features are the inputs, so the means of x and G(z) become equal."""
    gan = make_linear(regularizers=penalty("feature_matching"))
    state = start(gan, loss_weight={"discriminator": 1.0}, **weighted("feature_matching", 2.0))
    after, (metrics,) = step(gan, state)
    (big_w, c), z = generator(state), latents(gan, state)
    gap = (z @ big_w + c).mean(axis=0) - np.float64(make_batch()["examples"][0]).mean(axis=0)
    dc = 2.0 * 2 * gap
    dw = 2.0 * 2 * z.mean(axis=0)[:, None] * gap
    assert_moves(moves(gan, state, after)[2:], [dw, dc])
    np.testing.assert_allclose(metrics["generator/feature_matching"], (gap**2).sum(), rtol=1e-5)


@pytest.mark.parametrize(("steps", "loss"), [(1, "minimax"), (3, "minimax"), (3, "nonsaturating")])
def test_unrolling_matches_explicit_steps(steps, loss):
    """The generator's gradient through K explicit steps of the discriminator on the same batch.

    For minimax it is that of the value of the game, -L_D, as in Metz et al. 2017.
    """
    gan = make_linear(unrolled_steps=steps, loss=LOSSES[loss])
    state = start(gan)
    after, _ = step(gan, state)
    real, z = make_batch()["examples"][0], jnp.float32(latents(gan, state))
    softplus = jax.nn.softplus

    def discriminator_loss(theta, fake):
        return jnp.mean(softplus(-(real @ theta[0] + theta[1])) + softplus(fake @ theta[0] + theta[1]))

    def generator_loss(phi):
        fake = z @ phi[0] + phi[1]
        theta = tuple(jnp.float32(part) for part in critic(after))  # alternating: already updated once
        for _ in range(steps):
            grads = jax.grad(discriminator_loss)(theta, fake)
            theta = tuple(part - RATE * grad for part, grad in zip(theta, grads, strict=True))
        if loss == "minimax":
            return -discriminator_loss(theta, fake)
        of_real = -jnp.mean(softplus(-(real @ theta[0] + theta[1])))
        return of_real + jnp.mean(softplus(-(fake @ theta[0] + theta[1])))

    expected = jax.grad(generator_loss)(tuple(jnp.float32(part) for part in generator(state)))
    assert_moves(moves(gan, state, after)[2:], expected, rtol=1e-3)
    plain = by_hand(gan, state)[2]
    assert np.abs(plain - expected[0]).max() > 1e-3  # it differs from the gradient without unrolling


@pytest.mark.parametrize("loss", ["minimax", "nonsaturating", "wasserstein"])
def test_unrolling_does_not_move_a_perfect_generator(loss):
    """If fakes equal the real examples and the discriminator is constant, the gradient is 0."""
    gan = make_linear(unrolled_steps=3, update_order="simultaneous", loss=LOSSES[loss])
    state = start(gan)
    (big_w, c), blind = generator(state), jax.tree.map(jnp.zeros_like, state.discriminator.params)
    state = state.replace(discriminator=state.discriminator.replace(params=blind))
    fakes = jnp.float32(latents(gan, state) @ big_w + c)
    after, _ = step(gan, state, {"examples": fakes[None], "index": jnp.arange(B)})
    assert_moves(moves(gan, state, after), [0.0] * 4)


def test_the_discriminator_packs_neighbours():
    gan = make_linear(packing=2)
    state = start(gan)
    _, (metrics,) = step(gan, state)
    (w, b), (big_w, c) = critic(state), generator(state)
    assert w.shape == (4, 1)
    real, fake = np.float64(make_batch()["examples"][0]), latents(gan, state) @ big_w + c
    real_logits, fake_logits = (np.concatenate([x[0::2], x[1::2]], axis=1) @ w + b for x in (real, fake))
    loss = np.mean(np.log1p(np.exp(-real_logits)) + np.log1p(np.exp(fake_logits)))
    np.testing.assert_allclose(metrics["discriminator_loss"], loss, rtol=1e-5)


def test_several_generators_are_identified():
    """The adversarial and the identification loss of Ghosh et al. 2018, with k + 1 classes."""
    gan = make_linear(num_generators=2, outputs=3, loss=LOSSES["minimax"])
    state = start(gan)
    after, (metrics,) = step(gan, state)
    w, b = critic(state)
    z, fakes = latents(gan, state), np.zeros((B, 2))
    for i in range(2):
        output = state.generator.params[f"generator_{i}"]["output"]
        fakes[i::2] = z[i::2] @ np.float64(output["kernel"]) + np.float64(output["bias"])
    outputs = jnp.float32(fakes @ w + b)
    expected = identification(outputs, jnp.arange(B) % 2).mean()
    np.testing.assert_allclose(metrics["identification_loss"], expected, rtol=1e-5)
    d_fake = jax.nn.sigmoid(real_or_fake(outputs)).mean()
    np.testing.assert_allclose(metrics["D(G(z))"], d_fake, rtol=1e-5)
    for i in range(2):  # both learn
        old, new = (s.generator.params[f"generator_{i}"]["output"]["kernel"] for s in (state, after))
        assert np.abs(old - new).max() > 1e-4


@pytest.mark.parametrize("fields", [{}, {"discriminator_steps": 2}, {"regularizers": penalty("r1")}])
def test_accumulated_gradients_are_those_of_the_whole_batch(fields):
    knobs = weighted("r1", 1.0) if "regularizers" in fields else {}
    whole, parts = make_linear(**fields), make_linear(accumulate=4, **fields)
    state = start(whole, **knobs)
    (one, metrics), (other, values) = step(whole, state), step(parts, state)
    assert_moves(moves(whole, state, one), moves(parts, state, other), rtol=1e-3)
    for name in ("discriminator_loss", "generator_loss", "generator_grad_norm", "D(x)"):
        np.testing.assert_allclose(values[0][name], metrics[0][name], rtol=1e-4)


def test_lookahead_moves_both_networks_back_by_half():
    gan, plain = make_linear(lookahead_every=3), make_linear()
    state = start(gan, lookahead_alpha=0.5)
    slow = {"generator": state.generator.params, "discriminator": state.discriminator.params}
    state = state.replace(extras={**state.extras, "lookahead": slow})
    before, free = step(gan, state, num=2)[0], step(plain, state, num=3)[0]
    after = step(gan, before)[0]
    for part in (critic, generator):
        for slow, fast, found in zip(part(state), part(free), part(after), strict=True):
            np.testing.assert_allclose(found, slow + 0.5 * (fast - slow), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(
        after.extras["lookahead"]["generator"]["output"]["kernel"], after.generator.params["output"]["kernel"]
    )


def test_two_generator_steps_per_discriminator_step():
    gan = make_linear(generator_steps=2)
    state = start(gan)
    one, (first,) = step(gan, state)
    two, (second,) = step(gan, one)
    three, (third,) = step(gan, two)
    assert [int(s.discriminator.step) for s in (state, one, two, three)] == [0, 1, 1, 2]
    assert [int(s.generator.step) for s in (state, one, two, three)] == [0, 1, 2, 3]
    np.testing.assert_array_equal(critic(one)[0], critic(two)[0])
    assert first["discriminator_loss"] == second["discriminator_loss"] != third["discriminator_loss"]
    assert first["generator_loss"] != second["generator_loss"]


def test_instance_noise_blurs_what_the_discriminator_sees():
    gan = make_linear(instance_noise=SCHEDULES["linear"])
    numbers = {"stddev": 0.4, "schedule": {"num_steps": 10}}
    state = start(gan, instance_noise=numbers).replace(step=jnp.int32(5))
    _, (metrics,) = step(gan, state)
    (w, b), (big_w, c), z = critic(state), generator(state), latents(gan, state)
    batch_keys, losses = example_keys(keys(state), jnp.arange(B)), 0.0
    for which, sign, x in (("real", -1, np.float64(make_batch()["examples"][0])), ("fake", 1, z @ big_w + c)):
        draws = named_keys(named_keys(batch_keys, which), "instance noise")
        noise = np.float64(jax.vmap(lambda key: jax.random.normal(key, POINTS))(draws))
        losses += np.log1p(np.exp(sign * ((x + 0.5 * 0.4 * noise) @ w + b))).mean()
    np.testing.assert_allclose(metrics["discriminator_loss"], losses, rtol=1e-5)


class Square(nn.Module):
    """½w‖x‖² with w = 1, so that ½‖∇D(x)‖² = D(x)."""

    @nn.compact
    def __call__(self, x, train=False):
        return self.param("w", nn.initializers.ones, ()) * jnp.square(x).sum(axis=-1) / 2


def test_penalties_see_the_noise_of_the_loss():
    """R1 that of its real examples, R2 that of its fakes."""
    penalties = {
        name: Regularizer("gradient", FAMILIES["gradient"].bind(name)[0], 1, SCHEDULES["constant"], False)
        for name in ("r1", "r2")
    }
    noisy = {"instance_noise": SCHEDULES["constant"], "regularizers": penalties}
    gan = make_linear(discriminator=Square(), loss=LOSSES["wasserstein"], **noisy)
    entry = {"weight": 0.1, "schedule": {}, "fields": {}}
    noise = {"stddev": 0.7, "schedule": {}}
    state = make_state(gan, instance_noise=noise, regularizers={"r1": entry, "r2": entry})
    _, (metrics,) = step(gan, state)
    found = metrics["discriminator/r1"], metrics["discriminator/r2"]
    np.testing.assert_allclose(found, (metrics["D(x)"], metrics["D(G(z))"]), rtol=1e-5)


def test_parameters_stay_float32_under_bfloat16():
    gan = make_linear(compute_dtype="bfloat16")
    state = start(gan)
    after, _ = step(gan, state)
    assert {leaf.dtype for leaf in jax.tree.leaves((after.generator.params, after.discriminator.params))} == {
        jnp.dtype("float32")
    }
    found, exact = moves(gan, state, after), by_hand(gan, state)
    for value, wanted in zip(found, exact, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=0.05, atol=0.01)
        assert np.abs(value - wanted).max() > 0  # it did compute in lower precision
