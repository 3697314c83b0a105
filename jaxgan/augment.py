"""Image augmentations: pure functions of a key and one image, and how their probability adapts.

An augmentation is `op(key, image [H, W, C]) -> [H, W, C]`: every draw comes from the key, the image keeps
its type, and gradients flow through. Pixels lie in [-1, 1], so a fill of 0 is the middle grey. `augment`
applies several of them to a batch.

To add one: write a builder here and register it. Its keyword-only parameters become config fields, and the
contract tests cover it. A field whose default is a float may be a traced array (a leaf of the state), so no
Python branch may look at it; the others are static.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.scipy import ndimage

from jaxgan.errors import UserError
from jaxgan.registry import Registry

AUGMENTATIONS = Registry("augmentation")

Augmentation = Callable[[jax.Array, jax.Array], jax.Array]


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
    _check("color.brightness", brightness)
    _check("color.saturation", saturation)
    _check("color.contrast", contrast)

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
    """Shifts by whole pixels, uniform up to ratio·H and ratio·W each way, rounded half up; 0 comes in.

    Args:
      ratio: the largest shift over the size, in [0, 1].

    Source: Zhao et al. 2020, Differentiable Augmentation for Data-Efficient GAN Training.
    """
    _check("translation.ratio", ratio, 1)

    def op(key, image):
        reach = _pixels(ratio, image)
        return _shift(image, jax.random.randint(key, (2,), -reach, reach + 1))

    return op


@AUGMENTATIONS.register("cutout")
def cutout(*, ratio: float = 0.5) -> Augmentation:
    """Fills a hole of ratio·H x ratio·W pixels, rounded half up, with 0; it may cross the edge.

    Args:
      ratio: the hole's side over the image's, in [0, 1].

    Source: Zhao et al. 2020, Differentiable Augmentation for Data-Efficient GAN Training.
    """
    _check("cutout.ratio", ratio, 1)

    def op(key, image):
        side = _pixels(ratio, image)
        # The centre of an even side lies between two pixels: one more place, as in the published code.
        low = jax.random.randint(key, (2,), 0, jnp.array(image.shape[:2]) + 1 - side % 2) - side // 2
        inside = jnp.indices(image.shape[:2]) - low[:, None, None]
        hole = ((inside >= 0) & (inside < side[:, None, None])).all(axis=0)
        return jnp.where(hole[..., None], 0, image)

    return op


@AUGMENTATIONS.register("flip")
def flip() -> Augmentation:
    """Left and right change places, with probability 1/2."""
    return lambda key, image: jnp.where(jax.random.bernoulli(key), image[:, ::-1], image)


@AUGMENTATIONS.register("crop")
def crop(*, padding: int = 4, mode: str = "reflect") -> Augmentation:
    """Pads by `padding` pixels on every side and crops the old size at a uniform place.

    Args:
      padding: pixels, at least 0 and below the image's size.
      mode: 'reflect' mirrors the image about its outermost pixels, 'zero' pads with 0.

    Source: He et al. 2016, Deep Residual Learning for Image Recognition, section 4.2 (4 pixels of 0).
    """
    _check("crop.padding", padding)
    if mode not in ("reflect", "zero"):
        raise UserError(f"unknown crop.mode '{mode}'; known: reflect, zero")

    def op(key, image):
        if padding >= min(image.shape[:2]):
            raise UserError(f"crop.padding={padding} must be below the image's size {image.shape[:2]}")
        by = jax.random.randint(key, (2,), -padding, padding + 1)
        return _shift(image, by, reflect=mode == "reflect")

    return op


@AUGMENTATIONS.register("rotation")
def rotation(*, degrees: float = 15.0) -> Augmentation:
    """Turns about the centre by U(-degrees, degrees); bilinear, the edge's nearest pixel continues outside.

    Args:
      degrees: the largest angle, in [0, 180].
    """
    _check("rotation.degrees", degrees, 180)

    def op(key, image):
        return _rotate(image, jax.random.uniform(key, (), image.dtype, -1, 1) * jnp.deg2rad(degrees))

    return op


@AUGMENTATIONS.register("scale")
def scale(*, zoom: float = 0.2) -> Augmentation:
    """Enlarges about the centre by f = (1 + zoom)^U(-1, 1), so in [1/(1 + zoom), 1 + zoom].

    Growing and shrinking are as likely. Bilinear; the edge's nearest pixel continues outside.

    Args:
      zoom: how much the largest factor exceeds 1, at least 0.
    """
    _check("scale.zoom", zoom)

    def op(key, image):
        return _scale(image, (1 + zoom) ** jax.random.uniform(key, (), image.dtype, -1, 1))

    return op


def augment(
    ops: tuple[Augmentation, ...],
    keys: jax.Array,
    images: jax.Array,
    probability: float | jax.Array | None = None,
) -> jax.Array:
    """Applies each of `ops` in turn to each image, independently with the same probability.

    Args:
      ops: augmentations; number i draws from `fold_in(key, i)`.
      keys: one typed key an example, `[B]`.
      images: `[B, H, W, C]`.
      probability: a scalar, maybe traced; None applies all to all, and no selection is in the program.

    Returns:
      `[B, H, W, C]`.

    Source: Karras et al. 2020, Training Generative Adversarial Networks with Limited Data, section 2.3.
    """
    if probability is not None:
        _check("probability", probability, 1)

    def one(key, image):
        if probability is not None:
            applied = jax.random.uniform(jax.random.fold_in(key, len(ops)), (len(ops),)) < probability
        for i, op in enumerate(ops):
            changed = op(jax.random.fold_in(key, i), image)
            image = changed if probability is None else jnp.where(applied[i], changed, image)
        return image

    return jax.vmap(one)(keys, images)


def init_adaptive(probability: float | jax.Array = 0.0) -> dict[str, jax.Array]:
    """The memory of `update_adaptive`, with the probability to begin with.

    Returns:
      `probability`; `heuristic`, the last r_t, 0 before the first; and of the minibatches since then
      `signs`, the sum of sign(D(x)), and `minibatches`, their number (int32; the others float32).
    """
    _check("probability", probability, 1)
    return {
        "probability": jnp.float32(probability),
        "heuristic": jnp.float32(0),
        "signs": jnp.float32(0),
        "minibatches": jnp.int32(0),
    }


def update_adaptive(
    memory: dict[str, jax.Array],
    real_logits: jax.Array,
    batch_size: int,
    *,
    target: float = 0.6,
    length: float = 500_000.0,
    interval: int = 4,
) -> dict[str, jax.Array]:
    """One minibatch's part in p ← clip(p + sign(r_t - target)·(images since the last move)/length, 0, 1).

    r_t = E[sign(D(x_train))] over the last `interval` minibatches, after which p moves; r_t nears 1 as the
    discriminator overfits.

    Args:
      memory: as `init_adaptive` or the last call returned it.
      real_logits: of the (augmented) training images, over all devices, `[B]`.
      batch_size: images in the minibatch, over all devices: B unless logits judge several at once.
      target: the r_t to hold, in [-1, 1].
      length: images in which p can go from 0 to 1.
      interval: minibatches from one move to the next.

    Source: Karras et al. 2020, Training Generative Adversarial Networks with Limited Data, section 3,
    equation 1. They clamp p at 0 only; above 1 it would be no probability.
    """
    if interval < 1:
        raise UserError(f"adaptive interval={interval} must be at least 1 minibatch")
    signs = memory["signs"] + jnp.sign(real_logits).sum(dtype=jnp.float32)
    minibatches = memory["minibatches"] + 1
    due = minibatches >= interval
    heuristic = signs / (real_logits.size * interval)
    move = jnp.sign(heuristic - target) * (batch_size * interval) / length
    moved = jnp.clip(memory["probability"] + move, 0.0, 1.0)
    return {
        "probability": jnp.where(due, moved, memory["probability"]),
        "heuristic": jnp.where(due, heuristic, memory["heuristic"]),
        "signs": jnp.where(due, 0.0, signs),
        "minibatches": jnp.where(due, 0, minibatches),
    }


def _check(field, value, high=math.inf):
    """Refuses a number outside of [0, high], by its field's name. Traced ones are not known yet."""
    if isinstance(value, int | float) and not (0 <= value <= high and value < math.inf):
        bounds = "be finite and at least 0" if high == math.inf else f"lie in [0, {high}]"
        raise UserError(f"{field}={value} must {bounds}")


