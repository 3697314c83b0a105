"""R3GAN: Huang et al. 2024, The GAN is dead; long live the GAN! A Modern Baseline GAN."""

import math
from typing import Annotated, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.declarations import AtLeast
from jaxgan.errors import UserError
from jaxgan.models import DISCRIMINATORS, GENERATORS, layers
from jaxgan.models.grouped import GroupedConv
from jaxgan.models.layout import halvings, require_depth, require_images, sizes_upward
from jaxgan.models.minibatch import with_batch_features
from jaxgan.models.resample import smooth_downsample, smooth_upsample

_SLOPE = 0.2
_EXPANSION = 2  # the inner maps of a block have this many times more channels

Blocks = Annotated[int, AtLeast(1), "residual blocks in each stage"]
GroupWidth = Annotated[int, AtLeast(1), "channels in a group of the 3×3 convolutions"]


def _normal(gain=1.0):
    """N(0, gain²/fan_in); for a grouped kernel, fan_in is that of one group."""
    return nn.initializers.variance_scaling(gain**2, "fan_in", "normal")


class R3Block(nn.Module):
    """x + C₃(a(C₂(a(C₁x)))), a(x) = LeakyReLU(x + bias): maps `[B, H, W, C]` to the same.

    C₁ and C₃ are 1×1 convolutions to 2C channels and back. C₂ is a grouped 3×3 convolution. C₃ is initially
    0; C₁ and C₂ have the gain √(2/1.04)·L^(-1/4).

    Source: Huang et al. 2024, section 4 and appendix; initial weights as in Zhang et al. 2019, Fixup.

    Attributes:
      group_width: channels in each group.
      depth: L, the blocks of the whole network.
    """

    group_width: int
    depth: int

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool = False) -> Float[Array, "B H W C"]:
        channels = x.shape[-1]
        inner = _EXPANSION * channels
        kernel_init = _normal(math.sqrt(2 / (1 + _SLOPE**2)) * self.depth**-0.25)
        y = nn.Dense(inner, kernel_init=kernel_init, name="conv_0")(x)
        y = nn.leaky_relu(y, _SLOPE)
        groups = inner // self.group_width
        y = GroupedConv(inner, 3, groups, kernel_init, name="conv_1")(y)
        y = nn.leaky_relu(y, _SLOPE)
        return x + nn.Dense(channels, use_bias=False, kernel_init=nn.initializers.zeros, name="conv_2")(y)


@GENERATORS.register("r3gan")
class R3GANGenerator(nn.Module):
    """A learned basis weighted by z, stages of residual blocks with upsampling between, a 1×1 convolution.

    `[B, latent_dim]` to `[B, H, W, C]`. Values have no bound; drawn images are clipped to [-1, 1]. There are
    no norms. The first maps are learned; z only weights their channels. Their shorter side is 4 to 7 pixels.
    `width` 768 gives the paper's network for Stacked-MNIST and CIFAR-10: 20.7 million parameters.

    Attributes:
      shape: of one image, `(H, W, C)`.
      width: channels of the maps.
      multipliers: widths of the stages, from the first maps on, as multiples of `width`; (): all 1.
    """

    shape: tuple[int, ...]
    width: layers.Width = 32
    multipliers: layers.Sizes = ()
    blocks: Blocks = 2
    group_width: GroupWidth = 16
    remat: layers.Remat = False
    label_init: ClassVar = staticmethod(_normal())  # of an embedding of classes beside z

    def check(self) -> None:
        require_images(self.shape, "generator")
        require_depth(self.shape, self.multipliers)
        _require_groups(self)

    @nn.compact
    def __call__(self, z: Float[Array, "B Z"], train: bool = False) -> Float[Array, "B H W C"]:
        widths = _widths(self)
        start, *sizes = sizes_upward(self.shape, (2,) * (len(widths) - 1))
        basis = self.param("basis", nn.initializers.normal(1.0), (*start, widths[0]))
        weights = nn.Dense(widths[0], use_bias=False, kernel_init=_normal(), name="project")(z)
        x = basis * weights[:, None, None]
        block = layers.rematerialized(R3Block, self.remat)
        for i, width in enumerate(widths):
            if i > 0:
                x = smooth_upsample(_linear(x, width, f"transition_{i}"), sizes[i - 1])
            for j in range(self.blocks):
                depth = self.blocks * len(widths)
                x = block(self.group_width, depth, name=f"block_{i}_{j}")(x, train)
        return nn.Dense(self.shape[2], use_bias=False, kernel_init=_normal(), name="output")(x)


