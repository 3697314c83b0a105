"""Mode coverage: which modes of a mixture or of classified images a generator finds, and how evenly."""

import numpy as np
from jaxtyping import Float, Int

from jaxgan.declarations import arguments
from jaxgan.errors import UserError, WrongArgument
from jaxgan.metrics import FAMILIES
from jaxgan.metrics.number import Number, describe

# A sample is good if it is within this many standard deviations of its mode. A mode is found if it has a good
# sample: Lin et al. 2018, PacGAN, section 4.1, after Srivastava et al. 2017, VEEGAN.
_WITHIN = 3.0


def _reverse_kl(share, true):
    met = share > 0
    return float(np.sum(share[met] * np.log(share[met] / true[met])))


@FAMILIES["mixture"].register("mode_coverage")
@describe(
    {
        "modes": Number("higher", "modes of the data with at least one sample", 0, counts_modes=True),
        "good": Number("higher", "share of samples within 3 std of a mode", 0, 1),
        "reverse_kl": Number("lower", "how unevenly the modes are covered, in nats", 0),
        "reverse_kl_nearest": Number("lower", "the same, with each sample assigned to its nearest mode", 0),
        "reverse_kl_uniform": Number("lower", "the same, against equal shares of all modes", 0),
    }
)
def mode_coverage(
    samples: Float[np.ndarray, "N D"], modes: Float[np.ndarray, "K D"], std: float
) -> dict[str, float]:
    """Modes found, the share of good samples and the reverse KL divergence to the uniform mixture.

    Args:
      samples: points `[N, D]`.
      modes: the centres `[M, D]` of Gaussians of equal weight.
      std: their standard deviation.

    Returns:
      `modes`: modes with at least one good sample, one that lies within 3·std of a centre;
      `good`: the share of good samples, [0, 1];
      `reverse_kl`: KL(q ‖ p) in nats, q the distribution of the good samples over the modes, p uniform: 0
      if all modes are equally frequent, log M if all good samples are in one mode or none is good;
      `reverse_kl_nearest`: the same for all samples, each assigned to its nearest mode at any distance.

    Source: Lin et al. 2018, PacGAN: The power of two samples in generative adversarial networks, section 4.1.
    `reverse_kl` is that of its published code.
    """
    samples = arguments.finite("samples", arguments.array("samples", samples, "[N, D]").astype(np.float64))
    modes = arguments.finite("modes", arguments.array("modes", modes, "[M, D]").astype(np.float64))
    std = arguments.positive("std", std)
    if not len(samples) or not len(modes) or samples.shape[1] != modes.shape[1]:
        raise WrongArgument(
            f"samples {list(samples.shape)} and modes {list(modes.shape)} do not fit: give at least one of "
            "each, of the same D"
        )
    distances = np.linalg.norm(samples[:, None] - modes[None], axis=-1)
    nearest = distances.argmin(axis=1)
    good = distances.min(axis=1) <= _WITHIN * std
    uniform = np.full(len(modes), 1 / len(modes))
    met = np.bincount(nearest[good], minlength=len(modes))
    near = np.bincount(nearest, minlength=len(modes))
    return {
        "modes": float(len(np.unique(nearest[good]))),
        "good": float(good.mean()),
        "reverse_kl": _reverse_kl(met / met.sum(), uniform) if met.any() else float(np.log(len(modes))),
        "reverse_kl_nearest": _reverse_kl(near / len(samples), uniform),
    }


@FAMILIES["classes"].register("class_coverage")
def class_coverage(predicted: Int[np.ndarray, " M"], shares: Float[np.ndarray, " K"]) -> dict[str, float]:
    """Modes found and the reverse KL divergence, with modes assigned by a classifier.

    Used for Stacked-MNIST, where the mode is the number of three digits, 0 to 999.

    Args:
      predicted: integers `[N]`, the mode of each sample, from 0 to M - 1.
      shares: `[M]`, the data's share p of each mode, or its count, all above 0.

    Returns:
      `modes`: those with at least one sample;
      `reverse_kl`: KL(q ‖ p) in nats, q the shares of the samples;
      `reverse_kl_uniform`: KL(q ‖ 1/M), as in the published tables of Stacked-MNIST.

    A perfect sampler does not reach 0, but about (M - 1) / 2N: .0194 for 26,000 samples of 1,000 modes.
    Against uniform modes it is .0236 with MNIST's own counts of digits.

    Source: Srivastava et al. 2017, VEEGAN, section 4; Lin et al. 2018, PacGAN, section 4.2.
    """
    predicted = arguments.array("predicted modes", predicted, "[N]", kinds="iu")
    shares = arguments.array("shares", shares, "[M]", "[M, K]").astype(np.float64)
    if shares.ndim != 1 or not len(shares) or not (np.isfinite(shares) & (shares > 0)).all():
        raise WrongArgument("the true shares of the modes must be finite numbers [M] above 0")
    if not len(predicted):
        raise UserError("mode coverage needs at least one sample: predicted modes are empty")
    if predicted.min() < 0 or predicted.max() >= len(shares):
        raise WrongArgument(
            f"predicted modes from {predicted.min()} to {predicted.max()} are not within "
            f"0..{len(shares) - 1}: give as many shares as there are modes"
        )
    found = np.bincount(predicted, minlength=len(shares)) / len(predicted)
    return {
        "modes": float(np.count_nonzero(found)),
        "reverse_kl": _reverse_kl(found, shares / shares.sum()),
        "reverse_kl_uniform": _reverse_kl(found, np.full(len(shares), 1 / len(shares))),
    }
