"""BigGAN: Brock et al. 2019, Large Scale GAN Training for High Fidelity Natural Image Synthesis."""

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.errors import UserError
from jaxgan.models import DISCRIMINATORS, GENERATORS, layers
from jaxgan.models.attention import attend
from jaxgan.models.layout import generator_layout, require_images, require_sides
from jaxgan.models.residual import GeneratorBlock, to_image
from jaxgan.models.resnet import ResNetDiscriminator


@GENERATORS.register("biggan")
class BigGANGenerator(nn.Module):
    """Residual blocks as in `resnet`, with batch norms conditioned on chunks of z and on the class.

    `[B, latent_dim]` to `[B, H, W, C]`. z is split into one chunk for the projection to the first maps and
    one chunk for each block. If the lengths cannot be equal, the first chunks are longer. Every batch norm
    except the last is conditioned on its block's chunk, and on a shared embedding of the class if there is a
    condition. The embedding has no spectral norm. What is joined to z (codes, an embedding of the class) is
    joined to every chunk.

    `width` 96 gives the network of figure 15 and tables 4 to 6, and StudioGAN's for CIFAR-10 (384 channels).
    The paper uses spectral norm in all layers, `spectral_norm='.'`, and attention at 64 pixels.

    Attributes:
      shape: of one image, `(H, W, C)`.
      width: base number of channels; the widths of all maps are multiples of it.
      multipliers: widths of all maps, from the first on, as multiples of `width`; (): as published for the
        image's size, see `layout.generator_layout`.
      split_z: whether each block gets a chunk of z; otherwise only the projection gets z.
      shared: width of the class embedding that all blocks share; 0: each has its own.
      batch_norm: must be on: z and the class reach the blocks through it.
      norm_bias: whether convolutions have a bias that a batch norm then subtracts; published counts of
        parameters include them.
      initializer: initial weights, see `layers.scaled_initializer`.
      attention: shorter sides of maps; `attention.SelfAttention` follows the first maps of each size.
    """

    takes_joined: ClassVar[bool] = True  # beside z, see `conditional.ConditionalGenerator`

    shape: tuple[int, ...]
    axis_name: str | None = None
    synchronized: bool = True
    width: layers.Width = 16
    multipliers: layers.Sizes = ()
    split_z: bool = True
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
        sizes, _ = generator_layout(self.shape, self.multipliers)
        require_sides(self.attention, [min(size) for size in sizes[1:]])
        require_batch_norm(self)

    @nn.compact
    def __call__(
        self,
        z: Float[Array, "B Z"],
        train: bool = False,
        condition: Float[Array, "B K"] | None = None,
        joined: Float[Array, "B J"] | None = None,
    ) -> Float[Array, "B H W C"]:
        axis_name = self.axis_name if self.synchronized else None
        (start, *sizes), multipliers = generator_layout(self.shape, self.multipliers)
        sides = [min(size) for size in sizes]
        first, *widths = (self.width * multiplier for multiplier in multipliers)
        chunks = split(z, len(sizes) + 1) if self.split_z else [z]
        if joined is not None:
            chunks = [jnp.concatenate([chunk, joined], axis=-1) for chunk in chunks]
        embedded = embed(self, condition)

        kernel_init = layers.scaled_initializer(self.initializer)
        project = nn.Dense(start[0] * start[1] * first, kernel_init=kernel_init, name="project")
        x = layers.apply_layer(project, chunks[0], spectral_norm=self.spectral_norm, train=train)
        x = x.reshape(-1, *start, first)
        block = layers.rematerialized(GeneratorBlock, self.remat)
        for i, (size, width) in enumerate(zip(sizes, widths, strict=True)):
            told = [part for part in (embedded, *chunks[i + 1 : i + 2]) if part is not None]
            x = block(
                width, size, self.batch_norm, self.norm_bias, self.activation, self.slope,
                self.spectral_norm, self.initializer, axis_name, name=f"block_{i}",
            )(x, train, jnp.concatenate(told, axis=-1) if told else None)  # fmt: skip
            x = attend(self, x, train, i, sides)
        return to_image(self, x, train, axis_name)


@DISCRIMINATORS.register("biggan")
class BigGANDiscriminator(ResNetDiscriminator):
    """Residual blocks, the sum over all pixels, and a dense layer to the logit `[B]`, or `[B, outputs]`.

    As `resnet`, but the inner maps of a block are as wide as its output (Brock et al. 2019, appendix B), and
    initial weights are orthogonal. `width` 96 gives StudioGAN's network for CIFAR-10 (192 channels), and that
    of table 4 for larger images.
    """

    wide: ClassVar[bool] = True
    initializer: layers.Initializer = "orthogonal"


def split(z: Float[Array, "B Z"], num: int) -> list[Float[Array, "B _"]]:
    """z `[B, latent_dim]` in `num` chunks of equal length; the first ones are longer by 1 if necessary."""
    if z.shape[-1] < num:
        raise UserError(
            f"generator.biggan.split_z: {z.shape[-1]} numbers do not part into {num}: raise latent_dim, or "
            "set split_z=False"
        )
    return jnp.array_split(z, num, axis=-1)


def embed(network: nn.Module, condition: Float[Array, "B K"] | None) -> Float[Array, "B E"] | None:
    """The embedding `[B, shared]` of a condition `[B, K]`; the condition itself if `shared` is 0.

    It has no spectral norm.

    Call it inside a compact `__call__` of `network`, whose fields `shared` and `initializer` it reads.
    """
    if condition is None or not network.shared:
        return condition
    kernel_init = layers.scaled_initializer(network.initializer)
    layer = nn.Dense(network.shared, use_bias=False, kernel_init=kernel_init, name="label_embedding")
    return layer(condition)


def require_batch_norm(network: nn.Module) -> None:
    """UserError without batch norm, through which z and the class reach the blocks."""
    if not network.batch_norm:
        raise UserError("batch_norm=False, but z and classes reach the blocks through it: use resnet instead")
