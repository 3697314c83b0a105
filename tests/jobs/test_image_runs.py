"""A run whose generator is given images: train, stop, stream, load without its data, translate, sheets."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from runs import leaves, lines, tiny_config
from translators import BOTH_WAYS, image_fields

import jaxgan
from jaxgan import datasets
from jaxgan.config import checks
from jaxgan.config.recorded import get_config
from jaxgan.errors import UserError
from jaxgan.jobs.evaluate import evaluate
from jaxgan.jobs.sample import sample
from jaxgan.jobs.train import train
from jaxgan.jobs.translate import translate
from jaxgan.metrics.restoration import mean_psnr
from jaxgan.run.record import recorded_config
from jaxgan.sampler.kept import NUM, read
from jaxgan.sweeps.plan import make_plan
from jaxgan.sweeps.sweep import Options, sweep

RUN = {"batch_size": 16, "num_steps": 8, "checkpoint_every": 4, "sample_every": 8, "task.name": "inpainting"}


def configure(**changes):
    return tiny_config(**image_fields(RUN | changes))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The workdir of a finished run of inpainting: holes of 4×4 in the digits' middle."""
    workdir = tmp_path_factory.mktemp("images") / "run"
    assert train(configure(), workdir) == 0
    return workdir


def test_a_stopped_and_a_streamed_run_are_the_same(run, tmp_path):
    assert train(configure(num_steps=4), tmp_path / "run") == 0
    kept = (tmp_path / "run" / "kept.npz").read_bytes()
    assert train(configure(**{"dataset.max_device_bytes": 1}), tmp_path / "run") == 0
    (step, found), (_, expected) = leaves(tmp_path / "run"), leaves(run)
    assert step == 8 and found.keys() == expected.keys()
    for path, leaf in expected.items():
        if "['schedule']" in path:  # as long as the first start
            continue
        np.testing.assert_allclose(found[path], leaf, rtol=1e-4, atol=1e-6, err_msg=path)
    assert (tmp_path / "run" / "kept.npz").read_bytes() == kept


def test_the_sampler_translates_what_is_given_and_what_the_run_has_kept(run):
    sampler = jaxgan.load(run)
    kept = read(run).examples
    assert kept.shape == (NUM, 8, 8, 1) and kept.dtype == np.uint8
    made = sampler(num=NUM + 2)
    assert np.array_equal(made[:2], made[NUM:])  # in turn
    holes = np.zeros((NUM, 8, 8), bool)
    holes[:, 2:6, 2:6] = True
    translated = sampler.translate(kept, holes)
    assert translated.dtype == np.uint8 and np.abs(translated.astype(int) - made[:NUM]).max() <= 1
    other = kept.copy()
    other[holes] = 200
    assert np.array_equal(sampler.translate(other, holes), translated)  # what is in a hole does not count
    alone = sampler.translate(kept[3:4], holes[3:4])
    assert np.array_equal(alone, translated[3:4]) and len(sampler.translate(kept[:0], holes[:0])) == 0
    assert np.array_equal(translated[~holes], kept[~holes]) and not np.array_equal(translated, kept)
    floats = sampler.translate(kept / 127.5 - 1, holes)
    assert np.array_equal(np.round((floats + 1) * 127.5).astype(np.uint8), translated)
    large = np.repeat(kept, 3, axis=2)
    assert sampler.translate(large, np.repeat(holes, 3, axis=2)).shape == (NUM, 8, 24, 1)


@pytest.mark.parametrize(("images", "holes", "message"), [
    (np.zeros((2, 8, 8, 3), np.uint8), None, r"give \[N, h, w, 2\], or \[N, h, w, 1\] and holes"),
    (np.zeros((2, 8, 8, 1), int), np.zeros((2, 8, 8), bool), "give uint8, or floats in"),
    (np.zeros((2, 8, 8, 1), np.uint8), np.zeros((2, 4, 4), bool), r"give bool \[2, 8, 8\]"),
    (np.zeros((2, 8, 8, 2), np.uint8), None, r"no colour: give \[N, h, w, 1\] and holes"),
    (np.full((2, 8, 8, 1), 255.0), np.zeros((2, 8, 8), bool), "values from 255 to 255: give uint8"),
    (np.full((2, 8, 8, 1), 1e300), np.zeros((2, 8, 8), bool), "NaN or infinite"),
])  # fmt: skip
def test_other_images_are_refused(run, images, holes, message):
    with pytest.raises(UserError, match=message):
        jaxgan.load(run).translate(images, holes)


