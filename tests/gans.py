"""GANs small enough to compile in a second or two, for the unit tests."""

import functools

import jax
import jax.numpy as jnp

from jaxgan import datasets
from jaxgan.algorithm.gan import GAN, init_state
from jaxgan.losses import LOSSES
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.optimizers import OPTIMIZERS, SCHEDULES


@functools.cache
def load_digits():
    """uint8 [N, 8, 8, 1]: the embedded digits."""
    return datasets.load("digits", image_size=8).examples


def make_gan(family="mlp", shape=(8, 8, 1), batch_norm=False, axis_name=None, optimizer="sgd", **overrides):
    """A GAN of tiny networks; overrides are fields of GAN."""
    if family == "dcgan":
        generator = {"channels": (4, 4), "kernels": (3, 3), "strides": (2, 1), "batch_norm": batch_norm}
        discriminator = {"channels": (4, 4), "kernels": (3, 3), "strides": (2, 1), "batch_norm": batch_norm}
    else:
        generator, discriminator = {"hidden": (8,), "batch_norm": batch_norm}, {"hidden": (8,)}
    fields = {
        "generator": GENERATORS[family](shape, axis_name, **generator),
        "discriminator": DISCRIMINATORS[family](shape, axis_name, **discriminator),
        "generator_optimizer": OPTIMIZERS[optimizer](learning_rate=0.1),
        "discriminator_optimizer": OPTIMIZERS[optimizer](learning_rate=0.1),
        "loss": LOSSES["nonsaturating"],
        "schedule": SCHEDULES["constant"],
        "latent": "normal",
        "latent_dim": 3,
        "shape": shape,
    }
    return GAN(**{**fields, **overrides})


def make_hyper(ema_decay=0.9, **knobs):
    """The numbers of a training step without penalties and tricks; `knobs` adds to them."""
    weights = {"generator": 1.0, "discriminator": 1.0}
    return {"ema_decay": ema_decay, "loss_weight": weights, "loss": {}, "schedule": {}, **knobs}


def make_state(gan, seed=7, **knobs):
    """An initial state with these numbers."""
    hyper = make_hyper(**knobs)
    return jax.jit(lambda key: init_state(gan, key, hyper))(jnp.array([0, seed], jnp.uint32))


def enlarge(state, factor):
    """The state with weights multiplied by `factor`, so that no gradient is negligible."""

    def grow(network):
        return network.replace(params=jax.tree.map(lambda leaf: leaf * factor, network.params))

    generator = grow(state.generator)
    ema = {**state.ema, "params": generator.params}
    return state.replace(generator=generator, discriminator=grow(state.discriminator), ema=ema)
