"""A set of grey digits with labels 0 to 9, of which other data sets are made."""

import numpy as np

from jaxgan.datasets.dataset import Dataset, MissingDataset
from jaxgan.datasets.load import load
from jaxgan.datasets.resize import Size
from jaxgan.errors import UserError


def grey_digits(owner: str, name: str, split: str, path: str, image_size: Size, use: str) -> Dataset:
    """One split of the digits that `dataset.<owner>.digits` names: uint8 [N, H, W, 1].

    Args:
      owner: the data set that is made of them, for messages.
      name: of the digits: 'mnist', 'digits', 'idx', 'tfds/kmnist', ...
      split, path, image_size: as of `load`.
      use: what their labels determine, for messages.

    Raises:
      UserError: a set of other images or labels; MissingDataset without the digits.
    """
    field = f"dataset.{owner}.digits"
    try:
        digits = load(name, split, path=path, image_size=image_size)
    except MissingDataset as missing:
        raise MissingDataset(
            f"{missing}; a fallback does not become '{owner}', but {field} = 'digits' takes the embedded "
            "ones",
            missing.image_size,
        ) from missing
    if not digits.is_images or digits.shape[-1] != 1:
        raise UserError(
            f"{field} = '{digits.name}' has examples of shape {digits.shape}; need grey images [H, W, 1]: "
            "'mnist' or 'digits', for instance"
        )
    if digits.labels is None or not np.array_equal(np.unique(digits.labels), np.arange(10)):
        raise UserError(
            f"{field} = '{digits.name}' lacks labels that are 0 to 9, which determine {use}; use 'mnist' or "
            "'digits', for instance"
        )
    return digits
