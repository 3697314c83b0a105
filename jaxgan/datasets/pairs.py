"""`paired` and `unpaired`: one's own pictures to translate between.

`paired` has both pictures of a pair in the channels of one example, the given one first (task `paired`).
`unpaired` has the pictures of one domain as examples, and those of the other as `Dataset.partner`.
"""

import dataclasses
import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from absl import logging
from PIL import Image

from jaxgan.datasets import cache
from jaxgan.datasets.dataset import DATASETS, Dataset, Digest, hold_out
from jaxgan.datasets.folders import (
    decode_all,
    decoded_once,
    find_root,
    identity,
    list_images,
    read_image,
    require_channels,
)
from jaxgan.datasets.resize import Size, pair, resize
from jaxgan.declarations import AtLeast, OneOf
from jaxgan.errors import UserError

_SIDE_BY_SIDE = 1.2  # width over height from which a file may well hold two pictures
_TO_B, _TO_A = "AtoB", "BtoA"
Direction = Annotated[str, OneOf((_TO_B, _TO_A))]


@DATASETS.register("paired")
def paired(
    split: str,
    path: str,
    image_size: Size,
    *,
    direction: Direction = _TO_B,
    channels: int = 3,
    crop: Annotated[int, AtLeast(0)] = 0,
    skip_damaged: bool = False,
) -> Dataset:
    """Pairs of pictures A and B: side by side in one file (A left), or in two folders with equal names.

    The folders are `A` and `B`, or `train/A`, `train/B` and likewise `test`, or `A/train`, `B/train` and
    likewise `test`. Names may differ in their suffixes. Without a test split, every sixth pair is held out.

    Args:
      direction: AtoB: A is given and B wanted; BtoA: the other way round.
      channels: of each picture: 1 (grey), 3 (RGB; transparent parts show white) or 4 (RGBA).
      crop: the side in pixels of the centred square to take of each picture before it is scaled to
        `image_size`; 0: all of it.
      skip_damaged: leave pairs with a damaged picture out and print a warning with their number.
    """
    require_channels("paired", channels)
    root, folder, pairs = _pairs(path, split)
    rows, kept = np.arange(len(pairs)), 0
    if folder is None:
        rows = hold_out(len(pairs), split, str(root))
        kept = len(pairs) - len(rows) if split == "train" else 0
    files = [pairs[row] for row in rows]
    if split == "train" and len(pairs[0]) == 1 and (square := _narrow([file for (file,) in pairs])):
        logging.warning(
            "%d pictures in %s are cut in two halves, A left and B right, but none is wider than high by a "
            "fifth, %s for one (%s): if they are whole pictures, put them into folders A and B",
            len(pairs), root, *square,
        )  # fmt: skip
    key = {"files": identity([file for some in files for file in some]), "image_size": image_size}
    key |= {"crop": crop, "channels": channels, "direction": direction, "skip_damaged": skip_damaged}

    def read(n):
        return _read_pair(files[n], channels, crop, image_size, direction, skip_damaged)

    def chunks():
        logging.info("decoding %d pairs of %s once into %s", len(files), root, cache.folder())
        return decode_all(root, [some[0] for some in files], read)

    decoded = decoded_once(f"paired-{root.name}", key, chunks)
    origin = f"{len(decoded.examples):,} pairs in {root}, {direction}"
    if folder is None:
        origin += f", {'those' if split == 'test' else 'without those'} held out for the test: every sixth"
    return Dataset("paired", *decoded, origin, held_out=kept)


