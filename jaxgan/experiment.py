"""From a config to the objects that it names.

Only this file and the jobs beside it (`train.py`, `sample.py`, ...) see a config; all below take plain
keyword arguments.
"""

import importlib
import inspect
import json
import types
import typing
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict, config_dict

from jaxgan import datasets
from jaxgan.augment import AUGMENTATIONS
from jaxgan.datasets import DATASETS, Dataset
from jaxgan.errors import UserError
from jaxgan.gan import GAN, Regularizer, packed_shape
from jaxgan.losses import LOSSES
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.models.multi import MultiGenerator
from jaxgan.optimizers import OPTIMIZERS, SCHEDULES
from jaxgan.registry import Registry
from jaxgan.regularizers import FAMILIES, family_of

# Sections of the config that select one component by `name`.
SECTIONS = {
    "dataset": DATASETS,
    "generator": GENERATORS,
    "discriminator": DISCRIMINATORS,
    "loss": LOSSES,
    "generator_optimizer": OPTIMIZERS,
    "discriminator_optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "instance_noise.schedule": SCHEDULES,
}
# Sections that select any number of them by `names`, applied in this order.
LISTS = ("augment", "data_augment", "consistency_augment")


# --- What configs/default.py is made of ---------------------------------------------------------------


def component(registry: Registry, name: str) -> ConfigDict:
    """The config section of a component: `name`, and for each known name the fields of its builder."""
    return ConfigDict({"name": name, **_fields(registry)})


def components(registry: Registry, *names: str) -> ConfigDict:
    """The config section of any number of components: `names`, and the fields of each known builder."""
    return ConfigDict({"names": names, **_fields(registry)})


def regularizers() -> ConfigDict:
    """The config section of the penalties: of each its weight, interval, schedule and own fields."""
    section = ConfigDict()
    for registry in FAMILIES.values():
        for name, fields in _fields(registry).items():
            schedule = component(SCHEDULES, "constant")
            section[name] = {"weight": 0.0, "interval": 1, "schedule": schedule, **fields}
    return section


def _fields(registry: Registry) -> dict[str, ConfigDict]:
    return {
        name: ConfigDict({field: _default(parameter) for field, parameter in registry.fields(name).items()})
        for name in registry
    }


def _default(parameter: inspect.Parameter):
    """A builder's default as a config value: None becomes a typed placeholder."""
    if parameter.default is not None:
        return parameter.default
    kinds = typing.get_args(parameter.annotation) or (parameter.annotation,)
    kind = next((kind for kind in kinds if kind is not types.NoneType), object)
    return config_dict.placeholder(kind)


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
    return section.name, _values(section, key)


def listed(config: ConfigDict, path: str) -> dict[str, dict[str, Any]]:
    """Of a section with `names`: the fields of each, in their order."""
    section = section_of(config, path)
    names = names_of(section)
    for name in names:
        AUGMENTATIONS[name]
    remedy = f"{path}.names does not have it: set {path}.names={','.join([*names, ''])}"
    _refuse_unused(AUGMENTATIONS, section, path, set(names), remedy)
    return {name: _values(section, name) for name in names}


def names_of(section: ConfigDict) -> tuple[str, ...]:
    """The names of a section; the command line gives several as one, joined by commas."""
    return tuple(name for entry in section.names for name in entry.split(","))


def _refuse_unused(registry, section, path, used, remedy):
    for other in (other for other in registry if other not in used and other in section):
        for field, parameter in registry.fields(other).items():
            if plain(section[other].get(field, parameter.default)) != plain(parameter.default):
                raise UserError(
                    f"{path}.{other}.{field} is set, but {remedy}{other}, or leave {path}.{other} alone"
                )


def _values(section: ConfigDict, key: str) -> dict[str, Any]:
    fields = section[key].to_dict() if key in section else {}
    return {field: tuple(v) if isinstance(v, list) else v for field, v in fields.items()}


def active_regularizers(config: ConfigDict) -> dict[str, ConfigDict]:
    """The penalties whose weight is not zero."""
    return {name: section for name, section in config.regularizers.items() if section.weight}


