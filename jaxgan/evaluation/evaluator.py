"""Statistics of fakes against held-out real examples, under a stated protocol, so that numbers compare."""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from jaxtyping import Float, Int
from ml_collections import ConfigDict
from tqdm import tqdm

from jaxgan import sampler
from jaxgan.algorithm.gan import GAN
from jaxgan.config import experiment
from jaxgan.config.fields import listed, selected
from jaxgan.datasets import Dataset, take
from jaxgan.datasets.dataset import Examples
from jaxgan.errors import UserError
from jaxgan.evaluation import features, restoration
from jaxgan.evaluation.features import Extracted
from jaxgan.evaluation.naming import number_name, number_of
from jaxgan.extractors import EXTRACTORS, Extractor
from jaxgan.metrics import FAMILIES, STATISTICS, family_of
from jaxgan.metrics.conditional import Labelled
from jaxgan.metrics.memorization import Neighbours, nearest_training
from jaxgan.metrics.protocol import find_protocol

_OF_TRAINING = {"neighbours", "training"}  # families of statistics that look at the training set
_NO_FLOOR = _OF_TRAINING | {"restoration"}
_MOST_TRAINING = 60_000  # training examples to search in: all of MNIST


class Evaluator:
    """`evaluator(weights) -> {name: number}`, for any weights of one GAN's generator.

    The name of a number tells its features and the number of fakes: `classifier_frechet_distance_10k`. With
    Inception's features alone it is called `fid_10k`.

    Args:
      gan: what is static about the GAN.
      load: `split -> Dataset`, of what it is trained on.
      extractor: of the features.
      statistics: the fields of each requested statistic, by name.
      protocol: a name that `find_protocol` knows.
      seed: of the latents and of the choice of real examples, in [0, 2^32).
      everything: also compute all other statistics, with their defaults; skip those that the data does not
        allow.
      stored: `split -> Dataset`, what a run with a task is trained on; `load` gives its targets.
      standing_statistics: batches of batch norms' statistics, see `sampler.standing`; 0: running averages.
      backwards: of a pair (F(b) | G(a)), measure F; `load` and `stored` then have the domains exchanged.

    Attributes:
      floor: the same numbers with as many real examples instead of fakes: what a perfect generator reaches.
        They are disjoint from those that they are compared with, and the extractor was not trained on them.
        Statistics that look at the training set have no floor.
      no_floor: why there is no floor, if too few such examples are left; else ''.
      skipped: from skipped statistics to the reason.
      protocol: everything else on which the numbers depend, as JSON values.

    Raises:
      UserError: the data does not allow a requested statistic.
    """

    def __init__(
        self,
        gan: GAN,
        load: Callable[[str], Dataset],
        extractor: Extractor,
        statistics: dict[str, dict[str, Any]],
        protocol: str,
        seed: int,
        everything: bool = False,
        stored: Callable[[str], Dataset] | None = None,
        standing_statistics: int = 0,
        backwards: bool = False,
    ):
        if standing_statistics:
            sampler.require_batch_norm(gan)
        self._gan, self._standing = gan, standing_statistics
        self._num, split, whole = find_protocol(protocol)
        self._extractor, self._mixture = extractor, load(split).mixture
        self._everything, self._task, self._stored = everything, gan.task, stored or load
        self._classes = np.array(gan.classes)
        if gan.task and load(split).labels is not None and extractor.mode_shares is not None:
            self._classes = np.unique(load("train").labels)
        restores = gan.task is not None and (not gan.task.reads or self._stored(split).matched)
        impossible = {
            *(() if restores else FAMILIES["restoration"]),
            *(() if len(self._classes) else FAMILIES["labels"]),
        }
        all_ = {name: {} for name in STATISTICS if name not in impossible}
        self._statistics = all_ | statistics if everything else statistics
        families = {family_of(name) for name in self._statistics}
        self._with_examples = not families.isdisjoint({"images", "mixture", "restoration"})
        self.skipped: dict[str, str] = {}
        self._searched: tuple[np.ndarray | None, Neighbours | None] = None, None

        real, self._others = features.choose(load, split, self._num, seed, extractor.unseen, whole)
        self._degraded, told = None, {}
        if gan.task:
            source = self._stored(split)
            rows = real[0][1] if restores else restoration.choose(source, self._num, seed)
            self._num = min(self._num, len(rows))
            self._degraded = restoration.degrade(gan.task, source, rows[: self._num], seed)
            told = {"images": self._degraded.given}
            if gan.task.reads:  # of the pair (F(b) | G(a)), what is made of the examples
                half = gan.shape[-1] // 2
                told["channels"] = slice(half) if backwards else slice(half, None)
        self._fakes = features.Fakes(gan, extractor, seed, self._with_examples, **told)
        left = sum(len(rows) for _, rows in self._others)
        self.no_floor = ""
        if left < self._num:
            self.no_floor = (
                f"no floor: {left:,} real examples are left that the extractor '{extractor.name}' was not "
                f"trained on, and {self._num:,} are needed"
            )
            self._others = real  # to find out which statistics are possible
        self._real_rows, self._real = real, self._of_real(real)
        if not families.isdisjoint(_OF_TRAINING):
            test, _ = features.choose(load, "test", self._num, seed)
            self._train_rows, _ = features.choose(load, "train", _MOST_TRAINING, seed)
            self._test, self._train = (features.of_real(extractor, rows) for rows in (test, self._train_rows))
        self.protocol = {
            "name": protocol,
            "num_fake": self._num,
            "num_real": len(self._real.features),
            "num_floor": 0 if self.no_floor else self._num,
            "split": split,
            "seed": seed,
            "extractor": {"name": extractor.name, **extractor.protocol},
            "fields": {name: self._fields(name) for name in self._statistics},
            "versions": features.versions(),
        }
        if standing_statistics:
            self.protocol["standing_statistics"] = standing_statistics
        if backwards:
            self.protocol["direction"] = "BtoA"
        self.floor = self._measure_floor()

    def __call__(self, weights: dict[str, Any]) -> dict[str, float]:
        """The numbers of a generator.

        Args:
          weights: its `params` and `model_state`.

        Raises:
          UserError: it makes NaN or infinite numbers.
        """
        weights = sampler.with_standing_statistics(self._gan, weights, self._standing)
        if self._degraded is None:
            self._last = self._fakes(weights, self._num, self._real.labels)
        else:
            self._last = self._fakes(weights, self._num)._replace(labels=self._degraded.labels)
        return self._measure(self._last, self._statistics)

    def names(self) -> list[str]:
        """The names of all numbers, also of those without a floor; found by computing them."""
        real = self._of_real(self._others, self._with_examples)
        return list(self._measure(self._fill(real), self._statistics))

    def baselines(self) -> dict[str, dict[str, float]]:
        """The same numbers of images that the task's simple methods make; empty without a task."""
        if self._degraded is None or self._degraded.truth is None:
            return {}
        names = [name for name in self._statistics if family_of(name) not in _OF_TRAINING]
        found = restoration.baselines(self._task, self._degraded, self._stored("train"))
        return {method: self._measure(self._of_images(images), names) for method, images in found.items()}

    def _of_images(self, images) -> Extracted:
        """Of as many images as fakes."""
        found = features.extract_images(self._extractor, images)
        return Extracted(**found, examples=images, labels=self._degraded.labels)

    def closest(self, num: int) -> tuple[Examples, Examples, Float[np.ndarray, " N"]]:
        """The fakes of the last evaluation whose features are nearest to those of a training example.

        Needs that a statistic of the training set and one of images were computed.

        Args:
          num: how many, at most.

        Returns:
          the fakes, nearest first; the training examples; the distances of their features `[num]`.
        """
        nearest = self._of_fakes(self._last)
        fakes = nearest.closest(num)
        ((dataset, rows),) = self._train_rows
        neighbours = take(dataset.examples, rows[nearest.index[fakes]])
        return self._last.examples[fakes], neighbours, nearest.distance[fakes]

    def _fields(self, name):
        defaults = {field: entry.default for field, entry in STATISTICS.fields(name).items()}
        return {**defaults, **self._statistics[name]}

    def _measure(self, fake: Extracted, names: Iterable[str]) -> dict[str, float]:
        """The numbers of some statistics. Impossible ones are refused, or skipped from now on."""
        numbers = {}
        for name in tqdm([*names], "statistics", disable=None, leave=False):
            if name in self.skipped:
                continue
            try:
                numbers |= self._compute(name, fake)
            except UserError as error:
                if not self._everything:
                    raise UserError(f"evaluation.statistics: {name}: {error}") from error
                self.skipped[name] = str(error)
        return numbers

    def _measure_floor(self) -> dict[str, float]:
        real, numbers = self._of_real(self._others, self._with_examples), {}
        if self.no_floor:
            self._measure(self._fill(real), [n for n in self._statistics if family_of(n) not in _NO_FLOOR])
            return numbers
        for name in self._statistics:
            if family_of(name) in _NO_FLOOR:
                continue
            try:
                numbers |= self._compute(name, real)
            except UserError:  # impossible for fakes, too: refuse it now, not after hours of training
                self._measure(self._fill(real), [name])
        return numbers

    def _of_real(self, rows: features.Rows, with_examples: bool = False) -> Extracted:
        """With their labels, under a condition."""
        found = features.of_real(self._extractor, rows, with_examples)
        return found._replace(labels=features.labels_of(rows)) if len(self._classes) else found

    def _labelled(self, some: Extracted) -> Labelled:
        known = some.logits is not None and self._extractor.mode_shares is not None
        predicted = self._classes[some.logits.argmax(axis=1)] if known else None
        return Labelled(some.features, some.labels, predicted)

    def labelled_examples(self, num: int) -> tuple[Examples, Int[np.ndarray, " N"] | None]:
        """The first `num` real examples that fakes are compared with, and their labels if known."""
        ((dataset, rows),) = self._real_rows
        labels = None if dataset.labels is None else dataset.labels[rows[:num]]
        return take(dataset.examples, rows[:num]), labels

    def _fill(self, real: Extracted) -> Extracted:
        """Repeats examples until there are as many as fakes."""
        rows = np.arange(self._num) % len(real.features)
        return Extracted(*(None if part is None else part[rows] for part in real))

    def _compute(self, name: str, fake: Extracted) -> dict[str, float]:
        family = family_of(name)
        found = STATISTICS[name](*self._arguments(family, fake), **self._statistics[name])
        return {number_name(family, key, self._extractor.name, self._num): v for key, v in found.items()}

    def _arguments(self, family: str, fake: Extracted) -> tuple:
        """The inputs of the statistics of a family."""
        if family == "features":
            return self._real.features, fake.features
        if family == "labels":
            if fake.labels is None:
                raise UserError("fakes have no labels: condition.name is 'none'")
            return self._labelled(self._real), self._labelled(fake)
        if family == "training":
            return self._train.features, self._test.features, fake.features
        if family == "neighbours":
            return self._of_test, self._of_fakes(fake)
        if family == "mixture":
            if self._mixture is None:
                raise UserError("only mixtures have known centres (ring, grid)")
            return fake.examples, *self._mixture
        if family == "restoration":
            if self._degraded is None or self._degraded.truth is None:
                raise UserError("fakes have no true images: only a run with a task on pairs restores them")
            return fake.examples, self._degraded.truth, self._degraded.holes
        if family == "images":
            if fake.examples.ndim != 4:
                raise UserError("points are no images")
            return (fake.examples,)
        if family == "classes":
            if fake.modes is None:
                raise UserError(f"the extractor '{self._extractor.name}' does not know this data's classes")
            return fake.modes, self._extractor.mode_shares
        if fake.logits is None:
            raise UserError(f"the extractor '{self._extractor.name}' gives no logits of these examples")
        return (fake.logits,)

    @functools.cached_property
    def _of_test(self) -> Neighbours:
        return nearest_training(self._train.features, self._test.features)

    def _of_fakes(self, fake: Extracted) -> Neighbours:
        """The nearest training examples of fakes; kept, because pictures need them, too."""
        if self._searched[0] is not fake.features:
            self._searched = fake.features, nearest_training(self._train.features, fake.features)
        return self._searched[1]