def test_sheets_show_what_is_given_made_and_wanted(run):
    with Image.open(run / "samples" / "step_00000008.png") as picture:
        grid = np.asarray(picture.convert("L"))
    zoom = round(448 / (8 * 8))
    kept, made = read(run).examples, jaxgan.load(run)(num=NUM)

    def shown(row):
        top = 24 + 2 + row * (8 * zoom + 2)
        return grid[top : top + 8 * zoom : zoom, 2 : 2 + 8 * zoom : zoom]

    given = kept[0, :, :, 0].copy()
    given[2:6, 2:6] = 128
    for row, wanted in enumerate((given, made[0, :, :, 0], kept[0, :, :, 0])):
        assert np.abs(shown(row).astype(int) - wanted).max() <= 1
    assert sample(run, 3, None, 0, None, "ema") == 0
    with np.load(run / "samples.npz") as file:
        assert np.array_equal(file["images"], made[:3])
    assert (run / "grid.png").exists() and not (run / "interpolation.png").exists()
    assert (run / "plots" / "before_and_after.png").exists()


def test_the_checkpoint_with_the_best_number_of_the_validation_part_translates(tmp_path):
    """PSNR of digits that are neither trained on nor in the test set."""
    evaluated = {
        "dataset.hold_out": True,
        "eval_every": 2,
        "checkpoint_every": 2,
        "checkpoints_kept": 4,
        "evaluation.protocol": "60",
        "ema_decay": 0.0,
        "generator_optimizer.adam.learning_rate": 0.3,
        "evaluation.extractor.name": "raw",
        "evaluation.statistics.names": ("psnr",),
        "evaluation.best": "psnr_60",
        "evaluation.best_is": "highest",
    }  # with such a rate the last is not the best
    workdir, pictures = tmp_path / "run", tmp_path / "pictures"
    assert train(configure(**evaluated), workdir) == 0
    found = {line["step"]: line["psnr_60"] for line in lines(workdir) if "psnr_60" in line}
    best, worst = max(found, key=found.get), min(found, key=found.get)
    assert [*found] == [2, 4, 6, 8] and jaxgan.load(workdir, step="best").step == best
    pictures.mkdir()
    holes = np.full((8, 8), 255, np.uint8)
    holes[2:6, 2:6] = 0
    digit = read(workdir).examples[0, :, :, 0]
    Image.merge("LA", [Image.fromarray(digit), Image.fromarray(holes)]).save(pictures / "a.png")
    made = {}
    for step in ("best", best, worst):
        assert translate(workdir, pictures, tmp_path / f"{step}", step, "ema", 0, "AtoB") == 0
        made[step] = (tmp_path / f"{step}" / "a.png").read_bytes()
    assert made["best"] == made[best] != made[worst]


def test_the_record_knows_the_task_and_that_of_others_is_as_before(run, trained):
    record = json.loads((run / "config.json").read_text())
    assert record["config"]["task"]["name"] == "inpainting"
    checks.check(recorded_config(record))  # it has no fields of what is not used
    other = json.loads((trained / "config.json").read_text())["config"]
    assert "task" not in other and "image_pool" not in other


@pytest.mark.slow
def test_the_features_of_a_classifier_are_a_term(tmp_path):
    """The mean difference of its features; without the data the generator is loaded all the same."""
    fields = {"regularizers.l1.weight": 0.0, "regularizers.classifier_content.weight": 1.0}
    config = configure(**fields, num_steps=4)
    assert train(config, tmp_path / "run") == 0
    assert lines(tmp_path / "run")[-1]["generator/classifier_content"] > 0
    sampler = jaxgan.load(tmp_path / "run")
    assert sampler.gan.features is None and sampler(num=2).shape == (2, 8, 8, 1)


