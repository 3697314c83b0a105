"""The kernel distance: squared maximum mean discrepancy with a cubic kernel; KID on Inception's features."""

import numpy as np

from jaxgan.errors import UserError
from jaxgan.metrics.features import check_pair


def mmd2(real_features: np.ndarray, fake_features: np.ndarray) -> float:
    """Σ_{i≠j} k(xᵢ, xⱼ) / n(n-1) + Σ_{i≠j} k(yᵢ, yⱼ) / m(m-1) - 2 Σ k(xᵢ, yⱼ) / nm, k = (x·y/D + 1)³.

    The unbiased estimate, below 0 about as often as above where both sets are of one distribution.

    Args:
      real_features: x `[n, D]`, n ≥ 2.
      fake_features: y `[m, D]`, m ≥ 2.

    Products of deviations from the mean are taken in float32, twice as fast, and all else in float64: x·y =
    (x - c)·(y - c) + c·x + c·y - c·c. Their rounding averages out over the pairs: of the mean kernel the
    error is 1e-11 at n = 1,000 and D = 2,048, 1e-8 at D = 4, and below 1e-6 for a few points.

    Source: Gretton et al. 2012, A Kernel Two-Sample Test, equation 3; Bińkowski et al. 2018, Demystifying
    MMD GANs, section 4 for the kernel.
    """
    real, fake = check_pair(real_features, fake_features, at_least=2)
    dim = real.shape[1]
    centre = real.mean(axis=0, dtype=np.float64)

    def prepare(features):
        deviations = features - centre
        return deviations.astype(np.float32), (deviations @ centre + centre @ centre / 2) / dim + 0.5

    def kernel(prepared, other):
        (x, of_x), (y, of_y) = prepared, other
        base = (x @ y.T).astype(np.float64) / dim + of_x[:, None] + of_y
        return base * base * base  # many times as fast as ** 3

    def within(x):
        values = kernel(x, x)
        return (values.sum() - np.trace(values)) / (len(values) * (len(values) - 1))

    real, fake = prepare(real), prepare(fake)
    return float(within(real) + within(fake) - 2 * kernel(real, fake).mean())


def kernel_distance(
    real_features: np.ndarray,
    fake_features: np.ndarray,
    *,
    subset_size: int = 1000,
    num_subsets: int = 100,
    seed: int = 2020,
) -> dict[str, float]:
    """The mean of `mmd2` over random subsets of both sets, and its standard error.

    Args:
      real_features: `[N, D]`, N ≥ subset_size.
      fake_features: `[M, D]`, M ≥ subset_size.
      subset_size: examples of each set in a subset, drawn without replacement.
      num_subsets: 2 or more.
      seed: of the subsets. RandomState's stream never changes, and 2020 gives torch-fidelity's subsets.

    Returns:
      `kernel_distance`: unbiased, so 0 on average for equal distributions at any N.
      `kernel_distance_stderr`: the deviation over the subsets by √num_subsets. Subsets that share examples
      are not independent, so where num_subsets · subset_size > N it understates the error of drawing N.

    Source: Bińkowski et al. 2018, Demystifying MMD GANs, section 4; sizes as in torch-fidelity.
    """
    if subset_size < 2 or num_subsets < 2:
        raise UserError(f"subset_size={subset_size} and num_subsets={num_subsets} must be at least 2")
    real, fake = check_pair(real_features, fake_features, at_least=subset_size)
    random = np.random.RandomState(seed)
    distances = [
        mmd2(
            real[random.choice(len(real), subset_size, replace=False)],
            fake[random.choice(len(fake), subset_size, replace=False)],
        )
        for _ in range(num_subsets)
    ]
    return {
        "kernel_distance": float(np.mean(distances)),
        "kernel_distance_stderr": float(np.std(distances, ddof=1) / np.sqrt(num_subsets)),
    }
