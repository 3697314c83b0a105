"""Builds the objects that a config names.

Only this package and those above it see a config (`tests/test_layering.py`). All below take plain keyword
arguments.
"""

import functools
import re
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Float, Int
from ml_collections import ConfigDict

from jaxgan import datasets
from jaxgan.algorithm.gan import GAN, Regularizer, packed_shape
from jaxgan.algorithm.train_state import variable_shapes
from jaxgan.augment import AUGMENTATIONS
from jaxgan.config.conditions import (
    condition_numbers,
    make_condition,
    num_outputs,
    require_features,
    told_shape,
    with_condition,
)
from jaxgan.config.fields import (
    SECTIONS,
    TRANSFORMATIONS,
    active_regularizers,
    listed,
    own_fields,
    scheduled,
    selected,
)
from jaxgan.config.schedules import for_own_steps, make_schedules, schedule_numbers
from jaxgan.datasets import Dataset
from jaxgan.errors import UserError
from jaxgan.extractors import EXTRACTORS, Frozen
from jaxgan.extractors.vgg import vgg_features
from jaxgan.losses import LOSSES
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.models.multi import MultiGenerator
from jaxgan.optimizers import SCHEDULES
from jaxgan.regularizers import FAMILIES, family_of


def load_dataset(config: ConfigDict, split: str = "train") -> Dataset:
    """The data set that the config names.

    Args:
      config: the config.
      split: 'train' or 'test'. With `dataset.hold_out` 'test' is the validation part, and 'train' is without
        it.
    """
    name, fields = selected(config, "dataset")
    section = config.dataset
    hold_out = section.get("hold_out", False)
    dataset = datasets.load(
        name,
        "train" if hold_out else split,
        path=section.path,
        image_size=section.image_size,
        fallback=section.fallback,
        **fields,
    )
    return datasets.validation_split(dataset, split) if hold_out else dataset


def without_hold_out(config: ConfigDict) -> ConfigDict:
    """The config with the whole training set, and the test set where it is evaluated."""
    if not config.dataset.get("hold_out", False):
        return config
    config = config.copy_and_resolve_references()
    config.dataset.hold_out = False
    return config


