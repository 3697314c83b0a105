import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gans import enlarge, load_digits, make_gan, make_hyper, make_state

from jaxgan.algorithm import steps
from jaxgan.algorithm.gan import UPDATE_ORDERS, data_key, init_state
from jaxgan.algorithm.metrics import diversity, logit_metrics
from jaxgan.algorithm.randomness import example_keys, named_keys
from jaxgan.algorithm.tricks import scale
from jaxgan.latents import LATENTS, make_key, sample_latents
from jaxgan.losses import LOSSES
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.optimizers import OPTIMIZERS, SCHEDULES

B, LATENT_DIM, NUM_STEPS = 6, 3, 3
POINTS = (2,)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def linear(**overrides):
    """The GAN x = zW + c, logit = xw + b, both trained by plain gradient descent."""
    generator = GENERATORS["mlp"](POINTS, hidden=())
    discriminator = DISCRIMINATORS["mlp"](POINTS, hidden=())
    return make_gan(shape=POINTS, generator=generator, discriminator=discriminator, **overrides)


def batches(discriminator_steps, num=NUM_STEPS, seed=0):
    """float32 [num, n_D, B, 2]: points whose mean is not 0."""
    shape = (num, discriminator_steps, B, 2)
    return np.random.default_rng(seed).normal([1.0, -0.5], 0.7, shape).astype(np.float32)


def compiled(gan):
    return jax.jit(functools.partial(steps.train_step, gan=gan))


def train(gan, state, blocks):
    """The states after each step, and the metrics of each."""
    step, states, metrics = compiled(gan), [state], []
    for block in blocks:
        state, metric = step(states[-1], {"examples": jnp.asarray(block), "index": jnp.arange(B)})
        states.append(state)
        metrics.append({name: float(value) for name, value in metric.items()})
    return states, metrics


def noise(state, step, discriminator_steps):
    """float64 [n_D, B, latent_dim]: the latents of a step (step 0 of a key draws the weights)."""
    keys = jax.random.split(jax.random.fold_in(make_key(state.key), step + 1), discriminator_steps)
    keys = [named_keys(key, "latent") for key in keys]
    return [np.float64(sample_latents("normal", key, jnp.arange(B), LATENT_DIM)) for key in keys]


def reference(state, blocks, rates, order="alternating", n_d=1):
    """Algorithm 1 of Goodfellow et al. 2014 on the linear game, non-saturating, in float64 NumPy.

    Yields (W, c, w, b) after each step, and that step's metrics: means over its discriminator updates.
    """
    first = [np.float64(part) for part in jax.tree.leaves(state.generator.params)]
    second = [np.float64(part) for part in jax.tree.leaves(state.discriminator.params)]
    (c, big_w), (b, w) = first, second
    for t, block in enumerate(blocks):
        rate, old, updates = rates[t], (w, b), []
        for x, z in zip(np.float64(block), noise(state, t, n_d), strict=True):
            fake = z @ big_w + c
            real_logits, fake_logits = (x @ w + b)[:, 0], (fake @ w + b)[:, 0]
            d_real, d_fake = -sigmoid(-real_logits) / B, sigmoid(fake_logits) / B  # dL/dlogit
            w_grad = (x.T @ d_real + fake.T @ d_fake)[:, None]
            b_grad = np.array([d_real.sum() + d_fake.sum()])
            updates.append({
                "discriminator_loss": np.mean(
                    np.log1p(np.exp(-real_logits)) + np.log1p(np.exp(fake_logits))
                ),
                "discriminator_grad_norm": np.sqrt((w_grad**2).sum() + (b_grad**2).sum()),
                "D(x)": sigmoid(real_logits).mean(),
                "D(G(z))": sigmoid(fake_logits).mean(),
                "accuracy_real": np.mean(real_logits > 0),
                "accuracy_fake": np.mean(fake_logits < 0),
            })  # fmt: skip
            w, b = w - rate["discriminator"] * w_grad, b - rate["discriminator"] * b_grad
        critic_w, critic_b = old if order == "simultaneous" else (w, b)
        g_logits = (fake @ critic_w + critic_b)[:, 0]
        d_fake_images = (-sigmoid(-g_logits) / B)[:, None] * critic_w.T
        big_w_grad, c_grad = z.T @ d_fake_images, d_fake_images.sum(axis=0)
        metrics = {
            **{name: np.mean([numbers[name] for numbers in updates]) for name in updates[0]},
            "generator_loss": np.mean(np.log1p(np.exp(-g_logits))),
            "generator_grad_norm": np.sqrt((big_w_grad**2).sum() + (c_grad**2).sum()),
            "diversity": np.sqrt(fake.var(axis=0).mean() / x.var(axis=0).mean()),
        }
        big_w, c = big_w - rate["generator"] * big_w_grad, c - rate["generator"] * c_grad
        yield (big_w, c, w, b), metrics


