"""Numbers that compare: statistics of fakes against held-out real examples, under a stated protocol."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from jaxgan import evidence, experiment
from jaxgan.datasets import Dataset, take
from jaxgan.errors import UserError
from jaxgan.evidence import Evidence
from jaxgan.extractors import EXTRACTORS, Extractor
from jaxgan.fields import listed, selected
from jaxgan.gan import GAN
from jaxgan.metrics import STATISTICS, family_of
from jaxgan.metrics.memorization import nearest_training
from jaxgan.metrics.protocol import find_protocol

# What numbers of Inception's features are called in the literature.
_PUBLISHED = {"frechet_distance": "fid", "kernel_distance": "kid", "kernel_distance_stderr": "kid_stderr"}


_MOST_TRAINING = 60_000  # examples that fakes are searched for in: all of MNIST


class Evaluator:
    """`evaluator(weights) -> {name: number}`, for any weights of one GAN's generator.

    A number's name says which features it is of and of how many fakes: `classifier_frechet_distance_10k`.
    Only of Inception's features it is called `fid_10k`.

    Args:
      gan: what is static about the GAN.
      load: `split -> Dataset`, of what it is trained on.
      extractor: of the features.
      statistics: the fields of each that is wanted, by name; None are all that this data allows.
      protocol: a name that `find_protocol` knows.
      seed: of the latents and of the choice of real examples, in [0, 2^32).

    Attributes:
      floor: the same numbers with real examples in the place of fakes, disjoint from those that they are
        compared with: what a perfect generator reaches. Statistics of the training set have none.
      skipped: by statistic, why this data does not allow it.
      protocol: what the numbers depend on beside the weights, as JSON values.

    Raises:
      UserError: a statistic that was asked for cannot be had of this data.
    """

    def __init__(
        self,
        gan: GAN,
        load: Callable[[str], Dataset],
        extractor: Extractor,
        statistics: dict[str, dict[str, Any]] | None,
        protocol: str,
        seed: int,
    ):
        self._num, split = find_protocol(protocol)
        self._extractor, self._mixture = extractor, load(split).mixture
        self._all = statistics is None
        self._statistics = {name: {} for name in STATISTICS} if statistics is None else statistics
        families = {family_of(name) for name in self._statistics}
        with_examples = not families.isdisjoint({"images", "mixture"})
        self._fakes = evidence.Fakes(gan, extractor, seed, with_examples)
        self.skipped: dict[str, str] = {}

        real, others = evidence.choose(load, split, self._num, seed)
        self._real = evidence.of_real(extractor, real)
        if "training" in families:
            test, _ = evidence.choose(load, "test", self._num, seed)
            self._train_rows, _ = evidence.choose(load, "train", _MOST_TRAINING, seed)
            self._test, self._train = (evidence.of_real(extractor, rows) for rows in (test, self._train_rows))
        self.protocol = {
            "name": protocol,
            "num_fake": self._num,
            "num_real": len(self._real.features),
            "num_floor": sum(len(rows) for _, rows in others),
            "split": split,
            "seed": seed,
            "extractor": {"name": extractor.name, **extractor.protocol},
            "fields": {name: self._fields(name) for name in self._statistics},
            "versions": evidence.versions(),
        }
        self.floor = self._measure(evidence.of_real(extractor, others, with_examples), floor=True)

    def __call__(self, weights: dict[str, Any]) -> dict[str, float]:
        """The numbers of a generator.

        Args:
          weights: its `params` and `model_state`.

        Raises:
          UserError: it makes NaN or infinite numbers.
        """
        self._last = self._fakes(weights, self._num)
        return self._measure(self._last)

    def closest(self, num: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the fakes that were last evaluated, those whose features are nearest to a training example's.

        Needs a statistic of the training set and one of images among those computed.

        Args:
          num: how many, at most.

        Returns:
          the fakes, nearest first; the training examples; the distances of their features `[num]`.
        """
        nearest = nearest_training(self._train.features, self._last.features)
        fakes = nearest.closest(num)
        ((dataset, rows),) = self._train_rows
        neighbours = take(dataset.examples, rows[nearest.index[fakes]])
        return self._last.examples[fakes], neighbours, nearest.distance[fakes]

    def _fields(self, name):
        defaults = {field: parameter.default for field, parameter in STATISTICS.fields(name).items()}
        return {**defaults, **self._statistics[name]}

    def _measure(self, fake: Evidence, floor: bool = False) -> dict[str, float]:
        numbers = {}
        for name, fields in self._statistics.items():
            family = family_of(name)
            if name in self.skipped or (floor and family == "training"):
                continue
            try:
                found = STATISTICS[name](*self._arguments(family, fake), **fields)
            except UserError as error:
                if not self._all:
                    raise UserError(f"evaluation.statistics: {name}: {error}") from error
                self.skipped[name] = str(error)
                continue
            numbers |= {self._name(family, key): value for key, value in found.items()}
        return numbers

    def _arguments(self, family: str, fake: Evidence) -> tuple:
        """What the statistics of a family look at."""
        if family == "features":
            return self._real.features, fake.features
        if family == "training":
            return self._train.features, self._test.features, fake.features
        if family == "mixture":
            if self._mixture is None:
                raise UserError("only mixtures have known centres (ring, grid)")
            return fake.examples, *self._mixture
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

    def _name(self, family: str, key: str) -> str:
        of = self._extractor.name
        if of == "inception" and family in ("features", "logits"):
            name = _PUBLISHED.get(key, key if key.startswith(of) else f"{of}_{key}")
        else:
            name = key if family in ("images", "mixture") else f"{of}_{key}"
        return f"{name}_{self._num / 1000:g}k" if self._num >= 1000 else f"{name}_{self._num}"


class Best(NamedTuple):
    """Where a number was best so far; a checkpoint keeps it."""

    name: str = ""
    highest: bool = False
    step: int | None = None
    value: float | None = None

    def meet(self, step: int, numbers: dict[str, float]) -> "Best":
        """With the numbers of a further step."""
        if not self.name:
            return self
        value = numbers[self.name]
        better = self.step is None or (value > self.value if self.highest else value < self.value)
        return self._replace(step=step, value=value) if better else self


def find_best(config: ConfigDict, evaluator: Evaluator | None, extra: dict[str, Any]) -> Best:
    """Where the number of `evaluation.best` was best before, as a checkpoint's `extra` says, or nowhere.

    Raises:
      UserError: the evaluations do not give it.
    """
    best = Best(config.evaluation.best, config.evaluation.best_is == "highest")
    if best.name and best.name not in evaluator.floor:
        raise UserError(
            f"evaluation.best={best.name} is none of the numbers computed: {', '.join(evaluator.floor)}"
        )
    before = Best(**extra.get("best", {}))
    return before if before[:2] == best[:2] else best


def make_evaluator(config: ConfigDict, gan: GAN, dataset: Dataset, everything: bool = False) -> Evaluator:
    """The evaluator that the config asks for.

    Args:
      config: the config.
      gan: what is static about the GAN.
      dataset: the training set.
      everything: all statistics that there are, instead of those that the config names.
    """

    @functools.cache
    def load(split):
        return dataset if split == "train" else experiment.load_dataset(config, split)

    name, fields = selected(config, "evaluation.extractor")
    extractor = EXTRACTORS[name](load, gan.shape, **fields)
    statistics = None if everything else listed(config, "evaluation.statistics")
    return Evaluator(gan, load, extractor, statistics, config.evaluation.protocol, config.evaluation.seed)
