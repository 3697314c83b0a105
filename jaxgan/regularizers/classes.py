"""Class losses of both networks, on discriminator heads that predict the class of an example.

A class loss has a head on the discriminator's last features, and a part for each network,
`(real, fake) -> [B]`. Both sides are the whole batch, over all devices, so that examples may be compared.

y is an example's label among K classes; c is the cosine between an embedding e and another embedding, or the
proxy p of a class.
"""

import functools
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxgan.declarations import Above, AtLeast, Between, OneOf
from jaxgan.regularizers import CLASS_LOSSES


class Head(NamedTuple):
    """The shape of a head on the discriminator.

    Attributes:
      outputs: number of logits, linear in the last features; with an embedding, cosines to learned proxies.
      embedding: width of an embedding of length 1, linear in the features; 0: none.
      hidden: width of a leaky ReLU layer in front; 0: none.
      batch_norm: whether that layer is batch normalized.
      held: whether the discriminator's own update trains only the head, not the layers below.
    """

    outputs: int
    embedding: int = 0
    hidden: int = 0
    batch_norm: bool = False
    held: bool = False


class Said(NamedTuple):
    """The outputs of a head for the whole batch.

    Attributes:
      logits: `[B, outputs]`.
      embedding: `[B, embedding]`, or None where there is none.
      given: the conditions of the examples: `labels` int32 `[B]`, or `codes` of fakes.
    """

    logits: Float[Array, "B outputs"]
    embedding: Float[Array, "B width"] | None
    given: dict[str, Any]

    @property
    def labels(self) -> Int[Array, " B"]:
        """int32 `[B]`."""
        return self.given["labels"]


Targets = Int[Array, " B"]
PerExample = Float[Array, " B"]
Number = float | Float[Array, ""]


class ClassLoss(NamedTuple):
    """A loss of both networks on a head.

    Attributes:
      head: from the condition, which has `num_classes`, to the head.
      discriminator, generator: `(real, fake) -> [B]`, minimized by each.
      coupled: whether an example's loss depends on the others of its batch.
      of: the condition that it needs, 'labels' or 'codes'.
    """

    head: Callable[[Any], Head]
    discriminator: Callable[[Said, Said], PerExample]
    generator: Callable[[Said, Said], PerExample]
    coupled: bool = False
    of: str = "labels"


# --- Losses of a head: `(said, targets [B]) -> [B]` ----------------------------------------------------

Criterion = Callable[[Said, Targets], PerExample]


def _of(values, targets):
    """Picks from `[B, N]` the entries with the indices `[B]`."""
    return jnp.take_along_axis(values, targets[:, None], axis=1)[:, 0]


def cross_entropy(said: Said, targets: Targets) -> PerExample:
    """-log P(target) = log Σ_k e^{l_k} - l_target."""
    return jax.nn.logsumexp(said.logits, axis=1) - _of(said.logits, targets)


def crammer_singer(said: Said, targets: Targets) -> PerExample:
    """max(0, 1 + max_{k≠t} l_k - l_t), t the target."""
    own = jnp.arange(said.logits.shape[1]) == targets[:, None]
    others = jnp.max(jnp.where(own, -jnp.inf, said.logits), axis=1)
    return jax.nn.relu(1 + others - _of(said.logits, targets))


def _others(targets):
    """`[B, B]`: whether j is not i; and whether it also has the same target."""
    another = ~jnp.eye(len(targets), dtype=bool)
    return another, another & (targets[:, None] == targets[None])


def conditional_contrast(said: Said, targets: Targets, temperature: Number) -> PerExample:
    """-log (s(p_i) + Σ_{j≠i, t_j=t_i} s(e_j)) / (s(p_i) + Σ_{j≠i} s(e_j)), s(u) = exp(c(e_i, u) / τ).

    Source: Kang and Park 2020, ContraGAN: Contrastive Learning for Conditional Image Generation, equation 8.
    """
    another, alike = _others(targets)
    to_proxy = _of(said.logits, targets)[:, None] / temperature
    to_others = said.embedding @ said.embedding.T / temperature

    def log_sum(chosen):
        terms = jnp.concatenate([to_proxy, jnp.where(chosen, to_others, -jnp.inf)], axis=1)
        return jax.nn.logsumexp(terms, axis=1)

    return log_sum(another) - log_sum(alike)


