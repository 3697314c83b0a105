"""Evaluating a trained generator: `python launch.py --mode=evaluate --workdir=DIR`."""

import contextlib
import fcntl
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxgan import sampler
from jaxgan.compilation import float32
from jaxgan.config import default, experiment
from jaxgan.config.checks import check
from jaxgan.config.fields import flatten, names_of
from jaxgan.declarations import arguments
from jaxgan.errors import UserError, WrongArgument
from jaxgan.evaluation.evaluator import Evaluator, make_evaluator
from jaxgan.evaluation.naming import number_name, number_of
from jaxgan.extractors.inception import WHERE
from jaxgan.files import replace
from jaxgan.jobs import pictures
from jaxgan.metrics.codes import code_agreement, information_bounds
from jaxgan.run import record
from jaxgan.run.record import may_change

_MOST_JUDGED = 20_000  # examples times classes for which the discriminator computes logits
_PAIRS = 16  # of fakes and their nearest training examples in a picture


@float32
def evaluate(workdir: Path, changes: dict[str, Any], step: int | str | None, weights: str) -> dict[str, Any]:
    """Computes statistics of a run's generator, and adds them to `evaluation.json`.

    These are all that the data allows, or those that `changes` names.

    Args:
      workdir: of the run, which may still be training.
      changes: config fields to set for this evaluation, by path, such as 'evaluation.protocol'; None keeps
        the run's value.
      step: of the checkpoint; None is the newest, 'best' that of `evaluation.best`.
      weights: 'ema' or 'raw'.

    Returns:
      the entry of `evaluation.json`.
    """
    _require_fields(changes)
    drawn = sampler.load(workdir, step, weights, changes.get("evaluation.standing_statistics"))
    recorded = record.read_record(workdir)
    everything = "evaluation.statistics.names" not in changes
    config = _change(record.recorded_config(recorded), changes)
    check(config)
    dataset = experiment.load_dataset(config)
    record.require_same_dataset(dataset, recorded, workdir)
    print(
        f"evaluating step {drawn.step}, {weights} weights, protocol {config.evaluation.protocol} ...",
        flush=True,
    )
    evaluator = make_evaluator(config, drawn.gan, dataset, everything)
    numbers = evaluator(drawn.weights) | _classify(drawn, evaluator)
    entry = {
        "step": drawn.step,
        "weights": weights,
        "dataset": drawn.dataset,
        "protocol": evaluator.protocol,
        "numbers": numbers,
        "floor": evaluator.floor,
        "no_floor": evaluator.no_floor,
        "baselines": evaluator.baselines(),
        "skipped": evaluator.skipped,
    }
    path = workdir / "evaluation.json"
    _print(entry, drawn.gan.is_images)
    try:
        _add(path, entry)
        written = [path, *pictures.draw_run(workdir, drawn, dataset, weights)]
        if drawn.gan.is_images and everything:
            of = f"the nearest of {evaluator.protocol['num_fake']} fakes to the training set"
            title = f"step {drawn.step}: {of}"
            about = pictures.describe(workdir, drawn, weights)
            written.append(pictures.draw_neighbours(workdir, *evaluator.closest(_PAIRS), title, about))
        print("wrote " + ", ".join(map(str, written)))
    except OSError as error:  # another user's run, or a full disk: the numbers are on the screen
        logging.warning("nothing more is written to %s (%s)", workdir, error.strerror)
    return entry


