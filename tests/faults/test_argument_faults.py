"""Arguments of public functions: each argument is an axis, with values of different type, range and shape."""

import collections
import functools
import shutil
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from cells import every, pairs, refusal, require_none
from ml_collections import ConfigDict
from runs import tiny_config

import jaxgan
from jaxgan import datasets
from jaxgan.latents import make_key, sample_latents
from jaxgan.metrics.frechet import frechet_distance
from jaxgan.metrics.inception_score import inception_score
from jaxgan.metrics.kernel import kernel_distance, mmd2
from jaxgan.metrics.memorization import data_copying, nearest_training
from jaxgan.metrics.modes import class_coverage, mode_coverage
from jaxgan.metrics.ms_ssim import ms_ssim_diversity
from jaxgan.metrics.prdc import prdc


class Good:
    """A valid value; `plain` is the same value for the reference functions of this file."""

    def __init__(self, label, value, plain=None, words=()):
        self.label, self.value, self.words = label, value, words
        self.plain = value if plain is None else plain

    def __repr__(self):
        return self.label


class Bad(Good):
    """A value that must be refused."""


class Odd(Good):
    """A value that may be refused; if it is accepted, it must have the effect of `plain`."""


def whole(low, high, *good, none=False):
    """Values of an integer argument in [low, high)."""
    large = [Bad("too large", high), Bad("2^70", 2**70)] if high else []
    return [
        *(Good(repr(value), value) for value in good),
        Good("np.int64", np.int64(good[-1]), good[-1]),
        Good("np.uint8", np.uint8(good[-1]), good[-1]),
        Odd("float", float(good[-1]), good[-1]),
        Odd("array", np.array(good[-1]), good[-1]),
        Odd("jax", jnp.int32(good[-1]), good[-1]),
        *([] if low > 1 else [Odd("True", True, 1)]),
        *large,
        Bad("too small", low - 1),
        Bad("fraction", good[-1] + 0.5),
        Bad("NaN", float("nan")),
        Bad("inf", float("inf")),
        Bad("text", str(good[-1])),
        Bad("list", [good[-1]]),
        Bad("complex", 1j),
        *([] if none else [Bad("None", None)]),
    ]


def arrays(values, *, integers=False, rows=True):
    """Values of an array argument: `values` in other types, orders and shapes."""
    exact = np.asarray(values)
    floats = [] if integers else [
        Good("float64", exact.astype(np.float64), exact),
        Good("list", exact.tolist(), exact),
        Good("jax", jnp.asarray(exact, jnp.float32), exact),
        Good("big-endian", exact.astype(">f4"), exact),
        Bad("complex", exact.astype(complex)),
        Bad("NaN", np.where(exact == exact.flat[0], np.nan, exact)),
        Bad("inf", np.where(exact == exact.flat[0], np.inf, exact)),
    ]  # fmt: skip
    wider = np.concatenate([exact, exact[..., :1]], axis=-1)
    return [
        Good("as it is", exact),
        Good("Fortran", np.asfortranarray(exact), exact),
        Good("reversed", np.flip(np.ascontiguousarray(np.flip(exact))), exact),
        *floats,
        Bad("None", None),
        Bad("text", np.full(exact.shape, "a")),
        Bad("objects", np.full(exact.shape, None)),
        Bad("ragged", [[1.0], [1.0, 2.0]]),
        Bad("a number", 3.0),
        Bad("a row less", exact[0]),
        Bad("an axis more", exact[None]),
        *([Bad("wider", wider)] if exact.ndim > 1 else []),
        *([Bad("empty", exact[:0], words=["given", "fake"])] if rows else []),
        Bad("a word", "z"),
    ]


