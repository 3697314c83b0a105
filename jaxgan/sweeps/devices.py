"""The devices that share the members of a sweep, and how many fit into their memory."""

import contextlib
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from jaxgan.algorithm.train_state import GanState
from jaxgan.devices.parallel import num_cores

_STATES = 4  # as large as its state: before a call, after it, the gradients, a copy on its way to the disk
_SHARE = 0.7  # of the free memory


def use_cores() -> None:
    """On a CPU, makes a device of every core, so that members train on all of them; before JAX is used.

    Small networks leave a second core idle. What XLA_FLAGS or JAX_NUM_CPU_DEVICES say stands.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_force_host_platform_device_count" not in flags and jax.config.jax_num_cpu_devices < 1:
        with contextlib.suppress(RuntimeError):  # a config file that has used JAX
            jax.config.update("jax_num_cpu_devices", num_cores())


def uses_cores() -> bool:
    """Whether devices are cores, by `use_cores`."""
    asked = "JAX_NUM_CPU_DEVICES" in os.environ  # devices that the user simulates
    return jax.default_backend() == "cpu" and jax.config.jax_num_cpu_devices > 0 and not asked


def members_of_a_device(num: int, devices: Sequence[Any]) -> int:
    """How many of `num` members each device has."""
    return math.ceil(num / min(num, len(devices)))


def num_bytes(tree: Any) -> int:
    """Of all arrays of a tree, abstract ones too."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def free_memory(device) -> int:
    """Bytes that a device has to spare; for a CPU what the system, or this container, has."""
    if stats := device.memory_stats():
        return stats["bytes_limit"] - stats["bytes_in_use"]
    text = Path("/proc/meminfo").read_text(encoding="utf-8") if Path("/proc/meminfo").exists() else ""
    available = [int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("MemAvailable")]
    free = available[0] if available else 2**33

    def read(name):
        return (Path("/sys/fs/cgroup") / name).read_text(encoding="utf-8").strip()

    try:
        limit, used = read("memory.max"), read("memory.current")
        inactive = [line for line in read("memory.stat").splitlines() if "inactive_file" in line]
        spare = int(limit) - int(used) + sum(int(line.split()[1]) for line in inactive[:1])
        free = min(free, spare)
    except (OSError, ValueError):  # no such group, or without a limit
        pass
    return max(free, 0)


def devices_that_fit(devices: Sequence[Any], state_bytes: int, data_bytes: int) -> Sequence[Any]:
    """All, but of a CPU, whose devices share its memory, as many as it holds data and members for."""
    if devices[0].platform != "cpu":
        return devices
    room = _SHARE * free_memory(devices[0])
    return devices[: max(1, int(room // (data_bytes + _STATES * state_bytes)))]


def memory_of_each(devices: Sequence[Any]) -> int:
    """Free bytes of each device; those of a CPU share them."""
    free = free_memory(devices[0])
    return free // len(devices) if devices[0].platform == "cpu" else free


def most_members(state: GanState, data_bytes: int, free: int, num_devices: int) -> int:
    """How many members fit, by the size of one's state (it may be abstract); at least one."""
    room = _SHARE * free - data_bytes
    return max(1, int(room // (_STATES * num_bytes(state)))) * num_devices


def fits(compiled, free: int) -> bool:
    """Whether a compiled program's memory is to be had beside what its arguments already take."""
    analysis = compiled.memory_analysis()
    if analysis is None:
        return True
    return analysis.temp_size_in_bytes + analysis.output_size_in_bytes <= _SHARE * free
