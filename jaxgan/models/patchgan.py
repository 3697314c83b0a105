"""A discriminator of patches: Isola et al. 2017, Image-to-Image Translation with Conditional GANs."""

from typing import Annotated

import flax.linen as nn
from jaxtyping import Array, Float

from jaxgan.declarations import OneOf
from jaxgan.errors import UserError
from jaxgan.models import DISCRIMINATORS, image_layers, layers
from jaxgan.models.layout import require_images

_STRIDED = {16: 1, 34: 2, 70: 3, 142: 4}  # receptive field in pixels → convolutions of stride 2


@DISCRIMINATORS.register("patchgan")
class PatchDiscriminator(nn.Module):
    """A logit for each patch of an image: `[B, P]`, P overlapping patches row by row.

    Convolutions with kernels of 4: some of stride 2, the first without a norm, then two of stride 1, which
    take a pixel off either side. A map is as large as published for even sizes: 30×30 of 256×256 pixels with
    patches of 70, 5×5 of 28×28 with patches of 34.

    Attributes:
      shape: of what is judged: an image, with the channels of the given one where this is joined.
      receptive_field: side of a patch in pixels. 16 or 34 are for images of 28 to 64 pixels.
      width: channels of the first map. Each further one has twice as many, up to 8 times as many.
    """

    shape: tuple[int, ...]
    axis_name: str | None = None
    synchronized: bool = True
    receptive_field: Annotated[int, OneOf(tuple(_STRIDED))] = 70
    width: layers.Width = 64
    norm: image_layers.Norm = "instance"
    spectral_norm: layers.Layers = ""

    def check(self) -> None:
        require_images(self.shape, "discriminator")
        side = min(self.shape[:2])
        for _ in range(_STRIDED[self.receptive_field]):
            side = -(-side // 2)
        if side < 3:
            raise UserError(
                f"receptive_field={self.receptive_field} leaves nothing of images of {self.shape[0]}x"
                f"{self.shape[1]}: choose a smaller one ({', '.join(map(str, _STRIDED))})"
            )

    @nn.compact
    def __call__(self, images: Float[Array, "B H W C"], train: bool = False, features: bool = False):
        axis_name = self.axis_name if self.synchronized else None
        strided = _STRIDED[self.receptive_field]
        x = images
        for i in range(strided + 1):
            normalized = i > 0 and self.norm != "none"
            width = self.width * min(2**i, 8)
            layer = layers.Conv(width, 4, 2 if i < strided else 1, not normalized, name=f"conv_{i}")
            x = layers.apply_layer(layer, x, spectral_norm=self.spectral_norm, train=train)
            x = x if i < strided else x[:, :-1, :-1]  # one zero on each side, where SAME has two behind
            if normalized:
                x = image_layers.normalize(x, self.norm, train=train, axis_name=axis_name, name=f"norm_{i}")
            x = nn.leaky_relu(x, 0.2)
        output = layers.Conv(1, 4, name="output")
        logits = layers.apply_layer(output, x, spectral_norm=self.spectral_norm, train=train)[:, :-1, :-1]
        logits = logits.reshape(len(logits), -1)
        return (logits, x.reshape(len(x), -1)) if features else logits
