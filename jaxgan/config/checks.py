"""Checks of the config alone, before anything is built or written."""

import math

from ml_collections import ConfigDict

from jaxgan.config.condition_checks import check_condition
from jaxgan.config.default import OWN
from jaxgan.config.dependencies import CONSISTENCY, refuse_idle
from jaxgan.config.fields import (
    LISTS,
    active_regularizers,
    listed,
    names_of,
    plain,
    regularizers,
    section_of,
    sections,
    selected,
)
from jaxgan.config.schedules import check_schedules
from jaxgan.datasets import DATASETS
from jaxgan.datasets.order import MAX_SIZE
from jaxgan.declarations import OneOf
from jaxgan.errors import UserError
from jaxgan.latents import LATENTS
from jaxgan.losses import LOSSES
from jaxgan.metrics.protocol import find_protocol
from jaxgan.regularizers import family_of

_FAR = 30  # a factor on R1's weight that is no matter of taste any more


def check(config: ConfigDict) -> None:
    """Refuses a config that makes no sense.

    Raises:
      UserError: an unknown name, a number out of its range, or fields that contradict each other.
    """
    for path in sections(config):
        selected(config, path)
    for path in LISTS:
        listed(config, path)
        names = names_of(section_of(config, path))
        if len(set(names)) < len(names):
            raise UserError(f"{path}.names={','.join(names)} names one twice")
    LATENTS[config.latent]
    find_protocol(config.evaluation.protocol)
    if config.dataset.fallback:
        DATASETS[config.dataset.fallback.partition("/")[0]]
    for field, declared in OWN.items():
        for choice in (range_ for range_ in declared.ranges if isinstance(range_, OneOf)):
            if not choice.allows(value := section_of(config, field)):
                raise UserError(f"{field}='{value}' is not known; choose one of {', '.join(choice.values)}")
    _check_numbers(config)
    refuse_idle(config)
    check_schedules(config, OWN)
    _check_regularizers(config)
    _check_augmentation(config)
    _check_combinations(config)
    check_condition(config)


def cautions(config: ConfigDict) -> list[str]:
    """Warnings about settings that are allowed but probably mistakes: a line each, with the remedy."""
    families = {family_of(name) for name in active_regularizers(config)}
    name, discriminator = selected(config, "discriminator")
    spectral_norm = discriminator.get("spectral_norm")
    if config.condition.name == "labels" and config.condition.labels.discriminator == "projection":
        if discriminator.get("batch_norm"):
            compares = "minibatch_discrimination" in discriminator
            instead = "minibatch_discrimination=16" if compares else "spectral_norm=."
            return [
                "condition.labels.discriminator=projection, but batch norm amplifies small differences "
                f"between fakes until they pass for classes: set discriminator.{name}.batch_norm=False and "
                f"discriminator.{name}.{instead}, or joined instead of projection"
            ]
    if config.loss.name == "wasserstein" and not families & {"gradient", "projection"} and not spectral_norm:
        return [
            "loss.name=wasserstein, but nothing bounds the critic's slope, so its loss is unbounded: set "
            "regularizers.wgan_gp.weight=10, regularizers.clip.weight=1 or "
            f"discriminator.{name}.spectral_norm=."
        ]
    return []


def suggested_gamma(shape: tuple[int, ...], batch_size: int) -> float:
    """A weight of R1 for images `(H, W, C)`: .0002·side²/B, for the penalty ½‖∇D‖² of this house as there.

    Source: Karras et al. 2020, Training Generative Adversarial Networks with Limited Data, the rule of the
    published code's `--cfg=auto`.
    """
    return 2e-4 * shape[0] * shape[1] / batch_size


def caution_about_gamma(config: ConfigDict, shape: tuple[int, ...]) -> str:
    """A warning where R1's weight is more than 30 times as large or small as suggested; '' if it is not.

    Relativistic losses are left out: R3GAN's published weights are 12 to 10,000 times the rule's.
    """
    weight = config.regularizers.r1.weight if "r1" in config.regularizers else 0.0
    if not weight or len(shape) != 3 or config.loss.name.startswith("relativistic"):
        return ""
    gamma = suggested_gamma(shape, config.batch_size)
    if 1 / _FAR <= weight / gamma <= _FAR:
        return ""
    return (
        f"regularizers.r1.weight={weight:g} is {weight / gamma:.2g} times StyleGAN2-ADA's "
        f".0002·side²/batch_size = {gamma:.2g} for {shape[0]}x{shape[1]} pixels: if fakes are blurred, or "
        f"training diverges, try weights around {gamma:.2g}"
    )


