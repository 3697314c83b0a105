"""Runs the pure step on devices: by jit over a mesh, or by pmap.

Both scan `num` steps in one compiled call and donate the state. All training uses the scanned program, so
that the bits of a run do not depend on where its calls begin and end.
"""

import functools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Jaxpr
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxgan.algorithm.gan import GAN, data_key, partner_key
from jaxgan.algorithm.steps import train_step
from jaxgan.algorithm.train_state import GanState
from jaxgan.compilation import compiler_options
from jaxgan.datasets import order
from jaxgan.errors import UserError

Data = dict[str, Any]  # of arrays

MODES = ("auto", "jit", "pmap")
AXIS = "data"


class Program(NamedTuple):
    """The compiled training program, and the placement of its inputs.

    Attributes:
      train_steps: `(state, data, num) -> (state, metrics)`, `num` steps in one call; `metrics` are arrays
        `[num]` by name. The state given is donated: do not use it again.
      place_state: state on the host or on any devices → state on this program's devices.
      place_data: data → devices. A whole set: `examples` `[N, ...]`, which may be flat; `labels` `[N]` if
        steps need them; `partner` `[M, ...]`, the second stream of conditions (default: the examples);
        `groups` (see `order.group_by_class`) if classes are balanced. Or the streamed blocks of one call:
        `examples` `[num, n, count, ...]` and `labels` `[num, n, count]`, n = `gan.batches`.
      first, count: the part of each batch of B that this process streams; all of it for a single process.
    """

    train_steps: Callable[[GanState, Data, int], tuple[GanState, dict[str, jax.Array]]]
    place_state: Callable[[GanState], GanState]
    place_data: Callable[[dict[str, Any]], Data]
    first: int
    count: int

    def trace(self, state: GanState, data: Data, num: int) -> Jaxpr | None:
        """The traced program of a call, which the call then uses; None under pmap."""
        trace = getattr(self.train_steps, "trace", None)
        return trace(state, data, num).jaxpr.jaxpr if trace else None


def make_program(
    gan: GAN, mode: str, batch_size: int, *, streamed: bool = False, num_devices: int = 0
) -> Program:
    """The training program for the devices of this machine, or of all processes of the run.

    Args:
      gan: what is static.
      mode: 'jit': one global view over a mesh of all devices, batch statistics over the whole batch;
        'pmap': one program a device, gradients averaged; 'auto' is jit.
      batch_size: B, of the whole batch over all devices.
      streamed: whether data comes in blocks, one a call, instead of a whole data set on the devices.
      num_devices: number of devices, over all processes, equally many of each; 0: all.

    Raises:
      UserError: an unknown mode, more devices than there are, or a batch size that they do not divide.
    """
    if mode not in MODES:
        raise UserError(f"parallel='{mode}' is not known; choose one of {', '.join(MODES)}")
    devices = choose_devices(num_devices)
    granule = gan.granule * len(devices)
    if batch_size % granule:
        below = batch_size // granule * granule
        sizes = " or ".join(str(size) for size in (below, below + granule) if size)
        parts = f", in parts of {gan.granule} each" if gan.granule > 1 else ""
        raise UserError(
            f"batch_size={batch_size} cannot be shared by {len(devices)} devices{parts}: set it to {sizes}"
        )
    make = _make_pmap if mode == "pmap" else _make_jit
    return make(gan, batch_size, streamed, devices)


