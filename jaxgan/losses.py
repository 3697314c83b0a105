"""Adversarial losses: pure functions of logits, one value per example.

A loss is a pair `discriminator(real_logits, fake_logits)`, `generator(real_logits, fake_logits)`,
each `[B], [B] -> [B]`; both are minimized, and the step takes the mean over the batch. Logits are the
discriminator's raw outputs, never probabilities: log D(x) = -softplus(-logit) is exact where
log(sigmoid(logit)) is -inf.

To add one: write a builder here and register it. Its keyword-only parameters become the config fields
`loss.<name>.<parameter>`, and the contract tests cover it.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgan.registry import Registry

LOSSES = Registry("loss")

Logits = jax.Array
PerExample = jax.Array


class Loss(NamedTuple):
    """A pair of per-example losses and how to read the discriminator that they train.

    Attributes:
      discriminator: `(real_logits [B], fake_logits [B]) -> [B]`, minimized by the discriminator.
      generator: `(real_logits [B], fake_logits [B]) -> [B]`, minimized by the generator.
      output_fn: logits → what the paper calls D(x) (a probability for the logistic losses).
      threshold: the value of D(x) above which an example counts as judged real, for the accuracies
        that are logged; None where the outputs have no zero point (Wasserstein), and the middle between
        the two batch means is used.
    """

    discriminator: Callable[[Logits, Logits], PerExample]
    generator: Callable[[Logits, Logits], PerExample]
    output_fn: Callable[[Logits], jax.Array]
    threshold: float | None


def _identity(logits):
    return logits


def _cross_entropy(real_logits, fake_logits):
    """-log D(x) - log(1 - D(G(z))), with D = sigmoid(logit)."""
    return jax.nn.softplus(-real_logits) + jax.nn.softplus(fake_logits)


@LOSSES.register("minimax")
def minimax() -> Loss:
    """The saturating game as first published: min_G max_D E log D(x) + E log(1 - D(G(z))).

    Source: Goodfellow et al. 2014, Generative Adversarial Nets, equation 1. The generator's gradient
    vanishes where the discriminator is sure of its fakes; see `nonsaturating`.
    """
    return Loss(_cross_entropy, lambda real, fake: -jax.nn.softplus(fake), jax.nn.sigmoid, 0.5)


@LOSSES.register("nonsaturating")
def nonsaturating() -> Loss:
    """The discriminator of `minimax`; the generator minimizes -log D(G(z)).

    Source: Goodfellow et al. 2014, Generative Adversarial Nets, section 3.
    """
    return Loss(_cross_entropy, lambda real, fake: jax.nn.softplus(-fake), jax.nn.sigmoid, 0.5)


@LOSSES.register("least_squares")
def least_squares(*, a: float = 0.0, b: float = 1.0, c: float = 1.0) -> Loss:
    """D: ½(D(x) - b)² + ½(D(G(z)) - a)²;  G: ½(D(G(z)) - c)².

    Args:
      a: the discriminator's target for fake examples.
      b: the discriminator's target for real examples.
      c: the value that the generator wants the discriminator to give its fakes.

    Source: Mao et al. 2017, Least Squares Generative Adversarial Networks, equation 2; (0, 1, 1) is their
    equation 9, and (-1, 1, 0), equation 8, minimizes the Pearson χ² divergence.
    """
    return Loss(
        lambda real, fake: 0.5 * jnp.square(real - b) + 0.5 * jnp.square(fake - a),
        lambda real, fake: 0.5 * jnp.square(fake - c),
        _identity,
        (a + b) / 2,
    )


@LOSSES.register("hinge")
def hinge() -> Loss:
    """D: max(0, 1 - D(x)) + max(0, 1 + D(G(z)));  G: -D(G(z)).

    Source: Lim and Ye 2017, Geometric GAN; Miyato et al. 2018, Spectral Normalization for Generative
    Adversarial Networks, equations 16 and 17.
    """
    return Loss(
        lambda real, fake: jax.nn.relu(1 - real) + jax.nn.relu(1 + fake),
        lambda real, fake: -fake,
        _identity,
        0.0,
    )


@LOSSES.register("wasserstein")
def wasserstein() -> Loss:
    """D: D(G(z)) - D(x);  G: -D(G(z)).  The critic must be kept Lipschitz (spectral norm, a penalty).

    Source: Arjovsky et al. 2017, Wasserstein GAN, equation 2.
    """
    return Loss(lambda real, fake: fake - real, lambda real, fake: -fake, _identity, None)
