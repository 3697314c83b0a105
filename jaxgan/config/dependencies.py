"""Fields that have an effect only if another field is set. Otherwise they are refused, or reset."""

from collections.abc import Collection
from typing import Any

from ml_collections import ConfigDict

from jaxgan.config.fields import (
    LISTS,
    active_regularizers,
    flatten,
    is_met,
    names_of,
    plain,
    regularizers,
    section_of,
    sections,
)
from jaxgan.config.schedules import idle_schedules
from jaxgan.errors import UserError

# Fields that need another field, or a value of it, to have an effect; with their defaults.
NEEDS = {
    "lookahead_every": {"lookahead_alpha": 0.5},
    "condition.name=image": {"task.name": "super_resolution"},
    "condition.codes.continuous": {"regularizers.information.variance": "fixed"},
    "regularizers.information.continuous": {"regularizers.information.variance": "fixed"},
    "task.name=unpaired": {"evaluation.direction": "AtoB"},
    "top_k": {"top_k_steps": 0},
    "latent=truncated": {"latent_threshold": 2.0},
    "class_balance=weights": {"class_weights": ()},
    "instance_noise.stddev": {
        "instance_noise.schedule.name": "constant",
        "instance_noise.schedule.constant.num_steps": 0,
        "instance_noise.schedule.constant.warmup_steps": 0,
    },
    "augment.names": {"augment.adaptive": False, "augment.probability": 1.0, "augment.multipliers": ()},
    "augment.adaptive": {"augment.target": 0.6, "augment.length": 500_000.0, "augment.adaptive_interval": 4},
    "ema_half_life=0.0": {"ema_decay": 0.999},
    "ema_half_life": {"ema_rampup": 0.0},
    "eval_every": {"evaluation.best": ""},
    "evaluation.best": {"evaluation.best_is": "lowest"},
    "generator.dcgan.activation=leaky_relu": {"generator.dcgan.slope": 0.2},
    "generator.mlp.activation=leaky_relu": {"generator.mlp.slope": 0.2},
    "discriminator.dcgan.activation=leaky_relu": {"discriminator.dcgan.slope": 0.2},
    "discriminator.mlp.activation=leaky_relu": {"discriminator.mlp.slope": 0.2},
    "discriminator.mlp.maxout=0": {
        "discriminator.mlp.activation": "leaky_relu",
        "discriminator.mlp.slope": 0.2,
    },
}
EXPLAINED = {  # what a field is for, where the name of another field does not say it
    "evaluation.direction": "it chooses which of two translations is measured, and only a run on unpaired "
    "pictures (task.name=unpaired) has two"
}
CONSISTENCY = {"cr", "bcr"}  # of images that are transformed
_WITHOUT_A_PATH = ("digits", "ring", "grid")


def refuse_idle(config: ConfigDict) -> None:
    """Refuses fields that are set, but have no effect because of another field.

    Raises:
      UserError: there is one, with the remedy.
    """
    flat = flatten(config.to_dict())  # a recorded one has no fields of what was not selected
    for need, fields in NEEDS.items():
        for field, default in fields.items():
            if plain(flat.get(field, default)) != plain(default) and not is_met(need, flat):
                if field in EXPLAINED:
                    why = EXPLAINED[field]
                    raise UserError(f"{field} is set, but {why}: leave it out, or set {field}={default}")
                other = need.partition("=")[0]
                found = repr(flat.get(other, "none"))
                raise UserError(f"{field} is set, but {other} is {found}: set {need}, or {field}={default}")
    if config.dataset.path and config.dataset.name in _WITHOUT_A_PATH:
        raise UserError(f"dataset.path is set, but '{config.dataset.name}' needs no file: leave it alone")


def reset_idle(config: ConfigDict, switches: Collection[str], keep: Collection[str]) -> None:
    """Resets fields to their defaults if another field leaves them without effect.

    So one field switches a trick off that a config file or the command line has set up.

    Args:
      config: its fields are set.
      switches: the fields that may switch something off.
      keep: fields that stay as they are, and are refused then.
    """
    moved = set(switches)
    while True:
        flat = flatten(config.to_dict())
        idle = {
            field: default
            for field, default in _idle(config, flat, moved).items()
            if field in flat.keys() - set(keep) and plain(flat[field]) != plain(default)
        }
        if not idle:
            return
        config.update_from_flattened_dict(idle)
        moved |= idle.keys()


def _idle(config: ConfigDict, flat: dict[str, Any], moved: Collection[str]) -> dict[str, Any]:
    """The fields that have no effect because of one of those that were `moved`, with their defaults."""
    idle: dict[str, Any] = idle_schedules(config, flat, moved)
    for need, fields in NEEDS.items():
        if need.partition("=")[0] in moved and not is_met(need, flat):
            idle |= fields
    defaults, active = regularizers(), active_regularizers(config).keys()
    for name in set(config.regularizers) - active:
        if f"regularizers.{name}.weight" in moved:
            idle |= flatten(defaults[name].to_dict(), f"regularizers.{name}.")
            if name in CONSISTENCY and not CONSISTENCY & active:
                idle["consistency_augment.names"] = ()
    for path, registry in (sections(config) | LISTS).items():
        if {f"{path}.name", f"{path}.names"} & set(moved):  # fields of what is not selected any more
            section = section_of(config, path)
            chosen = names_of(section) if path in LISTS else (section.name.partition("/")[0],)
            for other in set(registry) - set(chosen):
                fields = registry.fields(other).items()
                idle |= {f"{path}.{other}.{field}": entry.default for field, entry in fields}
    if "dataset.name" in moved and config.dataset.name in _WITHOUT_A_PATH:
        idle["dataset.path"] = ""
    return idle
