"""Translating image files: `python launch.py --mode=translate --workdir=DIR --input=FOLDER --out=FOLDER`."""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image
from tqdm import tqdm

from jaxgan.datasets.decode import DamagedImage, RefusedImage
from jaxgan.datasets.folders import list_images
from jaxgan.datasets.pictures import Picture, encode_picture, read_picture, to_grey
from jaxgan.errors import UserError
from jaxgan.extractors.files import digest
from jaxgan.files import replace
from jaxgan.sampler import Sampler, load, programs
from jaxgan.sampler.tiles import Translate, in_tiles, sizes

TILE, OVERLAP = 512, 64  # pixels of the given picture
_SHOWN = 3  # names of files in a line
_RECORD = ".translation.json"  # in the folder written to: what is translated into it


class Translator(NamedTuple):
    """A network that translates images, and what of it a file must know.

    Attributes:
      run: `[B, H, W, C] -> [B, factor·H, factor·W, c]`, float32 in [-1, 1], for any sides that `multiple`
        divides.
      given: C.
      target: c.
      factor: how much larger the translation is.
      multiple: of which H and W must be multiples.
      restores: whether a translation is the same picture, so that grey stays grey. Otherwise it is grey or
        coloured as the network makes it.
      hole: whether the last channel of what is given is 1 in the hole, and the rest there is `fill`. In a
        file the hole is what is transparent.
      fill: see `hole`.
    """

    run: Translate
    given: int
    target: int
    factor: int = 1
    multiple: int = 1
    restores: bool = True
    hole: bool = False
    fill: float = 0.0


def translate(
    workdir: Path,
    source: Path,
    out: Path,
    step: int | str | None,
    weights: str,
    seed: int,
    direction: str,
    tile: int = TILE,
    overlap: int = OVERLAP,
) -> int:
    """Writes what a run's generator makes of image files: see `translate_files`.

    Args:
      workdir: of the run, which may still be training.
      source: an image file, or a folder.
      out: the folder to write to.
      step: of the checkpoint; None is the newest.
      weights: 'ema' or 'raw'.
      seed: of the latents, for generators that use them; every picture gets the same.
      direction: AtoB or BtoA, of a run on unpaired pictures.
      tile, overlap: see `translate_files`.

    Returns:
      the exit status.
    """
    sampler = load(workdir, step, weights)
    about = {"run": str(workdir.resolve()), "step": sampler.step, "weights": weights, "seed": seed}
    about |= {"direction": direction, "tile": tile, "overlap": overlap}
    about["digest"] = digest(sampler.weights)  # a run may be trained anew in the same folder
    return translate_files(make_translator(sampler, seed, direction), source, out, tile, overlap, about)


def make_translator(sampler: Sampler, seed: int = 0, direction: str = "AtoB") -> Translator:
    """The generator of a run as a translator; UserError if it is given no images."""
    gan = sampler.gan
    if gan.task is None:
        raise UserError("this run translates no images, as it has no task: draw from it with --mode=sample")
    given = gan.given_example["image"].shape[1:]
    both = bool(gan.task.reads)
    if direction != "AtoB" and not both:
        raise UserError(f"--direction={direction} is of runs on unpaired pictures: this one has one way only")
    z, channels = sampler.latents(seed, 1), given[-1] // (1 + both)

    def run(images):
        images = np.concatenate([images, images], axis=-1) if both else images
        made = np.asarray(programs.translate(gan, sampler.weights, z.repeat(len(images), axis=0), images))
        if not both:
            return made
        return made[..., channels:] if direction == "AtoB" else made[..., :channels]

    hole = gan.task.hole(np.zeros((1, *given), np.float32)) is not None
    return Translator(
        run,
        channels,
        gan.shape[-1] // (1 + both),
        gan.shape[0] // given[0],
        getattr(gan.generator, "multiple", 1),
        gan.task.restores,
        hole,
        getattr(gan.task, "fill", 0.0),
    )


