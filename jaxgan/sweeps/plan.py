"""The plan of a sweep: its runs, and which of them share a compiled program.

A setting is what the sweep sets besides the seed; every setting is run with every seed. Two configs share a
program if the objects built from them are equal, the numbers in their states have the same structure, and all
fields in which they differ are such numbers.
"""

import copy
import functools
import hashlib
import itertools
import json
import random
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxgan.algorithm.gan import GAN
from jaxgan.config import checks, experiment, fields, listing
from jaxgan.config.condition_checks import require_parts
from jaxgan.config.conditions import classes_of
from jaxgan.config.dependencies import reset_idle
from jaxgan.config.essential import essential
from jaxgan.config.fields import flatten, plain, section_of
from jaxgan.datasets import Dataset
from jaxgan.errors import UserError
from jaxgan.sweeps.grammar import Axis, parse
from jaxgan.sweeps.population import optimizer_numbers
from jaxgan.sweeps.structure import key_of

COMBINE = ("grid", "zip", "random")
_PLAIN = "as configured"  # the setting without changes


class Run(NamedTuple):
    """One member of a sweep.

    Attributes:
      name: of its folder.
      setting: the name of its setting.
      values: field → value of the setting, without the seed.
      config: complete, with the length of its schedules fixed.
    """

    name: str
    setting: str
    values: dict[str, Any]
    config: ConfigDict


class Plan(NamedTuple):
    """The runs of a sweep, and for each program the indices of its runs."""

    runs: list[Run]
    programs: list[list[int]]


def make_plan(
    config: ConfigDict,
    sweeps: Sequence[str] = (),
    combine: str = "grid",
    draws: int = 0,
    draws_seed: int = 0,
    settings: dict[str, dict[str, Any]] | None = None,
    overrides: Collection[str] = (),
    evaluate: bool = False,
) -> Plan:
    """The runs that the command line asks for.

    Args:
      config: the base config.
      sweeps: each `FIELD=VALUES` (see `grammar.py`).
      combine: 'grid': every value with every other; 'zip': the first with the first, and so on; 'random':
        `draws` times a value of each, drawn from `draws_seed`. Seeds are always combined with all settings.
      draws: of 'random'.
      draws_seed: any whole number.
      settings: named settings: field → value of each.
      overrides: fields of `config` that differ from its file. Fields that they or the sweep leave without
        effect are reset (see `dependencies.reset_idle`).
      evaluate: evaluate every run at its end, also if eval_every is 0.

    Raises:
      UserError: a run is impossible; names the setting.
    """
    fields.import_modules(config)
    axes = parse_axes(config, sweeps)
    names = [axis.field for axis in axes]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"--sweep names {twice} twice: give all its values at once, {twice}=a,b,c")
    seeds = next((_listed(axis) for axis in axes if axis.field == "seed"), [config.seed])
    axes = [axis for axis in axes if axis.field != "seed"]
    runs = []
    for name, fixed in (settings or {"": {}}).items():
        for field in fixed:
            _kind(config, field, f"the setting {name}")
        for values in _combine(axes, combine, draws, draws_seed):
            label = ", ".join([*([name] if name else []), *in_words(values)]) or _PLAIN
            for seed in seeds:
                run = make_run(config, label, {**fixed, **values}, seed, overrides)
                if evaluate and not run.config.eval_every:
                    run.config.eval_every = run.config.num_steps
                runs.append(run)
    if len({run.name for run in runs}) < len(runs):
        raise UserError("two settings of this sweep are the same: leave one out")
    return Plan(runs, _group(runs))


def parse_axes(config: ConfigDict, sweeps: Sequence[str]) -> list[Axis]:
    """The swept fields of a config, from `--sweep`."""
    return [parse(text, functools.partial(_kind, config)) for text in sweeps]


def _kind(config: ConfigDict, field: str, who: str = "--sweep") -> type:
    *parents, last = field.split(".")
    try:
        section = section_of(config, ".".join(parents)) if parents else config
        kind = section.get_type(last)
    except (KeyError, AttributeError) as error:
        raise UserError(
            f"{who}: the config has no field '{field[:80]}'.{listing.hint(field, config)}"
        ) from error
    if kind is ConfigDict:
        raise UserError(f"{who}: {field} is a section; is it {field}.name that you mean?")
    return kind


def _listed(axis: Axis) -> list[Any]:
    if axis.values is None:
        raise UserError(
            f"--sweep: the range of {axis.field} has no end of values: say how many, {axis.field}=a:b:5, or "
            "give --combine=random --draws=N"
        )
    return axis.values


def _combine(axes: list[Axis], combine: str, draws: int, seed: int) -> list[dict[str, Any]]:
    names = [axis.field for axis in axes]
    if (combine == "random") != bool(draws):
        raise UserError("--combine=random and --draws=N go together")
    if combine == "random":
        source = random.Random(seed)
        rows = _draw_rows(axes, draws, source)
    elif combine == "zip":
        lengths = {axis.field: len(_listed(axis)) for axis in axes}
        if len(set(lengths.values())) > 1:
            counts = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise UserError(f"--combine=zip wants as many values of each field: {counts}")
        rows = zip(*(axis.values for axis in axes), strict=True) if axes else [()]
    else:
        rows = itertools.product(*map(_listed, axes))
    return [dict(zip(names, row, strict=True)) for row in rows]


