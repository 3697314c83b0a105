"""Chooses the best available extractor."""

import numpy as np

from jaxgan.extractors import EXTRACTORS, Extractor


@EXTRACTORS.register("auto")
def auto(load, shape, *, inception_weights: str = "") -> Extractor:
    """`inception` if its weights are given, else `classifier` if images have classes, else `raw`.

    Args:
      load: `split -> Dataset`.
      shape: of one example.
      inception_weights: a converted file, see `inception`.
    """
    if inception_weights:
        return EXTRACTORS["inception"](load, shape, weights=inception_weights)
    labels = load("train").labels if len(shape) == 3 else None
    has_classes = labels is not None and len(np.unique(labels)) > 1
    return EXTRACTORS["classifier" if has_classes else "raw"](load, shape)
