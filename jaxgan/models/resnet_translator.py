"""The residual generator of CycleGAN: Zhu et al. 2017, Unpaired Image-to-Image Translation using CycleGAN."""

from typing import Annotated

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.declarations import AtLeast
from jaxgan.models import GENERATORS, image_layers, layers


@GENERATORS.register("resnet_translator")
class ResNetTranslator(nn.Module):
    """A convolution of 7, two of stride 2, residual blocks at a quarter of the size, and back again.

    Source: Johnson et al. 2016, Perceptual Losses for Real-Time Style Transfer; Zhu et al. 2017, appendix.

    Attributes:
      shape: of the image to make, `(H, W, C)`.
      given_shape: of the given one.
      width: channels of the first map; each halving doubles them.
      halvings: how often the image is halved.
      blocks: residual blocks; 9 for images of 256 and above, 6 for smaller ones, as published.
    """

    shape: tuple[int, ...]
    axis_name: str | None = None
    synchronized: bool = True
    given_shape: tuple[int, ...] = ()
    width: layers.Width = 64
    halvings: layers.Count = 2
    blocks: Annotated[int, AtLeast(0)] = 9
    norm: image_layers.Norm = "instance"
    padding: image_layers.Padding = "reflect"
    upsampling: image_layers.Upsampling = "transposed"
    latent: image_layers.Latent = "none"

    @property
    def multiple(self) -> int:
        """Of which the sides of an image must be multiples."""
        return 2**self.halvings

    def check(self) -> None:
        image_layers.require_given(self.shape, self.given_shape)
        image_layers.require_divisible(self.shape, 2**self.halvings)

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], train: bool = False, image: Float[Array, "B H W G"] | None = None
    ) -> Float[Array, "B H W C"]:
        image_layers.require_divisible(image.shape[1:], self.multiple)
        axis_name = self.axis_name if self.synchronized else None
        bias = self.norm == "none"  # a norm would subtract it again

        def normalize(x, name):
            return image_layers.normalize(x, self.norm, train=train, axis_name=axis_name, name=f"{name}_norm")

        def keep_size(x, width, kernel, name, use_bias=bias):
            layer = layers.Conv(width, kernel, 1, use_bias, name=name)
            return image_layers.same_size(layer, kernel, self.padding, x)

        x = normalize(keep_size(image, self.width, 7, "input"), "input")
        x = nn.relu(image_layers.join_latent(x, z, self.latent))
        width = self.width
        for i in range(self.halvings):
            width *= 2
            x = layers.Conv(width, 3, 2, bias, name=f"down_{i}")(x)
            x = nn.relu(normalize(x, f"down_{i}"))
        for i in range(self.blocks):
            y = nn.relu(normalize(keep_size(x, width, 3, f"block_{i}_0"), f"block_{i}_0"))
            x = x + normalize(keep_size(y, width, 3, f"block_{i}_1"), f"block_{i}_1")
        for i in range(self.halvings):
            width //= 2
            x = image_layers.double(x, width, 3, self.upsampling, bias, f"up_{i}")
            x = nn.relu(normalize(x, f"up_{i}"))
        return jnp.tanh(keep_size(x, self.shape[2], 7, "output", True))
