"""What numbers are made of: a network (or nothing) that turns examples into features, one file a kind.

Statistics (`jaxgan/metrics/`) are of features, whatever they come from; every number is named after its
extractor, and only those of Inception-v3 are called FID, KID and inception score.

A builder takes what the run trains on, as `load: split -> Dataset`, to be called only if it is needed, and
the shape of one example; its keyword-only parameters are the config fields `evaluation.extractor.<name>.*`.
To add one: write it in a file here and register it; import it below.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxgan.registry import Registry

# Builders `(load, shape, *, fields) -> Extractor`.
EXTRACTORS = Registry("feature extractor")


@dataclasses.dataclass(frozen=True, eq=False)
class Extractor:
    """A feature extractor.

    Attributes:
      name: what its numbers are called after.
      extract: `(weights, examples) -> {"features": float32 [B, F], ...}`, with `logits` float32 `[B, K]`
        where it classifies, or else `modes` int32 `[B]` where it tells modes apart. Pure, to be jitted.
        Examples are as a data set holds them: uint8 `[B, H, W, C]`, or float32 points `[B, D]`.
      weights: a pytree of arrays, not compiled into the program.
      protocol: what `evaluation.json` says of it, as JSON values: at least `digest` (of the weights, '' where
        there are none), `resize` and `value_range`.
      unseen: which real examples it was not trained on: 'all', 'none', those of the 'test' split alone, or
        also the 'validation' part of the training set (`datasets.validation_rows`).
      mode_shares: float64 `[M]`, the data's share of each mode that its logits or modes tell; None where its
        classes are not the data set's own.
    """

    name: str
    extract: Callable[[Any, jax.Array], dict[str, jax.Array]]
    weights: Any
    protocol: dict[str, Any]
    mode_shares: np.ndarray | None = None
    unseen: str = "all"


from jaxgan.extractors import auto, classifier, inception, raw  # noqa: E402, F401 (register themselves)
