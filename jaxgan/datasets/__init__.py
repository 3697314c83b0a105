"""Data sets by name: `load` gives one split as images (uint8, NHWC) or points (float32).

A data set is a builder in a file of its own, registered in DATASETS; see `dataset.py`.
"""

from jaxgan.datasets import (  # noqa: F401 (files the builders)
    array,
    digits,
    idx,
    images,
    mixtures,
    mnist,
    pairs,
    stacked_mnist,
    styled_digits,
    tfds,
)
from jaxgan.datasets.dataset import (
    DATASETS,
    Dataset,
    MissingDataset,
    Mixture,
    from_arrays,
    hold_out,
    take,
    title,
    validation_rows,
)
from jaxgan.datasets.load import load
from jaxgan.datasets.validation import validation_split

__all__ = [
    "DATASETS",
    "Dataset",
    "MissingDataset",
    "Mixture",
    "from_arrays",
    "hold_out",
    "load",
    "take",
    "title",
    "validation_rows",
    "validation_split",
]
