"""InfoGAN's discriminator: a DCGAN's with a dense layer before its end, on which the head for codes sits."""

import flax.linen as nn
import jax

from jaxgan.models import DISCRIMINATORS, layers
from jaxgan.models.dcgan import require_same_length
from jaxgan.models.layout import require_images
from jaxgan.models.minibatch import with_batch_features


@DISCRIMINATORS.register("infogan")
class InfoGANDiscriminator(nn.Module):
    """Strided convolutions, dense layers, then one more to the logit `[B]`, or to `[B, outputs]` of several.

    With the defaults that of Chen et al. 2016, InfoGAN, table 1, for MNIST; slopes as in its code.

    Attributes:
      channels: of the convolutions, first to last.
      kernels: sizes of their kernels; as many as `channels`.
      strides: factors by which they shrink the image; as many as `channels`.
      dense: widths of the dense layers.
      batch_norm: whether all layers but the first are batch normalized.
      minibatch_stddev: examples in a group of `minibatch.minibatch_stddev`, 0: none.
      minibatch_discrimination: kernels of `minibatch.MinibatchDiscrimination`, 0: none.
    """

    shape: tuple[int, ...]
    axis_name: str | None = None
    synchronized: bool = True
    outputs: int = 1
    channels: layers.Sizes = (64, 128)
    kernels: layers.Sizes = (4, 4)
    strides: layers.Sizes = (2, 2)
    dense: layers.Sizes = (1024,)
    activation: layers.Activation = "leaky_relu"
    slope: layers.Slope = 0.01
    batch_norm: bool = True
    spectral_norm: layers.Layers = ""
    minibatch_stddev: layers.Count = 0
    minibatch_discrimination: layers.Count = 0

    def check(self) -> None:
        require_images(self.shape, "discriminator")
        require_same_length(self)

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False, features: bool = False):
        activation = layers.make_activation(self.activation, self.slope)
        axis_name = self.axis_name if self.synchronized else None
        x = images
        for i, width in enumerate((*self.channels, *self.dense)):
            normalize = self.batch_norm and i > 0
            if i < len(self.channels):
                layer = layers.Conv(width, self.kernels[i], self.strides[i], not normalize, name=f"conv_{i}")
            else:
                x = x.reshape(len(x), -1)
                name = f"dense_{i - len(self.channels)}"
                layer = nn.Dense(width, not normalize, kernel_init=layers.normal_init, name=name)
            x = layers.apply_layer(layer, x, spectral_norm=self.spectral_norm, train=train)
            if normalize:
                x = layers.batch_norm(x, train=train, axis_name=axis_name, name=f"batch_norm_{i}")
            x = activation(x)
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
