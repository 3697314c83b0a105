import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict
from torch_files import Call, Global, draw_inception, write_stream, write_zip

from jaxgan.errors import UserError
from jaxgan.extractors import EXTRACTORS, convert_inception, files
from jaxgan.extractors.inception import PUBLISHED, read_weights, resize
from jaxgan.extractors.inception_v3 import weight_shapes

build = EXTRACTORS["inception"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def tidy(tmp_path):
    """Deletes the files of weights: each has 95 MB, and pytest would keep them for three runs."""
    yield
    shutil.rmtree(tmp_path)


@pytest.fixture(scope="module")
def tensors():
    return draw_inception()


@pytest.fixture(scope="module")
def weights(tensors, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    write_stream(folder / "x.pth", tensors)
    convert_inception.main([str(folder / "x.pth"), str(folder / "x.npz")])
    assert [path.name for path in folder.iterdir() if path.suffix != ".pth"] == ["x.npz"]
    yield folder / "x.npz"
    shutil.rmtree(folder)


# --- The network --------------------------------------------------------------------------------------


def test_the_number_of_weights_is_the_published_one():
    """The published file has 95,628,359 bytes, of which about 180 per tensor are not weights."""
    shapes = weight_shapes()
    num_bytes = 4 * sum(int(np.prod(shape)) for shape in shapes.values())
    assert (num_bytes, len(shapes)) == (95_541_568, 5 * 94 + 2)


def test_features_and_logits(weights):
    """Values from torch-fidelity for these weights and for grey images repeated to three channels."""
    images = np.random.RandomState(0).randint(0, 256, (2, 20, 24, 1)).astype(np.uint8)
    extractor = build(None, (20, 24, 1), weights=str(weights))
    outputs = jax.jit(extractor.extract)(extractor.weights, images)
    features, logits = outputs["features"], outputs["logits"]
    assert outputs.keys() == {"features", "logits"}
    assert (features.shape, logits.shape) == ((2, 2048), (2, 1008))
    assert features.dtype == logits.dtype == np.float32
    assert features[0, :4] == pytest.approx([0.09874164, 0, 0.00043378, 0.64932150], abs=1e-5)
    assert features[1, :4] == pytest.approx([0.13552797, 0, 0.00101089, 0.62880045], abs=1e-5)
    assert logits[0, :4] == pytest.approx([-0.1311529, 0.6218612, -0.2472570, 0.3885840], abs=1e-5)
    assert logits[1, :4] == pytest.approx([-0.1026205, 0.5746621, -0.2419969, 0.3603628], abs=1e-5)
    kernel = extractor.weights["params"]["fc"]["kernel"]
    np.testing.assert_allclose(logits, features @ kernel, atol=1e-5)  # without the bias, which is not 0
    assert np.abs(extractor.weights["params"]["fc"]["bias"]).max() > 0.1


# --- Images -------------------------------------------------------------------------------------------


def resized(image, size):
    return np.asarray(resize(np.array(image, np.uint8)[None, :, :, None], size))[0, :, :, 0]


def test_resizing_by_hand():
    """Output i is at position i · 2 / 4 of the input. Positions beyond the last pixel have its value."""
    rows = [[0, 50, 100, 100], [40, 95, 150, 150], [80, 140, 200, 200], [80, 140, 200, 200]]
    np.testing.assert_allclose(resized([[0, 100], [80, 200]], 4), rows)


def test_downsampling_skips_pixels():
    line = np.arange(6)[:, None] * np.ones(6)
    np.testing.assert_allclose(resized(line * 10, 2)[:, 0], [0, 30])
    np.testing.assert_allclose(resized(line * 10, 4)[:, 0], [0, 15, 30, 45])


def test_an_image_of_the_target_size_is_not_changed():
    image = np.random.default_rng(0).integers(0, 256, (7, 7))
    np.testing.assert_array_equal(resized(image, 7), image)


def test_channels_and_images_are_independent():
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 8, 3)).astype(np.uint8)
    together = np.asarray(resize(images, 11))
    assert together.dtype == np.float32
    for n in range(3):
        for c in range(3):
            np.testing.assert_array_equal(together[n, :, :, c], resized(images[n, :, :, c], 11))


# --- The builder --------------------------------------------------------------------------------------


def save(path, arrays, source=""):
    files.write(path, unflatten_dict(arrays, sep="/"), {"source_sha256": source})


def test_protocol(weights, tmp_path):
    extractor = build(None, (8, 8, 3), weights=str(weights))
    assert extractor.name == "inception"
    assert extractor.protocol.keys() == {"digest", "weights", "resize", "value_range"}
    arrays, source = read_weights(str(weights))
    assert extractor.protocol["weights"] == f"NOT as published: {source}"
    again = tmp_path / "again.npz"
    save(again, dict(sorted(arrays.items())), source)  # another order
    assert build(None, (8, 8, 3), weights=str(again)).protocol == extractor.protocol
    arrays["params/fc/bias"][7] += 1
    save(again, arrays, source)
    other = build(None, (8, 8, 3), weights=str(again)).protocol
    assert other["digest"] != extractor.protocol["digest"]
    save(again, arrays, PUBLISHED)
    published = build(None, (8, 8, 3), weights=str(again)).protocol
    assert published == {**other, "weights": "as published, 2015-12-05"}


def refused(match, shape=(8, 8, 3), **fields):
    with pytest.raises(UserError, match=match) as caught:
        build(None, shape, **fields)
    assert "\n" not in str(caught.value)


