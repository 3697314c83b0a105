"""The warnings that a user sees while a run trains."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
from runs import launch, lines, quick_environment, tiny_config

from jaxgan import datasets
from jaxgan.monitor import Monitor

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
    """`(symptoms, threshold) -> warnings`: what is said of a run by the symptoms of each hundred steps."""

    def watch(hundreds, threshold=0.0):
        gan = SimpleNamespace(loss=lambda: SimpleNamespace(threshold=threshold))
        config = tiny_config(log_every=100, num_steps=100 * len(hundreds))
        with Monitor(tmp_path, config, datasets.load("digits"), gan, 0, []) as monitor:
            for i, symptoms in enumerate(hundreds):
                values = {**HEALTHY, **symptoms}.items()
                monitor.take(100 * (i + 1), {name: np.full(100, value) for name, value in values}, None)
        said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
        return [" ".join(message.split()[:6]) for message in sorted(said)]

    return watch


def test_a_symptom_is_told_when_it_comes_and_when_it_comes_back(warned):
    both = COLLAPSE | SATURATION
    assert warned([{}, {}, {}, COLLAPSE, COLLAPSE, both, SATURATION, {}, SATURATION]) == [
        "step 400: mode collapse? fakes differ",
        "step 600: the discriminator is saturated:",
        "step 900: the discriminator is saturated:",
    ]


def test_nothing_is_told_before_step_300(warned):
    assert warned([COLLAPSE | SATURATION] * 2) == []


def test_what_lasts_until_step_300_is_told_then(warned):
    assert warned([COLLAPSE] * 4) == ["step 300: mode collapse? fakes differ"]


def test_a_critic_cannot_be_saturated(warned):
    assert warned([COLLAPSE | SATURATION] * 4, threshold=None) == ["step 300: mode collapse? fakes differ"]


def test_a_run_prints_each_warning_once(tmp_path):
    """A generator that stands still, on a machine without TensorFlow."""
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
        "TensorBoard events are off (left",
        "step 300: mode collapse? fakes",
        "step 300: the discriminator is",
    ]
    assert len(lines(tmp_path / "run")) == 18
    assert not list((tmp_path / "run").glob("events.out.tfevents.*"))
