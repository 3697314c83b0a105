"""Terms of a generator that makes an image from a given one: how far it is from what is wanted.

`(real, fake, parts) -> [B]`: the targets and what was made, both `[B, ...]`, and `Parts`, for terms that look
further. A term is a mean over the numbers of an example, so it does not grow with the image.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.regularizers import RECONSTRUCTION

Examples = Float[Array, "B ..."]
PerExample = Float[Array, " B"]


class Parts(NamedTuple):
    """What a term may use besides the targets and what was made.

    Attributes:
      given: the conditions, `[B, ...]` by keyword.
      generate: from other conditions to what the generator makes of them.
      features: of a frozen classifier, `[B, ...] -> [B, F]`; None: there is none.
    """

    given: dict[str, Any]
    generate: Callable[[dict[str, Any]], Examples]
    features: Callable[[Examples], Float[Array, "B F"]] | None = None


Term = Callable[[Examples, Examples, Parts], PerExample]


def swap(pairs: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
    """(a | b) → (b | a), joined by channels."""
    return jnp.concatenate(jnp.split(pairs, 2, axis=-1)[::-1], axis=-1)


def mean(values: Float[Array, "B ..."]) -> PerExample:
    """The mean over everything but the first axis."""
    return jnp.mean(values.reshape(len(values), -1), axis=1)


@RECONSTRUCTION.register("l1")
def l1() -> Term:
    """mean |x - G(z, y)| over pixels and channels.

    Source: Isola et al. 2017, Image-to-Image Translation with Conditional Adversarial Networks, equation 3,
    with weight 100.
    """
    return lambda real, fake, parts: mean(jnp.abs(real - fake))


@RECONSTRUCTION.register("l2")
def l2() -> Term:
    """mean (x - G(z, y))² over pixels and channels.

    Source: Pathak et al. 2016, Context Encoders, equation 1.
    """
    return lambda real, fake, parts: mean(jnp.square(real - fake))


@RECONSTRUCTION.register("classifier_content")
def classifier_content() -> Term:
    """mean |f(x) - f(G(z, y))|, f the last features of the data's classifier, which is not trained.

    The classifier is that of `evaluation.extractor.name=classifier`, so the data need labels. Numbers of the
    evaluation that look at the same classifier are flattered by it.

    Source: Johnson et al. 2016, Perceptual Losses for Real-Time Style Transfer and Super-Resolution, section
    3.2, with a network trained on other images.
    """
    return lambda real, fake, parts: mean(jnp.abs(parts.features(real) - parts.features(fake)))


@RECONSTRUCTION.register("cycle")
def cycle() -> Term:
    """½·(mean |F(G(a)) - a| + mean |G(F(b)) - b|) of pairs (a | b), with F and G both ways of translation.

    Source: Zhu et al. 2017, Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks,
    equation 2, with weight 10, which has the sum; so have the two adversarial losses there.
    """

    def term(real, fake, parts):
        return mean(jnp.abs(parts.generate({"image": fake}) - real))

    return term


@RECONSTRUCTION.register("identity")
def identity() -> Term:
    """½·(mean |F(a) - a| + mean |G(b) - b|): what is in its own set already stays, and keeps its colours.

    Source: Zhu et al. 2017, section 5.2, with half the weight of `cycle`.
    """

    def term(real, fake, parts):
        return mean(jnp.abs(parts.generate({"image": swap(real)}) - real))

    return term
