"""What InfoGAN's codes have found: how far they agree with classes that nobody told them."""

import numpy as np
from jaxtyping import Int

from jaxgan.metrics.number import Number, describe


@describe(
    {
        "code_purity": Number("higher", "real examples of the class that their code is matched with", 0, 1),
        "code_nmi": Number("higher", "information of code and class, over the mean of their entropies", 0, 1),
        "code_evenness": Number("higher", "entropy of the codes of real examples, over its maximum", 0, 1),
        "code_information_*": Number("higher", "lower bound of the information of code and fake, in nats"),
    }
)
def code_agreement(
    codes: Int[np.ndarray, " N"], labels: Int[np.ndarray, " N"], num_codes: int
) -> dict[str, float]:
    """How well a categorical code names the classes of real examples.

    Args:
      codes: integers `[N]`, what the posterior takes for each example's code.
      labels: integers `[N]`, their classes, which training did not see.
      num_codes: k; the codes lie in [0, k).

    Returns:
      `code_purity`: the share of examples whose class is that of their code, each class matched with one code
      at most so that the share is largest (Hungarian matching): 1 - the error of InfoGAN, section 7.2;
      `code_nmi`: I(code; class) / ((H(code) + H(class)) / 2), 0 where either is constant;
      `code_evenness`: H(code) / log k, 1 where all codes are used alike.

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
    return float(-(met * np.log(met)).sum())


def information_bounds(codes, posterior) -> dict[str, float]:
    """H(c) - E[-log Q(c | x)] in nats of each code: `code_information_<i>`.

    Of a continuous code Q is the Gaussian around the posterior's mean with the variance that fits best, one
    for all examples: a fixed variance of 1, as in training, would bound it by less than 0.

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
