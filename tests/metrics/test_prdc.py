import numpy as np
import pytest
from gans import load_digits

from jaxgan.errors import UserError
from jaxgan.metrics import distances
from jaxgan.metrics.prdc import prdc


def naive(real, fake, precision_k=3, density_k=5):
    """The formulas of the papers, with full matrices of directly computed distances."""
    real, fake = real.astype(np.float64), fake.astype(np.float64)

    def distances(x, y):
        return np.linalg.norm(x[:, None] - y[None], axis=-1)

    def radii(x, k):
        return np.sort(distances(x, x), axis=1)[:, k]  # the nearest is the point itself

    cross = distances(real, fake)
    inside = cross < radii(real, density_k)[:, None]
    return {
        "precision": (cross <= radii(real, precision_k)[:, None]).any(axis=0).mean(),
        "recall": (cross <= radii(fake, precision_k)[None]).any(axis=1).mean(),
        "density": inside.sum() / (density_k * len(fake)),
        "coverage": inside.any(axis=1).mean(),
    }


def column(*values):
    return np.array(values, float)[:, None]


@pytest.mark.parametrize("rows", [7, 64, 2048])
@pytest.mark.parametrize(("n", "m", "shift"), [(60, 60, 0.0), (50, 90, 1.0), (90, 40, 100.0)])
def test_naive(rows, n, m, shift, monkeypatch):
    monkeypatch.setattr(distances, "_ROWS", rows)
    random = np.random.default_rng(0)
    real = (random.standard_normal((n, 6)) + 1000).astype(np.float32)
    fake = (random.standard_normal((m, 6)) + 1000 + shift).astype(np.float32)
    assert prdc(real, fake) == pytest.approx(naive(real, fake), rel=1e-12)
    assert prdc(real, fake, precision_k=5, density_k=2) == pytest.approx(naive(real, fake, 5, 2), rel=1e-12)


def test_real_images():
    digits = load_digits().reshape(-1, 64)
    real, fake = digits[:150], digits[150:400] // 64 * 64
    assert prdc(real, fake) == pytest.approx(naive(real, fake), rel=1e-12)


def test_by_hand():
    """With k = 1 on a line: balls of radius 1 around 0, 1, 2 and of radius 8 around 10."""
    found = prdc(column(0, 1, 2, 10), column(2.5, 3, 30, 31), precision_k=1, density_k=1)
    assert found == {
        "precision": 2 / 4,  # 2.5 and 3; 3 is on the edge of the ball around 2
        "recall": 1 / 4,  # only 2; radii are ½ around 2.5 and 3, 1 around 30 and 31
        "density": 3 / 4,  # 2.5 lies in two balls, 3 inside one
        "coverage": 2 / 4,  # the balls of 2 and 10
    }


@pytest.mark.parametrize("rows", [7, 2048])
def test_equal_sets_and_disjoint_sets(rows, monkeypatch):
    monkeypatch.setattr(distances, "_ROWS", rows)
    points = np.random.default_rng(0).standard_normal((200, 2))
    same = prdc(points, points)
    assert same["precision"] == same["recall"] == same["coverage"] == 1
    assert same["density"] == pytest.approx(1, abs=1e-12)  # the point itself and the 4 nearest
    assert prdc(points, points + 100) == dict.fromkeys(same, 0)


def test_samples_of_one_distribution():
    """Coverage is 1 - (N-1)...(N-k) / (2N-1)...(2N-k) on average, .969 for k = 5 (Naeem et al.)."""
    random = np.random.default_rng(0)
    found = prdc(random.standard_normal((1500, 4)), random.standard_normal((1500, 4)))
    assert found["density"] == pytest.approx(1, abs=0.05)
    assert found["coverage"] == pytest.approx(1 - 0.5**5, abs=0.02)


def test_fidelity_and_diversity_are_separate():
    random = np.random.default_rng(0)
    real = random.standard_normal((300, 2))
    collapsed = prdc(real, 0.05 * random.standard_normal((300, 2)))
    assert collapsed["precision"] == 1 and collapsed["recall"] < 0.1 and collapsed["coverage"] < 0.1
    blurred = prdc(real, 5 * random.standard_normal((300, 2)))
    assert blurred["precision"] < 0.4 and blurred["recall"] > 0.9


def test_constant_images():
    real, constant = np.random.default_rng(0).standard_normal((50, 9)), np.full((40, 9), 0.1)
    collapsed = prdc(real, constant)
    assert collapsed["recall"] == 0 and np.isfinite(list(collapsed.values())).all()
    assert prdc(constant, constant) == {"precision": 1, "recall": 1, "density": 0, "coverage": 0}
    assert prdc(constant, real)["precision"] == 0


def test_refused():
    points = np.zeros((6, 2))
    with pytest.raises(UserError, match="5 fake examples are too few: this statistic needs 6"):
        prdc(points, points[:5])
    assert prdc(points[:5], points[:4], density_k=3)["precision"] == 1
    with pytest.raises(UserError, match="precision_k=0 and density_k=5 must be at least 1"):
        prdc(points, points, precision_k=0)
    with pytest.raises(UserError, match="6 of 6 real examples have NaN"):
        prdc(points * np.nan, points)


@pytest.mark.parametrize("pairs", [0, 10**9])
def test_a_collapse_onto_a_hub_gives_ties_for_all_examples(pairs, monkeypatch):
    """All fakes are copies of the nearest neighbour of all other examples, so they lie on every sphere."""
    monkeypatch.setattr(distances, "_PAIRS", pairs)
    random = np.random.default_rng(0)
    real = random.integers(-3, 4, (200, 64)).astype(np.float32)
    real[0] = 0
    real[1:] += np.sign(real[1:]) * 4 * (random.random((199, 64)) < 0.5)
    found = prdc(real, np.repeat(real[:1], 100, axis=0), precision_k=1, density_k=1)
    assert found["precision"] == 1
    assert found["coverage"] == 1 / 200  # inside its own ball only; on the edges of the others