def _check_numbers(config: ConfigDict) -> None:
    def value(path):
        return section_of(config, path)

    for field, declared in OWN.items():
        if field != "class_weights":
            declared.convert(value(field), field)
    if config.batch_size >= MAX_SIZE:
        raise UserError(f"batch_size={config.batch_size} must be below 2^30")
    minutes = config.get("max_minutes", 0.0)  # not in records of before it
    if not 0 <= minutes < math.inf:
        raise UserError(f"max_minutes={minutes} must be at least 0 (0: no limit)")
    if config.profile_at > config.num_steps:
        raise UserError(f"profile_at={config.profile_at} lies beyond num_steps={config.num_steps}")
    if any(not isinstance(w, int | float) or not 0 <= w < math.inf for w in config.class_weights):
        raise UserError(f"class_weights={tuple(config.class_weights)} must all be numbers of at least 0")
    if config.class_weights and not any(config.class_weights):
        raise UserError(f"class_weights={tuple(config.class_weights)} must not all be 0")


def _check_regularizers(config: ConfigDict) -> None:
    defaults = regularizers()
    for name, section in config.regularizers.items():
        family = family_of(name)
        if not (section.weight >= 0 and math.isfinite(section.weight)):
            raise UserError(f"regularizers.{name}.weight={section.weight} must be at least 0 (0: absent)")
        if family == "projection" and section.weight > 1:
            raise UserError(f"regularizers.{name}.weight={section.weight} must be at most 1 (1: all the way)")
        if section.interval < 1:
            raise UserError(f"regularizers.{name}.interval={section.interval} must be at least 1")
        if not section.weight and plain(section.to_dict()) != plain(defaults[name].to_dict()):
            raise UserError(
                f"fields of regularizers.{name} are set, but its weight is 0: set "
                f"regularizers.{name}.weight, or leave them alone"
            )
    _check_own_steps(config)
    active = active_regularizers(config).keys()
    if "zcr" in active and selected(config, "generator")[1].get("noise"):
        raise UserError(
            "regularizers.zcr compares nearby latents, but the generator's noise tells them apart"
        )
    comparing = CONSISTENCY & active
    if comparing and not config.consistency_augment.names:
        raise UserError(
            f"regularizers.{min(comparing)} compares images with transformed ones: set "
            "consistency_augment.names=flip,crop"
        )
    if config.consistency_augment.names and not comparing:
        raise UserError("consistency_augment.names is set, but neither regularizers.cr nor bcr has a weight")


def _check_own_steps(config: ConfigDict) -> None:
    own = {name: part for name, part in active_regularizers(config).items() if part.get("own_step", False)}
    for name, section in own.items():
        if family_of(name) != "gradient":
            raise UserError(
                f"regularizers.{name}.own_step is set, but only gradient penalties, such as r1, can have a "
                "step of their own: leave it False"
            )
        first = next(iter(own))
        if section.interval != own[first].interval:
            raise UserError(
                f"regularizers.{first}.interval and regularizers.{name}.interval differ, but penalties with "
                "own_step take that step together: set both to the same"
            )
    name, fields = selected(config, "discriminator_optimizer")
    if own and fields.get("b1", 0.0) < 0:
        raise UserError(
            f"own_step raises betas to a power, but discriminator_optimizer.{name}.b1={fields['b1']} is "
            "below 0: set it to 0 or more"
        )


