import numpy as np
import pytest

from jaxgan.datasets.mixtures import grid_modes, ring_modes
from jaxgan.errors import UserError
from jaxgan.metrics.modes import class_coverage, mode_coverage

CENTRES = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])


def test_by_hand():
    """Two good samples of the first mode, one of the second, a bad one nearest to the third."""
    samples = np.array([[0.0, 2.9], [1.0, 1.0], [10.0, 0.0], [0.5, 6.9]])
    found = mode_coverage(samples, CENTRES, std=1.0)
    assert found["modes"] == 2
    assert found["good"] == 3 / 4
    # 2/3 and 1/3 of the good samples are in two of four modes; shares of nearest modes: 1/2, 1/4, 1/4, 0
    by_hand = 2 / 3 * np.log(8 / 3) + 1 / 3 * np.log(4 / 3)
    np.testing.assert_allclose(found["reverse_kl"], by_hand, rtol=1e-12)
    np.testing.assert_allclose(found["reverse_kl_nearest"], 0.5 * np.log(2) + 0 + 0, rtol=1e-12)


def test_the_mixtures_themselves():
    """In two dimensions a share of 1 - exp(-9/2) of a Gaussian lies within three deviations."""
    for modes, std in ((ring_modes(), 0.01), (grid_modes(), 0.05)):
        random = np.random.default_rng(0)
        points = modes[random.integers(len(modes), size=20_000)] + std * random.standard_normal((20_000, 2))
        found = mode_coverage(points, modes, std)
        assert found["modes"] == len(modes)
        np.testing.assert_allclose(found["good"], 1 - np.exp(-4.5), atol=4 * np.sqrt(0.011 / 20_000))
        # the expectation of N·KL is (M - 1)/2
        np.testing.assert_allclose(found["reverse_kl"], 0, atol=3 * len(modes) / 20_000)


def test_collapse():
    found = mode_coverage(np.tile(CENTRES[2], (50, 1)), CENTRES, std=1.0)
    assert found["modes"] == 1 and found["good"] == 1
    np.testing.assert_allclose(found["reverse_kl"], np.log(4), rtol=1e-12)
    nothing = mode_coverage(CENTRES + 5.0, CENTRES, std=1.0)
    assert nothing["modes"] == 0
    np.testing.assert_allclose(nothing["reverse_kl"], np.log(4), rtol=1e-12)  # the maximum
    assert nothing["reverse_kl_nearest"] == 0  # one sample nearest to each mode, but all are far away


def test_blurred_samples_do_not_even_out_the_modes():
    """Half of the samples of two of four modes are blurred. As in PacGAN's code, only good ones count."""
    exact, blurred = np.repeat(CENTRES, 100, axis=0), np.repeat(CENTRES[:2], 50, axis=0) + 4.0
    samples = np.concatenate([exact[50:100], exact[150:], blurred])
    found = mode_coverage(samples, CENTRES, std=1.0)
    share = np.array([50, 50, 100, 100]) / 300
    np.testing.assert_allclose(found["reverse_kl"], np.sum(share * np.log(4 * share)), rtol=1e-12)
    np.testing.assert_allclose(found["reverse_kl_nearest"], 0, atol=1e-12)


def test_classified_by_hand():
    """Shares of 1/2, 1/4, 1/4, 0."""
    found = class_coverage(np.array([0, 0, 1, 2], np.int32), np.ones(4))
    assert found["modes"] == 3
    np.testing.assert_allclose(found["reverse_kl"], 0.5 * np.log(2), rtol=1e-12)
    to_shares = class_coverage(np.array([0, 0, 1, 2]), np.array([2, 1, 1, 4]))
    np.testing.assert_allclose(to_shares["reverse_kl"], np.log(2), rtol=1e-12)
    assert to_shares["reverse_kl_uniform"] == found["reverse_kl"] == found["reverse_kl_uniform"]
    collapsed = class_coverage(np.full(9, 7), np.ones(1000))
    np.testing.assert_allclose(collapsed["reverse_kl"], np.log(1000), rtol=1e-12)


def triples_of(digits):
    """The shares of 1,000 triples of independent digits with these counts."""
    share = np.asarray(digits) / np.sum(digits)
    return np.einsum("i,j,k->ijk", share, share, share).ravel()


@pytest.mark.parametrize(
    ("true", "floor", "within"),
    [
        (np.ones(1000), 0.0194, 0.0009),
        # the class counts of MNIST's training set; the divergence is to uniform modes
        (triples_of([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]), 0.0236, 0.0010),
    ],
)
def test_floor_of_stacked_mnist(true, floor, within):
    """26,000 samples of a perfect generator with 1,000 modes."""
    random = np.random.default_rng(0)
    draws = [random.choice(1000, size=26_000, p=true / true.sum()) for _ in range(20)]
    found = [class_coverage(draw, true) for draw in draws]
    assert all(values["modes"] == 1000 for values in found)
    for name, value in {"reverse_kl_uniform": floor, "reverse_kl": 0.0194}.items():
        np.testing.assert_allclose(np.mean([values[name] for values in found]), value, atol=within)


def test_floor_to_the_true_shares():
    """About (M - 1) / 2N for any shares."""
    true = np.arange(1, 101)
    draw = np.random.default_rng(0).choice(100, size=10_000, p=true / true.sum())
    np.testing.assert_allclose(class_coverage(draw, true)["reverse_kl"], 99 / 20_000, rtol=0.5)


@pytest.mark.parametrize("predicted", [np.zeros(3), np.zeros((2, 2), int), np.array([0, 4]), np.array([-1])])
def test_an_invalid_mode_is_refused(predicted):
    with pytest.raises(ValueError, match="modes"):
        class_coverage(predicted, np.ones(4))


def test_invalid_true_shares_are_refused():
    for shares in (np.array([1, 0, 1]), np.ones((2, 2)), np.array([1, np.nan, 1])):
        with pytest.raises(ValueError, match="true shares of the modes must be finite"):
            class_coverage(np.array([0]), shares)
    with pytest.raises(UserError, match="at least one sample"):
        class_coverage(np.zeros(0, int), np.ones(3))
