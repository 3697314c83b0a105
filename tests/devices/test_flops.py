"""Arithmetic of networks and steps, counted by hand."""

import jax.numpy as jnp
from gans import make_gan

from configs import dcgan_mnist, gan_ring
from jaxgan.config import experiment
from jaxgan.devices.flops import forward_flops, step_flops, steps_of_a_call
from jaxgan.models import DISCRIMINATORS, GENERATORS


def test_a_step_of_the_ring():
    # 2 → 400 → 400 → 400 → 400 → 2, against 2 → 1000 (max of 5) → 200 ...
    generator = 2 * (2 * 400 + 3 * 400 * 400 + 400 * 2)
    discriminator = 2 * (2 * 1000 + 2 * 200 * 1000 + 200)
    gan = experiment.make_gan(gan_ring.get_config(), (2,))
    assert step_flops(gan, 100) == 100 * (3 * generator + 8 * discriminator)


def test_the_reference_dcgan_forward():
    gan = experiment.make_gan(dcgan_mnist.get_config("full"), (28, 28, 1))
    project, first, second, last = 100 * 12544, 49 * 256 * 128 * 25, 196 * 128 * 64 * 25, 784 * 64 * 25
    assert forward_flops(gan.generator, jnp.zeros((3, 100))) == 3 * 2 * (project + first + second + last)
    layers = 196 * 64 * 25 + 49 * 64 * 128 * 25 + 49 * 128
    assert forward_flops(gan.discriminator, jnp.zeros((2, 28, 28, 1))) == 2 * 2 * layers


def test_spectral_norm_does_not_change_the_count():
    for name, registry, inputs in (
        ("mlp", DISCRIMINATORS, (8, 8, 1)),
        ("dcgan", DISCRIMINATORS, (8, 8, 1)),
        ("dcgan", GENERATORS, (3,)),
    ):
        plain, normalized = (registry[name]((8, 8, 1), spectral_norm=pattern) for pattern in ("", "."))
        batch = jnp.zeros((2, *inputs))
        assert forward_flops(normalized, batch) == forward_flops(plain, batch) > 0


def test_more_discriminator_steps_packing_and_simultaneous_updates():
    # 3 → 8 → 64, against 64 → 8 → 1
    generator, discriminator = 2 * (3 * 8 + 8 * 64), 2 * (64 * 8 + 8)
    simultaneous = make_gan(update_order="simultaneous")
    assert step_flops(simultaneous, 4) == 4 * (3 * generator + 7 * discriminator)
    assert step_flops(make_gan(discriminator_steps=3), 4) == 4 * (5 * generator + 20 * discriminator)
    assert step_flops(make_gan(unrolled_steps=2), 4) == 4 * (3 * generator + 48 * discriminator)
    # packed, 6 examples are 3 inputs of twice the size
    inputs = 3 * 2 * (128 * 8 + 8)
    assert step_flops(make_gan(packing=2), 6) == 6 * 3 * generator + 8 * inputs


def test_a_call_has_as_many_steps_as_take_some_seconds():
    """At 2.5e11 operations a core; on a CPU, where the tests run."""
    gan = make_gan()
    some = step_flops(gan, 8) * 12.5 / 2.5e11  # cores for which 12.5 steps are a long call
    assert steps_of_a_call(gan, 8, cores=2, most=50, periods=[50, 1000]) == 50
    assert steps_of_a_call(gan, 8, cores=some, most=50, periods=[50, 1000]) == 10
    assert steps_of_a_call(gan, 8, cores=1e-9, most=50, periods=[50, 1000]) == 1
    # what the config says where nothing must be shortened; else what divides all, or is long enough
    assert steps_of_a_call(gan, 8, cores=2, most=50, periods=[60, 100, 1000]) == 50
    assert steps_of_a_call(gan, 8, cores=some, most=50, periods=[50, 33]) == 12
