"""The generator of a run, from its workdir."""

from pathlib import Path
from typing import Any

import jax
from flax import serialization

from jaxgan.algorithm.conditions import Given
from jaxgan.algorithm.gan import packed_shape
from jaxgan.algorithm.train_state import variable_shapes
from jaxgan.compilation import float32
from jaxgan.config import experiment
from jaxgan.config.recorded import complete
from jaxgan.declarations import arguments
from jaxgan.errors import UserError, WrongArgument
from jaxgan.run.checkpoint import Checkpoints
from jaxgan.run.record import read_record, recorded_config
from jaxgan.sampler.kept import read
from jaxgan.sampler.sampler import Sampler
from jaxgan.sampler.standing import with_standing_statistics

WEIGHTS = ("ema", "raw")


@float32
def load(
    workdir: str | Path,
    step: int | str | None = None,
    weights: str = "ema",
    standing_statistics: int | None = None,
) -> Sampler:
    """The generator of a run. The run may still be training, and its training data is not needed.

    Args:
      workdir: of the run.
      step: of the checkpoint; None is the newest, 'best' that of `evaluation.best`.
      weights: 'ema', the averaged generator, or 'raw'.
      standing_statistics: see `with_standing_statistics`; None: the run's `evaluation.standing_statistics`.

    Raises:
      UserError: there is no such run, checkpoint or kind of weights.
    """
    workdir = arguments.folder("workdir", workdir)
    if isinstance(step, str) and step != "best":
        raise WrongArgument(f"step={arguments.shown(step)} is not known; give a number, or 'best'")
    step = step if step is None or isinstance(step, str) else arguments.whole("step", step)
    arguments.choice("weights", weights, WEIGHTS)
    record = read_record(workdir)
    if record is None:
        raise UserError(f"{workdir} holds no run (no config.json): give the --workdir of a training run")
    config = recorded_config(record)
    try:
        about = record["dataset"]
        gan = experiment.make_gan(config, tuple(about["shape"]), classes=tuple(about.get("classes", ())))
    except (AttributeError, KeyError, TypeError, UserError) as error:
        _, foreign = complete(record["config"])
        if not foreign:
            raise
        raise UserError(
            f"{workdir} was made by another version of jaxgan (config.json: {', '.join(foreign[:3])}): use "
            "that version"
        ) from error
    with Checkpoints(workdir / "checkpoints", read_only=True) as checkpoints:
        checkpoint = checkpoints.restore(None if step == "best" else step)
        if checkpoint is None:
            raise UserError(f"{workdir} has no checkpoint yet: let it train to its first one")
        if step == "best":
            best = checkpoint.extra["best"]["step"]
            if best is None:
                raise UserError(
                    f"step='best', but {workdir} trained without evaluation.best: give a number, or none"
                )
            checkpoint = checkpoints.restore(best)
    tree, judged, given = checkpoint.tree, packed_shape(gan.shape, gan.packing), gan.given_example
    averaged = tree["ema" if weights == "ema" else "generator"]
    generator = _restore(gan.generator, (gan.latent_dim,), given, averaged)
    batches = config.evaluation.standing_statistics if standing_statistics is None else standing_statistics
    batches = arguments.whole("standing_statistics", batches)
    generator = with_standing_statistics(gan, generator, batches)
    discriminator = _restore(gan.discriminator, judged, given, tree["discriminator"])
    numbers, kept = tree["hyper"]["loss"], read(workdir) if gan.task else None
    return Sampler(gan, generator, checkpoint.step, about, discriminator, numbers, kept)


def _restore(network, shape: tuple[int, ...], given: Given, tree: dict[str, Any]) -> dict[str, Any]:
    """`params` and `model_state` of a network for inputs of `shape`, on the device."""
    template = variable_shapes(network, shape, given)
    state = {name: values for name, values in template.items() if name != "params"}
    template = {"params": template["params"], "model_state": state}
    restored = serialization.from_state_dict(template, {name: tree[name] for name in template})
    return jax.device_put(restored)
