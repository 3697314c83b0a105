"""`images`: a folder of the user's own image files."""

import numpy as np
from absl import logging

from jaxgan.datasets import cache
from jaxgan.datasets.dataset import DATASETS, Dataset, hold_out
from jaxgan.datasets.folders import (
    decode_all,
    decoded_once,
    find_root,
    identity,
    list_images,
    read_image,
    require_channels,
)
from jaxgan.datasets.resize import Size
from jaxgan.errors import UserError


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
    require_channels("images", channels)
    root, train, held_out = find_root(path, split)
    files = list_images(root)
    labels, class_names = _classes(root, files, train, files if train == root else list_images(train))
    kept = 0
    if held_out:
        rows = hold_out(len(files), split, str(root))
        kept = len(files) - len(rows) if split == "train" else 0
        files = [files[row] for row in rows]
        labels = None if labels is None else labels[rows]
    key = {"files": identity(files), "split": split, "image_size": image_size, "channels": channels}
    key |= {"skip_damaged": skip_damaged, "labels": None if labels is None else list(class_names)}

    def chunks():
        logging.info("decoding %d images of %s once into %s", len(files), root, cache.folder())
        field = "" if skip_damaged else "dataset.images.skip_damaged"
        return decode_all(root, files, lambda n: read_image(files[n], channels, image_size, field), labels)

    decoded = decoded_once(f"images-{root.name}", key, chunks)
    origin = f"{len(decoded.examples):,} images in {root}"
    if class_names:
        origin += (
            f", {len(class_names)} classes: {', '.join(class_names[:4])}{', ...' * (len(class_names) > 4)}"
        )
    if held_out:
        origin += f", {'those' if split == 'test' else 'without those'} held out for the test: every sixth"
    return Dataset("images", *decoded, origin, class_names=class_names, held_out=kept)


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
