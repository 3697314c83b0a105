"""Many runs as one program: each member equals a separate run."""

import dataclasses
import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gans import load_digits, make_gan, make_hyper

from jaxgan.algorithm.gan import Regularizer, init_state
from jaxgan.compilation import ONCE
from jaxgan.devices import parallel
from jaxgan.devices.parallel import make_program, num_cores
from jaxgan.models import GENERATORS
from jaxgan.optimizers import OPTIMIZERS, SCHEDULES
from jaxgan.regularizers import FAMILIES
from jaxgan.sweeps.devices import (
    devices_that_fit,
    fits,
    free_memory,
    members_of_a_device,
    memory_of_each,
    most_members,
    num_bytes,
)
from jaxgan.sweeps.population import (
    Population,
    init_member,
    init_members,
    member_of,
    optimizer_numbers,
    prefers_map,
)

STEPS = 6
RATES = (0.02, 0.05, 1e-3)
DECAYS = (0.9, 0.5, 0.0)


def gan_with(learning_rate, family="mlp"):
    return make_gan(
        family,
        batch_norm=family == "mlp",
        generator_optimizer=OPTIMIZERS["adam"](learning_rate=learning_rate),
        discriminator_optimizer=OPTIMIZERS["adam"](learning_rate=2 * learning_rate),
    )


def hyper_with(decay):
    return make_hyper(ema_decay=decay)


def keys(num):
    return np.stack([np.zeros(num, np.uint32), np.arange(num, dtype=np.uint32)], axis=1)


def once(function, *arguments):
    """The result of a function, compiled as in a run's start."""
    return jax.jit(functools.partial(function, *arguments), compiler_options=ONCE)()


def train(num, width, devices, hypers, rates=RATES, family="mlp", calls=(STEPS,)):
    gans = [gan_with(rate, family) for rate in rates]
    population = Population(gans[0], 8, num, width, devices)
    numbers = [optimizer_numbers(gan) for gan in gans]
    states = once(init_members, gans[0], keys(num), hypers, numbers)
    states, alive = population.place(states, np.ones(num, bool))
    data = population.place_data({"examples": load_digits()})
    found = []
    for steps in calls:
        states, alive, metrics = population.train_steps(states, alive, data, steps)
        found.append(metrics)
    return states, np.asarray(alive)[:num], jax.tree.map(lambda *parts: np.concatenate(parts, 1), *found)


@functools.cache
def alone(i, family="mlp"):
    gan = gan_with(RATES[i], family)
    program = make_program(gan, "jit", 8, num_devices=1)
    hyper = hyper_with(DECAYS[i])
    state = program.place_state(once(init_state, gan, keys(3)[i], hyper))
    data = program.place_data({"examples": load_digits()})
    return jax.device_get(program.train_steps(state, data, STEPS))


def assert_same(found, expected, bits):
    paths = jax.tree_util.tree_flatten_with_path(expected)[0]
    for (path, leaf), other in zip(paths, jax.tree.leaves(found), strict=True):
        leaf, other = np.asarray(leaf), np.asarray(other)
        assert leaf.dtype == other.dtype and leaf.shape == other.shape, path
        if bits:
            assert leaf.tobytes() == other.tobytes(), path
        else:
            np.testing.assert_allclose(leaf, other, rtol=2e-4, atol=2e-5, err_msg=str(path))


@pytest.mark.slow
@pytest.mark.parametrize(("width", "num_devices", "calls"), [
    *((1, 3, (STEPS,)), (3, 2, (STEPS,)), (1, 1, (STEPS,)), (3, 1, (STEPS,)), (2, 1, (STEPS,))),
    *((1, 2, (STEPS,)), (1, 1, (STEPS - 1, 1))),
])  # fmt: skip
def test_a_member_equals_a_separate_run(exact, width, num_devices, calls):
    devices = jax.devices()[:num_devices]
    states, alive, metrics = train(3, width, devices, [*map(hyper_with, DECAYS)], calls=calls)
    assert alive.all()
    for i in range(3):
        state, expected = alone(i)
        assert_same(member_of(states, i), state, bits=width == 1)
        assert_same({name: values[i] for name, values in metrics.items()}, expected, bits=width == 1)


