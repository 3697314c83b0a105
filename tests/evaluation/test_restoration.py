"""Restored images against the true ones, beside simple methods; what is given is the same every time."""

import dataclasses
import functools

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from gans import make_gan

from jaxgan import datasets
from jaxgan.algorithm.conditions import CONDITIONS
from jaxgan.datasets import from_arrays, take
from jaxgan.errors import UserError
from jaxgan.evaluation.evaluator import Evaluator
from jaxgan.evaluation.naming import number_of
from jaxgan.evaluation.restoration import BATCH, degrade, restoration_scores, restore, targets_of
from jaxgan.extractors import EXTRACTORS
from jaxgan.metrics.restoration import psnr, ssim
from jaxgan.tasks import TASKS


@functools.cache
def load(split, size=16):
    return datasets.load("digits", split, image_size=size)


def twice(images):
    """Each pixel as 2 x 2."""
    return jnp.repeat(jnp.repeat(images, 2, axis=1), 2, axis=2)


def test_a_translator_like_a_baseline_has_its_numbers():
    """Enlarging by repeated pixels is `nearest`; and PSNR and SSIM are those of the images themselves."""
    task = TASKS["super_resolution"](factor=2)
    scores = restoration_scores(
        twice, load("test"), task, num=70, extractor=EXTRACTORS["raw"](load, (16, 16, 1))
    )
    assert scores.numbers == scores.baselines["nearest"]
    assert scores.numbers.keys() == {"psnr_70", "ssim_70", "raw_frechet_distance_70"}
    assert scores.baselines["bicubic"]["psnr_70"] > scores.baselines["nearest"]["psnr_70"] > 10
    assert [number_of(name).arrow for name in scores.numbers] == ["↑", "↑", "↓"]
    assert scores.protocol["task"] == {"name": "SuperResolution", "factor": 2, "reduction": "bicubic"}

    rows = np.arange(70)
    degraded = degrade(task, load("test"), rows)
    np.testing.assert_array_equal(degraded.truth, load("test").examples[:70])
    restored = restore(twice, degraded.given)
    small = np.round((degraded.given + 1) * 127.5).astype(np.uint8)
    np.testing.assert_array_equal(restored, small.repeat(2, axis=1).repeat(2, axis=2))
    assert psnr(restored, degraded.truth).shape == ssim(restored, degraded.truth).shape == (70,)


def test_what_is_given_does_not_depend_on_how_many_are_asked_for():
    task = TASKS["inpainting"](holes="boxes")
    all_ = degrade(task, load("test"), np.arange(80), seed=4)
    few = degrade(task, load("test"), np.array([79, 3]), seed=4)
    np.testing.assert_array_equal(few.given, all_.given[[79, 3]])
    np.testing.assert_array_equal(few.holes, all_.given[[79, 3], ..., 1] == 1)
    np.testing.assert_array_equal(few.labels, load("test").labels[[79, 3]])
    assert (degrade(task, load("test"), np.arange(80), seed=5).holes != all_.holes).any()


def test_a_perfect_translator_reaches_the_best_numbers():
    """Of pairs (a, a), by the identity: as good as the true images, by a real classifier, too."""
    digits = load("test", 12)
    twin = from_arrays("twins", digits.examples.repeat(2, axis=-1), digits.labels, "digits, twice")
    classifier = EXTRACTORS["classifier"](lambda split: load(split, 12), (12, 12, 1), num_steps=40)
    told = dict(num=100, extractor=classifier, classes=tuple(range(10)))
    scores = restoration_scores(lambda images: images, twin, TASKS["paired"](), **told)
    accuracy, distance = (f"{classifier.name}_{key}_100" for key in ("class_accuracy", "frechet_distance"))
    assert scores.numbers["psnr_100"] == 100 and scores.numbers["ssim_100"] == pytest.approx(1)
    assert abs(scores.numbers[distance]) < 1e-3
    assert scores.numbers[accuracy] == scores.baselines["truth"][accuracy] > 0.3
    assert scores.baselines["input"] == scores.numbers

    black = restoration_scores(lambda images: 0 * images - 1, twin, TASKS["paired"](), **told)
    assert black.numbers[accuracy] < scores.numbers[accuracy] and black.numbers[distance] > 1
    assert black.numbers["psnr_100"] < 20


def test_holes_have_numbers_of_their_own():
    """The known pixels are right, so the hole is worse than the whole; the nearest example is a baseline."""
    task = TASKS["inpainting"](side=8)
    scores = restoration_scores(lambda given: given[..., :-1], load("test"), task, 50, train=load("train"))
    assert scores.numbers.keys() == {"psnr_50", "psnr_hole_50", "ssim_50", "ssim_hole_50"}
    for numbers in (scores.numbers, *scores.baselines.values()):
        assert numbers["psnr_50"] == pytest.approx(numbers["psnr_hole_50"] + 10 * np.log10(4), abs=0.01)
    assert scores.baselines.keys() == {"mean", "nearest", "example"}
    psnrs = {name: numbers["psnr_hole_50"] for name, numbers in scores.baselines.items()}
    assert psnrs["example"] > max(psnrs["mean"], psnrs["nearest"], scores.numbers["psnr_hole_50"])
    assert number_of("psnr_hole_50").arrow == "↑"


def test_batches_have_always_the_same_size():
    sizes = []

    def translate(images):
        sizes.append(len(images))
        return images

    assert restore(translate, np.zeros((BATCH + 3, 4, 4, 1), np.float32)).shape == (BATCH + 3, 4, 4, 1)
    assert sizes == [BATCH, BATCH]


