"""PSNR and SSIM of restored images, each against its own true image, on the whole or in the hole alone.

Protocol: pixels of 8 bits, computed in float64, all channels alike; the score of a set is the mean over its
images. Equal to scikit-image's `peak_signal_noise_ratio(..., data_range=255)` and
`structural_similarity(..., data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)`.
"""

from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float, UInt8

from jaxgan.declarations import AtLeast
from jaxgan.declarations.arguments import shown
from jaxgan.errors import UserError, WrongArgument
from jaxgan.metrics import FAMILIES
from jaxgan.metrics.number import Number, describe

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_ROWS = 64  # images compared at a time, which bounds the memory
_MOST = 100.0  # dB: what an image without any error counts as in a mean

Images = UInt8[np.ndarray, "N H W C"]
Holes = Bool[np.ndarray, "N H W"] | None


def psnr(restored: Images, truth: Images, holes: Holes = None) -> Float[np.ndarray, " N"]:
    """10·log10(255² / MSE) of each image in dB; infinite where it has no error.

    Args:
      restored: uint8 `[N, H, W, C]`.
      truth: likewise.
      holes: bool `[N, H, W]`: only these pixels count; None: all. NaN for an image without any.

    Raises:
      WrongArgument: the arrays do not fit together.
    """
    _check(restored, truth, holes)
    errors = [
        np.square(x.astype(np.float64) - y).mean(axis=3)
        for x, y in zip(_parts(restored), _parts(truth), strict=True)
    ]
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255**2 / _mean_inside(np.concatenate(errors), holes))


def ssim(restored: Images, truth: Images, holes: Holes = None) -> Float[np.ndarray, " N"]:
    """Structural similarity of each image, in [-1, 1]; 1 for equal ones.

    (2 μ_x μ_y + C₁)(2 σ_xy + C₂) / ((μ_x² + μ_y² + C₁)(σ_x² + σ_y² + C₂)) under an 11 x 11 Gaussian window
    of deviation 1.5, C₁ = (.01·255)², C₂ = (.03·255)²; the mean over the channels and over the positions at
    which the window lies inside the image.

    Args:
      restored: uint8 `[N, H, W, C]`, H and W ≥ 11.
      truth: likewise.
      holes: bool `[N, H, W]`: only the windows with their centres here count; None: all. NaN for an image
        without any.

    Raises:
      WrongArgument: the arrays do not fit together.
      UserError: the images are smaller than the window.

    Source: Wang et al. 2004, Image Quality Assessment: From Error Visibility to Structural Similarity.
    """
    _check(restored, truth, holes)
    if min(restored.shape[1:3]) < _WINDOW:
        raise UserError(
            f"SSIM needs images of {_WINDOW} x {_WINDOW} pixels or more, not "
            f"{restored.shape[1]} x {restored.shape[2]}"
        )
    maps = [_similarity(x, y) for x, y in zip(_parts(restored), _parts(truth), strict=True)]
    edge = _WINDOW // 2
    inside = None if holes is None else holes[:, edge:-edge, edge:-edge]
    return _mean_inside(np.concatenate(maps), inside)


