"""Conditional runs: train, resume, stream, load, sample a class, evaluate."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from runs import assert_same_run, leaves, tiny_config
from scipy.optimize import linear_sum_assignment
from translators import BOTH_WAYS, configure

import jaxgan
from jaxgan import datasets
from jaxgan.config.condition_checks import require_labels, require_parts
from jaxgan.errors import UserError
from jaxgan.jobs.sample import sample
from jaxgan.jobs.train import train
from jaxgan.sampler import Sampler, latents

LABELS = {"condition__name": "labels", "num_steps": 8, "checkpoint_every": 4, "sample_every": 8}

CODES = {
    "condition__name": "codes",
    "condition__codes__categorical": (10, 3),
    "condition__codes__continuous": 1,
    "regularizers__information__weight": 1.0,
    "num_steps": 8,
    "checkpoint_every": 4,
    "sample_every": 8,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The workdir of a finished conditional run."""
    workdir = tmp_path_factory.mktemp("conditional") / "run"
    assert train(tiny_config(**LABELS), workdir) == 0
    return workdir


def test_a_stopped_and_a_streamed_run_are_the_same(run, tmp_path):
    assert train(tiny_config(**LABELS | {"num_steps": 4}), tmp_path / "run") == 0
    streamed = tiny_config(**LABELS, dataset__max_device_bytes=1)
    assert train(streamed, tmp_path / "run") == 0
    (step, found), (_, expected) = leaves(tmp_path / "run"), leaves(run)
    assert step == 8 and found.keys() == expected.keys()
    for path, leaf in expected.items():
        if path.startswith("['hyper']['schedule']"):  # its length is that of the first start
            continue
        np.testing.assert_allclose(found[path], leaf, rtol=1e-4, atol=1e-6, err_msg=path)
    assert "['ema']['params']['label_embedding']['embedding']" in expected


@pytest.fixture(scope="module")
def informed(tmp_path_factory):
    """The workdir of a finished run with codes."""
    workdir = tmp_path_factory.mktemp("informed") / "run"
    assert train(tiny_config(**CODES), workdir) == 0
    return workdir


def test_a_run_with_codes_goes_on_with_the_same_bits(informed, tmp_path):
    """From the checkpoint of step 4, the only one of the copy."""
    shutil.copytree(informed, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "8")
    assert leaves(tmp_path / "run")[0] == 4
    assert train(tiny_config(**CODES), tmp_path / "run") == 0
    assert_same_run(tmp_path / "run", informed)
    assert "['discriminator']['params']['head_information']['kernel']" in str(leaves(informed)[1].keys())


