"""Small conditional GANs, built from configs in the same way as in a run."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from gans import load_digits
from runs import tiny_config

from jaxgan import datasets
from jaxgan.algorithm.gan import init_state
from jaxgan.config import checks, experiment, fields

B = 8
CLASSES = tuple(range(10))
MLP = {
    "generator.name": "mlp",
    "discriminator.name": "mlp",
    "generator.mlp.hidden": (8,),
    "discriminator.mlp.hidden": (8,),
    "discriminator.mlp.dropout": 0.0,
    "discriminator.mlp.spectral_norm": "",
    "latent_dim": 4,
    "batch_size": B,
    "condition.name": "labels",
}


@functools.cache
def digit_labels():
    return datasets.load("digits", image_size=8).labels


def configure(**changes):
    """A checked config of conditional dense networks; `changes` is a dict of field names with '.'."""
    config = tiny_config(**{name.replace(".", "__"): value for name, value in (MLP | changes).items()})
    checks.check(config)
    return fields.fix_schedule(config)


def make(config, axis_name=None, seed=3, grow=1.0):
    """(GAN, initial state) with parameters multiplied by `grow`."""
    gan = experiment.make_gan(config, (8, 8, 1), axis_name, CLASSES)
    hyper = experiment.make_hyper(config, digit_labels())
    state = jax.jit(lambda: init_state(gan, np.array([0, seed], np.uint32), hyper))()

    def larger(network):
        return network.replace(params=jax.tree.map(lambda leaf: grow * leaf, network.params))

    return gan, state.replace(generator=larger(state.generator), discriminator=larger(state.discriminator))


def make_batch(gan, size=B):
    """The first digits, with their labels."""
    rows = np.arange(gan.discriminator_steps * size).reshape(-1, size)
    return {
        "examples": jnp.asarray(load_digits()[rows]),
        "labels": jnp.asarray(digit_labels()[rows]),
        "index": jnp.arange(size),
    }
