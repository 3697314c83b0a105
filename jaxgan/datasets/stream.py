"""Batches of a data set that does not fit on the device, prefetched by Grain's threads.

The rows are those of `order.rows`, so a streamed run sees the same examples as a run from device memory.
"""

from collections.abc import Iterator

import numpy as np

from jaxgan.datasets import order
from jaxgan.datasets.dataset import Dataset, Examples, Labels, take


class Stream:
    """Reads a data set batch by batch: `Stream(dataset, key, batch).steps(start)`.

    Args:
      dataset: its examples are an array, a memory map or a random-access source.
      key: uint32 [2], the order's key words; the same as on the device.
      batch: examples in a whole batch, over all devices. A training step takes n_D batches, of which the
        first has number n_D · step; their examples are those of one batch n_D times as large.
      groups: the rows of each class, to draw all classes equally often (`order.balanced_rows`).
      first, count: only this share of each step's batch (default: all), as in `order.rows`.
      num_threads: reading and decoding threads.
      prefetch: steps read ahead.
    """

    def __init__(
        self,
        dataset: Dataset,
        key: np.ndarray,
        batch: int,
        *,
        groups: order.Groups | None = None,
        first: int = 0,
        count: int | None = None,
        num_threads: int = 8,
        prefetch: int = 32,
    ):
        self._dataset, self._key, self._batch = dataset, np.asarray(key, np.uint32), batch
        self._groups, self._first, self._count = groups, first, count
        self._num_threads, self._prefetch = num_threads, prefetch

    def read(self, step: int) -> tuple[Examples, Labels | None]:
        """Examples [count, ...] and labels int32 [count] or None of one step."""
        share = self._first, self._count
        if self._groups is None:
            rows = order.rows(self._key, step, self._batch, len(self._dataset), *share)
        else:
            rows = order.balanced_rows(self._key, step, self._batch, self._groups, *share)
        labels = self._dataset.labels
        return take(self._dataset.examples, rows), None if labels is None else labels[rows]

    def steps(self, start: int = 0) -> Iterator[tuple[Examples, Labels | None]]:
        """The steps start, start + 1, ... without end; closing the iterator stops the threads."""
        import grain  # late, because sets in device memory do not need it

        options = grain.ReadOptions(num_threads=self._num_threads, prefetch_buffer_size=self._prefetch)
        steps = grain.MapDataset.range(start, 2**32).map(self.read)
        iterator = iter(steps.to_iter_dataset(options))
        try:
            yield from iterator
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