def weights(state):
    (c, big_w), (b, w) = jax.tree.leaves(state.generator.params), jax.tree.leaves(state.discriminator.params)
    return big_w, c, w, b


CASES = {
    "alternating": {},
    "simultaneous": {"update_order": "simultaneous"},
    "two discriminator steps": {"discriminator_steps": 2},
    "three, simultaneous": {"discriminator_steps": 3, "update_order": "simultaneous"},
}


@pytest.fixture(scope="module", params=CASES)
def game(request):
    """(GAN, states, metrics, blocks) of three steps, the learning rates halved over four."""
    gan = linear(**CASES[request.param], schedule=SCHEDULES["linear"])
    state = enlarge(make_state(gan, ema_decay=0.15, schedule={"num_steps": 4, "final": 0.5}), 40.0)
    rates = {"generator": jnp.float32(0.3), "discriminator": jnp.float32(0.2)}
    state = state.replace(hyper={**state.hyper, "learning_rate": rates})
    blocks = batches(gan.discriminator_steps)
    return gan, *train(gan, state, blocks), blocks


def rates_of(num):
    factors = [1 - 0.5 * t / 4 for t in range(num)]
    return [{"generator": 0.3 * factor, "discriminator": 0.2 * factor} for factor in factors]


def test_the_step_is_the_algorithm(game):
    gan, states, metrics, blocks = game
    rates, n_d = rates_of(NUM_STEPS), gan.discriminator_steps
    expected = list(reference(states[0], blocks, rates, gan.update_order, n_d))
    for t, (parameters, numbers) in enumerate(expected):
        for found, value in zip(weights(states[t + 1]), parameters, strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6)
        assert metrics[t].keys() == numbers.keys()
        for name, value in numbers.items():
            np.testing.assert_allclose(metrics[t][name], value, rtol=2e-5, err_msg=name)
    moved = [np.abs(a - b).max() for a, b in zip(weights(states[-1]), weights(states[0]), strict=True)]
    assert min(moved) > 1e-3


def test_the_orders_of_updates_differ():
    """Their difference is far larger than the tolerance of the test above."""
    state = enlarge(make_state(linear()), 40.0)
    rates = [{"generator": 0.3, "discriminator": 0.2}]
    orders = [next(reference(state, batches(1), rates, order)) for order in UPDATE_ORDERS]
    assert np.abs(orders[0][0][0] - orders[1][0][0]).max() > 1e-3
    np.testing.assert_array_equal(orders[0][0][2], orders[1][0][2])


def test_counters_and_learning_rates(game):
    gan, states, _, _ = game
    for t, state in enumerate(states):
        assert state.step == state.generator.step == t
        assert state.discriminator.step == t * gan.discriminator_steps
        np.testing.assert_array_equal(state.key, states[0].key)
        assert state.hyper["learning_rate"]["generator"] == np.float32(0.3)
        if t:
            for name in ("generator", "discriminator"):
                found = getattr(state, name).opt_state.hyperparams["learning_rate"]
                np.testing.assert_allclose(found, rates_of(t)[-1][name], rtol=1e-6)


def test_the_average_forgets_the_initial_weights(game):
    """d = min(decay, (1 + t) / (10 + t)): 1/10, then the decay of 0.15 (2/11 would be more)."""
    _, states, _, _ = game
    average = [np.float64(leaf) for leaf in jax.tree.leaves(states[0].generator.params)]
    for state, decay in zip(states[1:], (0.1, 0.15, 0.15), strict=True):
        new = [np.float64(leaf) for leaf in jax.tree.leaves(state.generator.params)]
        average = [decay * a + (1 - decay) * b for a, b in zip(average, new, strict=True)]
        for found, value in zip(jax.tree.leaves(state.ema["params"]), average, strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6)


class MeanAfterNorm(nn.Module):
    """logit = 10·mean(x) + the mean of the batch-normalized x, whose mean over the batch is zero."""

    @nn.compact
    def __call__(self, images, train=False, features=False):
        x = images.reshape(len(images), -1)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9, name="norm")(x)
        return x.mean(axis=-1) + self.param("offset", nn.initializers.zeros, ())


