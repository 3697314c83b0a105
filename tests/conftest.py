"""Eight simulated devices, a separate cache for the tests, and one small run that many tests share."""

import gc
import os
from pathlib import Path

from xla_flags import as_for_users, xla_flags

# Before JAX starts. Most tests use one device (num_devices=1). Runs that tests start as separate processes do
# not get these flags.
os.environ.setdefault("XLA_FLAGS", xla_flags(devices=8))

import pytest

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist"


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Decoded data sets and compiled programs of this session, shared by its processes."""
    import jax

    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "cache"
    folder.mkdir(exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(folder / "programs"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    before = os.environ.get("JAXGAN_CACHE_DIR")
    os.environ["JAXGAN_CACHE_DIR"] = str(folder)
    yield folder
    if before is None:
        del os.environ["JAXGAN_CACHE_DIR"]
    else:
        os.environ["JAXGAN_CACHE_DIR"] = before


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """Removes the compiled programs of a module. The next one does not need them, and a full heap is slow."""
    yield
    import jax

    jax.clear_caches()
    gc.collect()


@pytest.fixture(autouse=True)
def no_pictures(request, monkeypatch):
    """Runs within a test draw no final pictures, which take seconds, unless the test is marked `pictures`."""
    if not request.node.get_closest_marker("pictures"):
        from jaxgan.jobs import pictures

        monkeypatch.setattr(pictures, "draw_run", lambda *_: [])


@pytest.fixture
def exact():
    """For tests that compare the bits of different programs."""
    with as_for_users():
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The workdir of a finished tiny run on the embedded digits, 20 steps; read-only."""
    from runs import tiny_config

    from jaxgan.jobs.train import train

    workdir = tmp_path_factory.mktemp("trained") / "run"
    assert train(tiny_config(num_steps=20), workdir) == 0
    return workdir


@pytest.fixture(scope="session")
def real_mnist():
    """The folder with MNIST's four IDX files."""
    if not MNIST.is_dir():
        pytest.skip("real MNIST is not here (../shared/data/mnist)")
    return MNIST
