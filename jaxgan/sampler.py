"""A trained generator as a function: `sampler = jaxgan.load(workdir); images = sampler(seed=0, num=64)`."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization

from jaxgan.algorithm.gan import GAN, packed_shape
from jaxgan.algorithm.train_state import variable_shapes
from jaxgan.algorithm.tricks import pack, scale
from jaxgan.compilation import float32, jit
from jaxgan.config import experiment
from jaxgan.config.recorded import foreign_fields
from jaxgan.declarations import arguments
from jaxgan.errors import UserError, WrongArgument
from jaxgan.latents import make_key
from jaxgan.losses import real_or_fake
from jaxgan.run.checkpoint import Checkpoints
from jaxgan.run.record import read_record, recorded_config

WEIGHTS = ("ema", "raw")
BATCH = 64  # always this many at once, so that an image does not depend on how many are asked for


def batch_of(gan: GAN) -> int:
    """The samples made at once: BATCH, or less, so that several generators make as many each."""
    return BATCH - BATCH % gan.num_generators


@float32
@functools.partial(jit, static_argnums=0)
def generate(gan: GAN, weights: dict[str, Any], z: jax.Array) -> jax.Array:
    """Generated examples as a user wants them: uint8 images `[B, H, W, C]`, or float32 points `[B, D]`.

    Args:
      gan: what is static.
      weights: `params` and `model_state` of a generator; batch norm uses its running averages.
      z: latents `[B, latent_dim]`.
    """
    return finish(gan, apply(gan, weights, z))


@float32
@functools.partial(jit, static_argnums=0)
def discriminate(
    gan: GAN, weights: dict[str, Any], loss_numbers: dict[str, jax.Array], examples: jax.Array
) -> jax.Array:
    """The discriminator's outputs `[B]` (probabilities, for logistic losses) of examples as it sees them.

    Args:
      gan: what is static.
      weights: `params` and `model_state` of a discriminator; batch norm uses its running averages.
      loss_numbers: the loss's, as in `GanState.hyper`.
      examples: float32 `[B, ...]`, images in [-1, 1]. Under packing each is judged with copies of itself.
    """
    variables = {"params": weights["params"], **weights["model_state"]}
    packed = pack(jnp.repeat(examples, gan.packing, axis=0), gan.packing)
    outputs = gan.discriminator.apply(variables, packed, train=False)
    logits = real_or_fake(outputs) if gan.num_generators > 1 else outputs
    return gan.loss(**loss_numbers).output_fn(logits)


def apply(gan: GAN, weights: dict[str, Any], z: jax.Array) -> jax.Array:
    """What the generator makes of latents, as it is: float32 `[B, ...]`, images in [-1, 1]."""
    variables = {"params": weights["params"], **weights["model_state"]}
    return gan.generator.apply(variables, z, train=False)


def finish(gan: GAN, examples: jax.Array) -> jax.Array:
    """Generated examples in the format of the data set: uint8 images, or points as they are."""
    return jnp.round((jnp.clip(examples, -1, 1) + 1) * 127.5).astype(jnp.uint8) if gan.is_images else examples


@float32
@functools.partial(jax.jit, static_argnums=0)
def latents(gan: GAN, seed: jax.Array, first: jax.Array) -> jax.Array:
    """The latents of a batch of samples of a seed, from number `first` on: `[batch_of(gan), latent_dim]`."""
    key = make_key(jnp.array([0, 1], jnp.uint32) * seed)  # the words of jax.random.key(seed)
    return gan.sample_latents(key, first + jnp.arange(batch_of(gan)))


def fixed_latents(gan: GAN) -> jax.Array:
    """Of the pictures of a training run: samples 0 to 63 of seed 0, or 2,500 where points are drawn."""
    num = 64 if gan.is_images else 2_500
    firsts = range(0, num, batch_of(gan))
    return jnp.concatenate([latents(gan, np.uint32(0), np.int32(first)) for first in firsts])[:num]


class Sampler:
    """Draws from one generator. Sample i depends on the seed and on i alone, not on `num`.

    Attributes:
      gan: the GAN.
      weights: of its generator.
      step: steps trained.
      dataset: the record of the data set that it was trained on (see `record.describe_dataset`).
      discriminator: its opponent's weights.
      loss_numbers: the loss's, with which they were trained.
    """

    def __init__(
        self,
        gan: GAN,
        weights: dict[str, Any],
        step: int,
        dataset: dict[str, Any],
        discriminator: dict[str, Any],
        loss_numbers: dict[str, jax.Array],
    ):
        self.gan, self.weights, self.step, self.dataset = gan, weights, step, dataset
        self.discriminator, self.loss_numbers = discriminator, loss_numbers

    def __call__(self, seed: int = 0, num: int = 64) -> np.ndarray:
        """`num` samples: uint8 `[num, H, W, C]`, or float32 points `[num, D]`."""
        empty = np.zeros((0, *self.gan.shape), np.uint8 if self.gan.is_images else np.float32)
        return np.concatenate([empty, *self.batches(seed, num)])

    def latents(self, seed: int = 0, num: int = 64) -> np.ndarray:
        """The latents of the same samples: float32 `[num, latent_dim]`, which `decode` takes."""
        seed, num = arguments.whole("seed", seed, 0, 2**32), arguments.whole("num", num)
        parts = [np.zeros((0, self.gan.latent_dim), np.float32)]
        for first in range(0, num, batch_of(self.gan)):
            parts.append(np.asarray(latents(self.gan, np.uint32(seed), np.int32(first))))
        return np.concatenate(parts)[:num]

    def batches(self, seed: int = 0, num: int = 64) -> Iterator[np.ndarray]:
        """The same samples in batches, for numbers that do not fit into memory."""
        return self._batches(arguments.whole("seed", seed, 0, 2**32), arguments.whole("num", num))

    def _batches(self, seed: int, num: int) -> Iterator[np.ndarray]:
        before = None
        for first in range(0, num, batch_of(self.gan)):
            z = latents(self.gan, np.uint32(seed), np.int32(first))
            batch = generate(self.gan, self.weights, z)
            if before is not None:  # while the device makes this one
                yield np.asarray(before)
            before = batch
        if before is not None:
            yield np.asarray(before)[: num - first]

    def judge(self, examples: np.ndarray) -> np.ndarray:
        """The discriminator's outputs `[N]` for examples in the same format: see `discriminate`."""
        layout = "[N, H, W, C]" if self.gan.is_images else "[N, D]"
        examples = arguments.array("examples", examples, layout)
        if examples.shape[1:] != self.gan.shape or (self.gan.is_images and examples.dtype != np.uint8):
            kind = "uint8" if self.gan.is_images else "float32"
            shape = ", ".join(map(str, self.gan.shape))
            raise WrongArgument(f"examples are {arguments.shown(examples)}: give {kind} [N, {shape}]")
        if not len(examples):
            return np.zeros(0, np.float32)
        examples = scale(jnp.asarray(examples if self.gan.is_images else examples.astype(np.float32)))
        return np.asarray(discriminate(self.gan, self.discriminator, self.loss_numbers, examples))

    @property
    def threshold(self) -> float | None:
        """Above which of the discriminator's outputs an example is taken for real; None: there is no such."""
        threshold = self.gan.loss(**self.loss_numbers).threshold
        return None if threshold is None else float(threshold)

    def decode(self, z: np.ndarray) -> np.ndarray:
        """The samples of given latents `[N, latent_dim]`, in the same format.

        Raises:
          WrongArgument: the latents have another shape, or are not finite.
        """
        with np.errstate(over="ignore"):  # infinite, which is refused
            z = arguments.array("latents", z, f"[N, {self.gan.latent_dim}]").astype(np.float32)
        arguments.finite("latents", z)
        if z.shape[1] != self.gan.latent_dim:
            raise WrongArgument(f"latents have shape {z.shape}: give [N, {self.gan.latent_dim}]")
        if not len(z):
            return np.zeros((0, *self.gan.shape), np.uint8 if self.gan.is_images else np.float32)
        batch = batch_of(self.gan)
        padded = np.pad(z, ((0, -len(z) % batch), (0, 0)))
        parts = [generate(self.gan, self.weights, part) for part in np.split(padded, len(padded) // batch)]
        return np.concatenate([np.asarray(part) for part in parts])[: len(z)]

    def interpolate(self, seed: int = 0, steps: int = 8, pairs: int = 8) -> np.ndarray:
        """Samples on the way from latent 2i to latent 2i + 1, `[pairs · steps, ...]`.

        Along the great circle for the normal distribution, whose mass lies near a sphere
        (White 2016, Sampling Generative Networks), along the line for others.

        Raises:
          UserError: a number is out of its range.
        """
        seed, steps = arguments.whole("seed", seed, 0, 2**32), arguments.whole("steps", steps, 1)
        pairs = arguments.whole("pairs", pairs, 1)
        z = self.latents(seed, 2 * pairs)
        start, end = z[0::2, None], z[1::2, None]
        t = np.linspace(0, 1, steps, dtype=np.float32)[None, :, None]
        way = (1 - t) * start + t * end
        if self.gan.latent == "normal":
            cosine = (start * end).sum(-1, keepdims=True)
            cosine = cosine / np.linalg.norm(start, axis=-1, keepdims=True)
            cosine = cosine / np.linalg.norm(end, axis=-1, keepdims=True)
            angle = np.arccos(np.clip(cosine, -1, 1))
            if (np.sin(angle) > 1e-6).all():
                way = (np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / np.sin(angle)
        # one point of all ways at a time, so that with several generators a way stays with one of them
        samples = [self.decode(way[:, i]) for i in range(steps)]
        return np.stack(samples, axis=1).reshape(pairs * steps, *self.gan.shape)


@float32
def load(workdir: str | Path, step: int | str | None = None, weights: str = "ema") -> Sampler:
    """The generator of a run, also while it is still going, and without its training data.

    Args:
      workdir: of the run.
      step: of the checkpoint; None is the newest, 'best' that of `evaluation.best`.
      weights: 'ema', the averaged generator, or 'raw'.

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
        gan = experiment.make_gan(config, tuple(record["dataset"]["shape"]))
    except (AttributeError, KeyError, TypeError, UserError) as error:
        foreign = foreign_fields(record["config"])
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
    judged = packed_shape(gan.shape, gan.packing)
    generator = _restore(
        gan.generator, (gan.latent_dim,), checkpoint.tree["ema" if weights == "ema" else "generator"]
    )
    discriminator = _restore(gan.discriminator, judged, checkpoint.tree["discriminator"])
    numbers = checkpoint.tree["hyper"]["loss"]
    return Sampler(gan, generator, checkpoint.step, record["dataset"], discriminator, numbers)


def _restore(network, shape: tuple[int, ...], tree: dict[str, Any]) -> dict[str, Any]:
    """`params` and `model_state` of a network for inputs of `shape`, on the device."""
    template = variable_shapes(network, shape)
    state = {name: values for name, values in template.items() if name != "params"}
    template = {"params": template["params"], "model_state": state}
    restored = serialization.from_state_dict(template, {name: tree[name] for name in template})
    return jax.device_put(restored)
