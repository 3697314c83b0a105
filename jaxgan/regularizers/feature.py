"""Penalties of the generator on the discriminator's last features."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.regularizers import FEATURE_PENALTIES

Features = Float[Array, "B F"]
FeaturePenalty = Callable[[Features, Features], Float[Array, ""]]


@FEATURE_PENALTIES.register("feature_matching")
def feature_matching() -> FeaturePenalty:
    """‖E f(x) - E f(G(z))‖², f `[B, F]` the discriminator's last features and E the mean over the batch.

    Source: Salimans et al. 2016, Improved Techniques for Training GANs, section 3.1.
    """
    return lambda real, fake: jnp.sum(jnp.square(jnp.mean(real, axis=0) - jnp.mean(fake, axis=0)))


@FEATURE_PENALTIES.register("content")
def content() -> FeaturePenalty:
    """mean |f(x_i) - f(G(z_i))|: of pairs, where the generator is given an image.

    Source: Wang et al. 2018, High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs
    (pix2pixHD), equation 4, with weight 10; here f are the last features alone.
    """
    return lambda real, fake: jnp.mean(jnp.abs(real - fake))


@FEATURE_PENALTIES.register("feature_matching_l1")
def feature_matching_l1() -> FeaturePenalty:
    """mean |E f(x) - E f(G(z))|, over the F features: MHGAN's (Kavalerov et al. 2021), with weight 1."""
    return lambda real, fake: jnp.mean(jnp.abs(jnp.mean(real, axis=0) - jnp.mean(fake, axis=0)))
