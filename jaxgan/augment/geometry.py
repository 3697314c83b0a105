"""ADA's geometric transformations, as matrices: several in a row need one resampling.

Coordinates are pixels from the image's centre, (x right, y down, 1). A matrix maps positions of the old image
to those of the new one. Beyond the edge the image is mirrored about its outermost pixels. Interpolation is
bilinear, while the authors' code enlarges the image twofold with a wavelet filter.

Source: Karras et al. 2020, Training Generative Adversarial Networks with Limited Data, appendix B.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.scipy import ndimage
from jaxtyping import Array, Float, Key

from jaxgan.augment.operation import AUGMENTATIONS, Image, check

Matrix = Float[Array, "3 3"]


@dataclasses.dataclass(frozen=True)
class Geometric:
    """An augmentation that moves pixels by a random matrix.

    Attributes:
      matrix: `(key, image) -> [3, 3]`, for the image's shape, of type `precision(image)`.
      share: from the probability given to `augment` to the probability of this operation.
    """

    matrix: Callable[[Key[Array, ""], Image], Matrix]
    share: Callable[[jax.Array], jax.Array] = lambda probability: probability

    def __call__(self, key: Key[Array, ""], image: Image) -> Image:
        """Applies only this operation to an image `[H, W, C]`."""
        return resample(image, self.matrix(key, image))


def resample(image: Image, matrix: Matrix) -> Image:
    """The image `[H, W, C]` whose pixels were moved by `matrix` `[3, 3]`; bilinear, mirrored at the edge."""
    # written out: a matrix product at an accelerator's default precision is off by a tenth of a pixel
    (a, b, c), (d, e, f), _ = matrix
    determinant = a * e - b * d
    middle_y, middle_x = ((size - 1) / 2 for size in image.shape[:2])
    rows, columns = jnp.indices(image.shape[:2], matrix.dtype)
    x, y = columns - middle_x - c, rows - middle_y - f
    source = ((a * y - d * x) / determinant + middle_y, (e * x - b * y) / determinant + middle_x)

    def sample(channel):
        return ndimage.map_coordinates(channel, source, order=1, mode="mirror")

    return jax.vmap(sample, -1, -1)(image).astype(image.dtype)


def precision(image: Image) -> jnp.dtype:
    """The type of coordinates: the image's, but at least float32."""
    return jnp.promote_types(image.dtype, jnp.float32)


def compose(second: Matrix, first: Matrix) -> Matrix:
    """The matrix `[3, 3]` of `first`, then `second`."""
    return jnp.matmul(second, first, precision=jax.lax.Precision.HIGHEST)


def _matrix(xx, xy, yx, yy, x=0.0, y=0.0, *, dtype):
    rows = ((xx, xy, x), (yx, yy, y), (0.0, 0.0, 1.0))
    return jnp.stack([jnp.stack([jnp.asarray(entry, dtype) for entry in row]) for row in rows])


def _turn(angle, dtype):
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    return _matrix(cosine, sine, -sine, cosine, dtype=dtype)


@AUGMENTATIONS.register("quarter_turns")
def quarter_turns() -> Geometric:
    """Turns counterclockwise about the centre by 0, 90, 180 or 270 degrees, each as likely."""

    def matrix(key, image):
        quarters = jax.random.randint(key, (), 0, 4)
        cosine, sine = jnp.array([1, 0, -1, 0])[quarters], jnp.array([0, 1, 0, -1])[quarters]
        return _matrix(cosine, sine, -sine, cosine, dtype=precision(image))

    return Geometric(matrix)


@AUGMENTATIONS.register("integer_translation")
def integer_translation(*, ratio: float = 0.125) -> Geometric:
    """Shifts by whole pixels: U(-ratio, ratio) of the width and, by itself, of the height, rounded.

    Args:
      ratio: the largest shift over the size, in [0, 1].
    """
    check("integer_translation.ratio", ratio, 1)

    def matrix(key, image):
        high, wide = image.shape[:2]
        x, y = jnp.asarray(ratio, precision(image)) * jax.random.uniform(key, (2,), precision(image), -1, 1)
        return _matrix(1, 0, 0, 1, jnp.round(x * wide), jnp.round(y * high), dtype=precision(image))

    return Geometric(matrix)


@AUGMENTATIONS.register("isotropic_scale")
def isotropic_scale(*, stddev: float = 0.2) -> Geometric:
    """Enlarges about the centre by 2^N(0, stddev²).

    Args:
      stddev: deviation of the factor's binary logarithm, at least 0.
    """
    check("isotropic_scale.stddev", stddev)

    def matrix(key, image):
        factor = _factor(key, stddev, precision(image))
        return _matrix(factor, 0, 0, factor, dtype=precision(image))

    return Geometric(matrix)


@AUGMENTATIONS.register("anisotropic_scale")
def anisotropic_scale(*, stddev: float = 0.2) -> Geometric:
    """Enlarges the width by s = 2^N(0, stddev²) and the height by 1/s, about the centre.

    Args:
      stddev: deviation of the factor's binary logarithm, at least 0.
    """
    check("anisotropic_scale.stddev", stddev)

    def matrix(key, image):
        factor = _factor(key, stddev, precision(image))
        return _matrix(factor, 0, 0, 1 / factor, dtype=precision(image))

    return Geometric(matrix)


def _any_turn(name, degrees):
    check(f"{name}.degrees", degrees, 180)

    def matrix(key, image):
        angle = jax.random.uniform(key, (), precision(image), -1, 1) * jnp.asarray(degrees, precision(image))
        return _turn(angle * (math.pi / 180), precision(image))

    # so that at least one of the two rotations is applied with probability p: 1 - (1 - share)² = p
    return Geometric(matrix, lambda probability: 1 - jnp.sqrt(1 - probability))


@AUGMENTATIONS.register("pre_rotation")
def pre_rotation(*, degrees: float = 180.0) -> Geometric:
    """Turns about the centre by U(-degrees, degrees), before `anisotropic_scale`, with 1 - √(1 - p) for p.

    Args:
      degrees: the largest angle, in [0, 180].
    """
    return _any_turn("pre_rotation", degrees)


@AUGMENTATIONS.register("post_rotation")
def post_rotation(*, degrees: float = 180.0) -> Geometric:
    """Turns as `pre_rotation` does, after `anisotropic_scale`.

    Args:
      degrees: the largest angle, in [0, 180].
    """
    return _any_turn("post_rotation", degrees)


@AUGMENTATIONS.register("fractional_translation")
def fractional_translation(*, stddev: float = 0.125) -> Geometric:
    """Shifts by N(0, stddev²) of the width and, by itself, of the height.

    Args:
      stddev: over the size, at least 0.
    """
    check("fractional_translation.stddev", stddev)

    def matrix(key, image):
        high, wide = image.shape[:2]
        x, y = jnp.asarray(stddev, precision(image)) * jax.random.normal(key, (2,), precision(image))
        return _matrix(1, 0, 0, 1, x * wide, y * high, dtype=precision(image))

    return Geometric(matrix)


def _factor(key, stddev, dtype):
    return jnp.exp2(jnp.asarray(stddev, dtype) * jax.random.normal(key, (), dtype))
