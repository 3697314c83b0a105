"""Conditions: further inputs of both networks, such as the class of an example: `G(z, labels=...)`.

Conditions are passed as a dict of keyword arguments, called `given`: `labels` int32 `[B]`; `codes`, a
`Codes`; or `image`, float32 `[B, H, W, C]` in [-1, 1]. Without a condition the dict is empty, and the
compiled program has no trace of it.

To add one: write a builder here and register it. Its keyword-only parameters become the config fields
`condition.<name>.<parameter>`.
"""

import numbers
import re
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from jaxgan.algorithm.randomness import named_keys
from jaxgan.declarations import Above, AtLeast, OneOf
from jaxgan.declarations.arguments import array, finite, shown, whole
from jaxgan.errors import WrongArgument
from jaxgan.registry import Registry
from jaxgan.tasks import Task

# Builders `(classes, *, fields) -> Condition`, or None; `classes` are the labels that the data has.
CONDITIONS = Registry("condition")

Given = dict[str, Any]
Labels = int | str | Sequence[int | str] | None  # as a user gives them


class Codes(NamedTuple):
    """Latent codes of B examples.

    Attributes:
      categorical: one-hot vectors `[B, k]` for each categorical code.
      continuous: `[B, c]`, in [-1, 1].
    """

    categorical: tuple[Float[Array, "B _"], ...]
    continuous: Float[Array, "B c"]


class Condition(NamedTuple):
    """How the conditions of real examples and of fakes are made.

    Attributes:
      real: `(stored, keys) -> (target, given)`. `stored` has the batch's `examples` `[B, ...]` and what is in
        `reads`; `keys` are typed, one an example. `target` are the real examples for the discriminator, and
        `given` their conditions.
      fake: `(keys, given_with_real, numbers) -> given`, of the fakes; `numbers` are `hyper["condition"]`.
      draw: `keys -> given`, of samples for which no condition is requested; None: they come from data.
      example: a condition of zeros `[1, ...]`, for the shapes of parameters.
      reads: what `real` needs of a batch besides its examples: `labels`; or `partner`, other examples in an
        order of their own, for unpaired data.
      paired: whether fake i has the condition of real example i.
      classes: the labels of the data.
      task: what makes given images, if there are any (see `jaxgan.tasks`).
      shape: of a target; (): that of a stored example.
    """

    real: Callable[[dict[str, jax.Array], jax.Array], tuple[jax.Array, Given]]
    fake: Callable[[jax.Array, Given, dict[str, jax.Array]], Given]
    draw: Callable[[jax.Array], Given] | None
    example: Given
    reads: tuple[str, ...] = ()
    paired: bool = False
    classes: tuple[int, ...] = ()
    task: Task | None = None
    shape: tuple[int, ...] = ()

    @property
    def num_classes(self) -> int:
        """K: labels lie in [0, K)."""
        return max(self.classes, default=-1) + 1


def find_labels(labels: Labels, classes: tuple[int, ...], names: Sequence[str]) -> Int32[np.ndarray, " n"]:
    """Labels as a user gives them, as int32 `[n]`.

    Args:
      labels: one or several, each a number or the name of a class.
      classes: the labels that the data has.
      names: of its classes, where known.

    Raises:
      WrongArgument: there is no such class.
    """
    if not classes:
        raise WrongArgument(
            "labels are given, but this generator takes none: it was trained without them; leave them out, "
            "or train with condition.name=labels"
        )
    names, found = list(names), []
    try:
        if isinstance(labels, Mapping | Set | bytes):
            raise TypeError("no sequence")
        asked = [labels] if isinstance(labels, str | numbers.Integral) else [*labels]
    except TypeError as error:
        raise WrongArgument(f"labels={shown(labels)}: give a label, a class's name, or several") from error
    for label in asked:
        known = names.index(label) if isinstance(label, str) and label in names else _as_number(label)
        if known not in classes:
            some = names or [str(known) for known in classes]
            more = f", ... ({len(some)} in all)" if len(some) > 10 else ""
            raise WrongArgument(f"label {shown(label)} is none of the data's: {', '.join(some[:10])}{more}")
        found.append(known)
    if not found:
        raise WrongArgument("labels are an empty list: give one or more, or None")
    return np.array(found, np.int32)


