"""`styled_digits`: digits and a known transformation of each, to measure translation between both."""

import colorsys
import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from jaxgan.datasets.dataset import DATASETS, Dataset, Digest, take
from jaxgan.datasets.grey_digits import grey_digits
from jaxgan.datasets.pairs import Direction
from jaxgan.datasets.resize import Size
from jaxgan.declarations import OneOf
from jaxgan.errors import UserError

Grey = UInt8[np.ndarray, "n H W 1"]
Labels = Int[np.ndarray, " n"]

# uint8 [10, 3], the RGB colour of each class: hues 36° apart.
COLOURS = np.array([np.round(255 * np.array(colorsys.hsv_to_rgb(k / 10, 1, 1))) for k in range(10)], np.uint8)
_FORMAT = 1  # increase it when the same arguments give other pixels


class Style(NamedTuple):
    """A transformation of digits.

    Attributes:
      channels: C of its images.
      apply: `(uint8 [n, H, W, 1], labels [n]) -> uint8 [n, H, W, C]`.
    """

    channels: int
    apply: Callable[[Grey, Labels], UInt8[np.ndarray, "n H W C"]]


def outline(images: Grey, labels: Labels) -> Grey:
    """The morphological gradient: the largest pixel of each 3x3 neighbourhood minus the smallest.

    Beyond the edge an image is continued by its mirror image.
    """
    from scipy import ndimage  # late: it takes a while to import

    return ndimage.morphological_gradient(images, size=(1, 3, 3, 1))


def coloured(images: Grey, labels: Labels) -> UInt8[np.ndarray, "n H W 3"]:
    """Each digit in the colour of its class on black: round(x · colour / 255)."""
    colours = COLOURS[labels].astype(np.uint16)[:, None, None]
    return ((images * colours + 127) // 255).astype(np.uint8)


def inverted(images: Grey, labels: Labels) -> Grey:
    """255 - x."""
    return 255 - images


STYLES = {"outline": Style(1, outline), "coloured": Style(3, coloured), "inverted": Style(1, inverted)}


@DATASETS.register("styled_digits")
def build(
    split: str,
    path: str,
    image_size: Size,
    *,
    digits: str = "mnist",
    style: Annotated[str, OneOf(tuple(STYLES))] = "outline",
    form: Annotated[str, OneOf(("pairs", "domains", "styled"))] = "pairs",
    direction: Direction = "AtoB",
) -> Dataset:
    """Plain digits A and styled digits B, in one of three forms.

    A has as many equal channels as B. Nothing is random: an example depends on its digit alone.

    Args:
      split, path, image_size: of the set of digits. They are scaled first, and then styled.
      digits: a data set of grey images with labels 0 to 9: 'mnist', 'digits', 'idx', 'tfds/kmnist', ...
      style: outline: the morphological gradient of 3x3 pixels; coloured: an RGB colour for each class, on
        black; inverted: 255 - x.
      form: pairs: A and B of each digit in the channels of one example (task `paired`). domains: A and B
        apart (task `unpaired`), in training of different digits, those of even rows and of odd ones; in the
        test split of the same digits in the same order, so that evaluations compare translations with their
        true images. styled: B alone (task `colouring`).
      direction: AtoB: A is given and B wanted; BtoA: the other way round. Not for the form styled.

    The fingerprint is a hash of the digits' fingerprint and of these arguments, not of pixels.

    Raises:
      UserError: a set of other images or labels; MissingDataset without the digits.
    """
    if form == "styled" and direction != "AtoB":
        raise UserError(
            f"dataset.styled_digits.direction='{direction}' has no effect with form='styled': choose the "
            "form pairs or domains"
        )
    parts = grey_digits("styled_digits", digits, split, path, image_size, "colours and accuracies")
    styled = STYLES[style]
    plain = Style(styled.channels, lambda images, labels: np.repeat(images, styled.channels, axis=-1))
    sides = {"A": plain, "B": styled}
    letters = "AB" if direction == "AtoB" else "BA"

    def dataset(letters: str, rows: slice) -> Dataset:
        content = f"styled|{_FORMAT}|{parts.fingerprint}|{style}|{letters}|{rows.start}|{rows.step}"
        return Dataset(
            "styled_digits",
            StyledDigits(parts, np.arange(len(parts))[rows], [sides[letter] for letter in letters]),
            parts.labels[rows],
            Digest(hashlib.blake2b(content.encode(), digest_size=16).hexdigest()),
            f"{form} of digits (A) and {style} ones (B), of {parts.name}: {parts.origin}",
            class_names=parts.class_names,
            held_out=parts.held_out,
        )

    whole = slice(0, None, 1)
    if form != "domains":
        return dataset(letters if form == "pairs" else "B", whole)
    halves = (
        {"A": slice(0, None, 2), "B": slice(1, None, 2)} if split == "train" else dict.fromkeys("AB", whole)
    )
    first, second = (dataset(letter, halves[letter]) for letter in letters)
    content = f"{first.fingerprint}|{second.fingerprint}".encode()
    digest = Digest(hashlib.blake2b(content, digest_size=16).hexdigest())
    return dataclasses.replace(first, partner=second, matched=split == "test", fingerprint=digest)


class StyledDigits:
    """Digits in one or several styles, joined by channels when they are read; see `Dataset.examples`.

    Args:
      digits: uint8 [M, H, W, 1] and labels.
      rows: int [N], which digits.
      styles: with C channels in all.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, digits: Dataset, rows: Int[np.ndarray, " N"], styles: Sequence[Style]):
        self._digits, self._rows, self._styles = digits, rows, styles
        self.shape = (len(rows), *digits.shape[:2], sum(style.channels for style in styles))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitems__(self, rows: np.ndarray) -> np.ndarray:
        """uint8 [n, H, W, C]."""
        rows = self._rows[rows]
        images, labels = take(self._digits.examples, rows), self._digits.labels[rows]
        return np.concatenate([style.apply(images, labels) for style in self._styles], axis=-1)
