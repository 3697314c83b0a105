"""Translation of one's own pictures: `paired` from A to B, `unpaired` between two sets."""

import dataclasses
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Array, Key

from jaxgan.declarations import AtLeast
from jaxgan.errors import UserError
from jaxgan.tasks.task import TASKS, HostImages, Images, Shape, refuse_points


@TASKS.register("paired")
@dataclasses.dataclass(frozen=True)
class Paired:
    """One picture of a pair is given, the other is wanted.

    An example of the data set `paired` has both in its channels, the given one first.

    Attributes:
      given_channels: channels of the given picture; 0: half of the example's.
    """

    given_channels: Annotated[int, AtLeast(0)] = 0

    restores: ClassVar = False
    reads: ClassVar = ()

    def check(self, shape: Shape) -> None:
        refuse_points("paired", shape)
        if not self.given_channels and shape[2] % 2:
            raise UserError(
                f"task 'paired' needs examples of two pictures, and these have {shape[2]} channels: set "
                "dataset.name=paired, or task.paired.given_channels"
            )
        if self.given_channels >= shape[2]:
            raise UserError(
                f"task.paired.given_channels={self.given_channels} leaves none of {shape[2]} channels for "
                "the target"
            )

    def shapes(self, shape: Shape) -> tuple[Shape, Shape]:
        height, width, channels = shape
        given = self.given_channels or channels // 2
        return (height, width, channels - given), (height, width, given)

    def real(self, images: Images, keys: Key[Array, " B"]) -> tuple[Images, dict[str, Any]]:
        given = self.given_channels or images.shape[-1] // 2
        return images[..., given:], {"image": images[..., :given]}

    def hole(self, given: Images) -> None:
        return None

    def baselines(self, given: HostImages) -> dict[str, HostImages]:
        """`input`: the given picture."""
        return {"input": given}


@TASKS.register("unpaired")
@dataclasses.dataclass(frozen=True)
class Unpaired:
    """Two sets of pictures, each to be translated into the other: CycleGAN's.

    An example is (a | b) by channels, `[B, H, W, 2C]`: `reads` says that the caller joins each picture with
    its partner, any picture of the other set. The same pair is given and the target; G gives (F(b) | G(a)).
    """

    restores: ClassVar = False
    reads: ClassVar = ("partner",)

    def check(self, shape: Shape) -> None:
        refuse_points("unpaired", shape)
        if shape[2] % 2:
            raise UserError(
                f"task 'unpaired' needs pairs, and these have {shape[2]} channels: set dataset.name=unpaired"
            )

    def shapes(self, shape: Shape) -> tuple[Shape, Shape]:
        return shape, shape

    def real(self, images: Images, keys: Key[Array, " B"]) -> tuple[Images, dict[str, Any]]:
        return images, {"image": images}

    def hole(self, given: Images) -> None:
        return None

    def baselines(self, given: HostImages) -> dict[str, HostImages]:
        """`input`: each picture as it is, where its translation belongs."""
        first, second = given[..., : given.shape[-1] // 2], given[..., given.shape[-1] // 2 :]
        return {"input": np.concatenate([second, first], axis=-1)}
