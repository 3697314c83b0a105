import numpy as np
import pytest

from jaxgan import datasets
from jaxgan.datasets import mixtures
from jaxgan.errors import UserError


def test_mode_centres():
    ring = mixtures.ring_modes()
    assert ring.shape == (8, 2) and np.allclose(np.linalg.norm(ring, axis=1), 1)
    assert np.allclose(ring[[0, 2]], [[1, 0], [0, 1]])
    grid = mixtures.grid_modes()
    assert grid.shape == (25, 2) and sorted(set(grid.ravel())) == [-4, -2, 0, 2, 4]
    assert len(np.unique(grid, axis=0)) == 25


@pytest.mark.parametrize(
    "name, modes, std", [("ring", mixtures.ring_modes(), 0.01), ("grid", mixtures.grid_modes(), 0.05)]
)
def test_the_protocol(name, modes, std):
    data = datasets.load(name)
    assert data.examples.shape == (100_000, 2) and data.examples.dtype == np.float32
    offsets = (data.examples - modes[data.labels]) / std
    assert abs(offsets.mean()) < 5 / np.sqrt(offsets.size)
    assert abs(offsets.std() - 1) < 5 / np.sqrt(2 * offsets.size)
    inside = (np.linalg.norm(offsets, axis=1) < 3).mean()
    assert abs(inside - (1 - np.exp(-4.5))) < 0.002  # Rayleigh: 98.9 % within three deviations
    counts, expected = np.bincount(data.labels), 100_000 / len(modes)
    assert len(counts) == len(modes) and abs(counts - expected).max() < 5 * np.sqrt(expected)
    assert np.array_equal(data.mixture.centres, modes) and data.mixture.std == std


def test_the_seed_and_the_split_choose_the_stream():
    first, again = datasets.load("ring", num_points=100), datasets.load("ring", num_points=100)
    assert first.fingerprint == again.fingerprint
    others = [datasets.load("ring", "test", num_points=100), datasets.load("ring", num_points=100, seed=1)]
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 3


def test_the_stream_is_frozen():
    # A change here changes the data of all published results on mixtures.
    assert datasets.load("ring", num_points=10).fingerprint == "6e269f8326e9ec2ecb9cca3d5498d4c3"


@pytest.mark.parametrize(
    "fields", [dict(num_modes=0), dict(std=0.0), dict(radius=float("nan")), dict(num_points=0)]
)
def test_impossible_fields(fields):
    with pytest.raises(UserError, match=f"dataset.ring.{next(iter(fields))}"):
        datasets.load("ring", **fields)
