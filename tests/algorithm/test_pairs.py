"""CycleGAN as one game of pairs, and the pool of earlier fakes, against references by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gans import load_digits
from translators import BOTH_WAYS, B, configure, make, make_batch

from jaxgan.algorithm.pool import draw_from_pool, init_pool
from jaxgan.algorithm.steps import train_step
from jaxgan.devices.parallel import AXIS, make_program
from jaxgan.errors import UserError
from jaxgan.optimizers import SCHEDULES
from jaxgan.regularizers import RECONSTRUCTION
from jaxgan.regularizers.reconstruction import Parts


@pytest.fixture(scope="module")
def game():
    """The GAN, its state and batch, and the state and metrics after a step."""
    gan, state = make(configure(**BOTH_WAYS))
    batch = make_batch(gan)
    return gan, state, batch, *jax.jit(functools.partial(train_step, gan=gan))(state, batch)


def test_both_ways_are_one_generator_and_one_discriminator(game):
    gan, state, batch, after, _ = game
    assert gan.shape == (8, 8, 2) and gan.data_shape == (8, 8, 1)
    a, b = (jnp.float32(batch[name][0]) / 127.5 - 1 for name in ("examples", "partner"))
    pair = jnp.concatenate([a, b], axis=-1)
    made = gan.generator.apply({"params": state.generator.params}, jnp.zeros((B, 2)), image=pair)
    single = gan.generator.generator
    for half, name, given in ((0, "first", b), (1, "second", a)):
        alone = single.apply({"params": state.generator.params[name]}, jnp.zeros((B, 2)), image=given)
        np.testing.assert_allclose(made[..., half : half + 1], alone, atol=1e-6)
    logits = gan.discriminator.apply({"params": state.discriminator.params}, pair)
    assert logits.shape == (B, 8)  # four patches of each
    moved = jax.tree.map(lambda p, q: np.abs(p - q).max(), after.generator.params, state.generator.params)
    assert min(max(jax.tree.leaves(moved[name])) for name in ("first", "second")) > 0


def test_each_discriminator_learns_from_its_own_set_alone(game):
    """Other images b change nothing of the discriminator of a but through F(b)."""
    gan, state, batch, after, _ = game

    def loss(params, real):
        logits = gan.discriminator.apply({"params": params}, real)
        return jnp.square(logits[:, :4] - 1).mean()

    real = jnp.float32(np.concatenate([batch["examples"][0], batch["partner"][0]], axis=-1)) / 127.5 - 1
    gradient = jax.grad(loss)(state.discriminator.params, real)
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(gradient["first"])) > 0
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(gradient["second"]))


def test_the_terms_are_those_of_float64(game):
    gan, state, batch, _, metrics = game
    with jax.enable_x64(True):
        params = jax.tree.map(jnp.float64, state.generator.params)
        pair = jnp.concatenate([batch["examples"][0], batch["partner"][0]], axis=-1).astype(float) / 127.5 - 1

        def make(image):
            return gan.generator.apply({"params": params}, jnp.zeros((B, 2)), image=image)

        swapped = jnp.concatenate([pair[..., 1:], pair[..., :1]], axis=-1)
        cycle, same = jnp.abs(make(make(pair)) - pair).mean(), jnp.abs(make(swapped) - pair).mean()
    np.testing.assert_allclose(metrics["generator/cycle"], cycle, rtol=1e-5)
    np.testing.assert_allclose(metrics["generator/identity"], same, rtol=1e-5)


def test_the_generator_descends_the_sum_of_its_terms(game):
    """θ - η·∇(adversarial + 10·cycle + 5·identity), through the fakes and through the way back."""
    gan, state, batch, after, _ = game
    pair = jnp.float32(np.concatenate([batch["examples"][0], batch["partner"][0]], axis=-1)) / 127.5 - 1
    swapped = jnp.concatenate([pair[..., 1:], pair[..., :1]], axis=-1)

    @jax.jit
    @jax.grad
    def gradient(params):
        def make(image):
            return gan.generator.apply({"params": params}, jnp.zeros((B, 2)), image=image)

        fake = make(pair)
        logits = gan.discriminator.apply({"params": state.discriminator.params}, fake)
        cycle, same = jnp.abs(make(fake) - pair).mean(), jnp.abs(make(swapped) - pair).mean()
        return 0.5 * jnp.square(logits - 1).mean() + 10 * cycle + 5 * same

    rate = state.hyper["learning_rate"]["generator"]
    wanted = jax.tree.map(lambda p, g: p - rate * g, state.generator.params, gradient(state.generator.params))
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=2e-6), after.generator.params, wanted)


def test_a_perfect_translator_has_no_cycle_and_identity_terms():
    images = jnp.float32(load_digits()[:4]) / 127.5 - 1
    pair = jnp.concatenate([images, images[::-1]], axis=-1)

    def translate(given):  # F and G are the identity
        return jnp.concatenate(jnp.split(given["image"], 2, axis=-1)[::-1], axis=-1)

    parts = Parts({"image": pair}, translate)
    for name in ("cycle", "identity"):
        assert (RECONSTRUCTION[name]()(pair, translate({"image": pair}), parts) == 0).all()


# --- The pool ---------------------------------------------------------------------------------------------


def reference(stored, fakes, keys, size, part):
    """The published rule in plain Python, with the same draws."""
    shown = []
    for fake, key in zip(fakes, keys, strict=True):
        coin, place = jax.random.split(jax.random.fold_in(key, part))
        if len(stored) < size:
            stored.append(fake)
            shown.append(fake)
        elif jax.random.bernoulli(coin):
            index = int(jax.random.randint(place, (), 0, size))
            shown.append(stored[index])
            stored[index] = fake
        else:
            shown.append(fake)
    return shown


@pytest.mark.parametrize("parts", [1, 2])
def test_the_pool_is_that_of_the_reference(parts):
    size, pool = 3, init_pool(3, (1, 1, 2), parts)
    stored = [[] for _ in range(parts)]
    draw = jax.jit(draw_from_pool)
    for turn in range(6):
        fakes = np.arange(8, dtype=np.float32).reshape(4, 1, 1, 2) + 8 * turn
        keys = jax.random.split(jax.random.key(turn), 4)
        pool, shown = draw(pool, fakes, keys)
        split = np.split(fakes, parts, axis=-1)
        wanted = [np.stack(reference(stored[i], split[i], keys, size, i)) for i in range(parts)]
        np.testing.assert_array_equal(shown, np.concatenate(wanted, axis=-1))
    np.testing.assert_array_equal(pool["images"], np.stack([np.stack(some) for some in stored]))
    assert int(pool["count"]) == size and (np.asarray(shown) != fakes).any()


def run(mode, num_devices, calls):
    gan, state = make(configure(**BOTH_WAYS), AXIS if mode == "pmap" else None)
    program = make_program(gan, mode, B, num_devices=num_devices)
    digits = load_digits()
    data = program.place_data({"examples": digits[:600], "partner": digits[600:1000]})
    for num in calls:
        state, metrics = program.train_steps(program.place_state(state), data, num)
        state = jax.device_get(state)  # as if saved and read again
    return state, metrics


@pytest.mark.slow
def test_two_devices_share_one_pool():
    one, two = run("jit", 1, [3])[0], run("pmap", 2, [3])[0]
    pools = [state.extras["discriminator"]["pool"] for state in (one, two)]
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-5), *pools)
    assert np.abs(pools[0]["images"]).max() > 0


def test_a_run_that_was_stopped_goes_on_with_its_pool():
    whole, parts = run("jit", 1, [4]), run("jit", 1, [2, 2])
    for one, other in zip(jax.tree.leaves(whole[0]), jax.tree.leaves(parts[0]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_half_linear_is_constant_and_then_falls():
    found = [float(SCHEDULES["half_linear"](step, num_steps=100)) for step in (0, 49, 50, 75, 100, 150)]
    np.testing.assert_allclose(found, [1, 1, 1, 0.5, 0, 0])


@pytest.mark.parametrize(("fields", "message"), [
    ({"condition.image.discriminator": "joined"}, "gives no image that belongs to the one"),
    ({"task.name": "denoising"}, r"regularizers\.(cycle|identity) looks at two ways of translation"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(fields, message):
    with pytest.raises(UserError, match=message):
        configure(**BOTH_WAYS | fields)
