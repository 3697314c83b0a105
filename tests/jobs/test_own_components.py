"""User-defined components, as in jaxgan/README.md: train, sample and continue."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from runs import ROOT, leaves, quick_environment, tiny_config

import jaxgan
from jaxgan import datasets
from jaxgan.datasets import Dataset
from jaxgan.errors import UserError
from jaxgan.run import record

MODULE = ROOT / "tests" / "own_components.py"
CONFIG = """
import own_components

from configs import default


def get_config():
    config = default.get_config()
    config.dataset.name = "stripes"
    config.generator.name = "upsampling"
    config.discriminator.name = "pooling"
    config.loss.name = "cubic"
    config.regularizers.lipschitz_at_fakes.weight = 1.0
    config.num_steps, config.batch_size, config.log_every, config.steps_per_call = 4, 8, 2, 2
    return config
"""


def test_they_need_few_lines():
    assert len(MODULE.read_text().splitlines()) <= 60


def test_they_train_sample_and_resume(tmp_path):
    """In new processes. The config file imports the components, and the run records the module."""
    file, workdir = tmp_path / "mine.py", tmp_path / "run"
    file.write_text(CONFIG)
    command = [sys.executable, str(ROOT / "launch.py"), f"--workdir={workdir}"]
    environment = quick_environment()
    environment["PYTHONPATH"] += f"{os.pathsep}{MODULE.parent}{os.pathsep}{ROOT}"

    def run(*flags):
        return subprocess.run(
            [*command, *flags], env=environment, capture_output=True, text=True, timeout=300
        )

    assert (done := run(f"--config={file}")).returncode == 0, done.stderr
    assert leaves(workdir)[0] == 4
    assert json.loads((workdir / "config.json").read_text())["config"]["modules"] == ["own_components"]
    out = tmp_path / "samples.npz"
    assert (done := run("--mode=sample", "--num=5", f"--out={out}")).returncode == 0, done.stderr
    assert np.load(out)["images"].shape == (5, 8, 8, 1)
    assert (done := run(f"--config={file}", "--config.num_steps=6")).returncode == 0, done.stderr
    assert leaves(workdir)[0] == 6
    command[-1] = f"--workdir={tmp_path / 'other'}"
    refused = run(f"--config={file}", "--config.generator.upsampling.width=0")
    assert refused.returncode == 2
    assert "generator.upsampling.width=0 must be at least 1, in whole numbers" in refused.stderr
    for flag, words in (
        (
            "--config.regularizers.lipschitz_at_fakes.bound=-1",
            "lipschitz_at_fakes.bound=-1.0 must be at least 0",
        ),
        ("--config.num_generators=2", "takes no `outputs`"),
        ("--config.regularizers.feature_matching.weight=1", "has no `features`"),
        ("--config.dataset.image_size=16", "leave it at 0"),
    ):
        refused = run(f"--config={file}", flag)
        assert refused.returncode == 2 and words in refused.stderr, refused.stderr


def test_the_package_is_a_library(tmp_path):
    """Train, evaluate and load as functions."""
    config = jaxgan.default_config()
    config.update(tiny_config(num_steps=4, log_every=2, checkpoint_every=4).to_dict())
    workdir = str(tmp_path / "run")
    assert jaxgan.train(config, workdir) == 0
    fields = {"evaluation.protocol": "50", "evaluation.extractor.name": "raw"}
    entry = jaxgan.evaluate(workdir, fields)
    assert entry["step"] == 4 and entry["protocol"]["num_fake"] == 50
    assert entry["numbers"]["raw_frechet_distance_50"] > entry["floor"]["raw_frechet_distance_50"]
    assert jaxgan.load(workdir)(num=3).shape == (3, 8, 8, 1)
    with pytest.raises(UserError, match="holds no run"):
        jaxgan.evaluate(tmp_path / "nothing", fields)


def test_a_changed_data_set_has_another_hash(monkeypatch):
    """Also if it is derived from a loaded data set."""

    def inverted(split, path, image_size):
        digits = datasets.load("digits", split, image_size=8)
        return dataclasses.replace(digits, examples=255 - digits.examples)

    builders = {**datasets.DATASETS._builders, "inverted": inverted}
    monkeypatch.setattr(datasets.DATASETS, "_builders", builders)
    digits, changed = datasets.load("digits", image_size=8), datasets.load("inverted")
    expected = datasets.from_arrays("", 255 - digits.examples, digits.labels, "").fingerprint
    assert changed.fingerprint == expected != digits.fingerprint
    assert dataclasses.replace(digits, fallback_for="mnist").fingerprint == digits.fingerprint


@pytest.mark.parametrize(
    ("examples", "labels", "words"),
    [
        (np.zeros((4, 8, 8), np.uint8), None, "examples have shape .4, 8, 8., not .N, H, W, C."),
        (np.zeros((4, 2)), None, "or float32 .N, D. points"),
        (np.zeros((4, 8, 8, 1), np.uint8), np.arange(3), "labels int64 .3.: give integers .4."),
        (np.zeros((4, 8, 8, 1), np.uint8), np.full(4, 0.5), "labels have shape .*float64"),
        ([[1, 2], [3, 4]], None, "examples int64"),
    ],
)
def test_arrays_that_are_not_a_data_set_are_refused(examples, labels, words):
    with pytest.raises(UserError, match=words):
        datasets.from_arrays("mine", examples, labels, "memory")


@pytest.mark.parametrize("written", ["", "by hand"])
def test_the_hash_of_a_data_set_is_computed_when_it_is_loaded(monkeypatch, written):
    """So cached metrics of one data set are never used for another."""
    builders = {}
    for name, value in (("one", 1), ("other", 2)):
        examples = np.full((7, 4, 4, 1), value, np.uint8)
        builders[name] = lambda split, path, size, e=examples: Dataset("mine", e, None, written, "memory")
    monkeypatch.setattr(datasets.DATASETS, "_builders", {**datasets.DATASETS._builders, **builders})
    one, other = datasets.load("one"), datasets.load("other")
    assert one.fingerprint != other.fingerprint and len(one.fingerprint) == 32
    same = datasets.from_arrays("same", one.examples.copy(), None, "memory")
    assert same.fingerprint == one.fingerprint


class Source:
    """The examples of an array that can only be read row by row."""

    def __init__(self, array):
        self._array, self.shape, self.dtype = array, array.shape, array.dtype

    def __len__(self):
        return len(self._array)

    def __getitems__(self, rows):
        return self._array[rows]


def test_a_source_has_the_hash_of_its_examples(monkeypatch):
    examples = np.random.default_rng(0).integers(0, 256, (2_500, 2, 2, 1), np.uint8)
    source = Source(examples)
    builders = {"source": lambda split, path, size: Dataset("mine", source, None)}
    monkeypatch.setattr(datasets.DATASETS, "_builders", {**datasets.DATASETS._builders, **builders})
    assert datasets.load("source").fingerprint == datasets.from_arrays("", examples, None, "").fingerprint


STORED = Path(__file__).parents[1] / "stored_run"


def test_a_run_of_an_earlier_commit_loads_samples_and_resumes(tmp_path):
    """Made at commit 83070f8, with its images and its metrics of step 12."""
    workdir = tmp_path / "run"
    shutil.copytree(STORED, workdir)
    difference = np.abs(jaxgan.load(workdir)(seed=3, num=8).astype(int) - np.load(STORED / "images.npy"))
    assert difference.max() <= 1  # out of 255: other processors round differently
    config = record.recorded_config(record.read_record(workdir))
    config.num_steps = 12
    assert jaxgan.train(config, workdir) == 0
    found = json.loads((workdir / "metrics.jsonl").read_text().splitlines()[-1])
    expected = json.loads((STORED / "goes_on.jsonl").read_text())
    assert found.keys() == expected.keys() and found["step"] == 12
    for name, value in expected.items():
        if isinstance(value, float) and name != "images_per_second":
            assert found[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name
