"""Communication between devices: gathering the whole batch, and the mean over devices."""

import jax
from jax import lax
from jaxtyping import Array, Shaped


def gather(per_example: Shaped[Array, "B ..."], axis_name: str | None) -> Shaped[Array, "whole ..."]:
    """The values of the whole batch, from those of each device: losses may compare examples."""
    return per_example if axis_name is None else lax.all_gather(per_example, axis_name, tiled=True)


def average(tree, axis_name: str | None):
    """The mean over devices."""
    return tree if axis_name is None else lax.pmean(tree, axis_name)


def whole_size(batch: dict[str, jax.Array], axis_name: str | None) -> int:
    """B, the examples of the whole batch, from one device's share of it."""
    part = len(batch["index"])
    return part if axis_name is None else part * lax.axis_size(axis_name)
