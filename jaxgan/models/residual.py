"""Residual blocks of SNGAN and BigGAN, and the last layers of these networks."""

import math

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.models import layers
from jaxgan.models.minibatch import with_batch_features
from jaxgan.models.resample import average_pool, upsample

_BLOCK_GAIN = math.sqrt(2)  # for the convolutions of a block with xavier; 1 elsewhere, as in SNGAN's code


class GeneratorBlock(nn.Module):
    """x → up(x)·W + conv(σ(BN(conv(up(σ(BN(x))))))): maps `[B, h, w, C]` to `[B, *size, features]`.

    With a condition both batch norms are conditional. The shortcut's 1×1 convolution comes before its
    enlargement: the result is the same at a quarter of the cost.

    Source: Miyato et al. 2018, Spectral Normalization for GANs, appendix B.4; Brock et al. 2019,
    BigGAN, figure 15.

    Attributes:
      features: channels of the result, and of the maps between the two convolutions.
      size: height and width of the result.
      batch_norm: whether to normalize before each activation.
      norm_bias: whether convolutions have a bias that a batch norm then subtracts.
      activation, slope, spectral_norm, initializer: see `layers`.
      axis_name: the device axis of batch norm.
    """

    features: int
    size: tuple[int, int]
    batch_norm: bool
    norm_bias: bool
    activation: str
    slope: float
    spectral_norm: str
    initializer: str
    axis_name: str | None

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool, condition: Float[Array, "B K"] | None = None
    ) -> Float[Array, "B h w O"]:
        activation = layers.make_activation(self.activation, self.slope)
        use_bias = self.norm_bias or not self.batch_norm
        # N(0, 0.02): class gains start near 1, as in SNGAN's code, and biases near 0 (there: 0). BigGAN's are
        # orthogonal.
        of_condition = "normal" if self.initializer == "xavier" else self.initializer
        shared = {"spectral_norm": self.spectral_norm, "train": train}
        y = x
        for i in range(2):
            if self.batch_norm:
                y = layers.batch_norm(
                    y, axis_name=self.axis_name, name=f"batch_norm_{i}", condition=condition,
                    kernel_init=layers.scaled_initializer(of_condition), **shared,
                )  # fmt: skip
            y = activation(y)
            y = upsample(y, self.size) if i == 0 else y
            kernel_init = layers.scaled_initializer(self.initializer, _BLOCK_GAIN)
            conv = layers.Conv(self.features, 3, 1, use_bias, kernel_init=kernel_init, name=f"conv_{i}")
            y = layers.apply_layer(conv, y, **shared)
        kernel_init = layers.scaled_initializer(self.initializer)
        shortcut = nn.Dense(self.features, use_bias, kernel_init=kernel_init, name="shortcut")
        return y + upsample(layers.apply_layer(shortcut, x, **shared), self.size)


class DiscriminatorBlock(nn.Module):
    """x → pool(x·W) + pool(conv(σ(conv(σ(x))))): maps `[B, H, W, C]` to `[B, ⌈H/2⌉, ⌈W/2⌉, features]`.

    If the block does not halve the maps and C equals `features`, the shortcut is x. The shortcut's pooling
    comes before its 1×1 convolution: the result is the same at a quarter of the cost.

    Source: see `GeneratorBlock`.

    Attributes:
      features: channels of the result.
      hidden: channels of the maps between the two convolutions.
      halve: whether the maps are pooled.
      first: whether x is an image, to which no activation is applied.
      activation, slope, spectral_norm, initializer: see `layers`.
    """

    features: int
    hidden: int
    halve: bool
    first: bool
    activation: str
    slope: float
    spectral_norm: str
    initializer: str

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Float[Array, "B h w O"]:
        activation = layers.make_activation(self.activation, self.slope)
        shared = {"spectral_norm": self.spectral_norm, "train": train}
        kernel_init = layers.scaled_initializer(self.initializer, _BLOCK_GAIN)
        y = x
        for i, width in enumerate((self.hidden, self.features)):
            y = y if self.first and i == 0 else activation(y)
            y = layers.apply_layer(
                layers.Conv(width, 3, kernel_init=kernel_init, name=f"conv_{i}"), y, **shared
            )
        if self.halve:
            x, y = average_pool(x), average_pool(y)
        if self.halve or x.shape[-1] != self.features:
            kernel_init = layers.scaled_initializer(self.initializer)
            x = layers.apply_layer(
                nn.Dense(self.features, kernel_init=kernel_init, name="shortcut"), x, **shared
            )
        return x + y


def to_image(
    network: nn.Module, x: Float[Array, "B H W C"], train: bool, axis_name: str | None
) -> Float[Array, "B H W O"]:
    """The end of a generator: batch norm without a condition, activation, 3×3 convolution, tanh.

    Call it inside a compact `__call__` of `network`, whose fields it reads.
    """
    if network.batch_norm:
        x = layers.batch_norm(x, train=train, axis_name=axis_name, name="last_norm")
    x = layers.make_activation(network.activation, network.slope)(x)
    kernel_init = layers.scaled_initializer(network.initializer)
    output = layers.Conv(network.shape[2], 3, kernel_init=kernel_init, name="output")
    return jnp.tanh(layers.apply_layer(output, x, spectral_norm=network.spectral_norm, train=train))


def to_logits(network: nn.Module, x: Float[Array, "B H W C"], train: bool, features: bool):
    """The end of a discriminator: activation, sum over all pixels, a dense layer to its outputs.

    Call it inside a compact `__call__` of `network`, whose fields it reads.
    """
    x = layers.make_activation(network.activation, network.slope)(x).sum(axis=(1, 2))
    compared = with_batch_features(
        x,
        stddev=network.minibatch_stddev,
        discrimination=network.minibatch_discrimination,
        axis_name=network.axis_name if train else None,
    )
    output = nn.Dense(
        network.outputs, kernel_init=layers.scaled_initializer(network.initializer), name="output"
    )
    logits = layers.apply_layer(output, compared, spectral_norm=network.spectral_norm, train=train)
    logits = logits[:, 0] if network.outputs == 1 else logits
    return (logits, x) if features else logits
