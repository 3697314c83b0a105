"""Optimizers from optax, by name, and learning-rate schedules.

Every number of an optimizer is a leaf of its state (`optax.inject_hyperparams`), so that one compiled
program serves every value of it. A schedule is a pure factor `f(step, *, num_steps, ...)` on the learning
rate, which the step writes into that leaf; its own numbers are leaves of the state too (`hyper.schedule`).
Every schedule rests after `num_steps` (0: is at rest), and is multiplied by a linear warm-up over
`warmup_steps`: (step + 1)/warmup_steps until that is 1 (0: none).
"""

import jax.numpy as jnp
import optax

from jaxgan.registry import Registry

OPTIMIZERS = Registry("optimizer")
SCHEDULES = Registry("schedule")


@OPTIMIZERS.register("adam")
def adam(
    *,
    learning_rate: float = 2e-4,
    b1: float = 0.5,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
):
    """Adam (Kingma and Ba 2015) with the β1 of DCGAN (Radford et al. 2016, section 4).

    θ ← θ - η·m̂ / (√(v̂ + eps_root) + eps). Where one differentiates through the update, as unrolled GANs do,
    `eps_root` must be above 0, say 1e-16: the derivative of √ at 0 is infinite. So it is with all Adams here.
    """
    return optax.inject_hyperparams(optax.adam)(
        learning_rate=learning_rate, b1=b1, b2=b2, eps=eps, eps_root=eps_root
    )


@OPTIMIZERS.register("adamw")
def adamw(
    *,
    learning_rate: float = 2e-4,
    b1: float = 0.5,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    weight_decay: float = 1e-2,
):
    """Adam with decoupled weight decay of all parameters: θ ← θ - η·(Adam's step + λ·θ).

    Source: Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization, algorithm 2.
    """
    return optax.inject_hyperparams(optax.adamw)(
        learning_rate=learning_rate, b1=b1, b2=b2, eps=eps, eps_root=eps_root, weight_decay=weight_decay
    )


@OPTIMIZERS.register("optimistic_adam")
def optimistic_adam(
    *,
    learning_rate: float = 2e-4,
    b1: float = 0.5,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    optimism: float = 1.0,
):
    """θ ← θ - η·(r + o·(r - r')): r is Adam's step, r' the one before it (the first time: the same).

    Source: Daskalakis et al. 2018, Training GANs with Optimism, algorithm 1 (o = 1).
    """
    return optax.inject_hyperparams(_optimistic_adam)(
        learning_rate=learning_rate, b1=b1, b2=b2, eps=eps, eps_root=eps_root, optimism=optimism
    )


def _optimistic_adam(learning_rate, b1, b2, eps, eps_root, optimism):
    # not optax.optimistic_adam, whose signature is about to change, nor its successor of a passing name
    return optax.chain(
        optax.scale_by_adam(b1, b2, eps, eps_root),
        optax.scale_by_optimistic_gradient(alpha=1.0, beta=optimism),
        optax.scale_by_learning_rate(learning_rate),
    )


@OPTIMIZERS.register("lion")
def lion(*, learning_rate: float = 2e-5, b1: float = 0.9, b2: float = 0.99, weight_decay: float = 0.0):
    """θ ← θ - η·(sign(β1·m + (1 - β1)·g) + λ·θ), m ← β2·m + (1 - β2)·g.

    Source: Chen et al. 2023, Symbolic Discovery of Optimization Algorithms, algorithm 2; its section 5 asks
    for learning rates 3 to 10 times below Adam's.
    """
    return optax.inject_hyperparams(optax.lion)(
        learning_rate=learning_rate, b1=b1, b2=b2, weight_decay=weight_decay
    )


