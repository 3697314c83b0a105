"""InfoGAN: a head of the discriminator predicts the codes of fakes."""

import math
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.declarations import AtLeast, OneOf
from jaxgan.errors import UserError
from jaxgan.regularizers import CLASS_LOSSES
from jaxgan.regularizers.classes import ClassLoss, Head, Weight


class Posterior(NamedTuple):
    """Q(c | x) of B examples.

    Attributes:
      categorical: log probabilities `[B, k]` of each categorical code.
      mean, log_std: `[B, c]`, of each continuous code, a Gaussian.
    """

    categorical: tuple[Float[Array, "B _"], ...]
    mean: Float[Array, "B c"]
    log_std: Float[Array, "B c"]


def read_posterior(logits: Float[Array, "B outputs"], codes) -> Posterior:
    """The outputs of the head, `[B, Σk + c]` or with learned variances `[B, Σk + 2c]`, as a posterior.

    Args:
      logits: of the head.
      codes: `conditions.Codes` of any number of examples, for the sizes of the codes.
    """
    parts, start = [], 0
    for code in codes.categorical:
        parts.append(jax.nn.log_softmax(logits[:, start : start + code.shape[1]]))
        start += code.shape[1]
    num = codes.continuous.shape[1]
    mean, rest = logits[:, start : start + num], logits[:, start + num :]
    return Posterior(tuple(parts), mean, rest if rest.shape[1] else jnp.zeros_like(mean))


def surprise(posterior: Posterior, codes) -> tuple[Float[Array, " B"], Float[Array, " B"]]:
    """-log Q(c | x) in nats, `[B]`: summed over the categorical codes, and over the continuous ones."""
    categorical = [
        -jnp.sum(code * log_q, axis=1)
        for code, log_q in zip(codes.categorical, posterior.categorical, strict=True)
    ]
    distance = (codes.continuous - posterior.mean) * jnp.exp(-posterior.log_std)
    continuous = jnp.square(distance) / 2 + posterior.log_std + math.log(2 * math.pi) / 2
    total = sum(categorical, jnp.zeros(len(posterior.mean)))
    return total, jnp.sum(continuous, axis=1)


def entropies(codes) -> tuple[float, float]:
    """H(c) in nats: of all categorical codes (uniform), and of all continuous codes (U(-1, 1))."""
    categorical = sum(math.log(code.shape[1]) for code in codes.categorical)
    return categorical, codes.continuous.shape[1] * math.log(2)


@CLASS_LOSSES.register("information")
def information(
    *,
    categorical: Weight = 1.0,
    continuous: Weight = 1.0,
    routing: Annotated[str, OneOf(("both", "generator"))] = "both",
    variance: Annotated[str, OneOf(("fixed", "learned"))] = "fixed",
    hidden: Annotated[int, AtLeast(0)] = 128,
    batch_norm: bool = False,
) -> ClassLoss:
    """-(H(c) - E[-log Q(c | G(z, c))]) for both networks: minus a lower bound of the information, in nats.

    Args:
      categorical, continuous: relative weights of the two kinds of codes.
      routing: what the discriminator's update trains: `both`, the head and the layers below, as in the
        paper's code; or `generator`, the head alone. The generator always learns from it.
      variance: variance of the Gaussian posterior of continuous codes: `fixed` at 1, as in the paper's code,
        or `learned`.
      hidden: width of the head's own layer; 0: none.
      batch_norm: whether that layer is batch normalized, as in the paper.

    Raises:
      UserError: there is no own layer to normalize.

    Source: Chen et al. 2016, InfoGAN, equations 5 and 6, with weight 1.
    """
    if batch_norm and not hidden:
        raise UserError(
            "regularizers.information.batch_norm normalizes the head's own layer, but information.hidden is "
            "0: set it to 128, or batch_norm=False"
        )

    def head(condition):
        codes = condition.example["codes"]
        per_value = 2 if variance == "learned" else 1
        outputs = sum(code.shape[1] for code in codes.categorical) + per_value * codes.continuous.shape[1]
        return Head(outputs, hidden=hidden, batch_norm=batch_norm, held=routing == "generator")

    def loss(real, fake):
        codes = fake.given["codes"]
        found, possible = surprise(read_posterior(fake.logits, codes), codes), entropies(codes)
        of_categorical, of_continuous = (a - b for a, b in zip(found, possible, strict=True))
        return categorical * of_categorical + continuous * of_continuous

    return ClassLoss(head, loss, loss, of="codes")
