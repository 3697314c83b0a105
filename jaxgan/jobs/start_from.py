"""Starting from the networks of another run, which may have another condition or other heads."""

from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgan.errors import UserError
from jaxgan.models.conditional import is_of_condition


def merge(mine: dict[str, Any], tree: dict[str, Any], where: str) -> tuple[dict, list[str], list[str]]:
    """The arrays of a checkpoint that fit networks, by name.

    Args:
      mine: shapes of `params` and `model_state` of `generator`, `discriminator` and `ema`.
      tree: of the checkpoint, which has these and more.
      where: the run, for messages.

    Returns:
      the arrays that fit, by path; the names of those that are left over, and of those that are missing. A
      head of another shape is both.

    Raises:
      UserError: parts that are not for conditions are missing, or have other shapes.
    """
    shapes = flatten_dict(mine)
    try:
        found = flatten_dict({name: {part: tree[name][part] for part in mine[name]} for name in mine})
    except KeyError as error:
        raise UserError(f"init_from={where}: its networks have other parts than this config's") from error
    for path in found.keys() ^ shapes.keys():
        if not is_of_condition(path):
            raise UserError(f"init_from={where}: its networks have other shapes than this config's")
    shared = {path: np.asarray(found[path]) for path in found.keys() & shapes.keys()}
    fitting = {path: value for path, value in shared.items() if value.shape == shapes[path].shape}
    if not all(map(is_of_condition, shared.keys() - fitting.keys())):
        raise UserError(f"init_from={where}: its networks have other shapes than this config's")
    return fitting, _names(found.keys() - fitting.keys()), _names(shapes.keys() - fitting.keys())


def fill(mine: dict[str, Any], fitting: dict) -> dict[str, Any]:
    """The networks with the fitting arrays instead of their own."""
    return unflatten_dict({**flatten_dict(mine, keep_empty_nodes=True), **fitting})


def _names(paths) -> list[str]:
    """Names in the networks themselves, without their averages."""
    return sorted(f"{path[0]}/{'/'.join(path[2:])}" for path in paths if path[0] != "ema")
