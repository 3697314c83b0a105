"""How penalties are applied: their weights, intervals, schedules and memories."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int

from jaxgan.algorithm.collectives import gather
from jaxgan.algorithm.gan import Game, Regularizer
from jaxgan.algorithm.randomness import named_keys
from jaxgan.augment import augment
from jaxgan.regularizers.classes import Said


def penalize(
    family: str, evaluate: Callable, memory: dict, game: Game, count: Int[Array, ""], own_step: bool = False
):
    """The penalties of one family: Σ interval · weight · schedule(step) · penalty, every interval-th update.

    Args:
      family: a key of `regularizers.FAMILIES`.
      evaluate: `(name, penalty, remembered) -> (value, remembered)`. The value is None where the penalty has
        no such term.
      memory: of the network; `memory["regularizers"]` has that of each penalty.
      game: the step's.
      count: int32 `[]`, updates of this network done before.
      own_step: whether those with an optimizer step of their own are meant, in an update in which they are
        due; otherwise the others.

    Returns:
      the sum, the memory afterwards, and the values by name, times the interval (so that their mean over
      steps is the penalty's mean).
    """
    sum_, kept, values = jnp.zeros(()), dict(memory["regularizers"]), {}
    for name, entry in game.gan.family(family).items():
        if entry.own_step != own_step:
            continue
        if entry.family == "weight" and name not in kept:  # a term of the other network
            continue
        numbers, remembered = game.hyper["regularizers"][name], kept.get(name, ())

        def term(name=name, entry=entry, numbers=numbers, remembered=remembered):
            return evaluate(name, entry.build(**numbers["fields"]), remembered)

        if jax.eval_shape(term)[0] is None:
            continue
        if entry.interval == 1 or own_step:
            value, remembered = term()
        else:
            due = count % entry.interval == 0
            value, remembered = lax.cond(due, term, lambda old=remembered: (jnp.zeros(()), old))
        values[name] = entry.interval * value
        sum_ += _strength(entry, numbers, game) * values[name]
        if name in kept:
            kept[name] = remembered
    return sum_, {**memory, "regularizers": kept}, values


def consistency_term(side: str, name: str, penalty, critic, generator_params, batch: dict, game: Game):
    """The mean over the batch of a consistency penalty's term for 'generator' or 'discriminator', or None."""

    def generator(z):
        network = game.generator
        return network.forward(generator_params, network.model_state, z, batch["given"]["fake"])[0]

    def transform(keys, images):
        return augment(game.operations("consistency_augment"), keys, images, None)

    terms = penalty(critic, generator, transform, batch["real"], batch["z"], named_keys(batch["keys"], name))
    return jnp.mean(terms[side]) if side in terms else None


def said(name: str, real, fake, batch: dict, axis_name: str | None) -> tuple[Said, Said]:
    """The outputs of the head called `name` for the whole batch of real examples, and of fakes.

    Args:
      name: of a class loss.
      real, fake: `discriminator.DiscriminatorOutputs`, of this device's share.
      batch: with the conditions, `given`, of each.
      axis_name: the device axis, under pmap.
    """
    sides = []
    for outputs, given in ((real, batch["given"]["real"]), (fake, batch["given"]["fake"])):
        head = outputs.heads[name]
        own = Said(head["logits"], head.get("embedding"), given)
        sides.append(jax.tree.map(lambda leaf: gather(leaf, axis_name), own))
    return tuple(sides)


def project(params, game: Game, count: Int[Array, ""]):
    """The discriminator's parameters after all projections; each goes weight · schedule(step) of the way."""
    for name, entry in game.gan.family("projection").items():
        numbers = game.hyper["regularizers"][name]
        projected = entry.build(**numbers["fields"])(params)
        way = jnp.where(count % entry.interval == 0, _strength(entry, numbers, game), 0.0)
        params = jax.tree.map(lambda p, q, way=way: (1 - way) * p + way * q, params, projected)
    return params


def remember(memory: dict, params, game: Game) -> dict:
    """The memory of penalties after an update that gave `params`."""
    kept = dict(memory["regularizers"])
    for name, entry in game.gan.family("weight").items():
        if name in kept:
            numbers = game.hyper["regularizers"][name]
            kept[name] = entry.build(**numbers["fields"]).update(params, kept[name])
    return {**memory, "regularizers": kept}


def _strength(entry: Regularizer, numbers: dict, game: Game) -> jax.Array:
    return numbers["weight"] * entry.schedule(game.step, **numbers["schedule"])
