"""Super-resolution: a reduced image is given, the image itself is wanted."""

import dataclasses
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from PIL import Image

from jaxgan.declarations import OneOf
from jaxgan.errors import UserError
from jaxgan.tasks.task import TASKS, HostImages, Images, Shape, refuse_points, shown


@TASKS.register("super_resolution")
@dataclasses.dataclass(frozen=True)
class SuperResolution:
    """Enlargement by a factor: given is the image reduced with antialiasing, `[B, H/f, W/f, C]`.

    Attributes:
      factor: how many times larger the target is, in height and in width.
      reduction: bicubic: the kernel of Keys 1981 with a = -0.5, stretched by the factor and clipped to
        [-1, 1], as Pillow and MATLAB reduce (the literature's). box: the mean of each factor x factor block.
    """

    factor: Annotated[int, OneOf((2, 4))] = 4
    reduction: Annotated[str, OneOf(("bicubic", "box"))] = "bicubic"

    restores: ClassVar = True
    reads: ClassVar = ()

    def check(self, shape: Shape) -> None:
        refuse_points("super_resolution", shape)
        if shape[0] % self.factor or shape[1] % self.factor:
            raise UserError(
                f"task.super_resolution.factor={self.factor} does not divide the images' {shown(shape)}: set "
                "dataset.image_size to a multiple of it"
            )

    def shapes(self, shape: Shape) -> tuple[Shape, Shape]:
        height, width, channels = shape
        return shape, (height // self.factor, width // self.factor, channels)

    def real(self, images: Images, keys: Key[Array, " B"]) -> tuple[Images, dict[str, Any]]:
        return images, {"image": reduce(images, self.factor, self.reduction)}

    def hole(self, given: Images) -> None:
        return None

    def baselines(self, given: HostImages) -> dict[str, HostImages]:
        """`bicubic` and `nearest` enlargement."""
        return {name: enlarge(given, self.factor, name) for name in ("bicubic", "nearest")}


def reduce(
    images: Float[Array, "B H W C"], factor: int, reduction: str = "bicubic"
) -> Float[Array, "B h w C"]:
    """The images `factor` times smaller in height and width, antialiased; see `SuperResolution`."""
    batch, height, width, channels = images.shape
    if reduction == "box":
        blocks = images.reshape(batch, height // factor, factor, width // factor, factor, channels)
        return blocks.mean(axis=(2, 4))
    size = (batch, height // factor, width // factor, channels)
    return jnp.clip(jax.image.resize(images, size, "cubic", antialias=True), -1, 1)


def enlarge(
    images: Float[np.ndarray, "B h w C"], factor: int, method: str = "bicubic"
) -> Float[np.ndarray, "B H W C"]:
    """The images `factor` times larger by Pillow's `bicubic` (clipped to [-1, 1]) or `nearest`."""
    batch, height, width, channels = images.shape
    if method == "nearest":
        return images.repeat(factor, axis=1).repeat(factor, axis=2)
    size = width * factor, height * factor
    planes = np.moveaxis(np.asarray(images, np.float32), -1, 1).reshape(-1, height, width)
    large = [np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC)) for plane in planes]
    large = np.stack(large).reshape(batch, channels, *size[::-1])
    return np.moveaxis(np.clip(large, -1, 1), 1, -1)
