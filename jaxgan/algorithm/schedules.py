"""Schedules: numbers of the state that go from a start to an end over a range of steps.

The numbers of a schedule (start, end, first step, length) are leaves of the state, too: `hyper.schedules`. So
one compiled program serves every value of them. Without a schedule the program has no trace of them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxgan.algorithm.train_state import GanState

Number = float | Float[Array, ""]


class Schedule(NamedTuple):
    """Which number changes, and how.

    Attributes:
      place: where it is: its path in `GanState.hyper`, or `(network, name)` for a number of an optimizer.
      form: a key of `FORMS`.
    """

    place: tuple[str, ...]
    form: str


def linear(start: Number, end: Number, done: Float[Array, ""]) -> Float[Array, ""]:
    """In a straight line; `done` is the share of the way, in [0, 1]."""
    return (1 - done) * start + done * end


def cosine(start: Number, end: Number, done: Float[Array, ""]) -> Float[Array, ""]:
    """Along half a cosine. Source: Loshchilov and Hutter 2017, SGDR, equation 5."""
    return linear(start, end, (1 - jnp.cos(jnp.pi * done)) / 2)


def exponential(start: Number, end: Number, done: Float[Array, ""]) -> Float[Array, ""]:
    """By the same factor in each step; both ends lie above 0."""
    return start * (end / start) ** done


FORMS = {"linear": linear, "cosine": cosine, "exponential": exponential}


def value_at(
    form: str, step: int | Int[Array, ""], *, start: Number, end: Number, from_step: Number, num_steps: Number
) -> Float[Array, ""]:
    """`start` until `from_step`, then on the way to `end` for `num_steps` steps, `end` after that."""
    done = jnp.clip((step - from_step) / jnp.maximum(num_steps, 1), 0.0, 1.0)
    return FORMS[form](start, end, jnp.asarray(done, jnp.float32))


def at_this_step(
    state: GanState, schedules: dict[str, Schedule], factor: Callable[..., jax.Array]
) -> tuple[dict[str, Any], dict[str, dict[str, jax.Array]]]:
    """The numbers of the state, with those that follow a schedule as they are in this step.

    Args:
      state: before the step.
      schedules: of single numbers, by name.
      factor: on both learning rates, `(step, **hyper["schedule"])`.

    Returns:
      `hyper`, and the numbers of each network's optimizer that change: the learning rate, and scheduled ones.
    """
    hyper, optimizers = state.hyper, {"generator": {}, "discriminator": {}}
    for field, (place, form) in schedules.items():
        value = value_at(form, state.step, **state.hyper["schedules"][field])
        if place[0] in optimizers:
            optimizers[place[0]][place[1]] = value
        else:
            hyper = _replaced(hyper, place, value)
    for network, numbers in optimizers.items():
        scale = factor(state.step, **hyper["schedule"])
        numbers["learning_rate"] = hyper["learning_rate"][network] * scale
    return hyper, optimizers


def _replaced(tree: dict[str, Any], place: tuple[str, ...], value: jax.Array) -> dict[str, Any]:
    """The nested dicts with another leaf at a place, where there must be one."""
    first, *rest = place
    old = tree[first]
    return {**tree, first: _replaced(old, tuple(rest), value) if rest else value}
