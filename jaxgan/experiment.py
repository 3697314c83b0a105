"""From a config to the objects that it names, and the record of a run, `config.json`.

Only this file and the jobs beside it (`train.py`, `sample.py`, ...) see a config; all below take plain
keyword arguments.
"""

import importlib
import inspect
import json
import os
import types
import typing
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict, config_dict

from jaxgan import datasets
from jaxgan.datasets import DATASETS, Dataset
from jaxgan.errors import UserError
from jaxgan.latents import LATENTS
from jaxgan.losses import LOSSES
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.optimizers import OPTIMIZERS, SCHEDULES
from jaxgan.registry import Registry
from jaxgan.steps import GAN, UPDATE_ORDERS

SECTIONS = {
    "dataset": DATASETS,
    "generator": GENERATORS,
    "discriminator": DISCRIMINATORS,
    "loss": LOSSES,
    "generator_optimizer": OPTIMIZERS,
    "discriminator_optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
}

# Fields that a run may change when it goes on: they do not bend what was trained so far.
CHANGEABLE = frozenset(
    "num_steps steps_per_call log_every sample_every checkpoint_every checkpoints_kept profile_at parallel "
    "num_devices dataset.path dataset.max_device_bytes".split()
)


def component(registry: Registry, name: str) -> ConfigDict:
    """The config section of a component: `name`, and for each known name the fields of its builder."""
    section = ConfigDict({"name": name})
    for known in registry:
        section[known] = ConfigDict()
        for field, parameter in registry.fields(known).items():
            section[known][field] = _default(parameter)
    return section


def _default(parameter: inspect.Parameter):
    """A builder's default as a config value: None becomes a typed placeholder."""
    if parameter.default is not None:
        return parameter.default
    kinds = typing.get_args(parameter.annotation) or (parameter.annotation,)
    kind = next((kind for kind in kinds if kind is not types.NoneType), object)
    return config_dict.placeholder(kind)


def selected(config: ConfigDict, section: str) -> tuple[str, dict[str, Any]]:
    """The name that a section selects and the fields of that component.

    Raises:
      UserError: the name is unknown, or fields of a component that is not selected are set.
    """
    registry, name = SECTIONS[section], config[section].name
    key = name.partition("/")[0]  # tfds/cifar10 is built by 'tfds'
    registry[key]
    others = [other for other in registry if other != key and other in config[section]]
    for other in others:
        for field, parameter in registry.fields(other).items():
            if _plain(config[section][other].get(field, parameter.default)) != _plain(parameter.default):
                raise UserError(
                    f"{section}.{other}.{field} is set, but {section}.name is '{name}': set "
                    f"{section}.name={other}, or leave {section}.{other} alone"
                )
    fields = config[section][key].to_dict() if key in config[section] else {}
    return name, {field: tuple(v) if isinstance(v, list) else v for field, v in fields.items()}


def essential(config: ConfigDict) -> dict[str, Any]:
    """The config as nested dicts, without the fields of components that are not selected."""
    tree = config.to_dict()
    for section, registry in SECTIONS.items():
        chosen = config[section].name.partition("/")[0]
        tree[section] = {k: v for k, v in tree[section].items() if k == chosen or k not in registry}
    return tree


def import_modules(config: ConfigDict) -> None:
    """Imports the user's own modules, which register their components."""
    for module in config.modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise UserError(f"modules={tuple(config.modules)}: {error}; put it on PYTHONPATH") from error


def check(config: ConfigDict) -> None:
    """Refuses, before anything is built or written, what can be seen in the config alone."""
    for section in SECTIONS:
        selected(config, section)
    LATENTS[config.latent]
    if config.update_order not in UPDATE_ORDERS:
        raise UserError(
            f"update_order='{config.update_order}' is not known; choose one of {', '.join(UPDATE_ORDERS)}"
        )
    counts = "num_steps batch_size steps_per_call latent_dim discriminator_steps log_every checkpoints_kept"
    for field in counts.split():
        if config[field] < 1:
            raise UserError(f"{field}={config[field]} must be at least 1")
    for field in "sample_every checkpoint_every profile_at".split():
        if config[field] < 0:
            raise UserError(f"{field}={config[field]} must be at least 0 (0: never)")
    if config.dataset.fallback:
        DATASETS[config.dataset.fallback.partition("/")[0]]
    if config.profile_at > config.num_steps:
        raise UserError(f"profile_at={config.profile_at} lies beyond num_steps={config.num_steps}")
    if not 0 <= config.ema_decay < 1:
        raise UserError(f"ema_decay={config.ema_decay} must lie in [0, 1)")
    if not 0 <= config.seed < 2**32:
        raise UserError(f"seed={config.seed} must lie in [0, 2^32)")


def load_dataset(config: ConfigDict, split: str = "train") -> Dataset:
    """The data set that the config names."""
    name, fields = selected(config, "dataset")
    section = config.dataset
    return datasets.load(
        name,
        split,
        path=section.path,
        image_size=section.image_size,
        fallback=section.fallback,
        **fields,
    )


