"""Convolutional networks: Radford et al. 2016, Unsupervised Representation Learning with DCGANs."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.errors import UserError
from jaxgan.latents import latent_keys
from jaxgan.models import DISCRIMINATORS, GENERATORS, layers
from jaxgan.models.injection import check_injection, inject
from jaxgan.models.layout import require_images, sizes_upward
from jaxgan.models.minibatch import with_batch_features


@GENERATORS.register("dcgan")
class DCGANGenerator(nn.Module):
    """A projection to h·w·channels[0], h = ⌈H / (product of strides)⌉, then transposed convolutions.

    With the defaults and 28×28 images: 7·7·256, then transposed convolutions to 128, 64 and the image's
    channels with kernels 5, 5, 7. Batch norm and activation follow every layer except the last, which has
    tanh. If the strides do not divide the size, sizes are rounded up, as in the common port to TensorFlow
    (carpedm20/DCGAN-tensorflow): 4 → 7 → 14 → 28 with strides 2, 2, 2.

    Attributes:
      shape: of one image, `(H, W, C)`.
      dense: widths of dense layers before the projection.
      channels: channels of the projection and of all transposed convolutions except the last.
      kernels: sizes of the transposed convolutions' kernels; as many as `channels`.
      strides: factors by which they enlarge the image; as many as `channels`.
      batch_norm: whether hidden layers are batch normalized.
      noise: whether hidden layers get noise, with which interpolations in z flicker; see `models.injection`.
      latent_injection: whether all hidden layers except the first also get z.
    """

    shape: tuple[int, ...]
    axis_name: str | None = None
    synchronized: bool = True
    dense: layers.Sizes = ()
    channels: layers.Sizes = (256, 128, 64)
    kernels: layers.Sizes = (5, 5, 7)
    strides: layers.Sizes = (2, 2, 1)
    activation: layers.Activation = "relu"
    slope: layers.Slope = 0.2
    batch_norm: bool = True
    spectral_norm: layers.Layers = ""
    noise: bool = False
    latent_injection: bool = False

    def check(self) -> None:
        require_images(self.shape, "generator")
        require_same_length(self)
        check_injection(len(self.dense) + len(self.channels), self.noise, self.latent_injection)

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], train: bool = False, condition: Float[Array, "B K"] | None = None
    ) -> Float[Array, "B H W C"]:
        activation = layers.make_activation(self.activation, self.slope)
        axis_name = self.axis_name if self.synchronized else None
        keys = latent_keys(z) if self.noise else None

        def activated(x, i):
            if self.batch_norm:
                x = layers.batch_norm(
                    x, train=train, axis_name=axis_name, name=f"batch_norm_{i}", condition=condition,
                    spectral_norm=self.spectral_norm,
                )  # fmt: skip
            x = inject(
                x, z, i, keys=keys, latent=self.latent_injection, kernel_init=layers.normal_init,
                spectral_norm=self.spectral_norm, train=train,
            )  # fmt: skip
            return activation(x)

        start, *sizes = sizes_upward(self.shape, self.strides)
        use_bias = not self.batch_norm  # a batch norm would subtract it again
        x = z
        for i, width in enumerate((*self.dense, start[0] * start[1] * self.channels[0])):
            is_projection = i == len(self.dense)
            name = "project" if is_projection else f"dense_{i}"
            layer = nn.Dense(width, use_bias, kernel_init=layers.normal_init, name=name)
            x = layers.apply_layer(layer, x, spectral_norm=self.spectral_norm, train=train)
            if is_projection:  # normalized per channel, as an image
                x = x.reshape(-1, *start, self.channels[0])
            x = activated(x, i)
        last = len(self.kernels) - 1
        features = (*self.channels[1:], self.shape[2])
        for i, (width, kernel, stride) in enumerate(zip(features, self.kernels, self.strides, strict=True)):
            name = "output" if i == last else f"conv_transpose_{i}"
            bias = use_bias or i == last
            layer = layers.ConvTranspose(width, kernel, stride, bias, sizes[i], name=name)
            x = layers.apply_layer(layer, x, spectral_norm=self.spectral_norm, train=train)
            if i != last:
                x = activated(x, len(self.dense) + 1 + i)
        return jnp.tanh(x)


@DISCRIMINATORS.register("dcgan")
class DCGANDiscriminator(nn.Module):
    """Strided convolutions, then dense layers to logits `[B]`, or `[B, outputs]` if there are several.

    Attributes:
      channels: channels of the convolutions, first to last.
      kernels: sizes of their kernels; as many as `channels`.
      strides: factors by which they shrink the image; as many as `channels`.
      dense: widths of dense layers between the convolutions and the last layer, as in InfoGAN.
      batch_norm: whether all hidden layers except the first are batch normalized.
      dropout: share of units dropped after each hidden layer in training.
      minibatch_stddev: examples in a group of `minibatch.minibatch_stddev`, 0: none.
      minibatch_discrimination: kernels of `minibatch.MinibatchDiscrimination`, 0: none.
    """

    shape: tuple[int, ...]
    axis_name: str | None = None
    synchronized: bool = True
    outputs: int = 1
    channels: layers.Sizes = (64, 128)
    kernels: layers.Sizes = (5, 5)
    strides: layers.Sizes = (2, 2)
    dense: layers.Sizes = ()
    activation: layers.Activation = "leaky_relu"
    slope: layers.Slope = 0.2
    batch_norm: bool = True
    dropout: layers.Rate = 0.0
    spectral_norm: layers.Layers = ""
    minibatch_stddev: layers.Count = 0
    minibatch_discrimination: layers.Count = 0

    def check(self) -> None:
        require_images(self.shape, "discriminator")
        require_same_length(self)

    @nn.compact
    def __call__(self, images: Float[Array, "B H W C"], train: bool = False, features: bool = False):
        activation = layers.make_activation(self.activation, self.slope)
        axis_name = self.axis_name if self.synchronized else None
        x = images
        num = len(self.channels)
        for i, width in enumerate((*self.channels, *self.dense)):
            normalize = self.batch_norm and i > 0  # not the input layer: Radford et al. 2016, section 3
            bias = not normalize
            if i < num:
                layer = layers.Conv(width, self.kernels[i], self.strides[i], bias, name=f"conv_{i}")
            else:
                x = x.reshape(len(x), -1)
                layer = nn.Dense(width, bias, kernel_init=layers.normal_init, name=f"dense_{i - num}")
            x = layers.apply_layer(layer, x, spectral_norm=self.spectral_norm, train=train)
            if normalize:
                x = layers.batch_norm(x, train=train, axis_name=axis_name, name=f"batch_norm_{i}")
            x = activation(x)
            if self.dropout:
                x = nn.Dropout(self.dropout, deterministic=not train)(x)
        compared = with_batch_features(
            x,
            stddev=self.minibatch_stddev,
            discrimination=self.minibatch_discrimination,
            axis_name=self.axis_name if train else None,
        )
        output = nn.Dense(self.outputs, kernel_init=layers.normal_init, name="output")
        logits = layers.apply_layer(output, compared, spectral_norm=self.spectral_norm, train=train)
        logits = logits[:, 0] if self.outputs == 1 else logits
        return (logits, x.reshape(len(x), -1)) if features else logits


def require_same_length(network: nn.Module) -> None:
    """UserError if channels, kernels and strides have different lengths."""
    channels, kernels, strides = network.channels, network.kernels, network.strides
    if not len(channels) == len(kernels) == len(strides) >= 1:
        raise UserError(
            f"channels={channels}, kernels={kernels} and strides={strides} must have the same length"
        )