def run_cells(call, axes, right, generate, allowed=None):
    """(faults, number of cells) of a function, whose arguments are the axes."""
    made = generate(axes, allowed)
    made = [
        cell for cell in made if sum(value.label == "wider" for value in cell.values()) < 2
    ]  # two wider arrays fit
    faults = []
    for cell in made:
        found, message, fault = refusal(lambda cell=cell: call(**{key: v.value for key, v in cell.items()}))
        bad = [key for key, value in cell.items() if isinstance(value, Bad)]
        odd = [key for key, value in cell.items() if type(value) is Odd]
        if message and not fault:
            if not bad and not odd:
                fault = f"refused: {message}"
            elif not any(
                word in message for key in [*bad, *odd] for word in (key, *key.split("_"), *cell[key].words)
            ):
                fault = f"names none of {', '.join([*bad, *odd])}: {message}"
        elif not fault and bad:
            fault = f"taken: {str(found)[:60]}"
        elif not fault:
            try:
                fault = right(found, **{key: value.plain for key, value in cell.items()})
            except KeyError as error:
                fault = f"no {error} in {found}"
        if fault:
            faults.append((cell, fault))
    return faults, len(made)


def same(found, wanted, rtol=1e-4, atol=1e-6):
    found, wanted = np.asarray(found), np.asarray(wanted)
    if found.shape != wanted.shape:
        return f"shape {found.shape}, not {wanted.shape}"
    if found.dtype == np.uint8:
        return "" if np.abs(found.astype(int) - wanted).max(initial=0) <= 1 else "other values"
    return "" if np.allclose(found, wanted, rtol=rtol, atol=atol) else f"{found}, not {wanted}"


# --- Statistics, against NumPy ------------------------------------------------------------------------

RANDOM = np.random.default_rng(0)
REAL = np.round(RANDOM.normal(size=(12, 3)), 2).astype(np.float32)
FAKE = np.round(RANDOM.normal(0.5, 1, size=(10, 3)), 2).astype(np.float32)
CENTRES = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]], np.float32)
POINTS = np.array([[0.1, 0.2], [4.1, 0.0], [2.0, 2.0], [0.0, 0.3]], np.float32)
IMAGES = RANDOM.integers(0, 256, (4, 12, 12, 1), np.uint8)


def plain_frechet(real, fake):
    real, fake = np.asarray(real, float), np.asarray(fake, float)
    a, b = np.cov(real.T), np.cov(fake.T)
    root = scipy.linalg.sqrtm(a @ b).real
    return np.sum((real.mean(0) - fake.mean(0)) ** 2) + np.trace(a + b - 2 * root)


def plain_mmd2(real, fake):
    def kernel(x, y):
        return (x @ y.T / x.shape[1] + 1) ** 3

    real, fake = np.asarray(real, float), np.asarray(fake, float)
    within = [(kernel(x, x).sum() - np.trace(kernel(x, x))) / (len(x) * (len(x) - 1)) for x in (real, fake)]
    return sum(within) - 2 * kernel(real, fake).mean()


def plain_precision(real, fake, k):
    def distances(x, y):
        return np.linalg.norm(np.asarray(x, float)[:, None] - np.asarray(y, float)[None], axis=-1)

    radius = np.sort(distances(real, real), axis=1)[:, k]
    return (distances(real, fake) <= radius[:, None]).any(0).mean()


def plain_score(logits):
    p = np.exp(np.asarray(logits, float))
    p /= p.sum(1, keepdims=True)
    return np.exp(np.mean(np.sum(p * np.log(p / p.mean(0)), axis=1)))


def plain_modes(samples, modes, std):
    distances = np.linalg.norm(np.asarray(samples, float)[:, None] - np.asarray(modes, float)[None], axis=-1)
    return (distances.min(1) <= 3 * std).mean()


