"""Inception-v3 against torch-fidelity's, layer by layer. Both read their weights from one file."""

import shutil

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from gans import load_digits
from packages import torch  # must come before the packages
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x
from torch_files import draw_inception

from jaxgan.extractors import EXTRACTORS, convert_inception
from jaxgan.extractors.inception import resize
from jaxgan.extractors.inception_v3 import InceptionV3


def reference(path, *outputs):
    return FeatureExtractorInceptionV3("x", list(outputs), feature_extractor_weights_path=str(path))


@pytest.fixture(scope="module", params=["zip", "stream"])
def files(request, tmp_path_factory):
    """A state dict of their network, written by `torch.save`, and our conversion of it."""
    folder = tmp_path_factory.mktemp("weights")
    drawn = {name: torch.from_numpy(array) for name, array in draw_inception(seed=1).items()}
    torch.save(drawn, folder / "drawn.pth")
    network = reference(folder / "drawn.pth", "2048")
    zipped = request.param == "zip"
    torch.save(network.state_dict(), folder / "x.pth", _use_new_zipfile_serialization=zipped)
    convert_inception.main([str(folder / "x.pth"), str(folder / "x.npz")])
    yield folder / "x.pth", folder / "x.npz"
    shutil.rmtree(folder)  # hundreds of MB; pytest would keep them for three runs


def real_images():
    """Coloured digits, enlarged by repetition: uint8 [4, 40, 40, 3]."""
    digits = load_digits()[:4].astype(np.float64)
    digits = digits / digits.max() * 255
    digits = digits.reshape(4, 8, 8, 1).repeat(5, axis=1).repeat(5, axis=2)
    return (digits * np.array([1.0, 0.8, 0.3])).astype(np.uint8)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def to_torch(images):
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


@pytest.mark.parametrize("images", [real_images(), noise(2, 32, 48, 3)], ids=["digits", "noise"])
def test_features_and_logits_from_uint8(files, images):
    features, logits = (x.numpy() for x in reference(files[0], "2048", "logits_unbiased")(to_torch(images)))
    ours = EXTRACTORS["inception"](None, images.shape[1:], weights=str(files[1]))
    outputs = jax.jit(ours.extract)(ours.weights, images)
    for name, theirs in {"features": features, "logits": logits}.items():
        error = np.abs(np.asarray(outputs[name]) - theirs).max()
        print(f"{name}: largest error {error:.1e}, deviation {theirs.std():.2f}")
        assert error <= 1e-4
        assert 0.1 < theirs.std() < 10


@pytest.mark.parametrize("files", ["zip"], indirect=True)
def test_layer_by_layer(files):
    images = np.concatenate([real_images()[:2], noise(1, 40, 40, 3)])
    network = reference(files[0], "logits")
    theirs = {}

    def keep(name):
        def hook(module, inputs, output):
            # a copy, because an in-place ReLU changes it
            theirs.setdefault(name, output.detach().clone().numpy().transpose(0, 2, 3, 1))

        return hook

    for name, module in network.named_modules():
        if not name.endswith(("Pool", "MaxPool_1", "MaxPool_2", "fc")) and name:
            module.register_forward_hook(keep(name))
    (logits,) = network(to_torch(images))

    variables = EXTRACTORS["inception"](None, (40, 40, 3), weights=str(files[1])).weights
    inputs = (resize(images, 299) - 128) / 128
    apply = jax.jit(lambda variables, x: InceptionV3().apply(variables, x, capture_intermediates=True))
    outputs, state = apply(variables, inputs)
    ours = {
        name.removesuffix("/__call__").replace("/", "."): value[0]
        for name, value in flatten_dict(state["intermediates"], sep="/").items()
    }
    assert theirs.keys() == ours.keys() - {"fc", "__call__"}
    assert len(theirs) == 3 * 94 + 11
    errors = {}
    for name, output in theirs.items():
        assert output.shape == ours[name].shape, name
        errors[name] = np.abs(np.asarray(ours[name]) - output).max()
        assert 0.1 < output.std() < 10, (
            name,
            output.std(),
        )  # otherwise the tolerance of 1e-4 would mean little
    worst = max(errors, key=errors.get)
    print(f"largest error {errors[worst]:.1e} at {worst}, of {len(errors)} layers")
    assert errors[worst] <= 1e-4
    np.testing.assert_allclose(outputs["logits"], logits.numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("height", "width"), [(28, 28), (32, 32), (64, 48), (299, 299), (256, 512), (333, 600), (1, 1), (7, 1)]
)
def test_resizing(height, width):
    images = noise(2, height, width, 3)
    theirs = interpolate_bilinear_2d_like_tensorflow1x(
        to_torch(images).float(), size=(299, 299), align_corners=False
    )
    ours = np.asarray(resize(images, 299))
    np.testing.assert_allclose(ours.transpose(0, 3, 1, 2), theirs.numpy(), rtol=1e-6, atol=1e-4)