def read_codes(asked: Mapping[int, Any], example: Codes | None) -> dict[int, np.ndarray]:
    """Values for codes as a user gives them, each as an array `[n]`; categorical codes come first.

    Raises:
      WrongArgument: there is no such code, or it has no such value.
    """
    if example is None:
        raise WrongArgument(
            "codes are given, but this generator takes none: it was trained without them; leave them out, "
            "or train with condition.name=codes"
        )
    sizes = [code.shape[1] for code in example.categorical]
    num, found = len(sizes) + example.continuous.shape[1], {}
    if not isinstance(asked, Mapping):
        raise WrongArgument(f"codes={shown(asked)}: give a dict, as {{0: 7}}, of codes by number")
    for i, values in asked.items():
        code = whole("the number of a code", i, 0, num)
        values = finite("codes", np.atleast_1d(array(f"codes[{code}]", np.atleast_1d(values), "[N]")))
        if not len(values):
            raise WrongArgument(f"codes[{code}] is an empty list: give one value or more")
        if code < len(sizes):
            for value in values:
                whole(f"codes[{code}]", value.item(), 0, sizes[code])
        found[code] = values
    return found


def parse_codes(texts: Sequence[str]) -> dict[int, list[float]]:
    """The argument of `read_codes`, from texts `NUMBER:VALUE`; values of one code stay in order.

    Raises:
      WrongArgument: a text is no such pair.
    """
    found: dict[int, list[float]] = {}
    if not texts:
        raise WrongArgument("--codes is empty: give NUMBER:VALUE, as 0:7, or leave it out")
    for text in texts:
        if not (match := re.fullmatch(r"([0-9]+):([-+.0-9e]+)", text.strip())):
            raise WrongArgument(f"--codes={shown(text)}: give NUMBER:VALUE, as 0:7, separated by commas")
        try:
            value = int(match[2]) if match[2].isdecimal() else float(match[2])
        except ValueError as error:
            raise WrongArgument(f"--codes={shown(text)}: {match[2]} is no number") from error
        found.setdefault(int(match[1]), []).append(value)
    return found


def _as_number(label: Any) -> int | None:
    if isinstance(label, numbers.Integral) and not isinstance(label, bool):
        return int(label)
    return int(label) if isinstance(label, str) and re.fullmatch(r"-?[0-9]{1,9}", label) else None


@CONDITIONS.register("none")
def none(classes: tuple[int, ...]) -> None:
    """Nothing."""


@CONDITIONS.register("labels")
def labels(
    classes: tuple[int, ...],
    *,
    fakes: Annotated[str, OneOf(("auto", "paired", "data", "uniform"))] = "auto",
    generator: Annotated[str, OneOf(("joined", "batch_norm"))] = "joined",
    discriminator: Annotated[
        str, OneOf(("none", "joined", "projection", "select", "inner_product"))
    ] = "joined",
    embedding: Annotated[int, AtLeast(1)] = 50,
    generator_embedding: Annotated[int, AtLeast(0)] = 0,
) -> Condition:
    """Each example's class.

    Args:
      classes: the labels that the data has.
      fakes: labels of the fakes in training: `paired`, those of the real batch; `data`, drawn with the
        frequencies of the data; `uniform`, all equally often. `auto` is `paired` if a loss or a penalty
        compares real with fake examples one by one, and otherwise `data`.
      generator: how the generator uses labels, see `models.conditional.ConditionalGenerator`.
      discriminator: how the discriminator uses labels, see `ConditionalDiscriminator`; none: in class losses
        alone.
      embedding: width of the embeddings that are joined to latents and to points, or of the inner product.
      generator_embedding: width of the one that is joined to latents, where it differs; 0: `embedding`.

    Source: Mirza and Osindero 2014, Conditional Generative Adversarial Nets.
    """
    occurring = jnp.asarray(classes, jnp.int32)
    paired = fakes == "paired"

    def real(stored, keys):
        return stored["examples"], {"labels": stored["labels"]}

    def fake(keys, given, numbers):
        if paired:
            return given
        shares = jnp.log(numbers["label_shares"])
        pick = jax.vmap(lambda key: jax.random.categorical(key, shares))
        return {"labels": pick(named_keys(keys, "labels")).astype(jnp.int32)}

    def draw(keys):
        pick = jax.vmap(lambda key: jax.random.randint(key, (), 0, len(classes)))
        return {"labels": occurring[pick(named_keys(keys, "labels"))]}

    example = {"labels": jnp.zeros(1, jnp.int32)}
    return Condition(real, fake, draw, example, ("labels",), paired, tuple(classes))


