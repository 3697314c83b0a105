"""The best extractor that is at hand."""

from jaxgan.extractors import EXTRACTORS, Extractor


@EXTRACTORS.register("auto")
def auto(load, shape, *, inception_weights: str = "") -> Extractor:
    """`inception` where its weights are given, else `classifier` where images have labels, else `raw`.

    Args:
      load: `split -> Dataset`.
      shape: of one example.
      inception_weights: a converted file, see `inception`.
    """
    if inception_weights:
        return EXTRACTORS["inception"](load, shape, weights=inception_weights)
    has_classes = len(shape) == 3 and load("train").labels is not None
    return EXTRACTORS["classifier" if has_classes else "raw"](load, shape)
