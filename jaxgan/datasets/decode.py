"""Decodes image files to uint8 [H, W, C]."""

import contextlib
import io
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from jaxgan.datasets.resize import RULE, Size, resize
from jaxgan.errors import UserError

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # whatever the suffix is
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_CHUNK = 512  # images decoded at a time, which bounds the memory
# What Pillow raises on damaged files (OSError, SyntaxError, ...) has no common base.
_PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    zlib.error,
)

Item = TypeVar("Item")


class DamagedImage(Exception):
    """The bytes are not a complete image; the message is Pillow's."""


class RefusedImage(Exception):
    """The image is complete, but not accepted; the message follows its name, and says what to do."""


def decode(data: bytes, channels: int, size: Size = 0) -> UInt8[np.ndarray, "H W C"]:
    """Decode one image, turn it upright by its EXIF tag, convert it to `channels`, resize it.

    Args:
      data: a whole file; of several frames the first is taken.
      channels: 1 (grey, ITU-R 601 luma), 3 (RGB; what is transparent shows white) or 4 (RGBA).
      size: side in pixels, or height and width, by `resize.RULE`; 0 keeps the size.

    Returns:
      uint8 [H, W, channels].

    Raises:
      DamagedImage: truncated, a wrong checksum, or no image at all.
      RefusedImage: too large, too much text in it, or pixels that are not integers.
    """
    with opened(data) as (image, form):
        image = _convert(image, channels, form)
    image = resize(image, size) if size else image
    return np.asarray(image).reshape(image.height, image.width, channels)


@contextlib.contextmanager
def opened(data: bytes) -> Iterator[tuple[Image.Image, str]]:
    """The image of a whole file, loaded and turned upright by its EXIF tag, and its format.

    Raises:
      DamagedImage: truncated, a wrong checksum, or no image at all; also for errors of Pillow within.
      RefusedImage: too large, or too much text in it.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.format == "PNG":
                image.verify()  # verifies checksums, which loading alone ignores
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            image.load()
            yield ImageOps.exif_transpose(image), image.format
    except UnidentifiedImageError as error:
        raise DamagedImage(f"{len(data)} bytes that are no {', '.join(_FORMATS)}") from error
    except Image.DecompressionBombError as error:
        raise RefusedImage(f"has more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels: make it smaller") from error
    except _PILLOW_ERRORS as error:
        if "MAX_TEXT" in str(error) or "text chunk" in str(error).lower():
            raise RefusedImage(
                "has more text beside its pixels than is read: save it without metadata"
            ) from error
        raise DamagedImage(" ".join(str(error).split()) or type(error).__name__) from error


def require_levels(image: Image.Image, form: str) -> None:
    """RefusedImage if the range of the pixels is not known."""
    if image.mode == "F":
        raise RefusedImage("has floating-point pixels, whose range is not known: save it as PNG")
    if image.mode == "I" and form != "PNG":  # in this mode it is 16-bit, as in older versions of Pillow
        raise RefusedImage("has grey values of 32 bits, whose range is not known: save it as PNG of 16 bits")


def _convert(image: Image.Image, channels: int, form: str) -> Image.Image:
    require_levels(image, form)
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow's own conversion would clip at 255
        values = np.asarray(image).astype(np.int64)
        image = Image.fromarray(np.clip((values + 128) // 257, 0, 255).astype(np.uint8))
    if channels == 4:
        return image.convert("RGBA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    elif image.mode not in ("L", "1"):
        image = image.convert("RGB")  # also for grey: palettes and CMYK have no luma
    return image.convert(MODES[channels])


def in_chunks(
    items: Iterable[Item], read: Callable[[Item], Any], pool: ThreadPoolExecutor
) -> Iterator[tuple[list[Item], list[Any]]]:
    """Reads every item in threads (Pillow releases the GIL), in order, a bounded number at a time."""
    iterator = iter(items)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk, list(pool.map(read, chunk))


def stack(
    images: Sequence[UInt8[np.ndarray, "_ _ _"]], names: Sequence[Any], what: str, shape: tuple[int, ...]
) -> UInt8[np.ndarray, "n H W C"]:
    """uint8 [n, *shape]; UserError with the remedy at the first image of another shape."""
    for image, name in zip(images, names, strict=True):
        if image.shape != shape:
            raise UserError(
                f"{what}: the images differ in size ({shape[1]}x{shape[0]} and, in {name}, "
                f"{image.shape[1]}x{image.shape[0]}); set dataset.image_size: {RULE}"
            )
    return np.stack(images)
