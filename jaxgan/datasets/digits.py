"""`digits`: the 1,797 handwritten digits that scikit-learn carries. Needs no network and no files."""

import importlib.metadata

import numpy as np

from jaxgan.datasets import cache
from jaxgan.datasets.dataset import DATASETS, Dataset, hold_out
from jaxgan.datasets.resize import Size, resize_array

_NUM = 1_797


@DATASETS.register("digits")
def build(split: str, path: str, image_size: Size) -> Dataset:
    """8x8 grey digits, values 0..16 scaled to 0..255; every sixth is the test split.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI repository, 1998.
    """

    def chunks():
        from sklearn.datasets import load_digits  # late: scikit-learn takes seconds to import

        digits = load_digits()
        rows = hold_out(len(digits.images), split)
        images = np.round(digits.images[rows] * (255 / 16)).astype(np.uint8)[..., None]
        yield resize_array(images, image_size), digits.target[rows]

    key = {"split": split, "size": image_size, "scikit-learn": importlib.metadata.version("scikit-learn")}
    decoded = cache.decoded("digits", key, chunks)
    held_out = _NUM - len(decoded.examples) if split == "train" else 0
    names = tuple(str(digit) for digit in range(10))
    return Dataset("digits", *decoded, "scikit-learn's embedded digits", class_names=names, held_out=held_out)
