"""What numbers are made of: a network (or nothing) that turns examples into features, one file a kind.

Statistics (`jaxgan/metrics/`) are of features, whatever they come from; every number is named after its
extractor, and only those of Inception-v3 are called FID, KID and inception score.

A builder takes what the run trains on, as `load: split -> Dataset`, to be called only if it is needed, and the
shape of one example; its keyword-only parameters are the config fields `evaluation.extractor.<name>.*`. To add
one: write it in a file here and register it; import it below.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from jaxgan.registry import Registry

# Builders `(load, shape, *, fields) -> Extractor`.
EXTRACTORS = Registry("feature extractor")


@dataclasses.dataclass(frozen=True, eq=False)
class Extractor:
    """A feature extractor.

    Attributes:
      name: what its numbers are called after.
      extract: `(weights, examples) -> {"features": float32 [B, F], ...}`, with `logits` float32 `[B, K]` where it
        classifies. Pure, to be jitted. Examples are as a data set holds them: uint8 `[B, H, W, C]`, or float32
        points `[B, D]`.
      weights: a pytree of arrays, not compiled into the program.
      protocol: what `evaluation.json` says of it, as JSON values: at least `digest` (of the weights, '' where
        there are none), `resize` and `value_range`.
    """

    name: str
    extract: Callable[[Any, jax.Array], dict[str, jax.Array]]
    weights: Any
    protocol: dict[str, Any]


from jaxgan.extractors import inception, raw  # noqa: E402, F401 (register themselves)