class Best(NamedTuple):
    """The step at which a number was best so far; part of a checkpoint."""

    name: str = ""
    highest: bool = False
    step: int | None = None
    value: float | None = None

    def updated(self, step: int, numbers: dict[str, float]) -> "Best":
        """Updated with the numbers of a further step."""
        if not self.name:
            return self
        value = numbers[self.name]
        better = self.step is None or (value > self.value if self.highest else value < self.value)
        return self._replace(step=step, value=value) if better else self


def find_best(config: ConfigDict, evaluator: Evaluator | None, extra: dict[str, Any]) -> Best:
    """The best value of `evaluation.best` before, from the `extra` of a checkpoint, if there is one.

    A warning says where `evaluation.best_is` asks for the worse end of a number whose better one is known.

    Raises:
      UserError: the evaluations do not give it.
    """
    best = Best(config.evaluation.best, config.evaluation.best_is == "highest")
    if best.name and best.name not in evaluator.floor and best.name not in (names := evaluator.names()):
        raise UserError(f"evaluation.best={best.name} is none of the numbers computed: {', '.join(names)}")
    worst = "higher" if not best.highest else "lower"
    if best.name and (number := number_of(best.name)) and number.better == worst:
        logging.warning(
            "evaluation.best_is=%s keeps the checkpoint with the %s %s, of which %s is better: set "
            "evaluation.best_is=%s",
            *(config.evaluation.best_is,) * 2, best.name, worst, "lowest" if best.highest else "highest",
        )  # fmt: skip
    before = Best(**extra.get("best", {}))
    return before if before[:2] == best[:2] else best


