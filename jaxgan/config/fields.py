"""The sections and fields of a config: made from what components declare, and read back."""

import importlib
import importlib.util
import json
import os
import traceback
from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict, config_dict

from jaxgan.algorithm.conditions import CONDITIONS
from jaxgan.algorithm.schedules import FORMS
from jaxgan.augment import AUGMENTATIONS
from jaxgan.datasets import DATASETS
from jaxgan.declarations import AtLeast, Field, OneOf, own_field
from jaxgan.errors import UserError
from jaxgan.extractors import EXTRACTORS
from jaxgan.losses import LOSSES
from jaxgan.metrics import STATISTICS
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.optimizers import OPTIMIZERS, SCHEDULES
from jaxgan.registry import Registry, union
from jaxgan.regularizers import FAMILIES
from jaxgan.tasks import TASKS

# Sections of the config that select one component by `name`.
SECTIONS = {
    "dataset": DATASETS,
    "condition": CONDITIONS,
    "task": TASKS,
    "generator": GENERATORS,
    "discriminator": DISCRIMINATORS,
    "loss": LOSSES,
    "generator_optimizer": OPTIMIZERS,
    "discriminator_optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "instance_noise.schedule": SCHEDULES,
    "evaluation.extractor": EXTRACTORS,
}
# Sections that select any number of them by `names`, applied in this order.
TRANSFORMATIONS = ("augment", "data_augment", "consistency_augment")
LISTS = {**dict.fromkeys(TRANSFORMATIONS, AUGMENTATIONS), "evaluation.statistics": STATISTICS}

PENALTIES = union("penalty", FAMILIES)

# Fields of every penalty, besides its schedule and its own fields.
OF_PENALTIES = (
    own_field("weight", 0.0, "weight of the penalty; 0: off", AtLeast(0)),
    own_field(
        "interval",
        1,
        "apply the penalty in every interval-th update, interval times as strong (lazy regularization)",
        AtLeast(1),
    ),
    own_field(
        "own_step",
        False,
        "an optimizer step of its own in every interval-th update; the discriminator's rate is then times "
        "k/(k+1), its betas are taken to that power, k the interval (StyleGAN2)",
    ),
)

# Fields of the schedule of every number.
OF_SCHEDULES = (
    own_field(
        "form", "", "how the number goes from its own value to the end; '': it does not", OneOf(("", *FORMS))
    ),
    own_field("end", 0.0, "where it ends"),
    own_field("from_step", 0, "the step at which it begins to change", AtLeast(0)),
    own_field("num_steps", 0, "steps that it takes; 0: up to num_steps of a new run", AtLeast(0)),
)


# --- What default.py is made of ---------------------------------------------------------------


def component(registry: Registry, name: str) -> ConfigDict:
    """The config section of a component: `name`, and for each known name its fields."""
    return ConfigDict({"name": name, **_fields(registry)})


def components(registry: Registry, *names: str) -> ConfigDict:
    """The config section of any number of components: `names`, and the fields of each known one."""
    return ConfigDict({"names": names, **_fields(registry)})


def regularizers() -> ConfigDict:
    """The config section of the penalties: of each its weight, interval, schedule and own fields."""
    section = ConfigDict()
    for registry in FAMILIES.values():
        for name, fields in _fields(registry).items():
            schedule = component(SCHEDULES, "constant")
            common = {field.name: field.default for field in OF_PENALTIES}
            section[name] = {**common, "schedule": schedule, **fields}
    return section


def _fields(registry: Registry) -> dict[str, ConfigDict]:
    return {
        name: ConfigDict({field: _default(entry) for field, entry in registry.fields(name).items()})
        for name in registry
    }


def _default(field: Field):
    """A field's default as a config value: None becomes a typed placeholder."""
    if field.default is not None:
        return field.default
    return config_dict.placeholder(field.kind if isinstance(field.kind, type) else object)


# --- Reading a config ---------------------------------------------------------------------------------


def sections(config: ConfigDict) -> dict[str, Registry]:
    """The sections that select one component: dotted path → registry."""
    own = {f"regularizers.{name}.schedule": SCHEDULES for name in config.regularizers}
    return {**SECTIONS, **own}


def section_of(config: ConfigDict, path: str) -> ConfigDict:
    """The part of the config at a dotted path."""
    for name in path.split("."):
        config = config[name]
    return config


def selected(config: ConfigDict, path: str) -> tuple[str, dict[str, Any]]:
    """The name that a section selects and the fields of that component.

    Raises:
      UserError: the name is unknown, or fields of a component that is not selected are set.
    """
    registry, section = sections(config)[path], section_of(config, path)
    key = section.name.partition("/")[0]  # tfds/cifar10 is built by 'tfds'
    registry[key]
    _refuse_unused(registry, section, path, {key}, f"{path}.name is '{section.name}': set {path}.name=")
    return section.name, _checked(registry, key, _values(section, key), f"{path}.{key}")


def listed(config: ConfigDict, path: str) -> dict[str, dict[str, Any]]:
    """Of a section with `names`: the fields of each, in their order."""
    registry, section = LISTS[path], section_of(config, path)
    names = names_of(section)
    for name in names:
        registry[name]
    remedy = f"{path}.names does not have it: set {path}.names={','.join([*names, ''])}"
    _refuse_unused(registry, section, path, set(names), remedy)
    return {name: _checked(registry, name, _values(section, name), f"{path}.{name}") for name in names}