def data_to_data(
    said: Said, targets: Targets, temperature: Number, margin: Number, published: bool = False
) -> PerExample:
    """a + log(e^-a + Σ_{j≠i, t_j≠t_i} exp(max(0, c(e_i, e_j) - (1 - m)) / τ)), a = max(0, m - c_i) / τ.

    c_i is the cosine to the target's proxy, τ the temperature and m the margin.

    Source: Kang et al. 2021, Rebooting ACGAN: Auxiliary Classifier GANs with Stable Training, equation 7.
    """
    another, alike = _others(targets)
    attract = jax.nn.relu((margin - _of(said.logits, targets)) / temperature)
    similar = (said.embedding @ said.embedding.T - (1 - margin)) / temperature
    repel = jax.nn.relu(similar)
    if published:
        largest = jnp.max(jnp.where(another, similar, -jnp.inf), axis=1, keepdims=True)
        repel = repel - lax.stop_gradient(jnp.where(jnp.isfinite(largest), largest, 0.0))
    negatives = jnp.where(another & ~alike, repel, -jnp.inf)
    return attract + jax.nn.logsumexp(jnp.concatenate([-attract[:, None], negatives], axis=1), axis=1)


# Possible base losses of `tac` and `adc`, with their published numbers and widths.
_BASES: dict[str, tuple[Criterion, int]] = {
    "ac": (cross_entropy, 0),
    "contrastive": (functools.partial(conditional_contrast, temperature=1.0), 512),
    "d2d_ce": (functools.partial(data_to_data, temperature=0.5, margin=0.98), 512),
}
Base = Annotated[str, OneOf(tuple(_BASES))]
Width = Annotated[int, AtLeast(1)]
Weight = Annotated[float, AtLeast(0)]
Temperature = Annotated[float, Above(0)]


# --- The losses ---------------------------------------------------------------------------------------


@CLASS_LOSSES.register("ac")
def ac(*, fakes: bool = False) -> ClassLoss:
    """The auxiliary classifier. D: CE(x, y), and with `fakes` + CE(G(z, y), y);  G: CE(G(z, y), y).

    Args:
      fakes: whether the discriminator also learns to classify fakes by their labels, as published. Without it
        the classifier learns from real examples alone, as in later code (StudioGAN).

    Source: Odena et al. 2017, Conditional Image Synthesis with Auxiliary Classifier GANs, equation 3.
    """

    def discriminator(real, fake):
        loss = cross_entropy(real, real.labels)
        return loss + cross_entropy(fake, fake.labels) if fakes else loss

    head = lambda condition: Head(condition.num_classes)  # noqa: E731
    return ClassLoss(head, discriminator, lambda real, fake: cross_entropy(fake, fake.labels))


@CLASS_LOSSES.register("tac")
def tac(
    *,
    base: Base = "ac",
    discriminator: Weight = 1.0,
    generator: Weight = 1.0,
) -> ClassLoss:
    """A twin of the classifier, trained on fakes alone. D: L(G(z, y), y);  G: -L(G(z, y), y).

    It is used together with its base loss, which alone does not make the fakes of a class varied.

    Args:
      base: the loss L, with its published numbers: ac, contrastive or d2d_ce.
      discriminator, generator: relative weights of the two terms.

    Source: Gong et al. 2019, Twin Auxiliary Classifiers GAN, equation 5.
    """
    criterion, embedding = _BASES[base]
    weights = {"discriminator": discriminator, "generator": generator}
    return ClassLoss(
        lambda condition: Head(condition.num_classes, embedding),
        lambda real, fake: weights["discriminator"] * criterion(fake, fake.labels),
        lambda real, fake: -weights["generator"] * criterion(fake, fake.labels),
        coupled=bool(embedding),
    )


