"""Mode coverage: which modes of a known mixture a generator finds, and how evenly."""

import numpy as np

# A sample counts as good within this many standard deviations of its mode, and a mode as found with one
# good sample: Lin et al. 2018, PacGAN, section 4.1, after Srivastava et al. 2017, VEEGAN.
_WITHIN = 3.0


def mode_coverage(samples: np.ndarray, modes: np.ndarray, std: float) -> dict[str, float]:
    """Modes found, the share of good samples and the reverse KL divergence to the uniform mixture.

    Args:
      samples: points `[N, D]`.
      modes: the centres `[M, D]` of Gaussians of equal weight.
      std: their standard deviation.

    Returns:
      `modes`: modes with at least one good sample, one that lies within 3·std of a centre;
      `good`: the share of good samples, [0, 1];
      `reverse_kl`: KL(q ‖ p) in nats, q the distribution over modes of the samples, each given to its nearest
      one, p the uniform one; 0 where all are met alike, log M where all samples are of one mode.

    Source: Lin et al. 2018, PacGAN: The power of two samples in generative adversarial networks, section 4.1.
    """
    samples, modes = np.asarray(samples, np.float64), np.asarray(modes, np.float64)
    distances = np.linalg.norm(samples[:, None] - modes[None], axis=-1)
    nearest = distances.argmin(axis=1)
    good = distances.min(axis=1) <= _WITHIN * std
    share = np.bincount(nearest, minlength=len(modes)) / len(samples)
    met = share > 0
    return {
        "modes": float(len(np.unique(nearest[good]))),
        "good": float(good.mean()),
        "reverse_kl": float(np.sum(share[met] * np.log(share[met] * len(modes)))),
    }
