"""From the bytes of an image file to uint8 [H, W, C]."""

import io
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from jaxgan.datasets.resize import RULE, Size, resize
from jaxgan.errors import UserError

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # whatever the name ends with
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_CHUNK = 512  # images decoded at a time: bounds the memory of a set of any size
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
    """The bytes are no complete image; the message is Pillow's reason."""


class RefusedImage(Exception):
    """The image is whole, but is not taken as it is; the message goes behind its name, and has the remedy."""


def decode(data: bytes, channels: int, size: Size = 0) -> np.ndarray:
    """Decode one image, turn it upright by its EXIF tag, convert it to `channels`, resize it.

    Args:
      data: a whole file; of several frames the first is taken.
      channels: 1 (grey, ITU-R 601 luma), 3 (RGB; what is transparent shows white) or 4 (RGBA).
      size: side in pixels, or height and width, by `resize.RULE`; 0 keeps the size.

    Returns:
      uint8 [H, W, channels].

    Raises:
      DamagedImage: truncated, a wrong checksum, or no image at all.
      RefusedImage: too large, or with too much text beside the pixels, or not of whole numbers.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.format == "PNG":
                image.verify()  # the checksums, which loading alone ignores for the pixels
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            image.load()
            image = _convert(ImageOps.exif_transpose(image), channels, image.format)
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
    image = resize(image, size) if size else image
    return np.asarray(image).reshape(image.height, image.width, channels)


def _convert(image: Image.Image, channels: int, form: str | None) -> Image.Image:
    if image.mode == "F":
        raise RefusedImage("has floating-point pixels, whose range is not known: save it as PNG")
    if image.mode == "I" and form != "PNG":  # there it is of 16 bits, as older Pillows give it
        raise RefusedImage("has grey values of 32 bits, whose range is not known: save it as PNG of 16 bits")
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow's own conversion would clip at 255
        values = np.asarray(image).astype(np.int64)
        image = Image.fromarray(np.clip((values + 128) // 257, 0, 255).astype(np.uint8))
    if channels == 4:
        return image.convert("RGBA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    elif image.mode not in ("L", "1"):
        image = image.convert("RGB")  # on the way to grey, too: a palette or CMYK has no luma of its own
    return image.convert(MODES[channels])


def in_chunks(
    items: Iterable[Item], read: Callable[[Item], Any], pool: ThreadPoolExecutor
) -> Iterator[tuple[list[Item], list[Any]]]:
    """`read` of every item, in order, by threads (Pillow releases the GIL), a bounded number at a time."""
    iterator = iter(items)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk, list(pool.map(read, chunk))


def stack(
    images: Sequence[np.ndarray], names: Sequence[Any], what: str, shape: tuple[int, ...]
) -> np.ndarray:
    """uint8 [n, *shape]; UserError with the remedy at the first image of another shape."""
    for image, name in zip(images, names, strict=True):
        if image.shape != shape:
            raise UserError(
                f"{what}: the images differ in size ({shape[1]}x{shape[0]} and, in {name}, "
                f"{image.shape[1]}x{image.shape[0]}); set dataset.image_size: {RULE}"
            )
    return np.stack(images)