POSITIVE = [
    Good("0.2", 0.2),
    Good("np.float32", np.float32(0.2), 0.2),
    Good("1", 1),
    Bad("0", 0.0),
    Bad("negative", -0.2),
    Bad("NaN", float("nan")),
    Bad("inf", float("inf")),
    Bad("None", None),
    Bad("text", "0.2"),
    Bad("array", np.array([0.2, 0.3])),
]
K = [value for value in whole(1, 0, 2, 3) if value.label != "jax"] + [
    Bad("as many as there are", 12, words=["too few"])
]
STATISTICS = {
    "frechet_distance": (
        frechet_distance,
        {"real_features": arrays(REAL), "fake_features": arrays(FAKE)},
        lambda found, real_features, fake_features: same(
            found["frechet_distance"], plain_frechet(real_features, fake_features)
        ),
    ),
    "mmd2": (
        mmd2,
        {"real_features": arrays(REAL), "fake_features": arrays(FAKE)},
        lambda found, real_features, fake_features: same(found, plain_mmd2(real_features, fake_features)),
    ),
    "kernel_distance": (
        kernel_distance,
        {
            "real_features": arrays(REAL),
            "fake_features": arrays(FAKE),
            "subset_size": [*whole(2, 0, 10), Bad("too many", 11, words=["too few"])],
            "num_subsets": whole(2, 0, 2),
            "seed": whole(0, 2**32, 0, 7),
        },
        # subsets of all ten fakes, and of ten of the twelve real examples
        lambda found, **values: "" if abs(found["kernel_distance"]) < 20 else f"{found}",
    ),
    "prdc": (
        prdc,
        {
            "real_features": arrays(REAL),
            "fake_features": arrays(FAKE),
            "precision_k": K,
            "density_k": K,
        },
        lambda found, real_features, fake_features, precision_k, density_k: same(
            found["precision"], plain_precision(real_features, fake_features, precision_k)
        ),
    ),
    "inception_score": (
        inception_score,
        {
            "logits": [value for value in arrays(FAKE) if value.label != "wider"],
            "num_splits": [*whole(1, 0, 1), Bad("too many", 11, words=["too few"])],
            "seed": whole(0, 2**32, 3),
        },
        lambda found, logits, num_splits, seed: same(found["inception_score_1_split"], plain_score(logits)),
    ),
    "ms_ssim": (
        ms_ssim_diversity,
        {
            "images": [value for value in arrays(IMAGES, integers=True) if value.label != "wider"],
            "num_pairs": whole(2, 0, 3),
            "seed": whole(0, 2**32, 3),
        },
        lambda found, images, num_pairs, seed: "" if abs(found["ms_ssim_1_scale"]) < 0.5 else f"{found}",
    ),
    "mode_coverage": (
        mode_coverage,
        {"samples": arrays(POINTS), "modes": arrays(CENTRES), "std": POSITIVE},
        lambda found, samples, modes, std: same(found["good"], plain_modes(samples, modes, std)),
    ),
    "class_coverage": (
        class_coverage,
        {
            "predicted": [
                Good("int64", np.array([0, 0, 2])),
                Good("uint8", np.array([0, 0, 2], np.uint8)),
                Good("list", [0, 0, 2]),
                Good("jax", jnp.array([0, 0, 2])),
                Bad("floats", np.array([0.0, 2.0])),
                Bad("empty", np.zeros(0, int)),
                Bad("negative", np.array([0, -1])),
                Bad("too large", np.array([0, 3])),
                Bad("2-D", np.zeros((2, 2), int)),
                Bad("text", np.array(["0"])),
                Bad("None", None),
                Bad("bool", np.array([True, False])),
            ],
            "shares": [
                Good("counts", [2, 1, 1]),
                Good("floats", np.array([0.5, 0.25, 0.25])),
                Bad("0", [0, 1, 1]),
                Bad("negative", [-1, 1, 1]),
                Bad("NaN", [np.nan, 1, 1]),
                Bad("empty", []),
                Bad("2-D", [[1, 1, 1]]),
                Bad("text", ["a", "b", "c"]),
                Bad("None", None),
                Bad("a number", 3.0),
            ],
        },
        lambda found, predicted, shares: same(
            found["reverse_kl"], 2 / 3 * np.log(2 / 3 / 0.5) + 1 / 3 * np.log(1 / 3 / 0.25)
        ),
    ),
    "nearest_training": (
        nearest_training,
        {"train_features": arrays(REAL), "features": arrays(FAKE)},
        lambda found, train_features, features: same(
            found.distance,
            np.linalg.norm(np.asarray(train_features)[:, None] - np.asarray(features)[None], axis=-1).min(0),
        ),
    ),
    "data_copying": (
        data_copying,
        {
            "train_features": arrays(REAL),
            "test_features": arrays(REAL),
            "fake_features": arrays(FAKE),
            "num_cells": [*whole(1, 0, 1), Bad("too many", 13, words=["too few"])],
            "min_fakes": [*whole(0, 0, 2), Bad("too many", 10)],
            "seed": whole(0, 2**32, 3),
        },
        lambda found, **values: same(found["data_copying_cells"], 1),
    ),
}
BOTH = [pytest.param(pairs, id="pairs"), pytest.param(every, id="every", marks=pytest.mark.slow)]
both = pytest.mark.parametrize("generate", BOTH)