@OPTIMIZERS.register("rmsprop")
def rmsprop(*, learning_rate: float = 5e-5, decay: float = 0.9, eps: float = 1e-16):
    """RMSProp (Hinton 2012) with the learning rate of Arjovsky et al. 2017, Wasserstein GAN.

    θ ← θ - η·g / √(v + eps), v ← decay·v + (1 - decay)·g². Inside the root 1e-16 is what 1e-8 is beside it:
    small next to the gradients of a clipped critic; and the root has a derivative at 0, for unrolling.
    """
    return optax.inject_hyperparams(optax.rmsprop)(learning_rate=learning_rate, decay=decay, eps=eps)


@OPTIMIZERS.register("sgd")
def sgd(*, learning_rate: float = 1e-2):
    """Plain gradient descent: θ ← θ - η·∇L."""
    return optax.inject_hyperparams(optax.sgd)(learning_rate=learning_rate)


@OPTIMIZERS.register("momentum")
def momentum(*, learning_rate: float = 1e-2, momentum: float = 0.9):
    """Gradient descent with momentum: v ← μ·v + ∇L, θ ← θ - η·v (Polyak 1964).

    μ below 0 helps in games: Gidel et al. 2019, Negative Momentum for Improved Game Dynamics.
    """
    return optax.inject_hyperparams(optax.sgd)(learning_rate=learning_rate, momentum=momentum)


@SCHEDULES.register("constant")
def constant(step, *, num_steps: int = 0, warmup_steps: int = 0):
    """1 at every step."""
    return _ramp(step, warmup_steps)


@SCHEDULES.register("warmup")
def warmup(step, *, num_steps: int = 0, warmup_steps: int = 0):
    """From 1/num_steps at step 0 to 1 at step num_steps - 1 in a straight line, 1 after that."""
    return _ramp(step, warmup_steps) * _ramp(step, num_steps)


@SCHEDULES.register("linear")
def linear(step, *, num_steps: int = 0, warmup_steps: int = 0, final: float = 0.0):
    """From 1 at step 0 to `final` at step `num_steps` in a straight line, constant after that."""
    return _ramp(step, warmup_steps) * (1 + (final - 1) * _progress(step, num_steps))


@SCHEDULES.register("cosine")
def cosine(step, *, num_steps: int = 0, warmup_steps: int = 0, final: float = 0.0):
    """From 1 to `final` over `num_steps` along half a cosine. Source: Loshchilov and Hutter 2017, SGDR."""
    wave = 0.5 * (1 + jnp.cos(jnp.pi * _progress(step, num_steps)))
    return _ramp(step, warmup_steps) * (final + (1 - final) * wave)


@SCHEDULES.register("exponential")
def exponential(step, *, num_steps: int = 0, warmup_steps: int = 0, final: float = 0.01):
    """From 1 to `final` over `num_steps`, by the same factor at each step; constant after that."""
    return _ramp(step, warmup_steps) * jnp.power(final, _progress(step, num_steps))


@SCHEDULES.register("step")
def staircase(step, *, num_steps: int = 0, warmup_steps: int = 0, every: int = 0, factor: float = 0.1):
    """× `factor` after each `every` steps (0: each third of `num_steps`), constant from `num_steps` on."""
    every = jnp.maximum(jnp.where(every > 0, every, num_steps / 3), 1.0)
    last = jnp.minimum(step, num_steps - 1)  # a drop at the very end would be for no step of the run
    # half a step more: integers stand off the edges, where a rounded quotient could fall to either side
    drops = jnp.where(num_steps > 0, jnp.floor((last + 0.5) / every), 2.0)
    return _ramp(step, warmup_steps) * jnp.power(factor, drops)


def _progress(step, num_steps):
    """The share of `num_steps` done, in [0, 1]; 1 where `num_steps` is 0."""
    return jnp.where(num_steps > 0, jnp.clip(step / jnp.maximum(num_steps, 1), 0.0, 1.0), 1.0)


def _ramp(step, length):
    """(step + 1)/length until it is 1; 1 where `length` is 0."""
    # float first: the last step plus 1 is no int32
    return jnp.minimum((jnp.asarray(step, jnp.float32) + 1) / jnp.maximum(length, 1), 1.0)
