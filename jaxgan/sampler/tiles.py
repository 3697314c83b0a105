"""Large pictures through a network in overlapping tiles, so that its memory does not grow with them."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from jaxgan.errors import UserError

Translate = Callable[[Float[np.ndarray, "B H W C"]], Float[np.ndarray, "B h w c"]]


def in_tiles(
    translate: Translate,
    images: Float[np.ndarray, "B H W C"],
    tile: int = 0,
    overlap: int = 64,
    multiple: int = 1,
    factor: int = 1,
) -> Float[np.ndarray, "B h w c"]:
    """The translation of whole images, from tiles of at most `tile` x `tile` pixels, one after another.

    Neighbouring tiles share `overlap` pixels. The outer third of it at the edge of a tile is not used; within
    the middle third one tile fades into the other. So where a pixel depends on no others than those up to a
    third of `overlap` away, the result equals that of the whole images, but for rounding.

    Images whose sides are no multiples of `multiple` are continued by their mirror images, and the result is
    cropped.

    Args:
      translate: `[B, H, W, C] -> [B, factor·H, factor·W, c]`, for sides that are multiples of `multiple`.
      images: float32 `[B, H, W, C]`.
      tile: side in pixels; 0: the whole images at once.
      overlap: pixels.
      multiple: of which the sides of tiles must be multiples; tiles begin at its multiples, too: see `sizes`.
      factor: how much larger the translation is.

    Raises:
      UserError: tiles are not larger than their overlap.
    """
    height, width = images.shape[1:3]
    padded = [-(-side // multiple) * multiple for side in (height, width)]
    if padded != [height, width]:
        more = [(0, 0), (0, padded[0] - height), (0, padded[1] - width), (0, 0)]
        images = np.pad(images, more, mode="symmetric")
    if not tile or max(padded) <= tile:
        return np.asarray(translate(images), np.float32)[:, : factor * height, : factor * width]
    side, shared = sizes(tile, overlap, multiple)
    size, total = [factor * length for length in padded], None
    for top, rows in _tiles(padded[0], side, shared, factor):
        for left, columns in _tiles(padded[1], side, shared, factor):
            part = images[:, top : top + len(rows) // factor, left : left + len(columns) // factor]
            found = np.asarray(translate(part), np.float32)
            if total is None:
                total = np.zeros((len(images), *size, found.shape[3]), np.float32)
                weights = np.zeros((*size, 1), np.float32)
            weight, y, x = (rows[:, None] * columns)[..., None], factor * top, factor * left
            total[:, y : y + len(rows), x : x + len(columns)] += weight * found
            weights[y : y + len(rows), x : x + len(columns)] += weight
    total /= weights
    return total[:, : factor * height, : factor * width]


def sizes(tile: int, overlap: int, multiple: int) -> tuple[int, int]:
    """The side of tiles and the pixels that they share, in multiples of `multiple`.

    Where it is larger than the overlap, tiles do not begin at its multiples: such a network looks far anyway.

    Raises:
      UserError: tiles are not larger than their overlap.
    """
    side, shared = tile // multiple * multiple, overlap
    if multiple <= overlap:
        shared = -(-overlap // multiple) * multiple
    if side < 2 * shared or not side:
        raise UserError(
            f"tile={tile} must be at least twice overlap={overlap}, both in multiples of {multiple}: make "
            "tiles larger or their overlap smaller"
        )
    return side, shared


def _tiles(size, side, shared, factor):
    """Along one axis: where each tile begins, and the weights `[factor · pixels]` of its pixels."""
    if size <= side:
        return [(0, np.ones(factor * size, np.float32))]
    starts = [*range(0, size - side, side - shared), size - side]
    third = shared // 3
    fade = np.clip((np.arange(factor * shared) + 0.5) / factor - third, 0, None) / max(shared - 2 * third, 1)
    fade = np.minimum(fade, 1).astype(np.float32)
    found = []
    for i, start in enumerate(starts):
        weights = np.ones(factor * side, np.float32)
        if i:
            weights[: len(fade)] = fade
        if i < len(starts) - 1:
            weights[len(weights) - len(fade) :] = np.minimum(weights[len(weights) - len(fade) :], fade[::-1])
        found.append((start, weights))
    return found
