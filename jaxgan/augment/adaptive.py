"""ADA's rule: how the probability of augmentations adapts to overfitting."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from jaxgan.augment.operation import check
from jaxgan.errors import UserError


def init_adaptive(probability: float | Float[Array, ""] = 0.0) -> dict[str, Num[Array, ""]]:
    """The initial memory of `update_adaptive`.

    Returns:
      `probability`; `heuristic`, the last r_t, at first 0; `signs`, the sum of sign(D(x)) since then, and
      `minibatches`, their number (int32; the others float32).
    """
    check("probability", probability, 1)
    return {
        "probability": jnp.float32(probability),
        "heuristic": jnp.float32(0),
        "signs": jnp.float32(0),
        "minibatches": jnp.int32(0),
    }


def update_adaptive(
    memory: dict[str, Num[Array, ""]],
    real_logits: Float[Array, " B *P"],
    batch_size: int,
    *,
    target: float | Float[Array, ""] = 0.6,
    length: float | Float[Array, ""] = 500_000.0,
    interval: int = 4,
) -> dict[str, Num[Array, ""]]:
    """Counts a minibatch, and after `interval` of them updates the probability p of augmentations.

    p ← clip(p + sign(r_t - target)·(images in these minibatches)/length, 0, 1).
    r_t = E[sign(D(x_train))] over the last `interval` minibatches. It approaches 1 when the discriminator
    overfits.

    Args:
      memory: as `init_adaptive` or the last call returned it.
      real_logits: of the (augmented) training images, over all devices, `[B]`, or `[B, P]` of their patches.
      batch_size: images in the minibatch, over all devices: B unless logits judge several at once.
      target: the r_t to hold, in [-1, 1].
      length: images in which p can go from 0 to 1.
      interval: minibatches between two updates of p.

    Source: Karras et al. 2020, Training Generative Adversarial Networks with Limited Data, section 3,
    equation 1. They clip p at 0 only; above 1 it would not be a probability.
    """
    if interval < 1:
        raise UserError(f"adaptive interval={interval} must be at least 1 minibatch")
    signs = memory["signs"] + jnp.sign(real_logits).sum(dtype=jnp.float32)
    minibatches = memory["minibatches"] + 1
    due = minibatches >= interval
    heuristic = signs / (real_logits.size * interval)
    move = jnp.sign(heuristic - target) * (batch_size * interval) / length
    moved = jnp.clip(memory["probability"] + move, 0.0, 1.0)
    return {
        "probability": jnp.where(due, moved, memory["probability"]),
        "heuristic": jnp.where(due, heuristic, memory["heuristic"]),
        "signs": jnp.where(due, 0.0, signs),
        "minibatches": jnp.where(due, 0, minibatches),
    }
