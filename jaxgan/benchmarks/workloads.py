"""The GANs that are timed, by name: a config, and how much arithmetic a step of it is."""

import importlib
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxgan import layers
from jaxgan.errors import UserError
from jaxgan.gan import GAN


class Workload(NamedTuple):
    """A GAN to time.

    Attributes:
      config: the name of a file of configs/, with its variant.
      shape: of one example.
      num_examples: in the data set that it is timed on, which holds noise: no time depends on the content.
    """

    config: str
    shape: tuple[int, ...]
    num_examples: int

    def read(self, batch_size: int = 0, update_order: str = "alternating") -> ConfigDict:
        """Its config, with another batch size where one is given.

        Raises:
          UserError: configs/ is not in the current folder.
        """
        name, _, variant = self.config.partition(":")
        try:
            get_config = importlib.import_module(f"configs.{name}").get_config
        except ModuleNotFoundError as error:
            raise UserError("configs/ is not here: run the benchmark in the project's folder") from error
        config = get_config(variant) if variant else get_config()
        with config.unlocked():
            config.batch_size = batch_size or config.batch_size
            config.update_order = update_order
        return config

    def draw_examples(self) -> np.ndarray:
        """uint8 images `[N, H, W, C]` or float32 points `[N, D]`."""
        random, shape = np.random.default_rng(0), (self.num_examples, *self.shape)
        if len(self.shape) == 3:
            return random.integers(0, 256, shape, np.uint8)
        return random.standard_normal(shape, np.float32)


WORKLOADS = {
    "dcgan_mnist:full": Workload("dcgan_mnist:full", (28, 28, 1), 60_000),
    "dcgan_mnist": Workload("dcgan_mnist", (28, 28, 1), 60_000),
    "mlp_mnist": Workload("mlp_mnist:deep", (28, 28, 1), 60_000),
    "gan_ring": Workload("gan_ring", (2,), 100_000),
    "dcgan_32": Workload("dcgan_images", (32, 32, 3), 50_000),
}


def forward_flops(network: nn.Module, inputs: jax.Array) -> float:
    """Floating-point operations of the matrix products and convolutions of one forward pass.

    Two for each multiplication and addition of the textbook's layer, borders included, however the program
    computes it. `inputs` is a batch, of which the shape alone counts.
    """
    total = 0.0

    def count(call: Callable, args, kwargs, context):
        nonlocal total
        outputs = call(*args, **kwargs)
        layer = context.module
        if context.method_name == "__call__" and isinstance(layer, nn.Dense):
            total += 2.0 * outputs.size * args[0].shape[-1]
        elif context.method_name == "__call__" and isinstance(layer, layers.Conv):
            total += 2.0 * outputs.size * args[0].shape[-1] * layer.kernel_size**2
        elif context.method_name == "__call__" and isinstance(layer, layers.ConvTranspose):
            total += 2.0 * args[0].size * layer.features * layer.kernel_size**2
        return outputs

    def run():
        with nn.intercept_methods(count):
            return network.init(jax.random.key(0), inputs)

    jax.eval_shape(run)
    return total


def step_flops(gan: GAN, batch_size: int) -> float:
    """Floating-point operations of one step of a plain GAN, each backward pass counted as two forward ones.

    Generator: forward and backward. Discriminator: forward and backward on real and on fake examples; for
    the generator, forward on fakes (simultaneous updates have it already) and backward to them without
    gradients of its weights.
    """
    generator = forward_flops(gan.generator, jnp.zeros((batch_size, gan.latent_dim)))
    discriminator = forward_flops(gan.discriminator, jnp.zeros((batch_size, *gan.shape)))
    passes = 3 + 3 + (2 if gan.update_order == "alternating" else 1)
    return 3 * generator + passes * discriminator