@DATASETS.register("unpaired")
def unpaired(
    split: str,
    path: str,
    image_size: Size,
    *,
    direction: Direction = _TO_B,
    channels: int = 3,
    crop: Annotated[int, AtLeast(0)] = 0,
    skip_damaged: bool = False,
    test_pairs: bool = False,
) -> Dataset:
    """Two domains A and B of pictures that do not belong together, in `trainA`, `trainB`, `testA`, `testB`.

    Without test folders, every sixth picture of a domain is held out. The numbers of A's and B's may differ.

    Args:
      direction: AtoB: the examples are A's and their partners B's; BtoA: the other way round.
      channels: of each picture: 1 (grey), 3 (RGB; transparent parts show white) or 4 (RGBA).
      crop: the side in pixels of the centred square to take of each picture before it is scaled to
        `image_size`; 0: all of it.
      skip_damaged: leave damaged pictures out and print a warning with their number.
      test_pairs: pictures with equal names in testA and testB belong together. Evaluations compare
        translations with these; they are never trained on.
    """
    require_channels("unpaired", channels)
    root = Path(path)
    if not path or not root.is_dir():
        raise UserError(
            f"dataset.path = '{path}' is not a folder; dataset 'unpaired' needs trainA and trainB"
        )
    root = root.resolve()
    letters, matched = ("AB" if direction == _TO_B else "BA"), test_pairs and split == "test"
    found = [_files_of(root, letter, split) for letter in letters]
    if matched:
        if any(folder.name.lower().startswith("train") for folder, _, _ in found):
            raise UserError(f"dataset.unpaired.test_pairs needs folders testA and testB in {root}")
        files = zip(*_match(*(folder for folder, _, _ in found)), strict=True)
        found = [(folder, [*some], 0) for (folder, _, _), some in zip(found, files, strict=True)]
    skip = skip_damaged and not matched
    sides = [_domain(root, *some, channels, crop, image_size, skip) for some in found]
    (first, second), names = sides, [side.origin for side in sides]
    if first.shape != second.shape:
        shapes = [f"{side.shape[1]}x{side.shape[0]}" for side in sides]
        raise UserError(
            f"the pictures of {names[0]} are {shapes[0]} and those of {names[1]} {shapes[1]}: set "
            "dataset.image_size"
        )
    content = f"{first.fingerprint}|{second.fingerprint}".encode()
    return dataclasses.replace(
        first,
        partner=second,
        matched=matched,
        fingerprint=Digest(hashlib.blake2b(content, digest_size=16).hexdigest()),
        origin=f"{len(first):,} pictures in {names[0]} and {len(second):,} in {names[1]}",
    )


def _files_of(root: Path, letter: str, split: str) -> tuple[Path, list[Path], int]:
    """The folder of a split of one domain, its files, and how many of the training's are held out."""
    folders = {folder.name.lower(): folder for folder in sorted(root.iterdir()) if folder.is_dir()}
    train, test = (folders.get(f"{part}{letter.lower()}") for part in ("train", "test"))
    test = test or folders.get(f"val{letter.lower()}")
    if train is None:
        raise UserError(f"{root} has no folder train{letter}: dataset 'unpaired' needs trainA and trainB")
    folder = test if split == "test" and test is not None else train
    files = list_images(folder)
    if test is not None:
        return folder, files, 0
    rows = hold_out(len(files), split, str(folder))
    return folder, [files[row] for row in rows], len(files) - len(rows) if split == "train" else 0


def _domain(root, folder, files, held_out, channels, crop, image_size, skip_damaged) -> Dataset:
    """One domain's pictures of a split."""
    key = {"files": identity(files), "image_size": image_size, "channels": channels}
    key |= {"crop": crop, "skip_damaged": skip_damaged}
    field = "" if skip_damaged else "dataset.unpaired.skip_damaged"

    def read(n):
        image = read_image(files[n], channels, field=field)
        return None if image is None else _fit(image, crop, image_size, files[n], "unpaired")

    decoded = decoded_once(f"unpaired-{root.name}", key, lambda: decode_all(folder, files, read))
    return Dataset("unpaired", *decoded, str(folder), held_out=held_out)


def _pairs(path: str, split: str) -> tuple[Path, Path | None, list[tuple[Path, ...]]]:
    """(the folder, that of the split or None if it is held out, the files of each pair: two, or one of both).

    Raises:
      UserError: a picture has no partner.
    """
    sides = _subfolders(path)
    if sides is None:
        folder, train, held_out = find_root(path, split, "paired")
        sides = _subfolders(folder)
        if sides is None:
            return folder, None if held_out else folder, [(file,) for file in list_images(folder)]
        sides = [(side, held_out) for side in sides]
    else:
        sides = [find_root(side, split, "paired")[::2] for side in sides]
    (first, held_out), (second, other) = sides
    if held_out != other:
        raise UserError(f"{first} and {second} must both have a folder for the split '{split}', or neither")
    return first.parent, None if held_out else first, _match(first, second)


