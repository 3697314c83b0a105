"""How images of any size become squares."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxgan.errors import UserError

RULE = "shorter side scaled to image_size (Pillow, bicubic, antialiased), centre crop"


def resize(image: Image.Image, size: int) -> Image.Image:
    """The centred square of the shorter side, scaled to `size` x `size` pixels.

    This scales the shorter side and crops the centre in one resampling, with the crop centred to a fraction
    of a pixel. Bicubic with antialiasing, as clean-fid recommends (Parmar et al.,
    CVPR 2022). Pillow weighs colours by alpha where there is an alpha channel.
    """
    width, height = image.size
    if (width, height) == (size, size):
        return image
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))


def resize_array(images: UInt8[np.ndarray, "N H W C"], size: int) -> UInt8[np.ndarray, "N h w C"]:
    """uint8 [N, H, W, C] -> [N, size, size, C] by `resize`, each channel by itself; 0 keeps the size."""
    if not size or images.shape[1:3] == (size, size):
        return images
    out = np.empty((len(images), size, size, images.shape[3]), np.uint8)
    for n, image in enumerate(images):
        if image.shape[2] == 3:  # one call for three channels; the same result as three calls
            out[n] = np.asarray(resize(Image.fromarray(np.ascontiguousarray(image)), size))
        else:
            for c in range(image.shape[2]):
                out[n, :, :, c] = np.asarray(
                    resize(Image.fromarray(np.ascontiguousarray(image[:, :, c])), size)
                )
    return out


def require_square(height: int, width: int, what: str) -> None:
    """UserError with the remedy when images that keep their size are not square."""
    if height != width:
        raise UserError(
            f"{what}: the images are {width}x{height} (width x height), the networks build squares; "
            f"set dataset.image_size (for instance {min(height, width)}): {RULE}"
        )
