"""The pictures in `<workdir>/plots`: curves of the training, and samples beside the data."""

import json
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from jaxgan.datasets import Dataset, order, take, title
from jaxgan.drawing.grids import (
    CLASS_COLUMNS,
    draw_closest_pairs,
    draw_real_and_fake,
    draw_samples,
    save,
)
from jaxgan.drawing.plots import draw_curves, draw_mixture
from jaxgan.run import record
from jaxgan.sampler import Sampler

_SHOWN = 64  # images
_POINTS = 2_500


def draw_run(workdir: Path, sampler: Sampler, dataset: Dataset, weights: str = "ema") -> list[Path]:
    """Writes curves of all metrics, grids of real and fake examples, and for mixtures samples over the
    density. With a task, what is given, made and wanted instead of the grids.

    Args:
      workdir: of the run, with its metrics.jsonl.
      sampler: of its generator.
      dataset: that it was trained on.
      weights: of the generator, 'ema' or 'raw'.

    Returns:
      the files.
    """
    lines = (workdir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    about = describe(workdir, sampler, weights)
    caption = caption_of(about)
    data = title(dataset.name, dataset.fallback_for)
    curves = draw_curves([json.loads(line) for line in lines], f"{about['Run']}: {data}")
    pictures = {"curves": curves}
    if sampler.gan.task:
        pictures["before_and_after"] = draw_samples(sampler.sheet(), caption, CLASS_COLUMNS)
    elif dataset.is_images:
        size = min(len(dataset), order.MAX_SIZE - 1)
        rows = order.rows(np.zeros(2, np.uint32), 0, min(_SHOWN, size), size)
        real = take(dataset.examples, rows)
        pictures["real_and_fake"] = draw_real_and_fake(real, sampler(num=_SHOWN), caption)
    elif dataset.mixture is not None and sampler.gan.shape == (2,):
        samples = sampler(num=_POINTS)
        pictures["mixture"] = draw_mixture(
            samples, dataset.mixture, sampler.judge, caption, threshold=sampler.threshold
        )
    return [_write(workdir, name, picture, about) for name, picture in pictures.items()]


def describe(workdir: Path, sampler: Sampler, weights: str) -> dict[str, object]:
    """What pictures of a sampler's examples show, for metadata and captions.

    Args:
      workdir: of the run.
      sampler: of its generator.
      weights: the requested ones, 'ema' or 'raw'. If the run does not average, they are raw.
    """
    averages = record.read_record(workdir)["config"]["ema_decay"]
    return {
        "Run": Path(workdir).absolute().name,
        "Data": title(sampler.dataset["name"], sampler.dataset["fallback_for"]),
        "Step": sampler.step,
        "Weights": weights if averages else "raw",
    }


def caption_of(about: dict[str, object]) -> str:
    """One line: `mnist_1: mnist, step 4000, ema weights`."""
    return f"{about['Run']}: {about['Data']}, step {about['Step']}, {about['Weights']} weights"


def draw_neighbours(
    workdir: Path,
    fakes: UInt8[np.ndarray, "N H W C"],
    neighbours: UInt8[np.ndarray, "N H W C"],
    distances: Float[np.ndarray, " N"],
    title: str,
    about: dict[str, object],
) -> Path:
    """Writes the fakes that are nearest to the training set: see `draw_closest_pairs` and `describe`."""
    picture = draw_closest_pairs(fakes, neighbours, distances, f"{about['Run']}: {title}")
    return _write(workdir, "closest_pairs", picture, about)


def _write(workdir: Path, name: str, picture: Image.Image, about: dict[str, object]) -> Path:
    path = workdir / "plots" / f"{name}.png"
    save(picture, path, about)
    return path