def schedules(config: ConfigDict) -> Iterator[tuple[str, ConfigDict]]:
    """The fields of every selected schedule that is in use, with its path."""
    paths = ["schedule"]
    if "instance_noise" in config and config.instance_noise.stddev:
        paths.append("instance_noise.schedule")
    paths += [f"regularizers.{name}.schedule" for name in active_regularizers(config)]
    for path in paths:
        section = section_of(config, path)
        yield path, section[section.name]


def fix_schedule(config: ConfigDict) -> ConfigDict:
    """The config with every schedule's own length filled in: 0 means the `num_steps` of the new run."""
    config = ConfigDict(config, convert_dict=True)
    for _, schedule in schedules(config):
        schedule.num_steps = schedule.num_steps or config.num_steps
    return config


def essential(config: ConfigDict) -> dict[str, Any]:
    """The config as nested dicts, without the fields of components that are not selected."""
    tree = config.to_dict()
    active = active_regularizers(config)
    tree["regularizers"] = {name: tree["regularizers"][name] for name in active}
    for path, registry in sections(config).items():
        *parents, last = path.split(".")
        parent = tree
        for name in parents:
            parent = parent.get(name, {})
        if last in parent:
            chosen = parent[last]["name"].partition("/")[0]
            kept = {k: v for k, v in parent[last].items() if k == chosen or k not in registry}
            parent[last] = kept
    for path in LISTS:
        names = names_of(config[path])
        tree[path] = {k: v for k, v in tree[path].items() if k in names or k not in AUGMENTATIONS}
        tree[path]["names"] = names
    return tree


def import_modules(config: ConfigDict) -> None:
    """Imports the user's own modules, which register their components."""
    for module in config.modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise UserError(f"modules={tuple(config.modules)}: {error}; put it on PYTHONPATH") from error


# --- Building -----------------------------------------------------------------------------------------


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
    """The networks, losses, penalties and optimizers that the config names, for examples of `shape`.

    Raises:
      UserError: components that the config combines do not fit together, or not this shape.
    """

    def build(path, *args):
        name, fields = selected(config, path)
        return SECTIONS[path][name](*args, **fields)

    def bind(registry, name, fields):
        registry[name](**fields)  # refuses fields that are out of range
        return registry.bind(name, **fields)[0]

    def augmentations(path):
        return {name: bind(AUGMENTATIONS, name, fields) for name, fields in listed(config, path).items()}

    def regularizer(name, section):
        family = family_of(name)
        build = bind(FAMILIES[family], name, _own_fields(section))
        return Regularizer(family, build, section.interval, SCHEDULES[section.schedule.name])

    generator = build("generator", shape, axis_name)
    outputs = config.num_generators + 1 if config.num_generators > 1 else 1
    gan = GAN(
        generator=MultiGenerator(generator, config.num_generators) if outputs > 1 else generator,
        discriminator=build("discriminator", packed_shape(shape, config.packing), axis_name, outputs),
        generator_optimizer=build("generator_optimizer"),
        discriminator_optimizer=build("discriminator_optimizer"),
        loss=bind(LOSSES, *selected(config, "loss")),
        schedule=SCHEDULES[config.schedule.name],
        latent=config.latent,
        latent_dim=config.latent_dim,
        shape=tuple(shape),
        latent_fields=latent_fields(config),
        discriminator_steps=config.discriminator_steps,
        generator_steps=config.generator_steps,
        update_order=config.update_order,
        regularizers={name: regularizer(name, part) for name, part in active_regularizers(config).items()},
        augment=augmentations("augment"),
        data_augment=augmentations("data_augment"),
        consistency_augment=augmentations("consistency_augment"),
        adaptive_interval=config.augment.adaptive_interval,
        instance_noise=SCHEDULES[config.instance_noise.schedule.name],
        packing=config.packing,
        num_generators=config.num_generators,
        unrolled_steps=config.unrolled_steps,
        accumulate=config.accumulate,
        lookahead_every=config.lookahead_every,
        compute_dtype=config.compute_dtype,
    )
    _require_points_or_images(gan)
    _refuse_batch_norm_under_gradient_penalties(gan, config)
    return gan


def _own_fields(section: ConfigDict) -> dict[str, Any]:
    common = ("weight", "interval", "schedule")
    return {field: value for field, value in section.items() if field not in common}


def latent_fields(config: ConfigDict) -> dict[str, float]:
    """The numbers of the latent distribution."""
    return {"threshold": config.latent_threshold} if config.latent == "truncated" else {}


