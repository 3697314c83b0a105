import tracemalloc

import numpy as np
import pytest
from gans import load_digits

from jaxgan.metrics import distances
from jaxgan.metrics.distances import Undecided, blocks, nearest_squares


@pytest.fixture(autouse=True, params=[5, 2048])
def rows(request, monkeypatch):
    """Many blocks with a remainder, and one block."""
    monkeypatch.setattr(distances, "_ROWS", request.param)
    return request.param


def direct(x, y):
    """Squared distances from differences, pair by pair."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    return np.array([[np.sum((a - b) ** 2) for b in y] for a in x])


def assembled(x, y, origin):
    found = np.full((len(x), len(x if y is None else y)), np.nan)
    for i, j, block in blocks(x, y, origin):
        squares = block.exact()
        assert np.isnan(found[i, j]).all()
        found[i, j] = squares
    return found


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_all_pairs(offset):
    """Also if a common offset is 10,000 times the deviations."""
    random = np.random.default_rng(0)
    x = (random.standard_normal((12, 9)) + offset).astype(np.float32)
    y = (random.standard_normal((17, 9)) + offset).astype(np.float32)
    np.testing.assert_allclose(assembled(x, y, x[0]), direct(x, y), rtol=1e-12)


def test_half_of_the_pairs_of_one_set(rows):
    x = np.random.default_rng(0).standard_normal((12, 3))
    found = assembled(x, None, x[0])
    assert not np.isnan(assembled(x, x, x[0])).any()
    known = ~np.isnan(found)
    expected = direct(x, x)
    np.fill_diagonal(expected, np.inf)
    np.testing.assert_allclose(found[known], expected[known], rtol=1e-10, atol=1e-14)
    assert known.all() if rows > 12 else known.sum() == 5 * 5 + 5 * 5 + 2 * 2 + 5 * 5 + 2 * (5 * 2)
    assert (known | known.T).all()


def test_equal_examples_have_distance_zero_and_whole_numbers_are_exact():
    x = np.random.default_rng(0).standard_normal((8, 500)) + 1
    assert (np.diag(assembled(x, x.copy(), x[3] + 1)) == 0).all()
    digits = load_digits()[:20].reshape(20, 64)
    np.testing.assert_array_equal(assembled(digits, digits[5:], digits[0]), direct(digits, digits[5:]))


@pytest.mark.parametrize("k", [1, 3, 11])
def test_nearest_others(k):
    """An example itself is excluded; a copy of it is included."""
    x = np.random.default_rng(0).standard_normal((12, 3))
    x[7] = x[2]
    expected = direct(x, x)
    np.fill_diagonal(expected, np.inf)
    found = nearest_squares(x, k, x[0])
    np.testing.assert_allclose(found, np.sort(expected, axis=1)[:, :k], rtol=1e-10, atol=1e-14)
    assert found[2, 0] == found[7, 0] == 0


def cloud(kind):
    """80 and 60 points, of kinds for which float32 is inaccurate."""
    random = np.random.default_rng(0)
    x, y = random.standard_normal((80, 30)), random.standard_normal((60, 30))
    if kind == "far from zero":
        return x + 1e6, y + 1e6
    if kind == "all but one alike":
        return np.ones((80, 30)) + 1e-9 * (np.arange(80) == 7)[:, None], np.ones((60, 30))
    if kind == "copies":
        return np.concatenate([x[:40], x[:40]]), x[20:80]
    if kind == "whole numbers":
        return np.round(2 * x), np.round(2 * y)
    return x * SCALES[kind], y * SCALES[kind]


SCALES = {"ordinary": 1.0, "squares underflow in float32": 1e-25, "squares overflow in float32": 1e25}
KINDS = [*SCALES, "far from zero", "all but one alike", "copies", "whole numbers"]


@pytest.fixture(params=[True, False])
def screened(request, monkeypatch):
    """Whether float32 screens the pairs before exact computation of any number of them."""
    monkeypatch.setattr(distances, "_PAIRS", 10**9)
    return request.param


@pytest.mark.parametrize("kind", KINDS)
def test_float32_screening_makes_no_wrong_decision(kind, screened):
    if screened and kind == "squares overflow in float32":
        pytest.skip("not screened")
    x, y = cloud(kind)
    expected = direct(x, y)
    radius = np.median(expected, axis=1)[:, None] * (1 + np.linspace(-1e-6, 1e-6, len(x)))[:, None]
    reach = np.quantile(expected, 0.1, axis=0)
    for i, j, block in blocks(x, y, x[0], screened):
        for bound in (radius[i], reach[j]):
            clear = np.abs(expected[i, j] - bound) > 1e-9 * expected[i, j]
            for closed in (False, True):
                found = block.within(bound, closed)
                np.testing.assert_array_equal(found[clear], (expected[i, j] < bound)[clear])
    others = direct(x, x)
    np.fill_diagonal(others, np.inf)
    for k in (1, 3):
        np.testing.assert_allclose(
            nearest_squares(x, k, x[0], screened), np.sort(others, axis=1)[:, :k], rtol=1e-9, atol=1e-14
        )


def test_ties_of_whole_numbers_are_exact(screened):
    x, y = cloud("whole numbers")
    expected = direct(x, y)
    bound = np.sort(expected, axis=1)[:, 9:10]  # other points have exactly this distance
    for i, j, block in blocks(x, y, x[0], screened):
        np.testing.assert_array_equal(block.within(bound[i], True), expected[i, j] <= bound[i])
        np.testing.assert_array_equal(block.within(bound[i], False), expected[i, j] < bound[i])


@pytest.mark.parametrize("kind", ["all but one alike", "squares overflow in float32"])
def test_cases_too_close_for_float32_raise_undecided(kind, monkeypatch):
    monkeypatch.setattr(distances, "_PAIRS", 0)
    x, _ = cloud(kind)
    with pytest.raises(Undecided):
        nearest_squares(x, 1, x[0])


def test_memory_is_a_few_blocks(monkeypatch):
    monkeypatch.setattr(distances, "_ROWS", 200)
    x = np.random.default_rng(0).standard_normal((2000, 4))
    tracemalloc.start()
    nearest_squares(x, 3, x[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * 200 * 200 * 8  # the whole matrix would be 100 blocks


def test_two_widths():
    with pytest.raises(ValueError, match="do not compare"):
        list(blocks(np.zeros((3, 2)), np.zeros((3, 4)), np.zeros(2)))
