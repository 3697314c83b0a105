"""Optimizers from optax, by name, and learning-rate schedules.

Every number of an optimizer is a leaf of its state (`optax.inject_hyperparams`), so that one compiled
program serves every value of it. A schedule is a pure factor `f(step, *, num_steps, ...)` on the learning
rate, which the step writes into that leaf; its own numbers are leaves of the state too (`hyper.schedule`).
Every schedule is constant after `num_steps` (0: from the start). It is multiplied by a linear warm-up,
(step + 1)/warmup_steps until that is 1 (0: none).
"""

from typing import Annotated

import jax.numpy as jnp
import optax

from jaxgan.declarations import AtLeast, Between
from jaxgan.registry import Registry

OPTIMIZERS = Registry("optimizer")
SCHEDULES = Registry("schedule")

LearningRate = Annotated[float, AtLeast(0), "η, the size of a step"]
Beta1 = Annotated[float, Between(-1.0, 1.0), "β1, decay of the mean of gradients; negative momentum below 0"]
Beta2 = Annotated[float, Between(0.0, 1.0), "β2, the decay of the mean of their squares"]
DecayOfSquares = Annotated[float, "decay of the mean of squared gradients"]
Momentum = Annotated[float, "μ, the share of the last step that is repeated"]
Decay = Annotated[float, "λ, the decoupled decay of all parameters"]
Epsilon = Annotated[float, "added to the root of the mean square"]
EpsilonOfRoot = Annotated[
    float, "added inside the root; must be above 0 for unrolling, which differentiates the update"
]
Length = Annotated[int, AtLeast(0), "the schedule's own length in steps; 0: num_steps of a new run"]
Warmup = Annotated[int, AtLeast(0), "steps of an additional linear warm-up from 0; 0: none"]
Every = Annotated[int, AtLeast(0), "steps between two drops; 0: a third of num_steps"]
Factor = Annotated[float, "factor of each drop"]
Final = Annotated[float, "the factor at the end"]


@OPTIMIZERS.register("adam")
def adam(
    *,
    learning_rate: LearningRate = 2e-4,
    b1: Beta1 = 0.5,
    b2: Beta2 = 0.999,
    eps: Epsilon = 1e-8,
    eps_root: EpsilonOfRoot = 0.0,
):
    """Adam (Kingma and Ba 2015) with the β1 of DCGAN (Radford et al. 2016, section 4).

    θ ← θ - η·m̂ / (√(v̂ + eps_root) + eps). To differentiate through the update, as unrolled GANs do,
    `eps_root` must be above 0, for example 1e-16: the derivative of √ at 0 is infinite. This holds for all
    Adams here.
    """
    return optax.inject_hyperparams(optax.adam)(
        learning_rate=learning_rate, b1=b1, b2=b2, eps=eps, eps_root=eps_root
    )


@OPTIMIZERS.register("adamw")
def adamw(
    *,
    learning_rate: LearningRate = 2e-4,
    b1: Beta1 = 0.5,
    b2: Beta2 = 0.999,
    eps: Epsilon = 1e-8,
    eps_root: EpsilonOfRoot = 0.0,
    weight_decay: Decay = 1e-2,
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
    learning_rate: LearningRate = 2e-4,
    b1: Beta1 = 0.5,
    b2: Beta2 = 0.999,
    eps: Epsilon = 1e-8,
    eps_root: EpsilonOfRoot = 0.0,
    optimism: Annotated[float, "o, how strongly a step anticipates the next one"] = 1.0,
):
    """θ ← θ - η·(r + o·(r - r')): r is Adam's step and r' the step before it (at first: the same).

    Source: Daskalakis et al. 2018, Training GANs with Optimism, algorithm 1 (o = 1).
    """
    return optax.inject_hyperparams(_optimistic_adam)(
        learning_rate=learning_rate, b1=b1, b2=b2, eps=eps, eps_root=eps_root, optimism=optimism
    )


def _optimistic_adam(learning_rate, b1, b2, eps, eps_root, optimism):
    # not optax.optimistic_adam, whose signature is about to change, nor its temporary successor
    return optax.chain(
        optax.scale_by_adam(b1, b2, eps, eps_root),
        optax.scale_by_optimistic_gradient(alpha=1.0, beta=optimism),
        optax.scale_by_learning_rate(learning_rate),
    )


@OPTIMIZERS.register("lion")
def lion(*, learning_rate: LearningRate = 2e-5, b1: Beta1 = 0.9, b2: Beta2 = 0.99, weight_decay: Decay = 0.0):
    """θ ← θ - η·(sign(β1·m + (1 - β1)·g) + λ·θ), m ← β2·m + (1 - β2)·g.

    Source: Chen et al. 2023, Symbolic Discovery of Optimization Algorithms, algorithm 2; its section 5 asks
    for learning rates 3 to 10 times below Adam's.
    """
    return optax.inject_hyperparams(optax.lion)(
        learning_rate=learning_rate, b1=b1, b2=b2, weight_decay=weight_decay
    )


