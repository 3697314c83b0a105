"""Contenders of this project: functions that return `work` and facts about it (see `timing.Contender`)."""

import atexit
import functools
import itertools
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import sampler
from jaxgan.algorithm.gan import GAN, data_key, init_state
from jaxgan.algorithm.train_state import GanState
from jaxgan.benchmarks.workloads import WORKLOADS, Workload
from jaxgan.compilation import ONCE
from jaxgan.config import experiment
from jaxgan.datasets.dataset import Dataset
from jaxgan.datasets.stream import Stream
from jaxgan.datasets.tfds import read as read_tfds
from jaxgan.devices import parallel
from jaxgan.devices.flops import step_flops, steps_of_a_call
from jaxgan.sweeps import devices as sweep_devices
from jaxgan.sweeps import population as sweeps

Work = Callable[[int], float | None]

_ENCODED = 10_000  # images
INPUTS = ("resident", "constant", "streamed", "encoded")


def fresh(workload: Workload, *settings: Any):
    """The config, the GAN and a fresh state of a workload; `settings` as of `Workload.read`."""
    config = workload.read(*settings)
    gan = experiment.make_gan(config, workload.shape)
    hyper = experiment.make_hyper(config)
    init = jax.jit(lambda: init_state(gan, np.zeros(2, np.uint32), hyper), compiler_options=ONCE)
    return config, gan, init()


def train(
    workload: str,
    batch_size: int = 0,
    update_order: str = "alternating",
    inputs: str = "resident",
    steps_per_call: int = 0,
    prefetch: int = 32,
    compute_dtype: str = "float32",
) -> tuple[Work, dict[str, Any]]:
    """Training calls of the scanned program, on one device. A piece of work is one step.

    Args:
      workload: a key of WORKLOADS.
      batch_size: 0: the config's.
      update_order: see `GAN.update_order`.
      inputs: 'resident': the data set is on the device, as in a run; 'constant': a single batch is on the
        device; 'streamed': batches are read from a memory-mapped file; 'encoded': batches are read and
        decoded from PNGs in array_record files.
      steps_per_call: 0: as in a run.
      prefetch: batches to read ahead.
      compute_dtype: of the networks.
    """
    config, gan, state = fresh(WORKLOADS[workload], batch_size, update_order, compute_dtype)
    most = config.steps_per_call
    of_a_run = steps_of_a_call(gan, state, config.batch_size, parallel.num_cores(), most, [most])
    steps = steps_per_call or of_a_run
    program = parallel.make_program(
        gan, "jit", config.batch_size, streamed=inputs in ("streamed", "encoded"), num_devices=1
    )
    state = program.place_state(state)
    next_data = _INPUTS[inputs](program, gan, WORKLOADS[workload], config.batch_size, steps, state, prefetch)
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))

    def work(num: int) -> None:
        nonlocal state
        for _ in range(num // steps):
            state, metrics = program.train_steps(state, next_data(), steps)
        jax.block_until_ready((state, metrics))

    facts = {
        "batch_size": config.batch_size,
        "granule": steps,
        "flops": step_flops(gan, state, config.batch_size),
        "state_bytes": size,
        "device": jax.devices()[0].device_kind,
    }
    if jax.default_backend() != "cpu":  # here the host only dispatches
        work(steps)
        begun = time.perf_counter()
        state, _ = program.train_steps(state, next_data(), steps)
        facts["host_ms"] = 1e3 * (time.perf_counter() - begun) / steps
    return work, facts


def _resident(program, gan, workload, batch_size, steps, state, prefetch):
    data = program.place_data({"examples": workload.draw_examples()})
    return lambda: data


def _constant(program, gan: GAN, workload: Workload, batch_size: int, steps: int, state: GanState, prefetch):
    data = program.place_data({"examples": workload.draw_examples()[: gan.batches * batch_size]})
    return lambda: data


def _streamed(program, gan: GAN, workload: Workload, batch_size: int, steps: int, state: GanState, prefetch):
    folder = Path(tempfile.mkdtemp())
    file = folder / "examples.npy"
    np.save(file, workload.draw_examples())
    examples = np.load(file, mmap_mode="r")
    shutil.rmtree(folder)  # the memory map keeps the file
    dataset = Dataset("noise", examples, None, "", "")
    return _feed(program, gan, dataset, batch_size, steps, state, prefetch)


def _encoded(program, gan: GAN, workload: Workload, batch_size: int, steps: int, state: GanState, prefetch):
    import tensorflow_datasets as tfds

    class Noise(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=workload.shape)})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for i, image in enumerate(workload.draw_examples()[:_ENCODED]):
                yield i, {"image": image}

    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    builder = Noise(data_dir=folder, file_format="array_record")
    builder.download_and_prepare()
    dataset = read_tfds(builder, "noise", "train", 0, decode_below_gb=0.0)
    return _feed(program, gan, dataset, batch_size, steps, state, prefetch)