def _check_augmentation(config: ConfigDict) -> None:
    multipliers, names = config.augment.get("multipliers", ()), names_of(config.augment)
    if multipliers and len(multipliers) != len(names):
        raise UserError(
            f"augment.multipliers has {len(multipliers)} numbers for {len(names)} augment.names: give one "
            "for each"
        )
    if not config.augment.adaptive:
        return
    if config.augment.probability == 1:
        raise UserError("augment.adaptive would begin with every image augmented: set augment.probability=0")
    loss, fields = selected(config, "loss")
    if LOSSES[loss](**fields).threshold is None:
        raise UserError(
            f"augment.adaptive asks whether logits are above zero, but those of loss '{loss}' have no zero "
            "point: set augment.adaptive=False and an augment.probability"
        )


def _check_combinations(config: ConfigDict) -> None:
    active = {family_of(name) for name in active_regularizers(config)}
    if config.discriminator_steps > 1 and config.generator_steps > 1:
        raise UserError("discriminator_steps and generator_steps are both above 1: set one of them to 1")
    if config.batch_statistics == "device" and config.parallel != "pmap":
        raise UserError(
            f"batch_statistics=device, but parallel={config.parallel} sees the whole batch as one: set "
            "parallel=pmap, or batch_statistics=synchronized"
        )
    if config.packing > 1 and config.num_generators > 1:
        raise UserError("packing would mix the fakes of num_generators generators: set one of them to 1")
    granule = config.accumulate * math.lcm(config.packing, config.num_generators)
    if config.batch_size % granule:
        raise UserError(
            f"batch_size={config.batch_size} is no multiple of {granule}, which accumulate, packing and "
            "num_generators ask for"
        )
    name, network = selected(config, "discriminator")
    part = config.batch_size // config.packing // config.accumulate  # of whole groups it has the same
    whole = {
        "top_k": config.top_k,
        "unrolled_steps": config.unrolled_steps,
        f"loss.name={config.loss.name}": config.loss.name.startswith("relativistic_average"),
        "regularizers.feature_matching": "feature" in active,
        f"discriminator.{name}.minibatch_stddev": part % (network.get("minibatch_stddev") or 1),
        f"discriminator.{name}.minibatch_discrimination": network.get("minibatch_discrimination"),
    }
    if config.accumulate > 1 and any(whole.values()):
        field = next(filter(whole.get, whole))
        raise UserError(f"{field} looks at the whole batch, and accumulate parts it: set accumulate=1")
    logits = config.batch_size // config.packing
    if config.top_k >= logits:
        raise UserError(
            f"top_k={config.top_k}, but an update has {logits} logits: set it below {logits}, or to 0 for all"
        )
    if config.top_k and config.loss.name.startswith("relativistic_average"):
        raise UserError(f"top_k leaves fakes out, but {config.loss.name} compares with the mean of all")
    teaching = {  # the generator too
        name: family_of(name) in ("feature", "reconstruction")
        or family_of(name) == "class"
        and section.get("generator", 1.0)
        for name, section in active_regularizers(config).items()
    }
    if not config.generator_loss_weight and not any(teaching.values()):
        raise UserError(
            "generator_loss_weight=0 leaves the generator nothing to learn from: set "
            "regularizers.feature_matching.weight"
        )
    if not config.discriminator_loss_weight:
        raise UserError("discriminator_loss_weight=0 leaves the discriminator nothing to learn from")
    name, fields = selected(config, "discriminator_optimizer")
    if config.unrolled_steps and fields.get("eps_root") == 0:
        raise UserError(
            f"unrolled_steps differentiates through '{name}', whose square root has no derivative at 0: set "
            f"discriminator_optimizer.{name}.eps_root=1e-16"
        )
    if config.unrolled_steps and name == "lion":
        raise UserError(
            "unrolled_steps differentiates through 'lion', whose update is a sign, of derivative 0: set "
            "discriminator_optimizer.name=rmsprop, or another"
        )
    inner = {"bcr", "zcr"} & active_regularizers(config).keys()
    if config.unrolled_steps and inner:
        raise UserError(
            f"unrolled_steps do not reach through the fakes that regularizers.{min(inner)} makes: use one"
        )
    if config.class_balance == "weights" and (
        config.loss.name.startswith("relativistic") or "feature" in active
    ):
        raise UserError(
            "class_balance=weights weighs single real examples, but a relativistic loss and feature matching "
            "compare whole batches: set class_balance=resample"
        )
