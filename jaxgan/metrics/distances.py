"""Euclidean distances between many features, in blocks, so that the N x N matrix is never in memory."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Num

from jaxgan.metrics.features import check_width

_ROWS = 2048  # of a block: 32 MiB of distances in float64, and as much for its features at D = 2048
_PAIRS, _FEW = 1024, 64  # the largest number and share of pairs to compute one by one
_CHUNK = 512  # pairs at a time


def _blocks(count):
    return [slice(start, min(start + _ROWS, count)) for start in range(0, count, _ROWS)]


def _squares(x, y):
    """‖xᵢ - yⱼ‖² by ‖x‖² + ‖y‖² - 2 x·y, `[n, m]`; rounding errors of 0 become 0."""
    sizes = np.einsum("ij,ij->i", x, x)[:, None] + np.einsum("ij,ij->i", y, y)
    squares = (-2 * x) @ y.T
    squares += sizes
    sizes *= np.finfo(np.float64).eps * max(64, x.shape[1])
    squares *= squares > sizes
    return squares


class Undecided(Exception):
    """Too many pairs are too close to each other for float32."""


class _Rows(NamedTuple):
    """Some examples: float64 and float32 `[n, D]`, and the squares of their norms."""

    exact: np.ndarray
    rounded: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, exact: np.ndarray) -> "_Rows":
        with np.errstate(over="ignore"):
            return cls(exact, exact.astype(np.float32), np.einsum("ij,ij->i", exact, exact))


class Block:
    """Squared Euclidean distances of some examples `[n, D]` to some others `[m, D]`, exact where it matters.

    Only the order of distances matters. Float32 decides it for almost all pairs, in half the time. Pairs that
    float32 cannot order are computed in float64, from differences.

    Args:
      near: `[n, D]`.
      far: `[m, D]`.
      same: whether the two sets are the same, so that an example is not its own neighbour.
      screened: whether to use float32 first; otherwise all are computed in float64, by a matrix product.

    Raises:
      Undecided: by its methods, if screened: float32 cannot order too many pairs, for example equal examples.
        Distances must all be computed in the same way, so begin again without it.
    """

    def __init__(self, near: "_Rows", far: "_Rows", same: bool = False, screened: bool = True):
        self._near, self._far, self._same, self._screened = near.exact, far.exact, same, screened
        if not screened:
            return
        self._most = max(_PAIRS, len(near.exact) * len(far.exact) // _FEW)
        sizes = near.sizes, far.sizes
        # D products of numbers that were rounded, and their sum (Higham 2002, section 3.1); and underflow
        unit = np.finfo(np.float32).eps * (near.exact.shape[1] / 2 + 8)
        with np.errstate(over="ignore", invalid="ignore"):
            self._rounded = near.rounded @ far.rounded.T
            self._rounded *= -2
            self._rounded += sizes[0].astype(np.float32)[:, None]
            self._rounded += sizes[1].astype(np.float32)
            self._errors = [(unit * size + np.finfo(np.float32).tiny).astype(np.float32) for size in sizes]
        if same:
            np.fill_diagonal(self._rounded, np.inf)
        if max(size.max() for size in sizes) > np.finfo(np.float32).max / 8:
            raise Undecided

    def exact(self) -> Float[np.ndarray, "n m"]:
        """All of them, float64 `[n, m]`."""
        squares = _squares(self._near, self._far)
        if self._same:
            np.fill_diagonal(squares, np.inf)
        return squares

    def _exact_of(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Those of some pairs."""
        squares = np.empty(len(rows))
        for start in range(0, len(rows), _CHUNK):
            part = slice(start, start + _CHUNK)
            difference = self._near[rows[part]] - self._far[columns[part]]
            squares[part] = np.einsum("ij,ij->i", difference, difference)
        return squares

    def within(
        self, radius: Float[np.ndarray, "n 1"] | Float[np.ndarray, " m"], closed: bool
    ) -> Bool[np.ndarray, "n m"]:
        """Whether each is below `radius`, `[n, 1]` or `[m]`, or equal to it if `closed`: bool `[n, m]`."""
        compare = np.less_equal if closed else np.less
        if not self._screened:
            return compare(self.exact(), radius)
        with np.errstate(over="ignore", invalid="ignore"):
            rounded = radius.astype(np.float32)
            gap = self._rounded - rounded
            found = gap < 0
            np.abs(gap, out=gap)
            gap -= self._errors[0][:, None] + np.finfo(np.float32).eps * rounded
            rows, columns = np.nonzero(~(gap > self._errors[1]))
        if len(rows) > self._most:
            raise Undecided
        radius = np.broadcast_to(radius, found.shape)[rows, columns]
        found[rows, columns] = compare(self._exact_of(rows, columns), radius)
        return found

    def nearest(
        self, k: int, limits: Float[np.ndarray, " n"], transposed: bool = False
    ) -> Float[np.ndarray, "n {k}"]:
        """The k smallest distances of each row up to its limit, `[n, k]`, in any order, padded with inf.

        Args:
          k: at least 1.
          limits: float64 `[n]`.
          transposed: for each column instead of each row; then n is m.
        """
        if not self._screened:
            squares = self.exact().T if transposed else self.exact()
            if squares.shape[1] > k:
                return np.partition(squares, k - 1, axis=1)[:, :k]
            return np.pad(squares, ((0, 0), (0, k - squares.shape[1])), constant_values=np.inf)
        rounded = self._rounded.T if transposed else self._rounded
        own, other = self._errors[::-1] if transposed else self._errors
        with np.errstate(over="ignore"):
            limits = limits.astype(np.float32) * (1 + np.finfo(np.float32).eps) + own
        # as _rounded - errors <= limits
        candidates = rounded - other <= limits[:, None]
        if np.count_nonzero(candidates) > self._most and rounded.shape[1] > k:
            least = np.partition(rounded + other, k - 1, axis=1)[:, k - 1] + 2 * own
            candidates = rounded - other <= np.minimum(limits, least)[:, None]
        candidates &= np.isfinite(rounded)
        rows, columns = np.nonzero(candidates)
        if len(rows) > max(self._most, 2 * k * len(own)):
            raise Undecided
        pairs = (columns, rows) if transposed else (rows, columns)
        return _least_of_rows(rows, self._exact_of(*pairs), len(own), k)