def make_hyper(config: ConfigDict, labels: np.ndarray | None = None) -> dict[str, Any]:
    """The numeric knobs of the config that live in the state; one that is switched off is absent.

    Args:
      config: the config.
      labels: int32 `[N]`, of the data set; classes are weighted by how many of them it has.
    """

    def numbers(path):
        return selected(config, path)[1]

    name, fields = selected(config, "loss")
    weights = {"discriminator": config.discriminator_loss_weight, "generator": config.generator_loss_weight}
    clip_norm = {"generator": config.generator_clip_norm, "discriminator": config.discriminator_clip_norm}
    hyper = {
        "ema_decay": config.ema_decay,
        "loss_weight": {network: weight for network, weight in weights.items() if weight},
        "loss": LOSSES.bind(name, **fields)[1],
        "schedule": numbers("schedule"),
        "regularizers": {
            name: {
                "weight": section.weight,
                "schedule": numbers(f"regularizers.{name}.schedule"),
                "fields": FAMILIES[family_of(name)].bind(name, **_own_fields(section))[1],
            }
            for name, section in active_regularizers(config).items()
        },
        "clip_norm": {network: bound for network, bound in clip_norm.items() if bound},
    }
    for path in LISTS:
        hyper[path] = {
            name: AUGMENTATIONS.bind(name, **fields)[1] for name, fields in listed(config, path).items()
        }
    if config.augment.adaptive or config.augment.probability != 1:
        hyper["augment_probability"] = config.augment.probability
    if config.augment.adaptive:
        hyper["adaptive"] = {"target": config.augment.target, "length": config.augment.length}
    if config.instance_noise.stddev:
        hyper["instance_noise"] = {
            "stddev": config.instance_noise.stddev,
            "schedule": numbers("instance_noise.schedule"),
        }
    if config.label_flip:
        hyper["label_flip"] = config.label_flip
    if config.top_k:
        hyper["top_k"] = {"k": config.top_k, "num_steps": config.top_k_steps}
    if config.lookahead_every:
        hyper["lookahead_alpha"] = config.lookahead_alpha
    if config.class_balance == "weights":
        hyper["class_weights"] = class_weights(labels, config.class_weights)
    return hyper


def class_weights(labels: np.ndarray, weights: tuple[float, ...]) -> np.ndarray:
    """Weights `[K]` of the classes, scaled so that their mean over the data set is 1.

    Args:
      labels: int32 `[N]`.
      weights: one for each of the K classes; none: the inverse of each class's frequency.
    """
    counts = np.bincount(labels)
    if weights and len(weights) != len(counts):
        raise UserError(
            f"class_weights has {len(weights)} numbers, but the data set has {len(counts)} classes: give one "
            "for each, or none for the inverse of each class's frequency"
        )
    chosen = np.asarray(weights, np.float64) if weights else 1 / np.maximum(counts, 1)
    return (chosen * len(labels) / (chosen * counts).sum()).astype(np.float32)


def _require_points_or_images(gan: GAN) -> None:
    for path in LISTS:
        if getattr(gan, path) and not gan.is_images:
            raise UserError(f"{path}.names transform images, but an example has shape {gan.shape}")


def _refuse_batch_norm_under_gradient_penalties(gan: GAN, config: ConfigDict) -> None:
    penalties = gan.family("gradient")
    if not penalties:
        return
    inputs = jnp.zeros((1, *packed_shape(gan.shape, gan.packing)))
    variables = jax.eval_shape(gan.discriminator.init, jax.random.key(0), inputs)
    paths = jax.tree_util.tree_flatten_with_path(variables.get("batch_stats", {}))[0]
    if any(getattr(path[-1], "key", "") == "mean" for path, _ in paths):
        name = config.discriminator.name
        raise UserError(
            f"regularizers.{min(penalties)} asks for the gradient of each example's own logit, but batch "
            f"norm makes a logit depend on the whole batch: set discriminator.{name}.batch_norm=False "
            "(spectral norm does no such thing), or the penalty's weight to 0"
        )


def plain(value):
    """As it comes back from JSON: tuples are lists."""
    return json.loads(json.dumps(value))


def flatten(tree: dict, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one: {"a": {"b": 1}} is {"a.b": 1}."""
    flat = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
