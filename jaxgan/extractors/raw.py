"""No network: pixels or points as they are."""

import jax.numpy as jnp

from jaxgan.extractors import EXTRACTORS, Extractor


@EXTRACTORS.register("raw")
def raw(load, shape) -> Extractor:
    """Pixels in [0, 1], flattened, or the coordinates of points."""
    is_images = len(shape) == 3

    def extract(weights, examples):
        features = examples.reshape(len(examples), -1).astype(jnp.float32)
        return {"features": features / 255 if is_images else features}

    value_range = "[0, 1]" if is_images else "as they are"
    return Extractor("raw", extract, {}, {"digest": "", "resize": "none", "value_range": value_range})
