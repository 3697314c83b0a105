"""Image files read and written in their own kind: grey, colour, palette, 16-bit, with or without alpha."""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from jaxgan.datasets.decode import opened, require_levels

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow makes grey
_OPTIONS = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"quality": 95}}


class Picture(NamedTuple):
    """One picture.

    Attributes:
      pixels: float32 `[H, W, C]` in [-1, 1], 1 (grey) or 3 (colour) channels.
      alpha: uint8 `[H, W]`; None: the file has none.
      levels: 255, or 65535 for 16-bit grey.
      mode: Pillow's mode of the file.
      form: its format, such as 'PNG'.
      profile: its colour profile (ICC), which is carried over.
      frames: how many the file has; this is the first.
      deep_colour: whether it has 16 bits a channel, of which Pillow reads 8.
    """

    pixels: Float[np.ndarray, "H W C"]
    alpha: UInt8[np.ndarray, "H W"] | None
    levels: int
    mode: str
    form: str
    profile: bytes | None = None
    frames: int = 1
    deep_colour: bool = False


def read_picture(file: Path) -> Picture:
    """The picture in a file; of several frames the first.

    Raises:
      OSError: the file cannot be read.
      DamagedImage, RefusedImage: see `decode`.
    """
    data = file.read_bytes()
    with opened(data) as (image, form):
        require_levels(image, form)
        form = "JPEG" if form == "MPO" else form  # several JPEGs in one file
        with Image.open(io.BytesIO(data)) as again:
            frames = getattr(again, "n_frames", 1)
        mode, profile = image.mode, image.info.get("icc_profile")
        if mode.startswith("I"):
            values = np.asarray(image).astype(np.int64).clip(0, 65535)
            clear = image.info.get("transparency")  # a PNG's one transparent level
            alpha = None if clear is None else np.where(values == clear, 0, 255).astype(np.uint8)
            return Picture(_scaled(values, 65535)[..., None], alpha, 65535, "I;16", form, profile, frames)
        grey = mode in ("1", "L", "LA", "La")
        if image.has_transparency_data:
            pixels = np.asarray(image.convert("LA" if grey else "RGBA"))
            pixels, alpha = pixels[..., :-1], pixels[..., -1]
        else:
            pixels, alpha = np.asarray(image.convert("L" if grey else "RGB")), None
            pixels = pixels[..., None] if grey else pixels
    # the header's depth and kind of colours: Pillow reads such files as 8 bits
    deep = form == "PNG" and data[24] == 16 and data[25] != 0
    return Picture(_scaled(pixels, 255), alpha, 255, mode, form, profile, frames, deep)


def encode_picture(
    pixels: Float[np.ndarray, "H W C"],
    like: Picture,
    alpha: UInt8[np.ndarray, "H W"] | None = None,
) -> tuple[bytes, str]:
    """The content of a file of the same kind, and its mode.

    A palette gets the 256 colours that suit the pixels best, or 255 and a transparent one. Where it cannot
    hold them, because the alpha is graded, the file has full colours. Colours cannot have 16 bits.

    Args:
      pixels: in [-1, 1]; values outside are clipped. One channel is written as grey, three as colour.
      like: the picture whose format, number of levels and palette are kept.
      alpha: of the new picture; None: it has none.
    """
    grey, palette = pixels.shape[2] == 1, like.mode in ("P", "PA") or like.form == "GIF"
    if grey and like.levels == 65535 and alpha is None:
        values = np.rint((np.clip(pixels[..., 0], -1, 1) + 1) * 32767.5).astype(np.uint16)
        image = Image.fromarray(values)
    else:
        values = np.rint((np.clip(pixels, -1, 1) + 1) * 127.5).astype(np.uint8)
        image = Image.fromarray(np.ascontiguousarray(values[..., 0] if grey else values))
        if like.mode == "1" and grey and alpha is None:
            image = image.point(lambda level: 255 * (level >= 128), "1")
        elif palette and (alpha is None or np.isin(alpha, (0, 255)).all()):
            image = _with_palette(image.convert("RGB"), alpha)
        elif alpha is not None:
            image.putalpha(Image.fromarray(alpha))
    stream, options = io.BytesIO(), dict(_OPTIONS.get(like.form, {}))
    if like.profile and grey == (like.pixels.shape[2] == 1):
        options["icc_profile"] = like.profile
    if "transparency" in image.info:
        options["transparency"] = image.info["transparency"]
    image.save(stream, like.form, **options)
    return stream.getvalue(), image.mode


def _with_palette(image, alpha):
    if alpha is None:
        return image.quantize(256)
    image = image.quantize(255)
    indices = np.array(image)
    indices[alpha == 0] = 255
    found = Image.fromarray(indices)
    found.putpalette((image.getpalette() + [0] * 768)[:768])  # which makes its mode P
    found.info["transparency"] = 255
    return found


def _scaled(values, levels):
    return values.astype(np.float32) * np.float32(2 / levels) - 1


def to_grey(pixels: Float[np.ndarray, "*B H W C"]) -> Float[np.ndarray, "*B H W 1"]:
    """The luma (ITU-R BT.601) of colours; grey pixels as they are."""
    return pixels if pixels.shape[-1] == 1 else (pixels @ _LUMA)[..., None]