def translate_files(
    translator: Translator,
    source: Path,
    out: Path,
    tile: int = TILE,
    overlap: int = OVERLAP,
    about: dict[str, Any] | None = None,
) -> int:
    """Writes the translation of every image file into a folder, under its own name and of its own kind.

    Grey, colour, palette, 16-bit grey and alpha are kept. A file that cannot be read, or not be translated,
    is told in one line, and the rest goes on.

    Args:
      translator: the network.
      source: an image file, or a folder, with its subfolders.
      out: the folder to write to. Files that are there already are an error before anything is written.
      tile: larger pictures go through the network in tiles of so many pixels in height and width, one at a
        time, which bounds the network's memory; 0: whole. See `in_tiles`.
      overlap: pixels that neighbouring tiles share.
      about: the network and its settings, as JSON values. Where the same was translated from the same source
        into this folder and was stopped, it goes on: files that are there are skipped. None: never.

    Returns:
      the exit status: 0, or 2 if files were left out.

    Raises:
      UserError: there are no image files, or the folder has such files already, or no file was translated.
    """
    colours = (1, 3, 4)
    if translator.given - translator.hole not in colours or translator.target not in colours:
        raise UserError(
            f"this run translates {translator.given} channels into {translator.target}: files have 1, 3 or 4"
        )
    if tile:
        sizes(tile, overlap, translator.multiple)
    files = _files(source, out)
    num = len(files)
    files = _remaining(files, source, out, about)
    there = num - len(files)
    failed, alike = 0, {}
    for file, target in tqdm(files, "translated", unit="file", disable=None):
        problem, remark = "", ""
        try:
            picture = read_picture(file)
            pixels, alpha = translate_picture(translator, picture, tile, overlap)
            content, mode = encode_picture(pixels, picture, alpha)
            target.parent.mkdir(parents=True, exist_ok=True)
            replace(target, content)
            remark = _remark(picture, mode)
        except OSError as error:
            if error.filename != str(file):  # of writing: the next file would fail, too
                raise
            problem = f"cannot be read: {error.strerror}"
        except DamagedImage as error:
            problem = f"is damaged: {error}"
        except UserError as error:  # the same of many files, so they are told together
            alike.setdefault(str(error), []).append(file)
            continue
        except RefusedImage as error:
            problem = str(error)
        failed += bool(problem)
        for line in filter(None, (problem and f"left out: {file} {problem}", remark and f"{file} {remark}")):
            tqdm.write(line, file=sys.stderr)
    for problem, some in alike.items():
        failed += len(some)
        names = ", ".join(file.name for file in some[:_SHOWN]) + ", ..." * (len(some) > _SHOWN)
        what = f"{some[0]} {problem}" if len(some) == 1 else f"{len(some)} files, each {problem} ({names})"
        print(f"left out: {what}", file=sys.stderr)
    if failed == num:
        raise UserError(f"none of the {failed} files in {source} could be translated: see the lines above")
    before = f"; {there} were there from before" if there else ""
    print(f"wrote {len(files) - failed} of {num} pictures to {out}{before}")
    return 2 if failed else 0