def _feed(program, gan: GAN, dataset: Dataset, batch_size: int, steps: int, state: GanState, prefetch: int):
    """Blocks for one call after another, read ahead."""
    stream = Stream(dataset, np.asarray(data_key(state.key)), batch_size, prefetch=prefetch)
    batches = stream.steps()

    def next_data():
        block = itertools.islice(batches, steps * gan.batches)
        examples = np.stack([examples for examples, _ in block])
        return program.place_data(_block(examples, gan, batch_size, steps))

    return next_data


_INPUTS = dict(zip(INPUTS, (_resident, _constant, _streamed, _encoded), strict=True))


def _block(examples: np.ndarray, gan: GAN, batch_size: int, steps: int) -> dict[str, np.ndarray]:
    return {"examples": examples.reshape(steps, gan.batches, batch_size, *gan.data_shape)}


def population(workload: str, members: int) -> tuple[Work, dict[str, Any]]:
    """Calls that train many runs together, as a sweep does. A piece of work is one step of one member."""
    sweep_devices.use_cores()
    config, gan, state = fresh(WORKLOADS[workload])
    devices, size = jax.devices(), config.batch_size
    local = sweep_devices.members_of_a_device(members, devices)
    most = config.steps_per_call
    steps = steps_of_a_call(gan, state, size, 1 / local, most, [most])
    keys = np.array([[0, seed] for seed in range(members)], np.uint32)
    hyper, optimizers = experiment.make_hyper(config), sweeps.optimizer_numbers(gan)
    data = {"examples": WORKLOADS[workload].draw_examples()}
    init = functools.partial(sweeps.init_members, gan, keys, [hyper] * members, [optimizers] * members)
    states = jax.jit(init, compiler_options=ONCE)()
    one_by_one = sweeps.prefers_map(gan, states, data, size, devices[0].platform)
    together = sweeps.Population(gan, size, members, 1 if one_by_one else local, devices)
    states, alive = together.place(states, np.ones(members, bool))
    data = together.place_data(data)

    def work(num: int) -> None:
        nonlocal states, alive
        for _ in range(num // (members * steps)):
            states, alive, metrics = together.train_steps(states, alive, data, steps)
        jax.block_until_ready((states, metrics))

    facts = {"batch_size": size, "granule": members * steps, "how": "map" if one_by_one else "vmap"}
    return work, facts


def sample(workload: str) -> tuple[Work, dict[str, Any]]:
    """Sampling as `jaxgan.load` does it, to NumPy arrays on the host. A piece of work is one batch."""
    _, gan, state = fresh(WORKLOADS[workload])
    draw = sampler.Sampler(gan, state.ema, 0, {}, {}, {})
    batch = sampler.batch_of(gan)

    def work(num: int) -> None:
        for _ in draw.batches(num=num * batch):
            pass

    return work, {"batch_size": batch}


def matrix_product(size: int) -> tuple[Work, dict[str, Any]]:
    """Products of two square float32 matrices, one after the other in one program: the machine's peak."""
    matrix = jnp.linalg.qr(jax.random.normal(jax.random.key(0), (size, size)))[0]  # products keep their size

    @jax.jit
    def chain(x, matrix, num):
        return jax.lax.fori_loop(0, num, lambda _, x: x @ matrix, x)

    def work(num: int) -> None:
        chain(matrix, matrix, num).block_until_ready()

    return work, {"flops": 2.0 * size**3, "device": jax.devices()[0].device_kind}
