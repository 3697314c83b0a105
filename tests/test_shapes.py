"""Public functions accept arrays of the annotated shapes (jaxtyping) and refuse others."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from beartype import beartype
from jaxtyping import TypeCheckError, jaxtyped
from matplotlib.figure import Figure

from jaxgan import latents, losses
from jaxgan.algorithm import gan, randomness, tricks
from jaxgan.algorithm import metrics as step_metrics
from jaxgan.augment import AUGMENTATIONS, augment, geometry
from jaxgan.config import experiment
from jaxgan.datasets import dataset, decode, idx, mixtures, order
from jaxgan.datasets.resize import resize_array
from jaxgan.declarations import arguments
from jaxgan.drawing import grids, plots
from jaxgan.extractors import inception
from jaxgan.metrics import (
    codes,
    distances,
    features,
    frechet,
    inception_score,
    kernel,
    memorization,
    modes,
    ms_ssim,
    prdc,
)
from jaxgan.models import convolution, enlarger, heads
from jaxgan.regularizers import draws
from jaxgan.sweeps import halving, results

SOURCE = np.random.default_rng(0)
FEATURES, FEWER, NARROW = (SOURCE.normal(size=shape) for shape in ((60, 4), (50, 4), (50, 3)))
IMAGES, OTHERS = (SOURCE.integers(0, 256, (num, 16, 16, 1), np.uint8) for num in (6, 5))
LOGITS, LONGER = jnp.arange(4.0), jnp.arange(5.0)
KEYS = jax.random.split(jax.random.key(0), 4)
SCALED = jnp.zeros((4, 8, 8, 1))
FLIP = (AUGMENTATIONS["flip"](),)
LOSS = losses.LOSSES["hinge"]()
UNEVEN = (FEWER, FEATURES[:, 0])  # features of one image must not be a vector
WORDS = np.array([0, 1], np.uint32)
NUMBERS = np.arange(5)
EYE = jnp.eye(3)
KERNEL = jnp.zeros((3, 3, 1, 2))
RING = dataset.Mixture(mixtures.ring_modes(), 0.1)
RAW = IMAGES / 255.0


def judge(points):
    return points.sum(axis=1)


# function: valid arguments, then arguments that are refused
CALLS = {
    frechet.frechet_distance: ((FEATURES, FEWER), (FEATURES, NARROW)),
    kernel.mmd2: ((FEATURES, FEWER), (FEATURES, NARROW)),
    kernel.kernel_distance: ((FEATURES, FEWER, dict(subset_size=20, num_subsets=2)), UNEVEN),
    prdc.prdc: ((FEATURES, FEWER), UNEVEN),
    memorization.nearest_training: ((FEATURES, FEWER), (FEATURES, NARROW)),
    memorization.data_copying: (
        (FEATURES, FEWER, FEWER, dict(num_cells=2, min_fakes=2)), (FEATURES, FEWER, NARROW),
    ),
    inception_score.inception_score: ((FEATURES, dict(num_splits=2)), (FEATURES[0],)),
    modes.mode_coverage: ((FEATURES, FEWER[:3], 1.0), (FEATURES, NARROW, 1.0)),
    modes.class_coverage: ((np.array([0, 1, 1]), np.array([0.5, 0.5])), (np.array([[0, 1]]), np.ones(2) / 2)),
    ms_ssim.ms_ssim: ((SCALED.repeat(2, 1).repeat(2, 2),) * 2 + (1,), (SCALED, SCALED[:2], 1)),
    ms_ssim.ms_ssim_diversity: ((IMAGES, dict(num_pairs=3)), (IMAGES / 255.0,)),
    latents.normal: ((KEYS[0], 3), (KEYS, 3)),
    latents.uniform: ((KEYS[0], 3), (KEYS, 3)),
    latents.truncated: ((KEYS[0], 3), (KEYS, 3)),
    latents.sample_latents: (("normal", KEYS[0], jnp.arange(4), 3), ("normal", KEYS[0], LOGITS, 3)),
    tricks.scale: ((jnp.asarray(IMAGES),), (jnp.arange(4),)),
    tricks.pack: ((SCALED, 2), (jnp.arange(4), 2)),
    tricks.unpack: ((SCALED.repeat(2, 3), 2), (jnp.arange(4), 2)),
    tricks.flip_labels: ((LOGITS, LOGITS, LOGITS > 1), (LOGITS, LONGER, LOGITS > 1)),
    losses.per_example: ((SCALED[..., 0, 0],), (SCALED,)),
    enlarger.shuffle: ((SCALED.repeat(4, 3),), (SCALED[0],)),
    tricks.top_k_weights: ((LOGITS, 3, 2.0, 10), (SCALED, 3, 2.0, 10)),
    step_metrics.logit_metrics: ((LOSS, LOGITS, LOGITS), (LOSS, LOGITS, LONGER)),
    step_metrics.diversity: ((SCALED, SCALED, None), (SCALED, SCALED[:2], None)),
    losses.real_or_fake: ((jnp.ones((4, 3)),), (LOGITS,)),
    losses.identification: ((jnp.ones((4, 3)), jnp.array([0, 1, 0, 1])), (jnp.ones((4, 3)), jnp.array([0]))),
    augment: ((FLIP, KEYS, SCALED, 0.5), (FLIP, KEYS[:2], SCALED)),
    grids.draw_samples: ((IMAGES,), (IMAGES / 255.0,)),
    grids.to_image: ((IMAGES[0],), (IMAGES,)),
    grids.draw_real_and_fake: ((IMAGES, OTHERS), (IMAGES, OTHERS[:, :8])),
    grids.draw_closest_pairs: ((IMAGES, IMAGES, np.arange(6.0)), (IMAGES, IMAGES, np.arange(5.0))),
    grids.draw_circles: ((Figure().subplots(), FEWER[:, :2], 1.0), (Figure().subplots(), FEWER, 1.0)),
    plots.draw_mixture: ((FEWER[:, :2], RING, judge), (FEWER, RING, judge)),
    geometry.resample: ((SCALED[0], EYE), (SCALED, EYE)),
    geometry.precision: ((SCALED[0],), (SCALED,)),
    geometry.compose: ((EYE, EYE), (EYE, EYE[:2])),
    dataset.from_arrays: (("mine", IMAGES, None, "here"), ("mine", RAW, None, "here")),
    dataset.take: ((IMAGES, NUMBERS), (IMAGES, NUMBERS / 2)),
    dataset.fingerprint: ((IMAGES, None), (IMAGES, RAW)),
    idx.md5: ((IMAGES,), (RAW,)),
    order.draws: ((WORDS, NUMBERS, 9, 2), (WORDS, IMAGES, 9, 2)),
    order.group_by_class: ((NUMBERS,), (NUMBERS / 2,)),
    decode.stack: (([*IMAGES], range(6), "images", (16, 16, 1)), ([*RAW], range(6), "images", (16, 16, 1))),
    resize_array: ((IMAGES, 4), (RAW, 4)),
    experiment.class_weights: ((NUMBERS, ()), (NUMBERS / 2, ())),
    arguments.finite: (("x", RAW), ("x", [1.0])),
    inception.resize: ((jnp.asarray(IMAGES), 8), (jnp.asarray(IMAGES[0]), 8)),
    latents.make_key: ((WORDS,), (WORDS.astype(np.int64),)),
    latents.latent_keys: ((SCALED[0, :, :, 0],), (SCALED[0],)),
    gan.data_key: ((WORDS,), (KEYS[0],)),
    gan.partner_key: ((WORDS,), (KEYS[0],)),
    randomness.example_keys: ((KEYS[0], jnp.arange(4)), (KEYS, jnp.arange(4))),
    randomness.named_keys: ((KEYS, "noise"), (WORDS, "noise")),
    draws.draw: ((jax.random.normal, KEYS, (2,)), (jax.random.normal, KEYS[0], (2,))),
    draws.split: ((KEYS,), (KEYS[0],)),
    codes.code_agreement: ((NUMBERS % 2, NUMBERS, 2), (NUMBERS % 2, NUMBERS[:3], 2)),
    distances.blocks: ((FEATURES, FEWER, FEWER[0]), (FEATURES, FEWER, NARROW[0])),
    distances.squared_distances: ((FEATURES, FEWER, FEWER[0]), (FEATURES, NARROW, FEWER[0])),
    distances.nearest_squares: ((FEATURES, 2, FEWER[0]), (FEATURES, 2, NARROW[0])),
    features.check_features: ((FEATURES, "real"), (FEATURES[0], "real")),
    features.check_pair: ((FEATURES, FEWER), (FEATURES, NARROW)),
    features.check_width: ((FEATURES, FEWER), (FEATURES, FEWER[0])),
    convolution.conv: ((SCALED, KERNEL, 2), (SCALED, SCALED[0], 2)),
    convolution.conv_transpose: ((SCALED.repeat(2, 3), KERNEL, 1, (8, 8)), (SCALED, KERNEL, 1, (8, 8))),
    convolution.plain_conv: ((SCALED, KERNEL, 2), (SCALED, SCALED[0], 2)),
    convolution.plain_conv_transpose: ((SCALED.repeat(2, 3), KERNEL, 1, (8, 8)), (SCALED, KERNEL, 1, (8, 8))),
    convolution.conv_kernel_gradient: ((SCALED, SCALED, 1, (3, 3)), (SCALED, SCALED[:2], 1, (3, 3))),
    heads.unit: ((LOGITS,), (LOGITS[0],)),
    halving.keep: ((RAW[0, 0, :, 0], (), 2, True), (RAW, (), 2, True)),
    results.interval: ((RAW[0, 0, :, 0],), (RAW,)),
    results.paired_test: ((RAW[0, 0, :, 0],), (RAW,)),
    results.holm: ((RAW[0, 0, :, 0],), (RAW,)),
}  # fmt: skip


def call(function, arguments):
    *positional, last = arguments
    named = last if isinstance(last, dict) else {}
    return function(*positional, *([] if named else [last]), **named)


@pytest.mark.parametrize("function", CALLS, ids=lambda function: function.__name__)
def test_shapes_are_as_annotated(function):
    checked = jaxtyped(inspect.unwrap(function), typechecker=beartype)
    right, wrong = CALLS[function]
    call(checked, right)
    with pytest.raises(TypeCheckError):
        call(checked, wrong)