@CONDITIONS.register("codes")
def codes(
    classes: tuple[int, ...],
    *,
    categorical: Annotated[tuple[int, ...], AtLeast(2)] = (10,),
    continuous: Annotated[int, AtLeast(0)] = 2,
    scale: Annotated[float, Above(0)] = 1.0,
) -> Condition:
    """Latent codes, an input of the generator alone. A discriminator's head predicts them (`information`).

    Args:
      classes: the labels of the data; not used.
      categorical: the number of values of each uniform categorical code.
      continuous: the number of codes from U(-1, 1).
      scale: the generator's input is a categorical code times this. Above 1 the code decides more of an image
        than z and the continuous codes do. With 10 it is as long as 100 numbers from N(0, 1).

    Source: Chen et al. 2016, InfoGAN: Interpretable Representation Learning by Information Maximizing
    Generative Adversarial Nets, section 4. A scale in effect: Mukherjee et al. 2019, ClusterGAN, section 2.1,
    with z from N(0, .1²).
    """

    def draw(keys):
        parts = []
        for i, size in enumerate(categorical):
            pick = jax.vmap(lambda key, size=size: jax.random.randint(key, (), 0, size))
            parts.append(jax.nn.one_hot(pick(named_keys(keys, f"code {i}")), size))
        values = jax.vmap(lambda key: jax.random.uniform(key, (continuous,), minval=-1.0, maxval=1.0))
        return {"codes": Codes(tuple(parts), values(named_keys(keys, "continuous codes")))}

    def real(stored, keys):
        return stored["examples"], {}

    def fake(keys, given, numbers):
        return draw(keys)

    example = Codes(tuple(jnp.zeros((1, size)) for size in categorical), jnp.zeros((1, continuous)))
    return Condition(real, fake, draw, {"codes": example})


@CONDITIONS.register("image")
def image(
    classes: tuple[int, ...],
    task: Task,
    shape: tuple[int, ...],
    *,
    discriminator: Annotated[str, OneOf(("joined", "none"))] = "joined",
) -> Condition:
    """An image that the generator changes, made by the config's `task` from each example.

    Args:
      classes: the labels of the data; not used.
      task: what is given, and what is wanted.
      shape: of a stored example.
      discriminator: joined: it sees the given image beside the one that it judges, in further channels;
        none: it does not.

    Source: Isola et al. 2017, Image-to-Image Translation with Conditional Adversarial Networks, section 3.
    """
    with_partner = "partner" in task.reads
    shape = (*shape[:-1], 2 * shape[-1]) if with_partner else tuple(shape)
    task.check(shape)
    target, given = task.shapes(shape)

    def real(stored, keys):
        images = stored["examples"]
        if with_partner:
            images = jnp.concatenate([images, stored["partner"]], axis=-1)
        return task.real(images, named_keys(keys, "task"))

    example = {"image": jnp.zeros((1, *given))}
    return Condition(
        real, lambda keys, given, numbers: given, None, example, task.reads, True, task=task, shape=target
    )
