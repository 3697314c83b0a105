"""Features of Inception-v3 for images of any size: for FID, KID and the inception score."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Float32, Num

from jaxgan.errors import UserError
from jaxgan.extractors import EXTRACTORS, Extractor, files
from jaxgan.extractors.inception_v3 import SIZE, InceptionV3, weight_shapes

SOURCE = "source_sha256"  # of the PyTorch file, kept beside the weights
PUBLISHED = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"  # the published one's

_FIELD = "evaluation.extractor.inception.weights"
_FILE = "pt_inception-2015-12-05-6726825d.pth"
_REMEDY = (
    f"python -m jaxgan.extractors.convert_inception SOURCE.pth OUT.npz makes it from {_FILE}, which the "
    "project pytorch-fid publishes"
)
WHERE = f"{_REMEDY} (release fid_weights; 95,628,359 bytes, SHA-256 {PUBLISHED})"  # the published weights are


@EXTRACTORS.register("inception")
def inception(load, shape, *, weights: str = "") -> Extractor:
    """The 2048 features of FID and KID, and the 1008 logits of the inception score.

    Images are scaled to 299 x 299 by `resize` and to (x - 128) / 128; grey images become three equal
    channels. All this is as in FID's own code, including its resizing. The logits are without the last
    layer's bias, as in the inception score's own code (and torch-fidelity's `logits_unbiased`).

    Args:
      load: not needed.
      shape: of an image, `(H, W, 1)` or `(H, W, 3)`.
      weights: path of the converted weights (95 MB). They are not downloaded.

    The protocol's `weights` says, by a hash, whether they are the published weights. Numbers of other weights
    are not FID.

    Raises:
      UserError: points, or images with an alpha channel; no weights, or a file that is not of them.

    Sources: Heusel et al. 2017, GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
    Equilibrium; Salimans et al. 2016, Improved Techniques for Training GANs; and their authors' codes.
    """
    if len(shape) != 3:
        raise UserError(
            f"feature extractor 'inception' takes images, not points of {shape[0]} numbers; "
            "set evaluation.extractor.name=raw"
        )
    if shape[-1] not in (1, 3):
        raise UserError(
            f"feature extractor 'inception' takes images of 1 or 3 channels (grey, RGB), not {shape[-1]}: "
            "train without an alpha channel, or set evaluation.extractor.name=raw"
        )
    if not weights:
        raise UserError(f"{_FIELD} is empty: name the file of the converted weights; {_REMEDY}")
    arrays, source = read_weights(weights)
    network = InceptionV3()

    def extract(variables, images):
        images = resize(images, SIZE)
        if images.shape[-1] == 1:
            images = jnp.tile(images, (1, 1, 1, 3))
        outputs = network.apply(variables, (images - 128) / 128)
        return {"features": outputs["features"], "logits": outputs["logits_unbiased"]}

    protocol = {
        "digest": files.digest(unflatten_dict(arrays, sep="/")),
        "weights": "as published, 2015-12-05" if source == PUBLISHED else f"NOT as published: {source}",
        "resize": f"{SIZE} x {SIZE}, bilinear as in TensorFlow 1: corners not aligned, no antialiasing",
        "value_range": "(x - 128) / 128",
    }
    variables = unflatten_dict(jax.tree.map(jnp.asarray, arrays), sep="/")
    return Extractor("inception", extract, variables, protocol)


def resize(images: Num[Array, "B H W C"], size: int) -> Float32[Array, "B {size} {size} C"]:
    """`[B, H, W, C] -> float32 [B, size, size, C]`, bilinear as TensorFlow 1's `resize_bilinear` by default.

    Output pixel i is interpolated at position i · H / size of the input. Compared with today's convention,
    the image is shifted by up to half a pixel, and pixels are skipped when an image shrinks. Values stay in
    0..255 and are not rounded.
    """
    images = images.astype(jnp.float32)
    for axis in (2, 1):  # first along the rows, as the original, for the same rounding
        images = _interpolate(images, axis, size)
    return images


def _interpolate(images, axis, size):
    length = images.shape[axis]
    places = np.arange(size, dtype=np.float32) * np.float32(length / size)
    below = places.astype(np.int32)
    above = np.minimum(below + 1, length - 1)
    part = np.expand_dims(places - below.astype(np.float32), [d for d in range(4) if d != axis])
    low, high = jnp.take(images, below, axis), jnp.take(images, above, axis)
    return low + (high - low) * part


def read_weights(path: str) -> tuple[dict[str, np.ndarray], str]:
    """What `convert_inception` wrote: the arrays, named as in `weight_shapes`, and their source's SHA-256.

    Raises:
      UserError: no such file, or another one.
    """
    try:
        weights, about = files.read(Path(path).expanduser())
        arrays, source = flatten_dict(weights, sep="/"), about[SOURCE]
    except (OSError, ValueError, KeyError) as error:
        why = getattr(error, "strerror", None)
        why = f": {why}" if why else " is no file of converted weights"
        raise UserError(f"{_FIELD}={path}{why}; {_REMEDY}") from error
    check_weights(arrays, path)
    return arrays, source


def check_weights(arrays: dict[str, Any], path: str) -> None:
    """UserError, by name, where an array is missing, of another shape, not float32, not finite or unknown."""
    expected = weight_shapes()
    for name, shape in expected.items():
        if name not in arrays:
            raise UserError(f"{path} has no weights '{name}': it is not of this Inception-v3; {_REMEDY}")
        array = arrays[name]
        if array.shape != shape or array.dtype != np.float32:
            raise UserError(
                f"{path}: weights '{name}' are {array.dtype} {array.shape}, not float32 {shape}; {_REMEDY}"
            )
        if not np.isfinite(array).all():
            raise UserError(f"{path}: weights '{name}' have NaN or infinite numbers; {_REMEDY}")
    if unknown := arrays.keys() - expected.keys():
        raise UserError(f"{path} has weights that this Inception-v3 has not: '{min(unknown)}'; {_REMEDY}")
