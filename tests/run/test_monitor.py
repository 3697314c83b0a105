"""Warnings during training, and files written in the background."""

import logging
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from runs import curves, launch, lines, quick_environment, tiny_config

from jaxgan import datasets
from jaxgan.run.monitor import Monitor, _parts
from jaxgan.run.writers import Writers

HEALTHY = {
    "discriminator_loss": 1.0,
    "generator_loss": 1.0,
    "accuracy_real": 0.8,
    "accuracy_fake": 0.8,
    "generator_grad_norm": 0.1,
    "diversity": 0.9,
}
COLLAPSE = {"diversity": 0.1}
SATURATION = {"accuracy_real": 1.0, "accuracy_fake": 1.0}


@pytest.fixture
def warned(tmp_path, caplog):
    """`(symptoms, threshold) -> warnings` of a run with these symptoms in each hundred steps."""

    def watch(hundreds, threshold=0.0):
        gan = SimpleNamespace(loss=lambda: SimpleNamespace(threshold=threshold), rows=(), task=None)
        config = tiny_config(log_every=100, num_steps=100 * len(hundreds))
        with Monitor(tmp_path, config, datasets.load("digits"), gan, 0, []) as monitor:
            for i, symptoms in enumerate(hundreds):
                values = {**HEALTHY, **symptoms}.items()
                monitor.take(100 * (i + 1), {name: np.full(100, value) for name, value in values}, None)
        said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
        return [" ".join(message.split()[:6]) for message in sorted(said)]

    return watch


def test_a_symptom_gives_a_warning_each_time_it_starts(warned):
    both = COLLAPSE | SATURATION
    assert warned([{}, {}, {}, COLLAPSE, COLLAPSE, both, SATURATION, {}, SATURATION]) == [
        "step 400: mode collapse? fakes differ",
        "step 600: the discriminator is saturated:",
        "step 900: the discriminator is saturated:",
    ]


def test_there_is_no_warning_before_step_300(warned):
    assert warned([COLLAPSE | SATURATION] * 2) == []


def test_a_symptom_that_lasts_until_step_300_gives_a_warning_then(warned):
    assert warned([COLLAPSE] * 4) == ["step 300: mode collapse? fakes differ"]


def test_a_critic_cannot_be_saturated(warned):
    assert warned([COLLAPSE | SATURATION] * 4, threshold=None) == ["step 300: mode collapse? fakes differ"]


def test_a_run_prints_each_warning_once(tmp_path):
    """A generator that does not learn, on a machine without TensorFlow."""
    still = {
        "generator__name": "mlp",
        "generator__mlp__hidden": (16,),
        "discriminator__name": "mlp",
        "discriminator__mlp__hidden": (16,),
        "generator_optimizer__adam__learning_rate": 0.0,
        "log_every": 20,
        "num_steps": 360,
        "checkpoint_every": 0,
    }
    done = launch(tmp_path / "run", env=quick_environment(), **still)
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if line.startswith("WARNING: ")]
    assert [" ".join(line.split()[1:6]) for line in warnings] == [
        "step 300: mode collapse? fakes",
        "step 300: the discriminator is",
    ]
    assert len(lines(tmp_path / "run")) == 18
    assert {step for step, *_ in curves(tmp_path / "run")} == {*range(20, 361, 20)}


@pytest.fixture
def slow_pictures(monkeypatch):
    """An event. No picture is drawn before it is set."""
    gate = threading.Event()
    monkeypatch.setattr(
        "jaxgan.run.monitor.draw_samples", lambda *_, **__: gate.wait(60) and Image.new("L", (8, 8))
    )
    monkeypatch.setattr(Writers, "scalars", lambda *_: None)
    monkeypatch.setattr(Writers, "hparams", lambda *_: None)
    monkeypatch.setattr("jaxgan.run.writers._TensorBoard.write", lambda *_: None)
    return gate


def test_the_run_continues_while_a_picture_is_drawn_and_a_checkpoint_waits_for_it(tmp_path, slow_pictures):
    gan = SimpleNamespace(loss=lambda: SimpleNamespace(threshold=0.0), rows=(), task=None)
    pictures, saved = tmp_path / "samples", []

    def take():
        copied = len(monitor.window)
        return lambda: saved.append((copied, [path.name for path in pictures.glob("*.png")]))

    with Monitor(tmp_path, tiny_config(log_every=10), datasets.load("digits"), gan, 0, []) as monitor:
        metrics = {name: np.full(5, value) for name, value in HEALTHY.items()}
        monitor.take(5, metrics, np.zeros((4, 8, 8, 1), np.uint8))
        monitor.save(take)
        monitor.take(10, metrics, None)
        monitor.write()
        assert not saved and not list(pictures.glob("*"))
        slow_pictures.set()
        monitor.flush()
        assert saved == [(5, ["step_00000005.png"])]


def test_after_a_failed_picture_no_checkpoint_is_saved(tmp_path, slow_pictures):
    """A run resumed from that checkpoint would never draw the missing picture."""
    gan = SimpleNamespace(loss=lambda: SimpleNamespace(threshold=0.0), rows=(), task=None)
    saved = []
    (tmp_path / "samples").write_text("in the way")
    slow_pictures.set()
    with (
        pytest.raises(OSError, match="samples"),
        Monitor(tmp_path, tiny_config(log_every=10), datasets.load("digits"), gan, 0, []) as monitor,
    ):
        metrics = {name: np.full(5, value) for name, value in HEALTHY.items()}
        monitor.take(5, metrics, np.zeros((4, 8, 8, 1), np.uint8))
        monitor.save(lambda: lambda: saved.append(5))
        monitor.flush()
    assert saved == []


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("digits", {}, "classes: 10 (0, 1, 2, 3, 4, 5, 6, 7, 8, 9); held out: 299 of 1797"),
        ("ring", {"num_points": 100}, "modes: 8; held out: none, the test set is apart"),
    ],
)
def test_the_first_lines_have_the_classes_and_the_number_of_held_out_examples(name, fields, said):
    assert _parts(datasets.load(name, **fields)) == said


def test_arrays_and_folders_report_held_out_examples(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (13, 4, 4), np.uint8)
    np.savez(tmp_path / "labelled.npz", images=images, labels=np.arange(13) % 3)
    assert _parts(datasets.load("array", path=str(tmp_path / "labelled.npz"))) == (
        "classes: 3; held out: 2 of 13"
    )
    np.savez(tmp_path / "apart.npz", x_train=images, x_test=images[:3])
    assert _parts(datasets.load("array", path=str(tmp_path / "apart.npz"))) == (
        "classes: none; held out: none, the test set is apart"
    )
    for name in "ab":
        (tmp_path / "folder" / name).mkdir(parents=True)
        for i, image in enumerate(images[:6]):
            Image.fromarray(image).save(tmp_path / "folder" / name / f"{i}.png")
    path = str(tmp_path / "folder")
    assert _parts(datasets.load("images", path=path)) == "classes: 2 (a, b); held out: 2 of 12"