@DISCRIMINATORS.register("r3gan")
class R3GANDiscriminator(nn.Module):
    """A 1×1 convolution, stages of residual blocks with downsampling between, a learned basis, a dense layer.

    The layers of the generator in reverse order, to the logit `[B]`, or `[B, outputs]` if there are several.
    There are no norms.

    Attributes:
      shape: of one image, `(H, W, C)`.
      width: channels of the maps.
      multipliers: widths of the stages, from the image on, as multiples of `width`; (): all 1.
      minibatch_stddev: examples in a group of `minibatch.minibatch_stddev`, 0: none, as in the paper.
      minibatch_discrimination: kernels of `minibatch.MinibatchDiscrimination`, 0: none.
    """

    shape: tuple[int, ...]
    axis_name: str | None = None
    outputs: int = 1
    width: layers.Width = 32
    multipliers: layers.Sizes = ()
    blocks: Blocks = 2
    group_width: GroupWidth = 16
    remat: layers.Remat = False
    minibatch_stddev: layers.Count = 0
    minibatch_discrimination: layers.Count = 0

    def check(self) -> None:
        require_images(self.shape, "discriminator")
        require_depth(self.shape, self.multipliers)
        _require_groups(self)

    @nn.compact
    def __call__(self, images: Float[Array, "B H W C"], train: bool = False, features: bool = False):
        widths = _widths(self)
        x = nn.Dense(widths[0], use_bias=False, kernel_init=_normal(), name="input")(images)
        block = layers.rematerialized(R3Block, self.remat)
        for i, width in enumerate(widths):
            if i > 0:
                x = _linear(smooth_downsample(x), width, f"transition_{i}")
            for j in range(self.blocks):
                depth = self.blocks * len(widths)
                x = block(self.group_width, depth, name=f"block_{i}_{j}")(x, train)
        height, wide, width = x.shape[1:]
        basis_init = nn.initializers.normal(1 / math.sqrt(height * wide))  # a convolution for each channel
        x = jnp.einsum("bhwc,hwc->bc", x, self.param("basis", basis_init, (height, wide, width)))
        compared = with_batch_features(
            x,
            stddev=self.minibatch_stddev,
            discrimination=self.minibatch_discrimination,
            axis_name=self.axis_name if train else None,
        )
        logits = nn.Dense(self.outputs, use_bias=False, kernel_init=_normal(), name="output")(compared)
        logits = logits[:, 0] if self.outputs == 1 else logits
        return (logits, x) if features else logits


def _linear(x, width, name):
    """A 1×1 convolution where the width changes."""
    if x.shape[-1] == width:
        return x
    return nn.Dense(width, use_bias=False, kernel_init=_normal(), name=name)(x)


def _widths(network):
    """Widths of the stages. By default: one stage for the first maps and one for each doubling."""
    multipliers = network.multipliers or (1,) * (halvings(network.shape, 4) + 1)
    return [network.width * multiplier for multiplier in multipliers]


def _require_groups(network):
    """UserError if the inner channels cannot be divided into groups."""
    for width in _widths(network):
        if _EXPANSION * width % network.group_width:
            raise UserError(
                f"width={network.width}: {_EXPANSION * width} inner channels do not part into groups of "
                f"group_width={network.group_width}"
            )