def names_of(section: ConfigDict) -> tuple[str, ...]:
    """The names of a section; on the command line they are one string, joined by commas."""
    return tuple(name for entry in section.names for name in entry.split(","))


def _refuse_unused(registry, section, path, used, remedy):
    for other in (other for other in registry if other not in used and other in section):
        for field, entry in registry.fields(other).items():
            if plain(section[other].get(field, entry.default)) != plain(entry.default):
                raise UserError(
                    f"{path}.{other}.{field} is set, but {remedy}{other}, or leave {path}.{other} alone"
                )


def _checked(registry: Registry, name: str, values: dict[str, Any], path: str) -> dict[str, Any]:
    """The values, checked against their declared ranges. A recorded config may have further fields."""
    known = registry.fields(name)
    return {f: known[f].convert(v, f"{path}.{f}") if f in known else v for f, v in values.items()}


def _values(section: ConfigDict, key: str) -> dict[str, Any]:
    fields = section[key].to_dict() if key in section else {}
    return {field: tuple(v) if isinstance(v, list) else v for field, v in fields.items()}


def active_regularizers(config: ConfigDict) -> dict[str, ConfigDict]:
    """The penalties whose weight is not zero."""
    return {name: section for name, section in config.regularizers.items() if section.weight}


def own_fields(section: ConfigDict) -> dict[str, Any]:
    """A penalty's own fields, without those that every penalty has."""
    common = {"schedule", *(field.name for field in OF_PENALTIES)}
    return {field: value for field, value in section.items() if field not in common}


def walk_schedules(config: ConfigDict) -> Iterator[tuple[str, dict[str, Any]]]:
    """The schedule of every number, by the number's field. Records have only those that are set."""

    def walk(part, path):
        if "form" in part:
            yield path[1:], part
            return
        for name, below in part.items():
            yield from walk(below, f"{path}.{name}")

    yield from walk(config.schedules.to_dict() if "schedules" in config else {}, "")


def scheduled(config: ConfigDict) -> dict[str, ConfigDict]:
    """The schedules that are set, by the field of their number."""
    return {
        path: section_of(config, f"schedules.{path}") for path, part in walk_schedules(config) if part["form"]
    }


def schedules(config: ConfigDict) -> Iterator[tuple[str, ConfigDict]]:
    """The fields of every selected schedule that is in use, with its path."""
    paths = ["schedule"]
    if "instance_noise" in config and config.instance_noise.stddev:
        paths.append("instance_noise.schedule")
    paths += [f"regularizers.{name}.schedule" for name in active_regularizers(config)]
    for path in paths:
        section = section_of(config, path)
        yield path, section[section.name]
    for path, part in scheduled(config).items():
        yield f"schedules.{path}", part


def fix_schedule(config: ConfigDict) -> ConfigDict:
    """The config with every schedule's own length filled in: 0 means the `num_steps` of the new run."""
    config = ConfigDict(config, convert_dict=True)
    for _, schedule in schedules(config):
        left = config.num_steps - schedule.get("from_step", 0)
        schedule.num_steps = schedule.num_steps or max(left, 1)
    return config


def import_modules(config: ConfigDict) -> None:
    """Imports the user's own modules, which register their components."""
    for module in config.modules:
        try:
            importlib.import_module(module)
        except UserError:
            raise
        except Exception as error:
            absent = getattr(error, "name", None)
            if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{absent}."):
                raise UserError(f"modules={tuple(config.modules)}: {error}; put it on PYTHONPATH") from error
            reason = " ".join(str(error).split())[:160]
            raise UserError(
                f"importing your module '{module}' fails at {_place(error)}: {type(error).__name__}: {reason}"
            ) from error


def _place(error: Exception) -> str:
    """File and line of an error that an import raised, without the import machinery."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{os.path.basename(error.filename)}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "<frozen" not in frame.filename]
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}"


def with_own_modules(config: ConfigDict) -> ConfigDict:
    """The config with the modules of all selected user components added to `modules`.

    A config file may have imported them without naming them; sampling from the run imports them by name.
    Components without an importable module (of a notebook) are left out.
    """
    chosen = [
        (registry, name) for path, registry in LISTS.items() for name in names_of(section_of(config, path))
    ]
    chosen += [
        (registry, section_of(config, path).name.partition("/")[0])
        for path, registry in sections(config).items()
    ]
    for registry in FAMILIES.values():
        chosen += [(registry, name) for name in active_regularizers(config) if name in registry]
    found = {registry.module(name) for registry, name in chosen}
    own = sorted(name for name in found - set(config.modules) if _is_own(name))
    if not own:
        return config
    config = ConfigDict(config, convert_dict=True)
    with config.unlocked():
        config.modules = (*config.modules, *own)
    return config


def _is_own(module: str) -> bool:
    if module.startswith("jaxgan.") or module == "__main__":
        return False
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def is_met(need: str, flat: dict[str, Any]) -> bool:
    """Whether a flat config has a value in a field, or with FIELD=VALUE this one; records lack some."""
    field, _, wanted = need.partition("=")
    return str(flat.get(field)) == wanted if wanted else bool(flat.get(field))


def plain(value):
    """As it comes back from JSON: tuples are lists."""
    return json.loads(json.dumps(value))


def flatten(tree: dict, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one: {"a": {"b": 1}} is {"a.b": 1}."""
    flat = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
