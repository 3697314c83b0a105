"""The inception score: how confident a classifier is for each image, and how evenly the classes occur."""

import numpy as np
from jaxtyping import Float

from jaxgan.declarations import arguments
from jaxgan.metrics import FAMILIES
from jaxgan.metrics.features import check_features
from jaxgan.metrics.number import Number, describe


def _log_sum_exp(logits, axis):
    largest = logits.max(axis=axis, keepdims=True)
    return np.log(np.sum(np.exp(logits - largest), axis=axis, keepdims=True)) + largest


def _score(logits):
    logits = logits.astype(np.float64)
    log_p = logits - _log_sum_exp(logits, axis=1)
    log_marginal = _log_sum_exp(log_p, axis=0) - np.log(len(log_p))  # finite where every p underflows
    return np.exp(np.mean(np.sum(np.exp(log_p) * (log_p - log_marginal), axis=1)))


@FAMILIES["logits"].register("inception_score")
@describe(
    {
        "inception_score_*_std": Number("", "its standard deviation over the splits", 0),
        "inception_score_*": Number("higher", "confident and varied predictions of the classifier", 1),
    }
)
def inception_score(
    logits: Float[np.ndarray, "M K"], *, num_splits: int = 10, seed: int = 2020
) -> dict[str, float]:
    """exp E KL(p(y|x) ‖ p(y)), the mean over splits and their deviation; from 1 to the number of classes K.

    Args:
      logits: `[N, K]` of a classifier for fakes. Computed in float64.
      num_splits: p(y) is computed in each split. The score of a split of n examples is at most n and grows
        with n, so only numbers with the same N and splits are comparable. Usual are 10 splits of 5,000.
      seed: seed of the shuffle before splitting, which matters if fakes are sorted by class. 2020 is
        torch-fidelity's.

    Returns:
      `inception_score_10_splits`, for that many, and `inception_score_10_splits_std`, the (biased) standard
      deviation over the splits, as published.

    Source: Salimans et al. 2016, Improved Techniques for Training GANs, section 4 and their code.
    """
    num_splits = arguments.whole("num_splits", num_splits, 1)
    seed = arguments.whole("seed", seed, 0, 2**32)
    logits = check_features(logits, "fake", at_least=num_splits, what="logits")
    logits = logits[np.random.RandomState(seed).permutation(len(logits))]
    bounds = [i * len(logits) // num_splits for i in range(num_splits + 1)]
    scores = [_score(logits[start:end]) for start, end in zip(bounds, bounds[1:], strict=False)]
    name = f"inception_score_{num_splits}_split" + "s" * (num_splits > 1)
    return {name: float(np.mean(scores)), f"{name}_std": float(np.std(scores))}
