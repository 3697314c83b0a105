"""The three families of DiffAugment: color, translation, cutout."""

import jax
import jax.numpy as jnp

from jaxgan.augment.operation import AUGMENTATIONS, Augmentation, check, shift


@AUGMENTATIONS.register("color")
def color(*, brightness: float = 0.5, saturation: float = 1.0, contrast: float = 0.5) -> Augmentation:
    """x ← x + U(-b, b), then grey + (1 + U(-s, s))·(x - grey), then mean + (1 + U(-c, c))·(x - mean).

    Args:
      brightness: b, in pixel values of [-1, 1].
      saturation: s; a pixel's grey is the mean of its channels, so one channel has no saturation.
      contrast: c; the mean is that of the whole image.

    Source: Zhao et al. 2020, Differentiable Augmentation for Data-Efficient GAN Training; the ranges and the
    order are those of the published code.
    """
    check("color.brightness", brightness)
    check("color.saturation", saturation)
    check("color.contrast", contrast)

    def op(key, image):
        reach = jnp.array([brightness, saturation, contrast], image.dtype)
        shift, saturate, stretch = reach * jax.random.uniform(key, (3,), image.dtype, -1, 1)
        image = image + shift
        grey = image.mean(axis=-1, keepdims=True)
        image = grey + (1 + saturate) * (image - grey)
        mean = image.mean()
        return mean + (1 + stretch) * (image - mean)

    return op


@AUGMENTATIONS.register("translation")
def translation(*, ratio: float = 0.125) -> Augmentation:
    """Shifts by whole pixels, uniform up to ⌊ratio·H + ½⌋ and ⌊ratio·W + ½⌋ each way; 0 comes in at the edge.

    Args:
      ratio: the largest shift over the size, in [0, 1].

    Source: Zhao et al. 2020, Differentiable Augmentation for Data-Efficient GAN Training.
    """
    check("translation.ratio", ratio, 1)

    def op(key, image):
        reach = _pixels(ratio, image)
        return shift(image, jax.random.randint(key, (2,), -reach, reach + 1))

    return op


@AUGMENTATIONS.register("cutout")
def cutout(*, ratio: float = 0.5) -> Augmentation:
    """Fills a hole of ⌊ratio·H + ½⌋ x ⌊ratio·W + ½⌋ pixels with 0.

    Its centre is uniform, so it may cross the edge.

    Args:
      ratio: the hole's side over the image's, in [0, 1].

    Source: Zhao et al. 2020, Differentiable Augmentation for Data-Efficient GAN Training.
    """
    check("cutout.ratio", ratio, 1)

    def op(key, image):
        side = _pixels(ratio, image)
        # The centre of an even side lies between two pixels: one more place, as in the published code.
        low = jax.random.randint(key, (2,), 0, jnp.array(image.shape[:2]) + 1 - side % 2) - side // 2
        inside = jnp.indices(image.shape[:2]) - low[:, None, None]
        hole = ((inside >= 0) & (inside < side[:, None, None])).all(axis=0)
        return jnp.where(hole[..., None], 0, image)

    return op


def _pixels(ratio, image):
    """(ratio·H, ratio·W) rounded half up, int32 [2]."""
    exact = jnp.asarray(ratio, jnp.float32) * jnp.array(image.shape[:2])
    return jnp.floor(exact + 0.5 + 1e-3).astype(jnp.int32)  # 0.35 · 10 may be just below 3.5
