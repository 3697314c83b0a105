"""Refuses conditions that contradict the rest of a config, or that the data cannot give."""

from typing import Any

import numpy as np
from ml_collections import ConfigDict

from jaxgan.algorithm.conditions import CONDITIONS
from jaxgan.config.conditions import comparing, make_task
from jaxgan.config.fields import LISTS, active_regularizers, listed, own_fields, selected
from jaxgan.datasets import Dataset
from jaxgan.errors import UserError
from jaxgan.models import GENERATORS
from jaxgan.regularizers import CLASS_LOSSES, family_of

_MOST_CLASSES = 10_000  # or as many as there are examples


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
    if fields["generator_embedding"] and fields["generator"] != "joined":
        raise UserError(
            "condition.labels.generator_embedding is set, but the generator joins none to its latents: leave "
            "it alone, or set condition.labels.generator=joined"
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