def make_gan(
    config: ConfigDict,
    shape: tuple[int, ...],
    axis_name: str | None = None,
    classes: tuple[int, ...] = (),
    with_features: bool = False,
) -> GAN:
    """The networks, losses, penalties and optimizers that the config names.

    Args:
      config: the config.
      shape: of one example as it is stored.
      axis_name: the device axis, under pmap.
      classes: the labels that the data has; a condition may need them.
      with_features: for training, also the frozen networks at whose features terms look. A classifier reads
        the data.

    Raises:
      UserError: components that the config combines do not fit together, or not this shape.
    """

    def build(path, **given):
        name, fields = selected(config, path)
        return SECTIONS[path][name](**given, **fields)

    def bind(registry, name, fields):
        registry[name](**fields)  # refuses fields that are out of range
        return registry.bind(name, **fields)[0]

    def augmentations(path):
        return {name: bind(AUGMENTATIONS, name, fields) for name, fields in listed(config, path).items()}

    def regularizer(name, section):
        family = family_of(name)
        build = bind(FAMILIES[family], name, own_fields(section))
        schedule = SCHEDULES[section.schedule.name]
        return Regularizer(family, build, section.interval, schedule, section.get("own_step", False))

    devices = {"axis_name": axis_name, "synchronized": config.batch_statistics == "synchronized"}
    condition, stored_shape = make_condition(config, classes, shape), tuple(shape)
    shape = condition.shape if condition and condition.shape else stored_shape
    image = condition.example.get("image") if condition else None
    given = {} if image is None else {"given_shape": image.shape[1:]}
    outputs = num_outputs(config, condition)
    packed = told_shape(config, packed_shape(shape, config.packing), condition)
    made, pairs = shape, condition is not None and "partner" in condition.reads
    if pairs:  # each network sees one image
        made = packed = stored_shape
        given = {"given_shape": stored_shape}
    generator = build("generator", shape=made, **devices, **given)
    discriminator = build("discriminator", shape=packed, outputs=outputs, **devices)
    _require_declared(config, discriminator, outputs)
    penalties = {name: regularizer(name, part) for name, part in active_regularizers(config).items()}
    heads = {n: entry.build() for n, entry in penalties.items() if entry.family == "class"}
    conditioned = functools.partial(with_condition, config, condition, losses=heads)
    _refuse_spectral_norm_of_nothing(
        config,
        conditioned,
        {"generator": generator, "discriminator": discriminator},
        {"generator": (config.latent_dim,), "discriminator": packed_shape(shape, config.packing)},
        condition.example if condition else {},
    )
    if config.num_generators > 1:
        generator = MultiGenerator(generator, config.num_generators)
    generator, discriminator = conditioned(generator, discriminator)
    gan = GAN(
        generator=generator,
        discriminator=discriminator,
        generator_optimizer=build("generator_optimizer"),
        discriminator_optimizer=SECTIONS["discriminator_optimizer"][config.discriminator_optimizer.name](
            **for_own_steps(config, selected(config, "discriminator_optimizer")[1])
        ),
        loss=bind(LOSSES, *selected(config, "loss")),
        schedule=SCHEDULES[config.schedule.name],
        schedules=make_schedules(config),
        latent=config.latent,
        latent_dim=config.latent_dim,
        shape=shape,
        latent_fields=latent_fields(config),
        stored_shape=stored_shape,
        condition=condition,
        discriminator_steps=config.discriminator_steps,
        generator_steps=config.generator_steps,
        update_order=config.update_order,
        generator_batch=config.get("generator_batch", "shared"),
        regularizers=penalties,
        augment=augmentations("augment"),
        data_augment=augmentations("data_augment"),
        consistency_augment=augmentations("consistency_augment"),
        augment_multipliers=tuple(config.augment.get("multipliers", ())),
        adaptive_interval=config.augment.adaptive_interval,
        instance_noise=SCHEDULES[config.instance_noise.schedule.name],
        image_pool=config.get("image_pool", 0),
        packing=config.packing,
        num_generators=config.num_generators,
        unrolled_steps=config.unrolled_steps,
        accumulate=config.accumulate,
        lookahead_every=config.lookahead_every,
        nonfinite=config.get("nonfinite_gradients", "keep"),
        compute_dtype=config.compute_dtype,
        features=frozen_features(config, shape) if with_features else None,
    )
    _require_points_or_images(gan)
    _refuse_batch_norm_under_gradient_penalties(gan, config)
    return gan


def frozen_features(config: ConfigDict, shape: tuple[int, ...]) -> dict[str, Frozen]:
    """The features of frozen networks, of images in [-1, 1], by the term that looks at them."""
    active, found = active_regularizers(config), {}
    if "classifier_content" in active:
        extractor = EXTRACTORS["classifier"](functools.partial(load_dataset, config), shape)

        def look(images):
            return extractor.extract(extractor.weights, (images + 1) * 127.5)["features"]

        found["classifier_content"] = Frozen(look, extractor.protocol["digest"])
    if "vgg_content" in active:
        found["vgg_content"] = vgg_features(active["vgg_content"].weights, active["vgg_content"].layer, shape)
    return found


def _require_declared(config: ConfigDict, discriminator: nn.Module, outputs: int) -> None:
    """Refuses fields that a user's own network would ignore silently."""
    name = config.discriminator.name
    takes = {network: registry.takes(config[network].name) for network, registry in (
        ("generator", GENERATORS), ("discriminator", DISCRIMINATORS)
    )}  # fmt: skip
    if outputs > 1 and "outputs" not in takes["discriminator"]:
        several = f"condition.labels.discriminator={config.condition.labels.discriminator}"
        several = f"num_generators={config.num_generators}" if config.num_generators > 1 else several
        raise UserError(f"{several}, but discriminator '{name}' takes no `outputs`")
    if config.batch_statistics == "device":
        for network, given in takes.items():
            if "axis_name" in given and "synchronized" not in given:
                raise UserError(
                    f"batch_statistics=device, but {network} '{config[network].name}' takes no `synchronized`"
                )
    of_features = [key for key in active_regularizers(config) if family_of(key) == "feature"]
    if of_features:
        require_features(config, discriminator, f"regularizers.{of_features[0]}")


