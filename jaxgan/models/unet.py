"""The U-Net of pix2pix: Isola et al. 2017, Image-to-Image Translation with Conditional GANs."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.latents import latent_keys
from jaxgan.models import GENERATORS, image_layers, layers
from jaxgan.models.layout import halvings


@GENERATORS.register("unet")
class UNetGenerator(nn.Module):
    """Halves the given image `depth` times and doubles it again, each time beside the map of that size.

    Convolutions have kernels of 4 and strides of 2. With the defaults and 256×256 images there are eight
    halvings to one pixel, as published. Dropout follows the doubled maps between the innermost one and those
    of 8·width channels, as published: there are none below a depth of 6.

    Attributes:
      shape: of the image to make, `(H, W, C)`.
      given_shape: of the given one.
      width: channels of the first map. Each further one has twice as many, up to 8 times as many.
      depth: halvings; 0: as many as 2 divides both sides.
      dropout: share of numbers dropped in training; drawn from z.
      dropout_in_samples: whether it stays when images are made, as pix2pix does.
    """

    shape: tuple[int, ...]
    axis_name: str | None = None
    synchronized: bool = True
    given_shape: tuple[int, ...] = ()
    width: layers.Width = 64
    depth: layers.Count = 0
    norm: image_layers.Norm = "instance"
    upsampling: image_layers.Upsampling = "transposed"
    latent: image_layers.Latent = "none"
    dropout: layers.Rate = 0.5
    dropout_in_samples: bool = False

    @property
    def levels(self) -> int:
        """How often the image is halved."""
        both = self.shape[0] | self.shape[1]
        return self.depth or min((both & -both).bit_length() - 1, halvings(self.shape, 1))

    @property
    def multiple(self) -> int:
        """Of which the sides of an image must be multiples."""
        return 2**self.levels

    def check(self) -> None:
        image_layers.require_given(self.shape, self.given_shape)
        image_layers.require_divisible(self.shape, 2 ** max(self.levels, 1))

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], train: bool = False, image: Float[Array, "B H W G"] | None = None
    ) -> Float[Array, "B H W C"]:
        depth = self.levels
        image_layers.require_divisible(image.shape[1:], self.multiple)
        axis_name = self.axis_name if self.synchronized else None
        drops = self.dropout and (train or self.dropout_in_samples) and depth > 5
        keys = latent_keys(z) if drops else None
        bias = self.norm != "batch"  # a norm would subtract it again, as it does in the published network
        widths = [self.width * min(2**i, 8) for i in range(depth)]

        def normalize(x, name):
            return image_layers.normalize(x, self.norm, train=train, axis_name=axis_name, name=name)

        x, maps = image, []
        for i, width in enumerate(widths):
            x = nn.leaky_relu(x, 0.2) if i else x
            inner = 0 < i < depth - 1  # the outermost and the innermost have no norm
            use_bias = bias and (self.norm == "none" or not inner)
            x = layers.Conv(width, 4, 2, use_bias, name=f"down_{i}")(x)
            x = normalize(x, f"down_norm_{i}") if inner else x
            x = x if i else image_layers.join_latent(x, z, self.latent)
            maps.append(x)
        for i in reversed(range(depth)):
            features = widths[i - 1] if i else self.shape[2]
            use_bias = self.norm == "none" or not i
            x = image_layers.double(nn.relu(x), features, 4, self.upsampling, use_bias, f"up_{i}")
            if i:
                x = normalize(x, f"up_norm_{i}")
                x = image_layers.dropout(x, self.dropout, keys, i) if drops and 4 <= i < depth - 1 else x
                x = jnp.concatenate([maps[i - 1], x], axis=-1)
        return jnp.tanh(x)
