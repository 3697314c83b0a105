"""Images as a user gives them to a generator, and as it gives them back."""

import functools
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Num, UInt8

from jaxgan.algorithm.gan import GAN
from jaxgan.declarations import arguments
from jaxgan.errors import WrongArgument
from jaxgan.sampler.programs import translate
from jaxgan.sampler.tiles import in_tiles

_PIXELS = 2**18  # given pixels in a call
_MOST = 64  # images in a call


def read_given(
    gan: GAN, images: Num[np.ndarray, "N h w c"], holes: Bool[np.ndarray, "N h w"] | None
) -> Float[np.ndarray, "N h w G"]:
    """Images, and the holes in them, as inputs of the generator: float32 in [-1, 1].

    A generator of both ways is given each image twice, as a pair.

    Raises:
      WrongArgument: they have another type or other channels, or holes are missing.
    """
    images = arguments.array("images", images, "[N, h, w, c]")
    if not images.shape[1] * images.shape[2]:
        raise WrongArgument(f"images are {arguments.shown(images)}: give some with pixels")
    channels = gan.given_example["image"].shape[-1] // (1 + gan.reads_partners)
    fill = getattr(gan.task, "fill", None)  # the last channel says where holes are
    if holes is not None and fill is None:
        raise WrongArgument("holes are given, but this generator fills none: its task is not inpainting")
    wanted = channels - (holes is not None)
    if images.shape[-1] != wanted:
        also = f", or [N, h, w, {channels - 1}] and holes" if fill is not None and holes is None else ""
        raise WrongArgument(f"images are {arguments.shown(images)}: give [N, h, w, {wanted}]{also}")
    if images.dtype == np.uint8 and fill is not None and holes is None:
        raise WrongArgument(
            f"images are {arguments.shown(images)}, with a channel that is no colour: give [N, h, w, "
            f"{channels - 1}] and holes"
        )
    if images.dtype == np.uint8:
        given = images.astype(np.float32) / 127.5 - 1
    elif np.issubdtype(images.dtype, np.floating):
        with np.errstate(over="ignore"):
            given = arguments.finite("images", images.astype(np.float32))
        if given.size and np.abs(given).max() > 1.001:
            least, most = f"{given.min():.4g}", f"{given.max():.4g}"
            raise WrongArgument(
                f"images have values from {least} to {most}: give uint8, or floats in [-1, 1]"
            )
    else:
        raise WrongArgument(f"images are {arguments.shown(images)}: give uint8, or floats in [-1, 1]")
    if gan.reads_partners:
        return np.concatenate([given, given], axis=-1)
    if holes is None:
        return given
    mask = np.asarray(holes)
    if mask.dtype != bool or mask.shape != images.shape[:3]:
        raise WrongArgument(f"holes are {arguments.shown(mask)}: give bool {list(images.shape[:3])}")
    mask = mask[..., None]
    return np.concatenate([np.where(mask, np.float32(fill), given), mask.astype(np.float32)], axis=-1)


def translate_all(
    gan: GAN,
    weights: dict[str, Any],
    given: Float[np.ndarray, "N h w G"],
    z: Float[np.ndarray, "N Z"],
) -> Float[np.ndarray, "N H W C"]:
    """What a generator makes of given images, in batches of a number that depends on their size alone.

    Sides that the network's depth does not divide are continued by their mirror images: see `in_tiles`.
    """
    multiple = getattr(gan.generator, "multiple", 1)
    factor = gan.shape[0] // gan.given_example["image"].shape[1]
    num, parts = int(np.clip(_PIXELS // (given.shape[1] * given.shape[2]), 1, _MOST)), []
    for first in range(0, max(len(given), 1), num):
        rows = np.minimum(first + np.arange(num), max(len(given) - 1, 0))  # the last one is repeated
        some = [part[rows] if len(part) else _zeros(num, part) for part in (z, given)]
        run = functools.partial(translate, gan, weights, some[0])
        parts.append(in_tiles(run, some[1], multiple=multiple, factor=factor))
    return np.concatenate(parts)[: len(given)]


def _zeros(num, like):
    return np.zeros((num, *like.shape[1:]), np.float32)


def to_pixels(images: Float[np.ndarray, "*N H W C"]) -> UInt8[np.ndarray, "*N H W C"]:
    """Images in [-1, 1] as 8 bits, rounded; values outside are clipped."""
    return np.round((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8)
