"""Adversarial losses: pure functions of logits, one value per example.

A loss is a pair `discriminator(real_logits, fake_logits)`, `generator(real_logits, fake_logits)`,
each `[B], [B] -> [B]`; both are minimized, and the step takes the mean over the batch. Logits are the
discriminator's raw outputs, never probabilities: log D(x) = -softplus(-logit) is exact where
log(sigmoid(logit)) is -inf. A discriminator of patches gives `[B, P]`: a loss has a value for each patch, and
`per_example` takes their mean.

To add one: write a builder here and register it. Its keyword-only parameters become the config fields
`loss.<name>.<parameter>`, and the contract tests cover it. A parameter whose default is a float is a leaf of
the state: the step calls the builder with a traced value, which may be computed with but not branched on.

MAD-GAN's discriminator has k + 1 outputs instead of one logit: see `real_or_fake` and `identification`.
"""

import math
from collections.abc import Callable
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxgan.errors import UserError
from jaxgan.registry import Registry

LOSSES = Registry("loss")

Logits = Float[Array, " B *P"]  # [B], or [B, P] of P patches
PerExample = Float[Array, " B *P"]

# Fields that several losses have.
RealLabel = Annotated[float, "target of D(x) for real examples, in [0, 1]; 0.9 is one-sided smoothing"]
FakeLabel = Annotated[float, "target of D(x) for fake examples, in [0, 1]"]
OfGenerator = Annotated[str, "the generator's loss: nonsaturating or saturating"]


class Loss(NamedTuple):
    """A pair of per-example losses and how to read the discriminator that they train.

    Attributes:
      discriminator: `(real_logits [B], fake_logits [B]) -> [B]`, minimized by the discriminator.
      generator: `(real_logits [B], fake_logits [B]) -> [B]`, minimized by the generator.
      output_fn: logits → what the paper calls D(x) (a probability for the logistic losses).
      threshold: an example counts as judged real if D(x) is above this value (for the logged accuracies).
        None if outputs have no zero point (Wasserstein, relativistic): then the middle between the two batch
        means is used.
      relativistic: whether the generator's loss depends on real logits. If it does not, unrolling adds the
        discriminator's loss of real examples.
    """

    discriminator: Callable[[Logits, Logits], PerExample]
    generator: Callable[[Logits, Logits], PerExample]
    output_fn: Callable[[Logits], PerExample]
    threshold: float | Float[Array, ""] | None
    relativistic: bool = False


def per_example(values: Float[Array, " B *P"]) -> Float[Array, " B"]:
    """`[B]` as it is; of `[B, P]` the mean over the patches of each example."""
    return values if values.ndim == 1 else jnp.mean(values, axis=1)


def _identity(logits):
    return logits


def _cross_entropy(logits, label):
    """-t log D - (1 - t) log(1 - D), with D = sigmoid(logit) and t = label.

    softplus(logit) - t·logit would be shorter, but it is 0 where the exact value is about e^-logit.
    """
    return label * jax.nn.softplus(-logits) + (1 - label) * jax.nn.softplus(logits)


def _logistic(generator, real_label, fake_label) -> Loss:
    for field, label in (("real_label", real_label), ("fake_label", fake_label)):
        if isinstance(label, int | float) and not 0 <= label <= 1:  # a traced one is not known yet
            raise UserError(f"{field}={label} must lie in [0, 1]")
    return Loss(
        lambda real, fake: _cross_entropy(real, real_label) + _cross_entropy(fake, fake_label),
        generator,
        jax.nn.sigmoid,
        (real_label + fake_label) / 2,
    )


@LOSSES.register("minimax")
def minimax(*, real_label: RealLabel = 1.0, fake_label: FakeLabel = 0.0) -> Loss:
    """The saturating game as first published: min_G max_D E log D(x) + E log(1 - D(G(z))).

    Args:
      real_label: the discriminator's target for real examples, a probability; 0.9 is
        one-sided label smoothing (Salimans et al. 2016, Improved Techniques for Training GANs, section 3.4).
      fake_label: its target for fake examples; above 0, smoothing is two-sided (Szegedy et al. 2016,
        Rethinking the Inception Architecture, section 7). The generator's loss has no labels.

    Source: Goodfellow et al. 2014, Generative Adversarial Nets, equation 1. The generator's gradient
    vanishes for fakes that the discriminator recognizes; see `nonsaturating`.
    """
    return _logistic(lambda real, fake: -jax.nn.softplus(fake), real_label, fake_label)