def _draw_rows(axes: list[Axis], num: int, source: random.Random) -> list[list[Any]]:
    """`num` different random combinations."""
    rows: dict[str, list[Any]] = {}
    for _ in range(100 * num):
        row = [axis.draw(source) for axis in axes]
        rows.setdefault(repr(row), row)
        if len(rows) == num:
            return [*rows.values()]
    raise UserError(f"--draws={num}: there are about {len(rows)} combinations; draw fewer, or sweep the grid")


def in_words(values: dict[str, Any]) -> Iterator[str]:
    """`field=value` of each."""
    for field, value in values.items():
        text = f"{value:.6g}" if isinstance(value, float) else str(value)
        yield f"{field}={text}"


def make_run(
    base: ConfigDict, setting: str, values: dict[str, Any], seed: int, overrides: Collection[str]
) -> Run:
    """The run of a setting and a seed; UserError if it is impossible.

    Args:
      base: the base config.
      setting: its name.
      values: field → value.
      seed: of the run.
      overrides: see `make_plan`.
    """
    config = copy.deepcopy(base)  # with references between fields
    try:
        config.update_from_flattened_dict({**values, "seed": seed})
        config = config.copy_and_resolve_references()
        reset_idle(config, {*values, *overrides}, values)
        checks.check(config)
    except (TypeError, KeyError) as error:
        raise UserError(f"setting '{setting}': {error}") from error
    except UserError as error:
        raise UserError(f"setting '{setting}': {error}") from error
    name = re.sub(r"[^\w.=+-]+", "_", "base" if setting == _PLAIN else setting).strip("_")
    if len(name) > 90:
        name = f"{name[:70]}-{hashlib.blake2b(name.encode(), digest_size=6).hexdigest()}"
    return Run(f"{name}-seed={seed}", setting, values, fields.fix_schedule(config))


# --- Which runs share a program -----------------------------------------------------------------------


class Built(NamedTuple):
    """The objects and numbers of a config.

    Attributes:
      data: the fingerprint of the training set.
      gan: what is static.
      hyper: the numbers of `experiment.make_hyper`.
      optimizers: the numbers of both optimizers (see `optimizer_numbers`).
    """

    data: str
    gan: GAN
    hyper: dict[str, Any]
    optimizers: dict[str, Any]

    def structure(self):
        """A key of everything except the values of the numbers."""
        leaves, tree = jax.tree.flatten((self.hyper, self.optimizers))
        return self.data, key_of(self.gan), tree, tuple(np.shape(leaf) for leaf in leaves)

    def numbers(self) -> bytes:
        """The values, to compare."""
        leaves = jax.tree.leaves((self.hyper, self.optimizers))
        return b"".join(np.asarray(leaf, np.float64).tobytes() for leaf in leaves)


@functools.lru_cache(maxsize=8)
def _load(section: str) -> Dataset:
    return experiment.load_dataset(ConfigDict(json.loads(section)))


def load_dataset(config: ConfigDict) -> Dataset:
    """The training set of a run; runs of one data set share it."""
    section = {"dataset": plain(config.dataset.to_dict()), "regularizers": {}}
    return _load(json.dumps(section, sort_keys=True))


def build(config: ConfigDict) -> Built:
    """The objects of a config."""
    dataset = load_dataset(config)
    require_parts(config, dataset)
    gan = experiment.make_gan(config, dataset.shape, classes=classes_of(dataset), with_features=True)
    hyper = experiment.make_hyper(config, dataset.labels)
    return Built(dataset.fingerprint, gan, hyper, optimizer_numbers(gan))


def _group(runs: list[Run]) -> list[list[int]]:
    """The indices of the runs of each program, in order. Seeds of a setting always share one."""
    programs: list[tuple[Leader, list[int]]] = []
    of_setting: dict[str, list[int]] = {}
    for i, run in enumerate(runs):
        if run.setting not in of_setting:
            try:
                built = build(run.config)
            except UserError as error:
                raise UserError(f"setting '{run.setting}': {error}") from error
            found = (members for leader, members in programs if leader.leads(run.config, built))
            members = next(found, None)
            if members is None:
                members = []
                programs.append((Leader(run.config, built), members))
            of_setting[run.setting] = members
        of_setting[run.setting].append(i)
    return [members for _, members in programs]


class Leader:
    """The first run of a program, with which others are compared."""

    def __init__(self, config: ConfigDict, built: Built):
        self._config, self._structure, self._numbers = config, built.structure(), built.numbers()
        self._flat = _flat(config)
        self._is_number: Callable[[str, str], bool] = functools.cache(self._is_number)

    def is_number(self, field: str, value: Any) -> bool:
        """Whether setting this field changes only numbers in the state."""
        return self._is_number(field, json.dumps(value))

    def leads(self, config: ConfigDict, built: Built) -> bool:
        """Whether a config has the same program."""
        flat = _flat(config)
        if flat.keys() != self._flat.keys() or built.structure() != self._structure:
            return False
        differing = [field for field in flat if flat[field] != self._flat[field]]
        return all(self._is_number(field, json.dumps(flat[field])) for field in differing)

    def _is_number(self, field: str, value: str) -> bool:
        """Whether setting this field to a JSON value changes only numbers in the state."""
        config = ConfigDict(self._config.to_dict())
        value = json.loads(value)
        try:
            config.update_from_flattened_dict({field: tuple(value) if isinstance(value, list) else value})
            checks.check(config)
            built = build(config)
        except (UserError, TypeError):
            return False
        return built.structure() == self._structure and built.numbers() != self._numbers


def _flat(config: ConfigDict) -> dict[str, Any]:
    flat = flatten(plain(essential(config)))
    del flat["seed"]
    return flat
