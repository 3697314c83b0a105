"""Loads the data set that a config names, or its fallback."""

import dataclasses
import os
from typing import Any

import numpy as np
from absl import logging

from jaxgan.datasets.dataset import DATASETS, Dataset, Digest, MissingDataset, fingerprint
from jaxgan.datasets.resize import Size, pair
from jaxgan.declarations import arguments
from jaxgan.errors import UserError, WrongArgument

SPLITS = ("train", "test")
MAX_SIDE = 2**16 - 1  # pixels: the largest size to scale to


def load(
    name: str,
    split: str = "train",
    *,
    path: str = "",
    image_size: Size = 0,
    fallback: str = "",
    **fields: Any,
) -> Dataset:
    """One split of the data set called `name`.

    Args:
      name: a builder's name, or 'tfds/<name[/config][:version]>' for any image set of TensorFlow Datasets.
      split: 'train' or 'test'.
      path: the user's folder or file, or TFDS's `data_dir`; '' where the set needs none.
      image_size: side of a square in pixels, or (height, width); 0 keeps the stored size. See `resize.RULE`.
      fallback: the set to use if `name` is not on the machine and cannot be downloaded; '': raise an error.
        It is resized to `image_size`, or to the size of the missing set.
      **fields: the builder's own keyword-only fields.

    Raises:
      UserError: bad input, in one line with the remedy; MissingDataset if nothing was found.
    """
    arguments.choice("split", split, SPLITS)
    image_size = _size(image_size)
    for field, value in (("name", name), ("path", path), ("fallback", fallback)):
        arguments.text(f"dataset.{field}", value)
    path = os.path.expanduser(path)
    try:
        dataset = _build(name, split, path, image_size, fields)
    except MissingDataset as missing:
        if not fallback:
            raise
        logging.warning(
            "*** '%s' IS NOT HERE: using '%s' INSTEAD. %s ***", name.upper(), fallback.upper(), missing
        )
        dataset = _build(fallback, split, "", image_size or missing.image_size, {})
        dataset = dataclasses.replace(dataset, fallback_for=name)
    return dataset


def _size(value) -> Size:
    """A side, or a pair of them; WrongArgument where it is neither. A square has one side, whoever asks."""
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise WrongArgument(
                f"dataset.image_size={arguments.shown(value)}: give one whole number, or (height, width)"
            )
        height, width = (arguments.whole("dataset.image_size", side, 1, MAX_SIDE + 1) for side in value)
        return height if height == width else (height, width)
    return arguments.whole("dataset.image_size", value, 0, MAX_SIDE + 1)


def _build(name, split, path, image_size, fields):
    family, _, member = name.partition("/")
    if family == "tfds":  # one builder for the whole catalogue; the rest of the name is the set's
        dataset = DATASETS[family](split, path, image_size, member, **fields)
    else:
        dataset = DATASETS[name](split, path, image_size, **fields)
    if not isinstance(dataset.fingerprint, Digest):
        digest = fingerprint(dataset.examples, dataset.labels)
        dataset = dataclasses.replace(dataset, fingerprint=digest)
    if dataset.is_images:
        if image_size and dataset.shape[:2] != pair(image_size):
            raise UserError(
                f"dataset '{name}' gives images of {dataset.shape[0]} by {dataset.shape[1]} pixels, whatever "
                f"dataset.image_size = {image_size} says: leave it at 0"
            )
        if dataset.examples.dtype != np.uint8:
            dtype = dataset.examples.dtype
            raise UserError(f"dataset '{name}' gives images of {dtype}: give uint8, 0 to 255")
    elif image_size:
        raise UserError(
            f"dataset '{name}' holds points, not images: leave dataset.image_size at 0, or save "
            "flattened images as [N, H, W]"
        )
    return dataset
