"""Denoising: a noisy image is given, the clean one is wanted."""

import dataclasses
from typing import Annotated, Any, ClassVar

import jax
from jaxtyping import Array, Key

from jaxgan.declarations import Above
from jaxgan.tasks.task import TASKS, HostImages, Images, Shape, refuse_points


@TASKS.register("denoising")
@dataclasses.dataclass(frozen=True)
class Denoising:
    """Images without their noise: given is the image plus N(0, sigma²), every pixel by itself, not clipped.

    Attributes:
      sigma: the noise's standard deviation in levels of 0 to 255, as in the literature; sigma/127.5 in
        [-1, 1].
    """

    sigma: Annotated[float, Above(0)] = 25.0

    restores: ClassVar = True
    reads: ClassVar = ()

    def check(self, shape: Shape) -> None:
        refuse_points("denoising", shape)

    def shapes(self, shape: Shape) -> tuple[Shape, Shape]:
        return shape, shape

    def real(self, images: Images, keys: Key[Array, " B"]) -> tuple[Images, dict[str, Any]]:
        noise = jax.vmap(lambda key: jax.random.normal(key, images.shape[1:], images.dtype))(keys)
        return images, {"image": images + self.sigma / 127.5 * noise}

    def hole(self, given: Images) -> None:
        return None

    def baselines(self, given: HostImages) -> dict[str, HostImages]:
        """`input`: the noisy image, clipped to [-1, 1]."""
        return {"input": given.clip(-1, 1)}
