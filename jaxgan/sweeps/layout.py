"""The layout of a population: members side by side, or one after another."""

import collections
import json
import math
import time
from collections.abc import Hashable
from pathlib import Path

import jax
import numpy as np

from jaxgan.algorithm.gan import GAN
from jaxgan.algorithm.train_state import GanState
from jaxgan.files import replace
from jaxgan.sweeps.devices import fits, members_of_a_device, memory_of_each
from jaxgan.sweeps.population import Population, prefers_map
from jaxgan.sweeps.structure import key_of


def choose_population(
    folder: Path, how: str, gan: GAN, config, states: GanState, data, devices, num_steps: int
) -> Population:
    """The population with its earlier layout, or the one that `how` asks for and memory allows.

    Args:
      folder: of the population; `layout.json` in it keeps the choice.
      how: 'vmap', 'map', 'measure' which of them is faster, or 'auto', by a rule.
      gan, config: of its members.
      states: of them, on the host.
      data: on all devices.
      devices: that share the members.
      num_steps: of a call.
    """
    path, num = folder / "layout.json", len(states.key)
    leaves, tree = jax.tree.flatten((states, data))
    shapes = tuple((np.shape(leaf), str(leaf.dtype)) for leaf in leaves)
    likeness = key_of(gan), config.batch_size, num, tuple(devices), tree, shapes

    def make(width: int) -> Population:
        return _find(likeness, gan, config.batch_size, num, width, devices)

    local = members_of_a_device(num, devices)
    key = {"how": how, "devices": len(devices), "kind": devices[0].device_kind, "members": num}
    if path.exists() and (before := json.loads(path.read_text(encoding="utf-8"))).items() >= key.items():
        return make(width=before["width"])
    if (likeness, how) in _widths:  # as in an earlier wave of this process
        replace(path, json.dumps({**key, "width": _widths[likeness, how]}))
        return make(width=_widths[likeness, how])
    rule = how == "auto" and prefers_map(gan, states, data, config.batch_size, devices[0].platform)
    if how == "map" or rule or local == 1:
        chosen = make(width=1)
    else:
        chosen = _widest(make, local, states, data, memory_of_each(devices), num_steps)
        if how == "measure":
            chosen = min(chosen, make(width=1), key=lambda some: _time(some, states, data, num_steps))
    replace(path, json.dumps({**key, "width": chosen.width}))
    _widths[likeness, how] = chosen.width
    return chosen


_found: collections.OrderedDict[Hashable, Population] = collections.OrderedDict()
_MOST_FOUND = 32
_widths: dict[Hashable, int] = {}
_gans: dict[Hashable, GAN] = {}


def shared(gan: GAN) -> GAN:
    """The first equal GAN of this process, whose compiled programs can be reused."""
    return _gans.setdefault(key_of(gan), gan)


def _find(likeness: Hashable, gan: GAN, batch_size: int, num: int, width: int, devices) -> Population:
    """A population; with the compiled programs of an equal one of this process (waves of a search)."""
    key = likeness, width
    if key not in _found:
        _found[key] = Population(gan, batch_size, num, width, devices)
    _found.move_to_end(key)
    while len(_found) > _MOST_FOUND:
        _found.popitem(last=False)
    return _found[key]


def _widest(make, width: int, states: GanState, data, free: int, num_steps: int) -> Population:
    """`width` members side by side on each device, or as many as fit into its memory."""
    while width > 1:
        population = make(width=width)
        placed, _ = population.place(states, np.ones(population.num_members, bool))
        if fits(population.compile(placed, data, num_steps), free):
            return population
        width = math.ceil(width / 2)
    return make(width=1)


def _time(population: Population, states: GanState, data, num_steps: int) -> float:
    """Seconds of a call, without compilation."""
    placed = population.place(states, np.ones(population.num_members, bool))
    for _ in range(2):
        begun = time.monotonic()
        *placed, metrics = population.train_steps(*placed, data, num_steps)
        jax.block_until_ready(metrics)
    return time.monotonic() - begun
