"""Converts the published PyTorch port of FID's Inception-v3 for `evaluation.extractor.inception.weights`.

    python -m jaxgan.extractors.convert_inception pt_inception-2015-12-05-6726825d.pth inception.npz

The source is the file of that name that the project pytorch-fid publishes (release `fid_weights`), or
torch-fidelity's `weights-inception-2015-12-05-6726825d.pth`, which is the same, of 95,628,359 bytes. PyTorch
is not needed, and no code from the file is run. The output is a plain .npz of float32 arrays.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import numpy as np
from flax.traverse_util import unflatten_dict

from jaxgan.errors import UserError
from jaxgan.extractors import files
from jaxgan.extractors.inception import PUBLISHED, SOURCE, check_weights
from jaxgan.extractors.inception_v3 import weight_shapes
from jaxgan.extractors.torch_file import read_state_dict

_REMEDY = "give the file pt_inception-2015-12-05-6726825d.pth that pytorch-fid publishes"

_LEAVES = {
    "conv/kernel": "conv.weight",
    "bn/scale": "bn.weight",
    "bn/bias": "bn.bias",
    "bn/mean": "bn.running_mean",
    "bn/var": "bn.running_var",
    "fc/kernel": "fc.weight",
    "fc/bias": "fc.bias",
}


def torch_name(name: str) -> str:
    """`params/Mixed_5b/branch1x1/conv/kernel` is `Mixed_5b.branch1x1.conv.weight` in the port."""
    _collection, *blocks, module, leaf = name.split("/")
    return ".".join([*blocks, _LEAVES[f"{module}/{leaf}"]])


def convert(tensors: dict[str, np.ndarray], path: str) -> dict[str, np.ndarray]:
    """The port's tensors, convolutions `[O, I, H, W]` and the linear map `[O, I]`, as `InceptionV3` has them.

    Args:
      tensors: by the port's names. `num_batches_tracked`, which inference does not need, may be there or not.
      path: what to call them in a message.

    Raises:
      UserError: by name, a tensor is missing, of another shape or type, not finite, or unknown.
    """
    tensors = {name: x for name, x in tensors.items() if not name.endswith(".num_batches_tracked")}
    names = {torch_name(name): name for name in weight_shapes()}
    if unknown := tensors.keys() - names.keys():
        raise UserError(f"{path} has '{min(unknown)}', which FID's Inception-v3 has not: {_REMEDY}")
    if missing := names.keys() - tensors.keys():
        raise UserError(f"{path} has no '{min(missing)}', which FID's Inception-v3 has: {_REMEDY}")
    arrays = {}
    for name, tensor in tensors.items():
        shape = weight_shapes()[names[name]]
        theirs = tuple(shape[d] for d in (3, 2, 0, 1)) if len(shape) == 4 else shape[::-1]
        if tensor.shape != theirs:
            raise UserError(f"{path}: '{name}' has the shape {tensor.shape}, not {theirs}: {_REMEDY}")
        array = tensor.transpose(2, 3, 1, 0) if len(shape) == 4 else tensor.T
        arrays[names[name]] = np.ascontiguousarray(array)
    check_weights(arrays, path)
    return arrays


def main(arguments: list[str] | None = None) -> None:
    """The command line.

    Raises:
      UserError: as `read_state_dict` and `convert`; or the output cannot be written.
    """
    parser = argparse.ArgumentParser(
        "convert_inception", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="the published .pth")
    parser.add_argument("out", type=Path, help="the .npz to write")
    options = parser.parse_args(arguments)
    arrays = convert(read_state_dict(options.source), str(options.source))
    with open(options.source, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        files.write(options.out, unflatten_dict(arrays, sep="/"), {SOURCE: digest})
    except OSError as error:
        raise UserError(f"{options.out} cannot be written: {error.strerror or error}") from error
    known = "the published weights" if digest == PUBLISHED else "NOT the published weights"
    print(f"{options.out}: {len(arrays)} arrays; {known} (SHA-256 {digest})")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(f"convert_inception: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
