"""What holds for every task."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import datasets
from jaxgan.errors import UserError
from jaxgan.tasks import TASKS

every_task = pytest.mark.parametrize("name", list(TASKS))
KEYS = jax.random.split(jax.random.key(3), 4)


def colours():
    """Real digits, three of them as the colours of one, 8x8: float32 [4, 8, 8, 3] in [-1, 1]."""
    digits = datasets.load("digits").examples[:12, :, :, 0].reshape(4, 3, 8, 8)
    return jnp.asarray(np.moveaxis(digits, 1, -1) / np.float32(127.5) - 1)


def pictures(name):
    """Such ones; two of them in the channels of one, where the task takes pairs."""
    pair = name in ("paired", "unpaired")
    return jnp.concatenate([colours(), -colours()], axis=-1) if pair else colours()


@every_task
def test_a_task_gives_what_it_says(name):
    """Shapes, float32, targets and baselines in [-1, 1]; an example does not depend on its batch."""
    task, images = TASKS[name](), pictures(name)
    task.check(images.shape[1:])
    target, given = jax.jit(task.real)(images, KEYS)
    assert given.keys() == {"image"}
    assert (target.shape[1:], given["image"].shape[1:]) == task.shapes(images.shape[1:])
    assert target.dtype == given["image"].dtype == np.float32
    assert jnp.abs(target).max() <= 1

    alone, of_one = jax.jit(task.real)(images[2:3], KEYS[2:3])
    np.testing.assert_array_equal(alone, target[2:3])
    np.testing.assert_array_equal(of_one["image"], given["image"][2:3])

    for restored in task.baselines(np.asarray(given["image"])).values():
        assert restored.shape == target.shape
        assert restored.dtype == np.float32 and np.abs(restored).max() <= 1
    if (hole := task.hole(given["image"])) is not None:
        assert hole.shape == (4, 8, 8, 1) and set(np.unique(hole)) == {0, 1}


@every_task
def test_points_are_refused(name):
    with pytest.raises(UserError, match=f"task '{name}' needs images"):
        TASKS[name]().check((2,))


@pytest.mark.parametrize(
    ("name", "fields", "shape", "message"),
    [
        ("super_resolution", {}, (28, 30, 1), "factor=4 does not divide the images' 28x30"),
        ("colouring", {}, (8, 8, 1), "needs images of 3 channels, and these have 1"),
        ("colouring", {"weights": (0.5, 0.6, 0.1)}, (8, 8, 3), "three numbers with sum 1"),
        ("colouring", {"weights": (0.5, 0.5)}, (8, 8, 3), "three numbers with sum 1"),
        ("inpainting", {"side": 28}, (28, 32, 1), "side=28 must be below the images' 28x32"),
        ("inpainting", {"holes": "strokes", "brush": 9.0}, (8, 8, 1), "brush=9.0 must be below"),
        ("paired", {}, (8, 8, 3), "two pictures, and these have 3 channels"),
        ("paired", {"given_channels": 3}, (8, 8, 3), "leaves none of 3 channels"),
        ("unpaired", {}, (8, 8, 3), "needs pairs, and these have 3 channels"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(name, fields, shape, message):
    with pytest.raises(UserError, match=message) as error:
        TASKS[name](**fields).check(shape)
    assert len(str(error.value)) < 300 and "task" in str(error.value)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("super_resolution", {"factor": 3}),
        ("inpainting", {"fill": 1.5}),
        ("denoising", {"sigma": 0.0}),
        ("colouring", {"weights": (-0.1, 0.6, 0.5)}),
    ],
)
def test_fields_have_ranges(name, fields):
    with pytest.raises(UserError, match=rf"^task\.{name}\."):
        TASKS[name](**fields)
