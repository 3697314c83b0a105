"""VGG-19's features against NumPy in float64, and a run whose generator is compared by them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gans import load_digits
from numpy.lib.stride_tricks import sliding_window_view
from runs import leaves, lines, tiny_config
from torch_files import draw_vgg, write_zip
from translators import configure, image_fields

import jaxgan
from jaxgan import datasets
from jaxgan.algorithm.gan import init_state
from jaxgan.algorithm.steps import train_step
from jaxgan.config import experiment
from jaxgan.errors import UserError
from jaxgan.extractors.vgg import torch_places, vgg_features
from jaxgan.jobs.train import train
from jaxgan.regularizers import RECONSTRUCTION
from jaxgan.run import record

ON = {"regularizers.l1.weight": 0.0, "regularizers.vgg_content.weight": 1.0}
SHALLOW = {**ON, "regularizers.vgg_content.layer": "relu1_2"}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A file of the first two blocks, and of what the term does not look at."""
    path = tmp_path_factory.mktemp("vgg") / "vgg19-some.pth"
    write_zip(path, draw_vgg() | {"classifier.0.bias": np.zeros(3, np.float32)})
    return str(path)


def by_hand(images, tensors, layer):
    """The feature maps in float64: x [B, H, W, 3] in [0, 1], padded with zeros."""
    x = (images - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    for name, place in torch_places(layer).items():
        if name.endswith("_1") and name != "relu1_1":
            height, width = (side // 2 for side in x.shape[1:3])
            x = x[:, : 2 * height, : 2 * width].reshape(len(x), height, 2, width, 2, -1).max((2, 4))
        windows = sliding_window_view(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), (3, 3), axis=(1, 2))
        kernel = np.float64(tensors[f"features.{place}.weight"])
        x = np.maximum(np.einsum("bhwcij,ocij->bhwo", windows, kernel) + tensors[f"features.{place}.bias"], 0)
    return x


@pytest.mark.parametrize(("layer", "channels"), [("relu1_1", 3), ("relu1_2", 1), ("relu2_2", 3)])
def test_the_feature_maps_are_those_of_float64(path, layer, channels):
    images = np.random.default_rng(0).uniform(-1, 1, (2, 7, 6, channels))
    found = vgg_features(path, layer, (7, 6, channels))(jnp.float32(images))
    expected = by_hand(np.broadcast_to((images + 1) / 2, (2, 7, 6, 3)), draw_vgg(), layer)
    assert found.shape == expected.shape and expected.max() > 0.5
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_the_places_are_those_of_torchvision():
    places = torch_places("relu5_4")
    assert [*places.values()] == [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    assert places["relu2_2"] == 7 and places["relu3_4"] == 16


def test_the_term_is_that_of_the_feature_maps_and_reaches_the_generator(path):
    """With no other term and no adversarial loss all that moves the generator is this one."""
    fields = {"regularizers.vgg_content.weights": path, "generator_loss_weight": 0.0}
    config = configure(**SHALLOW, **fields)
    gan = experiment.make_gan(config, (8, 8, 1), with_features=True)
    hyper = experiment.make_hyper(config)
    state = jax.jit(lambda: init_state(gan, np.array([0, 3], np.uint32), hyper))()
    batch = {"examples": jnp.asarray(load_digits()[None, :8]), "index": jnp.arange(8)}
    after, metrics = jax.jit(functools.partial(train_step, gan=gan))(state, batch)
    moved = jax.tree.map(lambda p, q: np.abs(p - q).max(), after.generator.params, state.generator.params)
    assert max(jax.tree.leaves(moved)) > 1e-3 and metrics["generator_grad_norm"] > 0
    assert metrics["generator/vgg_content"] > 0
    real, fake = np.random.default_rng(0).uniform(-1, 1, (2, 3, 8, 8, 1))
    maps = [by_hand(np.repeat((x + 1) / 2, 3, axis=-1), draw_vgg(), "relu1_2") / 12.75 for x in (real, fake)]
    expected = np.square(maps[0] - maps[1]).mean(axis=(1, 2, 3))
    term = gan.regularizers["vgg_content"].build()
    parts = type("Parts", (), {"features": gan.features})
    np.testing.assert_allclose(term(jnp.float32(real), jnp.float32(fake), parts), expected, rtol=1e-4)


@pytest.mark.slow
def test_a_run_has_no_weights_in_its_checkpoint_and_is_loaded_without_them(path, tmp_path):
    fields = SHALLOW | {"regularizers.vgg_content.weights": path, "task.name": "inpainting", "num_steps": 4}
    config = tiny_config(**image_fields(fields | {"batch_size": 16, "checkpoint_every": 4}))
    assert train(config, tmp_path / "run") == 0
    assert lines(tmp_path / "run")[-1]["generator/vgg_content"] > 0
    assert max(leaf.size for leaf in leaves(tmp_path / "run")[1].values()) < 3 * 3 * 64 * 64
    sampler = jaxgan.load(tmp_path / "run")
    assert sampler.gan.features is None and sampler(num=2).shape == (2, 8, 8, 1)
    config.num_steps, config.regularizers.vgg_content.weights = 6, str(tmp_path / "vgg19-moved.pth")
    write_zip(tmp_path / "vgg19-moved.pth", {name: 2 * tensor for name, tensor in draw_vgg().items()})
    with pytest.raises(UserError, match="other weights for regularizers.vgg_content"):
        train(config, tmp_path / "run")
    write_zip(tmp_path / "vgg19-moved.pth", draw_vgg())
    assert train(config, tmp_path / "run") == 0 and leaves(tmp_path / "run")[0] == 6


def test_a_run_does_not_go_on_with_another_network(path, tmp_path):
    """The content counts, not the path, and only of the layers that are used."""

    def found(path):
        config = configure(**SHALLOW, **{"regularizers.vgg_content.weights": str(path)})
        return config, experiment.make_gan(config, (8, 8, 1), with_features=True)

    config, gan = found(path)
    record.write_record(tmp_path, config, datasets.load("digits", image_size=8), gan)
    recorded = record.read_record(tmp_path)
    assert recorded["features"] == {"vgg_content": gan.features["vgg_content"].digest}
    tensors = draw_vgg()
    for place, same in ((5, True), (2, False)):
        moved = tmp_path / f"{place}.pth"
        write_zip(moved, tensors | {f"features.{place}.bias": tensors[f"features.{place}.bias"] + 1})
        config, gan = found(moved)
        record.agree(config, recorded, tmp_path)
        if same:
            record.require_same_features(gan, recorded, tmp_path)
            continue
        with pytest.raises(UserError, match="other weights for .*vgg_content.weights") as error:
            record.require_same_features(gan, recorded, "runs/name")
        assert "\n" not in str(error.value) and len(str(error.value)) < 300
    recorded.pop("features")  # of an earlier version
    record.require_same_features(gan, recorded, tmp_path)


# --- What is refused --------------------------------------------------------------------------------------


def refused(match, path, layer="relu2_2", shape=(8, 8, 3)):
    with pytest.raises(UserError, match=match) as error:
        vgg_features(str(path), layer, shape)
    assert len(str(error.value)) < 300 and "\n" not in str(error.value)
    return str(error.value)


def test_a_weight_without_a_file_is_refused():
    with pytest.raises(UserError, match="set regularizers.vgg_content.weights to torchvision's file"):
        configure(**ON)
    with pytest.raises(UserError, match="regularizers.vgg_content.layer"):
        RECONSTRUCTION["vgg_content"](layer="relu6_1")


def test_other_files_are_refused_by_their_names(path, tmp_path):
    assert "vgg19-" in refused("absent.pth: No such file", tmp_path / "absent.pth")
    (tmp_path / "text.pth").write_text("<html>404</html>")
    refused("text.pth is no PyTorch state dict", tmp_path / "text.pth")
    refused("has no 'features.10.weight'", path, "relu3_1")
    whole = (tmp_path / "cut.pth", draw_vgg())
    write_zip(*whole)
    whole[0].write_bytes(whole[0].read_bytes()[:-400])
    refused("cut.pth is no PyTorch state dict", whole[0])
    name = "features.5.weight"
    for match, change in (
        (r"is float32 \(128, 64, 1, 1\), not float32 \(128, 64, 3, 3\)", lambda x: x[:, :, :1, :1]),
        ("is float16", np.float16),
        ("has NaN", lambda x: np.where(x == x.max(), np.float32(np.nan), x)),
    ):
        tensors = draw_vgg()
        tensors[name] = np.ascontiguousarray(change(tensors[name]))
        write_zip(tmp_path / "other.pth", tensors)
        refused(f"'{name}' {match}", tmp_path / "other.pth")


def test_images_that_do_not_fit_are_refused(path):
    refused("1 or 3 channels, and these have shape", path, shape=(8, 8, 2))
    refused("layer=relu5_4 needs images of 16 pixels or more, not 9x8", path, "relu5_4", (8, 9, 3))
