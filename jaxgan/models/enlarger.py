"""A residual network that enlarges images: SRResNet without batch norm, as ESRGAN's code has it."""

from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.declarations import AtLeast, OneOf
from jaxgan.errors import UserError
from jaxgan.models import GENERATORS, image_layers, layers
from jaxgan.models.resample import upsample

_small = nn.initializers.variance_scaling(0.01 * 2, "fan_in", "truncated_normal")  # He et al. 2015, a tenth


@GENERATORS.register("enlarger")
class Enlarger(nn.Module):
    """Residual blocks at the given size, then doublings; added to the given image, enlarged bilinearly.

    Where the given image has fewer channels than the one to make, nothing is added. Images have no bound, and
    are clipped when they are written. Without a norm, each pixel depends on its surroundings alone.

    Source: Ledig et al. 2017, Photo-Realistic Single Image Super-Resolution Using a GAN; Wang et al. 2018,
    ESRGAN, section 3.1: without batch norm, and with initial weights a tenth as large.

    Attributes:
      shape: of the image to make, `(H, W, C)`: as large as the given one, or 2, 4, 8, ... times.
      given_shape: of the given one.
      width: channels of all maps.
      blocks: residual blocks.
      upsampling: shuffle: a convolution to four times the channels, rearranged as pixels (Shi et al. 2016);
        or resize: nearest neighbours, then a convolution, without checkerboards (Odena et al. 2016).
    """

    shape: tuple[int, ...]
    axis_name: str | None = None
    synchronized: bool = True
    given_shape: tuple[int, ...] = ()
    width: layers.Width = 64
    blocks: Annotated[int, AtLeast(0)] = 16
    norm: image_layers.Norm = "none"
    padding: image_layers.Padding = "zero"
    upsampling: Annotated[str, OneOf(("shuffle", "resize"))] = "shuffle"
    latent: image_layers.Latent = "none"

    @property
    def factor(self) -> int:
        """How much larger the image is."""
        return self.shape[0] // self.given_shape[0]

    def check(self) -> None:
        image_layers.require_given(self.shape, self.given_shape, same=False)
        wanted = tuple(self.factor * side for side in self.given_shape[:2])
        if wanted != self.shape[:2] or self.factor & (self.factor - 1):
            given, made = ("x".join(map(str, size[:2])) for size in (self.given_shape, self.shape))
            raise UserError(f"enlarges 1, 2, 4, 8, ... times, but {given} is given and {made} wanted")

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], train: bool = False, image: Float[Array, "B H W G"] | None = None
    ) -> Float[Array, "B h w C"]:
        axis_name = self.axis_name if self.synchronized else None
        bias = self.norm == "none"

        def conv(x, width, name, init=layers.normal_init, use_bias=True):
            layer = layers.Conv(width, 3, 1, use_bias, kernel_init=init, name=name)
            return image_layers.same_size(layer, 3, self.padding, x)

        def block(x, i):
            for j in range(2):
                x = nn.relu(x) if j else x
                x = conv(x, self.width, f"block_{i}_{j}", _small, bias)
                x = image_layers.normalize(
                    x, self.norm, train=train, axis_name=axis_name, name=f"block_{i}_{j}_norm"
                )
            return x

        x = conv(image, self.width, "input", nn.initializers.he_normal())
        x = nn.leaky_relu(image_layers.join_latent(x, z, self.latent), 0.1)
        for i in range(self.blocks):
            x = x + block(x, i)
        for i in range(self.factor.bit_length() - 1):
            if self.upsampling == "shuffle":
                x = shuffle(conv(x, 4 * self.width, f"up_{i}", nn.initializers.he_normal()))
            else:
                x = upsample(x, (2 * x.shape[1], 2 * x.shape[2]))
                x = conv(x, self.width, f"up_{i}", nn.initializers.he_normal())
            x = nn.leaky_relu(x, 0.1)
        x = nn.leaky_relu(conv(x, self.width, "last", nn.initializers.he_normal()), 0.1)
        x = conv(x, self.shape[2], "output", _small)
        if image.shape[-1] < self.shape[2]:
            return x
        size = len(x), *x.shape[1:3], self.shape[2]
        return x + jax.image.resize(image[..., : self.shape[2]], size, "linear")


def shuffle(x: Float[Array, "B H W C"]) -> Float[Array, "B h w c"]:
    """Twice the height and width, a quarter of the channels: channel (r, s, c) is pixel (r, s) of 2×2."""
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
    return jnp.reshape(x, (n, 2 * h, 2 * w, c // 4))
