"""The registry of tasks, and what every task has."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Key

from jaxgan.errors import UserError
from jaxgan.registry import Registry

TASKS = Registry("task")

Images = Float[Array, "B H W C"]
Shape = tuple[int, int, int]
HostImages = Float[np.ndarray, "B H W C"]


@runtime_checkable
class Task(Protocol):
    """What is given and what is wanted, made from images of a data set.

    A task is a frozen dataclass. Its fields are the config fields `task.<name>.<field>`. If it has a true
    field `keep`, its `complete(made, given)` says what a result keeps of the given image, in training, too.

    Attributes:
      restores: whether the target is the same picture as the given one, but better.
      reads: `("partner",)` if the images of `real` are an example and its partner, joined by channels.
    """

    restores: bool
    reads: tuple[str, ...]

    def real(self, images: Images, keys: Key[Array, " B"]) -> tuple[Images, dict[str, Any]]:
        """`(target, {"image": given})` of images in [-1, 1].

        Pure JAX. What it draws for an example comes from this example's key alone, which should be one that
        nothing else draws from (`randomness.named_keys`).
        """

    def shapes(self, shape: Shape) -> tuple[Shape, Shape]:
        """The shapes of one target and of what is given, for images of `shape` (what `real` takes)."""

    def check(self, shape: Shape) -> None:
        """UserError if images of `shape` cannot have this task."""

    def hole(self, given: Images) -> Images | None:
        """`[B, H, W, 1]`, 1 where the target is to be found; None: everywhere."""

    def baselines(self, given: HostImages) -> dict[str, HostImages]:
        """Targets by simple methods without a network, by name, on the host."""


def shown(shape: Shape) -> str:
    """A shape for messages: height x width."""
    return f"{shape[0]}x{shape[1]}"


def refuse_points(name: str, shape: tuple[int, ...]) -> None:
    """UserError if the examples are no images."""
    if len(shape) != 3:
        raise UserError(f"task '{name}' needs images, and this data set has points: choose another data set")
