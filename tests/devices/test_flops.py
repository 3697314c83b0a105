"""Operation counts of programs and steps, against counts by hand."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from gans import make_gan, make_hyper

from configs import dcgan_mnist, gan_ring
from jaxgan.algorithm.gan import Regularizer, init_state
from jaxgan.config import experiment
from jaxgan.devices.flops import program_flops, step_flops, steps_of_a_call
from jaxgan.devices.parallel import make_program
from jaxgan.optimizers import SCHEDULES
from jaxgan.regularizers import GRADIENT_PENALTIES


def flops(function, *shapes):
    return program_flops(jax.make_jaxpr(function)(*map(jnp.zeros, shapes)).jaxpr)


def forward(module, *shape):
    variables = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros(shape))
    run = jax.make_jaxpr(lambda variables, x: module.apply(variables, x))
    return program_flops(run(variables, jnp.zeros(shape)).jaxpr)


def shapes_of(gan, hyper=None):
    return jax.eval_shape(lambda key: init_state(gan, key, hyper or make_hyper()), jnp.zeros(2, jnp.uint32))


def of_step(batch_size, hyper=None, **fields):
    gan = make_gan(**fields)
    return step_flops(gan, shapes_of(gan, hyper), batch_size, fields.get("axis_name"))


def test_products_scans_and_conditionals():
    product = 2 * 3 * 4 * 5
    assert flops(lambda a, b: a @ b, (3, 4), (4, 5)) == product
    assert flops(lambda a, b: jnp.einsum("hij,hjk->hik", a, b), (7, 3, 4), (7, 4, 5)) == 7 * product

    def scanned(a, b):
        return jax.lax.scan(lambda carry, _: (carry @ b, None), a, length=6)[0]

    assert flops(scanned, (3, 4), (4, 4)) == 6 * 2 * 3 * 4 * 4

    def branched(a, b):
        return jax.lax.cond(a.sum() > 0, lambda: a @ b, lambda: a + a @ b @ b)

    assert flops(branched, (3, 4), (4, 4)) == 2 * 2 * 3 * 4 * 4
    assert flops(jax.jit(lambda a, b: a @ b), (3, 4), (4, 5)) == product


def test_layers_of_other_projects_are_counted():
    """Attention, grouped and dilated convolutions, and a kernel that depends on the example."""
    attention = nn.MultiHeadDotProductAttention(num_heads=2, qkv_features=8)
    projections, scores = 4 * 2 * 5 * 8 * 8, 2 * 2 * 5 * 5 * 8
    assert forward(attention, 1, 5, 8) == projections + scores
    grouped = nn.Conv(8, (3, 3), feature_group_count=4)
    assert forward(grouped, 2, 6, 6, 8) == 2 * (2 * 36 * 8) * 9 * 2
    dilated = nn.ConvTranspose(5, (4, 4), strides=(2, 2))
    assert forward(dilated, 1, 6, 6, 3) == 2 * (12 * 12 * 5) * (16 * 3) / 4
    modulated = flops(
        lambda x, s, k: jax.vmap(lambda x, s: x @ (s[:, None] * k))(x, s), (4, 9, 6), (4, 6), (6, 7)
    )
    assert modulated == 2 * 4 * 9 * 6 * 7


def test_the_reference_dcgan_forward():
    project, first, second, last = 100 * 12544, 49 * 256 * 128 * 25, 196 * 128 * 64 * 25, 784 * 64 * 25
    by_hand = 3 * 2 * (project + first + second + last)
    gan = experiment.make_gan(dcgan_mnist.get_config("full"), (28, 28, 1))
    assert forward(gan.generator, 3, 100) == by_hand
    layers = 196 * 64 * 25 + 49 * 64 * 128 * 25 + 49 * 128
    assert forward(gan.discriminator, 2, 28, 28, 1) == 2 * 2 * layers


def test_a_step_of_the_ring():
    """2 → 400 → 400 → 400 → 400 → 2, against 2 → 1000 (max of 5) → 200 ...

    The forward pass, the gradients of inputs and the gradients of weights cost the same. There is no gradient
    of z, and none of the inputs in the discriminator's own update.
    """
    first, rest = 2 * (2 * 400), 2 * (3 * 400 * 400 + 400 * 2)
    generator = 2 * first + 3 * rest
    seen, inside = 2 * (2 * 1000), 2 * (2 * 200 * 1000 + 200)
    discriminator = 2 * (2 * seen + 3 * inside) + 2 * (seen + inside)
    config = gan_ring.get_config()
    gan = experiment.make_gan(config, (2,))
    assert step_flops(gan, shapes_of(gan, experiment.make_hyper(config)), 100) == 100 * (
        generator + discriminator
    )


def test_larger_steps_have_more_arithmetic():
    plain = of_step(4)
    assert of_step(4, discriminator_steps=3) > 2 * plain
    assert of_step(4, unrolled_steps=2) > 2 * plain
    assert of_step(8) == 2 * plain
    # with packing 2, 4 examples are 2 inputs of twice the size
    assert plain * 0.5 < of_step(4, packing=2) < plain


def test_penalties_and_synchronized_networks_are_counted():
    numbers = {"weight": 1.0, "schedule": {}, "fields": {}}
    hyper = make_hyper(regularizers={"r1": numbers})
    r1 = Regularizer("gradient", GRADIENT_PENALTIES["r1"], 1, SCHEDULES["constant"])
    assert of_step(4, hyper, regularizers={"r1": r1}) > 1.3 * of_step(4)
    spread = {"family": "dcgan", "batch_norm": True}
    assert of_step(4, **spread, axis_name="devices") == of_step(4, **spread)


def test_a_call_has_the_number_of_steps_that_take_some_seconds():
    """On a CPU, where tests run, a call has at most 2.5e11 operations per core."""
    gan = make_gan()
    state = shapes_of(gan)
    some = step_flops(gan, state, 8) * 12.5 / 2.5e11  # number of cores for which 12.5 steps take that long
    assert steps_of_a_call(gan, state, 8, cores=2, most=50, periods=[50, 1000]) == 50
    assert steps_of_a_call(gan, state, 8, cores=some, most=50, periods=[50, 1000]) == 10
    assert steps_of_a_call(gan, state, 8, cores=1e-9, most=50, periods=[50, 1000]) == 1
    # the config's value if it is short enough; otherwise a common divisor, or the longest possible value
    assert steps_of_a_call(gan, state, 8, cores=2, most=50, periods=[60, 100, 1000]) == 50
    assert steps_of_a_call(gan, state, 8, cores=some, most=50, periods=[50, 33]) == 12


@pytest.mark.parametrize("num", [1, 3])
def test_the_program_of_a_call_has_the_arithmetic_of_its_steps(num):
    gan = make_gan()
    state = shapes_of(gan)
    program = make_program(gan, "jit", 8, num_devices=1)
    data = {"examples": jax.ShapeDtypeStruct((20, math.prod(gan.shape)), jnp.uint8)}
    traced = program.trace(state, data, num)
    assert program_flops(traced) == num * step_flops(gan, state, 8) > 0
    cores = step_flops(gan, state, 8) * 12.5 / 2.5e11
    assert steps_of_a_call(gan, state, 8, cores, 50, [50], trace=lambda: (traced, num)) == 10
    assert make_program(gan, "pmap", 8, num_devices=1).trace(state, data, num) is None