def _narrow(files: Sequence[Path]) -> tuple[str, str] | None:
    """The name and size of the first file if none looks like two pictures side by side, by their headers."""
    first = None
    for file in files:
        try:
            with warnings.catch_warnings(action="ignore"), Image.open(file) as picture:
                width, height = picture.size
        except Exception:  # a damaged file: reading its pixels will say so
            continue
        if width >= _SIDE_BY_SIDE * height:
            return None
        first = first or (file.name, f"{width}x{height}")
    return first


def _subfolders(path: str | Path) -> list[Path] | None:
    """The folders A and B in a folder, if it has both."""
    root = Path(path)
    if not str(path) or not root.is_dir():
        return None
    folders = {folder.name: folder for folder in sorted(root.iterdir()) if folder.is_dir()}
    found = [folders.get(name) or folders.get(name.lower()) for name in "AB"]
    return None if None in found else found


def _match(first: Path, second: Path) -> list[tuple[Path, Path]]:
    """The pairs of files of two folders, by their names without suffixes."""
    sides = []
    for folder in (first, second):
        files = list_images(folder)
        named = {file.relative_to(folder).with_suffix(""): file for file in files}
        if len(named) < len(files):
            twice = next(file for file in files if file not in named.values())
            raise UserError(
                f"{twice} has the name of another picture beside it: rename or remove one of them"
            )
        sides.append(named)
    for named, other, folder in ((*sides, second), (*sides[::-1], first)):
        if missing := sorted(named.keys() - other.keys()):
            raise UserError(
                f"{len(missing)} of {len(named)} pictures have no partner in {folder}, {named[missing[0]]} "
                "for one: give both the same name, or remove it"
            )
    return [(sides[0][name], sides[1][name]) for name in sides[0]]


def _read_pair(files: Sequence[Path], channels, crop, image_size, direction, skip_damaged):
    """uint8 `[H, W, 2C]`, what is given first; None if a picture is damaged and may be skipped."""
    field = "" if skip_damaged else "dataset.paired.skip_damaged"
    images = [read_image(file, channels, field=field) for file in files]
    if any(image is None for image in images):
        return None
    if len(files) == 1:
        (both,) = images
        if both.shape[1] % 2:
            raise UserError(
                f"{files[0]} is {both.shape[1]} pixels wide, which is odd: give files with A and B side "
                "by side, or folders A and B"
            )
        images, files = np.split(both, 2, axis=1), (files[0], files[0])
    images = [
        _fit(image, crop, image_size, file, "paired") for image, file in zip(images, files, strict=True)
    ]
    if images[0].shape != images[1].shape:
        shapes = [f"{image.shape[1]}x{image.shape[0]}" for image in images]
        raise UserError(
            f"{files[0]} is {shapes[0]} and {files[1]} {shapes[1]}: set dataset.image_size to make them equal"
        )
    return np.concatenate(images if direction == _TO_B else images[::-1], axis=-1)


def _fit(image, crop, image_size, file, name):
    """The centred part, scaled."""
    height, width, channels = image.shape
    if crop > min(height, width):
        raise UserError(
            f"dataset.{name}.crop={crop} is larger than {file}, {width}x{height}: make it smaller, or leave "
            "it at 0"
        )
    if crop:
        top, left = (height - crop) // 2, (width - crop) // 2
        image = image[top : top + crop, left : left + crop]
    if image_size and image.shape[:2] != pair(image_size):
        picture = Image.fromarray(np.ascontiguousarray(image[..., 0] if channels == 1 else image))
        image = np.asarray(resize(picture, image_size)).reshape(*pair(image_size), channels)
    return image
