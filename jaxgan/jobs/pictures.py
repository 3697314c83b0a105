"""The pictures in `<workdir>/plots`: how training went, and what the generator makes beside the data."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from jaxgan.datasets import Dataset, order, take, title
from jaxgan.drawing.grids import draw_closest_pairs, draw_real_and_fake, save
from jaxgan.drawing.plots import draw_curves, draw_mixture
from jaxgan.sampler import Sampler

_SHOWN = 64  # images
_POINTS = 2_500


def draw_run(workdir: Path, sampler: Sampler, dataset: Dataset) -> list[Path]:
    """Writes the curves of all metrics; a real and a fake grid; of mixtures samples over the density.

    Args:
      workdir: of the run, with its metrics.jsonl.
      sampler: of its generator.
      dataset: that it was trained on.

    Returns:
      the files.
    """
    lines = (workdir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    pictures = {"curves": draw_curves([json.loads(line) for line in lines])}
    caption = f"{title(dataset.name, dataset.fallback_for)}, step {sampler.step}"
    if dataset.is_images:
        size = min(len(dataset), order.MAX_SIZE - 1)
        rows = order.rows(np.zeros(2, np.uint32), 0, min(_SHOWN, size), size)
        real = take(dataset.examples, rows)
        pictures["real_and_fake"] = draw_real_and_fake(real, sampler(num=_SHOWN), caption)
    elif dataset.mixture is not None and sampler.gan.shape == (2,):
        samples = sampler(num=_POINTS)
        pictures["mixture"] = draw_mixture(
            samples, dataset.mixture, sampler.judge, caption, threshold=sampler.threshold
        )
    return [_write(workdir, name, picture) for name, picture in pictures.items()]


def draw_neighbours(
    workdir: Path, fakes: np.ndarray, neighbours: np.ndarray, distances: np.ndarray, title: str
) -> Path:
    """Writes the fakes that are nearest to the training set: see `draw_closest_pairs`."""
    return _write(workdir, "closest_pairs", draw_closest_pairs(fakes, neighbours, distances, title))


def _write(workdir: Path, name: str, picture: Image.Image) -> Path:
    path = workdir / "plots" / f"{name}.png"
    save(picture, path)
    return path
