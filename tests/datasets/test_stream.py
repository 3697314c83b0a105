import numpy as np
import pytest

from jaxgan import datasets
from jaxgan.datasets import order
from jaxgan.datasets.stream import Stream

KEY = np.array([3, 4], np.uint32)


class Source:
    """A random-access source over the embedded digits."""

    def __init__(self, images):
        self._images, self.shape, self.dtype = images, images.shape, images.dtype

    def __len__(self):
        return len(self._images)

    def __getitems__(self, rows):
        return self._images[rows]


@pytest.mark.parametrize("kind", [np.asarray, Source])
def test_the_rows_are_those_of_order(kind):
    digits = datasets.load("digits")
    data = datasets.Dataset("digits", kind(digits.examples), digits.labels, "", "")
    assert data.shape == (8, 8, 1) and data.is_images and data.nbytes == digits.nbytes
    steps = Stream(data, KEY, 64, num_threads=2, prefetch=4).steps(start=20)
    for step in range(20, 50):  # into the second epoch
        images, labels = next(steps)
        rows = order.rows(KEY, step, 64, len(digits))
        assert np.array_equal(images, digits.examples[rows]) and np.array_equal(labels, digits.labels[rows])
    steps.close()


def test_a_share_of_each_batch_and_no_labels():
    digits = datasets.load("digits")
    data = datasets.Dataset("digits", digits.examples, None, "", "")
    images, labels = next(Stream(data, KEY, 64, first=16, count=16).steps())
    assert labels is None
    assert np.array_equal(images, digits.examples[order.rows(KEY, 0, 64, len(digits))[16:32]])


def test_a_stream_can_start_at_a_late_step():
    digits = datasets.load("digits")
    stream = Stream(digits, KEY, 8, num_threads=1, prefetch=1)
    steps = stream.steps(start=2**31)
    assert np.array_equal(next(steps)[0], stream.read(2**31)[0])
    steps.close()


def test_an_error_in_a_thread_reaches_the_caller():
    class Broken(Source):
        def __getitems__(self, rows):
            raise datasets.MissingDataset("row 3 is damaged")

    digits = datasets.load("digits")
    data = datasets.Dataset("digits", Broken(digits.examples), None, "", "")
    with pytest.raises(datasets.MissingDataset, match="row 3 is damaged"):
        next(Stream(data, KEY, 8).steps())
