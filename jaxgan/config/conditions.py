"""Builds the condition that a config asks for, and refuses conditions that make no sense."""

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
from jaxgan.config.fields import LISTS, active_regularizers, listed, own_fields, selected
from jaxgan.datasets import Dataset
from jaxgan.errors import UserError
from jaxgan.models import GENERATORS
from jaxgan.models.conditional import (
    CompletedGenerator,
    ConditionalDiscriminator,
    ConditionalGenerator,
    ImageDiscriminator,
    joined_shape,
)
from jaxgan.models.pair import PairDiscriminator, PairGenerator
from jaxgan.regularizers import CLASS_LOSSES, ONE_SIDED, family_of
from jaxgan.regularizers.classes import ClassLoss
from jaxgan.tasks import TASKS, Task

_MOST_CLASSES = 10_000  # or as many as there are examples


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
    told = {"classes": condition.num_classes, "embedding": fields["embedding"]}
    return (
        ConditionalGenerator(generator, labels=fields["generator"], **told),
        ConditionalDiscriminator(discriminator, labels=fields["discriminator"], heads=heads, **told),
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


def require_parts(config: ConfigDict, dataset: Dataset) -> None:
    """UserError if the data set lacks what is needed beside its examples: labels, or a second set.

    Without a second set `unpaired` would translate the examples to themselves.
    """
    if config.condition.name == "image" and make_task(config).reads and dataset.partner is None:
        remedy = "take another task, or data of two sets, such as dataset.name=unpaired"
        if config.dataset.name == "styled_digits":
            remedy = "set dataset.styled_digits.form=domains"
        raise UserError(
            f"task.name={config.task.name} translates between two sets of pictures, and '{dataset.name}' has "
            f"one: {remedy}"
        )
    require_labels(config, dataset)


def require_labels(config: ConfigDict, dataset: Dataset) -> None:
    """UserError if labels are needed, and the data set has none, or hides them."""
    if config.class_balance != "none" and dataset.labels is None:
        raise UserError(
            f"class_balance={config.class_balance} needs labels, and '{dataset.name}' has none: set "
            "class_balance=none, or give labels (class folders, or labels in the .npz)"
        )
    if config.class_balance == "weights" and np.any(dataset.labels < 0):
        raise UserError(
            f"class_balance=weights, but labels of '{dataset.name}' are below 0, as hidden ones are: train "
            "on a split that has them, or set class_balance=none"
        )
    if config.condition.name != "labels":
        return
    if dataset.labels is None:
        raise UserError(
            f"condition.name=labels needs labels, and '{dataset.name}' has none: set condition.name=none, or "
            "give labels (class folders, or labels in the .npz)"
        )
    if hidden := np.count_nonzero(dataset.labels < 0):
        raise UserError(
            f"condition.name=labels, but {hidden} of {len(dataset)} labels of '{dataset.name}' are below 0, "
            "as hidden ones are: train on a split that has them, or set condition.name=none"
        )
    if (largest := int(dataset.labels.max())) >= max(len(dataset), _MOST_CLASSES):
        raise UserError(
            f"condition.name=labels, but labels of '{dataset.name}' reach up to {largest}, and networks have "
            "weights for every number below it: number the classes from 0"
        )


def check_condition(config: ConfigDict) -> None:
    """Refuses a condition that contradicts the rest of the config.

    Raises:
      UserError: it does, with the remedy.
    """
    name, fields = selected(config, "condition")
    losses = {
        loss: CLASS_LOSSES[loss](**own_fields(section))
        for loss, section in active_regularizers(config).items()
        if family_of(loss) == "class"
    }
    for loss, built in losses.items():
        if built.of != name:
            raise UserError(f"regularizers.{loss} looks at {built.of}: set condition.name={built.of}")
    if name == "image":
        _check_images(config, fields)
    told = name != "none" and (name != "image" or fields["discriminator"] != "none")
    if config.get("image_pool", 0) and told:
        raise UserError(
            "image_pool keeps fakes without what they were made of, which the discriminator is told: set "
            "image_pool=0" + ", or condition.image.discriminator=none" * (name == "image")
        )
    for term in active_regularizers(config) if name != "image" else ():
        if term == "content" or family_of(term) == "reconstruction":
            raise UserError(f"regularizers.{term} compares with what is wanted: set condition.name=image")
    if name == "none":
        return
    judged = {
        "labels": "examples of several classes would be judged as one",
        "codes": "the codes of several examples would be predicted as those of one",
        "image": "translations of several images would be judged as one",
    }
    for field, what in (
        ("packing", judged[name]),
        ("num_generators", "which of them made an example and what it was told would be two answers"),
    ):
        if config[field] > 1:
            raise UserError(f"{field}={config[field]} and condition.name={name}: {what}; set {field}=1")
    for loss, built in losses.items():
        if config.accumulate > 1 and built.coupled:
            raise UserError(
                f"regularizers.{loss} looks at the whole batch, and accumulate parts it: set accumulate=1"
            )
    if name == "codes":
        if not (fields["categorical"] or fields["continuous"]):
            raise UserError("condition.name=codes without a code: set condition.codes.categorical=(10,)")
        if not losses:
            raise UserError(
                "condition.name=codes, and nothing ties fakes to their codes: set "
                "regularizers.information.weight=1"
            )
        term = active_regularizers(config).get("information")
        kinds = ("categorical", "continuous")
        if term is not None and not any(fields[kind] and term[kind] for kind in kinds):
            raise UserError(
                "regularizers.information weighs every code by 0: set regularizers.information.categorical=1 "
                "or regularizers.information.continuous=1, of a kind that condition.codes has"
            )
        return
    if name == "image":
        return
    if fields["fakes"] in ("data", "uniform") and (by := comparing(config)):
        raise UserError(
            f"{by} compares real with fake examples one by one, and these must have the same labels: set "
            "condition.labels.fakes=paired"
        )
    for loss in {"tac"} & {*losses}:
        if (base := config.regularizers[loss].base) not in losses:
            raise UserError(
                f"regularizers.{loss} is a twin of {base}, and alone it makes the generator mix classes up: "
                f"set regularizers.{base}.weight, or regularizers.{loss}.base"
            )
    idle = fields["embedding"] != CONDITIONS.fields("labels")["embedding"].default
    if idle and not {"joined", "inner_product"} & {fields["generator"], fields["discriminator"]}:
        raise UserError(
            "condition.labels.embedding is set, but no network joins it to its input, nor multiplies with "
            "it: leave it alone, or set condition.labels.generator=joined"
        )
    if fields["discriminator"] == "none" and not losses:
        raise UserError(
            "condition.labels.discriminator=none, and no loss looks at labels, so that the generator would "
            "pass them over: set it to joined, projection or select"
        )


def _check_images(config: ConfigDict, fields: dict[str, Any]) -> None:
    """Refuses networks that take no image, and transformations that would move it away from the given one."""
    takes = [name for name in GENERATORS if "given_shape" in GENERATORS.takes(name)]
    if config.generator.name not in takes:
        raise UserError(
            f"condition.name=image, but generator '{config.generator.name}' takes no image: set "
            f"generator.name to one of {', '.join(takes)}"
        )
    if config.task.name == "unpaired" and fields["discriminator"] == "joined":
        raise UserError(
            "task.name=unpaired gives no image that belongs to the one that is judged: set "
            "condition.image.discriminator=none"
        )
    for term in {"cycle", "identity"} & active_regularizers(config).keys():
        if config.task.name != "unpaired":
            raise UserError(f"regularizers.{term} looks at two ways of translation: set task.name=unpaired")
    term = active_regularizers(config).get("vgg_content")
    if term is not None and not term.weights:
        raise UserError(
            "regularizers.vgg_content has a weight, but no network: set regularizers.vgg_content.weights to "
            "torchvision's file of VGG-19, vgg19-*.pth"
        )
    for path in ("augment", "consistency_augment"):
        if fields["discriminator"] == "joined" and path in LISTS and listed(config, path):
            raise UserError(
                f"{path}.names transform what is judged, and not the given image beside it: set "
                "condition.image.discriminator=none, or use data_augment.names"
            )