class Constant(nn.Module):
    """Every image has the value of one parameter; -0.5 at the start."""

    @nn.compact
    def __call__(self, z, train=False):
        # varies a little with z, so that the variance is not 0
        return self.param("value", nn.initializers.constant(-0.5), ()) + 0.01 * z[:, :2]


def test_real_and_fake_have_separate_batch_statistics():
    gan = make_gan(
        shape=POINTS, generator=Constant(), discriminator=MeanAfterNorm(), loss=LOSSES["wasserstein"]
    )
    state, blocks = make_state(gan), batches(1, num=1)
    (_, after), (metrics,) = train(gan, state, blocks)
    # each batch is centred by its own mean; with a common mean, real logits would exceed fake ones
    np.testing.assert_allclose([metrics["D(x)"], metrics["D(G(z))"]], [0, 0], atol=1e-5)
    # the running mean includes the real, then the fake batch, but not the generator's pass
    fake = -0.5 + 0.01 * noise(state, 0, 1)[0][:, :2]
    mean = 0.9 * (0.1 * np.float64(blocks[0, 0]).mean(axis=0)) + 0.1 * fake.mean(axis=0)
    found = after.discriminator.model_state["batch_stats"]["norm"]["mean"]
    np.testing.assert_allclose(found, mean, rtol=1e-5)


@pytest.fixture(scope="module")
def normalized():
    """A generator with batch norm and a discriminator with dropout: (gan, state, after one step, batch)."""
    discriminator = DISCRIMINATORS["mlp"]((8, 8, 1), hidden=(8,), dropout=0.3)
    gan = make_gan(batch_norm=True, discriminator=discriminator)
    state = enlarge(make_state(gan), 10.0)
    batch = {"examples": load_digits()[None, :B], "index": jnp.arange(B)}
    after, metrics = compiled(gan)(state, batch)
    return gan, state, after, batch, metrics


def test_the_generator_s_gradient_is_that_of_the_whole_game(normalized):
    """Sharing the forward pass with the discriminator's update does not change it."""
    gan, state, after, batch, metrics = normalized
    z = jnp.float32(noise(state, 0, 1)[0])
    key = jax.random.split(jax.random.fold_in(make_key(state.key), 1), 1)[0]
    keys = named_keys(example_keys(key, batch["index"]), "generator")
    fake_key = named_keys(named_keys(keys, "fake"), "dropout")[0]
    discriminator = after.discriminator

    @jax.jit
    def game(params):
        variables = {"params": params, **state.generator.model_state}
        fake, updated = gan.generator.apply(variables, z, train=True, mutable=["batch_stats"])

        def discriminate(images, key):
            return gan.discriminator.apply(
                {"params": discriminator.params}, images, train=True, rngs={"dropout": key}
            )

        logits = discriminate(fake, fake_key)
        loss = gan.loss().generator(logits, logits).mean()  # this loss does not use the real examples
        return loss, updated

    (loss, updated), grads = jax.value_and_grad(game, has_aux=True)(state.generator.params)
    np.testing.assert_allclose(metrics["generator_loss"], loss, rtol=1e-5)
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, state.generator.params, grads)
    for found, value in zip(jax.tree.leaves(after.generator.params), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-6)
    found = jax.tree.leaves(after.generator.model_state)
    for leaf, value in zip(found, jax.tree.leaves(updated), strict=True):
        np.testing.assert_allclose(leaf, value, rtol=1e-5, atol=1e-6)


def test_batch_statistics_are_averaged_too(normalized):
    _, state, after, _, _ = normalized
    parts = (state.ema, after.ema, {"params": None, "model_state": after.generator.model_state})
    old, found, new = (jax.tree.leaves(part["model_state"]) for part in parts)
    assert old
    for before, average, value in zip(old, found, new, strict=True):
        np.testing.assert_allclose(average, 0.1 * before + 0.9 * value, rtol=1e-5, atol=1e-7)


def entries():
    """Each registered component by itself, and the orders of updates."""
    for name in GENERATORS:
        if "given_shape" not in GENERATORS.takes(name):  # those are in test_image_conditions.py
            yield f"generator {name}", {"generator": GENERATORS[name]((8, 8, 1))}
    for name in DISCRIMINATORS:
        small = {"receptive_field": 16} if name == "patchgan" else {}
        yield f"discriminator {name}", {"discriminator": DISCRIMINATORS[name]((8, 8, 1), **small)}
    for name in LOSSES:
        yield f"loss {name}", {"loss": LOSSES[name]}
    for name in OPTIMIZERS:
        fields = {f"{network}_optimizer": OPTIMIZERS[name]() for network in ("generator", "discriminator")}
        yield f"optimizer {name}", fields
    for name in SCHEDULES:
        yield f"schedule {name}", {"schedule": SCHEDULES[name]}
    for name in LATENTS:
        yield f"latent {name}", {"latent": name}
    for order in UPDATE_ORDERS:
        yield f"order {order}", {"update_order": order, "discriminator_steps": 2}


