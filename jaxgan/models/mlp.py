"""Fully connected networks, as in Goodfellow et al. 2014 and in every introduction to GANs."""

import math

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.latents import latent_keys
from jaxgan.models import DISCRIMINATORS, GENERATORS, layers
from jaxgan.models.injection import check_injection, inject
from jaxgan.models.minibatch import with_batch_features


@GENERATORS.register("mlp")
class MLPGenerator(nn.Module):
    """z → dense layers → tanh image `[B, H, W, C]`, or an unbounded point `[B, D]` if `shape` is `(D,)`.

    Attributes:
      shape: of one example, `(H, W, C)` or `(D,)`.
      hidden: widths of the hidden layers, first to last.
      batch_norm: whether each hidden layer is batch normalized.
      weights: initial weights, see `layers.make_initializer`.
      noise: whether hidden layers get noise, with which interpolations in z flicker; see `models.injection`.
      latent_injection: whether all hidden layers except the first also get z.
    """

    shape: tuple[int, ...]
    axis_name: str | None = None
    synchronized: bool = True
    hidden: layers.Sizes = (256, 512, 1024)
    activation: layers.Activation = "leaky_relu"
    slope: layers.Slope = 0.2
    batch_norm: bool = False
    spectral_norm: layers.Layers = ""
    weights: layers.Weights = "normal"
    noise: bool = False
    latent_injection: bool = False

    def check(self) -> None:
        check_injection(len(self.hidden), self.noise, self.latent_injection)

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], train: bool = False, condition: Float[Array, "B K"] | None = None
    ) -> Float[Array, "B ..."]:
        activation = layers.make_activation(self.activation, self.slope)
        initializer = layers.make_initializer(self.weights)
        keys = latent_keys(z) if self.noise else None
        axis_name = self.axis_name if self.synchronized else None
        x = z
        for i, width in enumerate(self.hidden):
            # No bias before a batch norm: it would be subtracted again.
            dense = nn.Dense(width, not self.batch_norm, kernel_init=initializer, name=f"dense_{i}")
            x = layers.apply_layer(dense, x, spectral_norm=self.spectral_norm, train=train)
            if self.batch_norm:
                x = layers.batch_norm(
                    x, train=train, axis_name=axis_name, name=f"batch_norm_{i}", condition=condition,
                    spectral_norm=self.spectral_norm,
                )  # fmt: skip
            x = inject(
                x, z, i, keys=keys, latent=self.latent_injection, kernel_init=initializer,
                spectral_norm=self.spectral_norm, train=train,
            )  # fmt: skip
            x = activation(x)
        output = nn.Dense(math.prod(self.shape), kernel_init=initializer, name="output")
        x = layers.apply_layer(output, x, spectral_norm=self.spectral_norm, train=train)
        x = x.reshape(x.shape[0], *self.shape)
        return jnp.tanh(x) if len(self.shape) == 3 else x


@DISCRIMINATORS.register("mlp")
class MLPDiscriminator(nn.Module):
    """Image or point → flatten → dense layers → logit `[B]`, or `[B, outputs]` if there are several.

    Attributes:
      hidden: widths of the hidden layers, first to last.
      maxout: pieces of a maxout unit (Goodfellow et al. 2013), instead of the activation; 0: none.
      dropout: the share of units dropped after each hidden layer in training.
      weights: initial weights, see `layers.make_initializer`.
      minibatch_stddev: examples in a group of `minibatch.minibatch_stddev`, 0: none.
      minibatch_discrimination: kernels of `minibatch.MinibatchDiscrimination`, 0: none.
    """

    axis_name: str | None = None
    outputs: int = 1
    hidden: layers.Sizes = (512, 256)
    activation: layers.Activation = "leaky_relu"
    slope: layers.Slope = 0.2
    maxout: layers.Count = 0
    dropout: layers.Rate = 0.0
    spectral_norm: layers.Layers = ""
    weights: layers.Weights = "normal"
    minibatch_stddev: layers.Count = 0
    minibatch_discrimination: layers.Count = 0

    @nn.compact
    def __call__(self, images: Float[Array, "B ..."], train: bool = False, features: bool = False):
        initializer = layers.make_initializer(self.weights)
        x = images.reshape(images.shape[0], -1)
        for i, width in enumerate(self.hidden):
            dense = nn.Dense(width * max(self.maxout, 1), kernel_init=initializer, name=f"dense_{i}")
            x = layers.apply_layer(dense, x, spectral_norm=self.spectral_norm, train=train)
            if self.maxout:
                x = x.reshape(x.shape[0], width, self.maxout).max(axis=-1)
            else:
                x = layers.make_activation(self.activation, self.slope)(x)
            if self.dropout:
                x = nn.Dropout(self.dropout, deterministic=not train)(x)
        compared = with_batch_features(
            x,
            stddev=self.minibatch_stddev,
            discrimination=self.minibatch_discrimination,
            axis_name=self.axis_name if train else None,
        )
        output = nn.Dense(self.outputs, kernel_init=initializer, name="output")
        logits = layers.apply_layer(output, compared, spectral_norm=self.spectral_norm, train=train)
        logits = logits[:, 0] if self.outputs == 1 else logits
        return (logits, x) if features else logits
