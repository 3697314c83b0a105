"""What the record of a run says of its config, and what a record from an earlier version means."""

from typing import Any

from ml_collections import ConfigDict

from jaxgan.config.fields import (
    LISTS,
    PENALTIES,
    active_regularizers,
    names_of,
    plain,
    scheduled,
    section_of,
    sections,
)

# Fields that a record leaves out at their defaults, so that runs from before them keep theirs.
UNSAID = {
    "max_minutes": 0.0,
    "image_pool": 0,
    "augment.multipliers": (),
    "dataset.hold_out": False,
    "ema_half_life": 0.0,
    "ema_rampup": 0.0,
    "generator_batch": "shared",
    "evaluation.standing_statistics": 0,
    "evaluation.direction": "AtoB",
    "nonfinite_gradients": "keep",
}


# What runs did from before a component had the field, where its default does something else.
BEFORE = {"task.inpainting.keep": False, "task.colouring.keep": False}

# Fields that components no longer have, with the value that changes nothing.
GONE = {"generator.r3gan.plain": False, "discriminator.r3gan.plain": False}


def bring_up_to_date(recorded: dict[str, Any]) -> None:
    """Adds the fields of `BEFORE` to a recorded config, nested dicts, and removes those of `GONE`."""
    for path, value in (BEFORE | GONE).items():
        *parents, last = path.split(".")
        section = recorded
        for name in parents:
            section = section.get(name, {})
        if path in BEFORE and section:
            section.setdefault(last, value)
        elif path in GONE and section.get(last) == value:
            del section[last]


def essential(config: ConfigDict) -> dict[str, Any]:
    """The config as nested dicts, without the fields of components that are not selected."""
    tree = config.to_dict()
    for path, default in UNSAID.items():
        *parents, last = path.split(".")
        section = tree
        for name in parents:
            section = section[name]
        if section.get(last, default) == default:
            section.pop(last, None)
    tree.pop("schedules", None)
    for path, part in scheduled(config).items():
        section = tree
        for name in ("schedules", *path.split(".")):
            section = section.setdefault(name, {})
        section |= part.to_dict()
    active = active_regularizers(config)
    tree["regularizers"] = {name: tree["regularizers"][name] for name in active}
    for section in tree["regularizers"].values():
        if not section.get("own_step", False):
            section.pop("own_step", None)
    for path, registry in (sections(config) | LISTS).items():
        *parents, last = path.split(".")
        parent = tree
        for name in parents:
            parent = parent.get(name, {})
        if section := parent.get(last):
            if path in LISTS:
                section["names"] = chosen = names_of(section_of(config, path))
            else:
                chosen = [section["name"].partition("/")[0]]
            parent[last] = {k: v for k, v in section.items() if k in chosen or k not in registry}
    condition = tree.get("condition", {}).get("name", "none")  # as in records from before these fields
    if condition == "none":
        tree.pop("condition", None)
    if condition != "image":
        tree.pop("task", None)
    return tree


def component_defaults(config: ConfigDict) -> dict[str, Any]:
    """Dotted path → default of the own fields of all components.

    A run from before such a field has it at its default: a new field's default must change no program, or
    `BEFORE` says what was done.
    """
    found = {}
    for path, registry in (sections(config) | LISTS | {"regularizers": PENALTIES}).items():
        for name in registry:
            for field, entry in registry.fields(name).items():
                found[f"{path}.{name}.{field}"] = plain(entry.default)
    return found
