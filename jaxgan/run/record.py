"""The record of a run, `config.json`: its config, the data it was really trained on, the versions."""

import json
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from jaxgan.algorithm.gan import GAN
from jaxgan.config.conditions import classes_of
from jaxgan.config.essential import UNSAID, bring_up_to_date, component_defaults, essential
from jaxgan.config.fields import (
    flatten,
    import_modules,
    plain,
    schedules,
    section_of,
    with_own_modules,
)
from jaxgan.datasets import Dataset
from jaxgan.errors import UserError
from jaxgan.files import replace

# Where the networks come from at whose features terms look.
_NETWORKS = {
    "vgg_content": "file (regularizers.vgg_content.weights)",
    "classifier_content": "classifier (a file in the cache folder)",
}

# Fields that may change when a run is continued, because they do not affect earlier training.
CHANGEABLE = frozenset(
    "num_steps max_minutes steps_per_call log_every sample_every checkpoint_every eval_every "
    "checkpoints_kept profile_at modules parallel num_devices dataset.path dataset.max_device_bytes "
    "regularizers.vgg_content.weights".split()
)


def may_change(field: str) -> bool:
    """Whether a run may be continued with another value of this field, a dotted path."""
    return field in CHANGEABLE or field.startswith("evaluation.")


def read_record(workdir: Path) -> dict[str, Any] | None:
    """The content of `config.json`, None if there is none; UserError if it cannot be read."""
    path = Path(workdir) / "config.json"
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not {"config", "dataset"} <= record.keys():
            raise ValueError("no config, or no dataset")
        bring_up_to_date(record["config"])
        return record
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({error}): restore it, or choose another --workdir") from error


def write_record(workdir: Path, config: ConfigDict, dataset: Dataset, gan: GAN) -> None:
    """Writes `config.json` atomically: the config, the data set really used, the libraries' versions.

    And the hashes of the frozen networks at whose features terms look.
    """
    import flax
    import optax
    import orbax.checkpoint

    libraries = (jax, flax, optax, orbax.checkpoint)
    record = {
        "config": essential(with_own_modules(config)),
        "dataset": describe_dataset(dataset),
        "versions": {library.__name__: library.__version__ for library in libraries},
    }
    if config.condition.name == "labels":  # so that samples of classes can be drawn without the data
        record["dataset"] |= {"classes": classes_of(dataset), "class_names": dataset.class_names}
    if gan.features:
        record["features"] = {name: network.digest for name, network in gan.features.items()}
    path = Path(workdir) / "config.json"
    replace(path, json.dumps(record, indent=2, sort_keys=True) + "\n")


def describe_dataset(dataset: Dataset) -> dict[str, Any]:
    """The entry in `config.json` about the data set that was really used."""
    return {
        "name": dataset.name,
        "fallback_for": dataset.fallback_for,
        "origin": dataset.origin,
        "fingerprint": dataset.fingerprint,
        "num_examples": len(dataset),
        "shape": list(dataset.shape),
        "num_modes": dataset.num_modes,
    }


def require_same_dataset(dataset: Dataset, record: dict[str, Any], workdir: Path) -> None:
    """UserError if a run would be continued with other data than before."""
    then, now = record["dataset"], describe_dataset(dataset)
    if then["fingerprint"] != now["fingerprint"]:
        raise UserError(
            f"{workdir} was trained on '{then['name']}' ({then['origin']}, hash {then['fingerprint'][:12]}), "
            f"but the config now finds '{now['name']}' ({now['origin']}, hash {now['fingerprint'][:12]}): "
            "give it the first data again (dataset.path, TFDS_DATA_DIR), or choose another --workdir"
        )


def require_same_features(gan: GAN, record: dict[str, Any], workdir: Path) -> None:
    """UserError if terms of a continued run would look at other networks than before.

    Records of earlier versions have no hashes.
    """
    for name, network in (gan.features or {}).items():
        then = record.get("features", {}).get(name, network.digest)
        if then != network.digest:
            raise UserError(
                f"{workdir} was trained with other weights for regularizers.{name} (hash {then[:12]}, now "
                f"{network.digest[:12]}): give it the first {_NETWORKS[name]} again, or choose another "
                "--workdir"
            )


def recorded_config(record: dict[str, Any]) -> ConfigDict:
    """The config of a recorded run; fields that the record leaves out have their defaults."""
    absent = {"condition": {"name": "none"}, "task": {"name": "super_resolution"}}
    config = ConfigDict(absent | record["config"])
    for path, default in UNSAID.items():
        parent, _, last = path.rpartition(".")
        section = section_of(config, parent) if parent else config
        section[last] = section.get(last, default)
    import_modules(config)
    return config


def changes(config: ConfigDict, given: dict[str, Any], workdir: Path) -> dict[str, Any]:
    """The given fields of a config that belong to an evaluation of the run in `workdir`.

    Raises:
      UserError: a field would make it another run.
    """
    recorded = read_record(workdir)
    old, new = (flatten(plain(tree)) for tree in (recorded["config"] if recorded else {}, essential(config)))
    old = {**component_defaults(config), **old}
    for field in given.keys() & new.keys() if recorded else ():
        as_it_was = new[field] == old.get(field) or (field.endswith(".num_steps") and not new[field])
        if not as_it_was and not may_change(field):
            raise UserError(
                f"--config.{field}={given[field]}, but {workdir} holds a run that has "
                f"{old.get(field, 'nothing of the kind')}: leave it away, or choose another --workdir"
            )
    return {field: value for field, value in given.items() if field.startswith("evaluation.")}


def agree(config: ConfigDict, record: dict[str, Any], workdir: Path) -> ConfigDict:
    """The config to continue a recorded run: `config` with the schedule's length of the first start.

    Raises:
      UserError: a field differs that may not change.
    """
    config = ConfigDict(config, convert_dict=True)
    recorded = ConfigDict(record["config"])
    before = dict(schedules(recorded))
    for path, schedule in schedules(config):
        if path in before and "num_steps" in before[path] and not schedule.num_steps:
            schedule.num_steps = before[path].num_steps
    old, new = (flatten(plain(essential(c))) for c in (recorded, config))
    later = component_defaults(config)
    old |= {field: later[field] for field in new.keys() & later.keys() - old.keys()}
    differing = [
        f"{field} (was {old.get(field)!r}, now {new.get(field)!r})"
        for field in sorted(old.keys() | new.keys())
        if old.get(field) != new.get(field) and not may_change(field)
    ]
    if differing:
        raise UserError(
            f"{workdir} holds a run with another config: {'; '.join(differing)}. Choose another --workdir, "
            "or set these fields back"
        )
    return config