def latent_fields(config: ConfigDict) -> dict[str, float]:
    """The numbers of the latent distribution."""
    return {"threshold": config.latent_threshold} if config.latent == "truncated" else {}


def make_hyper(config: ConfigDict, labels: Int[np.ndarray, " N"] | None = None) -> dict[str, Any]:
    """The numeric fields of the config that are part of the state; those that are off are absent.

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
                "fields": FAMILIES[family_of(name)].bind(name, **own_fields(section))[1],
            }
            for name, section in active_regularizers(config).items()
        },
        "clip_norm": {network: bound for network, bound in clip_norm.items() if bound},
    }
    for path in TRANSFORMATIONS:
        hyper[path] = {
            name: AUGMENTATIONS.bind(name, **fields)[1] for name, fields in listed(config, path).items()
        }
    if numbers_of_schedules := schedule_numbers(config):
        hyper["schedules"] = numbers_of_schedules
    if half_life := config.get("ema_half_life", 0.0):
        hyper["ema_half_life"] = half_life
        if config.ema_rampup:
            hyper["ema_rampup"] = config.ema_rampup
    probability = config.augment.adaptive or config.augment.probability != 1
    if probability or "augment.probability" in scheduled(config):
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
    if numbers_of_condition := condition_numbers(config, labels):
        hyper["condition"] = numbers_of_condition
    return hyper


def class_weights(labels: Int[np.ndarray, " N"], weights: tuple[float, ...]) -> Float[np.ndarray, " K"]:
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
    for path in TRANSFORMATIONS:
        if getattr(gan, path) and not gan.is_images:
            raise UserError(f"{path}.names transform images, but an example has shape {gan.shape}")


def _refuse_spectral_norm_of_nothing(
    config: ConfigDict,
    conditioned: Callable[[nn.Module, nn.Module], tuple[nn.Module, nn.Module]],
    networks: dict[str, nn.Module],
    inputs: dict[str, tuple[int, ...]],
    given: dict[str, Any],
) -> None:
    """UserError if a pattern matches no layer, neither of a network nor of its condition and heads.

    Args:
      config: the config.
      conditioned: adds the condition and heads to a generator and a discriminator.
      networks: both without them, by section.
      inputs: shapes of their inputs, by section.
      given: an example of the condition.
    """
    patterns = {name: getattr(network, "spectral_norm", "") for name, network in networks.items()}
    everywhere = [n.clone(spectral_norm=".") if patterns[name] else n for name, n in networks.items()]
    for (name, pattern), network in zip(patterns.items(), conditioned(*everywhere), strict=True):
        if not pattern:
            continue
        variables = variable_shapes(network, inputs[name], given)
        paths = jax.tree_util.tree_flatten_with_path(variables.get("batch_stats", {}))[0]
        scopes = [key.key for path, _ in paths for key in path if key.key.startswith("spectral_")]
        layers = [*dict.fromkeys(scope.removeprefix("spectral_") for scope in scopes)]
        if layers and not any(re.search(pattern, layer) for layer in layers):
            more = f", ... ({len(layers)} in all)" if len(layers) > 10 else ""
            raise UserError(
                f"{name}.{config[name].name}.spectral_norm='{pattern}' matches none of "
                f"{', '.join(layers[:10])}{more}: '.' is all of them, '' none"
            )


def _refuse_batch_norm_under_gradient_penalties(gan: GAN, config: ConfigDict) -> None:
    penalties = gan.family("gradient")
    if not penalties:
        return
    variables = variable_shapes(gan.discriminator, packed_shape(gan.shape, gan.packing), gan.given_example)
    paths = jax.tree_util.tree_flatten_with_path(variables.get("batch_stats", {}))[0]
    names = [[getattr(part, "key", "") for part in path] for path, _ in paths]
    if any(parts[-1] == "mean" and not parts[0].startswith("head_") for parts in names):
        name = config.discriminator.name
        other = "norm=instance" if "norm" in DISCRIMINATORS.fields(name) else "batch_norm=False"
        raise UserError(
            f"regularizers.{min(penalties)} asks for the gradient of each example's own logit, but batch "
            f"norm makes a logit depend on the whole batch: set discriminator.{name}.{other} "
            "(spectral norm does no such thing), or the penalty's weight to 0"
        )
