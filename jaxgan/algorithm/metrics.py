"""Metrics of a training step's batch."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.algorithm.collectives import average
from jaxgan.losses import Loss


def logit_metrics(
    loss: Loss, real_logits: Float[Array, " B *P"], fake_logits: Float[Array, " B *P"]
) -> dict[str, Float[Array, ""]]:
    """How the discriminator judges a batch: mean outputs D(x), D(G(z)) and the accuracy on both.

    Of a discriminator of patches, over all patches.
    """
    real, fake = loss.output_fn(real_logits), loss.output_fn(fake_logits)
    threshold = (real.mean() + fake.mean()) / 2 if loss.threshold is None else loss.threshold
    return {
        "D(x)": real.mean(),
        "D(G(z))": fake.mean(),
        "accuracy_real": jnp.mean(real > threshold),
        "accuracy_fake": jnp.mean(fake < threshold),
    }


def diversity(
    real: Float[Array, "B ..."], fake: Float[Array, "B ..."], axis_name: str | None
) -> Float[Array, ""]:
    """How much the fakes of a batch differ, relative to real examples: 1: as much; 0: they are all alike.

    The root of the mean (over pixels or coordinates) of the variance over the batch, fake over real.
    """

    def variance(images):
        mean = average(images.mean(axis=0), axis_name)
        return average(jnp.mean(jnp.square(images - mean)), axis_name)

    return jnp.sqrt(variance(fake) / jnp.maximum(variance(real), 1e-12))
