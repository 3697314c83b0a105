"""BigGAN-deep: Brock et al. 2019, Large Scale GAN Training, appendix B, figure 16 and tables 7 to 9."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.errors import UserError
from jaxgan.models import DISCRIMINATORS, GENERATORS, layers
from jaxgan.models.attention import attend
from jaxgan.models.biggan import embed, require_batch_norm
from jaxgan.models.layout import (
    deep_discriminator_layout,
    generator_layout,
    require_images,
    require_sides,
    sides_of,
)
from jaxgan.models.resample import average_pool, upsample
from jaxgan.models.residual import to_image, to_logits

_NARROWER = 4  # the inner maps of a block have this many times fewer channels


class DeepGeneratorBlock(nn.Module):
    """Batch norm, activation and convolution four times, with 1×1, 3×3, 3×3 and 1×1 kernels; and a shortcut.

    Maps `[B, h, w, C]` to `[B, *size, features]`, C at least `features`. The inner maps have C/4 channels and
    are enlarged before the first 3×3 convolution. The shortcut drops the last channels.

    Attributes: see `residual.GeneratorBlock`.
    """

    features: int
    size: tuple[int, int]
    norm_bias: bool
    activation: str
    slope: float
    spectral_norm: str
    initializer: str
    axis_name: str | None

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool, condition: Float[Array, "B K"] | None
    ) -> Float[Array, "B h w O"]:
        activation = layers.make_activation(self.activation, self.slope)
        kernel_init = layers.scaled_initializer(self.initializer)
        shared = {"spectral_norm": self.spectral_norm, "train": train}
        inner = max(x.shape[-1] // _NARROWER, 1)
        y = x
        for i, width in enumerate((inner, inner, inner, self.features)):
            y = layers.batch_norm(
                y, axis_name=self.axis_name, name=f"batch_norm_{i}", condition=condition,
                kernel_init=kernel_init, **shared,
            )  # fmt: skip
            y = activation(y)
            y = upsample(y, self.size) if i == 1 else y
            y = layers.apply_layer(_layer(i, width, self.norm_bias, kernel_init), y, **shared)
        return y + upsample(x[..., : self.features], self.size)


class DeepDiscriminatorBlock(nn.Module):
    """Activation and convolution four times, with 1×1, 3×3, 3×3 and 1×1 kernels; and a shortcut.

    Maps `[B, H, W, C]` to `[B, ⌈H/2⌉, ⌈W/2⌉, features]`, C at most `features`. The inner maps have a quarter
    of the channels and are pooled before the last convolution. The shortcut is pooled; a 1×1 convolution adds
    the channels that it lacks.

    Attributes: see `residual.DiscriminatorBlock`.
    """

    features: int
    halve: bool
    activation: str
    slope: float
    spectral_norm: str
    initializer: str

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Float[Array, "B h w O"]:
        activation = layers.make_activation(self.activation, self.slope)
        kernel_init = layers.scaled_initializer(self.initializer)
        shared = {"spectral_norm": self.spectral_norm, "train": train}
        inner = max(self.features // _NARROWER, 1)
        y = x
        for i, width in enumerate((inner, inner, inner, self.features)):
            y = activation(y)
            y = average_pool(y) if self.halve and i == 3 else y
            y = layers.apply_layer(_layer(i, width, True, kernel_init), y, **shared)
        x = average_pool(x) if self.halve else x
        if more := self.features - x.shape[-1]:
            shortcut = nn.Dense(more, kernel_init=kernel_init, name="shortcut")
            x = jnp.concatenate([x, layers.apply_layer(shortcut, x, **shared)], axis=-1)
        return x + y


def _layer(i, width, use_bias, kernel_init):
    """The i-th convolution of a block; a 1×1 convolution is a dense layer for each pixel."""
    if i in (0, 3):
        return nn.Dense(width, use_bias, kernel_init=kernel_init, name=f"conv_{i}")
    return layers.Conv(width, 3, 1, use_bias, kernel_init, name=f"conv_{i}")


@GENERATORS.register("biggan_deep")
class BigGANDeepGenerator(nn.Module):
    """Two residual blocks per resolution, conditioned on z and the class; the second doubles the resolution.

    `[B, latent_dim]` to `[B, H, W, C]`. If there is a condition, a shared embedding of the class is appended
    to z. The projection to the first maps and every batch norm except the last get this vector. `width` 128
    gives the network of the paper.

    Attributes:
      shape: of one image, `(H, W, C)`.
      width: base number of channels; the widths of all maps are multiples of it.
      multipliers: widths of all maps, from the first on, as multiples of `width`, none larger than the one
        before; (): as published for the image's size, see `layout.generator_layout`.
      shared: width of the class embedding that all blocks share; 0: each has its own.
      batch_norm: must be on: z and the class reach the blocks through it.
      norm_bias: whether convolutions have a bias that a batch norm then subtracts; published counts of
        parameters include them.
      initializer: initial weights, see `layers.scaled_initializer`.
      attention: shorter sides of maps; `attention.SelfAttention` follows the first blocks of each size.
    """

    shape: tuple[int, ...]
    axis_name: str | None = None
    synchronized: bool = True
    width: layers.Width = 16
    multipliers: layers.Sizes = ()
    shared: layers.Count = 128
    activation: layers.Activation = "relu"
    slope: layers.Slope = 0.2
    batch_norm: bool = True
    norm_bias: bool = False
    spectral_norm: layers.Layers = ""
    initializer: layers.Initializer = "orthogonal"
    attention: layers.Sizes = ()
    remat: layers.Remat = False

    def check(self) -> None:
        require_images(self.shape, "generator")
        sizes, multipliers = generator_layout(self.shape, self.multipliers)
        if list(multipliers) != sorted(multipliers, reverse=True):
            raise UserError(f"multipliers={multipliers}: shortcuts drop channels, so that none may be larger")
        require_sides(self.attention, [min(size) for size in sizes[1:]])
        require_batch_norm(self)

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], train: bool = False, condition: Float[Array, "B K"] | None = None
    ) -> Float[Array, "B H W C"]:
        axis_name = self.axis_name if self.synchronized else None
        sizes, multipliers = generator_layout(self.shape, self.multipliers)
        widths = [self.width * multiplier for multiplier in multipliers]
        embedded = embed(self, condition)
        told = z if embedded is None else jnp.concatenate([z, embedded], axis=-1)

        kernel_init = layers.scaled_initializer(self.initializer)
        project = nn.Dense(sizes[0][0] * sizes[0][1] * widths[0], kernel_init=kernel_init, name="project")
        x = layers.apply_layer(project, told, spectral_norm=self.spectral_norm, train=train)
        x = x.reshape(-1, *sizes[0], widths[0])
        block = layers.rematerialized(DeepGeneratorBlock, self.remat)
        for i in range(len(sizes) - 1):
            for j in range(2):
                x = block(
                    widths[i + j], sizes[i + j], self.norm_bias, self.activation, self.slope,
                    self.spectral_norm, self.initializer, axis_name, name=f"block_{i}_{j}",
                )(x, train, told)  # fmt: skip
            x = attend(self, x, train, i, [min(size) for size in sizes[1:]])
        return to_image(self, x, train, axis_name)


@DISCRIMINATORS.register("biggan_deep")
class BigGANDeepDiscriminator(nn.Module):
    """A convolution, then two residual blocks per resolution; the first halves it. The end is as in `biggan`.

    Attributes:
      shape: of one image, `(H, W, C)`.
      width: base number of channels; the widths of all maps are multiples of it.
      multipliers: widths of the first convolution and of the pairs of blocks, as multiples of `width`, none
        smaller than the one before; (): as published for the image's size, see
        `layout.deep_discriminator_layout`.
      initializer: initial weights, see `layers.scaled_initializer`.
      attention: shorter sides of maps; `attention.SelfAttention` follows the first blocks of each size.
      minibatch_stddev: examples in a group of `minibatch.minibatch_stddev`, 0: none.
      minibatch_discrimination: kernels of `minibatch.MinibatchDiscrimination`, 0: none.
    """

    shape: tuple[int, ...]
    axis_name: str | None = None
    outputs: int = 1
    width: layers.Width = 16
    multipliers: layers.Sizes = ()
    activation: layers.Activation = "relu"
    slope: layers.Slope = 0.2
    spectral_norm: layers.Layers = ""
    initializer: layers.Initializer = "orthogonal"
    attention: layers.Sizes = ()
    remat: layers.Remat = False
    minibatch_stddev: layers.Count = 0
    minibatch_discrimination: layers.Count = 0

    def check(self) -> None:
        require_images(self.shape, "discriminator")
        first, layout = deep_discriminator_layout(self.shape, self.multipliers)
        multipliers = (first, *(multiplier for multiplier, _ in layout))
        if list(multipliers) != sorted(multipliers):
            raise UserError(f"multipliers={multipliers}: shortcuts add channels, so that none may be smaller")
        require_sides(self.attention, sides_of(self.shape, layout))

    @nn.compact
    def __call__(self, images: Float[Array, "B H W C"], train: bool = False, features: bool = False):
        first, layout = deep_discriminator_layout(self.shape, self.multipliers)
        kernel_init = layers.scaled_initializer(self.initializer)
        conv = layers.Conv(self.width * first, 3, kernel_init=kernel_init, name="input")
        x = layers.apply_layer(conv, images, spectral_norm=self.spectral_norm, train=train)
        block = layers.rematerialized(DeepDiscriminatorBlock, self.remat)
        for i, (multiplier, halve) in enumerate(layout):
            for j in range(2):
                x = block(
                    self.width * multiplier, halve and j == 0, self.activation, self.slope,
                    self.spectral_norm, self.initializer, name=f"block_{i}_{j}",
                )(x, train)  # fmt: skip
            x = attend(self, x, train, i, sides_of(self.shape, layout))
        return to_logits(self, x, train, features)
