import itertools

import numpy as np
import pytest
from gans import load_digits

from jaxgan.errors import UserError
from jaxgan.metrics.kernel import kernel_distance, mmd2


def normal(count, dim, seed=0, mean=0.0):
    return np.random.default_rng(seed).standard_normal((count, dim)) + mean


def test_double_loop():
    x, y = normal(6, 4), normal(5, 4, seed=1, mean=0.5)

    def kernel(a, b):
        return (sum(a * b) / 4 + 1) ** 3

    within_x = np.mean([kernel(a, b) for a, b in itertools.permutations(x, 2)])
    within_y = np.mean([kernel(a, b) for a, b in itertools.permutations(y, 2)])
    between = np.mean([kernel(a, b) for a in x for b in y])
    np.testing.assert_allclose(mmd2(x, y), within_x + within_y - 2 * between, rtol=0, atol=1e-6 * between)


def test_known_distance_of_two_gaussians():
    """In one dimension k is the inner product of (1, √3 x, √3 x², x³): 3 Δm₁² + 3 Δm₂² + Δm₃²."""
    found = kernel_distance(normal(20_000, 1), normal(20_000, 1, seed=1, mean=0.5), subset_size=400)
    expected = 3 * 0.5**2 + 3 * 0.25**2 + (0.5**3 + 3 * 0.5) ** 2
    np.testing.assert_allclose(found["kernel_distance"], expected, atol=5 * found["kernel_distance_stderr"])
    assert found["kernel_distance_stderr"] < 0.1 * expected


def test_unbiased():
    """For disjoint sets of one distribution the mean is 0, and both signs occur."""
    values = np.array([mmd2(normal(30, 8, seed=2 * i), normal(30, 8, seed=2 * i + 1)) for i in range(300)])
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(300)
    assert 0.2 < np.mean(values < 0) < 0.8


def test_subsets():
    """One subset of all examples gives mmd2. The mean and its error are those of the drawn subsets."""
    x, y = normal(50, 3), normal(60, 3, seed=1)
    random = np.random.RandomState(5)
    draws = [
        mmd2(x[random.choice(50, 20, replace=False)], y[random.choice(60, 20, replace=False)])
        for _ in range(7)
    ]
    found = kernel_distance(x, y, subset_size=20, num_subsets=7, seed=5)
    np.testing.assert_allclose(found["kernel_distance"], np.mean(draws), rtol=1e-5)
    np.testing.assert_allclose(found["kernel_distance_stderr"], np.std(draws, ddof=1) / 7**0.5, rtol=1e-5)
    assert found == kernel_distance(x, y, subset_size=20, num_subsets=7, seed=5)
    assert found != kernel_distance(x, y, subset_size=20, num_subsets=7, seed=6)
    whole = kernel_distance(x, y[:50], subset_size=50, num_subsets=2)
    np.testing.assert_allclose(whole["kernel_distance"], mmd2(x, y[:50]), rtol=1e-6)


@pytest.mark.parametrize(("dim", "mean", "std"), [(300, 0.4, 0.5), (300, 40, 0.5), (2, 5, 0.01), (64, 9, 9)])
def test_against_float64(dim, mean, std):
    """Also if float32 products could represent only the mean."""
    real, fake = (
        (normal(400, dim, seed=seed) * std + mean * (1 + 0.1 * seed)).astype(np.float32) for seed in (0, 1)
    )

    def kernel(x, y):
        return (x.astype(np.float64) @ y.T.astype(np.float64) / dim + 1) ** 3

    def within(x):
        return kernel(x, x)[~np.eye(len(x), dtype=bool)].mean()

    between = kernel(real, fake).mean()
    expected = within(real) + within(fake) - 2 * between
    np.testing.assert_allclose(mmd2(real, fake), expected, rtol=0, atol=1e-8 * between)


def test_types_of_features_do_not_matter():
    digits = load_digits().reshape(-1, 64)
    real, fake = digits[:700], digits[700:]
    assert mmd2(real.astype(np.float32), fake) == mmd2(real, fake * 1.0) == mmd2(real, fake)


def test_blocks_of_the_published_size():
    found = kernel_distance(normal(2000, 16), normal(2000, 16, seed=1, mean=0.1), num_subsets=5)
    assert found["kernel_distance"] > 5 * found["kernel_distance_stderr"] > 0


def test_refused():
    with pytest.raises(UserError, match="20 real examples are too few: this statistic needs 1000"):
        kernel_distance(normal(20, 3), normal(2000, 3))
    for sizes in ({"subset_size": 1}, {"num_subsets": 1}):
        with pytest.raises(UserError, match="must be at least 2"):
            kernel_distance(normal(20, 3), normal(20, 3), **sizes)
    with pytest.raises(UserError, match="have NaN or infinite features"):
        mmd2(normal(20, 3), np.full((20, 3), np.nan))
