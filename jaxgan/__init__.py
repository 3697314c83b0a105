"""jaxgan: generative adversarial networks in JAX and Flax, for research.

Everything that `launch.py` does for one run, as functions:

    config = jaxgan.default_config()
    config.dataset.name = "digits"
    jaxgan.train(config, "runs/mine")
    numbers = jaxgan.evaluate("runs/mine")["numbers"]
    images = jaxgan.load("runs/mine")(seed=0, num=64)

Wrong input raises `jaxgan.errors.UserError`; its message is one line that says what to do. `import jaxgan`
does not import any dependency.
"""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from ml_collections import ConfigDict

    from jaxgan.sampler import Sampler

__all__ = ["default_config", "evaluate", "load", "train"]
__version__ = "0.2.0"


def default_config() -> ConfigDict:
    """Every field of an experiment with its default: see `jaxgan/config/default.py`."""
    from jaxgan.config.default import get_config

    return get_config()


def train(config: ConfigDict, workdir: str | os.PathLike[str]) -> int:
    """Trains the run in `workdir`, or continues it, as `--mode=train` does.

    Args:
      config: of the experiment.
      workdir: the run's folder, which is made if it is missing.

    Returns:
      0 once the run has all its steps, or 128 + the number of the signal that stopped it.

    Raises:
      errors.UserError: the input is wrong.
      errors.Diverged: a metric or the state became NaN or infinite.
    """
    from jaxgan.declarations import arguments
    from jaxgan.jobs.train import train

    return train(config, arguments.folder("workdir", workdir))


def evaluate(
    workdir: str | os.PathLike[str],
    fields: Mapping[str, typing.Any] | None = None,
    step: int | str | None = None,
    weights: str = "ema",
) -> dict[str, typing.Any]:
    """Measures the generator of a run, as `--mode=evaluate` does, and adds the numbers to `evaluation.json`.

    Args:
      workdir: of the run, which may still be training.
      fields: config fields, by dotted path, to set for this evaluation:
        `{"evaluation.protocol": "10k"}`.
      step: of the checkpoint; None is the newest, 'best' that of `evaluation.best`.
      weights: 'ema' (averaged) or 'raw'.

    Returns:
      the entry of `evaluation.json`: `numbers`, their `floor`, `skipped`, `protocol`, `step` and more.

    Raises:
      errors.UserError: the input is wrong.
    """
    from jaxgan.declarations import arguments
    from jaxgan.jobs.evaluate import evaluate

    return evaluate(arguments.folder("workdir", workdir), fields or {}, step, weights)


def load(workdir: str | os.PathLike[str], step: int | str | None = None, weights: str = "ema") -> Sampler:
    """The generator of a run as a function: see `jaxgan.sampler.load`."""
    from jaxgan.sampler import load

    return load(workdir, step, weights)
