"""Builds the condition that a config asks for."""

import functools
import inspect
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int
from ml_collections import ConfigDict

from jaxgan.algorithm.conditions import CONDITIONS, Condition
from jaxgan.config.fields import active_regularizers, selected
from jaxgan.datasets import Dataset
from jaxgan.errors import UserError
from jaxgan.models.conditional import (
    CompletedGenerator,
    ConditionalDiscriminator,
    ConditionalGenerator,
    ImageDiscriminator,
    joined_shape,
)
from jaxgan.models.pair import PairDiscriminator, PairGenerator
from jaxgan.regularizers import ONE_SIDED, family_of
from jaxgan.regularizers.classes import ClassLoss
from jaxgan.tasks import TASKS, Task


def wants_labels(config: ConfigDict) -> bool:
    """Whether a training step looks at the labels of the data."""
    return config.condition.name == "labels" or config.class_balance == "weights"


def make_task(config: ConfigDict) -> Task:
    """The task that the config names."""
    name, fields = selected(config, "task")
    return TASKS[name](**fields)


def make_condition(
    config: ConfigDict, classes: tuple[int, ...], shape: tuple[int, ...] = ()
) -> Condition | None:
    """The condition of both networks; None: there is none.

    Args:
      config: the config.
      classes: the labels that the data has.
      shape: of a stored example.
    """
    name, fields = selected(config, "condition")
    if name == "image":
        return CONDITIONS[name](classes, make_task(config), shape, **fields)
    if fields.get("fakes") == "auto":
        fields["fakes"] = "paired" if comparing(config) else "data"
    return CONDITIONS[name](classes, **fields)


def comparing(config: ConfigDict) -> str:
    """The field that compares real with fake examples one by one; '' if none does."""
    if config.loss.name == "relativistic_pairing":
        return "loss.name=relativistic_pairing"
    for name in active_regularizers(config):
        if family_of(name) in ("gradient", "consistency") and name not in ONE_SIDED:
            return f"regularizers.{name}"
    return ""


def told_shape(
    config: ConfigDict, shape: tuple[int, ...], condition: Condition | None = None
) -> tuple[int, ...]:
    """The input shape of the discriminator inside `with_condition`, for examples of `shape`."""
    name, fields = selected(config, "condition")
    if name == "image" and fields["discriminator"] == "joined":
        return (*shape[:-1], shape[-1] + condition.example["image"].shape[-1])
    if name == "image":
        return shape
    return joined_shape(shape, fields["embedding"]) if fields.get("discriminator") == "joined" else shape


def num_outputs(config: ConfigDict, condition: Condition | None) -> int:
    """The discriminator's number of outputs: 1, or one a generator and one for real, or as labels want."""
    if config.num_generators > 1:
        return config.num_generators + 1
    _, fields = selected(config, "condition")
    how = fields.get("discriminator")
    if how == "inner_product":
        return fields["embedding"]
    return condition.num_classes if how == "select" else 1


def with_condition(
    config: ConfigDict,
    condition: Condition | None,
    generator: nn.Module,
    discriminator: nn.Module,
    losses: dict[str, ClassLoss],
) -> tuple[nn.Module, nn.Module]:
    """Both networks with the condition as an input, and heads for class losses on the discriminator.

    Raises:
      UserError: one of them cannot be.
    """
    if condition is None:
        return generator, discriminator
    for loss in losses:
        require_features(config, discriminator, f"regularizers.{loss}")
    heads = tuple((loss, losses[loss].head(condition)) for loss in losses)
    name, fields = selected(config, "condition")
    if name == "image" and "partner" in condition.reads:
        return PairGenerator(generator), PairDiscriminator(discriminator)
    if name == "image":
        if getattr(condition.task, "keep", False):
            generator = CompletedGenerator(generator, condition.task.complete)
        return generator, ImageDiscriminator(discriminator, fields["discriminator"] == "joined")
    if name != "labels":
        return (
            ConditionalGenerator(generator, code_scale=fields["scale"]),
            ConditionalDiscriminator(discriminator, labels="none", heads=heads),
        )
    if fields["generator"] == "batch_norm":
        _require_batch_norm(config.generator.name, generator)
    if fields["discriminator"] == "projection":
        require_features(config, discriminator, "condition.labels.discriminator=projection")
        _refuse_patches(config.discriminator.name, discriminator)
    classes, width = condition.num_classes, fields["embedding"]
    own_width = fields["generator_embedding"] or width
    return (
        ConditionalGenerator(generator, classes, fields["generator"], own_width),
        ConditionalDiscriminator(discriminator, classes, fields["discriminator"], width, heads),
    )


def require_features(config: ConfigDict, discriminator: nn.Module, field: str) -> None:
    """UserError where the discriminator does not give the last features that `field` looks at."""
    if "features" not in inspect.signature(type(discriminator).__call__).parameters:
        raise UserError(
            f"{field} looks at features, but discriminator '{config.discriminator.name}' has no `features` "
            "argument"
        )


def _refuse_patches(name: str, discriminator: nn.Module) -> None:
    """UserError where the discriminator has a logit for each patch, of which none is the image's."""
    if (shape := getattr(discriminator, "shape", None)) is None:
        return
    judge = functools.partial(discriminator.init_with_output, train=False)
    logits, _ = jax.eval_shape(judge, jax.random.key(0), jnp.zeros((1, *shape)))
    if logits.ndim > 1:
        raise UserError(
            f"condition.labels.discriminator=projection adds to an image's logit, but discriminator '{name}' "
            "judges patches: set it to joined"
        )


def _require_batch_norm(name: str, generator: nn.Module) -> None:
    field = "condition.labels.generator=batch_norm"
    if "condition" not in inspect.signature(type(generator).__call__).parameters:
        raise UserError(f"{field}, but generator '{name}' has no `condition` argument: set it to joined")
    if not getattr(generator, "batch_norm", True):
        raise UserError(f"{field}, but the generator has none: set generator.{name}.batch_norm=True")


def condition_numbers(config: ConfigDict, labels: Int[np.ndarray, " N"] | None) -> dict[str, Any]:
    """`hyper["condition"]`: how often each class is drawn for fakes, float32 `[K]`, where it is drawn."""
    name, fields = selected(config, "condition")
    if name != "labels" or fields["fakes"] == "paired" or fields["fakes"] == "auto" and comparing(config):
        return {}
    counts = np.bincount(labels)
    if fields["fakes"] == "uniform" or config.class_balance == "resample":
        counts = counts > 0
    return {"label_shares": (counts / counts.sum()).astype(np.float32)}


def classes_of(dataset: Dataset) -> tuple[int, ...]:
    """The labels that a data set has."""
    return () if dataset.labels is None else tuple(np.unique(dataset.labels).tolist())
