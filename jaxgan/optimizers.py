"""Optimizers from optax, by name, and learning-rate schedules.

Every number of an optimizer is a leaf of its state (`optax.inject_hyperparams`), so that one compiled
program serves every value of it. A schedule is a pure factor `f(step, *, num_steps, ...)` on the learning
rate, which the step writes into that leaf; its own numbers are leaves of the state too (`hyper.schedule`).
"""

import jax.numpy as jnp
import optax

from jaxgan.registry import Registry

OPTIMIZERS = Registry("optimizer")
SCHEDULES = Registry("schedule")


@OPTIMIZERS.register("adam")
def adam(*, learning_rate: float = 2e-4, b1: float = 0.5, b2: float = 0.999, eps: float = 1e-8):
    """Adam (Kingma and Ba 2015) with the β1 of DCGAN (Radford et al. 2016, section 4)."""
    return optax.inject_hyperparams(optax.adam)(learning_rate=learning_rate, b1=b1, b2=b2, eps=eps)


@OPTIMIZERS.register("rmsprop")
def rmsprop(*, learning_rate: float = 5e-5, decay: float = 0.9, eps: float = 1e-8):
    """RMSProp (Hinton 2012) with the learning rate of Arjovsky et al. 2017, Wasserstein GAN."""
    return optax.inject_hyperparams(optax.rmsprop)(learning_rate=learning_rate, decay=decay, eps=eps)


@OPTIMIZERS.register("sgd")
def sgd(*, learning_rate: float = 1e-2):
    """Plain gradient descent: θ ← θ - η·∇L."""
    return optax.inject_hyperparams(optax.sgd)(learning_rate=learning_rate)


@SCHEDULES.register("constant")
def constant(step, *, num_steps: int = 0):
    """1 at every step."""
    return jnp.ones((), jnp.float32)


@SCHEDULES.register("linear")
def linear(step, *, num_steps: int = 0, final: float = 0.0):
    """From 1 at step 0 to `final` at step `num_steps` in a straight line, constant after that."""
    return 1 + (final - 1) * _progress(step, num_steps)


@SCHEDULES.register("cosine")
def cosine(step, *, num_steps: int = 0, final: float = 0.0):
    """From 1 to `final` over `num_steps` along half a cosine. Source: Loshchilov and Hutter 2017, SGDR."""
    return final + (1 - final) * 0.5 * (1 + jnp.cos(jnp.pi * _progress(step, num_steps)))


def _progress(step, num_steps):
    return jnp.clip(step / num_steps, 0.0, 1.0)
