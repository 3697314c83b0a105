import numpy as np
import pytest
from gans import load_digits
from scipy.linalg import sqrtm
from scipy.stats import ortho_group

from jaxgan.errors import UserError
from jaxgan.metrics import frechet
from jaxgan.metrics.frechet import Moments, frechet_distance, frechet_of_moments


def gaussian(mean, covariance, count=11):
    """Moments with this mean and covariance."""
    return Moments(count, np.asarray(mean, float), np.asarray(covariance, float) * (count - 1))


def distance(real, fake):
    return frechet_of_moments(real, fake)["frechet_distance"]


def normal(count, dim, seed=0):
    random = np.random.default_rng(seed)
    return random.standard_normal((count, dim)) @ random.standard_normal((dim, dim))


def by_singular_values(real, fake):
    """The distance without a matrix square root: Tr (ΣΤ)^½ is the nuclear norm of X Yᵀ / √(n-1)(m-1)."""
    x, y = real.astype(np.float64), fake.astype(np.float64)
    means = np.sum((x.mean(axis=0) - y.mean(axis=0)) ** 2)
    x, y = ((a - a.mean(axis=0)) / np.sqrt(len(a) - 1) for a in (x, y))
    return means + np.sum(x**2) + np.sum(y**2) - 2 * np.linalg.norm(x @ y.T, "nuc")


def test_one_dimension():
    """(μ - ν)² + (σ - τ)²."""
    np.testing.assert_allclose(
        distance(gaussian([1], [[4]]), gaussian([-2], [[0.25]])), 9 + 1.5**2, rtol=1e-12
    )


def test_commuting_covariances():
    """Σ (√a - √b)² over the common eigenvectors."""
    rotation = ortho_group.rvs(5, random_state=0)
    a, b = np.array([9.0, 4, 1, 0.01, 0]), np.array([1.0, 16, 0.25, 0, 0])
    real = gaussian(np.zeros(5), rotation * a @ rotation.T)
    fake = gaussian(np.ones(5), rotation * b @ rotation.T)
    np.testing.assert_allclose(distance(real, fake), 5 + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2), rtol=1e-7)


def test_scipy():
    """The formula of Heusel et al., computed directly."""
    real, fake = normal(200, 30), normal(150, 30, seed=1) + 0.3
    root = sqrtm(np.cov(real.T) @ np.cov(fake.T)).real
    means = np.sum((real.mean(axis=0) - fake.mean(axis=0)) ** 2)
    expected = means + np.trace(np.cov(real.T) + np.cov(fake.T) - 2 * root)
    np.testing.assert_allclose(frechet_distance(real, fake)["frechet_distance"], expected, rtol=1e-9)


@pytest.mark.parametrize(("n", "m"), [(20, 30), (20, 200), (200, 20), (2, 3)])
def test_fewer_samples_than_features(n, m):
    real, fake = normal(n, 60), normal(m, 60, seed=1) + 1
    found = frechet_distance(real, fake)["frechet_distance"]
    np.testing.assert_allclose(found, by_singular_values(real, fake), rtol=1e-7)
    np.testing.assert_allclose(frechet_distance(fake, real)["frechet_distance"], found, rtol=1e-7)


def test_too_many_features_are_refused_before_their_covariance():
    with pytest.raises(UserError, match=r"8,193 features are too many.*extractor\.name=inception"):
        frechet_distance(np.zeros((2, 8193)), np.zeros((2, 8193)))


def test_real_images():
    """Pixels that are always 0 make both covariances singular."""
    digits = load_digits().reshape(-1, 64)
    expected = by_singular_values(digits[:300], digits[300:600])
    np.testing.assert_allclose(
        frechet_distance(digits[:300], digits[300:600])["frechet_distance"], expected, rtol=1e-6
    )


def test_equal_sets():
    for features in (normal(500, 40), normal(20, 40), np.full((10, 3), 0.1)):
        scale = features.var() + 1e-30
        assert 0 <= frechet_distance(features, features[::-1])["frechet_distance"] <= 1e-6 * scale * 40


def test_rotation_does_not_matter():
    real, fake = normal(200, 20), normal(200, 20, seed=1)
    rotation = ortho_group.rvs(20, random_state=1)
    np.testing.assert_allclose(
        frechet_distance(real @ rotation, fake @ rotation)["frechet_distance"],
        frechet_distance(real, fake)["frechet_distance"],
        rtol=1e-10,
    )


@pytest.mark.parametrize("sizes", [[100], [1] * 100, [1, 99], [60, 3, 37]])
def test_batches_do_not_matter(sizes, monkeypatch):
    features = normal(100, 7).astype(np.float32) + 1000
    monkeypatch.setattr(frechet, "_ROWS", 32)
    batches = np.split(features, np.cumsum(sizes)[:-1])
    moments = Moments.empty(7)
    for batch in batches:
        moments = moments.add(batch)
    mean, covariance = moments.finish()
    assert moments.count == 100 and covariance.dtype == np.float64
    np.testing.assert_allclose(mean, features.astype(np.float64).mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(covariance, np.cov(features.T.astype(np.float64)), rtol=1e-9, atol=1e-12)


def test_merge_is_symmetric_and_changes_nothing():
    one, two = Moments.of(normal(10, 3)), Moments.of(normal(20, 3, seed=1))
    kept = one.scatter.copy()
    for a, b in zip(one.merge(two), two.merge(one), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)
    np.testing.assert_array_equal(one.scatter, kept)
    assert one.merge(Moments.empty(3)) is one
    np.testing.assert_array_equal(Moments.empty(3).merge(one).finish()[1], one.finish()[1])


def test_float32_features_with_large_means():
    """Means of 1,000 and deviations of 0.01: float32 moments would have no correct digit."""
    random = np.random.default_rng(0)
    real = (1000 + 0.01 * random.standard_normal((400, 50))).astype(np.float32)
    fake = (1000 + 0.02 * random.standard_normal((400, 50))).astype(np.float32)
    found = frechet_distance(real, fake)["frechet_distance"]
    np.testing.assert_allclose(found, by_singular_values(real, fake), rtol=1e-8)
    assert 0.3 < found / (50 * 0.01**2) < 3


def test_refused():
    with pytest.raises(UserError, match="1 fake examples are too few"):
        frechet_distance(normal(4, 2), normal(1, 2))
    with pytest.raises(ValueError, match="a covariance needs 2 examples, not 1"):
        Moments.of(normal(1, 2)).finish()
    with pytest.raises(ValueError, match="do not compare"):
        Moments.of(normal(4, 2)).add(normal(4, 3))
    with pytest.raises(ValueError, match="do not compare"):
        frechet_distance(normal(4, 2), normal(4, 3))
    with pytest.raises(UserError, match="1 of 4 real examples have NaN"):
        frechet_distance(np.diag([1, 2, 3, np.nan]), normal(4, 4))
