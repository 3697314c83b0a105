"""The evaluation protocol: compared sets, names of numbers, floors, the cache."""

import functools
import json
import shutil
from types import SimpleNamespace

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from gans import make_gan
from ml_collections import ConfigDict
from runs import assert_same_run, launch, lines, tiny_config

import jaxgan
from jaxgan import datasets, sampler
from jaxgan.config import experiment
from jaxgan.datasets import validation_rows
from jaxgan.errors import UserError
from jaxgan.evaluation import features
from jaxgan.evaluation.evaluator import Best, Evaluator, find_best, make_evaluator
from jaxgan.evaluation.naming import number_of
from jaxgan.extractors import EXTRACTORS, Extractor
from jaxgan.jobs.evaluate import _change, evaluate
from jaxgan.jobs.train import train
from jaxgan.metrics import STATISTICS
from jaxgan.metrics.memorization import nearest_training
from jaxgan.metrics.protocol import PROTOCOLS, find_protocol

SHAPE = (8, 8, 1)
NO_WEIGHTS = {"params": {}, "model_state": {}}


@functools.cache
def load(split):
    return datasets.load("digits", split, image_size=8)


class Copies(nn.Module):
    """Returns training images; z, uniform in (-1, 1), selects which."""

    @nn.compact
    def __call__(self, z, labels=None, train=False):
        images = jnp.asarray(load("train").examples)
        index = ((z[:, 0] + 1) / 2 * len(images)).astype(jnp.int32)
        return images[jnp.minimum(index, len(images) - 1)] / 127.5 - 1


class Constant(nn.Module):
    """Images of one constant value."""

    value: float

    @nn.compact
    def __call__(self, z, labels=None, train=False):
        return jnp.full((len(z), *SHAPE), self.value)


def make_evaluator_of(generator, statistics=None, protocol="500", load=load, **changes):
    gan = make_gan(latent="uniform", generator=generator)
    extractor = changes.get("extractor", EXTRACTORS["raw"](load, SHAPE))
    everything = changes.get("everything", statistics is None)
    return Evaluator(gan, load, extractor, statistics or {}, protocol, 0, everything)


def test_preset_protocols_and_a_protocol_given_by_a_number():
    assert {name: PROTOCOLS[name].num for name in ("10k", "26k", "50k")} == {
        "10k": 10_000, "26k": 26_000, "50k": 50_000
    }  # fmt: skip
    assert find_protocol("50k") == (50_000, "train", True)  # against all training examples
    assert find_protocol("123") == (123, "test", False)
    for name in ("9k", "1", "-5", "", "1e4"):
        with pytest.raises(UserError, match=r"known: 2\.5k, 10k, 25\.6k, 26k, 50k"):
            find_protocol(name)


@pytest.mark.parametrize(("split", "num"), [("test", 100), ("test", 299), ("test", 500), ("train", 1200)])
def test_real_examples_and_those_of_the_floor_are_disjoint(split, num):
    chosen, others = features.choose(load, split, num, 0)
    ((dataset, rows),) = chosen
    assert dataset is load(split) and len(set(rows)) == len(rows) == min(num, len(dataset))
    for other, more in others:
        assert len(set(more)) == len(more)
        assert other is not dataset or set(more).isdisjoint(rows)
    spare = len(load("train")) + len(load("test")) - len(rows)
    assert sum(len(more) for _, more in others) == min(num, spare)
    assert any((rows != again).any() for ((_, again),) in [features.choose(load, split, num, 1)[0]])


@pytest.mark.parametrize(("split", "num"), [("test", 100), ("test", 299), ("train", 1200)])
def test_no_extractor_has_seen_the_examples_of_its_floor(split, num):
    """An extractor was trained on the training set, with or without the validation part."""
    chosen, _ = features.choose(load, split, num, 0)
    validation = set(validation_rows(len(load("train"))))
    assert len(validation) == len(load("train")) // 6
    for unseen, allowed in (("validation", validation), ("test", set())):
        again, others = features.choose(load, split, num, 0, unseen)
        np.testing.assert_array_equal(again[0][1], chosen[0][1])
        for dataset, rows in others:
            assert dataset is load("test") or set(rows) <= allowed
            assert dataset is not chosen[0][0] or set(rows).isdisjoint(chosen[0][1])
        left = sum(len(rows) for _, rows in others)
        if split == "test":
            assert left == min(num, len(load("test")) - num + len(allowed))
        else:
            assert left >= min(num, len(load("test")))