def translate_picture(
    translator: Translator, picture: Picture, tile: int = TILE, overlap: int = OVERLAP
) -> tuple[Float[np.ndarray, "h w c"], np.ndarray | None]:
    """The translation of one picture in [-1, 1], and its alpha, uint8 `[h, w]`, or None.

    Raises:
      UserError: the network needs a hole, and the picture has none.
    """
    pixels, alpha, grey = picture.pixels, picture.alpha, picture.pixels.shape[2] == 1
    channels = translator.given - translator.hole
    images = pixels[None]
    if channels == 1 and not grey:
        each = translator.restores and translator.target == 1
        images = np.moveaxis(pixels, 2, 0)[..., None] if each else to_grey(images)
    elif channels > 1:
        images = np.repeat(images, 3, axis=-1) if grey else images
        if channels == 4:
            opaque = np.full(pixels.shape[:2], 255, np.uint8) if alpha is None else alpha
            images = np.concatenate([images, opaque[None, ..., None] / np.float32(127.5) - 1], axis=-1)
    if translator.hole:
        if alpha is None or not (alpha < 128).any():
            raise UserError("has no hole: make transparent what is to be filled")
        hole = np.broadcast_to((alpha < 128)[None, ..., None], (*images.shape[:3], 1))
        images = np.where(hole, np.float32(translator.fill), images)
        images, alpha = np.concatenate([images, hole.astype(np.float32)], axis=-1), None
    # one image at a time, so that the memory is that of one tile
    parts = [
        in_tiles(translator.run, part, tile, overlap, translator.multiple, translator.factor)
        for part in np.split(images, len(images))
    ]
    found = np.concatenate(parts, axis=-1)[0]
    if not np.isfinite(found).all():
        raise UserError("is translated to NaN or infinite numbers: take an earlier checkpoint")
    if found.shape[2] == 4:
        made = np.rint((found[..., 3].clip(-1, 1) + 1) * 127.5).astype(np.uint8)
        found, alpha = found[..., :3], None if picture.alpha is None else made
    elif alpha is not None:
        alpha = _enlarged(alpha, translator.factor)
    if grey and translator.restores:
        found = to_grey(found)
    return found, alpha


def _enlarged(alpha, factor):
    if factor == 1:
        return alpha
    size = alpha.shape[1] * factor, alpha.shape[0] * factor
    binary = np.isin(alpha, (0, 255)).all()  # stays so, as palettes and GIF need it
    how = Image.Resampling.NEAREST if binary else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(alpha).resize(size, how))


def _files(source: Path, out: Path) -> list[tuple[Path, Path]]:
    """The files, and where their translations go."""
    if source.is_file():
        files = [(source, out / source.name)]
    elif source.is_dir():
        files = list_images(source, "--input")
        if out.resolve() != source.resolve():  # else they are refused
            files = [file for file in files if out.resolve() not in file.resolve().parents]
        files = [(file, out / file.relative_to(source)) for file in files]
    else:
        raise UserError(f"--input={source} is no file and no folder: give image files")
    if not files:
        raise UserError(f"--input={source} has no image files outside of --out={out}")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out={out} is no folder: give one for the translated pictures")
    return files


def _remaining(files, source, out, about):
    """The files without a translation, of those that were stopped in the middle; UserError if of others."""
    record = out / _RECORD
    wanted = None if about is None else json.dumps(about | {"source": str(source.resolve())}, sort_keys=True)
    there = [target for _, target in files if target.exists()]
    if there and not (wanted and record.is_file() and record.read_text("utf-8", "replace") == wanted):
        raise UserError(
            f"--out={out} already has {len(there)} of these pictures, {there[0]} for one: give another "
            "folder, or remove them (only the same command goes on after a stop)"
        )
    if wanted and not there:
        out.mkdir(parents=True, exist_ok=True)
        replace(record, wanted)
    return [(file, target) for file, target in files if not target.exists()]


def _remark(picture: Picture, mode: str) -> str:
    """What of the file's kind could not be kept; '' if all of it."""
    if picture.frames > 1:
        return f"has {picture.frames} frames, of which the first is translated"
    if picture.mode not in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "I;16"):
        return f"has {picture.mode} colours: written in RGB"
    if picture.deep_colour:
        return "has 16 bits a channel, of which 8 are read: written with 8 bits"
    if picture.levels == 65535 and mode == "LA":
        return "has 16-bit grey and transparency: written with 8 bits"
    if picture.levels == 65535 and not mode.startswith("I"):
        return "has 16-bit grey, and its colours are written with 8 bits"
    if picture.mode in ("P", "PA") and mode != "P":
        return "has a palette, which cannot hold its alpha: written in full colours"
    return ""
