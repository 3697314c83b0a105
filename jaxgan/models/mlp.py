"""Fully connected networks, as in Goodfellow et al. 2014 and in every introduction to GANs."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.latents import latent_keys
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.models.injection import check_injection, inject
from jaxgan.models.layers import apply_layer, batch_norm, check_fields, make_activation, make_initializer
from jaxgan.models.minibatch import with_batch_features


class MLPGenerator(nn.Module):
    """z → hidden layers → tanh image `[B, H, W, C]`, or an unbounded point `[B, D]`."""

    shape: tuple[int, ...]
    hidden: tuple[int, ...]
    activation: str
    slope: float
    batch_norm: bool
    axis_name: str | None = None
    spectral_norm: str = ""
    weights: str = "normal"
    noise: bool = False
    latent_injection: bool = False

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array | None = None, train: bool = False) -> jax.Array:
        activation = make_activation(self.activation, self.slope)
        initializer = make_initializer(self.weights)
        keys = latent_keys(z) if self.noise else None
        x = z
        for i, width in enumerate(self.hidden):
            # No bias in front of a batch norm: it would be subtracted again.
            dense = nn.Dense(width, not self.batch_norm, kernel_init=initializer, name=f"dense_{i}")
            x = apply_layer(dense, x, spectral_norm=self.spectral_norm, train=train)
            if self.batch_norm:
                x = batch_norm(x, train=train, axis_name=self.axis_name, name=f"batch_norm_{i}")
            x = inject(
                x, z, i, keys=keys, latent=self.latent_injection, kernel_init=initializer,
                spectral_norm=self.spectral_norm, train=train,
            )  # fmt: skip
            x = activation(x)
        output = nn.Dense(math.prod(self.shape), kernel_init=initializer, name="output")
        x = apply_layer(output, x, spectral_norm=self.spectral_norm, train=train)
        x = x.reshape(x.shape[0], *self.shape)
        return jnp.tanh(x) if len(self.shape) == 3 else x


class MLPDiscriminator(nn.Module):
    """Image or point → flatten → hidden layers → logit `[B]`, or `[B, outputs]` of several."""

    hidden: tuple[int, ...]
    activation: str
    slope: float
    maxout: int
    dropout: float
    spectral_norm: str = ""
    weights: str = "normal"
    outputs: int = 1
    minibatch_stddev: int = 0
    minibatch_discrimination: int = 0
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images, labels=None, train: bool = False, features: bool = False):
        initializer = make_initializer(self.weights)
        x = images.reshape(images.shape[0], -1)
        for i, width in enumerate(self.hidden):
            dense = nn.Dense(width * max(self.maxout, 1), kernel_init=initializer, name=f"dense_{i}")
            x = apply_layer(dense, x, spectral_norm=self.spectral_norm, train=train)
            if self.maxout:
                x = x.reshape(x.shape[0], width, self.maxout).max(axis=-1)
            else:
                x = make_activation(self.activation, self.slope)(x)
            if self.dropout:
                x = nn.Dropout(self.dropout, deterministic=not train)(x)
        compared = with_batch_features(
            x,
            stddev=self.minibatch_stddev,
            discrimination=self.minibatch_discrimination,
            axis_name=self.axis_name if train else None,
        )
        output = nn.Dense(self.outputs, kernel_init=initializer, name="output")
        logits = apply_layer(output, compared, spectral_norm=self.spectral_norm, train=train)
        logits = logits[:, 0] if self.outputs == 1 else logits
        return (logits, x) if features else logits


@GENERATORS.register("mlp")
def mlp_generator(
    shape: tuple[int, ...],
    axis_name: str | None = None,
    *,
    hidden: tuple[int, ...] = (256, 512, 1024),
    activation: str = "leaky_relu",
    slope: float = 0.2,
    batch_norm: bool = False,
    spectral_norm: str = "",
    weights: str = "normal",
    noise: bool = False,
    latent_injection: bool = False,
) -> nn.Module:
    """Dense layers of the given widths; a tanh image, or an unbounded point where `shape` is `(D,)`.

    Args:
      shape: of one example, `(H, W, C)` or `(D,)`.
      axis_name: the device axis over which batch statistics are taken.
      hidden: widths of the hidden layers, first to last.
      activation: see `layers.make_activation`; `slope` is leaky_relu's.
      slope: the slope of leaky_relu below zero.
      batch_norm: whether each hidden layer is batch normalized.
      spectral_norm: which layers, see `layers.apply_layer`.
      weights: the initial ones, see `layers.make_initializer`.
      noise: whether hidden layers get noise, see `models.injection`: interpolations in z flicker with it.
      latent_injection: whether hidden layers but the first get z once more.
    """
    check_fields("generator.mlp", {"hidden": hidden}, activation, slope, spectral_norm)
    check_injection("generator.mlp", len(hidden), noise, latent_injection)
    make_initializer(weights)
    return MLPGenerator(
        shape,
        tuple(hidden),
        activation,
        slope,
        batch_norm,
        axis_name,
        spectral_norm,
        weights,
        noise,
        latent_injection,
    )


@DISCRIMINATORS.register("mlp")
def mlp_discriminator(
    shape: tuple[int, ...],
    axis_name: str | None = None,
    outputs: int = 1,
    *,
    hidden: tuple[int, ...] = (512, 256),
    activation: str = "leaky_relu",
    slope: float = 0.2,
    maxout: int = 0,
    dropout: float = 0.0,
    spectral_norm: str = "",
    weights: str = "normal",
    minibatch_stddev: int = 0,
    minibatch_discrimination: int = 0,
) -> nn.Module:
    """Flatten, then dense layers of the given widths, then one logit.

    Args:
      shape: of one example (any).
      axis_name: the device axis over which the batch is spread.
      outputs: logits of one example.
      hidden: widths of the hidden layers, first to last.
      activation: see `layers.make_activation`.
      slope: the slope of leaky_relu below zero.
      maxout: pieces of a maxout unit (Goodfellow et al. 2013), in place of the activation; 0 is none.
      dropout: the share of units dropped after each hidden layer in training.
      spectral_norm: which layers, see `layers.apply_layer`.
      weights: the initial ones, see `layers.make_initializer`.
      minibatch_stddev: examples in a group of `minibatch.minibatch_stddev`, 0: none.
      minibatch_discrimination: kernels of `minibatch.MinibatchDiscrimination`, 0: none.
    """
    counts = {
        "maxout": maxout,
        "minibatch_stddev": minibatch_stddev,
        "minibatch_discrimination": minibatch_discrimination,
    }
    sizes = {"hidden": hidden}
    check_fields("discriminator.mlp", sizes, activation, slope, spectral_norm, dropout, counts)
    make_initializer(weights)
    return MLPDiscriminator(
        tuple(hidden),
        activation,
        slope,
        maxout,
        dropout,
        spectral_norm,
        weights,
        outputs,
        minibatch_stddev,
        minibatch_discrimination,
        axis_name,
    )
