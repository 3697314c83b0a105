"""Penalties on the gradient of the discriminator with respect to its input.

`(critic, real, fake, keys, axis_name) -> [B]` with `critic: images [B, ...] -> [B]`, and a typed key for each
example.

∇D(x) is the gradient of Σ_i D(x)_i. If the discriminator compares examples (minibatch standard deviation),
its i-th part is not the gradient of D(x)_i alone. Published code does the same, StyleGAN2 included.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key

from jaxgan.regularizers import GRADIENT_PENALTIES
from jaxgan.regularizers.critic import of_fakes
from jaxgan.regularizers.draws import draw, split

Examples = Float[Array, "B ..."]
PerExample = Float[Array, " B"]
GradientPenalty = Callable[
    [Callable[[Examples], PerExample], Examples, Examples, Key[Array, " B"], str | None], PerExample
]


def _square_norm(critic, x):
    """‖∇_x Σ_i D(x)_i‖² over all axes but the first: `[B, ...] -> [B]`."""
    gradient = jax.grad(lambda x: jnp.sum(critic(x)))(x)
    return jnp.sum(jnp.square(gradient), axis=tuple(range(1, x.ndim)))


def _sqrt(squares):
    """√ with the derivative 0 at 0, and exact elsewhere: an epsilon would bias small norms."""
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1.0)), 0.0)


def _uniform(keys, like):
    """A draw from U(0, 1) for each example, to be multiplied with `like` `[B, ...]`."""
    return draw(jax.random.uniform, keys, (1,) * (like.ndim - 1))


def _between(real, fake, keys):
    """εx + (1 - ε)G(z), ε ~ U(0, 1) an example."""
    epsilon = _uniform(keys, real)
    return epsilon * real + (1 - epsilon) * fake


@GRADIENT_PENALTIES.register("wgan_gp")
def wgan_gp(*, target: float = 1.0, one_sided: bool = False) -> GradientPenalty:
    """(‖∇D(x̂)‖ - target)², or max(0, ‖∇D(x̂)‖ - target)²;  x̂ = εx + (1 - ε)G(z), ε ~ U(0, 1) an example.

    Args:
      target: the wanted norm of the gradient between real and fake examples.
      one_sided: whether smaller slopes are not penalized (WGAN-LP).

    Source: Gulrajani et al. 2017, Improved Training of Wasserstein GANs, equation 3, with weight 10; Petzka
    et al. 2018, On the regularization of Wasserstein GANs, for one side.
    """

    def penalty(critic, real, fake, keys, axis_name=None):
        excess = _sqrt(_square_norm(critic, _between(real, fake, keys))) - target
        return jnp.square(jax.nn.relu(excess) if one_sided else excess)

    return penalty


@GRADIENT_PENALTIES.register("dragan")
def dragan(*, target: float = 1.0, scale: float = 0.5) -> GradientPenalty:
    """(‖∇D(x̂)‖ - target)²;  x̂ = x + α·scale·std(X)·u, α ~ U(0, 1) an example and u ~ U(0, 1) a pixel.

    std(X) is over all numbers of the whole batch of real examples, over `axis_name` too.

    Args:
      target: the wanted norm of the gradient around real examples.
      scale: factor on the noise.

    Source: Kodali et al. 2017, On Convergence and Stability of GANs, section 2.3, with weight 10. x̂ is that
    of the authors' published code; the paper's text has x + δ with δ ~ N(0, cI).
    """

    def penalty(critic, real, fake, keys, axis_name=None):
        def mean(x):
            return jnp.mean(x) if axis_name is None else lax.pmean(jnp.mean(x), axis_name)

        stddev = jnp.sqrt(mean(jnp.square(real - mean(real))))
        alpha_keys, noise_keys = split(keys)
        noise = _uniform(alpha_keys, real) * draw(jax.random.uniform, noise_keys, real.shape[1:])
        return jnp.square(_sqrt(_square_norm(critic, real + scale * stddev * noise)) - target)

    return penalty


@GRADIENT_PENALTIES.register("r1")
def r1() -> GradientPenalty:
    """½‖∇D(x)‖² on real examples; its weight is the papers' γ.

    Source: Mescheder et al. 2018, Which Training Methods for GANs do actually Converge?, equation 9.
    """
    return lambda critic, real, fake, keys, axis_name=None: _square_norm(critic, real) / 2


@GRADIENT_PENALTIES.register("r2")
def r2() -> GradientPenalty:
    """½‖∇D(G(z))‖² on fake examples; its weight is the papers' γ.

    Source: Mescheder et al. 2018, Which Training Methods for GANs do actually Converge?, equation 10.
    """
    return lambda critic, real, fake, keys, axis_name=None: _square_norm(of_fakes(critic), fake) / 2


@GRADIENT_PENALTIES.register("zero_centered")
def zero_centered() -> GradientPenalty:
    """‖∇D(x̂)‖² with the x̂ of `wgan_gp`.

    Source: Thanh-Tung et al. 2019, Improving Generalization and Stability of GANs (0-GP).
    """
    return lambda critic, real, fake, keys, axis_name=None: _square_norm(critic, _between(real, fake, keys))