@LOSSES.register("nonsaturating")
def nonsaturating(*, real_label: RealLabel = 1.0, fake_label: FakeLabel = 0.0) -> Loss:
    """The discriminator and labels of `minimax`; the generator minimizes -log D(G(z)).

    Source: Goodfellow et al. 2014, Generative Adversarial Nets, section 3.
    """
    return _logistic(lambda real, fake: jax.nn.softplus(-fake), real_label, fake_label)


@LOSSES.register("least_squares")
def least_squares(*, a: float = 0.0, b: float = 1.0, c: float = 1.0) -> Loss:
    """D: ½(D(x) - b)² + ½(D(G(z)) - a)²;  G: ½(D(G(z)) - c)².

    Args:
      a: the discriminator's target for fake examples.
      b: the discriminator's target for real examples.
      c: the generator's target for the discriminator's output on fake examples.

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


def _f_gan(activation, conjugate, threshold: float, generator: str) -> Loss:
    """D: f*(g(V(G(z)))) - g(V(x));  G: -f*(g(V(G(z)))), saturating, or -g(V(G(z))), nonsaturating.

    The discriminator's minimum is -D_f(P‖Q), with P of the real and Q of the fake examples. The builders
    below write f*(g(v)) in closed form, without the inner exponential, which could overflow.

    Args:
      activation: v → g(v), the output activation g_f.
      conjugate: v → f*(g(v)), with f* the convex conjugate of f.
      threshold: f'(1), the optimal output where P = Q.
      generator: 'nonsaturating' or 'saturating'. The paper recommends the first for every divergence, and it
        is the default, except for the two divergences with -g(v) = e^-v. There it explodes for fakes that the
        discriminator recognizes: on a ring of 8 Gaussians, squared Hellinger lost modes, and reverse KL
        overflowed.

    Source: Nowozin et al. 2016, f-GAN, equation 7, tables 1, 2 and 6; section 3.2 for the generator.
    """
    generators = {
        "nonsaturating": lambda real, fake: -activation(fake),
        "saturating": lambda real, fake: -conjugate(fake),
    }
    if generator not in generators:
        raise UserError(f"unknown generator loss '{generator}'; known: {', '.join(generators)}")
    return Loss(
        lambda real, fake: conjugate(fake) - activation(real),
        generators[generator],
        lambda logits: jnp.maximum(activation(logits), -1e30),  # so that the logged mean stays finite
        threshold,
    )


@LOSSES.register("kl")
def kl(*, generator: OfGenerator = "nonsaturating") -> Loss:
    """KL(P‖Q), `_f_gan` with f(u) = u log u: g(v) = v, f*(t) = e^(t - 1), f'(1) = 1."""
    return _f_gan(_identity, lambda v: jnp.exp(v - 1), 1.0, generator)


@LOSSES.register("reverse_kl")
def reverse_kl(*, generator: OfGenerator = "saturating") -> Loss:
    """KL(Q‖P), `_f_gan` with f(u) = -log u: g(v) = -e^-v, f*(t) = -1 - log(-t), f'(1) = -1."""
    return _f_gan(lambda v: -jnp.exp(-v), lambda v: v - 1, -1.0, generator)


@LOSSES.register("pearson")
def pearson(*, generator: OfGenerator = "nonsaturating") -> Loss:
    """χ² = ∫(p - q)²/q, `_f_gan` with f(u) = (u - 1)²: g(v) = v, f*(t) = t²/4 + t, f'(1) = 0."""
    return _f_gan(_identity, lambda v: jnp.square(v) / 4 + v, 0.0, generator)


@LOSSES.register("squared_hellinger")
def squared_hellinger(*, generator: OfGenerator = "saturating") -> Loss:
    """∫(√p - √q)², `_f_gan` with f(u) = (√u - 1)²: g(v) = 1 - e^-v, f*(t) = t/(1 - t), f'(1) = 0."""
    return _f_gan(lambda v: 1 - jnp.exp(-v), lambda v: jnp.exp(v) - 1, 0.0, generator)