def test_both_translations_of_domains_are_compared_with_the_hidden_pairs(tmp_path):
    """G(a) with the outline of a, F(b) with the digit of b, for the test digits that the run did not see."""
    of = {"digits": "digits", "form": "domains"}
    fields = {f"dataset.styled_digits.{name}": value for name, value in of.items()}
    fields |= BOTH_WAYS | {"dataset.name": "styled_digits", "sample_every": 0, "num_steps": 4}
    assert train(configure(**fields), tmp_path / "run") == 0
    test = datasets.load("styled_digits", "test", **of)
    digits, outlines = (datasets.take(side.examples, np.arange(299)) for side in (test, test.partner))
    sampler = jaxgan.load(tmp_path / "run")

    def measure(direction, given, true, names, **extractor):
        changes = {"statistics.names": names, "protocol": "299", "direction": direction}
        changes |= {f"extractor.{name}": value for name, value in extractor.items()}
        changes = {f"evaluation.{name}": value for name, value in changes.items()}
        entry = evaluate(tmp_path / "run", changes, None, "ema")
        expected = mean_psnr(sampler.translate(given, direction=direction), true)["psnr"]
        assert entry["numbers"]["psnr_299"] == pytest.approx(expected, abs=0.02)
        assert entry["baselines"]["input"]["psnr_299"] == pytest.approx(mean_psnr(given, true)["psnr"])
        return entry

    there = measure("AtoB", digits, outlines, ("psnr",), name="raw")
    short = {"name": "classifier", "classifier.num_steps": 40}
    back = measure("BtoA", outlines, digits, ("psnr", "class_accuracy"), **short)
    assert abs(there["numbers"]["psnr_299"] - back["numbers"]["psnr_299"]) > 0.1
    assert "direction" not in there["protocol"] and back["protocol"]["direction"] == "BtoA"
    assert any("class_accuracy" in name for name in back["numbers"])


@pytest.mark.slow
def test_each_member_of_a_population_has_the_pool_of_a_separate_run(exact, tmp_path):
    of = {"digits": "digits", "form": "domains"}
    fields = {f"dataset.styled_digits.{name}": value for name, value in of.items()}
    fields |= BOTH_WAYS | {"dataset.name": "styled_digits", "sample_every": 0, "num_steps": 4}
    made = make_plan(configure(**fields), ["seed=0:2"])
    for how in ("map", "off"):
        assert sweep(made, tmp_path / how, Options(population=how)) == 0
    for run in made.runs:
        (_, found), (_, expected) = (leaves(tmp_path / how / "runs" / run.name) for how in ("map", "off"))
        assert found["['extras']['discriminator']['pool']['images']"].any()
        assert found.keys() == expected.keys()
        assert all(found[path].tobytes() == leaf.tobytes() for path, leaf in expected.items())


def test_a_run_with_one_way_has_no_other_direction_to_measure(run, trained):
    for workdir in (run, trained):
        with pytest.raises(UserError, match="measured, and only a run on unpaired pictures .* leave it out"):
            evaluate(workdir, {"evaluation.direction": "BtoA"}, None, "ema")


def test_a_run_from_before_keep_keeps_nothing(run, tmp_path):
    record = json.loads((run / "config.json").read_text())
    assert record["config"]["task"]["inpainting"].pop("keep") is True
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text(json.dumps(record))
    kept, holes = read(run).examples, np.zeros((NUM, 8, 8), bool)
    holes[:, 2:6, 2:6] = True
    then, now = (jaxgan.load(path).translate(kept, holes) for path in (tmp_path / "run", run))
    assert np.array_equal(then[holes], now[holes]) and not np.array_equal(then[~holes], kept[~holes])
    assert get_config(str(tmp_path / "run" / "config.json")).task.inpainting.keep is False
    with pytest.raises(UserError, match=r"task.inpainting.keep \(was False, now True\)"):
        train(configure(num_steps=9), tmp_path / "run")
