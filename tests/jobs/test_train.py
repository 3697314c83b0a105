"""The training job within this process, on the embedded digits, and on real MNIST if it is available."""

import json

import numpy as np
import pytest
from PIL import Image
from runs import hparams, leaves, lines, tiny_config

import jaxgan
from jaxgan.augment import AUGMENTATIONS
from jaxgan.config import fields
from jaxgan.config.essential import essential
from jaxgan.drawing.grids import draw_samples
from jaxgan.errors import UserError
from jaxgan.jobs.train import train


def record(workdir):
    return json.loads((workdir / "config.json").read_text())


def test_a_workdir_has_the_files_that_the_readme_lists(trained):
    names = {path.name for path in trained.iterdir()}
    assert {"config.json", "metrics.jsonl", "samples", "checkpoints"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    rows = lines(trained)
    assert [row["step"] for row in rows] == [*range(4, 24, 4)]
    metrics = {"discriminator_loss", "generator_loss", "D(x)", "D(G(z))", "accuracy_real", "accuracy_fake"}
    metrics |= {"discriminator_grad_norm", "generator_grad_norm", "diversity"}
    assert all(metrics | {"step", "dataset"} == row.keys() for row in rows)
    grids = sorted(path.name for path in (trained / "samples").iterdir())
    assert grids == ["step_00000004.png", "step_00000020.png"]  # with the first line, and at the end
    with Image.open(trained / "samples" / "step_00000020.png") as picture:
        assert picture.text == {"Run": trained.name, "Step": "20", "Data": "digits", "Weights": "ema"}
    assert record(trained)["dataset"]["num_examples"] == 1498 and record(trained)["versions"]["jax"]


def test_the_fallback_is_logged_and_recorded(tmp_path, monkeypatch, caplog):
    """MNIST is neither on the machine nor downloadable."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    overrides = {"dataset__name": "mnist", "dataset__image_size": 28, "num_steps": 4}
    with pytest.raises(UserError, match="TFDS_DATA_DIR"):
        train(tiny_config(**overrides), tmp_path / "without")
    assert not (tmp_path / "without").exists()
    assert train(tiny_config(**overrides, dataset__fallback="digits"), tmp_path / "run") == 0
    assert sum("'MNIST' IS NOT HERE" in message for message in caplog.messages) == 1
    assert record(tmp_path / "run")["dataset"]["fallback_for"] == "mnist"
    assert record(tmp_path / "run")["dataset"]["name"] == "digits"
    assert {row["dataset"] for row in lines(tmp_path / "run")} == {"digits"}
    sampler = jaxgan.load(tmp_path / "run")
    assert sampler.dataset["fallback_for"] == "mnist"
    with Image.open(tmp_path / "run" / "samples" / "step_00000004.png") as picture:
        grid = np.asarray(picture)
    titles = "digits (in place of mnist), step 4", "digits, step 4"
    told, untold = (np.asarray(draw_samples(sampler(seed=0, num=64), title)) for title in titles)
    assert np.array_equal(grid, told) and not np.array_equal(grid, untold)


def test_tensorboard_has_the_hyper_parameters(trained):
    (found,) = hparams(trained)
    config = fields.fix_schedule(tiny_config(num_steps=20))
    expected = fields.flatten(essential(config))
    numbers = {name for name, value in expected.items() if isinstance(value, int | float)}
    assert found == {name: value if name in numbers else str(value) for name, value in expected.items()}
    assert found["batch_size"] == 16 and found["generator_optimizer.adam.learning_rate"] == 0.01
    assert found["generator.mlp.hidden"] == "(16,)" and found["deterministic"] is False
    assert found["loss.name"] == "nonsaturating" and not any("wasserstein" in name for name in found)


def test_real_mnist_if_it_is_available(tmp_path, real_mnist):
    overrides = {"dataset__name": "mnist", "dataset__path": str(real_mnist), "dataset__image_size": 28}
    assert train(tiny_config(**overrides, num_steps=4), tmp_path / "run") == 0
    assert record(tmp_path / "run")["dataset"]["num_examples"] == 60_000


def test_streaming_gives_the_bits_of_training_from_device_memory(exact, tmp_path):
    overrides = {"num_steps": 12, "discriminator_steps": 2}
    assert train(tiny_config(**overrides), tmp_path / "device") == 0
    streamed = tiny_config(**overrides, dataset__max_device_bytes=1000)
    assert train(streamed, tmp_path / "streamed") == 0
    (_, expected), (_, found) = leaves(tmp_path / "device"), leaves(tmp_path / "streamed")
    assert all(found[path].tobytes() == leaf.tobytes() for path, leaf in expected.items())
    assert lines(tmp_path / "streamed") == lines(tmp_path / "device")


def test_init_from_takes_the_weights_and_a_new_optimizer(tmp_path, trained):
    config = tiny_config(init_from=str(trained), num_steps=1, seed=3, lookahead_every=1)
    config.generator_optimizer.adam.learning_rate = 0.0
    config.discriminator_optimizer.adam.learning_rate = 0.0
    assert train(config, tmp_path / "run") == 0
    (_, old), (step, new) = leaves(trained), leaves(tmp_path / "run")
    assert step == 1
    for path, leaf in old.items():
        if "['params']" in path and "opt_state" not in path and "ema" not in path:
            np.testing.assert_array_equal(new[path], leaf)
    assert new["['generator']['step']"] == 1

    other = tiny_config(init_from=str(trained), num_steps=1, latent_dim=9)
    with pytest.raises(UserError, match="other shapes"):
        train(other, tmp_path / "other")


def test_a_users_own_module_registers_a_loss(tmp_path, monkeypatch):
    (tmp_path / "my_loss.py").write_text(
        "from jaxgan.losses import LOSSES, hinge\n"
        "@LOSSES.register('my_hinge')\n"
        "def my_hinge(*, margin: float = 1.0):\n"
        "    return hinge()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import importlib

    importlib.import_module("my_loss")
    try:
        config = tiny_config(
            num_steps=2, modules=("my_loss",), loss__name="my_hinge", loss__my_hinge__margin=2.0
        )
        assert train(config, tmp_path / "run") == 0
        assert jaxgan.load(tmp_path / "run")(num=3).shape == (3, 8, 8, 1)
    finally:
        from jaxgan.losses import LOSSES

        del LOSSES._builders["my_hinge"]


@pytest.mark.slow
def test_a_profiler_trace_is_written_on_request(tmp_path):
    assert train(tiny_config(num_steps=10, profile_at=6), tmp_path / "run") == 0
    assert any(path.suffix in (".pb", ".gz") for path in (tmp_path / "run" / "profile").rglob("*"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dcgan", "resnet"])
def test_rectangles_train_are_augmented_evaluated_and_drawn(tmp_path, name):
    config = tiny_config(
        dataset__image_size=(12, 20), num_steps=4, eval_every=4, evaluation__protocol="20", latent_dim=4,
        augment__names=tuple(AUGMENTATIONS), generator__name=name, discriminator__name=name,
        evaluation__statistics__names=("frechet_distance", "ms_ssim"),
        evaluation__extractor__name="classifier", evaluation__extractor__classifier__num_steps=2,
        condition__name="labels",
    )  # fmt: skip
    assert train(config, tmp_path / "run") == 0
    assert jaxgan.load(tmp_path / "run")(num=3).shape == (3, 12, 20, 1)
    with Image.open(tmp_path / "run" / "samples" / "step_00000004.png") as picture:
        assert picture.width > picture.height


@pytest.mark.slow
def test_points_train_and_are_drawn(tmp_path):
    config = tiny_config(
        dataset__name="ring",
        dataset__image_size=0,
        generator__name="mlp",
        generator__mlp__hidden=(16,),
        discriminator__name="mlp",
        discriminator__mlp__hidden=(16,),
        num_steps=20,
    )
    assert train(config, tmp_path / "run") == 0
    assert jaxgan.load(tmp_path / "run")(num=70).shape == (70, 2)
