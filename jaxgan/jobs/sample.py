"""Drawing from a trained generator: `python launch.py --mode=sample --workdir=DIR [--num=N --out=FILE]`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import logging
from tqdm import tqdm

from jaxgan.algorithm.conditions import parse_codes
from jaxgan.drawing.grids import CLASS_COLUMNS, draw_samples, save, to_image, write_animation
from jaxgan.errors import UserError
from jaxgan.files import whole
from jaxgan.jobs import pictures
from jaxgan.sampler import load


def sample(
    workdir: Path,
    num: int,
    out: Path | None,
    seed: int,
    step: int | str | None,
    weights: str,
    labels: list[str] | None = None,
    codes: list[str] | None = None,
) -> int:
    """Writes a grid, an interpolation, an animation of the grids of the training, and `num` examples.

    Args:
      workdir: of the run, which may still be training.
      num: how many examples to write to `out`; 0 is none.
      out: a `.npz` file (array `images`, or `points`), or a folder for PNG files `00000000.png`, ...;
        None is `<workdir>/samples.npz`.
      seed: of the latents, in [0, 2^32).
      step: of the checkpoint; None is the newest.
      weights: 'ema' or 'raw'.
      labels: for a conditional generator, numbers or names of classes, repeated if fewer; None: all classes.
      codes: for InfoGAN's generator, `NUMBER:VALUE` each; several values of one code are used in turn.

    Returns:
      the exit status, 0.
    """
    if num < 0:
        raise UserError(f"--num={num} must be at least 0")
    if out is not None and not num:
        raise UserError(f"--out={out} needs --num, the number of examples to write")
    sampler = load(workdir, step, weights)
    is_images = sampler.gan.is_images
    if out is not None and out.suffix != ".npz" and (not is_images or out.suffix or out.is_file()):
        folder = ", or a folder for PNG files" if is_images else ""
        raise UserError(f"--out={out}: give a FILE.npz{folder}")
    if out is not None and out.suffix != ".npz":
        _require_no_samples(out)
    about = {**pictures.describe(workdir, sampler, weights), "Seed": seed}
    caption = f"{pictures.caption_of(about)}, seed {seed}"
    asked, given = sampler.read_labels(labels), None if codes is None else parse_codes(codes)
    batches, written = sampler.batches(seed, num, asked, given), []
    if num:
        out = out or workdir / "samples.npz"
        _write_examples(batches, num, out, is_images)
        written.append(out)
    try:
        drawn, way = {}, {"steps": 10, "pairs": 8} | ({} if asked is None else {"labels": asked})
        if sampler.gan.task:
            drawn["grid.png"] = draw_samples(sampler.sheet(seed), caption, CLASS_COLUMNS)
        elif sampler.gan.rows and is_images and given is None:
            drawn["grid.png"] = draw_samples(sampler.rows(seed, asked), caption, CLASS_COLUMNS)
        else:
            grid = sampler(seed, 64 if is_images else 2_500, asked, given)
            told = f"{caption}, codes {','.join(codes)}" if codes else caption
            drawn["grid.png"] = draw_samples(grid, told)
        if sampler.gan.classes:
            between = sampler.interpolate_classes(seed, **way)
            drawn["interpolation_of_classes.png"] = draw_samples(between, f"between classes: {caption}", 10)
        for i in range(sampler.gan.num_codes):
            varied = sampler.vary_code(i, seed)
            drawn[f"code_{i}.png"] = draw_samples(varied, f"code {i}: {caption}", len(varied) // 10)
        if not sampler.gan.task:
            strip = sampler.interpolate(seed, **way)
            drawn["interpolation.png"] = draw_samples(strip, f"interpolation: {caption}", 10)
        for name, picture in drawn.items():
            save(picture, workdir / name, about)
            written.append(workdir / name)
        frames = sorted((workdir / "samples").glob("step_*.png"))
        if frames:
            write_animation(frames, workdir / "training.gif")
            written.append(workdir / "training.gif")
    except OSError as error:  # another user's run, for example; the samples are written
        if not num or out.parent == workdir:
            raise
        logging.warning("no pictures in %s: %s", workdir, error.strerror)
    print("wrote " + ", ".join(map(str, written)))
    return 0


def _require_no_samples(folder: Path) -> None:
    """UserError if the folder has earlier samples, which would be mixed with the new ones."""
    if folder.is_dir() and (before := sorted(folder.glob("[0-9]" * 8 + ".png"))):
        raise UserError(
            f"--out={folder} already holds {len(before)} samples ({before[0].name} for one): remove them, or "
            "give another folder"
        )


def _write_examples(batches: Iterator[np.ndarray], num: int, out: Path, is_images: bool) -> None:
    progress = tqdm(batches, total=-(-num // 64), unit="batch", disable=None)
    if out.suffix == ".npz":
        out.parent.mkdir(parents=True, exist_ok=True)
        name = "images" if is_images else "points"
        with whole(out, ".npz") as temporary:
            np.savez_compressed(temporary, **{name: np.concatenate(list(progress))})
        return
    out.mkdir(parents=True, exist_ok=True)
    index = 0
    for batch in progress:
        for image in batch:
            save(to_image(image), out / f"{index:08d}.png")
            index += 1