def _classify(drawn: sampler.Sampler, evaluator: Evaluator) -> dict[str, float]:
    """Whether the discriminator knows the classes of real examples, or codes agree with them."""
    if drawn.gan.num_codes:
        return _read_codes(drawn, evaluator)
    if not drawn.gan.classes:
        return {}
    num = max(100, _MOST_JUDGED // len(drawn.gan.classes))
    examples, labels = evaluator.labelled_examples(num)
    name = number_name("images", "discriminator_class_accuracy", "", len(labels))
    return {name: float(np.mean(drawn.classify(examples) == labels))}


def _read_codes(drawn: sampler.Sampler, evaluator: Evaluator) -> dict[str, float]:
    """The information between codes and fakes, and how well the first categorical code names real classes."""
    num = _MOST_JUDGED // 10
    fakes, codes = drawn(num=num), drawn.codes(num=num)
    bounds = information_bounds(codes, drawn.posterior(fakes))
    numbers = {number_name("images", name, "", num): value for name, value in bounds.items()}
    examples, labels = evaluator.labelled_examples(num)
    if codes.categorical and labels is not None and (labels >= 0).all():
        found = drawn.posterior(examples).categorical[0]
        agreement = code_agreement(found.argmax(axis=1), labels, found.shape[1])
        numbers |= {number_name("images", name, "", len(labels)): v for name, v in agreement.items()}
    return numbers


def _require_fields(changes: Any) -> None:
    """UserError if they are not fields of an evaluation."""
    if not isinstance(changes, Mapping):
        raise WrongArgument(f"fields={arguments.shown(changes)}: give a dict of dotted paths and values")
    known = flatten(default.get_config().to_dict())
    for field, value in changes.items():
        if field not in known or not (field.startswith("evaluation.") or may_change(field)):
            raise WrongArgument(
                f"fields: {arguments.shown(field)} is none of an evaluation; give dotted paths, such as "
                "evaluation.protocol"
            )
        if isinstance(known[field], str) and not isinstance(value, str | None):
            raise WrongArgument(f"fields: {field}={arguments.shown(value)}: give a text")


def _change(config: ConfigDict, changes: dict[str, Any]) -> ConfigDict:
    """The config with other values; records lack the fields of components that were not selected."""
    tree = config.to_dict()
    for path, value in changes.items():
        if value is not None:
            section, (*parents, last) = tree, path.split(".")
            for name in parents:
                section = section.setdefault(name, {})
            section[last] = value
    statistics = tree["evaluation"]["statistics"]
    if "evaluation.statistics.names" in changes:  # the fields of others are of no use
        names = names_of(ConfigDict(statistics))
        tree["evaluation"]["statistics"] = {
            key: statistics[key] for key in ("names", *names) if key in statistics
        }
    else:
        statistics["names"] = tuple(
            dict.fromkeys([*statistics["names"], *sorted(statistics.keys() - {"names"})])
        )
    if changes.get("evaluation.extractor.name"):  # likewise, but what is given is checked
        extractor = tree["evaluation"]["extractor"]
        given = (path for path, value in changes.items() if value is not None)
        given = {path.split(".")[2] for path in given if path.startswith("evaluation.extractor.")}
        kept = {"name", extractor["name"], *given}
        tree["evaluation"]["extractor"] = {key: value for key, value in extractor.items() if key in kept}
    return ConfigDict(tree)


def _add(path: Path, entry: dict[str, Any]) -> None:
    """Adds an entry to the list of evaluations; it replaces one of the same weights and protocol."""
    entry = json.loads(json.dumps(entry))
    with path.with_name(f".{path.name}.lock").open("a", encoding="utf-8") as lock:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)  # others may evaluate the same run: no entry is lost
        entries = []
        if path.exists():
            try:
                entries = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise UserError(f"{path} is damaged ({error}): move it away") from error
        key = ("step", "weights", "protocol")
        entries = [old for old in entries if any(old[field] != entry[field] for field in key)]
        replace(path, json.dumps([*entries, entry], indent=1) + "\n")


def _print(entry: dict[str, Any], is_images: bool) -> None:
    protocol = entry["protocol"]
    extractor = protocol["extractor"]
    known = f", accuracy {100 * extractor['accuracy']:.2f} %" if "accuracy" in extractor else ""
    print(
        f"step {entry['step']}, {entry['weights']} weights: {protocol['num_fake']} fakes against "
        f"{protocol['num_real']} real ones ({entry['dataset']['name']}, {protocol['split']}); features of "
        f"'{extractor['name']}' (hash {extractor['digest'][:8] or 'none'}{known})"
    )
    width, baselines = max(map(len, entry["numbers"])), entry["baselines"]
    floor = entry["no_floor"] or f"floor: {protocol['num_floor']} other real examples instead of fakes"
    floor += "; the others: the same images by simple methods" if baselines else ""
    titles = "".join(f"  {title:>10}" for title in ("fakes", "floor", *baselines))
    print(f"{'':{width}}{titles}  ({floor})")
    for name, value in entry["numbers"].items():
        reached = [entry["floor"].get(name), *(found.get(name) for found in baselines.values())]
        values = "".join("  " + ("" if one is None else f"{one:.4g}").rjust(10) for one in reached)
        said = f"{number.arrow or ' '} {number.meaning}" if (number := number_of(name)) else ""
        print(f"{name:{width}}  {value:10.4g}{values}  {said}".rstrip())
    for name, reason in entry["skipped"].items():
        print(f"no {name}: {reason}")
    if is_images and extractor["name"] != "inception":
        print(f"FID and KID need Inception's features: give --inception_weights=FILE.npz; {WHERE}")
