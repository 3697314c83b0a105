"""Penalties on the outputs of the discriminator, with a memory."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxgan.errors import UserError
from jaxgan.regularizers import LOGIT_PENALTIES

Logits = Float[Array, " B"]


class LogitPenalty(NamedTuple):
    """A penalty on the discriminator's outputs.

    Attributes:
      init: `() -> memory`, a pytree of float32 leaves.
      penalty: `(real_logits [B], fake_logits [B], memory) -> ([B], memory)`, of the whole batch.
    """

    init: Callable[[], Any]
    penalty: Callable[[Logits, Logits, Any], tuple[Logits, Any]]


@LOGIT_PENALTIES.register("lecam")
def lecam(*, decay: float = 0.99) -> LogitPenalty:
    """(D(x) - α_F)² + (D(G(z)) - α_R)²: keeps real outputs near the average fake output, and vice versa.

    α_R and α_F are exponential moving averages of the batch means of D(x) and D(G(z)), including this batch.
    They are bias-corrected as in Adam, so at first they are the means of the first batch. No gradient flows
    into them.

    Args:
      decay: decay of the averages, in [0, 1).

    Source: Tseng et al. 2021, Regularizing Generative Adversarial Networks under Limited Data, section 3.2.
    The paper's formula; the published code has max(0, D(x) - α_F)² + max(0, α_R - D(G(z)))², and the same
    averages.
    """
    if isinstance(decay, int | float) and not 0 <= decay < 1:  # a traced one is not known yet
        raise UserError(f"lecam.decay={decay} must lie in [0, 1)")

    def penalty(real, fake, memory):
        now = lax.stop_gradient({"real": jnp.mean(real), "fake": jnp.mean(fake), "weight": jnp.ones(())})
        memory = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, memory, now)
        real_average, fake_average = (memory[key] / memory["weight"] for key in ("real", "fake"))
        return jnp.square(real - fake_average) + jnp.square(fake - real_average), memory

    return LogitPenalty(lambda: {key: jnp.zeros(()) for key in ("real", "fake", "weight")}, penalty)


@LOGIT_PENALTIES.register("drift")
def drift() -> LogitPenalty:
    """D(x)² on real examples, so that outputs do not drift away from 0; its weight is the paper's ε_drift.

    Source: Karras et al. 2018, Progressive Growing of GANs, appendix A.1, with weight 0.001.
    """
    return LogitPenalty(dict, lambda real, fake, memory: (jnp.square(real), memory))
