"""MS-SSIM: the similarity of pairs of generated images, by multi-scale structural similarity."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, UInt8

from jaxgan.declarations import arguments
from jaxgan.errors import UserError, WrongArgument
from jaxgan.metrics import FAMILIES
from jaxgan.metrics.number import Number, describe

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, section 3.2: of scales 1 to 5
_PAIRS = 64  # compared at a time


def num_scales(height: int, width: int) -> int:
    """The number of scales in which the 11 x 11 window fits: 5 (the most) from 161 pixels on, 2 for 28."""
    shorter, scales = min(height, width), 0
    while scales < len(_WEIGHTS) and shorter >= _WINDOW:
        shorter, scales = -(-shorter // 2), scales + 1
    return scales


def _window_means(images):
    """Means under the Gaussian window where all of it fits, `[B, H, W, C] -> [B, H - 10, W - 10, C]`."""
    offsets = np.arange(_WINDOW) - _WINDOW // 2
    window = np.exp(-np.square(offsets) / (2 * _SIGMA**2))
    window = window / window.sum()

    def matrix(size):
        rows = size - _WINDOW + 1
        band = np.zeros((rows, size), np.float32)
        for row in range(rows):
            band[row, row : row + _WINDOW] = window
        return band

    _, height, width, _ = images.shape
    # as matrix products, which are far faster on a CPU than one-channel convolutions. At the highest
    # precision, because squares are subtracted, and an accelerator's default keeps 3 digits
    return jnp.einsum(
        "ph,bhwc,qw->bpqc", matrix(height), images, matrix(width), precision=lax.Precision.HIGHEST
    )


def _halve(images):
    """Means of 2 x 2 pixels; an odd edge is repeated first."""
    _, height, width, _ = images.shape
    images = jnp.pad(images, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    batch, height, width, channels = images.shape
    return images.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))


@functools.partial(jax.jit, static_argnames="scales")
def ms_ssim(
    first: Float[Array, "B H W C"], second: Float[Array, "B H W C"], scales: int
) -> Float[Array, " B"]:
    """l_M^{w_M} Π_j cs_j^{w_j} of each pair of images, `[B]`, 1 for equal ones, [0, 1].

    With means μ, variances and the covariance under an 11 x 11 Gaussian window of deviation 1.5, inside the
    image, l = (2 μ_x μ_y + C₁) / (μ_x² + μ_y² + C₁), cs = (2 σ_xy + C₂) / (σ_x² + σ_y² + C₂), C₁ = (.01 L)²,
    C₂ = (.03 L)², L = 255. A scale's factor is its mean over the positions, that of the last scale M the mean
    of l cs; each next scale has half the pixels. Negative factors, which have no root, count as 0. The score
    is the mean of the channels'. With one scale it is SSIM.

    Args:
      first: uint8 or float `[B, H, W, C]`, values 0..255.
      second: likewise.
      scales: M, up to `num_scales`. The weights w are the published five, or the
        first M of them made to sum to 1.

    In float32: within 1e-5 of float64 on images of 8 bits.

    Source: Wang, Simoncelli and Bovik 2003, Multi-scale structural similarity for image quality assessment,
    equation 7; borders, odd sizes and negative factors as in tf.image.ssim_multiscale.
    """
    # the shift does not change variances, and their squares lose fewer digits
    x, y = (images.astype(jnp.float32) - 127.5 for images in (first, second))
    weights = np.array(_WEIGHTS[:scales])
    if scales < len(_WEIGHTS):
        weights /= weights.sum()
    score = 1.0
    for scale in range(scales):
        if scale:
            x, y = _halve(x), _halve(y)
        mean_x, mean_y = _window_means(x), _window_means(y)
        covariance = _window_means(x * y) - mean_x * mean_y
        variances = _window_means(x * x + y * y) - mean_x * mean_x - mean_y * mean_y
        factor = (2 * covariance + _C2) / (variances + _C2)
        if scale == scales - 1:
            mean_x, mean_y = mean_x + 127.5, mean_y + 127.5
            factor *= (2 * mean_x * mean_y + _C1) / (mean_x * mean_x + mean_y * mean_y + _C1)
        score *= jnp.maximum(factor.mean(axis=(1, 2)), 0) ** weights[scale]
    return score.mean(axis=1)


@FAMILIES["images"].register("ms_ssim")
@describe(
    {
        "ms_ssim_*_stderr": Number("", "its standard error over pairs", 0),
        "ms_ssim_*": Number("", "similarity of pairs of fakes; above the floor they lack variety", -1, 1),
    }
)
def ms_ssim_diversity(
    images: UInt8[np.ndarray, "M H W C"], *, num_pairs: int = 1000, seed: int = 0
) -> dict[str, float]:
    """The mean MS-SSIM of random pairs of different images: higher is less diverse; 1: all are alike.

    Compare it with that of as many real images. Classes differ anyway, so give images of one class if there
    are classes, as its authors did.

    Args:
      images: uint8 `[N, H, W, C]`, N ≥ 2, H and W ≥ 11.
      num_pairs: drawn with replacement; the paper took 100 a class.
      seed: seed of the pairs.

    Returns:
      `ms_ssim_5_scales`, or as many as the images allow, and `ms_ssim_5_scales_stderr`, the standard error
      over the pairs. Numbers of different scales do not compare.

    Source: Odena et al. 2017, Conditional Image Synthesis with Auxiliary Classifier GANs, section 4.2.
    """
    if getattr(images, "dtype", None) != np.uint8 or images.ndim != 4:
        raise WrongArgument(
            f"MS-SSIM takes uint8 [N, H, W, C], not {arguments.shown(images)}: give such images"
        )
    images, seed = np.asarray(images), arguments.whole("seed", seed, 0, 2**32)
    num_pairs = arguments.whole("num_pairs", num_pairs, None)
    count, height, width, _ = images.shape
    scales = num_scales(height, width)
    if not scales:
        raise UserError(
            f"MS-SSIM needs images of {_WINDOW} x {_WINDOW} pixels or more, not {height} x {width}"
        )
    if count < 2 or num_pairs < 2:
        raise UserError(f"MS-SSIM needs 2 images and 2 pairs or more, not {count} and {num_pairs}")
    random = np.random.RandomState(seed)
    first = random.randint(count, size=num_pairs)
    second = (first + random.randint(1, count, size=num_pairs)) % count
    scores = []
    for start in range(0, num_pairs, _PAIRS):
        # the last pairs wrap around to the first, so that one compiled program serves all
        pairs = np.arange(start, start + _PAIRS) % num_pairs
        scores.append(ms_ssim(images[first[pairs]], images[second[pairs]], scales))
    scores = np.concatenate(scores)[:num_pairs].astype(np.float64)
    name = f"ms_ssim_{scales}_scale" + "s" * (scales > 1)
    return {name: float(scores.mean()), f"{name}_stderr": float(scores.std(ddof=1) / np.sqrt(num_pairs))}
