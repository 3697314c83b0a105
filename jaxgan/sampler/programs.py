"""The compiled parts of a sampler: pure functions of the weights."""

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Integer, Num, UInt8

from jaxgan.algorithm.conditions import Codes, Given
from jaxgan.algorithm.gan import GAN
from jaxgan.algorithm.randomness import example_keys
from jaxgan.algorithm.tricks import pack
from jaxgan.compilation import float32, jit
from jaxgan.drawing.grids import CLASS_COLUMNS
from jaxgan.latents import make_key
from jaxgan.losses import per_example, real_or_fake
from jaxgan.regularizers.information import Posterior, read_posterior
from jaxgan.sampler.kept import Kept, compare, degrade

Latents = Float[Array | np.ndarray, "B Z"]
Examples = Float[Array | np.ndarray, "B ..."]  # as the networks see them
Finished = UInt8[Array, "B H W C"] | Float[Array, "B D"]
Seed = Integer[Array, ""] | np.integer

BATCH = 64  # samples in a batch, always as many, so that an image does not depend on how many are requested
_MOST, _BYTES = 16, 2**20  # batches that a call of `draw` makes, and bytes of all of them
AT_ONCE = 512  # examples that a discriminator judges together


def in_parts(judge: Callable[..., Any], *inputs: Any) -> np.ndarray:
    """What a discriminator says of N examples, `[N, ...]`, of AT_ONCE at a time.

    Minibatch features compare the examples of a part, in memory of the square of their number.

    Args:
      judge: takes a part of each of the inputs.
      inputs: pytrees of arrays `[N, ...]`.
    """
    num = len(jax.tree.leaves(inputs)[0])
    parts = [slice(first, first + AT_ONCE) for first in range(0, num, AT_ONCE)]
    return np.concatenate([judge(*jax.tree.map(operator.itemgetter(part), inputs)) for part in parts])


def batch_of(gan: GAN) -> int:
    """The samples in a batch: BATCH, or fewer, so that several generators make equally many."""
    return BATCH - BATCH % gan.num_generators


