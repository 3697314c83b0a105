"""Feature extractors: networks (or none) that turn examples into features, one kind a file.

Statistics (`jaxgan/metrics/`) work on any features. A number is named after its extractor; only numbers of
Inception-v3 are called FID, KID and inception score.

A builder takes the run's data as `load: split -> Dataset`, which is called only if needed, and the shape of
an example. Its keyword-only parameters are the config fields `evaluation.extractor.<name>.*`.
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
      name: part of the names of its numbers.
      extract: `(weights, examples) -> {"features": float32 [B, F], ...}`, with `logits` float32 `[B, K]`
        if it classifies, or `modes` int32 `[B]` if it tells modes. Pure, to be jitted.
        Examples are as a data set holds them: uint8 `[B, H, W, C]`, or float32 points `[B, D]`.
      weights: a pytree of arrays, not compiled into the program.
      protocol: its description in `evaluation.json`, as JSON values: at least `digest` (of the weights, or
        ''), `resize` and `value_range`.
      unseen: which real examples it was not trained on: 'all', 'none', those of the 'test' split alone, or
        also the 'validation' part of the training set (`datasets.validation_rows`).
      mode_shares: float64 `[M]`, the data's share of each mode; None if its classes are not those of the data
        set.
    """

    name: str
    extract: Callable[[Any, jax.Array], dict[str, jax.Array]]
    weights: Any
    protocol: dict[str, Any]
    mode_shares: np.ndarray | None = None
    unseen: str = "all"


@dataclasses.dataclass(frozen=True, eq=False)
class Frozen:
    """The features of a network that is not trained, at which a term of the generator looks.

    Attributes:
      look: images `[B, H, W, C]` in [-1, 1] to features `[B, ...]`.
      digest: of its weights.
    """

    look: Callable[[jax.Array], jax.Array]
    digest: str

    def __call__(self, images: jax.Array) -> jax.Array:
        return self.look(images)


from jaxgan.extractors import auto, classifier, inception, raw  # noqa: E402, F401 (register themselves)