def test_a_floor_for_a_whole_split_uses_the_other_split():
    chosen, others = features.choose(load, "train", 200, 0, whole=True)
    assert sorted(chosen[0][1]) == list(range(len(load("train"))))
    assert [(dataset, len(rows)) for dataset, rows in others] == [(load("test"), 200)]


def test_a_generator_that_repeats_its_training_set_is_found():
    """All its other metrics are as good as possible."""
    evaluator = make_evaluator_of(Copies())
    found, floor = evaluator(NO_WEIGHTS), evaluator.floor
    assert found["raw_copies_500"] == 1 and found["raw_nearer_than_test_500"] == 1
    assert found["raw_data_copying_z_500"] < -20 and found["raw_data_copying_c_t_500"] < -3
    np.testing.assert_allclose(found["raw_frechet_distance_500"], floor["raw_frechet_distance_500"], rtol=0.2)
    np.testing.assert_allclose(found["raw_precision_500"], floor["raw_precision_500"], atol=0.05)
    assert {name for name in found if name not in floor} == {
        name for name in found if "cop" in name or "nearer" in name
    }


def test_constant_images_have_the_worst_numbers():
    evaluator = make_evaluator_of(Constant(0.0))
    found, floor = evaluator(NO_WEIGHTS), evaluator.floor
    assert found["raw_frechet_distance_500"] > 10 * floor["raw_frechet_distance_500"]
    assert found["raw_recall_500"] == found["raw_coverage_500"] == found["raw_density_500"] == 0
    assert found["raw_copies_500"] == 0
    assert set(evaluator.skipped) == {
        "kernel_distance", "class_coverage", "inception_score", "mode_coverage", "ms_ssim"
    }  # fmt: skip
    assert "1000" in evaluator.skipped["kernel_distance"] and "pixels" in evaluator.skipped["ms_ssim"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_broken_fakes_are_counted_and_refused(value):
    evaluator = make_evaluator_of(Constant(value), {"frechet_distance": {}}, "70")
    with pytest.raises(UserError, match="70 of 70 fakes are NaN or infinite"):
        evaluator(NO_WEIGHTS)


def test_an_impossible_statistic_that_is_named_is_refused():
    for name, why in {
        "mode_coverage": "ring, grid",
        "kernel_distance": "1000",
        "class_coverage": "raw",
    }.items():
        with pytest.raises(UserError, match=rf"evaluation\.statistics: {name}: .*{why}"):
            make_evaluator_of(Copies(), {name: {}})


def load_swapped(split):
    """299 training and 1,498 test examples."""
    return load("test" if split == "train" else "train")


def test_there_is_no_floor_from_too_few_examples():
    """498 test and 299 training examples are left of 1,000: no floor is computed, and this is reported."""
    statistics = {"frechet_distance": {}, "kernel_distance": {"num_subsets": 2}}
    for everything in (False, True):
        evaluator = make_evaluator_of(Copies(), statistics, "1000", load_swapped, everything=everything)
        assert evaluator.protocol["num_floor"] == 0 and "kernel_distance" not in evaluator.skipped
        assert not evaluator.floor
        assert "797 real examples are left" in evaluator.no_floor and "1,000 are needed" in evaluator.no_floor
        assert "raw_kernel_distance_1k" in evaluator(NO_WEIGHTS)


def test_the_best_may_be_a_number_without_a_floor():
    """From too few examples, or from the training set."""
    statistics = {"kernel_distance": {"num_subsets": 2}, "memorization": {}}
    evaluator = make_evaluator_of(Copies(), statistics, "1000", load_swapped)
    assert not evaluator.floor
    for name in ("raw_kernel_distance_1k", "raw_copies_1k"):
        config = tiny_config(evaluation__best=name)
        assert find_best(config, evaluator, {}) == Best(name)
    with pytest.raises(UserError, match=r"best=kid_1k is none .*: raw_kernel_distance_1k, .*raw_copies_1k"):
        find_best(tiny_config(evaluation__best="kid_1k"), evaluator, {})


@pytest.mark.parametrize(("name", "best_is", "warned"), [
    ("psnr_1k", "lowest", "psnr_1k, of which higher is better: set evaluation.best_is=highest"),
    ("psnr_1k", "highest", ""),
    ("raw_frechet_distance_1k", "highest", "lower is better: set evaluation.best_is=lowest"),
    ("raw_frechet_distance_1k", "lowest", ""),
    ("ms_ssim_2_scales_1k", "highest", ""),  # neither is better by itself
])  # fmt: skip
def test_keeping_the_worst_checkpoint_is_warned_of(name, best_is, warned, caplog):
    evaluator = SimpleNamespace(floor={name: 0.0})
    config = tiny_config(evaluation__best=name, evaluation__best_is=best_is)
    with caplog.at_level("WARNING"):
        assert find_best(config, evaluator, {}) == Best(name, best_is == "highest")
    assert [warned in record.getMessage() for record in caplog.records] == [True] * bool(warned)


def test_the_nearest_training_examples_are_searched_once(monkeypatch):
    searched = []

    def search(train, features):
        searched.append(len(features))
        return nearest_training(train, features)

    monkeypatch.setattr("jaxgan.evaluation.evaluator.nearest_training", search)
    evaluator = make_evaluator_of(Copies(), protocol="300")
    for _ in range(2):
        numbers = evaluator(NO_WEIGHTS)
        fakes, neighbours, distances = evaluator.closest(5)
    assert searched == [299, 300, 300] and numbers["raw_copies_300"] == 1
    assert np.array_equal(fakes, neighbours) and not distances.any()


def test_fakes_do_not_depend_on_how_many_there_are():
    """They are also equal to the sampler's images."""
    gan = make_gan(latent="uniform", generator=Copies())
    fakes = features.Fakes(gan, EXTRACTORS["raw"](load, SHAPE), seed=3, with_examples=True)
    many, few = fakes(NO_WEIGHTS, 1030), fakes(NO_WEIGHTS, 77)
    assert many.features.shape == (1030, 64) and many.features.dtype == np.float32
    for part, whole in zip(few, many, strict=True):
        assert part is whole is None or np.array_equal(part, whole[:77])
    drawn = sampler.Sampler(gan, NO_WEIGHTS, 0, {}, NO_WEIGHTS, {})(seed=3, num=77)
    np.testing.assert_array_equal(few.examples, drawn)
    np.testing.assert_allclose(few.features, drawn.reshape(77, -1) / 255, rtol=1e-6)


def test_a_number_is_named_after_its_features_and_its_protocol():
    """Only Inception features give FID, KID and inception score."""

    def names(extractor, protocol):
        statistics = {"frechet_distance": {}, "kernel_distance": {"subset_size": 50}, "inception_score": {}}
        return set(make_evaluator_of(Copies(), statistics, protocol, extractor=extractor).floor)

    def extract(weights, images):
        features = images.reshape(len(images), -1) / 255.0
        return {"features": features, "logits": features[:, :10]}

    found = names(Extractor("inception", extract, {}, {"digest": ""}), "1000")
    score = {"inception_score_10_splits_1k", "inception_score_10_splits_std_1k"}
    assert found == {"fid_1k", "kid_1k", "kid_stderr_1k"} | score
    found = names(Extractor("other", extract, {}, {"digest": ""}), "200")
    assert all(name.startswith("other_") and name.endswith("_200") for name in found)
    assert "other_frechet_distance_200" in found and not any("fid" in name or "kid" in name for name in found)


def test_features_of_real_examples_are_kept(tmp_path, monkeypatch, caplog):
    """Until the file or anything else that they depend on changes."""
    monkeypatch.setenv("JAXGAN_CACHE_DIR", str(tmp_path))
    computed = []

    def extractor(**protocol):
        def extract(weights, images):
            computed.append(len(images))  # called once per compilation
            return {"features": images.reshape(len(images), -1) * 1.0}

        return Extractor("counted", extract, {}, {"digest": "", **protocol})

    rows, _ = features.choose(load, "test", 200, 0)
    first = features.of_real(extractor(), rows)
    np.testing.assert_array_equal(first.features, load("test").examples[rows[0][1]].reshape(200, -1))
    again = features.of_real(extractor(), rows, with_examples=True)
    assert np.array_equal(first.features, again.features) and len(computed) == 1
    assert np.array_equal(again.examples, load("test").examples[rows[0][1]])
    features.of_real(extractor(resize="other"), rows)
    features.of_real(extractor(), features.choose(load, "test", 200, 1)[0])
    assert len(computed) == 3 == len(list((tmp_path / "features").iterdir()))
    for file in (tmp_path / "features").iterdir():
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    mended = features.of_real(extractor(), rows)
    assert len(computed) == 4 and np.array_equal(mended.features, first.features)
    assert "computing these features again" in caplog.text


def test_the_protocol_contains_all_that_numbers_depend_on():
    protocol = make_evaluator_of(Copies(), {"prdc": {"density_k": 4}}, "400").protocol
    assert json.loads(json.dumps(protocol)) == protocol
    assert protocol["num_fake"] == protocol["num_floor"] == 400 and protocol["num_real"] == 299
    assert protocol["fields"] == {"prdc": {"precision_k": 3, "density_k": 4}}
    assert protocol["extractor"]["resize"] == "none" and protocol["extractor"]["value_range"] == "[0, 1]"
    assert {"jax", "flax", "numpy", "jaxgan"} == protocol["versions"].keys()


@pytest.mark.slow
def test_all_statistics_are_computed_with_the_fields_that_the_config_gives(evaluated):
    """So numbers are the same as in training. No statistic that the config names is refused."""
    config = tiny_config(
        **{**EVALUATED, "evaluation__statistics__names": ("prdc", "kernel_distance")},
        evaluation__statistics__prdc__density_k=40,
        evaluation__statistics__kernel_distance__subset_size=301,
    )
    gan, dataset = jaxgan.load(evaluated).gan, datasets.load("ring")
    with pytest.raises(UserError, match="kernel_distance: 300 real examples are too few"):
        make_evaluator(config, gan, dataset)
    everything = make_evaluator(config, gan, dataset, everything=True)
    assert everything.skipped["kernel_distance"].endswith("needs 301")
    assert everything.protocol["fields"]["prdc"] == {"precision_k": 3, "density_k": 40}
    assert everything.protocol["fields"].keys() == set(STATISTICS)
    config.evaluation.statistics.names = ("prdc",)
    config.evaluation.statistics.kernel_distance.subset_size = 1000
    named = make_evaluator(config, gan, dataset)
    assert named.floor.items() < everything.floor.items()


def test_the_best_checkpoint_is_the_first_with_the_best_number():
    low, high = Best("x"), Best("x", highest=True)
    for step, value in enumerate([3.0, 1.0, 4.0, 1.0, 4.0], 1):
        low, high = low.updated(step, {"x": value}), high.updated(step, {"x": value})
    assert (low.step, low.value, high.step, high.value) == (2, 1.0, 3, 4.0)
    assert Best().updated(1, {"x": 0.0}) == Best()


EVALUATED = {
    "dataset__name": "ring",
    "dataset__image_size": 0,
    "generator__name": "mlp",
    "generator__mlp__hidden": (8,),
    "discriminator__name": "mlp",
    "discriminator__mlp__hidden": (8,),
    "num_steps": 24,
    "eval_every": 6,
    "evaluation__protocol": "300",
    "evaluation__statistics__names": ("mode_coverage", "frechet_distance"),
    "evaluation__best": "raw_frechet_distance_300",
    "checkpoints_kept": 9,
}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("evaluated") / "run"
    assert train(tiny_config(**EVALUATED), workdir) == 0
    return workdir


def test_training_evaluates_and_keeps_the_best(evaluated):
    name = "raw_frechet_distance_300"
    found = {line["step"]: line for line in lines(evaluated) if name in line}
    assert list(found) == [6, 12, 18, 24]
    assert {"modes_300", "good_300", "reverse_kl_300"} <= found[6].keys()
    best = min(found, key=lambda step: found[step][name])
    assert jaxgan.load(evaluated, step="best").step == best
    assert {path.name for path in (evaluated / "plots").iterdir()} == {"curves.png", "mixture.png"}
    again = make_evaluator(tiny_config(**EVALUATED), jaxgan.load(evaluated).gan, datasets.load("ring"))
    np.testing.assert_allclose(again(jaxgan.load(evaluated).weights)[name], found[24][name], rtol=1e-5)


def test_a_resumed_run_evaluates_as_if_it_had_not_stopped(evaluated, tmp_path):
    """It knows the best checkpoint and keeps it, in addition to the newest one."""
    workdir = tmp_path / "run"
    shutil.copytree(evaluated, workdir)
    for path in (workdir / "checkpoints").iterdir():
        if int(path.name) > 8:
            shutil.rmtree(path)
    assert train(tiny_config(**{**EVALUATED, "checkpoints_kept": 1}), workdir) == 0
    assert_same_run(workdir, evaluated)
    best = jaxgan.load(evaluated, step="best").step
    assert jaxgan.load(workdir, step="best").step == best
    assert {int(path.name) for path in (workdir / "checkpoints").iterdir()} == {best, 24}


def test_a_run_without_a_best_checkpoint_reports_it(trained):
    with pytest.raises(UserError, match="trained without evaluation.best"):
        jaxgan.load(trained, step="best")
    with pytest.raises(UserError, match="step='newest' is not known"):
        jaxgan.load(trained, step="newest")


def test_the_best_must_be_a_number_that_is_computed(tmp_path):
    config = tiny_config(**{**EVALUATED, "evaluation__best": "fid_10k"})
    with pytest.raises(
        UserError, match=r"evaluation\.best=fid_10k .*: modes_300, .*raw_frechet_distance_300"
    ):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    config = tiny_config(**{**EVALUATED, "eval_every": 0})
    with pytest.raises(UserError, match="set eval_every"):
        train(config, tmp_path / "run")


@pytest.mark.pictures
def test_the_command_line_evaluates(trained, tmp_path):
    """A run without evaluations. Evaluating twice gives one entry."""
    workdir = tmp_path / "run"
    shutil.copytree(trained, workdir)
    done = launch(workdir, flags=["--mode=evaluate", "--protocol=150", "--extractor=raw"])
    assert done.returncode == 0, done.stderr
    assert "150 fakes against 150 real ones" in done.stdout and "raw_frechet_distance_150" in done.stdout
    changes = {"evaluation.protocol": "150", "evaluation.extractor.name": "raw"}
    for weights in ("ema", "raw"):
        assert evaluate(workdir, changes, None, weights)["weights"] == weights
    first, second = json.loads((workdir / "evaluation.json").read_text())
    assert (first["weights"], second["weights"]) == ("ema", "raw") and first["step"] == second["step"] == 20
    assert first["numbers"].keys() == second["numbers"].keys() > first["floor"].keys()
    assert first["protocol"]["extractor"]["name"] == "raw" and first["dataset"]["name"] == "digits"
    assert first["skipped"].keys() | {"frechet_distance"} <= set(STATISTICS)
    pictures = {path.name for path in (workdir / "plots").iterdir()}
    assert pictures == {"curves.png", "real_and_fake.png", "closest_pairs.png"}
    named = {"evaluation.statistics.names": ("prdc",), "evaluation.statistics.prdc.density_k": 3}
    returned = jaxgan.evaluate(workdir, changes | named)
    third = json.loads((workdir / "evaluation.json").read_text())[2]
    assert returned["numbers"] == third["numbers"]
    assert all(number_of(name) for name in first["numbers"])  # each has its meaning
    assert third["protocol"]["fields"].keys() == {"prdc"} and len(third["numbers"]) == 4
    assert third["protocol"]["fields"]["prdc"]["density_k"] == 3


def test_another_extractor_keeps_the_fields_of_the_run_s_extractor():
    own = {"name": "inception", "inception": {"weights": "F.npz"}, "classifier": {"num_steps": 5}}
    tree = {"evaluation": {"extractor": own, "statistics": {"names": ("prdc",)}}}

    def changed(**changes):
        changes = {
            f"evaluation.extractor.{name.replace('__', '.')}": value for name, value in changes.items()
        }
        return _change(ConfigDict(tree), changes).evaluation.extractor.to_dict()

    assert changed(name=None, inception__weights=None) == own
    assert changed(name="raw") == {"name": "raw"}
    given = {"name": "auto", "inception": {"weights": "G.npz"}}  # refused, because it does not fit
    assert changed(name="auto", inception__weights="G.npz") == given
    assert changed(name="inception", inception__weights="G.npz") == {
        "name": "inception",
        "inception": {"weights": "G.npz"},
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluation.protocol": "9k"}, "unknown evaluation.protocol '9k'"),
        ({"evaluation.extractor.name": "vgg"}, "unknown feature extractor 'vgg'"),
        ({"evaluation.extractor.name": "inception"}, "weights"),
        ({"dataset.name": "ring", "dataset.image_size": 0}, "'dataset.name' is none of an evaluation"),
    ],
)
def test_an_impossible_evaluation_is_refused_in_one_line(trained, changes, message):
    with pytest.raises(UserError, match=message):
        evaluate(trained, changes, None, "ema")
    assert not (trained / "evaluation.json").exists()


def test_without_a_validation_part_training_numbers_use_it():
    """The classifier is the same as for all runs, and floors use no examples from its training."""
    config = tiny_config(dataset__hold_out=True, evaluation__protocol="100")
    config.evaluation.extractor.name = "classifier"
    dataset, gan = experiment.load_dataset(config), make_gan(shape=SHAPE)
    evaluator = make_evaluator(config, gan, dataset)
    whole = make_evaluator(experiment.without_hold_out(config), gan, load("train"))
    assert evaluator.protocol["split"] == "validation" and whole.protocol["split"] == "test"
    assert evaluator.protocol["extractor"] == whole.protocol["extractor"]
    assert evaluator.floor.keys() == whole.floor.keys()
    config.evaluation.protocol = "200"  # 249 needed: 49 others are left, and the training set has no more
    assert "49 real examples are left" in make_evaluator(config, gan, dataset).no_floor
