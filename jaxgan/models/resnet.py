"""Residual networks: Miyato et al. 2018, Spectral Normalization for Generative Adversarial Networks."""

from typing import ClassVar

import flax.linen as nn
from jaxtyping import Array, Float

from jaxgan.models import DISCRIMINATORS, GENERATORS, layers
from jaxgan.models.attention import attend
from jaxgan.models.layout import (
    discriminator_layout,
    generator_layout,
    require_images,
    require_sides,
    sides_of,
)
from jaxgan.models.residual import DiscriminatorBlock, GeneratorBlock, to_image, to_logits


@GENERATORS.register("resnet")
class ResNetGenerator(nn.Module):
    """A projection to the first maps, residual blocks that double their size, and a convolution to the image.

    `[B, latent_dim]` to `[B, H, W, C]`, of any height and width: 4×4 → 8×8 → 16×16 → 32×32, 6×6 → … → 48×48.
    `width` 64 gives the network of the paper (appendix B.4, tables 4 and 5): 256 channels in all maps at 32
    pixels, 512 → 256 → 128 → 64 at 48. With a condition, every batch norm except the last is conditional, as
    in Miyato and Koyama 2018, cGANs with Projection Discriminator.

    Attributes:
      shape: of one image, `(H, W, C)`.
      width: base number of channels; the widths of all maps are multiples of it.
      multipliers: widths of all maps, from the first on, as multiples of `width`; (): as published for the
        image's size, see `layout.generator_layout`.
      batch_norm: whether hidden layers are batch normalized.
      norm_bias: whether convolutions have a bias that a batch norm then subtracts; published counts of
        parameters include them.
      initializer: initial weights, see `layers.scaled_initializer`.
      attention: shorter sides of maps; `attention.SelfAttention` follows the first maps of each size (SAGAN).
    """

    shape: tuple[int, ...]
    axis_name: str | None = None
    synchronized: bool = True
    width: layers.Width = 16
    multipliers: layers.Sizes = ()
    activation: layers.Activation = "relu"
    slope: layers.Slope = 0.2
    batch_norm: bool = True
    norm_bias: bool = False
    spectral_norm: layers.Layers = ""
    initializer: layers.Initializer = "xavier"
    attention: layers.Sizes = ()
    remat: layers.Remat = False

    def check(self) -> None:
        require_images(self.shape, "generator")
        sizes, _ = generator_layout(self.shape, self.multipliers)
        require_sides(self.attention, [min(size) for size in sizes[1:]])

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], train: bool = False, condition: Float[Array, "B K"] | None = None
    ) -> Float[Array, "B H W C"]:
        axis_name = self.axis_name if self.synchronized else None
        (start, *sizes), multipliers = generator_layout(self.shape, self.multipliers)
        sides = [min(size) for size in sizes]
        first, *widths = (self.width * multiplier for multiplier in multipliers)
        kernel_init = layers.scaled_initializer(self.initializer)
        project = nn.Dense(start[0] * start[1] * first, kernel_init=kernel_init, name="project")
        x = layers.apply_layer(project, z, spectral_norm=self.spectral_norm, train=train)
        x = x.reshape(-1, *start, first)
        block = layers.rematerialized(GeneratorBlock, self.remat)
        for i, (size, width) in enumerate(zip(sizes, widths, strict=True)):
            x = block(
                width, size, self.batch_norm, self.norm_bias, self.activation, self.slope,
                self.spectral_norm, self.initializer, axis_name, name=f"block_{i}",
            )(x, train, condition)  # fmt: skip
            x = attend(self, x, train, i, sides)
        return to_image(self, x, train, axis_name)


@DISCRIMINATORS.register("resnet")
class ResNetDiscriminator(nn.Module):
    """Residual blocks, the sum over all pixels, and a dense layer to the logit `[B]`, or `[B, outputs]`.

    `width` 64 gives the network of the paper. At 32 pixels these are four blocks of 128 channels; the first
    two halve the maps. At 48 pixels they are 64 → 128 → 256 → 512 → 1024; all except the last halve the maps.
    The paper uses spectral norm in all layers: `spectral_norm='.'`.

    Attributes:
      shape: of one image, `(H, W, C)`.
      width: base number of channels; the widths of all maps are multiples of it.
      multipliers: widths of the blocks, as multiples of `width`; (): as published for the image's size, see
        `layout.discriminator_layout`.
      initializer: initial weights, see `layers.scaled_initializer`.
      attention: shorter sides of maps; `attention.SelfAttention` follows the first maps of each size (SAGAN).
      minibatch_stddev: examples in a group of `minibatch.minibatch_stddev`, 0: none.
      minibatch_discrimination: kernels of `minibatch.MinibatchDiscrimination`, 0: none.
    """

    shape: tuple[int, ...]
    axis_name: str | None = None
    outputs: int = 1
    wide: ClassVar[bool] = False  # whether maps within a block are as wide as behind it
    width: layers.Width = 16
    multipliers: layers.Sizes = ()
    activation: layers.Activation = "relu"
    slope: layers.Slope = 0.2
    spectral_norm: layers.Layers = ""
    initializer: layers.Initializer = "xavier"
    attention: layers.Sizes = ()
    remat: layers.Remat = False
    minibatch_stddev: layers.Count = 0
    minibatch_discrimination: layers.Count = 0

    def check(self) -> None:
        require_images(self.shape, "discriminator")
        layout = discriminator_layout(self.shape, self.multipliers)
        require_sides(self.attention, sides_of(self.shape, layout))

    @nn.compact
    def __call__(self, images: Float[Array, "B H W C"], train: bool = False, features: bool = False):
        layout = discriminator_layout(self.shape, self.multipliers)
        sides = sides_of(self.shape, layout)
        x = images
        block = layers.rematerialized(DiscriminatorBlock, self.remat)
        for i, (multiplier, halve) in enumerate(layout):
            width = self.width * multiplier
            hidden = width if self.wide or i == 0 else x.shape[-1]
            x = block(
                width, hidden, halve, i == 0, self.activation, self.slope, self.spectral_norm,
                self.initializer, name=f"block_{i}",
            )(x, train)  # fmt: skip
            x = attend(self, x, train, i, sides)
        return to_logits(self, x, train, features)
