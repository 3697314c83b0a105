"""Colouring: a grey image is given, the coloured one is wanted."""

import dataclasses
import math
from typing import Annotated, Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from jaxgan.declarations import AtLeast
from jaxgan.errors import UserError
from jaxgan.tasks.task import TASKS, HostImages, Images, Shape, refuse_points


@TASKS.register("colouring")
@dataclasses.dataclass(frozen=True)
class Colouring:
    """Colours for grey images: given is the luma, `[B, H, W, 1]`, the weighted sum of red, green and blue.

    Attributes:
      weights: of red, green and blue, with sum 1; the default is ITU-R BT.601, as Pillow makes grey.
      keep: whether the result has the given luma, so that the network chooses the colours alone.
    """

    weights: Annotated[tuple[float, ...], AtLeast(0)] = (0.299, 0.587, 0.114)
    keep: bool = True

    restores: ClassVar = False
    reads: ClassVar = ()

    def check(self, shape: Shape) -> None:
        refuse_points("colouring", shape)
        if shape[2] != 3:
            raise UserError(
                f"task 'colouring' needs images of 3 channels, and these have {shape[2]}: choose others"
            )
        if len(self.weights) != 3 or not math.isclose(sum(self.weights), 1, abs_tol=1e-4):
            raise UserError(
                f"task.colouring.weights={self.weights} must be three numbers with sum 1, of R, G and B"
            )

    def shapes(self, shape: Shape) -> tuple[Shape, Shape]:
        return shape, (*shape[:2], 1)

    def real(self, images: Images, keys: Key[Array, " B"]) -> tuple[Images, dict[str, Any]]:
        return images, {"image": jnp.clip(self._luma(images), -1, 1)}

    def complete(self, made: Images, given: Images) -> Images:
        """What was made, with the given luma: the same number is added to red, green and blue of a pixel."""
        return made + (given - self._luma(made))

    def _luma(self, images):
        red, green, blue = self.weights
        return red * images[..., :1] + green * images[..., 1:2] + blue * images[..., 2:]

    def hole(self, given: Images) -> None:
        return None

    def baselines(self, given: HostImages) -> dict[str, HostImages]:
        """`grey`: the luma in all three channels."""
        return {"grey": np.repeat(given, 3, axis=-1)}
