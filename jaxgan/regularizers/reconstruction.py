"""Terms of a generator that makes an image from a given one: how far it is from what is wanted.

`(real, fake, parts) -> [B]`: the targets and what was made, both `[B, ...]`, and `Parts`, for terms that look
further. A term is a mean over the numbers of an example, so it does not grow with the image.
"""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.declarations import OneOf
from jaxgan.regularizers import RECONSTRUCTION

Examples = Float[Array, "B ..."]
PerExample = Float[Array, " B"]
Features = Callable[[Examples], Float[Array, "B ..."]]

# The convolutions of VGG-19 in their order: relu{i}_{k} is the k-th of block i.
VGG_LAYERS = tuple(f"relu{i}_{k}" for i, num in enumerate((2, 2, 4, 4, 4), 1) for k in range(1, num + 1))
_VGG_SCALE = 1 / 12.75


class Parts(NamedTuple):
    """What a term may use besides the targets and what was made.

    Attributes:
      given: the conditions, `[B, ...]` by keyword.
      generate: from other conditions to what the generator makes of them.
      features: of frozen networks, `[B, ...] -> [B, ...]`, by the name of the term that looks at them.
    """

    given: dict[str, Any]
    generate: Callable[[dict[str, Any]], Examples]
    features: dict[str, Features] | None = None


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

    The classifier is that of `evaluation.extractor.name=classifier` with its default fields, so the data need
    labels. Numbers of the evaluation that look at the same classifier are flattered by it.

    Source: Johnson et al. 2016, Perceptual Losses for Real-Time Style Transfer and Super-Resolution, section
    3.2, with a network trained on other images.
    """

    def term(real, fake, parts):
        features = parts.features["classifier_content"]
        return mean(jnp.abs(features(real) - features(fake)))

    return term


@RECONSTRUCTION.register("vgg_content")
def vgg_content(*, weights: str = "", layer: Annotated[str, OneOf(VGG_LAYERS)] = "relu5_4") -> Term:
    """mean (φ(x) - φ(G(z, y)))² / 12.75², φ the feature maps of a VGG-19 that was trained on ImageNet.

    Grey images become three equal channels. Numbers of an evaluation that look at ImageNet features are
    flattered by it.

    Args:
      weights: path of torchvision's file of VGG-19, vgg19-*.pth; it is not downloaded.
      layer: relu{i}_{k}: after the k-th convolution of block i and its activation, before max-pooling.

    Source: Ledig et al. 2017, Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial
    Network, equation 5 with φ_5,4 and section 3.2, where the adversarial term has 1e-3 of its weight. The
    mean here is over channels, too.
    """

    def term(real, fake, parts):
        features = parts.features["vgg_content"]
        return mean(jnp.square(_VGG_SCALE * (features(real) - features(fake))))

    return term


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
