"""Every config, in every variant of its docstring, is built and trained for two steps."""

import ast
import importlib.util
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs import default
from jaxgan.config import fields
from jaxgan.jobs.train import train

ROOT = Path(__file__).parents[2]
FILES = sorted(path for path in (ROOT / "configs").glob("*.py") if path.stem not in ("__init__", "default"))
COMMAND = re.compile(r"^python launch\.py --config=configs/(\w+)\.py(?::([\w,]+))?(?= |$)", re.MULTILINE)


# Always tested. The others share networks and losses with these and are marked slow.
QUICK = {
    ("dcgan_mnist", ""),
    ("faces", ""),
    ("gan_ring", ""),
    ("mlp_mnist", "small"),
}


def commands(file):
    """(config, variant) of each command in the docstring of the file."""
    return COMMAND.findall(ast.get_docstring(ast.parse(file.read_text())) or "")


def get_config(file, variant):
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(*([variant] if variant else []))


@pytest.fixture(autouse=True)
def cache_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXGAN_CACHE_DIR", str(tmp_path / "cache"))


def at_hand(dataset, folder):
    """Replaces large data and data of the user by small data of the same shape."""
    random = np.random.default_rng(0)
    if dataset.name == "mnist":
        dataset.name, dataset.fallback = "digits", ""
    elif dataset.name == "array":
        np.save(folder / "images.npy", random.integers(0, 256, (20, 60, 50), np.uint8))
        dataset.path = str(folder / "images.npy")
    elif dataset.name == "tfds/cifar10":
        images, labels = random.integers(0, 256, (40, 32, 32, 3), np.uint8), np.arange(40) % 10
        np.savez(folder / "images.npz", images=images, labels=labels)
        dataset.name, dataset.path = "array", str(folder / "images.npz")
    elif dataset.name == "images":
        for i in range(20):
            pixels = random.integers(0, 256, (50, 40, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.png")
        dataset.path = str(folder)
    elif dataset.name == "stacked_mnist":
        dataset.stacked_mnist.digits = "digits"
        dataset.stacked_mnist.num_triples = min(dataset.stacked_mnist.num_triples, 100)
    elif dataset.name == "styled_digits":
        dataset.styled_digits.digits = "digits"
    elif dataset.name in ("paired", "unpaired"):
        for part in ("A", "B", "trainA", "trainB"):
            (folder / "pictures" / part).mkdir(parents=True, exist_ok=True)
            for i in range(12):
                pixels = random.integers(0, 256, (50, 50, 3), np.uint8)
                Image.fromarray(pixels).save(folder / "pictures" / part / f"{i}.png")
        dataset.path = str(folder / "pictures")
    elif dataset.name in ("ring", "grid"):
        dataset[dataset.name].num_points = 1000


def narrow(network):
    """Limits the width, for two cores."""
    section = network[network.name]
    section.update({field: min(section[field], 16) for field in ("width",) if field in section})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_docstring_of_a_config_starts_with_its_command(file):
    assert commands(file)
    assert {name for name, _ in commands(file)} == {file.stem}
    lines = ast.get_docstring(ast.parse(file.read_text())).splitlines()
    assert lines[1] == ""
    assert lines[2].startswith("python launch.py")


@pytest.mark.parametrize(
    ("file", "variant"),
    [
        pytest.param(file, v, marks=[pytest.mark.slow] * ((file.stem, v) not in QUICK))
        for file in FILES
        if "SETTINGS =" not in file.read_text()
        for _, v in commands(file)
    ],
    ids=lambda value: value.stem if isinstance(value, Path) else value or "default",
)
def test_a_config_trains(file, variant, tmp_path):
    config = get_config(file, variant)
    known = default.get_config()
    assert fields.flatten(config.to_dict()).keys() == fields.flatten(known.to_dict()).keys()
    at_hand(config.dataset, tmp_path)
    config.num_steps, config.batch_size, config.log_every, config.eval_every = 2, 8, 1, 0
    narrow(config.generator)
    narrow(config.discriminator)
    config.num_devices = 1  # a program for eight devices takes longer to compile and has the same step

    assert train(config, tmp_path / "run") == 0

    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert all(math.isfinite(v) for line in lines for v in line.values() if isinstance(v, float))
    assert (tmp_path / "run" / "samples" / "step_00000002.png").exists()


@pytest.mark.parametrize(
    "file", [file for file in FILES if any(v for _, v in commands(file))], ids=lambda f: f.stem
)
def test_an_unknown_variant_is_refused_with_the_known_ones(file):
    with pytest.raises(ValueError, match="not 'nonsense'") as error:
        get_config(file, "nonsense")
    for _, variant in commands(file):
        assert variant.partition(",")[0] in str(error.value)