@LOSSES.register("jensen_shannon")
def jensen_shannon(*, generator: OfGenerator = "nonsaturating") -> Loss:
    """KL(P‖M) + KL(Q‖M), M = (P + Q)/2: twice the usual Jensen-Shannon divergence, as in the paper's table 1.

    `_f_gan` with f(u) = u log u - (u + 1) log((u + 1)/2): g(v) = log 2 - log(1 + e^-v),
    f*(t) = -log(2 - e^t), f'(1) = 0. It is the game of `minimax` and `nonsaturating` shifted by log 4.
    """
    log2 = math.log(2)
    return _f_gan(lambda v: log2 - jax.nn.softplus(-v), lambda v: jax.nn.softplus(v) - log2, 0.0, generator)


def _relativistic_average(real_loss, fake_loss) -> Loss:
    """D: real_loss(C(x) - E C(G(z))) + fake_loss(C(G(z)) - E C(x));  G: the same, real and fake swapped.

    The means are over the batch. Only differences of logits matter, so outputs have no zero point.
    Source: Jolicoeur-Martineau 2018, The relativistic discriminator, section 4.
    """

    def discriminator(real, fake):
        return real_loss(real - jnp.mean(fake)) + fake_loss(fake - jnp.mean(real))

    return Loss(
        discriminator, lambda real, fake: discriminator(fake, real), _identity, None, relativistic=True
    )


@LOSSES.register("relativistic_average")
def relativistic_average() -> Loss:
    """RaSGAN: `_relativistic_average` of the logistic losses, -log σ(d) and -log(1 - σ(d))."""
    return _relativistic_average(lambda d: jax.nn.softplus(-d), jax.nn.softplus)


@LOSSES.register("relativistic_average_least_squares")
def relativistic_average_least_squares() -> Loss:
    """RaLSGAN: `_relativistic_average` of (d - 1)² and (d + 1)²."""
    return _relativistic_average(lambda d: jnp.square(d - 1), lambda d: jnp.square(d + 1))


@LOSSES.register("relativistic_average_hinge")
def relativistic_average_hinge() -> Loss:
    """RaHingeGAN: `_relativistic_average` of max(0, 1 - d) and max(0, 1 + d)."""
    return _relativistic_average(lambda d: jax.nn.relu(1 - d), lambda d: jax.nn.relu(1 + d))


@LOSSES.register("relativistic_pairing")
def relativistic_pairing() -> Loss:
    """D: -log σ(C(x) - C(G(z)));  G: -log σ(C(G(z)) - C(x)), with pairs of example i of both batches.

    Source: Jolicoeur-Martineau 2018, The relativistic discriminator, section 4 (RSGAN); Huang et al. 2024,
    The GAN is dead; long live the GAN! A Modern GAN Baseline, section 2 (RpGAN, the loss of R3GAN).
    """
    return Loss(
        lambda real, fake: jax.nn.softplus(fake - real),
        lambda real, fake: jax.nn.softplus(real - fake),
        _identity,
        None,
        relativistic=True,
    )


def real_or_fake(outputs: Float[Array, "B classes"]) -> Float[Array, " B"]:
    """MAD-GAN's logit of "real", l_k - log Σ_{i<k} e^{l_i}, which can be used with any loss.

    Args:
      outputs: `[B, k + 1]` of the discriminator: one for each of the k generators, the last for "real".

    Source: Ghosh et al. 2018, Multi-Agent Diverse Generative Adversarial Networks, section 4. With `minimax`,
    its discriminator loss plus `identification` is the paper's cross entropy over the k + 1 classes.
    """
    return outputs[:, -1] - jax.nn.logsumexp(outputs[:, :-1], axis=1)


def identification(
    outputs: Float[Array, "B classes"], generator_index: Int[Array, " B"]
) -> Float[Array, " B"]:
    """MAD-GAN: -log P(generator i | fake) = log Σ_{j<k} e^{l_j} - l_i, minimized by the discriminator.

    Args:
      outputs: `[B, k + 1]` of fake examples, as in `real_or_fake`.
      generator_index: int32 `[B]`, which of the k generators made each.
    """
    log_probabilities = jax.nn.log_softmax(outputs[:, :-1], axis=1)
    return -jnp.take_along_axis(log_probabilities, generator_index[:, None], axis=1)[:, 0]
