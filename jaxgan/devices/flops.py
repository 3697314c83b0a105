"""How much arithmetic a training step is, by the textbook, and so how many of them make a call."""

import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.algorithm.gan import GAN, packed_shape
from jaxgan.models import layers

_LONG_CALL = 2.5e11  # operations, for one core of a CPU: some seconds


def forward_flops(network: nn.Module, inputs: jax.Array) -> float:
    """Floating-point operations of the matrix products and convolutions of one forward pass.

    Two for each multiplication and addition of the textbook's layer, borders included, however the program
    computes it. `network` is a generator or a discriminator; of `inputs`, a batch, the shape alone counts.
    """
    total = 0.0

    def count(call: Callable, args, kwargs, context):
        nonlocal total
        outputs = call(*args, **kwargs)
        layer, x = context.module, next(iter((*args, *kwargs.values())), None)
        if context.method_name == "__call__" and isinstance(layer, nn.Dense):
            total += 2.0 * outputs.size * x.shape[-1]
        elif context.method_name == "__call__" and isinstance(layer, layers.Conv):
            total += 2.0 * outputs.size * x.shape[-1] * layer.kernel_size**2
        elif context.method_name == "__call__" and isinstance(layer, layers.ConvTranspose):
            total += 2.0 * x.size * layer.features * layer.kernel_size**2
        return outputs

    def run():
        variables = network.init(jax.random.key(0), inputs, train=False)  # may call a layer twice
        with nn.intercept_methods(count):
            return network.apply(variables, inputs, train=False)

    jax.eval_shape(run)
    return total


def step_flops(gan: GAN, batch_size: int) -> float:
    """Floating-point operations of one step of a plain GAN, each backward pass counted as two forward ones.

    Generator: forward and backward. Discriminator: forward and backward on real and on fake examples, in each
    of its updates; for the generator, forward on fakes (simultaneous updates have it already) and backward
    to them without gradients of its weights. An unrolled update, through which one differentiates, counts
    three times; the last pass after them is on real examples, too, with gradients of its weights. Penalties
    are not counted.
    """
    inputs = jnp.zeros((batch_size // gan.packing, *packed_shape(gan.shape, gan.packing)))
    generator = forward_flops(gan.generator, jnp.zeros((batch_size, gan.latent_dim)))
    discriminator = forward_flops(gan.discriminator, inputs)
    extra = gan.discriminator_steps - 1
    passes = 3 + 3 + (2 if gan.update_order == "alternating" else 1)
    ahead = 18 * gan.unrolled_steps + 4 * bool(gan.unrolled_steps)
    return (3 + extra) * generator + (passes + 6 * extra + ahead) * discriminator


def steps_of_a_call(gan: GAN, batch_size: int, cores: float, most: int, periods: Sequence[int]) -> int:
    """How many steps one compiled call should have, so that signals and progress stay prompt.

    As many as the config says, or fewer where on a CPU the call would take longer than about 5 s by its
    arithmetic.

    Args:
      gan, batch_size: of a run.
      cores: that work on it; below 1, the share of a core that a member of a population has.
      most: what the config says.
      periods: in steps. A shorter call divides them all if it can, for each other length is another program.
    """
    limit = max(1, int(_LONG_CALL * cores / (step_flops(gan, batch_size) + 1)))
    if jax.default_backend() != "cpu" or limit >= most:
        return most
    common = math.gcd(*periods)
    divisor = max(n for n in range(1, min(limit, common) + 1) if common % n == 0)
    return divisor if 4 * divisor >= limit else limit
