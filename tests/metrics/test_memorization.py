import numpy as np
import pytest
from gans import load_digits
from scipy.stats import mannwhitneyu
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors

from jaxgan.errors import UserError
from jaxgan.metrics import distances
from jaxgan.metrics.memorization import Neighbours, data_copying, memorization, nearest_training


def normal(count, dim=4, seed=0):
    return np.random.default_rng(seed).standard_normal((count, dim))


def measure(train, test, fake):
    return memorization(nearest_training(train, test), nearest_training(train, fake))


@pytest.mark.parametrize("rows", [7, 2048])
def test_nearest_by_brute_force(rows, monkeypatch):
    monkeypatch.setattr(distances, "_ROWS", rows)
    train, queries = normal(40) + 100, normal(25, seed=1) + 100
    all_distances = np.linalg.norm(queries[:, None] - train[None], axis=-1)
    found = nearest_training(train, queries)
    np.testing.assert_array_equal(found.index, all_distances.argmin(axis=1))
    np.testing.assert_allclose(found.distance, all_distances.min(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(found.closest(5), np.argsort(all_distances.min(axis=1))[:5])


@pytest.mark.parametrize("rows", [7, 2048])
def test_copies_and_their_originals_are_found(rows, monkeypatch):
    """For pixels and floats. Of equal training examples the first is reported."""
    monkeypatch.setattr(distances, "_ROWS", rows)
    digits = load_digits().reshape(-1, 64)
    train = digits[:500].copy()
    train[300] = train[20]
    for scale in (np.uint8(1), np.float32(0.1)):
        found = nearest_training(train * scale, train[[300, 499, 7]] * scale)
        np.testing.assert_array_equal(found.index, [20, 499, 7])
        np.testing.assert_array_equal(found.distance, 0)


def test_by_hand():
    test, fake = (Neighbours(np.zeros(len(d), int), np.array(d)) for d in ([1.0, 2.0, 3.0], [0.0, 2.0]))
    found = memorization(test, fake)
    # 0 is smaller than all three; 2 is smaller than one and equal to another
    assert found["nearer_than_test"] == 4.5 / 6
    assert found["copies"] == 1 / 2
    np.testing.assert_allclose(found["data_copying_z"], (1.5 - 3) / np.sqrt(6 * 6 / 12))


def test_mann_whitney():
    random = np.random.default_rng(0)
    test, fake = (Neighbours(np.zeros(n, int), random.integers(0, 30, n) / 7) for n in (60, 80))
    u = mannwhitneyu(fake.distance, test.distance).statistic
    np.testing.assert_allclose(memorization(test, fake)["nearer_than_test"], 1 - u / (60 * 80), rtol=1e-12)


def test_the_data_s_own_distribution():
    """The statistic z is standard normal."""
    z = [
        measure(normal(300, seed=i), normal(100, seed=100 + i), normal(120, seed=200 + i))["data_copying_z"]
        for i in range(30)
    ]
    assert abs(np.mean(z)) < 4 / np.sqrt(30) and 0.6 < np.std(z) < 1.4


def test_copying_and_underfitting_on_real_images():
    digits = np.random.default_rng(0).permutation(load_digits().reshape(-1, 64)).astype(np.float32)
    train, test = digits[:1000], digits[1000:1400]
    noise = np.random.default_rng(1).standard_normal((400, 64)).astype(np.float32)
    for fake, sign in ((train[:400] + noise, -1), (test[:400] + 30 * noise, 1)):
        assert sign * measure(train, test, fake)["data_copying_z"] > 5
        assert sign * data_copying(train, test, fake, num_cells=10)["data_copying_c_t"] > 3
    assert measure(train, test, train[:400])["copies"] == 1
    assert measure(train, test, test)["nearer_than_test"] == 0.5


def test_one_cell_is_the_whole_space():
    train, test, fake = normal(100), normal(50, seed=1), normal(60, seed=2)
    found = data_copying(train, test, fake, num_cells=1)
    assert found["data_copying_cells"] == 1
    np.testing.assert_allclose(
        found["data_copying_c_t"], measure(train, test, fake)["data_copying_z"], rtol=1e-12
    )


def test_cells_are_weighted_by_the_test_set():
    """Two distant cells: copies in one, blurred data in the other."""
    near, far = normal(200), normal(200, seed=1) + 50
    train = np.vstack([near, far])
    test = np.vstack([normal(90, seed=2), normal(30, seed=3) + 50])
    copies, blurred = near[:80] + 1e-3, 3 * normal(80, seed=4) + 50
    z = [
        measure(near, test[:90], copies)["data_copying_z"],
        measure(far, test[90:], blurred)["data_copying_z"],
    ]
    found = data_copying(train, test, np.vstack([copies, blurred]), num_cells=2)
    assert z[0] < -5 and z[1] > 3
    np.testing.assert_allclose(found["data_copying_c_t"], 0.75 * z[0] + 0.25 * z[1], rtol=1e-9)
    # a cell with too few fakes, or without test examples, does not count
    for tests, fakes in (
        (test, np.vstack([copies, blurred[:20]])),
        (test[:90], np.vstack([copies, blurred])),
    ):
        found = data_copying(train, tests, fakes, num_cells=2)
        assert found["data_copying_cells"] == 1
        np.testing.assert_allclose(found["data_copying_c_t"], z[0], rtol=1e-9)


def test_the_authors_code():
    """C_T as in the authors' code, with its cells and libraries; neighbours are taken within each cell."""
    train, test, fake = normal(300, 2), normal(200, 2, seed=1), 0.9 * normal(250, 2, seed=2)
    clusters = KMeans(8, n_init=1, random_state=0).fit(train)
    cells = [clusters.predict(features) for features in (train, test, fake)]
    total, weight = 0, 0
    for cell in range(8):
        in_cell = [
            features[label == cell] for features, label in zip((train, test, fake), cells, strict=True)
        ]
        neighbours = NearestNeighbors(n_neighbors=1).fit(in_cell[0])
        test_distance, fake_distance = (neighbours.kneighbors(x)[0][:, 0] for x in in_cell[1:])
        n, m = len(test_distance), len(fake_distance)
        if m > 20:
            u = mannwhitneyu(fake_distance, test_distance).statistic
            total += n * (u - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12)
            weight += n
    found = data_copying(train, test, fake, num_cells=8)
    assert 2 < found["data_copying_cells"] <= 8
    np.testing.assert_allclose(found["data_copying_c_t"], total / weight, rtol=1e-9)


def test_refused():
    with pytest.raises(UserError, match="10 training examples are too few: this statistic needs 50"):
        data_copying(normal(10), normal(10), normal(10))
    with pytest.raises(UserError, match="none of 2 cells has more than 20 fakes and a test example"):
        data_copying(normal(30), normal(10), normal(20), num_cells=2)
    with pytest.raises(UserError, match="0 given examples are too few"):
        nearest_training(normal(10), normal(0))
    with pytest.raises(ValueError, match="do not compare"):
        nearest_training(normal(10), normal(10, dim=3))
