"""`digits`: the 1,797 handwritten digits that scikit-learn carries. Needs no network and no files."""

import numpy as np

from jaxgan.datasets.dataset import DATASETS, Dataset, from_arrays, hold_out
from jaxgan.datasets.resize import resize_array


@DATASETS.register("digits")
def build(split: str, path: str, image_size: int) -> Dataset:
    """8x8 grey digits, values 0..16 scaled to 0..255; every sixth is the test split.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI repository, 1998.
    """
    from sklearn.datasets import load_digits  # late: scikit-learn takes a second to import

    digits = load_digits()
    rows = hold_out(len(digits.images), split)
    images = np.round(digits.images[rows] * (255 / 16)).astype(np.uint8)[..., None]
    names = tuple(str(name) for name in digits.target_names)
    images, labels = resize_array(images, image_size), digits.target[rows]
    return from_arrays("digits", images, labels, "scikit-learn's embedded digits", class_names=names)