def make_gan(config: ConfigDict, shape: tuple[int, ...], axis_name: str | None = None) -> GAN:
    """The networks, losses and optimizers that the config names, for examples of `shape`."""

    def build(section, *args):
        name, fields = selected(config, section)
        return SECTIONS[section][name](*args, **fields)

    return GAN(
        generator=build("generator", shape, axis_name),
        discriminator=build("discriminator", shape, axis_name),
        generator_optimizer=build("generator_optimizer"),
        discriminator_optimizer=build("discriminator_optimizer"),
        loss=build("loss"),
        schedule=SCHEDULES[config.schedule.name],
        latent=config.latent,
        latent_dim=config.latent_dim,
        shape=tuple(shape),
        discriminator_steps=config.discriminator_steps,
        update_order=config.update_order,
    )


def make_hyper(config: ConfigDict) -> dict[str, Any]:
    """The numeric knobs of the config that live in the state."""
    return {"ema_decay": config.ema_decay, "schedule": selected(config, "schedule")[1]}


def fix_schedule(config: ConfigDict) -> ConfigDict:
    """The config with the schedule's own length filled in: 0 means the `num_steps` of the new run."""
    config = ConfigDict(config, convert_dict=True)
    schedule = config.schedule[config.schedule.name]
    schedule.num_steps = schedule.num_steps or config.num_steps
    return config


# --- config.json ---------------------------------------------------------------------------------------


def read_record(workdir: Path) -> dict[str, Any] | None:
    """What `config.json` says, None where there is none; UserError if it cannot be read."""
    path = Path(workdir) / "config.json"
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text())
        if not {"config", "dataset"} <= record.keys():
            raise ValueError("no config, or no dataset")
        return record
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({error}): restore it, or choose another --workdir") from error


def write_record(workdir: Path, config: ConfigDict, dataset: Dataset) -> None:
    """Writes `config.json` in one move: the config, the data set really used, the libraries' versions."""
    import flax
    import optax
    import orbax.checkpoint

    libraries = (jax, flax, optax, orbax.checkpoint)
    record = {
        "config": config.to_dict(),
        "dataset": describe_dataset(dataset),
        "versions": {library.__name__: library.__version__ for library in libraries},
    }
    path = Path(workdir) / "config.json"
    temporary = path.with_suffix(".json.tmp")
    temporary.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
    os.replace(temporary, path)


def describe_dataset(dataset: Dataset) -> dict[str, Any]:
    """What `config.json` keeps of the data set that was really used."""
    return {
        "name": dataset.name,
        "fallback_for": dataset.fallback_for,
        "origin": dataset.origin,
        "fingerprint": dataset.fingerprint,
        "num_examples": len(dataset),
        "shape": list(dataset.shape),
    }


def require_same_dataset(dataset: Dataset, record: dict[str, Any], workdir: Path) -> None:
    """UserError if a run would go on with other data than it was trained on so far."""
    then, now = record["dataset"], describe_dataset(dataset)
    if then["fingerprint"] != now["fingerprint"]:
        raise UserError(
            f"{workdir} was trained on '{then['name']}' ({then['origin']}, hash {then['fingerprint'][:12]}), "
            f"but the config now finds '{now['name']}' ({now['origin']}, hash {now['fingerprint'][:12]}): "
            "give it the first data again (dataset.path, TFDS_DATA_DIR), or choose another --workdir"
        )


def recorded_config(record: dict[str, Any]) -> ConfigDict:
    """The config of a recorded run."""
    config = ConfigDict(record["config"])
    import_modules(config)
    return config


def agree(config: ConfigDict, record: dict[str, Any], workdir: Path) -> ConfigDict:
    """The config with which a recorded run goes on: `config` with the schedule's length as first fixed.

    Raises:
      UserError: a field differs that may not change.
    """
    config = ConfigDict(config, convert_dict=True)
    recorded = ConfigDict(record["config"])
    name = config.schedule.name
    if name == recorded.schedule.name and not config.schedule[name].num_steps:
        config.schedule[name].num_steps = recorded.schedule[name].num_steps
    old, new = (flatten(_plain(essential(c))) for c in (recorded, config))
    differing = [
        f"{field} (was {old.get(field)!r}, now {new.get(field)!r})"
        for field in sorted(old.keys() | new.keys())
        if old.get(field) != new.get(field) and field not in CHANGEABLE
    ]
    if differing:
        raise UserError(
            f"{workdir} holds a run with another config: {'; '.join(differing)}. Choose another --workdir, "
            "or set these fields back"
        )
    return config


def _plain(value):
    """As it comes back from JSON: tuples are lists."""
    return json.loads(json.dumps(value))


def flatten(tree: dict, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one: {"a": {"b": 1}} is {"a.b": 1}."""
    flat = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