def _similarity(x, y):
    """The map of SSIM, mean over the channels: `[n, H - 10, W - 10]`."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    mean_x, mean_y = _window_means(x), _window_means(y)
    squares = _window_means(x * x + y * y) - mean_x * mean_x - mean_y * mean_y
    covariance = _window_means(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x * mean_x + mean_y * mean_y + _C1)
    return (luminance * (2 * covariance + _C2) / (squares + _C2)).mean(axis=3)


def _window_means(images):
    """Means under the Gaussian window wherever it fits."""
    weights = np.exp(-np.square(np.arange(_WINDOW) - _WINDOW // 2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    rows, columns = (size - _WINDOW + 1 for size in images.shape[1:3])
    images = sum(weight * images[:, i : i + rows] for i, weight in enumerate(weights))
    return sum(weight * images[:, :, i : i + columns] for i, weight in enumerate(weights))


def _mean_inside(maps, holes):
    """The mean of each map `[N, h, w]` in its hole."""
    if holes is None:
        return maps.mean(axis=(1, 2))
    counts = holes.sum(axis=(1, 2))
    return np.where(counts, (maps * holes).sum(axis=(1, 2)) / np.maximum(counts, 1), np.nan)


def _parts(images):
    return [images[first : first + _ROWS] for first in range(0, len(images), _ROWS)]


def _check(restored, truth, holes):
    for name, images in (("restored images", restored), ("true images", truth)):
        if getattr(images, "dtype", None) != np.uint8 or images.ndim != 4 or not len(images):
            raise WrongArgument(f"{name} are {shown(images)}: give uint8 [N, H, W, C], with one or more")
    if restored.shape != truth.shape:
        raise WrongArgument(f"restored images {shown(restored)} and true ones {shown(truth)} differ in shape")
    if holes is not None and (holes.dtype != bool or holes.shape != truth.shape[:3]):
        raise WrongArgument(
            f"holes are {shown(holes)}: give bool {list(truth.shape[:3])}, as the images have"
        )


# --- Of a set -------------------------------------------------------------------------------------------


@FAMILIES["restoration"].register("psnr")
@describe(
    {
        "psnr": Number("higher", "peak signal-to-noise ratio in dB, mean over images", 0, _MOST),
        "psnr_hole": Number("higher", "the same, of the hole's pixels alone", 0, _MOST),
    }
)
def mean_psnr(
    restored: Images, truth: Images, holes: Holes = None, *, border: Annotated[int, AtLeast(0)] = 0
) -> dict[str, float]:
    """The mean PSNR over images, an image without any error counting as 100 dB: see `psnr`.

    Args:
      restored: uint8 `[N, H, W, C]`.
      truth: likewise.
      holes: bool `[N, H, W]`, or None.
      border: pixels to leave out at each edge; super-resolution by f is often told with f. Holes count whole.

    Returns:
      `psnr`, and with holes `psnr_hole`.
    """
    numbers = {"psnr": psnr(*_crop(restored, truth, border))}
    if holes is not None:
        numbers["psnr_hole"] = psnr(restored, truth, holes)
    return {name: _mean(np.minimum(values, _MOST)) for name, values in numbers.items()}


@FAMILIES["restoration"].register("ssim")
@describe(
    {
        "ssim": Number("higher", "structural similarity, mean over images", -1, 1),
        "ssim_hole": Number("higher", "the same, of windows with their centres in the hole", -1, 1),
    }
)
def mean_ssim(
    restored: Images, truth: Images, holes: Holes = None, *, border: Annotated[int, AtLeast(0)] = 0
) -> dict[str, float]:
    """The mean SSIM over images: see `ssim`. Arguments as of `mean_psnr`.

    Args:
      restored: uint8 `[N, H, W, C]`.
      truth: likewise.
      holes: bool `[N, H, W]`, or None.
      border: pixels to leave out at each edge.

    Returns:
      `ssim`, and with holes `ssim_hole`.
    """
    numbers = {"ssim": ssim(*_crop(restored, truth, border))}
    if holes is not None:
        numbers["ssim_hole"] = ssim(restored, truth, holes)
    return {name: _mean(values) for name, values in numbers.items()}


def _mean(values):
    """The mean over the images that have a value."""
    known = values[~np.isnan(values)]
    if not len(known):
        raise UserError("no image has a hole at which there is something to compare")
    return float(known.mean())


def _crop(restored, truth, border):
    if 2 * border >= min(truth.shape[1:3]):
        raise UserError(f"border={border} leaves nothing of images of {truth.shape[1]} x {truth.shape[2]}")
    inner = slice(border, -border or None)
    return restored[:, inner, inner], truth[:, inner, inner]