def make_evaluator(config: ConfigDict, gan: GAN, dataset: Dataset, everything: bool = False) -> Evaluator:
    """The evaluator that the config asks for.

    Args:
      config: the config.
      gan: what is static about the GAN.
      dataset: the training set.
      everything: all statistics; those that the config names have its fields.
    """

    backwards = config.evaluation.get("direction", "AtoB") == "BtoA"
    given = restoration.exchanged if backwards else lambda dataset: dataset

    @functools.cache
    def load(split):
        return given(dataset if split == "train" else experiment.load_dataset(config, split))

    @functools.cache
    def load_whole(split):
        return given(experiment.load_dataset(experiment.without_hold_out(config), split))

    def targets(load):
        return load if gan.task is None else lambda split: restoration.targets_of(gan.task, load(split))

    name, fields = selected(config, "evaluation.extractor")
    held_out = config.dataset.get("hold_out", False)
    shape = gan.shape if gan.task is None else targets(load)("train").shape
    extractor = EXTRACTORS[name](targets(load_whole if held_out else load), shape, **fields)
    if held_out:  # now the test split is the validation part, and the training set has none
        kept = "test" if dataset.parts is None else "none"
        unseen = {"all": "all", "validation": kept, "test": "none"}[extractor.unseen]
        extractor = dataclasses.replace(extractor, unseen=unseen)
    statistics, section = listed(config, "evaluation.statistics"), config.evaluation
    standing = section.get("standing_statistics", 0)
    if standing:  # where layers know no device axis
        gan = experiment.make_gan(config, gan.data_shape, classes=gan.classes)
    how = extractor, statistics, section.protocol, section.seed, everything
    more = {"stored": load, "standing_statistics": standing, "backwards": backwards}
    evaluator = Evaluator(gan, targets(load), *how, **more)
    if held_out and evaluator.protocol["split"] == "test":
        evaluator.protocol["split"] = "validation"
    return evaluator
