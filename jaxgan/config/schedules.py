"""Schedules of single numbers of the state: `schedules.<field of the number>`.

The number itself is the start; `form`, `end`, `from_step` and `num_steps` say how it goes on. Which numbers
there are follows from the declarations of the components. Where each lies in the state, and what it needs to
be there, is said here.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from jaxgan.algorithm.schedules import FORMS, Schedule
from jaxgan.augment import AUGMENTATIONS
from jaxgan.config.fields import (
    OF_SCHEDULES,
    TRANSFORMATIONS,
    active_regularizers,
    flatten,
    is_met,
    names_of,
    scheduled,
    section_of,
    walk_schedules,
)
from jaxgan.declarations import Field
from jaxgan.errors import UserError
from jaxgan.losses import LOSSES
from jaxgan.optimizers import OPTIMIZERS
from jaxgan.regularizers import FAMILIES


class Number(NamedTuple):
    """A number of the state.

    Attributes:
      place: as of `algorithm.schedules.Schedule`.
      needs: fields, or FIELD=VALUE, without which it is not in the state.
      field: its declaration; None: that is in `default.py`.
    """

    place: tuple[str, ...]
    needs: tuple[str, ...]
    field: Field | None = None


# Numbers of no component. 0 leaves most of them out of the state.
_OWN = {
    "discriminator_loss_weight": Number(("loss_weight", "discriminator"), ("discriminator_loss_weight",)),
    "generator_loss_weight": Number(("loss_weight", "generator"), ("generator_loss_weight",)),
    "ema_decay": Number(("ema_decay",), ("ema_half_life=0.0",)),
    "ema_half_life": Number(("ema_half_life",), ("ema_half_life",)),
    "ema_rampup": Number(("ema_rampup",), ("ema_half_life", "ema_rampup")),
    "label_flip": Number(("label_flip",), ("label_flip",)),
    "instance_noise.stddev": Number(("instance_noise", "stddev"), ("instance_noise.stddev",)),
    "lookahead_alpha": Number(("lookahead_alpha",), ("lookahead_every",)),
    "augment.probability": Number(("augment_probability",), ("augment.names", "augment.adaptive=False")),
    "augment.target": Number(("adaptive", "target"), ("augment.adaptive",)),
    "augment.length": Number(("adaptive", "length"), ("augment.adaptive",)),
    "generator_clip_norm": Number(("clip_norm", "generator"), ("generator_clip_norm",)),
    "discriminator_clip_norm": Number(("clip_norm", "discriminator"), ("discriminator_clip_norm",)),
}


def numbers() -> dict[str, Number]:
    """Every number that can have a schedule, by its config field."""
    found = dict(_OWN)
    for name, field in _floats(LOSSES):
        found[f"loss.{name}.{field.name}"] = Number(("loss", field.name), (f"loss.name={name}",), field)
    for network in ("generator", "discriminator"):
        path = f"{network}_optimizer"
        for name, field in _floats(OPTIMIZERS):
            is_rate = field.name == "learning_rate"
            place = ("learning_rate", network) if is_rate else (network, field.name)
            found[f"{path}.{name}.{field.name}"] = Number(place, (f"{path}.name={name}",), field)
    for path in TRANSFORMATIONS:
        for name, field in _floats(AUGMENTATIONS):
            place = (path, name, field.name)
            found[f"{path}.{name}.{field.name}"] = Number(place, (f"{path}.names", name), field)
    for registry in FAMILIES.values():
        for name in registry:
            path = f"regularizers.{name}"
            of_penalty, need = ("regularizers", name), (f"{path}.weight",)
            found[f"{path}.weight"] = Number((*of_penalty, "weight"), need)
            for field in registry.fields(name).values():
                if isinstance(field.default, float):
                    place = (*of_penalty, "fields", field.name)
                    found[f"{path}.{field.name}"] = Number(place, need, field)
    return found


def _floats(registry) -> Iterator[tuple[str, Field]]:
    for name in registry:
        for field in registry.fields(name).values():
            if isinstance(field.default, float):
                yield name, field


def section() -> ConfigDict:
    """The config section `schedules`: of every number its schedule, which is none."""
    config = ConfigDict()
    for path in numbers():
        part = config
        for name in path.split("."):
            if name not in part:
                part[name] = ConfigDict()
            part = part[name]
        part.update({field.name: field.default for field in OF_SCHEDULES})
    return config


def make_schedules(config: ConfigDict) -> dict[str, Schedule]:
    """What is static of the schedules that are set."""
    known = numbers()
    return {path: Schedule(known[path].place, part.form) for path, part in scheduled(config).items()}


def schedule_numbers(config: ConfigDict) -> dict[str, dict[str, float]]:
    """`hyper["schedules"]`: the numbers of the schedules that are set."""
    found = {}
    for path, part in scheduled(config).items():
        ends = {"start": section_of(config, path), "end": part.end}
        if path.startswith("discriminator_optimizer."):
            name = path.rpartition(".")[2]
            ends = {end: for_own_steps(config, {name: value})[name] for end, value in ends.items()}
        found[path] = {**ends, "from_step": part.from_step, "num_steps": part.num_steps}
    return found


def for_own_steps(config: ConfigDict, numbers: dict[str, float]) -> dict[str, float]:
    """Numbers of the discriminator's optimizer where penalties have an optimizer step of their own.

    k updates then take k + 1 steps: η·k/(k+1), β^(k/(k+1)). Source: Karras et al. 2020, Analyzing and
    Improving the Image Quality of StyleGAN, appendix B.
    """
    active = active_regularizers(config).values()
    intervals = [part.interval for part in active if part.get("own_step", False)]
    if not intervals:
        return numbers
    ratio = intervals[0] / (intervals[0] + 1)
    made = dict(numbers)
    for name in ("b1", "b2", "decay"):
        if name in made:
            made[name] **= ratio
    if "learning_rate" in made:
        made["learning_rate"] *= ratio
    return made


def check_schedules(config: ConfigDict, own: dict[str, Field]) -> None:
    """Refuses schedules of numbers that are not in the state, and ends out of a number's range.

    Args:
      config: the config.
      own: the fields of no component, by path.

    Raises:
      UserError: there is one, with the remedy.
    """
    for path, part in walk_schedules(config):
        where = f"schedules.{path}"
        for field in OF_SCHEDULES:
            if part[field.name] == field.default:
                continue
            field.convert(part[field.name], f"{where}.{field.name}")
            if not part["form"]:
                raise UserError(
                    f"{where}.{field.name} is set, but {where}.form is '': set it to {', '.join(FORMS)}"
                )
    known = numbers()
    flat = flatten(config.to_dict()) if scheduled(config) else {}
    for path, part in scheduled(config).items():
        where, number = f"schedules.{path}", known[path]
        if missing := _missing(config, path, number, flat):
            raise UserError(f"{where}.form is set, but {path} is not in use: set {missing}")
        if field := number.field or own.get(path):
            field.convert(part.end, f"{where}.end")
        if not math.isfinite(part.end) or path.endswith(".weight") and part.end < 0:
            raise UserError(f"{where}.end={part.end} must be a finite number in the range of {path}")
        if part.form == "exponential" and not (part.end > 0 and flat[path] > 0):
            raise UserError(
                f"{where}.form=exponential goes from {flat[path]:g} to {part.end:g}, by factors: both must "
                "be above 0"
            )


def _missing(config: ConfigDict, path: str, number: Number, flat: dict[str, Any]) -> str:
    """What the number lacks to be in the state; '' if nothing."""
    head = path.partition(".")[0]
    if head in TRANSFORMATIONS and number.field:  # of an operation, by its name
        names = names_of(config[head])
        return "" if number.needs[1] in names else f"{number.needs[0]}={','.join([*names, number.needs[1]])}"
    for need in number.needs:
        if not is_met(need, flat):
            return f"{need}, if only to 1e-6" if need == path else need
    return ""


def idle_schedules(config: ConfigDict, flat: dict[str, Any], moved) -> dict[str, Any]:
    """The fields of schedules that one of the fields that were `moved` left without a number."""
    known, idle = numbers(), {}
    for path in scheduled(config):
        number = known[path]
        causes = {need.partition("=")[0] for need in number.needs}
        if causes & set(moved) and _missing(config, path, number, flat):
            idle |= {f"schedules.{path}.{field.name}": field.default for field in OF_SCHEDULES}
    return idle
