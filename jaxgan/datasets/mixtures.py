"""`ring` and `grid`: the two-dimensional Gaussian mixtures on which mode collapse is measured.

Defaults are PacGAN's protocol (Lin et al., "PacGAN: The power of two samples in generative adversarial
networks", NeurIPS 2018, section 4.1, after VEEGAN): 100,000 points, modes of equal weight.
"""

import math

import numpy as np
from jaxtyping import Float

from jaxgan.datasets.dataset import DATASETS, Dataset, Mixture, from_arrays
from jaxgan.errors import UserError

_STREAMS = {"train": 0, "test": 1}


def ring_modes(num_modes: int = 8, radius: float = 1.0) -> Float[np.ndarray, "num_modes 2"]:
    """Mode centres radius * (cos, sin)(2 pi k / num_modes): float64 [num_modes, 2]."""
    angles = 2 * np.pi * np.arange(num_modes) / num_modes
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def grid_modes(side: int = 5, spacing: float = 2.0) -> Float[np.ndarray, "modes 2"]:
    """Mode centres of a side x side square lattice around the origin: float64 [side**2, 2]."""
    axis = spacing * (np.arange(side) - (side - 1) / 2)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


@DATASETS.register("ring")
def ring(
    split: str,
    path: str,
    image_size: int,
    *,
    num_modes: int = 8,
    radius: float = 1.0,
    std: float = 0.01,
    num_points: int = 100_000,
    seed: int = 0,
) -> Dataset:
    """Gaussians of deviation `std` on a circle: float32 [num_points, 2]; a point's label is its mode.

    Args:
      num_modes: number of Gaussians.
      radius: radius of the circle with their centres.
      std: standard deviation of each Gaussian.
      num_points: number of examples.
      seed: seed of the draws, in [0, 2^32).
    """
    _check("ring", num_modes=num_modes, radius=radius, std=std, num_points=num_points)
    return _sample("ring", ring_modes(num_modes, radius), std, num_points, seed, split)


@DATASETS.register("grid")
def grid(
    split: str,
    path: str,
    image_size: int,
    *,
    side: int = 5,
    spacing: float = 2.0,
    std: float = 0.05,
    num_points: int = 100_000,
    seed: int = 0,
) -> Dataset:
    """Gaussians of deviation `std` on a lattice: float32 [num_points, 2]; a point's label is its mode.

    Args:
      side: number of Gaussians in a row, and of rows.
      spacing: distance of neighbouring centres.
      std: standard deviation of each Gaussian.
      num_points: number of examples.
      seed: seed of the draws, in [0, 2^32).
    """
    _check("grid", side=side, spacing=spacing, std=std, num_points=num_points)
    return _sample("grid", grid_modes(side, spacing), std, num_points, seed, split)


def _sample(name, modes, std, num_points, seed, split):
    """Independent draws of a uniform mode, then of N(mode, std^2 I). Each split has its own stream."""
    if not 0 <= seed < 2**32:
        raise UserError(f"dataset.{name}.seed = {seed}: must lie in [0, 2^32)")
    # NumPy guarantees the streams of RandomState, not those of Generator. The fingerprint of a mixture must
    # not depend on NumPy's version.
    bits = np.random.MT19937(np.random.SeedSequence([seed, _STREAMS[split]]))
    random = np.random.RandomState(bits)
    labels = random.randint(len(modes), size=num_points)
    points = modes[labels] + std * random.standard_normal((num_points, 2))
    origin = f"{name} of {len(modes)} Gaussians, std {std:g}, seed {seed}"
    return from_arrays(name, points.astype(np.float32), labels, origin, mixture=Mixture(modes, std))


def _check(name, **fields):
    for field, value in fields.items():
        if not (math.isfinite(value) and value > 0):
            raise UserError(f"dataset.{name}.{field} = {value}: must be above 0")
