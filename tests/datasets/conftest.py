"""A separate cache for every test, and the folders of real data."""

from pathlib import Path

import pytest

_DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture(autouse=True)
def cache_dir(tmp_path, monkeypatch):
    """The cache of decoded data, empty and in the folder of the test."""
    monkeypatch.setenv("JAXGAN_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "datasets"


def _real(part: str) -> Path:
    if not (_DATA / part).exists():
        pytest.skip(f"no real data at {_DATA / part}")
    return _DATA / part


@pytest.fixture
def mnist_idx() -> Path:
    """The folder of MNIST's four IDX files."""
    return _real("mnist")


@pytest.fixture
def mnist_tfds() -> Path:
    """A TFDS data_dir with MNIST 3.0.1, prepared as tfrecord."""
    return _real("tfds")


@pytest.fixture
def cifar_tar() -> Path:
    """cifar10-jpeg/{train,test}/<class>/NNNN.jpg."""
    return _real("cifar10-jpeg.tar.gz")
