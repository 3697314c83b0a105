"""How far InfoGAN's codes agree with classes, which were not used in training."""

import numpy as np
from jaxtyping import Int

from jaxgan.metrics.number import Number, describe


@describe(
    {
        "code_purity": Number(
            "higher", "share of real examples whose class is matched with their code", 0, 1
        ),
        "code_nmi": Number(
            "higher", "mutual information of code and class, divided by their mean entropy", 0, 1
        ),
        "code_evenness": Number(
            "higher", "entropy of the codes of real examples, divided by its maximum", 0, 1
        ),
        "code_information_*": Number(
            "higher", "lower bound of the mutual information of code and fake, in nats"
        ),
    }
)
def code_agreement(
    codes: Int[np.ndarray, " N"], labels: Int[np.ndarray, " N"], num_codes: int
) -> dict[str, float]:
    """How well a categorical code names the classes of real examples.

    Args:
      codes: integers `[N]`, the most likely code of each example.
      labels: integers `[N]`, their classes, which training did not see.
      num_codes: k; the codes lie in [0, k).

    Returns:
      `code_purity`: the share of examples whose class is matched with their code; the matching is one to one
      and makes this share as large as possible (Hungarian algorithm): 1 - the error of InfoGAN, section 7.2;
      `code_nmi`: I(code; class) / ((H(code) + H(class)) / 2), 0 where either is constant;
      `code_evenness`: H(code) / log k, 1 if all codes are equally frequent.

    Source: Chen et al. 2016, InfoGAN, section 7.2.
    """
    from scipy.optimize import linear_sum_assignment  # late: it is slow to import

    classes, labels = np.unique(labels, return_inverse=True)
    counts = np.zeros((num_codes, len(classes)))
    np.add.at(counts, (codes, labels), 1)
    matched = counts[linear_sum_assignment(counts, maximize=True)].sum()
    joint = counts / len(labels)
    of_code, of_class = joint.sum(axis=1), joint.sum(axis=0)
    entropies = _entropy(of_code), _entropy(of_class)
    information = sum(entropies) - _entropy(joint)
    return {
        "code_purity": float(matched / len(labels)),
        "code_nmi": float(information / (sum(entropies) / 2)) if all(entropies) else 0.0,
        "code_evenness": float(entropies[0] / np.log(num_codes)),
    }


def _entropy(shares):
    met = shares[shares > 0]
    return float(0 - (met * np.log(met)).sum())  # not -0 for a single value


def information_bounds(codes, posterior) -> dict[str, float]:
    """H(c) - E[-log Q(c | x)] in nats of each code: `code_information_<i>`.

    For a continuous code, Q is a Gaussian around the posterior's mean, with the variance that fits all
    examples best. The fixed variance of 1 in training would give a bound below 0.

    Args:
      codes: `conditions.Codes` of N fakes.
      posterior: `information.Posterior` of the same fakes.
    """
    found = []
    for code, log_q in zip(codes.categorical, posterior.categorical, strict=True):
        found.append(np.log(code.shape[1]) + np.mean(np.sum(np.float64(code) * np.float64(log_q), axis=1)))
    errors = np.mean(np.square(np.float64(codes.continuous) - np.float64(posterior.mean)), axis=0)
    found += [np.log(2) - np.log(2 * np.pi * np.e * max(error, 1e-30)) / 2 for error in errors]
    return {f"code_information_{i}": float(bound) for i, bound in enumerate(found)}
