"""Folders of image files: their splits, their names, their pixels decoded into the cache."""

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import UInt8
from PIL import Image

from jaxgan.datasets import cache
from jaxgan.datasets.dataset import Labels
from jaxgan.datasets.decode import MODES, DamagedImage, RefusedImage, decode, in_chunks, stack
from jaxgan.datasets.resize import Size
from jaxgan.errors import UserError

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
# Names of the folders of splits, in upper or lower case; the first that exists is used.
_TRAIN = ("train", "training")
_TEST = ("test", "testing", "val", "valid", "validation")


def require_channels(name: str, channels: int) -> None:
    """UserError if images cannot be converted to so many channels."""
    if channels not in MODES:
        raise UserError(f"dataset.{name}.channels = {channels}; known: 1 (grey), 3 (RGB), 4 (RGBA)")


def identity(files: Sequence[Path]) -> str:
    """See `cache.identity`; UserError if a file cannot be read."""
    try:
        return cache.identity(files)
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}; check the file") from error


def decoded_once(name: str, key: dict[str, Any], chunks: Callable[[], cache.Chunks]) -> cache.Decoded:
    """See `cache.decoded`. Pillow's warnings about ignored metadata are not shown."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        return cache.decoded(name, key, chunks)


def find_root(path: str | Path, split: str, name: str = "images") -> tuple[Path, Path, bool]:
    """(the folder to read, that of the training split, whether the split is held out from it)."""
    root = Path(path)
    if not path or not root.is_dir():
        raise UserError(
            f"dataset.path = '{path}' is not a folder; dataset '{name}' needs one with image files"
        )
    root = root.resolve()
    folders = {folder.name.lower(): folder for folder in sorted(root.iterdir()) if folder.is_dir()}
    train, *_ = [folders[name] for name in _TRAIN if name in folders] or [None]
    test, *others = [folders[name] for name in _TEST if name in folders] or [None]
    if train is None and (domain := [folder for name, folder in folders.items() if name == "traina"]):
        raise UserError(
            f"{root} has {domain[0].name}, of one domain: set dataset.path to one of its folders, or "
            "dataset.name=unpaired"
        )
    if train is None and test is not None and len(folders) > 1:
        raise UserError(
            f"{root} has a folder {test.name} and none called train: call that of the other images train"
        )
    if train is None:
        return root, root, True
    if others and split == "train":
        logging.warning("left out: %s, as %s is the test split", ", ".join(map(str, others)), test)
    if test is None:
        return train, train, True
    return (test if split == "test" else train), train, False


def list_images(root: Path, field: str = "dataset.path") -> list[Path]:
    """All image files below the folder, sorted by relative name, except hidden files."""

    def fail(error):
        raise UserError(f"cannot read the folder {error.filename}: {error.strerror}; check its permissions")

    files, seen, other = [], set(), []
    for folder, subfolders, names in os.walk(root, onerror=fail, followlinks=True):
        subfolders[:] = [name for name in subfolders if not name.startswith((".", "__MACOSX"))]
        if (real := os.path.realpath(folder)) in seen:  # a loop of links
            subfolders.clear()
            continue
        seen.add(real)
        names = [name for name in names if not name.startswith(".")]
        files += [Path(folder, name) for name in names if name.lower().endswith(_SUFFIXES)]
        other += [name for name in names if not name.lower().endswith(_SUFFIXES) and _is_image(name)]
    if not files:
        raise UserError(f"no image files in '{root}'; set {field} to the folder that holds them")
    if other:
        kinds = sorted({Path(name).suffix.lower() for name in other})
        kinds = ", ".join(kinds)
        logging.warning("left out %d files of %s in %s: convert them to PNG", len(other), kinds, root)
    return sorted(files, key=lambda file: file.relative_to(root).parts)


def _is_image(name):
    return Path(name).suffix.lower() in Image.registered_extensions()


def read_image(
    file: Path, channels: int, image_size: Size = 0, field: str = ""
) -> UInt8[np.ndarray, "H W C"] | None:
    """One image, upright, with `channels` channels; None if it is damaged and may be skipped.

    Args:
      file: of the image.
      channels: see `decode`.
      image_size: see `decode`.
      field: the config field that lets damaged images be skipped, for the error; '': skip them.

    Raises:
      UserError: it cannot be read, or is not accepted, or is damaged.
    """
    try:
        return decode(file.read_bytes(), channels, image_size)
    except RefusedImage as error:  # not damaged, so not skipped
        raise UserError(f"{file} {error}") from error
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; check its permissions") from error
    except DamagedImage as error:
        if not field:
            return None
        raise UserError(
            f"damaged image {file} ({error}); repair or remove it, or set {field} = True"
        ) from error


def decode_all(
    root: Path, files: Sequence[Path], read: Callable[[int], np.ndarray | None], labels: Labels | None = None
) -> cache.Chunks:
    """All examples of a folder for the cache: `read(n)` is that of file n, or None to leave it out."""
    shape, damaged = None, []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for numbers, images in in_chunks(range(len(files)), read, pool):
            damaged += [n for n, image in zip(numbers, images, strict=True) if image is None]
            kept = [n for n, image in zip(numbers, images, strict=True) if image is not None]
            images = [image for image in images if image is not None]
            if not images:
                continue
            if shape is None:
                shape = images[0].shape
            examples = stack(images, [files[n] for n in kept], str(root), shape)
            yield examples, None if labels is None else labels[kept]
    if shape is None:
        raise UserError(f"every one of the {len(files)} images in {root} is damaged, {files[0]} for one")
    if damaged:
        logging.warning(
            "left out %d damaged of %d images, %s for one", len(damaged), len(files), files[damaged[0]]
        )