def choose_devices(num: int) -> list[jax.Device]:
    """The devices of a run, grouped by process; equally many of every process.

    Args:
      num: how many, over all processes; 0 is all.

    Raises:
      UserError: there are fewer, or they cannot be shared equally by the processes.
    """
    devices, processes = jax.devices(), jax.process_count()
    own = [[d for d in devices if d.process_index == process] for process in range(processes)]
    fewest = min(map(len, own))
    if processes == 1:
        if not 0 <= num <= fewest:
            raise UserError(f"num_devices={num}, but this machine has {fewest}; 0 takes them all")
        return devices[:num] if num else devices
    if num < 0 or num % processes or num > fewest * processes or (num == 0 and fewest < max(map(len, own))):
        counts = ", ".join(str(processes * each) for each in range(1, fewest + 1))
        raise UserError(
            f"num_devices={num}, but {processes} processes, with {', '.join(str(len(o)) for o in own)} "
            f"devices, are to give as many each: set it to one of {counts}"
        )
    return [device for some in own for device in some[: num // processes or None]]


def num_cores() -> int:
    """The number of cores of this process, by its affinity and its container's quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="utf-8").split()
        return min(cores, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no such group, or without a limit
        return cores


def local(tree: Any) -> Any:
    """This process's own copy of replicated arrays, for work of this process alone."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def scan_steps(
    state: GanState,
    data: Data,
    num: int,
    *,
    gan: GAN,
    batch_size: int,
    streamed: bool,
    share: Callable[[dict], dict],
    axis_name: str | None = None,
) -> tuple[GanState, dict[str, jax.Array]]:
    """Makes `num` training steps. `share` selects this device's part of each global batch."""
    if streamed:
        blocks = data
    else:  # the examples of all steps at once, because computing the order has loops of its own
        per_step = gan.batches * batch_size
        place, count = (data_key(state.key), state.step, per_step), num * per_step
        if "groups" in data:
            rows = order.balanced_rows(*place, data["groups"], count=count, xp=jnp)
        else:
            rows = order.rows(*place, len(data["examples"]), count=count, xp=jnp)
        blocks = {"rows": rows.reshape(num, gan.batches, batch_size)}
        if gan.reads_partners:
            partners = (
                partner_key(state.key),
                state.step,
                per_step,
                len(data.get("partner", data["examples"])),
            )
            blocks["partner_rows"] = order.rows(*partners, count=count, xp=jnp).reshape(blocks["rows"].shape)

    def body(state, block):
        batch = share({**block, "index": jnp.arange(batch_size)})
        if not streamed:
            rows = batch.pop("rows")
            parts = ("examples", "labels")
            batch |= {name: jnp.take(data[name], rows, axis=0) for name in parts if name in data}
            batch["examples"] = batch["examples"].reshape(*rows.shape, *gan.data_shape)
            if gan.reads_partners:
                source = data.get("partner", data["examples"])
                partners = jnp.take(source, batch.pop("partner_rows"), axis=0)
                batch["partner"] = partners.reshape(*rows.shape, *gan.data_shape)
        return train_step(state, batch, gan=gan, axis_name=axis_name)

    if num > 1:
        return lax.scan(body, state, blocks, length=num)
    # XLA removes a loop of one iteration, and compiles its body with other roundings. So run the scan's loop
    # with a length that XLA does not know.
    block = jax.tree.map(lambda blocks: blocks[0], blocks)
    body = jax.jit(body, inline=True)  # traced once for both
    like = jax.eval_shape(body, state, block)[1]
    metrics = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
    length = lax.optimization_barrier(jnp.int32(1))
    state, metrics = lax.fori_loop(0, length, lambda i, carry: body(carry[0], block), (state, metrics))
    return state, jax.tree.map(lambda metric: metric[None], metrics)


def _copy_to(sharding: NamedSharding) -> Callable[[GanState], GanState]:
    """Copies a state, because it is donated while the caller keeps its arrays.

    With `jax.device_put` alone simulated devices share a buffer, which the first donation frees for all.
    """
    return jax.jit(lambda state: jax.tree.map(jnp.copy, state), out_shardings=sharding)


def _make_jit(gan, batch_size, streamed, devices) -> Program:
    mesh = _mesh(devices)
    replicated = NamedSharding(mesh, PartitionSpec())

    def share(batch):
        blocks = NamedSharding(mesh, PartitionSpec(None, AXIS))
        index = NamedSharding(mesh, PartitionSpec(AXIS))
        return lax.with_sharding_constraint(batch, {**dict.fromkeys(batch, blocks), "index": index})

    run = functools.partial(scan_steps, gan=gan, batch_size=batch_size, streamed=streamed, share=share)
    blocks = NamedSharding(mesh, PartitionSpec(None, None, AXIS))
    return Program(
        jax.jit(
            run,
            static_argnums=2,
            donate_argnums=0,
            out_shardings=replicated,
            compiler_options=compiler_options(),
        ),
        _copy_to(replicated),
        # a process has the rows of its own devices, and all of what is replicated
        lambda data: jax.make_array_from_process_local_data(blocks if streamed else replicated, data),
        *_share_of_process(batch_size, devices),
    )


def _make_pmap(gan, batch_size, streamed, devices) -> Program:
    """Inputs and outputs of pmap are arrays on the devices of this process alone."""
    part = batch_size // len(devices)
    here = [device for device in devices if device.process_index == jax.process_index()]
    begin, count = _share_of_process(batch_size, devices)

    def run(state, data, first, num):
        def share(batch):
            if not streamed:  # streamed blocks arrive already split
                for name in {"rows", "partner_rows"} & batch.keys():
                    batch[name] = lax.dynamic_slice_in_dim(batch[name], first, part, axis=1)
            return {**batch, "index": first + jnp.arange(part)}

        return scan_steps(
            state, data, num, gan=gan, batch_size=batch_size, streamed=streamed, share=share, axis_name=AXIS
        )

    def split(data):
        if not streamed:
            return data
        # [num, n, count, ...] -> [num, n, devices, B / devices, ...]
        return jax.tree.map(lambda x: x.reshape(*x.shape[:2], len(here), part, *x.shape[3:]), data)

    mapped = jax.pmap(
        run,
        axis_name=AXIS,
        in_axes=(None, 2 if streamed else None, 0, None),
        out_axes=None,
        static_broadcasted_argnums=3,
        donate_argnums=0,
        devices=devices,
    )
    mesh = _mesh(here)
    # pmap needs an argument that is split
    first = begin + np.arange(len(here), dtype=np.int32) * part
    first = jax.device_put(first, NamedSharding(mesh, PartitionSpec(AXIS)))
    replicated = NamedSharding(mesh, PartitionSpec())
    blocks = NamedSharding(mesh, PartitionSpec(None, None, AXIS))
    return Program(
        lambda state, data, num: mapped(state, data, first, num),
        _copy_to(replicated),
        lambda data: jax.device_put(split(data), blocks if streamed else replicated),
        begin,
        count,
    )


def _mesh(devices) -> Mesh:
    # jax.make_mesh could choose another order, and scatter the rows of a process
    return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))


def _share_of_process(batch_size, devices) -> tuple[int, int]:
    """The first row and the number of rows of each batch for this process's devices."""
    part = batch_size // len(devices)
    here = [i for i, device in enumerate(devices) if device.process_index == jax.process_index()]
    return here[0] * part, len(here) * part


def missing_platforms() -> str:
    """`JAX_PLATFORMS` if JAX has no such device; else ''."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError):
        return jax.config.jax_platforms or "unset"
    return ""