@both
def test_statistics(generate):
    faults, count = [], 0
    for label, (call, axes, right) in STATISTICS.items():
        found, num = run_cells(call, axes, right, generate)
        faults += [({"statistic": label, **cell}, fault) for cell, fault in found]
        count += num
    require_none(faults, count)


# --- A generator --------------------------------------------------------------------------------------


@both
def test_samplers(generate, trained):
    sampler = jaxgan.load(trained)
    known = {seed: sampler(seed=seed, num=70) for seed in (0, 1, 3, 2**32 - 1)}
    z = RANDOM.normal(size=(5, 8)).astype(np.float32)
    decoded = np.concatenate([sampler.decode(row[None]) for row in z])
    real = datasets.load("digits").examples[:5]
    judged = np.concatenate([sampler.judge(image[None]) for image in real])
    numbers = {"seed": whole(0, 2**32, 0, 2**32 - 1, 3), "num": whole(0, 0, 0, 70, 3)}
    between = {"seed": whole(0, 2**32, 0, 3), "steps": whole(1, 0, 1, 4), "pairs": whole(1, 0, 2, 1)}

    def ends(found, seed, steps, pairs):
        if found.shape != (steps * pairs, 8, 8, 1):
            return f"shape {found.shape}"
        starts = found[:: max(1, steps)]
        return same(starts, known[seed][0 : 2 * pairs : 2]) if seed in known else ""

    calls = {
        "call": (sampler, numbers, lambda found, seed, num: same(found, known[seed][:num])),
        "batches": (
            lambda seed, num: np.concatenate([np.zeros((0, 8, 8, 1), np.uint8), *sampler.batches(seed, num)]),
            numbers,
            lambda found, seed, num: same(found, known[seed][:num]),
        ),
        "interpolate": (sampler.interpolate, between, ends),
        "decode": (
            lambda latents: sampler.decode(latents),
            {"latents": [*arrays(z, rows=False), Good("none", z[:0])]},
            lambda found, latents: same(found, decoded[: len(latents)]),
        ),
        "judge": (
            lambda examples: sampler.judge(examples),
            {
                "examples": [
                    *arrays(real, integers=True, rows=False),
                    Good("none", real[:0]),
                    Bad("floats", real / 255),
                    Bad("other size", real[:, 1:, 1:]),
                    Bad("int64", real.astype(int)),
                ]
            },
            lambda found, examples: same(found, judged[: len(examples)]),
        ),
    }
    faults, count = [], 0
    for label, (call, axes, right) in calls.items():
        found, num = run_cells(call, axes, right, pairs if len(axes) == 1 else generate)
        faults += [({"sampler": label, **cell}, fault) for cell, fault in found]
        count += num
    require_none(faults, count)


@both
def test_latents(generate):
    key = make_key(jnp.array([0, 3], jnp.uint32))
    wanted = np.asarray(sample_latents("normal", key, jnp.arange(3), 4))
    axes = {
        "latent": [Good("normal", "normal"), Bad("unknown", "gauss"), Bad("None", None), Bad("number", 3)],
        "index": [
            Good("int32", np.arange(3, dtype=np.int32)),
            Good("int64", np.arange(3)),
            Good("list", [0, 1, 2]),
            Good("jax", jnp.arange(3)),
            Bad("floats", np.arange(3.0)),
            Bad("2-D", np.zeros((2, 2), int)),
            Bad("a number", 3),
            Bad("None", None),
        ],
        "size": [value for value in whole(1, 0, 4) if value.label not in ("jax", "True")],
    }
    faults, count = run_cells(
        lambda latent, index, size: sample_latents(latent, key, index, size),
        axes,
        lambda found, latent, index, size: same(found, wanted),
        generate,
    )
    require_none(faults, count)