def test_small_images_have_no_ssim_and_bad_translators_are_told():
    small = datasets.load("digits", "test")
    scores = restoration_scores(lambda images: images, small, TASKS["denoising"](), 20)
    assert scores.numbers.keys() == {"psnr_20"} and scores.protocol["num"] == 20
    assert scores.numbers == scores.baselines["input"]
    with pytest.raises(UserError, match="NaN or infinite"):
        restoration_scores(lambda images: images * np.nan, small, TASKS["denoising"](), 20)
    with pytest.raises(UserError, match="unpaired pictures have no true translations"):
        restoration_scores(lambda images: images, small, TASKS["unpaired"](), 20)
    with pytest.raises(UserError, match="needs images of 3 channels"):
        degrade(TASKS["colouring"](), small, np.arange(2))


# --- The evaluator of a run with a task -----------------------------------------------------------------


class Doubles(nn.Module):
    """A generator that repeats each given pixel as 2 x 2."""

    @nn.compact
    def __call__(self, z, image=None, train=False):
        return twice(image)


class Same(nn.Module):
    """A generator that gives back what it is given."""

    @nn.compact
    def __call__(self, z, image=None, train=False):
        return image


def evaluator_of(generator, task, statistics, data=load, num=60, shape=(16, 16, 1), extractor=None):
    """Of a GAN with this generator, and its data as the run stores it."""
    condition = CONDITIONS["image"]((), task, shape)
    gan = make_gan(shape=condition.shape, generator=generator, condition=condition, stored_shape=shape)
    targets = lambda split: targets_of(task, data(split))  # noqa: E731
    extractor = extractor or EXTRACTORS["raw"](targets, targets("train").shape)
    fields = {name: {} for name in statistics}
    return Evaluator(gan, targets, extractor, fields, str(num), 0, not statistics, stored=data)


NO_WEIGHTS = {"params": {}, "model_state": {}}


def test_an_evaluator_restores_the_examples_that_it_compares_with():
    task = TASKS["super_resolution"](factor=2)
    evaluator = evaluator_of(Doubles(), task, ("psnr", "ssim", "frechet_distance"))
    alone = restoration_scores(twice, load("test"), task, 60, extractor=EXTRACTORS["raw"](load, (16, 16, 1)))
    assert evaluator(NO_WEIGHTS) == pytest.approx(alone.numbers, rel=1e-5)
    assert evaluator.names() == ["psnr_60", "ssim_60", "raw_frechet_distance_60"]
    assert evaluator.floor.keys() == {"raw_frechet_distance_60"}
    baselines = evaluator.baselines()
    assert baselines.keys() == {"bicubic", "nearest"}
    assert baselines["nearest"] == pytest.approx(alone.numbers, rel=1e-5)
    assert baselines["bicubic"] == pytest.approx(alone.baselines["bicubic"], rel=1e-5)


def test_no_more_fakes_than_true_images():
    evaluator = evaluator_of(Doubles(), TASKS["super_resolution"](factor=2), ("psnr",), num=500)
    assert evaluator(NO_WEIGHTS).keys() == {"psnr_299"} and evaluator.protocol["num_fake"] == 299


def test_the_classes_of_restored_images_are_those_of_the_true_ones():
    """By a real classifier of the targets: those of pairs are in the last channels."""
    digits = functools.partial(load, size=12)

    def twins(split):
        data = digits(split)
        return from_arrays("twins", data.examples.repeat(2, axis=-1), data.labels, "digits, twice")

    task = TASKS["paired"]()
    targets = targets_of(task, twins("test"))
    np.testing.assert_array_equal(take(targets.examples, np.arange(9)), digits("test").examples[:9])
    assert targets.shape == (12, 12, 1) and targets.fingerprint != twins("test").fingerprint
    classifier = EXTRACTORS["classifier"](digits, (12, 12, 1), num_steps=40)
    evaluator = evaluator_of(Same(), task, (), twins, 100, (12, 12, 2), classifier)
    numbers = evaluator(NO_WEIGHTS)
    accuracy = f"{classifier.name}_class_accuracy_100"
    assert numbers["psnr_100"] == 100
    assert numbers[accuracy] == evaluator.baselines()["input"][accuracy] > 0.3
    assert {"psnr", "ssim", "class_accuracy"} <= evaluator.protocol[
        "fields"
    ].keys() - evaluator.skipped.keys()


def test_unpaired_translations_are_compared_with_the_other_domain():
    """G gives (F(b) | G(a)); here G is the identity, so G(a) is a, and the other domain is the negative."""

    def domains(split, matched=""):
        data = load(split)
        negative = from_arrays("negative", 255 - data.examples, None, "negatives")
        return dataclasses.replace(data, labels=None, partner=negative, matched=split == matched)

    class Exchange(nn.Module):
        """(F(b) | G(a)) = (b | -a)."""

        @nn.compact
        def __call__(self, z, image=None, train=False):
            return jnp.concatenate([image[..., 1:], -image[..., :1]], axis=-1)

    evaluator = evaluator_of(Exchange(), TASKS["unpaired"](), ("frechet_distance",), domains)
    (distance,) = evaluator(NO_WEIGHTS).values()
    assert abs(distance) < 1e-6 and evaluator.baselines() == {}
    other = evaluator_of(Same(), TASKS["unpaired"](), ("frechet_distance",), domains)
    assert other(NO_WEIGHTS)["raw_frechet_distance_60"] > 10
    with pytest.raises(UserError, match="only a run with a task on pairs"):
        evaluator_of(Same(), TASKS["unpaired"](), ("psnr",), domains)(NO_WEIGHTS)

    hidden = functools.partial(domains, matched="test")  # the pairs of the test set are known
    evaluator = evaluator_of(Exchange(), TASKS["unpaired"](), ("psnr",), hidden)
    assert evaluator(NO_WEIGHTS) == {"psnr_60": 100.0}
    assert evaluator.baselines()["input"]["psnr_60"] < 5
