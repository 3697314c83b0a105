"""What couples the devices of a program: the whole batch's values, and the mean over devices."""

from jax import lax
from jaxtyping import Array, Shaped


def gather(per_example: Shaped[Array, "B ..."], axis_name: str | None) -> Shaped[Array, "whole ..."]:
    """The whole batch's values from each device's share: losses may couple examples."""
    return per_example if axis_name is None else lax.all_gather(per_example, axis_name, tiled=True)


def average(tree, axis_name: str | None):
    """The mean over devices."""
    return tree if axis_name is None else lax.pmean(tree, axis_name)
