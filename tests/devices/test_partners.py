"""A second stream of rows has its own order, which is the same in all modes."""

import jax
import numpy as np
from gans import load_digits, make_gan, make_state

from jaxgan.algorithm.conditions import Condition
from jaxgan.algorithm.gan import data_key, partner_key
from jaxgan.datasets import order
from jaxgan.devices import parallel
from jaxgan.devices.flops import step_flops

B, STEPS = 8, 3


def judged_partners():
    """The discriminator gets the partners as real examples."""
    return Condition(
        real=lambda stored, keys: (stored["partner"], {}),
        fake=lambda keys, given, numbers: {},
        draw=lambda keys: {},
        example={},
        reads=("partner",),
    )


def train(condition=None, mode="jit", num_devices=1, others=None, streamed=False):
    gan = make_gan(condition=condition, discriminator_steps=2)
    state = make_state(gan)
    program = parallel.make_program(gan, mode, B, streamed=streamed, num_devices=num_devices)
    data = {"examples": load_digits()} | ({} if others is None else {"partner": others})
    if streamed:
        keys = {"examples": data_key(state.key), "partner": partner_key(state.key)}
        rows = {
            name: [order.rows(np.asarray(key), i, 2 * B, len(load_digits())) for i in range(STEPS)]
            for name, key in keys.items()
        }
        data = {name: load_digits()[np.stack(r)].reshape(STEPS, 2, B, 8, 8, 1) for name, r in rows.items()}
    state, metrics = program.train_steps(program.place_state(state), program.place_data(data), STEPS)
    return jax.tree.leaves(jax.device_get((state.discriminator.params, metrics)))


def assert_close(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_partners_are_the_same_resident_streamed_and_on_several_devices():
    expected = train(judged_partners())
    assert_close(train(judged_partners(), streamed=True), expected)
    assert_close(train(judged_partners(), mode="pmap", num_devices=2), expected)
    alone = train()
    assert any(not np.allclose(a, b) for a, b in zip(alone, expected, strict=True))


def test_partners_may_come_from_another_set_of_another_size():
    others = 255 - load_digits()[:100]
    found, expected = train(judged_partners(), others=others), train(judged_partners())
    assert any(not np.allclose(a, b) for a, b in zip(found, expected, strict=True))


def test_the_two_orders_are_independent_epochs():
    key = np.array([0, 7], np.uint32)
    first, second = (order.rows(np.asarray(k), 0, 1000, 1000) for k in (data_key(key), partner_key(key)))
    assert np.array_equal(np.sort(first), np.sort(second)) and np.sum(first == second) < 10
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.12


def test_their_arithmetic_is_counted():
    gan = make_gan(condition=judged_partners())
    assert step_flops(gan, make_state(gan), B) == step_flops(make_gan(), make_state(make_gan()), B)