ENTRIES = dict(entries())


@pytest.mark.parametrize("name", ENTRIES)
def test_a_step_keeps_the_structure_of_the_state(name):
    gan = make_gan(**ENTRIES[name])
    hyper = make_hyper(schedule={"num_steps": 10})
    key = jax.ShapeDtypeStruct((2,), jnp.uint32)
    state = jax.eval_shape(lambda key: init_state(gan, key, hyper), key)
    batch = {
        "examples": jax.ShapeDtypeStruct((gan.discriminator_steps, B, 8, 8, 1), jnp.uint8),
        "index": jax.ShapeDtypeStruct((B,), jnp.int32),
    }
    after, metrics = jax.eval_shape(functools.partial(steps.train_step, gan=gan), state, batch)
    assert jax.tree.structure(state) == jax.tree.structure(after)
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        assert (old.shape, old.dtype) == (new.shape, new.dtype)
    assert all(value.shape == () and value.dtype == jnp.float32 for value in metrics.values())


def test_bytes_are_scaled_and_points_are_not():
    found = scale(jnp.array([0, 51, 127, 128, 255], jnp.uint8))
    np.testing.assert_allclose(found, [-1, -0.6, -0.5 / 127.5, 0.5 / 127.5, 1], atol=1e-7)
    assert found.dtype == jnp.float32 and found[0] == -1 and found[-1] == 1
    np.testing.assert_array_equal(scale(jnp.array([0.0, 3.0, 255.0])), [0, 3, 255])


def test_diversity_is_one_for_the_data_and_zero_after_a_collapse():
    real = scale(jnp.asarray(load_digits()[:50]))
    assert diversity(real, real, None) == 1
    np.testing.assert_allclose(diversity(real, 0.25 * real + 0.3, None), 0.25, rtol=1e-4)
    collapsed = jnp.broadcast_to(real[:1], real.shape)
    np.testing.assert_allclose(diversity(real, collapsed, None), 0, atol=1e-4)
    assert np.isfinite(diversity(real[:1], real[:1], None))  # a batch of one has no variance


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # σ of the logits; real if above 1/2
        ("minimax", (np.mean([1 / (1 + np.exp(-x)) for x in (-1, 0.2, 3, 4)]), 3 / 4, 2 / 4)),
        ("hinge", (1.55, 3 / 4, 2 / 4)),
        ("least_squares", (1.55, 2 / 4, 3 / 4)),  # real if above 1/2
        ("wasserstein", (1.55, 2 / 4, 3 / 4)),  # real if above the middle of the means, (1.55 + 0.1) / 2
    ],
)
def test_judgement_by_hand(name, expected):
    real, fake = jnp.array([-1.0, 0.2, 3.0, 4.0]), jnp.array([-2.0, -0.5, 0.4, 2.5])
    found = logit_metrics(LOSSES[name](), real, fake)
    mean, accuracy_real, accuracy_fake = expected
    np.testing.assert_allclose(found["D(x)"], mean, rtol=1e-6)
    assert found["accuracy_real"] == accuracy_real and found["accuracy_fake"] == accuracy_fake
    if name != "minimax":
        np.testing.assert_allclose(found["D(G(z))"], 0.1, rtol=1e-5)


def test_initial_weights_depend_on_the_key_and_differ_between_the_networks():
    gan = make_gan(shape=POINTS, latent_dim=2)
    one, again, other = (make_state(gan, seed=seed) for seed in (1, 1, 2))

    def first(state):
        return np.asarray(state.generator.params["dense_0"]["kernel"])

    np.testing.assert_array_equal(first(one), first(again))
    assert (first(one) != first(other)).all()
    assert (first(one) != np.asarray(one.discriminator.params["dense_0"]["kernel"])).all()
    np.testing.assert_array_equal(first(one), one.ema["params"]["dense_0"]["kernel"])


def test_the_order_of_the_data_has_its_own_key():
    keys = [np.asarray(data_key(jnp.array([0, seed], jnp.uint32))) for seed in range(20)]
    assert len({key.tobytes() for key in keys}) == 20
    assert all(key.shape == (2,) and key.dtype == np.uint32 and key.all() for key in keys)