def test_an_evaluation_measures_codes_on_fakes_and_against_the_classes_of_real_examples(informed, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(informed, workdir)
    fields = {
        "evaluation.protocol": "400",
        "evaluation.extractor.name": "raw",
        "evaluation.statistics.names": ("frechet_distance",),
    }
    numbers = jaxgan.evaluate(workdir, fields)["numbers"]
    assert json.loads((workdir / "evaluation.json").read_text())[-1]["numbers"] == numbers
    data, sampler = datasets.load("digits", split="test", image_size=8), jaxgan.load(workdir)
    num = len(data)  # fewer than the protocol asks for, so that all are used
    found = {name: value for name, value in numbers.items() if name.startswith("code_")}
    informations = {f"code_information_{i}_2k": bound for i, bound in enumerate(np.log([10, 3, np.inf]))}
    assert found.keys() == {f"code_purity_{num}", f"code_nmi_{num}", f"code_evenness_{num}", *informations}
    for name, bound in informations.items():
        assert np.isfinite(found[name]) and found[name] <= bound
    said = sampler.posterior(data.examples).categorical[0].argmax(axis=1)
    counts = np.array([[np.sum((said == c) & (data.labels == k)) for k in range(10)] for c in range(10)])
    pairs = linear_sum_assignment(-counts)
    assert found[f"code_purity_{num}"] == counts[pairs].sum() / num
    assert 0 <= found[f"code_nmi_{num}"] <= 1 and 0 <= found[f"code_evenness_{num}"] <= 1
    assert 0.1 <= found[f"code_purity_{num}"] <= 1


def test_samples_of_a_class(run):
    sampler = jaxgan.load(run)
    sevens, mixed = sampler(seed=1, num=70, labels=7), sampler(seed=1, num=70, labels=[7, "3"])
    assert np.array_equal(sevens[::2], mixed[::2]) and not np.array_equal(sevens[1::2], mixed[1::2])
    assert np.array_equal(sampler(seed=1, num=5, labels=7), sevens[:5])
    z = np.asarray(latents(sampler.gan, np.uint32(1), np.int32(0)))[:5]
    for label in (np.full(5, 7), 7, "7", ["7"] * 5, [7, "7", 7, 7, "7"], np.eye(10)[[7] * 5]):
        assert np.array_equal(sampler.decode(z, label), sevens[:5])
    named = Sampler(**vars(sampler) | {"dataset": sampler.dataset | {"class_names": [*"abcdefghij"]}})
    for label in ("h", ["h"], np.array([*"hhhhh"])):
        assert np.array_equal(named.decode(z, label), sevens[:5])
    for label in ("z", [*"hhzhh"], ["h", "h"], [7, 7], 10, [*"hhhhhh"], None, [["h"] * 10] * 5):
        with pytest.raises(UserError, match="label") as error:
            named.decode(z, label)
        assert "\n" not in str(error.value) and len(str(error.value)) < 120
    assert np.array_equal(sampler(seed=1, num=70)[:9], sampler(seed=1, num=9))
    with pytest.raises(UserError, match="label 10 is none of the data's: 0, 1, 2"):
        sampler(labels=10)
    with pytest.raises(UserError, match="labels"):
        sampler.decode(z)


def test_interpolations_between_classes_fix_z_and_those_between_latents_fix_the_class(run):
    sampler = jaxgan.load(run)
    ends = [sampler(seed=2, num=3, labels=[1, 8, 1]), sampler(seed=2, num=3, labels=[8, 1, 8])]
    way = sampler.interpolate_classes(seed=2, steps=4, pairs=3, labels=[1, 8])
    assert np.array_equal(way[0::4], ends[0]) and np.array_equal(way[3::4], ends[1])
    way = sampler.interpolate(seed=2, steps=4, pairs=2, labels=[1, 8])
    images = [sampler(seed=2, num=4, labels=label) for label in (1, 8)]
    assert np.abs(way[0].astype(int) - images[0][0]).max() <= 1
    assert np.abs(way[7].astype(int) - images[1][3]).max() <= 1


def test_grids_have_a_row_for_each_class(run, tmp_path):
    with Image.open(run / "samples" / "step_00000008.png") as picture:
        grid = np.asarray(picture.convert("L"))
    zoom = round(448 / (10 * 8))
    assert grid.shape == (24 + 2 + 10 * (8 * zoom + 2), 2 + 8 * (8 * zoom + 2))
    top = 24 + 2 + 7 * (8 * zoom + 2)
    shown = grid[top : top + 8 * zoom : zoom, 2 : 2 + 8 * zoom : zoom]
    assert np.array_equal(shown, jaxgan.load(run)(num=1, labels=7)[0, :, :, 0])
    assert sample(run, 3, tmp_path / "some.npz", 4, None, "ema", ["7", "3"]) == 0
    with np.load(tmp_path / "some.npz") as file:
        assert np.array_equal(file["images"], jaxgan.load(run)(seed=4, num=3, labels=[7, 3]))
    assert (run / "interpolation_of_classes.png").exists()
    with Image.open(run / "grid.png") as picture:
        assert picture.height < picture.width  # two rows


def test_the_record_has_the_classes_only_for_conditional_runs(run, trained):
    record = json.loads((run / "config.json").read_text())
    assert record["dataset"]["classes"] == list(range(10)) and len(record["dataset"]["class_names"]) == 10
    assert record["config"]["condition"]["name"] == "labels"
    other = json.loads((trained / "config.json").read_text())
    assert "condition" not in other["config"] and "classes" not in other["dataset"]
    with pytest.raises(UserError, match="takes none: it was trained without them"):
        jaxgan.load(trained)(labels=7)


@pytest.mark.parametrize("name", ["digits", "styled_digits"])
def test_data_of_one_set_are_not_translated_to_themselves(name):
    one = datasets.load("digits", image_size=8)
    config = configure(**BOTH_WAYS)
    require_parts(config, dataclasses.replace(one, partner=one))
    config.dataset.name = name
    remedy = {"digits": "dataset.name=unpaired", "styled_digits": "styled_digits.form=domains"}[name]
    with pytest.raises(UserError, match=f"between two sets of pictures, and 'digits' has one: .*{remedy}"):
        require_parts(config, one)
    with pytest.raises(UserError, match="condition.name=labels needs labels"):
        require_parts(tiny_config(condition__name="labels"), dataclasses.replace(one, labels=None))


def test_hidden_or_missing_labels_are_refused():
    data = datasets.load("digits", image_size=8)
    config = tiny_config(condition__name="labels")
    require_labels(config, data)
    with pytest.raises(UserError, match="condition.name=labels needs labels, and 'digits' has none"):
        require_labels(config, dataclasses.replace(data, labels=None))
    hidden = np.where(np.arange(len(data)) < 3, -1, data.labels)
    with pytest.raises(UserError, match=r"but 3 of \d+ labels of 'digits' are below 0"):
        require_labels(config, dataclasses.replace(data, labels=hidden))
    with pytest.raises(UserError, match="class_balance=weights, but labels of 'digits' are below 0"):
        require_labels(tiny_config(class_balance="weights"), dataclasses.replace(data, labels=hidden))
    sparse = np.where(np.arange(len(data)) < 3, 10**8, data.labels)
    with pytest.raises(UserError, match="reach up to 100000000.*number the classes from 0"):
        require_labels(config, dataclasses.replace(data, labels=sparse))
    require_labels(config, dataclasses.replace(data, labels=100 * data.labels))


def test_init_from_copies_what_fits_and_reports_the_rest(tmp_path, capsys):
    """From an auxiliary classifier to multi-hinge: trunk and generator are copied, the head is new."""
    common = {
        "condition__name": "labels",
        "condition__labels__discriminator": "none",
        "generator_optimizer__adam__learning_rate": 0.0,
        "discriminator_optimizer__adam__learning_rate": 0.0,
        "num_steps": 1,
    }
    assert train(tiny_config(**common, regularizers__ac__weight=1.0), tmp_path / "ac") == 0
    assert "init_from=" not in capsys.readouterr().out
    other = tiny_config(
        **common, seed=5, init_from=str(tmp_path / "ac"), regularizers__multi_hinge__weight=1.0
    )
    assert train(other, tmp_path / "mh") == 0
    said = capsys.readouterr().out
    assert "left there discriminator/head_ac/kernel" in said
    assert "new here discriminator/head_multi_hinge/kernel" in said
    (_, old), (_, new) = leaves(tmp_path / "ac"), leaves(tmp_path / "mh")
    weights = [path for path in old if "['params']" in path and "opt_state" not in path]
    shared = [path for path in weights if "head_" not in path]
    assert len(shared) > 6 and all(np.array_equal(new[path], old[path]) for path in shared)
    assert not any("head_ac" in path for path in new)


def test_an_evaluation_uses_the_labels_of_the_real_examples(run, tmp_path):
    """Uses a copy of the run. The classifier has hardly been trained, which does not matter here."""
    workdir = tmp_path / "run"
    shutil.copytree(run, workdir)
    fields = {
        "evaluation.protocol": "100",
        "evaluation.extractor.name": "classifier",
        "evaluation.extractor.classifier.num_steps": 20,
        "evaluation.statistics.names": ("class_accuracy", "intra_class_distance"),
    }
    numbers = jaxgan.evaluate(workdir, fields)["numbers"]
    names = {name.removeprefix("weak_").removeprefix("classifier_") for name in numbers}
    assert names == {
        "class_accuracy_100", "intra_class_distance_100", "intra_class_distance_worst_100",
        "intra_class_fakes_100", "discriminator_class_accuracy_100",
    }  # fmt: skip
    assert all(0 <= value <= 1 for name, value in numbers.items() if "accuracy" in name)
    entry = json.loads((workdir / "evaluation.json").read_text())[-1]
    assert any("class_accuracy" in name for name in entry["floor"])
    data = datasets.load("digits", split="test", image_size=8)
    evaluator_labels = np.bincount(data.labels, minlength=10)
    assert 2 <= numbers[next(n for n in numbers if "intra_class_fakes" in n)] <= evaluator_labels.max()
