"""A trained generator as a function: `sampler = jaxgan.load(workdir); images = sampler(seed=0, num=64)`.

Of a conditional one: `sampler(labels=7)`, a list of labels or names of classes, which take turns, or none.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization
from jax import lax

from jaxgan.algorithm.conditions import Given, Labels, find_labels
from jaxgan.algorithm.gan import GAN, packed_shape
from jaxgan.algorithm.randomness import example_keys
from jaxgan.algorithm.train_state import variable_shapes
from jaxgan.algorithm.tricks import pack, scale
from jaxgan.compilation import float32, jit
from jaxgan.config import experiment
from jaxgan.config.recorded import foreign_fields
from jaxgan.declarations import arguments
from jaxgan.drawing.grids import CLASS_COLUMNS
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
def generate(gan: GAN, weights: dict[str, Any], z: jax.Array, given: Given | None = None) -> jax.Array:
    """Generated examples as a user wants them: uint8 images `[B, H, W, C]`, or float32 points `[B, D]`.

    Args:
      gan: what is static.
      weights: `params` and `model_state` of a generator; batch norm uses its running averages.
      z: latents `[B, latent_dim]`.
      given: what it is told of each, `[B, ...]` by keyword; nothing, without a condition.
    """
    return finish(gan, apply(gan, weights, z, given))


@float32
@functools.partial(jit, static_argnums=0)
def discriminate(
    gan: GAN,
    weights: dict[str, Any],
    loss_numbers: dict[str, jax.Array],
    examples: jax.Array,
    given: Given,
) -> jax.Array:
    """The discriminator's outputs `[B]` (probabilities, for logistic losses) of examples as it sees them.

    Args:
      gan: what is static.
      weights: `params` and `model_state` of a discriminator; batch norm uses its running averages.
      loss_numbers: the loss's, as in `GanState.hyper`.
      examples: float32 `[B, ...]`, images in [-1, 1]. Under packing each is judged with copies of itself.
      given: what it is told of each.
    """
    variables = {"params": weights["params"], **weights["model_state"]}
    packed = pack(jnp.repeat(examples, gan.packing, axis=0), gan.packing)
    outputs = gan.discriminator.apply(variables, packed, train=False, **given)
    logits = real_or_fake(outputs) if gan.num_generators > 1 else outputs
    return gan.loss(**loss_numbers).output_fn(logits)


@float32
@functools.partial(jit, static_argnums=0)
def class_logits(gan: GAN, weights: dict[str, Any], examples: jax.Array) -> jax.Array:
    """How much each class's own example the discriminator takes each for: `[B, len(gan.classes)]`.

    D(x, y) for every class y, or where it is not told y the logits of its first head.

    Args:
      gan: what is static; its discriminator is a conditional one.
      weights: of it.
      examples: float32 `[B, ...]`, images in [-1, 1].
    """
    variables, classes = {"params": weights["params"], **weights["model_state"]}, jnp.array(gan.classes)
    if gan.discriminator.labels == "none":
        _, said, _ = gan.discriminator.apply(variables, examples, train=False, heads=True)
        logits = next(iter(said.values()))["logits"]
        step = logits.shape[1] // gan.condition.num_classes  # 2 where fakes have classes of their own
        return logits[:, step * classes]

    def judge(label):
        labels = jnp.full(len(examples), label)
        return gan.discriminator.apply(variables, examples, train=False, labels=labels)

    return lax.map(judge, classes).T


def apply(gan: GAN, weights: dict[str, Any], z: jax.Array, given: Given | None = None) -> jax.Array:
    """What the generator makes of latents, as it is: float32 `[B, ...]`, images in [-1, 1]."""
    variables = {"params": weights["params"], **weights["model_state"]}
    return gan.generator.apply(variables, z, train=False, **(given or {}))


def finish(gan: GAN, examples: jax.Array) -> jax.Array:
    """Generated examples in the format of the data set: uint8 images, or points as they are."""
    return jnp.round((jnp.clip(examples, -1, 1) + 1) * 127.5).astype(jnp.uint8) if gan.is_images else examples


@float32
@functools.partial(jax.jit, static_argnums=0)
def latents(gan: GAN, seed: jax.Array, first: jax.Array) -> jax.Array:
    """The latents of a batch of samples of a seed, from number `first` on: `[batch_of(gan), latent_dim]`."""
    key = make_key(jnp.array([0, 1], jnp.uint32) * seed)  # the words of jax.random.key(seed)
    return gan.sample_latents(key, first + jnp.arange(batch_of(gan)))


@float32
@functools.partial(jax.jit, static_argnums=0)
def conditions(gan: GAN, seed: jax.Array, first: jax.Array) -> Given:
    """What the generator is told of these samples, where nothing is asked for: `[batch_of(gan), ...]`."""
    if gan.condition is None:
        return {}
    key = make_key(jnp.array([0, 1], jnp.uint32) * seed)
    return gan.condition.draw(example_keys(key, first + jnp.arange(batch_of(gan))))


def fixed_inputs(gan: GAN, seed: int = 0, classes: np.ndarray | None = None) -> tuple[jax.Array, Given]:
    """Latents and conditions of a picture: the first 64 samples of a seed, or 2,500 where points are drawn.

    With classes a row of images for each of those given, or of the first 16, all of the same latents.
    """
    num = 64 if gan.is_images else 2_500
    places = [(np.uint32(seed), np.int32(first)) for first in range(0, num, batch_of(gan))]
    z = jnp.concatenate([latents(gan, *place) for place in places])[:num]
    if gan.classes and gan.is_images:
        rows = np.array(gan.classes[:16] if classes is None else classes, np.int32)
        return jnp.tile(z[:CLASS_COLUMNS], (len(rows), 1)), {"labels": np.repeat(rows, CLASS_COLUMNS)}
    given = [conditions(gan, *place) for place in places]
    return z, jax.tree.map(lambda *parts: jnp.concatenate(parts)[:num], *given)


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

    def __call__(self, seed: int = 0, num: int = 64, labels: Labels = None) -> np.ndarray:
        """`num` samples: uint8 `[num, H, W, C]`, or float32 points `[num, D]`.

        Args:
          seed: of the latents, and of the labels where none are asked for.
          num: how many.
          labels: of a conditional generator, a label or a class's name, or several, which take turns; None:
            drawn, all classes alike.

        Raises:
          WrongArgument: a number is out of its range, or the data has no such class.
        """
        empty = np.zeros((0, *self.gan.shape), np.uint8 if self.gan.is_images else np.float32)
        return np.concatenate([empty, *self.batches(seed, num, labels)])

    def latents(self, seed: int = 0, num: int = 64) -> np.ndarray:
        """The latents of the same samples: float32 `[num, latent_dim]`, which `decode` takes."""
        seed, num = arguments.whole("seed", seed, 0, 2**32), arguments.whole("num", num)
        parts = [np.zeros((0, self.gan.latent_dim), np.float32)]
        for first in range(0, num, batch_of(self.gan)):
            parts.append(np.asarray(latents(self.gan, np.uint32(seed), np.int32(first))))
        return np.concatenate(parts)[:num]

    def batches(self, seed: int = 0, num: int = 64, labels: Labels = None) -> Iterator[np.ndarray]:
        """The same samples in batches, for numbers that do not fit into memory."""
        seed, num = arguments.whole("seed", seed, 0, 2**32), arguments.whole("num", num)
        return self._batches(seed, num, self.read_labels(labels))

    def _batches(self, seed: int, num: int, asked: np.ndarray | None) -> Iterator[np.ndarray]:
        before = None
        for first in range(0, num, batch_of(self.gan)):
            place = np.uint32(seed), np.int32(first)
            given = conditions(self.gan, *place) if asked is None else self._in_turn(asked, first)
            batch = generate(self.gan, self.weights, latents(self.gan, *place), given)
            if before is not None:  # while the device makes this one
                yield np.asarray(before)
            before = batch
        if before is not None:
            yield np.asarray(before)[: num - first]

    def read_labels(self, labels: Labels) -> np.ndarray | None:
        """Labels as a user gives them, as int32 `[n]`; None stays.

        Raises:
          WrongArgument: the generator takes none, or the data does not have one of them.
        """
        if labels is None:
            return None
        return find_labels(labels, self.gan.classes, self.dataset.get("class_names", ()))

    def _in_turn(self, labels: np.ndarray, first: int) -> Given:
        return {"labels": labels[(first + np.arange(batch_of(self.gan))) % len(labels)]}

    def judge(self, examples: np.ndarray, labels: Labels = None) -> np.ndarray:
        """The discriminator's outputs `[N]` for examples in the same format: see `discriminate`.

        Args:
          examples: as the samples are.
          labels: for a conditional discriminator, which take turns; None: the mean over all classes.
        """
        examples = self._examples(examples)
        if not len(examples):
            return np.zeros(0, np.float32)
        asked, told = self.read_labels(labels), [{}]
        if asked is not None:
            told = [{"labels": np.resize(asked, len(examples))}]
        elif self.gan.classes:
            told = [{"labels": np.full(len(examples), label, np.int32)} for label in self.gan.classes]
        judge = functools.partial(discriminate, self.gan, self.discriminator, self.loss_numbers, examples)
        return np.mean([np.asarray(judge(given)) for given in told], axis=0)

    def classify(self, examples: np.ndarray) -> np.ndarray:
        """The labels `[N]` that the discriminator of a conditional GAN gives examples: see `class_logits`."""
        if not self.gan.classes:
            raise WrongArgument("only a conditional discriminator knows classes: this one has none")
        logits = class_logits(self.gan, self.discriminator, self._examples(examples))
        return np.array(self.gan.classes)[np.asarray(logits).argmax(axis=1)]

    def _examples(self, examples: np.ndarray) -> jax.Array:
        """As the discriminator sees them."""
        layout = "[N, H, W, C]" if self.gan.is_images else "[N, D]"
        examples = arguments.array("examples", examples, layout)
        if examples.shape[1:] != self.gan.shape or (self.gan.is_images and examples.dtype != np.uint8):
            kind = "uint8" if self.gan.is_images else "float32"
            shape = ", ".join(map(str, self.gan.shape))
            raise WrongArgument(f"examples are {arguments.shown(examples)}: give {kind} [N, {shape}]")
        return scale(jnp.asarray(examples if self.gan.is_images else examples.astype(np.float32)))

    @property
    def threshold(self) -> float | None:
        """Above which of the discriminator's outputs an example is taken for real; None: there is no such."""
        threshold = self.gan.loss(**self.loss_numbers).threshold
        return None if threshold is None else float(threshold)

    def decode(self, z: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
        """The samples of given latents `[N, latent_dim]`, in the same format.

        Args:
          z: the latents.
          labels: of a conditional generator, int32 `[N]`, or float mixtures of its K classes `[N, K]`.

        Raises:
          WrongArgument: the latents or labels have another shape, or are not finite.
        """
        with np.errstate(over="ignore"):  # infinite, which is refused
            z = arguments.array("latents", z, f"[N, {self.gan.latent_dim}]").astype(np.float32)
        arguments.finite("latents", z)
        if z.shape[1] != self.gan.latent_dim:
            raise WrongArgument(f"latents have shape {z.shape}: give [N, {self.gan.latent_dim}]")
        given = {}
        if self.gan.classes or labels is not None:
            given["labels"] = self._labels_of(labels, len(z))
        if not len(z):
            return np.zeros((0, *self.gan.shape), np.uint8 if self.gan.is_images else np.float32)
        parts = []
        for first in range(0, len(z), batch_of(self.gan)):
            rows = np.minimum(first + np.arange(batch_of(self.gan)), len(z) - 1)  # the last one fills up
            part = {name: values[rows] for name, values in given.items()}
            parts.append(generate(self.gan, self.weights, z[rows], part))
        return np.concatenate([np.asarray(part) for part in parts])[: len(z)]

    def _labels_of(self, labels: np.ndarray | None, num: int) -> np.ndarray:
        """One for each of `num` latents, or mixtures of classes."""
        if labels is None:
            raise WrongArgument(f"labels=None, but this generator is told classes: give {num} labels")
        found = arguments.array("labels", labels, "[N]", "[N, K]")
        if found.ndim == 1:
            found = self.read_labels(found) if len(found) or not self.gan.classes else found
        elif found.shape[1] != (self.gan.condition.num_classes if self.gan.classes else 0):
            raise WrongArgument(f"labels have shape {found.shape}: give [N], or shares of the classes [N, K]")
        if len(found) != num:
            raise WrongArgument(f"labels have shape {found.shape}: give as many as latents, {num}")
        return found if found.ndim == 1 else arguments.finite("labels", found.astype(np.float32))

    def interpolate_classes(
        self, seed: int = 0, steps: int = 8, pairs: int = 8, labels: Labels = None
    ) -> np.ndarray:
        """Samples on the straight way from class to class, z held: `[pairs · steps, ...]`.

        Way i is from the i-th of `labels` to the next, which take turns; None: of all classes.

        Raises:
          WrongArgument: a number is out of its range, or the generator takes no labels.
        """
        seed, steps = arguments.whole("seed", seed, 0, 2**32), arguments.whole("steps", steps, 1)
        pairs = arguments.whole("pairs", pairs, 1)
        classes = self.read_labels(self.gan.classes if labels is None else labels)
        one_hot = np.eye(self.gan.condition.num_classes, dtype=np.float32)[classes]
        start, end = (one_hot[(np.arange(pairs) + i) % len(classes)][:, None] for i in (0, 1))
        t = np.linspace(0, 1, steps, dtype=np.float32)[None, :, None]
        way = ((1 - t) * start + t * end).reshape(pairs * steps, -1)
        return self.decode(np.repeat(self.latents(seed, pairs), steps, axis=0), way)

    def rows_of_classes(
        self, seed: int = 0, labels: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Latents and labels of a grid with a row for each class: see `fixed_inputs`."""
        z, given = fixed_inputs(self.gan, seed, labels)
        return np.asarray(z), given["labels"]

    def interpolate(self, seed: int = 0, steps: int = 8, pairs: int = 8, labels: Labels = None) -> np.ndarray:
        """Samples on the way from latent 2i to latent 2i + 1, `[pairs · steps, ...]`.

        Along the great circle for the normal distribution, whose mass lies near a sphere
        (White 2016, Sampling Generative Networks), along the line for others. With a conditional generator
        the class is held: way i is of the i-th of `labels`, which take turns; None: of all classes in turn.

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
        held = None
        if self.gan.classes:
            asked = self.read_labels(self.gan.classes if labels is None else labels)
            held = asked[np.arange(pairs) % len(asked)]
        samples = [self.decode(way[:, i], held) for i in range(steps)]
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
        about = record["dataset"]
        gan = experiment.make_gan(config, tuple(about["shape"]), classes=tuple(about.get("classes", ())))
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
    tree, judged, given = checkpoint.tree, packed_shape(gan.shape, gan.packing), gan.given_example
    averaged = tree["ema" if weights == "ema" else "generator"]
    generator = _restore(gan.generator, (gan.latent_dim,), given, averaged)
    discriminator = _restore(gan.discriminator, judged, given, tree["discriminator"])
    return Sampler(gan, generator, checkpoint.step, about, discriminator, tree["hyper"]["loss"])


def _restore(network, shape: tuple[int, ...], given: Given, tree: dict[str, Any]) -> dict[str, Any]:
    """`params` and `model_state` of a network for inputs of `shape`, on the device."""
    template = variable_shapes(network, shape, given)
    state = {name: values for name, values in template.items() if name != "params"}
    template = {"params": template["params"], "model_state": state}
    restored = serialization.from_state_dict(template, {name: tree[name] for name in template})
    return jax.device_put(restored)
