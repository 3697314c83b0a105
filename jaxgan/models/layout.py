"""Depths and widths of residual networks, as published for the size of the image."""

import math

from jaxgan.errors import UserError

Size = tuple[int, int]  # height, width

# Relative widths of a generator's maps, from the first on, and of a discriminator's blocks. The key is how
# often the image is halved. From BigGAN (Brock et al. 2019, tables 4 to 6); 3 is also SNGAN's for STL-10.
_GENERATOR = {
    3: (8, 4, 2, 1),
    4: (16, 8, 4, 2, 1),
    5: (16, 16, 8, 4, 2, 1),
    6: (16, 16, 8, 8, 4, 2, 1),
    7: (16, 16, 8, 8, 4, 2, 1, 1),
}
_DISCRIMINATOR = {
    3: (1, 2, 4, 8),
    4: (1, 2, 4, 8, 16),
    5: (1, 2, 4, 8, 16, 16),
    6: (1, 2, 4, 8, 8, 16, 16),
    7: (1, 1, 2, 4, 8, 8, 16, 16),
}
_SMALL = 32  # up to this shorter side all maps have the same width, as for CIFAR-10


def require_images(shape: tuple[int, ...], network: str) -> None:
    """UserError if examples are points; `network` is 'generator' or 'discriminator'."""
    if len(shape) != 3:
        does = {"generator": "makes", "discriminator": "looks at"}[network]
        raise UserError(
            f"{does} images, but an example of the dataset has shape {shape}; use {network}.name=mlp for "
            "points"
        )


def sizes_upward(shape: tuple[int, ...], factors: tuple[int, ...]) -> list[Size]:
    """Sizes of a generator's maps, from the first to the image's, each `factors` times the one before.

    Sizes are computed from the image backwards. If a factor does not divide a size, the quotient is rounded
    up: 4 → 7 → 14 → 28 with factors 2, 2, 2.
    """
    sizes = [(shape[0], shape[1])]
    for factor in reversed(factors):
        height, width = sizes[-1]
        sizes.append((-(-height // factor), -(-width // factor)))
    return sizes[::-1]


def halvings(shape: tuple[int, ...], least: int) -> int:
    """How often the shorter side can be halved until it would have fewer than `least` pixels."""
    side, times = min(shape[:2]), 0
    while side // 2 >= least:
        side, times = -(-side // 2), times + 1
    return times


def require_depth(shape: tuple[int, ...], multipliers: tuple[int, ...]) -> None:
    """UserError if a network with a width for each size of its maps would halve maps of 1×1 pixels."""
    most = math.ceil(math.log2(max(shape[:2])))
    if len(multipliers) > most + 1:
        raise UserError(
            f"multipliers={multipliers} would halve the maps {len(multipliers) - 1} times, but after {most} "
            f"times an image of {shape[0]}×{shape[1]} is one pixel: give at most {most + 1} numbers"
        )


def generator_layout(
    shape: tuple[int, ...], multipliers: tuple[int, ...] = ()
) -> tuple[list[Size], tuple[int, ...]]:
    """Sizes of a generator's maps, each twice the one before, and their widths as multiples of `width`.

    Args:
      shape: of an image.
      multipliers: the widths; (): as published. The shorter side of the first maps is then 4 to 7 pixels. Up
        to 32 pixels all widths are 4, as in SNGAN and BigGAN for CIFAR-10.
    """
    if not multipliers:
        times = halvings(shape, 4)
        multipliers = (4,) * (times + 1) if min(shape[:2]) <= _SMALL else _of(_GENERATOR, times, (1,))
    require_depth(shape, multipliers)
    return sizes_upward(shape, (2,) * (len(multipliers) - 1)), multipliers


def discriminator_layout(shape: tuple[int, ...], multipliers: tuple[int, ...] = ()) -> list[tuple[int, bool]]:
    """For each block of a discriminator: its width as a multiple of `width`, and whether it halves the maps.

    Up to 32 pixels the first two blocks halve them; for larger images, all except the last do.

    Args:
      shape: of an image.
      multipliers: the widths; (): as published. Up to 32 pixels these are four blocks of width 2.
    """
    small = min(shape[:2]) <= _SMALL
    if not multipliers:
        multipliers = (2, 2, 2, 2) if small else _of(_DISCRIMINATOR, halvings(shape, 3), (16,))
    if not small:
        require_depth(shape, multipliers)
    halving = 2 if small else len(multipliers) - 1
    return [(multiplier, i < halving) for i, multiplier in enumerate(multipliers)]


def deep_discriminator_layout(
    shape: tuple[int, ...], multipliers: tuple[int, ...] = ()
) -> tuple[int, list[tuple[int, bool]]]:
    """BigGAN-deep: the width of the first convolution, then each pair of blocks as in `discriminator_layout`.

    Up to 32 pixels the first two pairs halve the maps; for larger images, all pairs do.

    Args:
      shape: of an image.
      multipliers: the widths, from that of the first convolution on; (): as published.
    """
    small = min(shape[:2]) <= _SMALL
    if not multipliers:
        multipliers = (4, 4, 4, 4) if small else _of(_DISCRIMINATOR, halvings(shape, 3), (16,))
    if not small:
        require_depth(shape, multipliers)
    first, *rest = multipliers
    return first, [(multiplier, i < 2 or not small) for i, multiplier in enumerate(rest)]


def _of(table, times, more):
    """The entry of a table; for images beyond its end, `more` is appended once for each further halving."""
    most = max(table)
    return table[times] if times <= most else table[most] + more * (times - most)


def sides_of(shape: tuple[int, ...], blocks: list[tuple[int, bool]]) -> list[int]:
    """The shorter side of the output of each block of a discriminator."""
    side, sides = min(shape[:2]), []
    for _, halve in blocks:
        side = -(-side // 2) if halve else side
        sides.append(side)
    return sides


def require_sides(wanted: tuple[int, ...], sides: list[int]) -> None:
    """UserError if attention is `wanted` at a shorter side that no block returns."""
    if absent := [side for side in wanted if side not in sides]:
        have = ", ".join(map(str, sorted({*sides}))) or "none"
        raise UserError(
            f"attention={wanted}: no block gives maps with a shorter side of {absent[0]}; there are: {have}"
        )