@OPTIMIZERS.register("rmsprop")
def rmsprop(
    *,
    learning_rate: LearningRate = 5e-5,
    decay: Annotated[float, Between(0.0, 1.0), "decay of the mean of squared gradients"] = 0.9,
    eps: Annotated[float, "added inside the root"] = 1e-16,
):
    """RMSProp (Hinton 2012) with the learning rate of Arjovsky et al. 2017, Wasserstein GAN.

    θ ← θ - η·g / √(v + eps), v ← decay·v + (1 - decay)·g². 1e-16 inside the root corresponds to 1e-8
    outside: it is small compared with the gradients of a clipped critic. Unrolling needs it inside.
    """
    return optax.inject_hyperparams(optax.rmsprop)(learning_rate=learning_rate, decay=decay, eps=eps)


@OPTIMIZERS.register("sgd")
def sgd(*, learning_rate: LearningRate = 1e-2):
    """Plain gradient descent: θ ← θ - η·∇L."""
    return optax.inject_hyperparams(optax.sgd)(learning_rate=learning_rate)


@OPTIMIZERS.register("momentum")
def momentum(
    *,
    learning_rate: LearningRate = 1e-2,
    momentum: Momentum = 0.9,
):
    """Gradient descent with momentum: v ← μ·v + ∇L, θ ← θ - η·v (Polyak 1964).

    μ below 0 helps in games: Gidel et al. 2019, Negative Momentum for Improved Game Dynamics.
    """
    return optax.inject_hyperparams(optax.sgd)(learning_rate=learning_rate, momentum=momentum)


@SCHEDULES.register("constant")
def constant(step, *, num_steps: Length = 0, warmup_steps: Warmup = 0):
    """1 at every step."""
    return _ramp(step, warmup_steps)


@SCHEDULES.register("warmup")
def warmup(step, *, num_steps: Length = 0, warmup_steps: Warmup = 0):
    """From 1/num_steps at step 0 to 1 at step num_steps - 1 in a straight line, 1 after that."""
    return _ramp(step, warmup_steps) * _ramp(step, num_steps)


@SCHEDULES.register("linear")
def linear(step, *, num_steps: Length = 0, warmup_steps: Warmup = 0, final: Final = 0.0):
    """From 1 at step 0 to `final` at step `num_steps` in a straight line, constant after that."""
    return _ramp(step, warmup_steps) * (1 + (final - 1) * _progress(step, num_steps))


@SCHEDULES.register("half_linear")
def half_linear(step, *, num_steps: Length = 0, warmup_steps: Warmup = 0, final: Final = 0.0):
    """1 for half of `num_steps`, then to `final` in a straight line, constant after that: CycleGAN's."""
    progress = jnp.maximum(2 * _progress(step, num_steps) - 1, 0.0)
    return _ramp(step, warmup_steps) * (1 + (final - 1) * progress)


@SCHEDULES.register("cosine")
def cosine(step, *, num_steps: Length = 0, warmup_steps: Warmup = 0, final: Final = 0.0):
    """From 1 to `final` over `num_steps` along half a cosine. Source: Loshchilov and Hutter 2017, SGDR."""
    wave = 0.5 * (1 + jnp.cos(jnp.pi * _progress(step, num_steps)))
    return _ramp(step, warmup_steps) * (final + (1 - final) * wave)


@SCHEDULES.register("exponential")
def exponential(step, *, num_steps: Length = 0, warmup_steps: Warmup = 0, final: Final = 0.01):
    """From 1 to `final` over `num_steps`, by the same factor at each step; constant after that."""
    return _ramp(step, warmup_steps) * jnp.power(final, _progress(step, num_steps))


@SCHEDULES.register("step")
def staircase(
    step,
    *,
    num_steps: Length = 0,
    warmup_steps: Warmup = 0,
    every: Annotated[int, AtLeast(0), "steps between two drops; 0: a third of num_steps"] = 0,
    factor: Annotated[float, "factor of each drop"] = 0.1,
):
    """× `factor` after each `every` steps (0: each third of `num_steps`), constant from `num_steps` on."""
    every = jnp.maximum(jnp.where(every > 0, every, num_steps / 3), 1.0)
    last = jnp.minimum(step, num_steps - 1)  # a drop at the very end would affect no step of the run
    # half a step more keeps integers away from the edges, where rounding could go either way
    drops = jnp.where(num_steps > 0, jnp.floor((last + 0.5) / every), 2.0)
    return _ramp(step, warmup_steps) * jnp.power(factor, drops)


def _progress(step, num_steps):
    """The share of `num_steps` done, in [0, 1]; 1 where `num_steps` is 0."""
    return jnp.where(num_steps > 0, jnp.clip(step / jnp.maximum(num_steps, 1), 0.0, 1.0), 1.0)


def _ramp(step, length):
    """(step + 1)/length until it is 1; 1 where `length` is 0."""
    # float first: the last step plus 1 is no int32
    return jnp.minimum((jnp.asarray(step, jnp.float32) + 1) / jnp.maximum(length, 1), 1.0)
