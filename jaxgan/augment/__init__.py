"""Image augmentations: pure functions of a key and one image; and ADA's rule for their probability.

An augmentation is `op(key, image [H, W, C]) -> [H, W, C]`: every draw comes from the key, the image keeps
its type, and gradients flow through. Pixels lie in [-1, 1], so a fill of 0 is the middle grey. `augment`
applies several of them to a batch.

Those of DiffAugment are in `diffaugment.py`, ADA's in `geometry.py` and `colours.py`, others in
`ordinary.py`.

To add one: write a builder in its family's file and register it. Its keyword-only parameters become config
fields, and the contract tests cover it. A field whose default is a float may be a traced array (a leaf of the
state), so no Python branch may look at it; the others are static.
"""

import itertools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxgan.augment import colours, diffaugment, ordinary  # noqa: F401 (register)
from jaxgan.augment.adaptive import init_adaptive, update_adaptive
from jaxgan.augment.geometry import Geometric, compose, precision, resample
from jaxgan.augment.operation import AUGMENTATIONS, Augmentation, check

__all__ = ["AUGMENTATIONS", "Augmentation", "augment", "init_adaptive", "update_adaptive"]


def augment(
    ops: tuple[Augmentation, ...],
    keys: Key[Array, " B"],
    images: Float[Array, "B H W C"],
    probability: float | Float[Array, ""] | None = None,
    multipliers: tuple[float, ...] = (),
) -> Float[Array, "B H W C"]:
    """Applies each of `ops` in turn to each image, independently with the same probability.

    Args:
      ops: augmentations; number i draws from `fold_in(key, i)`. Geometric ones in a row are one resampling.
      keys: one typed key an example, `[B]`.
      images: `[B, H, W, C]`.
      probability: a scalar, maybe traced; None applies all of them, without a selection in the program.
      multipliers: factors of the probability, one for each of `ops`; (): all 1.

    Returns:
      `[B, H, W, C]`.

    Source: Karras et al. 2020, Training Generative Adversarial Networks with Limited Data, section 2.3.
    """
    if multipliers and probability is None:
        probability = 1.0
    if probability is not None:
        check("probability", probability, 1)

    def one(key, image):
        if probability is not None:
            chance = jax.random.uniform(jax.random.fold_in(key, len(ops)), (len(ops),))
        i = 0
        for geometric, group in itertools.groupby(ops, lambda op: isinstance(op, Geometric)):
            before, matrix = image, jnp.eye(3, dtype=precision(image))
            for op in group:
                own = jax.random.fold_in(key, i)
                old = matrix if geometric else image
                new = compose(op.matrix(own, image), matrix) if geometric else op(own, image)
                if probability is not None:
                    limit = op.share(probability) if geometric else probability
                    limit = limit * multipliers[i] if multipliers else limit
                    new = jnp.where(chance[i] < limit, new, old)
                matrix, image = (new, image) if geometric else (matrix, new)
                i += 1
            if geometric:
                image = resample(before, matrix)
        return image

    return jax.vmap(one)(keys, images)