def drawn_at_once(gan: GAN) -> int:
    """The most samples that a call of `draw` makes: many small ones, because a call costs time itself."""
    size = batch_of(gan)
    num_bytes = size * math.prod(gan.shape) * (1 if gan.is_images else 4)
    return size * int(np.clip(_BYTES // num_bytes, 1, _MOST))


@float32
@functools.partial(jit, static_argnums=0)
def draw(
    gan: GAN,
    weights: dict[str, Any],
    seed: Seed,
    first: Seed,
    count: Seed,
    given: Given,
    codes: dict[int, Num[np.ndarray, " N"]],
) -> Finished:
    """Samples of a seed, batch after batch, each with the bits that `generate` gives it: `[N, ...]`.

    The last ones are zeros: only `count` batches are made.

    Args:
      gan: what is static.
      weights: `params` and `model_state` of a generator.
      seed: of latents and conditions.
      first: number of the first sample.
      count: batches to make, at most `drawn_at_once(gan) // batch_of(gan)`.
      given: conditions `[N, ...]`; empty: they are drawn.
      codes: values `[N]` of some codes, which take the place of drawn ones.
    """
    size, num = batch_of(gan), drawn_at_once(gan)

    def add(i, made):
        def own(values):
            return lax.dynamic_slice_in_dim(values, i * size, size)

        place = seed, first + i * size
        told = jax.tree.map(own, given) or conditions(gan, *place)
        for code, values in codes.items():
            told["codes"] = vary(told["codes"], code, own(values))
        z, told = lax.optimization_barrier((latents(gan, *place), told))  # else bits may differ
        return lax.dynamic_update_slice_in_dim(made, finish(gan, apply(gan, weights, z, told)), i * size, 0)

    empty = jnp.zeros((num, *gan.shape), jnp.uint8 if gan.is_images else jnp.float32)
    return lax.fori_loop(0, count, add, empty)


@float32
@functools.partial(jit, static_argnums=0)
def generate(gan: GAN, weights: dict[str, Any], z: Latents, given: Given | None = None) -> Finished:
    """Generated examples as a user wants them: uint8 images `[B, H, W, C]`, or float32 points `[B, D]`.

    Args:
      gan: what is static.
      weights: `params` and `model_state` of a generator; batch norm uses its running averages.
      z: latents `[B, latent_dim]`.
      given: conditions of the samples, `[B, ...]` by keyword; None or empty without a condition.
    """
    return finish(gan, apply(gan, weights, z, given))


@float32
@functools.partial(jit, static_argnums=0)
def discriminate(
    gan: GAN,
    weights: dict[str, Any],
    loss_numbers: dict[str, Float[Array, ""]],
    examples: Examples,
    given: Given,
) -> Float[Array, " B"]:
    """The discriminator's outputs `[B]` for examples: probabilities, for logistic losses.

    Args:
      gan: what is static.
      weights: `params` and `model_state` of a discriminator; batch norm uses its running averages.
      loss_numbers: the numbers of the loss, as in `GanState.hyper`.
      examples: float32 `[B, ...]`, images in [-1, 1]. With packing, each is judged together with copies of
        itself.
      given: conditions of the examples.
    """
    variables = {"params": weights["params"], **weights["model_state"]}
    packed = pack(jnp.repeat(examples, gan.packing, axis=0), gan.packing)
    outputs = gan.discriminator.apply(variables, packed, train=False, **given)
    logits = real_or_fake(outputs) if gan.num_generators > 1 else outputs
    return per_example(gan.loss(**loss_numbers).output_fn(logits))


@float32
@functools.partial(jit, static_argnums=0)
def class_logits(gan: GAN, weights: dict[str, Any], examples: Examples) -> Float[Array, "B classes"]:
    """The discriminator's logits of all classes: `[B, len(gan.classes)]`.

    These are D(x, y) for every class y. If y is no input of the discriminator, they are the logits of its
    first head that is not a twin (`tac`).

    Args:
      gan: what is static; its discriminator is a conditional one.
      weights: of it.
      examples: float32 `[B, ...]`, images in [-1, 1].
    """
    variables, classes = {"params": weights["params"], **weights["model_state"]}, jnp.array(gan.classes)
    if gan.discriminator.labels == "none":
        _, said, _ = gan.discriminator.apply(variables, examples, train=False, heads=True)
        logits = next(head["logits"] for name, head in said.items() if name != "tac")
        step = logits.shape[1] // gan.condition.num_classes  # 2 if fakes have classes of their own
        return logits[:, step * classes]

    def judge(label):
        labels = jnp.full(len(examples), label)
        return gan.discriminator.apply(variables, examples, train=False, labels=labels)

    return lax.map(judge, classes).T


@float32
@functools.partial(jit, static_argnums=0)
def posterior(gan: GAN, weights: dict[str, Any], examples: Examples) -> Posterior:
    """The posterior Q(c | x) of the codes of examples, by InfoGAN's head.

    Args:
      gan: what is static, with codes as its condition.
      weights: of its discriminator.
      examples: float32 `[B, ...]`, images in [-1, 1].
    """
    variables = {"params": weights["params"], **weights["model_state"]}
    _, said, _ = gan.discriminator.apply(variables, examples, train=False, heads=True)
    return read_posterior(said["information"]["logits"], gan.condition.example["codes"])


def apply(gan: GAN, weights: dict[str, Any], z: Latents, given: Given | None = None) -> Examples:
    """The generator's outputs: float32 `[B, ...]`, images in [-1, 1]."""
    variables = {"params": weights["params"], **weights["model_state"]}
    return gan.generator.apply(variables, z, train=False, **(given or {}))


def finish(gan: GAN, examples: Examples) -> Finished:
    """Generated examples in the format of the data set: uint8 images, or points as they are."""
    return jnp.round((jnp.clip(examples, -1, 1) + 1) * 127.5).astype(jnp.uint8) if gan.is_images else examples


@float32
@functools.partial(jax.jit, static_argnums=0)
def latents(gan: GAN, seed: Seed, first: Seed) -> Latents:
    """The latents of the samples of a seed from number `first` on: `[batch_of(gan), latent_dim]`."""
    key = make_key(jnp.array([0, 1], jnp.uint32) * seed)  # the words of jax.random.key(seed)
    return gan.sample_latents(key, first + jnp.arange(batch_of(gan)))


@float32
@functools.partial(jax.jit, static_argnums=0)
def conditions(gan: GAN, seed: Seed, first: Seed) -> Given:
    """The conditions of the same samples if none are requested: `[batch_of(gan), ...]`."""
    if gan.condition is None:
        return {}
    key = make_key(jnp.array([0, 1], jnp.uint32) * seed)
    return gan.condition.draw(example_keys(key, first + jnp.arange(batch_of(gan))))


def fixed_inputs(
    gan: GAN, seed: int = 0, classes: Int[np.ndarray, " rows"] | None = None, kept: Kept | None = None
) -> tuple[Latents, Given]:
    """Latents and conditions for a picture: the first 64 images of a seed, or 2,500 points.

    With a task they are those of the kept examples. With classes there is a row of images for each given
    class, or for the first 16, all with the same latents. With categorical codes there is a row for each
    value of the first code.
    """
    if gan.task:
        return latents(gan, np.uint32(seed), np.int32(0))[: len(kept.examples)], degrade(gan, kept)[1]
    num = 64 if gan.is_images else 2_500
    places = [(np.uint32(seed), np.int32(first)) for first in range(0, num, batch_of(gan))]
    z = jnp.concatenate([latents(gan, *place) for place in places])[:num]
    if gan.classes and gan.is_images:
        rows = np.array(gan.classes[:16] if classes is None else classes, np.int32)
        return jnp.tile(z[:CLASS_COLUMNS], (len(rows), 1)), {"labels": np.repeat(rows, CLASS_COLUMNS)}
    given = [conditions(gan, *place) for place in places]
    given = jax.tree.map(lambda *parts: jnp.concatenate(parts)[:num], *given)
    if gan.rows and gan.is_images:
        shown = jax.tree.map(lambda part: jnp.tile(part[:CLASS_COLUMNS], (gan.rows, 1)), (z, given))
        return shown[0], {"codes": vary(shown[1]["codes"], 0, np.repeat(np.arange(gan.rows), CLASS_COLUMNS))}
    return z, given


def show(gan: GAN, weights: dict[str, Any], shown: tuple[Latents, Given], kept: Kept | None) -> Finished:
    """What is made of fixed inputs; with a task, below what is given and above what is wanted.

    Args:
      gan: what is static.
      weights: of the generator.
      shown: `fixed_inputs`.
      kept: the examples of the task.
    """
    made = generate(gan, weights, *shown)
    if gan.task is None:
        return made
    return compare(shown[1]["image"], made, degrade(gan, kept)[0], gan.reads_partners)


@float32
@functools.partial(jit, static_argnums=0)
def translate(
    gan: GAN, weights: dict[str, Any], z: Latents, image: Float[Array | np.ndarray, "B h w G"]
) -> Float[Array, "B H W C"]:
    """What a generator makes of given images of any size, clipped to [-1, 1].

    Args:
      gan: what is static.
      weights: of the generator.
      z: latents.
      image: in [-1, 1].
    """
    return jnp.clip(apply(gan, weights, z, {"image": image}), -1, 1)


def vary(codes: Codes, i: int, values: Num[np.ndarray, " N"]) -> Codes:
    """The codes `[N, ...]` with other values `[N]` of code i; categorical codes come first."""
    if i < len(codes.categorical):
        one_hot = jax.nn.one_hot(values, codes.categorical[i].shape[1])
        return codes._replace(categorical=(*codes.categorical[:i], one_hot, *codes.categorical[i + 1 :]))
    continuous = jnp.asarray(codes.continuous).at[:, i - len(codes.categorical)].set(values)
    return codes._replace(continuous=continuous)