def _least_of_rows(rows: np.ndarray, values: np.ndarray, count: int, k: int) -> np.ndarray:
    """The k smallest values of each of `count` rows, `[count, k]`, padded with inf; `rows` ascend."""
    values = values[np.lexsort((values, rows))]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    least = np.full((count, k), np.inf)
    least[rows[rank < k], rank[rank < k]] = values[rank < k]
    return least


def blocks(
    x: Num[np.ndarray, "N D"],
    y: Num[np.ndarray, "M D"] | None,
    origin: Num[np.ndarray, " D"],
    screened: bool = True,
) -> Iterator[tuple[slice, slice, Block]]:
    """Blocks (rows of x, rows of y, their distances) of all pairs.

    Args:
      x: `[N, D]`.
      y: `[M, D]`, or None for the pairs of x itself: the blocks on and above the diagonal alone.
      origin: `[D]`, subtracted from both. This removes a common offset, which would cost precision. Give an
        example, not a mean: then integers stay integers, and ties stay exact.
      screened: see `Block`.

    Memory: 5 blocks of 2,048 rows in float64, 160 MiB at D = 2,048. The error is about ε = 2e-16 of
    ‖x - origin‖², and without screening squares below max(64, D) ε (‖x‖² + ‖y‖²) count as 0, so that
    equal examples have distance 0.
    """
    others = x if y is None else y
    check_width(x, others)
    origin = np.asarray(origin, np.float64)
    for first, rows in enumerate(_blocks(len(x))):
        near = _Rows.of(x[rows] - origin)
        for second, columns in enumerate(_blocks(len(others))):
            if second >= first or y is not None:
                same = y is None and first == second
                far = near if same else _Rows.of(others[columns] - origin)
                yield rows, columns, Block(near, far, same, screened)


def squared_distances(
    x: Num[np.ndarray, "N D"], y: Num[np.ndarray, "M D"], origin: Num[np.ndarray, " D"]
) -> Iterator[tuple[slice, slice, Float[np.ndarray, "n m"]]]:
    """Blocks (rows of x, rows of y, ‖xᵢ - yⱼ‖² in float64) of all pairs; see `blocks`."""
    for rows, columns, block in blocks(x, y, origin, screened=False):
        yield rows, columns, block.exact()


def nearest_squares(
    features: Num[np.ndarray, "N D"], k: int, origin: Num[np.ndarray, " D"], screened: bool = True
) -> Float[np.ndarray, "N k"]:
    """The squared distances `[N, k]`, ascending, from each of N > k features to its k nearest others."""
    nearest = np.full((len(features), k), np.inf)
    for rows, columns, block in blocks(features, None, origin, screened):
        for mine, transposed in ((rows, False), (columns, True))[: 1 if rows == columns else 2]:
            found = block.nearest(k, nearest[mine, -1], transposed)
            nearest[mine] = np.sort(np.hstack([nearest[mine], found]), axis=1)[:, :k]
    return nearest
