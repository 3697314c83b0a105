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

_STATES = 4  # copies of a member's state: before and after a call, gradients, and one for writing
_SHARE = 0.7  # share of the free memory to use


def use_cores() -> None:
    """On a CPU, makes every core a device, so that members train on all of them. Call it before JAX is used.

    Small networks would leave a second core idle. XLA_FLAGS and JAX_NUM_CPU_DEVICES take precedence.
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
    """The number of members of each device, for `num` members."""
    return math.ceil(num / min(num, len(devices)))


def num_bytes(tree: Any) -> int:
    """Bytes of all arrays of a tree, also of abstract ones."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def free_memory(device) -> int:
    """Free bytes of a device; for a CPU, those of the system or the container."""
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
    """All devices; on a CPU, as many as memory allows, which they share."""
    if devices[0].platform != "cpu":
        return devices
    room = _SHARE * free_memory(devices[0])
    return devices[: max(1, int(room // (data_bytes + _STATES * state_bytes)))]


def memory_of_each(devices: Sequence[Any]) -> int:
    """Free bytes of each device; those of a CPU share them."""
    free = free_memory(devices[0])
    return free // len(devices) if devices[0].platform == "cpu" else free


def most_members(state: GanState, data_bytes: int, free: int, num_devices: int) -> int:
    """The number of members that fit, by the size of a state (which may be abstract); at least 1."""
    room = _SHARE * free - data_bytes
    return max(1, int(room // (_STATES * num_bytes(state)))) * num_devices


def fits(compiled, free: int) -> bool:
    """Whether there is memory for a compiled program, besides that of its arguments."""
    analysis = compiled.memory_analysis()
    if analysis is None:
        return True
    return analysis.temp_size_in_bytes + analysis.output_size_in_bytes <= _SHARE * free