def test_refusals(weights, tmp_path, monkeypatch):
    refused("takes images, not points of 2 numbers; set evaluation.extractor.name=raw", shape=(2,))
    refused("1 or 3 channels .* not 4: train without an alpha channel", shape=(8, 8, 4), weights="any")
    command = "python -m jaxgan.extractors.convert_inception SOURCE.pth OUT.npz"
    refused(f"weights is empty.*{command}")
    refused(f"No such file.*{command}", weights=str(tmp_path / "absent.npz"))
    refused("Is a directory", weights=str(tmp_path))
    refused(f"no file of converted weights.*{command}", weights=__file__)
    refused("no file of converted weights", weights=str(weights.with_name("x.pth")))
    (tmp_path / "empty").touch()
    refused("no file of converted weights", weights=str(tmp_path / "empty"))
    monkeypatch.setenv("HOME", str(tmp_path))
    refused("no file of converted weights", weights="~/empty")


def test_a_file_of_other_weights_is_refused_by_name(weights, tmp_path):
    arrays, _ = read_weights(str(weights))
    name, path = "batch_stats/Mixed_6a/branch3x3/bn/var", tmp_path / "x.npz"
    variance = arrays.pop(name)

    def write(**more):
        save(path, {**arrays, **more})
        return str(path)

    refused(f"has no weights '{name}'", weights=write())
    refused(f"'{name}' are float64", weights=write(**{name: variance.astype(float)}))
    refused(rf"'{name}' are float32 \(383,\), not float32 \(384,\)", weights=write(**{name: variance[1:]}))
    refused(f"'{name}' have NaN", weights=write(**{name: variance * np.nan}))
    refused("has not: 'params/other'", weights=write(**{name: variance, "params/other": variance}))
    damaged = bytearray(weights.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    refused("no file of converted weights", weights=str(path))


# --- The conversion -----------------------------------------------------------------------------------


def test_both_formats_and_layouts(tensors, weights, tmp_path, capsys):
    counters = {"Conv2d_1a_3x3.bn.num_batches_tracked": np.array(5)}
    write_zip(tmp_path / "x.pth", {**tensors, **counters})
    convert_inception.main([str(tmp_path / "x.pth"), str(tmp_path / "x.npz")])
    assert "472 arrays; NOT the published weights" in capsys.readouterr().out
    ours, theirs = read_weights(str(tmp_path / "x.npz"))[0], read_weights(str(weights))[0]
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)
    kernel = tensors["Mixed_6b.branch7x7_2.conv.weight"]  # [O, I, 1, 7]
    np.testing.assert_array_equal(
        ours["params/Mixed_6b/branch7x7_2/conv/kernel"][0, 6, 5], kernel[:, 5, 0, 6]
    )
    np.testing.assert_array_equal(ours["params/fc/kernel"][3], tensors["fc.weight"][:, 3])
    name = "Mixed_7c.branch_pool.bn"
    for theirs, here in {"weight": "params/{}/scale", "running_mean": "batch_stats/{}/mean"}.items():
        np.testing.assert_array_equal(ours[here.format(name.replace(".", "/"))], tensors[f"{name}.{theirs}"])


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [
        ("Mixed_5b.branch1x1.bn.bias", None, "has no 'Mixed_5b.branch1x1.bn.bias'"),
        ("AuxLogits.fc.weight", lambda _: np.zeros(3, np.float32), "has 'AuxLogits.fc.weight', which"),
        ("fc.weight", lambda x: x[:1000], r"'fc.weight' has the shape \(1000, 2048\), not \(1008, 2048\)"),
        ("fc.bias", lambda x: x.astype(np.float16), "params/fc/bias' are float16"),
        ("fc.bias", lambda x: x / 0, "params/fc/bias' have NaN or infinite"),
        (
            "Conv2d_1a_3x3.conv.weight",
            lambda x: x.transpose(2, 3, 1, 0),
            r"has the shape \(3, 3, 3, 32\), not \(32, 3, 3, 3\)",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_another_network_is_refused_by_name(tensors, name, change, match):
    tensors = dict(tensors)
    before = tensors.pop(name, None)
    if change:
        tensors[name] = change(before)
    with pytest.raises(UserError, match=match) as caught:
        convert_inception.convert(tensors, "x.pth")
    assert str(caught.value).startswith("x.pth")


def test_a_refused_file_writes_nothing(tmp_path):
    write_zip(tmp_path / "x.pth", {}, {"x": Call(Global("os", "getcwd"), ())})
    with pytest.raises(UserError, match="os.getcwd"):
        convert_inception.main([str(tmp_path / "x.pth"), str(tmp_path / "x.npz")])
    assert [path.name for path in tmp_path.iterdir()] == ["x.pth"]


def test_a_folder_that_cannot_be_written_to(weights, tmp_path):
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "x.npz"
    with pytest.raises(UserError, match=f"{out} cannot be written"):
        convert_inception.main([str(weights.with_name("x.pth")), str(out)])


def test_the_command(tmp_path):
    """The documented command gives one line and status 2 for an invalid file."""
    command = [sys.executable, "-m", "jaxgan.extractors.convert_inception"]
    source = tmp_path / "x.pth"
    source.write_text("<html>")
    paths = [str(source), str(tmp_path / "x.npz")]
    done = subprocess.run([*command, *paths], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == done.stderr.splitlines()[0] + "\n"
    assert done.stderr.startswith(f"convert_inception: {source} is no PyTorch state dict that can be read")
