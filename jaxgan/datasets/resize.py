"""How images of any size become images of one size."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

RULE = "the largest centred part of that shape, scaled (Pillow, bicubic, antialiased)"

Size = int | tuple[int, int]  # the side of squares, or height and width; 0: as stored


def pair(size: Size) -> tuple[int, int]:
    """Height and width."""
    return (size, size) if isinstance(size, int) else size


def resize(image: Image.Image, size: Size) -> Image.Image:
    """The largest centred part with the aspect of `size`, scaled to it.

    This scales one side and crops the other in one resampling, with the crop centred to a fraction of a
    pixel. Bicubic with antialiasing, as clean-fid recommends (Parmar et al., CVPR 2022). Pillow weighs
    colours by alpha where there is an alpha channel.
    """
    width, height = image.size
    high, wide = pair(size)
    if (width, height) == (wide, high):
        return image
    is_narrow = width * high <= height * wide
    part = (width, width * high / wide) if is_narrow else (height * wide / high, height)
    left, top = (width - part[0]) / 2, (height - part[1]) / 2
    box = (left, top, left + part[0], top + part[1])
    return image.resize((wide, high), Image.Resampling.BICUBIC, box=box)


def resize_array(images: UInt8[np.ndarray, "N H W C"], size: Size) -> UInt8[np.ndarray, "N h w C"]:
    """uint8 [N, H, W, C] -> [N, *size, C] by `resize`, each channel by itself; 0 keeps the size."""
    if not size or images.shape[1:3] == pair(size):
        return images
    out = np.empty((len(images), *pair(size), images.shape[3]), np.uint8)
    for n, image in enumerate(images):
        if image.shape[2] == 3:  # one call for three channels; the same result as three calls
            out[n] = np.asarray(resize(Image.fromarray(np.ascontiguousarray(image)), size))
        else:
            for c in range(image.shape[2]):
                out[n, :, :, c] = np.asarray(
                    resize(Image.fromarray(np.ascontiguousarray(image[:, :, c])), size)
                )
    return out