# --- Runs ---------------------------------------------------------------------------------------------


def workdirs(run, tmp_path):
    return [
        Good("text", str(run)),
        Good("path", Path(run)),
        Bad("missing", str(tmp_path / "nothing")),
        Bad("empty", ""),
        Bad("None", None),
        Bad("number", 3),
        Bad("bytes", str(run).encode()),
        Bad("list", [str(run)]),
        Bad("URL", "gs://bucket/run"),
        Bad("a file", str(run / "config.json")),
        Bad("NUL", "a\0b"),
        Bad("no UTF-8", str(tmp_path / "caf\udce9")),
        Bad("nobody's home", "~nobody_here/run"),
    ]


STEPS = [
    Good("None", None),
    Good("20", 20),
    Good("np.int64", np.int64(20), 20),
    Odd("float", 20.0, 20),
    Bad("none there", 7),
    Bad("negative", -1),
    Bad("text", "20"),
    Bad("best", "best"),
    Bad("fraction", 7.5),
    Bad("NaN", float("nan")),
    Bad("list", [20]),
    Bad("True", True),
]
WEIGHTS = [
    Good("ema", "ema"),
    Good("raw", "raw"),
    Bad("unknown", "EMA"),
    Bad("None", None),
    Bad("number", 3),
    Bad("list", ["ema"]),
]


@both
def test_loading(generate, trained, tmp_path):
    known = {weights: jaxgan.load(trained, weights=weights)(num=3) for weights in ("ema", "raw")}
    axes = {"workdir": workdirs(trained, tmp_path), "step": STEPS, "weights": WEIGHTS}
    faults, count = run_cells(
        jaxgan.load, axes, lambda found, workdir, step, weights: same(found(num=3), known[weights]), generate
    )
    require_none(faults, count)


