"""Names of numbers, which tell the features and the number of fakes."""

import re

from jaxgan.metrics.number import Number, find_number

# Names of the literature for numbers of Inception's features.
_PUBLISHED = {"frechet_distance": "fid", "kernel_distance": "kid", "kernel_distance_stderr": "kid_stderr"}
_OF_EXAMPLES = ("images", "mixture", "restoration")  # families that need no features


def number_name(family: str, key: str, extractor: str, num: int) -> str:
    """`classifier_frechet_distance_10k`, `fid_50k`, `modes_2.5k`.

    Args:
      family: of the statistic.
      key: the statistic's own name of its number.
      extractor: of the features.
      num: of fakes.
    """
    if extractor == "inception" and family in ("features", "logits"):
        name = _PUBLISHED.get(key, key if key.startswith(extractor) else f"{extractor}_{key}")
    else:
        name = key if family in _OF_EXAMPLES else f"{extractor}_{key}"
    return f"{name}_{num / 1000:g}k" if num >= 1000 else f"{name}_{num}"


def number_of(name: str) -> Number | None:
    """The meaning of a number with a name of `number_name`; None if no statistic describes it."""
    name = re.sub(r"_[\d.]+k?$", "", name)
    name = next((key for key, published in _PUBLISHED.items() if name == published), name)
    while name:
        if found := find_number(name):
            return found
        name = name.partition("_")[2]  # without a word of the extractor's name
    return None