@CLASS_LOSSES.register("adc")
def adc(*, base: Base = "ac") -> ClassLoss:
    """Distinguishes 2K classes: real examples of class y are 2y, fakes are 2y + 1.

    D: L(x, 2y) + L(G(z, y), 2y + 1);  G: L(G(z, y), 2y) - L(G(z, y), 2y + 1).

    Args:
      base: the loss L, with its published numbers: ac, contrastive or d2d_ce.

    Source: Hou et al. 2022, Conditional GANs with Auxiliary Discriminative Classifier, equations 8 and 9.
    """
    criterion, embedding = _BASES[base]
    return ClassLoss(
        lambda condition: Head(2 * condition.num_classes, embedding),
        lambda real, fake: criterion(real, 2 * real.labels) + criterion(fake, 2 * fake.labels + 1),
        lambda real, fake: criterion(fake, 2 * fake.labels) - criterion(fake, 2 * fake.labels + 1),
        coupled=bool(embedding),
    )


@CLASS_LOSSES.register("multi_hinge")
def multi_hinge(*, generator: Weight = 0.05) -> ClassLoss:
    """The multi-class hinge loss with K + 1 classes; fakes are class K.

    D: CS(x, y) + CS(G(z, y), K);  G: generator · CS(G(z, y), y);  CS as in `crammer_singer`.

    Args:
      generator: relative weight of the generator's term.

    Source: Kavalerov et al. 2021, A Multi-Class Hinge Loss for Conditional GANs, section 3.
    """

    def discriminator(real, fake):
        fake_class = jnp.full_like(fake.labels, fake.logits.shape[1] - 1)
        return crammer_singer(real, real.labels) + crammer_singer(fake, fake_class)

    return ClassLoss(
        lambda condition: Head(condition.num_classes + 1),
        discriminator,
        lambda real, fake: generator * crammer_singer(fake, fake.labels),
    )


@CLASS_LOSSES.register("contrastive")
def contrastive(*, temperature: Temperature = 1.0, width: Width = 512) -> ClassLoss:
    """2C: `conditional_contrast`. D: of real examples;  G: of fakes.

    It brings examples of a class together, but hardly ties them to their label: ContraGAN's published
    intra-class distance is 119.6, with an FID of 6.0.

    Args:
      temperature: τ, by which cosines are divided.
      width: dimension of the embedding.

    Source: Kang and Park 2020, ContraGAN, algorithm 1, with weight 1.
    """

    def criterion(said):
        return conditional_contrast(said, said.labels, temperature)

    return ClassLoss(
        lambda condition: Head(condition.num_classes, width),
        lambda real, fake: criterion(real),
        lambda real, fake: criterion(fake),
        coupled=True,
    )


@CLASS_LOSSES.register("d2d_ce")
def d2d_ce(
    *,
    temperature: Temperature = 0.5,
    margin: Annotated[float, Between(0, 1, closed=True)] = 0.98,
    width: Width = 512,
    published: bool = False,
) -> ClassLoss:
    """The data-to-data cross entropy, `data_to_data`. D: of real examples;  G: of fakes.

    Args:
      temperature: τ, by which cosines are divided.
      margin: m. A cosine of m to its own class is enough for an example; examples of other classes may have
        cosines up to 1 - m.
      width: dimension of the embedding.
      published: whether to train what the published code (StudioGAN) does instead of the formula: it
        subtracts the largest negative (without gradient, before max(0, ·)) and does not add it back.

    Source: Kang et al. 2021, Rebooting ACGAN (ReACGAN), with weight 0.5.
    """

    def criterion(said):
        return data_to_data(said, said.labels, temperature, margin, published)

    return ClassLoss(
        lambda condition: Head(condition.num_classes, width),
        lambda real, fake: criterion(real),
        lambda real, fake: criterion(fake),
        coupled=True,
    )
