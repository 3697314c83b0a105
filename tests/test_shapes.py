"""Array arguments of public functions have the shapes of their annotations (jaxtyping), and no others."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from beartype import beartype
from jaxtyping import TypeCheckError, jaxtyped

from jaxgan import latents, losses
from jaxgan.algorithm import metrics as step_metrics
from jaxgan.algorithm import tricks
from jaxgan.augment import AUGMENTATIONS, augment
from jaxgan.drawing import grids
from jaxgan.metrics import frechet, inception_score, kernel, memorization, modes, ms_ssim, prdc

SOURCE = np.random.default_rng(0)
FEATURES, FEWER, NARROW = (SOURCE.normal(size=shape) for shape in ((60, 4), (50, 4), (50, 3)))
IMAGES, OTHERS = (SOURCE.integers(0, 256, (num, 16, 16, 1), np.uint8) for num in (6, 5))
LOGITS, LONGER = jnp.arange(4.0), jnp.arange(5.0)
KEYS = jax.random.split(jax.random.key(0), 4)
SCALED = jnp.zeros((4, 8, 8, 1))
FLIP = (AUGMENTATIONS["flip"](),)
LOSS = losses.LOSSES["hinge"]()
UNEVEN = (FEWER, FEATURES[:, 0])  # features of one image are no vector

# function: its arguments, and such as are refused
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


@pytest.mark.parametrize(
    "module",
    [frechet, kernel, prdc, memorization, modes, ms_ssim, latents, tricks, grids],
    ids=lambda module: module.__name__,
)
def test_no_public_function_of_arrays_is_left_out(module):
    """One that takes an array says its shape, and is in the table above."""
    for name, function in vars(module).items():
        if name.startswith("_") or not inspect.isfunction(inspect.unwrap(function)):
            continue
        if inspect.unwrap(function).__module__ != module.__name__:
            continue
        kinds = [p.annotation for p in inspect.signature(function).parameters.values()]
        assert np.ndarray not in kinds or function in (grids.draw_circles,), name
        if any("jaxtyping" in getattr(kind, "__module__", "") for kind in kinds):
            assert function in CALLS, name