def _pixels(ratio, image):
    """(ratio·H, ratio·W), rounded half up as in the code of Zhao et al. 2020, int32 [2]."""
    exact = jnp.asarray(ratio, jnp.float32) * jnp.array(image.shape[:2])
    return jnp.floor(exact + 0.5 + 1e-3).astype(jnp.int32)  # 0.9 · 5 may be just below 4.5


def _shift(image, by, *, reflect=False):
    """The image moved by whole pixels, int [2]; 0 comes in at the edge, or the image mirrored there.

    Rows and columns one after the other: the gradient of a gather of pixels is slow on a CPU.
    """
    for axis, size in enumerate(image.shape[:2]):
        at = jnp.arange(size) - by[axis]
        if reflect:
            at = size - 1 - jnp.abs(size - 1 - jnp.abs(at))
        at = jnp.where((at >= 0) & (at < size), at, size)  # negative ones would count from the end
        image = jnp.take(image, at, axis, mode="fill", fill_value=0)
    return image


def _rotate(image, angle):
    """The image turned counterclockwise about its centre by an angle in radians."""
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    return _sample(image, lambda y, x: (cosine * y + sine * x, cosine * x - sine * y))


def _scale(image, factor):
    """The image enlarged about its centre."""
    return _sample(image, lambda y, x: (y / factor, x / factor))


def _sample(image, source):
    """The image whose pixel at (y, x) from the centre is the old one's at `source(y, x)`, bilinear."""
    middle_y, middle_x = ((size - 1) / 2 for size in image.shape[:2])
    y, x = jnp.indices(image.shape[:2])
    y, x = source(y - middle_y, x - middle_x)

    def sample(channel):
        return ndimage.map_coordinates(channel, (y + middle_y, x + middle_x), order=1, mode="nearest")

    return jax.vmap(sample, -1, -1)(image)
