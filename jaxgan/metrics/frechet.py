"""The Fréchet distance between Gaussians fitted to two sets of features: FID, for Inception's features."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num

from jaxgan.errors import UserError
from jaxgan.metrics import FAMILIES
from jaxgan.metrics.features import check_features, check_width
from jaxgan.metrics.number import Number, describe

_ROWS = 4096  # as many rows at a time are held in float64
_MOST_FEATURES = 8192  # a covariance is 512 MiB then, several are needed, and eigenvalues cost D³


class Moments(NamedTuple):
    """Mean and covariance of features that come in batches, in float64. Immutable.

    Deviations from the mean of their own batch are multiplied, so a mean much larger than the deviations
    costs no precision (E[x²] - E[x]² would lose all digits).

    Attributes:
      count: how many features, N.
      mean: `[D]`.
      scatter: `[D, D]`, Σ (x - mean)(x - mean)ᵀ.

    Source: Chan, Golub and LeVeque 1979, Updating formulae and a pairwise algorithm for computing sample
    variances, equations 2.1.
    """

    count: int
    mean: Float[np.ndarray, " D"]
    scatter: Float[np.ndarray, "D D"]

    @classmethod
    def empty(cls, dim: int) -> "Moments":
        """Without features."""
        return cls(0, np.zeros(dim), np.zeros((dim, dim)))

    @classmethod
    def of(cls, features: Num[np.ndarray, "N D"], name: str = "given") -> "Moments":
        """Of features `[N, D]`; `name` is for messages ('real', 'fake')."""
        features = check_features(features, name)
        return cls.empty(features.shape[1]).add(features, name)

    def add(self, features: Num[np.ndarray, "B D"], name: str = "given") -> "Moments":
        """Adds a batch `[B, D]`. Batches of hundreds are faster, since each costs D²."""
        features = check_features(features, name)
        check_width(self.scatter, features)
        moments = self
        for start in range(0, len(features), _ROWS):
            moments = moments._add(features[start : start + _ROWS])
        return moments

    def _add(self, features):
        rows = np.empty((len(features) + 1, features.shape[1]))
        rows[:-1] = features
        mean = rows[:-1].mean(axis=0)
        rows[:-1] -= mean
        count = self.count + len(features)
        delta = mean - self.mean
        # what `merge` adds for the two means is the square of one more row
        rows[-1] = delta * np.sqrt(self.count * len(features) / count)
        scatter = rows.T @ rows
        scatter += self.scatter
        return Moments(count, self.mean + delta * (len(features) / count), scatter)

    def merge(self, other: "Moments") -> "Moments":
        """Moments of both sets: the scatters' sum + (δ δᵀ) n m / (n + m), δ the difference of the means."""
        check_width(self.scatter, other.scatter)
        if not other.count:
            return self
        count = self.count + other.count
        delta = other.mean - self.mean
        scatter = np.outer(delta, delta * (self.count * other.count / count))
        scatter += self.scatter
        scatter += other.scatter
        return Moments(count, self.mean + delta * (other.count / count), scatter)

    def finish(self) -> tuple[Float[np.ndarray, " D"], Float[np.ndarray, "D D"]]:
        """Mean `[D]` and unbiased covariance `[D, D]`, divided by N - 1 as FID's own code does."""
        if self.count < 2:
            raise ValueError(f"a covariance needs 2 examples, not {self.count}")
        return self.mean, self.scatter / (self.count - 1)


@FAMILIES["features"].register("frechet_distance")
@describe(
    {
        "frechet_distance": Number(
            "lower", "distance of Gaussians fitted to the features of fakes and of real examples", 0
        )
    }
)
def frechet_distance(
    real_features: Float[np.ndarray, "N D"], fake_features: Float[np.ndarray, "M D"]
) -> dict[str, float]:
    """`frechet_of_moments` of features `[N, D]` and `[M, D]`, at least two of each, D at most 8,192."""
    real = check_features(real_features, "real", at_least=2)
    fake = check_features(fake_features, "fake", at_least=2)
    if real.shape[1] > _MOST_FEATURES:
        raise UserError(
            f"{real.shape[1]:,} features are too many, this statistic takes {_MOST_FEATURES:,}: choose "
            "evaluation.extractor.name=inception or classifier"
        )
    return frechet_of_moments(Moments.of(real), Moments.of(fake))


def frechet_of_moments(real: Moments, fake: Moments) -> dict[str, float]:
    """‖μ - ν‖² + Tr Σ + Tr Τ - 2 Tr (Σ^½ Τ Σ^½)^½, of the Gaussians N(μ, Σ) and N(ν, Τ).

    Returns:
      `frechet_distance`: in squared units of the features, 0 for equal moments. It is larger for
      fewer examples (by about 1/N) for every generator, so only numbers with the same N are comparable.

    The trace of the root equals that of (ΣΤ)^½, but the matrix is symmetric. So its eigenvalues are real and
    well conditioned, even if N < D and the covariances are singular. Eigenvalues and the distance that
    rounding makes negative are clipped at 0. An eigenvalue that should be 0 has an error of √ε = 1.5e-8 of
    the largest.

    Source: Heusel et al. 2017, GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
    Equilibrium, equation 6; Dowson and Landau 1982 for the formula.
    """
    # OpenBLAS's threads wait for each other at every column of an eigendecomposition. One thread is 2 times
    # as fast on 2 idle cores, and up to 90 times on busy ones
    from threadpoolctl import threadpool_limits  # late: reached through scikit-learn, for evaluation alone

    check_width(real.scatter, fake.scatter)
    (real_mean, real_covariance), (fake_mean, fake_covariance) = real.finish(), fake.finish()
    # root rootᵀ = Σ: as good as Σ^½ on both sides
    try:
        root = np.linalg.cholesky(real_covariance)
    except np.linalg.LinAlgError:  # singular, as with N < D
        with threadpool_limits(1, user_api="blas"):
            values, vectors = np.linalg.eigh(real_covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))
    inner = root.T @ fake_covariance @ root
    with threadpool_limits(1, user_api="blas"):
        eigenvalues = np.linalg.eigvalsh((inner + inner.T) / 2)
    distance = (
        np.sum(np.square(real_mean - fake_mean))
        + np.trace(real_covariance)
        + np.trace(fake_covariance)
        - 2 * np.sum(np.sqrt(np.maximum(eigenvalues, 0)))
    )
    return {"frechet_distance": max(0.0, float(distance))}
