"""`images`: a folder of the user's own image files."""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from absl import logging
from PIL import Image

from jaxgan.datasets import cache
from jaxgan.datasets.dataset import DATASETS, Dataset, hold_out
from jaxgan.datasets.decode import MODES, DamagedImage, RefusedImage, decode, in_chunks, stack
from jaxgan.datasets.resize import Size
from jaxgan.errors import UserError

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
# Names of the folders of splits, in upper or lower case; the first that exists is used.
_TRAIN = ("train", "training")
_TEST = ("test", "testing", "val", "valid", "validation")


@DATASETS.register("images")
def build(
    split: str, path: str, image_size: Size, *, channels: int = 3, skip_damaged: bool = False
) -> Dataset:
    """All images below `path`, in the order of their relative names, decoded once into the cache.

    Subfolders of the first level are the classes, in sorted order, if there are at least two and no images
    beside them. If there is a subfolder `train` (or `Train`, `training`), it has the training split, and
    `test` (or `testing`, else `val`, `valid`, `validation`) the test split; the classes are those in `train`.
    Without a test split, every sixth image is held out. Images of different sizes need `image_size`: see
    `resize.RULE`.

    Args:
      channels: 1 (grey), 3 (RGB; transparent parts show white) or 4 (RGBA).
      skip_damaged: leave damaged images out and print a warning with their number, instead of an error.
    """
    if channels not in MODES:
        raise UserError(f"dataset.images.channels = {channels}; known: 1 (grey), 3 (RGB), 4 (RGBA)")
    root, train, held_out = _root(path, split)
    files = _list(root)
    labels, class_names = _classes(root, files, train, files if train == root else _list(train))
    kept = 0
    if held_out:
        rows = hold_out(len(files), split, str(root))
        kept = len(files) - len(rows) if split == "train" else 0
        files = [files[row] for row in rows]
        labels = None if labels is None else labels[rows]
    try:
        key = {"files": cache.identity(files), "split": split, "image_size": image_size, "channels": channels}
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}; check the file") from error
    key |= {"skip_damaged": skip_damaged, "labels": None if labels is None else list(class_names)}

    def chunks():
        logging.info("decoding %d images of %s once into %s", len(files), root, cache.folder())
        return _decode_all(root, files, labels, channels, image_size, skip_damaged)

    with warnings.catch_warnings():  # Pillow's warnings about ignored metadata; missing pixels are errors
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        decoded = cache.decoded(f"images-{root.name}", key, chunks)
    origin = f"{len(decoded.examples):,} images in {root}"
    if class_names:
        origin += (
            f", {len(class_names)} classes: {', '.join(class_names[:4])}{', ...' * (len(class_names) > 4)}"
        )
    if held_out:
        origin += f", {'those' if split == 'test' else 'without those'} held out for the test: every sixth"
    return Dataset("images", *decoded, origin, class_names=class_names, held_out=kept)


def _root(path, split):
    """(the folder to read, that of the training split, whether the split is held out from it)."""
    root = Path(path)
    if not path or not root.is_dir():
        raise UserError(
            f"dataset.path = '{path}' is not a folder; dataset 'images' needs one with image files"
        )
    root = root.resolve()
    folders = {folder.name.lower(): folder for folder in sorted(root.iterdir()) if folder.is_dir()}
    train, *_ = [folders[name] for name in _TRAIN if name in folders] or [None]
    test, *others = [folders[name] for name in _TEST if name in folders] or [None]
    if train is None and (domain := [folder for name, folder in folders.items() if name == "traina"]):
        raise UserError(f"{root} has {domain[0].name}, of one domain: set dataset.path to one of its folders")
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


def _list(root):
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
        raise UserError(f"no image files in '{root}'; set dataset.path to the folder that holds them")
    if other:
        kinds = sorted({Path(name).suffix.lower() for name in other})
        kinds = ", ".join(kinds)
        logging.warning("left out %d files of %s in %s: convert them to PNG", len(other), kinds, root)
    return sorted(files, key=lambda file: file.relative_to(root).parts)


def _is_image(name):
    return Path(name).suffix.lower() in Image.registered_extensions()


def _classes(root, files, train, train_files):
    """(labels int32 [N], class names), those of `train`; or (None, ()) if the folders are not classes."""
    names, folders = tuple(sorted(set(_folders(train, train_files)))), _folders(root, files)
    if len(names) < 2 or not folders:
        return None, ()
    if unknown := set(folders) - set(names):
        raise UserError(
            f"the class folder '{min(unknown)}' in {root} is not in {train}: rename or remove it, or add "
            "images of that class there"
        )
    number = {name: n for n, name in enumerate(names)}
    return np.array([number[folder] for folder in folders], np.int32), names


def _folders(root, files):
    """The first-level subfolder of each image; empty if there are images beside the subfolders."""
    parts = [file.relative_to(root).parts for file in files]
    return [] if any(len(part) == 1 for part in parts) else [part[0] for part in parts]


def _decode_all(root, files, labels, channels, image_size, skip_damaged) -> cache.Chunks:
    def read(n):
        try:
            return decode(files[n].read_bytes(), channels, image_size)
        except RefusedImage as error:  # not damaged, so not skipped
            raise UserError(f"{files[n]} {error}") from error
        except OSError as error:
            raise UserError(f"cannot read {files[n]}: {error.strerror}; check its permissions") from error
        except DamagedImage as error:
            if skip_damaged:
                return None
            raise UserError(
                f"damaged image {files[n]} ({error}); repair or remove it, or set "
                "dataset.images.skip_damaged = True"
            ) from error

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
