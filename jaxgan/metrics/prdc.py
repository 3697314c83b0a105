"""Fidelity and diversity separately: precision and recall, density and coverage, by nearest neighbours."""

import numpy as np
from jaxtyping import Float

from jaxgan.declarations import arguments
from jaxgan.errors import WrongArgument
from jaxgan.metrics import FAMILIES
from jaxgan.metrics.distances import Undecided, blocks, nearest_squares
from jaxgan.metrics.features import check_pair
from jaxgan.metrics.number import Number, describe


@FAMILIES["features"].register("prdc")
@describe(
    {
        "precision": Number("higher", "share of fakes within the real examples' manifold", 0, 1),
        "recall": Number("higher", "share of real examples within the fakes' manifold", 0, 1),
        "density": Number("higher", "real neighbourhoods that a fake lies in, over the expected number", 0),
        "coverage": Number("higher", "share of real examples with a fake in their neighbourhood", 0, 1),
    }
)
def prdc(
    real_features: Float[np.ndarray, "N D"],
    fake_features: Float[np.ndarray, "M D"],
    *,
    precision_k: int = 3,
    density_k: int = 5,
) -> dict[str, float]:
    """Improved precision and recall, density and coverage, from one pass over the distances.

    B_k(x) is the ball around x that reaches to its k-th nearest other example of the same set. For N real x
    and M fake y:

    - `precision`: the share of fakes that lie in some B_k(x), k = precision_k; [0, 1].
    - `recall`: the share of real examples that lie in some B_k(y), k = precision_k; [0, 1].
    - `density`: Σ_j #{i: y_j in B_k(x_i)} / kM, k = density_k; 1 for equal distributions, may be above.
    - `coverage`: the share of real examples whose B_k(x) holds a fake, k = density_k; [0, 1].

    Args:
      real_features: `[N, D]`, N > both k. fake_features: `[M, D]`, M > both k. Coverage grows with M/N, and
        precision and recall depend on both, so only numbers with the same N and M are comparable.
      precision_k: the neighbour that a ball reaches to, of precision and recall.
      density_k: the same, of density and coverage.

    As in the authors' code, balls are closed for precision and recall, and open for density and coverage.
    This matters for repeated examples: a real set that repeats one image has precision 1 and density 0.

    Work: N²/2 + M²/2 + NM distances. Memory: under 300 MiB beside features of 2,048 numbers, at any N and M.

    Sources: Kynkäänniemi et al. 2019, Improved Precision and Recall Metric for Assessing Generative Models,
    equations 1 and 2, k = 3; Naeem et al. 2020, Reliable Fidelity and Diversity Metrics for Generative
    Models, section 3, k = 5.
    """
    precision_k = arguments.whole("precision_k", precision_k, None)
    density_k = arguments.whole("density_k", density_k, None)
    if precision_k < 1 or density_k < 1:
        raise WrongArgument(f"precision_k={precision_k} and density_k={density_k} must be at least 1")
    at_least = max(precision_k, density_k) + 1
    real, fake = check_pair(real_features, fake_features, at_least=at_least)
    try:
        return _prdc(real, fake, precision_k, density_k, screened=True)
    except Undecided:
        return _prdc(real, fake, precision_k, density_k, screened=False)


def _prdc(real, fake, precision_k, density_k, screened):
    origin, most = real[0], max(precision_k, density_k)
    real_nearest = nearest_squares(real, most, origin, screened)
    real_radius, density_radius = real_nearest[:, precision_k - 1], real_nearest[:, density_k - 1]
    fake_radius = nearest_squares(fake, precision_k, origin, screened)[:, -1]
    precise = np.zeros(len(fake), bool)
    recalled = np.zeros(len(real), bool)
    covered = np.zeros(len(real), bool)
    balls = 0
    for i, j, block in blocks(real, fake, origin, screened):
        precise[j] |= block.within(real_radius[i, None], closed=True).any(axis=0)
        recalled[i] |= block.within(fake_radius[j], closed=True).any(axis=1)
        inside = block.within(density_radius[i, None], closed=False)
        covered[i] |= inside.any(axis=1)
        balls += np.count_nonzero(inside)
    return {
        "precision": float(precise.mean()),
        "recall": float(recalled.mean()),
        "density": float(balls / (density_k * len(fake))),
        "coverage": float(covered.mean()),
    }
