"""Euclidean distances between many features, block by block: the N x N matrix is never whole."""

from collections.abc import Iterator

import numpy as np

from jaxgan.metrics.features import check_width

_ROWS = 2048  # of a block: 32 MiB of distances in float64, and as much for its features at D = 2048


def _blocks(count):
    return [slice(start, min(start + _ROWS, count)) for start in range(0, count, _ROWS)]


def _squares(x, y):
    """‖xᵢ - yⱼ‖² by ‖x‖² + ‖y‖² - 2 x·y, `[n, m]`; what rounding leaves of 0 is 0."""
    sizes = np.einsum("ij,ij->i", x, x)[:, None] + np.einsum("ij,ij->i", y, y)
    squares = (-2 * x) @ y.T
    squares += sizes
    sizes *= np.finfo(np.float64).eps * max(64, x.shape[1])
    squares *= squares > sizes
    return squares


def squared_distances(
    x: np.ndarray, y: np.ndarray | None, origin: np.ndarray
) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Blocks (rows of x, rows of y, ‖xᵢ - yⱼ‖² in float64) of all pairs.

    Args:
      x: `[N, D]`.
      y: `[M, D]`, or None for the pairs of x itself: the blocks on and above the diagonal alone.
      origin: `[D]`, subtracted from both. Distances stay, but a common offset, which costs digits, goes; take
        an example rather than a mean, and whole numbers stay whole and their ties exact.

    Memory: 4 blocks of 2,048 rows, 128 MiB at D = 2,048. The error is about ε = 2e-16 of ‖x - origin‖²,
    and squares below max(64, D) ε (‖x‖² + ‖y‖²) count as 0, so that equal examples are at no distance.
    """
    others = x if y is None else y
    check_width(x, others)
    origin = np.asarray(origin, np.float64)
    for first, rows in enumerate(_blocks(len(x))):
        near = x[rows] - origin
        for second, columns in enumerate(_blocks(len(others))):
            if second >= first or y is not None:
                yield rows, columns, _squares(near, others[columns] - origin)


def nearest_squares(features: np.ndarray, k: int, origin: np.ndarray) -> np.ndarray:
    """The squared distances `[N, k]`, ascending, from each of N > k features to its k nearest others."""
    nearest = np.full((len(features), k), np.inf)

    def meet(rows, squares):
        if squares.shape[1] > k:
            squares = np.partition(squares, k - 1, axis=1)[:, :k]
        nearest[rows] = np.sort(np.hstack([nearest[rows], squares]), axis=1)[:, :k]

    for rows, columns, squares in squared_distances(features, None, origin):
        if rows == columns:
            np.fill_diagonal(squares, np.inf)
            meet(rows, squares)
        else:
            meet(rows, squares)
            meet(columns, squares.T)
    return nearest
