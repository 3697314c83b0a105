"""Features of VGG-19, trained on ImageNet, of images in [-1, 1]: for the term `vgg_content`.

The weights are those of PyTorch's torchvision, in its own file `vgg19-*.pth`. They are not downloaded.
"""

from pathlib import Path

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from jaxgan.errors import UserError
from jaxgan.extractors import Frozen, files
from jaxgan.extractors.torch_file import read_state_dict
from jaxgan.models.convolution import conv
from jaxgan.regularizers.reconstruction import VGG_LAYERS

_FIELD = "regularizers.vgg_content.weights"
_REMEDY = "give torchvision's file of VGG-19, vgg19-*.pth"
_CHANNELS = (64, 128, 256, 512, 512)  # of each block
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's red, green and blue in [0, 1]

Weights = list[tuple[Float[np.ndarray, "3 3 I O"], Float[np.ndarray, " O"]]]


def vgg_features(path: str, layer: str, shape: tuple[int, ...]) -> Frozen:
    """The network up to a layer: `[B, H, W, C]` in [-1, 1] to `[B, h, w, F]`, after the layer's ReLU.

    Grey images become three equal channels. Images have mean and deviation of ImageNet taken off and keep
    their size.

    Args:
      path: of the file.
      layer: of `VGG_LAYERS`: after the k-th convolution of block i and its activation, before max-pooling.
      shape: of an image, `(H, W, 1)` or `(H, W, 3)`.

    Raises:
      UserError: no such file, or another one; images of other channels, or too small for the layer.

    Source: Simonyan and Zisserman 2015, Very Deep Convolutional Networks for Large-Scale Image Recognition,
    table 1, column E.
    """
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise UserError(
            f"regularizers.vgg_content looks at images of 1 or 3 channels, and these have shape {shape}: set "
            "its weight to 0"
        )
    smallest = 2 ** (int(layer[4]) - 1)
    if min(shape[:2]) < smallest:
        raise UserError(
            f"regularizers.vgg_content.layer={layer} needs images of {smallest} pixels or more, not "
            f"{shape[1]}x{shape[0]}: choose a layer of an earlier block"
        )
    weights = [tuple(map(jnp.asarray, pair)) for pair in read_vgg(path, layer)]
    mean, std = jnp.float32(_MEAN), jnp.float32(_STD)

    def features(images):
        x = ((images.astype(jnp.float32) + 1) / 2 - mean) / std  # a single channel becomes three
        for name, (kernel, bias) in zip(VGG_LAYERS, weights, strict=False):
            if name.endswith("_1") and name != VGG_LAYERS[0]:
                x = nn.max_pool(x, (2, 2), (2, 2))
            kernel = lax.optimization_barrier(kernel)  # else XLA folds all that is done with constants
            x = nn.relu(conv(x, kernel, 1) + bias)
        return x

    named = zip(VGG_LAYERS, weights, strict=False)
    return Frozen(features, files.digest({name: {"kernel": k, "bias": b} for name, (k, b) in named}))


def read_vgg(path: str, layer: str) -> Weights:
    """The kernels and biases of the convolutions up to a layer, in their order.

    Raises:
      UserError: no such file, or by name a tensor that is missing, of another shape or type, or not finite.
    """
    try:
        tensors = read_state_dict(Path(path).expanduser())
    except UserError as error:
        raise UserError(f"{_FIELD}: {error}; {_REMEDY}") from error
    weights, channels = [], 3
    for name, index in torch_places(layer).items():
        width = _CHANNELS[int(name[4]) - 1]
        kernel = _read(tensors, f"features.{index}.weight", (width, channels, 3, 3), path)
        bias = _read(tensors, f"features.{index}.bias", (width,), path)
        weights.append((np.ascontiguousarray(kernel.transpose(2, 3, 1, 0)), bias))
        channels = width
    return weights


def torch_places(layer: str) -> dict[str, int]:
    """The place of each convolution up to a layer in torchvision's `features`, which has ReLU and pooling."""
    names = VGG_LAYERS[: VGG_LAYERS.index(layer) + 1]
    return {name: 2 * number + int(name[4]) - 1 for number, name in enumerate(names)}


def _read(tensors: dict[str, np.ndarray], name: str, shape: tuple[int, ...], path: str) -> np.ndarray:
    if name not in tensors:
        raise UserError(f"{_FIELD}={path} has no '{name}', which VGG-19 has: {_REMEDY}")
    tensor = tensors[name]
    if tensor.shape != shape or tensor.dtype != np.float32:
        raise UserError(
            f"{_FIELD}={path}: '{name}' is {tensor.dtype} {tensor.shape}, not float32 {shape}: {_REMEDY}"
        )
    if not np.isfinite(tensor).all():
        raise UserError(f"{_FIELD}={path}: '{name}' has NaN or infinite numbers: {_REMEDY}")
    return tensor