@both
def test_evaluating(generate, trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    quick = {
        "evaluation.extractor.name": "raw",
        "evaluation.protocol": "8",
        "evaluation.statistics.names": ("frechet_distance",),
    }
    axes = {
        "workdir": workdirs(run, tmp_path),
        "fields": [
            Good("dict", quick),
            Good("ordered", collections.OrderedDict(quick), quick),
            Bad("unknown", quick | {"evaluation.no_such": 3}),
            Bad("unknown section", quick | {"no.such": 3}),
            Bad("unknown extractor", quick | {"evaluation.extractor.name": "vgg"}, words=["extractor"]),
            Bad("unknown statistic", quick | {"evaluation.statistics.names": ("fid",)}, words=["statistic"]),
            Bad("unknown protocol", quick | {"evaluation.protocol": "many"}, words=["evaluation.protocol"]),
            Bad("a number for a text", quick | {"evaluation.protocol": 8}),
            Bad("a section", quick | {"evaluation": 8}),
            Bad("below a value", quick | {"evaluation.protocol.name": 8}),
            Bad("list", [("evaluation.protocol", "8")][:1] + [3]),
            Bad("text", "evaluation.protocol=8"),
            Bad("number", 3),
            Bad("numbers as names", {3: 4}),
            Bad("of training", quick | {"batch_size": 4}),
        ],
        "step": STEPS,
        "weights": WEIGHTS,
    }

    def right(found, workdir, fields, step, weights):
        drawn = jaxgan.load(run, weights=weights)(num=8, seed=0)
        fine = found["step"] == 20 and found["weights"] == weights and len(found["numbers"]) == 1
        return "" if fine and drawn.shape == (8, 8, 8, 1) else f"{found}"

    faults, count = run_cells(jaxgan.evaluate, axes, right, pairs if generate is every else generate)
    require_none(faults, count)


@both
def test_training(generate, trained, tmp_path):
    """With an invalid config or folder, the finished run in that folder does not change."""
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    finished = tiny_config(num_steps=20)
    before = jaxgan.load(run)(num=3)
    axes = {
        "config": [
            Good("ConfigDict", finished),
            Bad("dict", finished.to_dict()),
            Bad("None", None),
            Bad("text", "configs/default.py"),
            Bad("number", 3),
            Bad("empty", ConfigDict()),
            Bad("a section missing", functools.reduce(without, ["dataset"], finished)),
            Bad("a field missing", functools.reduce(without, ["num_steps"], finished)),
            Bad("a field more", ConfigDict(finished.to_dict() | {"no_such": 3})),
            Bad("text for a number", ConfigDict(finished.to_dict() | {"num_steps": "20"})),
            Bad("None for a number", ConfigDict(finished.to_dict() | {"batch_size": None})),
            Bad("a fraction", ConfigDict(finished.to_dict() | {"batch_size": 16.5})),
            Bad("NaN", ConfigDict(finished.to_dict() | {"ema_decay": float("nan")}), words=["ema_decay"]),
            Bad("a number for a section", ConfigDict(finished.to_dict() | {"loss": 3})),
        ],
        "workdir": [value for value in workdirs(run, tmp_path) if value.label != "missing"],
    }

    def right(found, config, workdir):
        return same(jaxgan.load(run)(num=3), before) or ("" if found == 0 else f"status {found}")

    faults, count = run_cells(jaxgan.train, axes, right, generate)
    require_none(faults, count)
    assert not same(jaxgan.load(run)(num=3), before)


def without(config, field):
    return ConfigDict({key: value for key, value in config.to_dict().items() if key != field})


@both
def test_data_sets(generate):
    axes = {
        "name": [
            Good("digits", "digits"),
            Bad("unknown", "digit", words=["dataset"]),
            Bad("None", None),
            Bad("number", 3),
            Bad("empty", "", words=["dataset"]),
            Bad("list", ["digits"]),
        ],
        "split": [
            Good("train", "train"),
            Good("test", "test"),
            Bad("unknown", "val"),
            Bad("None", None),
            Bad("list", []),
        ],
        "path": [Good("empty", ""), Bad("None", None), Bad("number", 3), Bad("bytes", b"a")],
        "image_size": [*whole(0, 0, 0, 8), Bad("huge", 2**40)],
        "fallback": [Good("empty", ""), Good("digits", "digits"), Bad("None", None), Bad("number", 3)],
    }
    faults, count = run_cells(
        datasets.load,
        axes,
        lambda found, name, split, path, image_size, fallback: (
            "" if found.shape == (8, 8, 1) and found.examples.max() == 255 else f"{found.shape}"
        ),
        generate,
    )
    require_none(faults, count)


@both
def test_data_sets_of_arrays(generate):
    images = RANDOM.integers(0, 256, (6, 4, 4, 1), np.uint8)
    labels = np.arange(6)
    axes = {
        "name": [Good("text", "mine"), Bad("None", None), Bad("number", 3)],
        "examples": [
            *[v for v in arrays(images, integers=True) if v.label not in ("wider", "list")],
            Bad("floats", images / 255),
            Bad("int64", images.astype(int)),
        ],  # fmt: skip
        "labels": [
            Good("None", None),
            Good("int64", labels),
            Good("uint8", labels.astype(np.uint8)),
            Good("list", labels.tolist(), labels),
            Bad("floats", labels / 2),
            Bad("short", labels[1:]),
            Bad("negative", labels - 1),
            Bad("huge", labels + 2**40),
            Bad("one-hot", np.eye(6, dtype=int)),
            Bad("text", labels.astype(str)),
            Bad("number", 3),
        ],
        "origin": [Good("text", "here"), Bad("None", None), Bad("number", 3)],
    }

    def right(found, name, examples, labels, origin):
        wanted = None if labels is None else np.asarray(labels)
        fine = np.array_equal(found.examples, examples) and (
            (found.labels is None) == (wanted is None)
            and (wanted is None or np.array_equal(found.labels, wanted))
        )
        return "" if fine else "other examples or labels"

    faults, count = run_cells(datasets.from_arrays, axes, right, generate)
    require_none(faults, count)
