import numpy as np

from jaxgan.datasets.mixtures import grid_modes, ring_modes
from jaxgan.metrics.modes import mode_coverage

CENTRES = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])


def test_by_hand():
    """Two good samples of the first mode, one of the second, a bad one nearest to the third."""
    samples = np.array([[0.0, 2.9], [1.0, 1.0], [10.0, 0.0], [0.5, 6.9]])
    found = mode_coverage(samples, CENTRES, std=1.0)
    assert found["modes"] == 2
    assert found["good"] == 3 / 4
    # the shares of the nearest modes are 1/2, 1/4, 1/4, 0
    np.testing.assert_allclose(found["reverse_kl"], 0.5 * np.log(2) + 0 + 0, rtol=1e-12)


def test_the_mixtures_themselves():
    """A share of 1 - exp(-9/2) of a plane Gaussian lies within three deviations."""
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
    assert mode_coverage(CENTRES + 5.0, CENTRES, std=1.0)["modes"] == 0