@pytest.mark.parametrize("width", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_member_that_diverges_is_frozen_and_does_not_affect_others(exact, width):
    rates = RATES[0], 1e38, RATES[2]
    states, alive, metrics = train(3, width, jax.devices()[:1], [*map(hyper_with, DECAYS)], rates)
    assert alive.tolist() == [True, False, True]
    assert not np.isfinite(metrics["discriminator_loss"][1]).all()
    numbers = optimizer_numbers(gan_with(RATES[1]))
    fresh = once(init_member, gan_with(1.0), keys(3)[1], hyper_with(DECAYS[1]), numbers)
    assert_same(member_of(states, 1).generator.params, fresh.generator.params, bits=True)
    for i in (0, 2):
        assert_same(member_of(states, i), alone(i)[0], bits=width == 1)


@pytest.mark.parametrize("width", [1, 2])
def test_members_with_a_guard_and_a_step_of_its_own_equal_separate_runs(exact, width):
    """R1 with two weights takes that step in every second update. NaN in some images skip updates."""
    build, digits = FAMILIES["gradient"].bind("r1")[0], np.float32(load_digits()) / 127.5 - 1
    digits[::32, 3, 3] = np.nan
    r1 = Regularizer("gradient", build, 2, SCHEDULES["constant"], own_step=True)
    gan = make_gan(regularizers={"r1": r1}, nonfinite="skip", optimizer="adam")
    weights = [{"r1": {"weight": weight, "schedule": {}, "fields": {}}} for weight in (0.1, 2.0)]
    hypers = [make_hyper(regularizers=some) for some in weights]
    population = Population(gan, 8, 2, width, jax.devices()[:1])
    numbers = [optimizer_numbers(gan)] * 2
    states = once(init_members, gan, keys(2), hypers, numbers)
    states, alive = population.place(states, np.ones(2, bool))
    data = {"examples": digits}
    states, alive, metrics = population.train_steps(states, alive, population.place_data(data), STEPS)
    assert np.asarray(alive).all()
    program = make_program(gan, "jit", 8, num_devices=1)
    for i in range(2):
        state = program.place_state(once(init_state, gan, keys(2)[i], hypers[i]))
        state, expected = jax.device_get(program.train_steps(state, program.place_data(data), STEPS))
        skipped = expected["discriminator_nonfinite"] > 0
        assert 0 < skipped.sum() < STEPS and state.discriminator.step > STEPS - skipped.sum()
        assert_same(member_of(states, i), state, bits=width == 1)
        assert_same({name: values[i] for name, values in metrics.items()}, expected, bits=width == 1)


def test_convolutions_and_wide_layers_run_sequentially_on_a_cpu():
    wide = gan_with(0.01)
    wide = dataclasses.replace(wide, generator=GENERATORS["mlp"]((8, 8, 1), None, hidden=(2000, 2000)))
    for gan, expected in ((gan_with(0.01), False), (gan_with(0.01, "dcgan"), True), (wide, True)):
        state = jax.eval_shape(lambda gan=gan: init_state(gan, keys(1)[0], hyper_with(1.0)))
        states = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((2, *leaf.shape), leaf.dtype), state)
        states = states.replace(step=state.step)
        data = {"examples": load_digits()}
        assert prefers_map(gan, states, data, 8, "cpu") is expected
        assert not prefers_map(gan, states, data, 8, "gpu")


def test_devices_share_members():
    assert [members_of_a_device(num, range(4)) for num in (1, 3, 4, 5, 8, 9)] == [1, 1, 1, 2, 2, 3]


@pytest.mark.parametrize(("flags", "expected"), [
    ("", num_cores()),
    ("--xla_force_host_platform_device_count=3", 3),
])  # fmt: skip
def test_every_core_is_a_device_by_default(flags, expected):
    program = "from jaxgan.sweeps import devices; devices.use_cores(); import jax; print(jax.device_count())"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    environment.pop("JAX_NUM_CPU_DEVICES", None)
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == [str(expected)], done.stderr


@pytest.mark.parametrize(("quota", "expected"), [("150000 100000\n", 2), ("max 100000\n", 8)])
def test_cores_are_those_of_the_affinity_and_of_the_container(monkeypatch, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(parallel.Path, "read_text", lambda *_, **__: quota)
    assert num_cores() == expected


def test_memory():
    state = {"a": jax.ShapeDtypeStruct((1000,), jnp.float32)}
    assert num_bytes(state) == 4000
    assert most_members(state, 0, 10 * 16_000, 1) == 7
    assert most_members(state, 0, 10 * 16_000, 4) == 28
    assert most_members(state, 10**9, 10, 1) == 1
    assert free_memory(jax.devices()[0]) > 2**20
    compiled = jax.jit(lambda x: x + 1).lower(jnp.zeros(1000)).compile()
    assert fits(compiled, 10**6) and not fits(compiled, 10)
    devices = jax.devices()
    assert len(devices_that_fit(devices, 4000, 10**6)) == len(devices) > 1
    assert devices_that_fit(devices, 4000, 10**15) == devices[:1]  # each would need a copy of the data
    assert memory_of_each(devices) <= free_memory(devices[0])
