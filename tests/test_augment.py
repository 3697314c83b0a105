import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from jaxgan import datasets
from jaxgan.augment import AUGMENTATIONS, augment, init_adaptive, ordinary, update_adaptive
from jaxgan.errors import UserError

every_augmentation = pytest.mark.parametrize("name", list(AUGMENTATIONS))


@functools.cache
def images():
    """Real digits, three as the colour channels of an image of 8×7: float32 [64, 8, 7, 3] in [-1, 1]."""
    digits = datasets.load("digits", image_size=8).examples[:192, :, :7]
    pixels = np.moveaxis(digits.reshape(64, 3, 8, 7), 1, -1) / np.float32(127.5) - 1
    assert (pixels != 0).all()  # so that filling with 0 is visible
    return pixels


def some_keys(count, seed=0):
    """Typed keys [count]."""
    return jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(jnp.arange(count))


def apply(name, count=64, seed=0, pictures=None, **fields):
    """Augmented `pictures`, by default the digits repeated, each with its own key; as a NumPy array."""
    pictures = np.resize(images(), (count, *images().shape[1:])) if pictures is None else pictures
    op = AUGMENTATIONS[name](**fields)
    return pictures, np.asarray(jax.jit(jax.vmap(op))(some_keys(len(pictures), seed), pictures))


def same(found, expected):
    """Equality up to rounding: XLA may fuse two programs differently."""
    np.testing.assert_allclose(found, expected, atol=5e-6)


def assert_uniform(counts):
    """Asserts that the cells are equally likely, with a chi-square test."""
    assert stats.chisquare(np.asarray(counts)).pvalue > 1e-4


# --- Single transformations ---------------------------------------------------------------------------


def which(found, candidates):
    """How often each of the candidates [K][N, ...] equals `found` [N, ...]; one of them must."""
    hits = np.array([(candidate == found).reshape(len(found), -1).all(axis=1) for candidate in candidates])
    assert (hits.sum(axis=0) == 1).all()
    return hits.sum(axis=1)


def windows(pictures, down, right, mode):
    """All crops of the old size after padding by `down` rows and `right` columns on each side."""
    padded = np.pad(pictures, ((0, 0), (down, down), (right, right), (0, 0)), mode)
    return [
        padded[:, y : y + 8, x : x + 7]
        for y, x in itertools.product(range(2 * down + 1), range(2 * right + 1))
    ]


@pytest.mark.parametrize(
    ("name", "fields", "padding"),
    [
        ("translation", {}, (1, 1, "constant")),
        ("translation", {"ratio": 0.3}, (2, 2, "constant")),
        ("crop", {}, (4, 4, "reflect")),
        ("crop", {"padding": 1}, (1, 1, "reflect")),
        ("crop", {"padding": 2, "mode": "zero"}, (2, 2, "constant")),
    ],
)
def test_shifts_are_equally_likely_windows_of_the_padded_image(name, fields, padding):
    pictures, found = apply(name, count=4000, **fields)
    assert_uniform(which(found, windows(pictures, *padding)))


@pytest.mark.parametrize("ratio", [0.5, 0.25, 1.0])
def test_cutout_fills_the_square_and_nothing_else(ratio):
    pictures, found = apply("cutout", count=4000, ratio=ratio)
    high, wide = int(8 * ratio + 0.5), int(7 * ratio + 0.5)
    candidates = []
    for y, x in itertools.product(range(8 + 1 - high % 2), range(7 + 1 - wide % 2)):  # the published ranges
        top, left, hole = y - high // 2, x - wide // 2, pictures.copy()
        hole[:, max(top, 0) : top + high, max(left, 0) : left + wide] = 0
        candidates.append(hole)
    assert_uniform(which(found, candidates))


@pytest.mark.parametrize(
    ("name", "size", "pixels"),
    [
        ("translation", 28, 4),
        ("translation", 20, 3),
        ("translation", 32, 4),
        ("cutout", 25, 13),
        ("cutout", 28, 14),
    ],
)
def test_half_pixels_are_rounded_up(name, size, pixels):
    """As int(size * ratio + 0.5) in the published code."""
    ones = np.ones((2000, size, 1, 1), np.float32)
    empty = (apply(name, pictures=ones)[1] == 0).sum(axis=1)
    assert empty.max() == pixels


def test_flip_mirrors_every_other_image():
    pictures, found = apply("flip", count=1000)
    assert_uniform(which(found, [pictures, pictures[:, :, ::-1]]))


def test_color_is_the_published_three():
    """Each transformation alone, then all in sequence with the same draws."""
    pictures, found = apply("color")
    names, strengths = ("brightness", "saturation", "contrast"), np.diag([0.5, 1.0, 0.5])
    run = jax.jit(lambda numbers: jax.vmap(AUGMENTATIONS["color"](**numbers))(some_keys(64), pictures))
    brighter, saturated, stretched = (
        np.asarray(run(dict(zip(names, row, strict=True)))) for row in strengths
    )
    grey, mean = pictures.mean(axis=3, keepdims=True), pictures.mean(axis=(1, 2, 3), keepdims=True)

    def factor(changed, centre):
        """The least-squares f of changed = centre + f (pictures - centre), [64, 1, 1, 1]."""
        away = pictures - centre
        scale = np.square(away).sum((1, 2, 3), keepdims=True)
        return ((changed - centre) * away).sum((1, 2, 3), keepdims=True) / scale

    shift = (brighter - pictures).mean(axis=(1, 2, 3), keepdims=True)
    saturation, contrast = factor(saturated, grey), factor(stretched, mean)
    np.testing.assert_allclose(brighter, pictures + shift, atol=1e-6)
    np.testing.assert_allclose(saturated, grey + saturation * (pictures - grey), atol=1e-5)
    np.testing.assert_allclose(stretched, mean + contrast * (pictures - mean), atol=1e-5)
    for draws, low, width in ((shift, -0.5, 1), (saturation, 0, 2), (contrast, 0.5, 1)):
        assert stats.kstest(draws.ravel(), stats.uniform(low, width).cdf).pvalue > 1e-3
    expected = pictures + shift
    grey = expected.mean(axis=3, keepdims=True)
    expected = grey + saturation * (expected - grey)
    mean = expected.mean(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(found, mean + contrast * (expected - mean), atol=1e-5)


def test_quarter_turns_are_those_of_numpy():
    image = images()[0]
    square = image[:7]
    assert np.array_equal(ordinary._rotate(image, 0.0), image)
    np.testing.assert_allclose(ordinary._rotate(square, np.pi / 2), np.rot90(square), atol=2e-6)
    np.testing.assert_allclose(ordinary._rotate(square, -np.pi / 2), np.rot90(square, -1), atol=2e-6)
    np.testing.assert_allclose(ordinary._rotate(image, np.pi), np.rot90(image, 2), atol=2e-6)


def test_scaling_by_one_is_the_identity():
    assert np.array_equal(ordinary._scale(images()[0], 1.0), images()[0])
    assert np.array_equal(apply("scale", zoom=0.0)[1], images())


def by_scipy(image, matrix):
    """The image whose pixel at c + v is the old one's at c + matrix v, bilinear, nearest edge."""
    centre = (np.array(image.shape[:2]) - 1) / 2
    offset = centre - matrix @ centre
    channels = [
        ndimage.affine_transform(channel, matrix, offset, order=1, mode="nearest")
        for channel in np.moveaxis(np.float64(image), -1, 0)
    ]
    return np.stack(channels, axis=-1)


@pytest.mark.parametrize("angle", [0.3, -1.1])
def test_rotation_samples_as_scipy_does(angle):
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(ordinary._rotate(images()[1], angle), by_scipy(images()[1], turn), atol=1e-5)


@pytest.mark.parametrize("factor", [0.7, 1.6])
def test_scale_samples_as_scipy_does(factor):
    expected = by_scipy(images()[1], np.eye(2) / factor)
    np.testing.assert_allclose(ordinary._scale(images()[1], factor), expected, atol=1e-5)


def coordinates(count):
    """Images of the coordinates relative to the centre, [count, 9, 9, 2]: a sample is its own position."""
    return np.broadcast_to(np.moveaxis(np.mgrid[-4:5, -4:5], 0, -1), (count, 9, 9, 2)).astype(np.float32)


def test_angles_are_uniform():
    _, found = apply("rotation", pictures=coordinates(1000), degrees=40.0)
    y, x = found[:, 4, 5].T  # one to the right of the centre
    assert stats.kstest(np.degrees(np.arctan2(y, x)), stats.uniform(-40, 80).cdf).pvalue > 1e-3


def test_factors_are_uniform_in_their_logarithm():
    _, found = apply("scale", pictures=coordinates(1000), zoom=0.5)
    powers = np.log(1 / found[:, 4, 5, 1]) / np.log(1.5)
    assert stats.kstest(powers, stats.uniform(-1, 2).cdf).pvalue > 1e-3


# --- Properties of all transformations
# ---------------------------------------------------------------------------


@every_augmentation
def test_shape_and_type_stay(name):
    op = AUGMENTATIONS[name]()
    for shape, dtype in (((8, 7, 3), jnp.float32), ((9, 16, 1), jnp.float32), ((8, 8, 4), jnp.bfloat16)):
        image = jax.ShapeDtypeStruct(shape, dtype)
        found = jax.eval_shape(op, jax.random.key(0), image)
        assert (found.shape, found.dtype) == (shape, dtype)


@every_augmentation
def test_draws_depend_on_the_key_alone(name):
    pictures = np.broadcast_to(images()[0], images().shape)
    run = jax.jit(jax.vmap(AUGMENTATIONS[name]()))
    keys = some_keys(64)
    found = run(keys, pictures)
    assert np.isfinite(found).all()
    assert len(np.unique(found, axis=0)) > 1  # each example has its own
    assert not np.array_equal(run(some_keys(64, seed=1), pictures), found)
    same(run(keys[::-1], pictures), found[::-1])  # in any order
    same(run(keys[5:12], pictures[5:12]), found[5:12])  # in any batch


@every_augmentation
def test_gradients_are_finite_differences(name):
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        image, weights, direction = rng.normal(size=(3, 8, 7, 3))
        op = AUGMENTATIONS[name]()

        def functional(image, key):
            return (weights * op(key, image)).sum()

        @jax.jit
        def both(key):
            ends = [functional(image + step * direction, key) for step in (-0.5, 0.5)]  # affine: no error
            return jax.grad(functional)(image, key), ends[1] - ends[0]

        for key in some_keys(3):
            found, difference = both(key)
            assert found.dtype == jnp.float64 and np.abs(found).max() > 0.1
            np.testing.assert_allclose((found * direction).sum(), difference, atol=1e-9)


@every_augmentation
def test_numbers_may_be_traced(name):
    fields = AUGMENTATIONS.fields(name)
    numbers = {field: p.default for field, p in fields.items() if isinstance(p.default, float)}
    keys, traces = some_keys(64), []

    @jax.jit
    def traced(numbers):
        traces.append(numbers)
        return jax.vmap(AUGMENTATIONS[name](**numbers))(keys, images())

    for factor in (1.0, 0.4):
        values = {field: factor * number for field, number in numbers.items()}
        found = traced(jax.tree.map(jnp.float32, values))
        assert found.dtype == jnp.float32
        same(found, apply(name, **values)[1])
    assert len(traces) == 1


@every_augmentation
def test_numbers_of_zero_change_nothing(name):
    parameters = AUGMENTATIONS.fields(name).values()
    zeros = {p.name: type(p.default)(0) for p in parameters if isinstance(p.default, int | float)}
    if zeros:
        pictures, found = apply(name, **zeros)
        same(found, pictures)


# --- Several transformations with a probability
# -------------------------------------------------------------------------

OPS = tuple(builder() for builder in map(AUGMENTATIONS.__getitem__, ("flip", "color", "rotation")))


def test_all_are_applied_in_their_order_with_keys_of_their_own():
    keys = some_keys(64)
    expected = images()
    for i, op in enumerate(OPS):
        own = jax.vmap(jax.random.fold_in, (0, None))(keys, i)
        expected = jax.jit(jax.vmap(op))(own, expected)
    always = jax.jit(lambda: augment(OPS, keys, images()))()
    same(always, expected)
    sometimes = jax.jit(lambda probability: augment(OPS, keys, images(), probability))
    same(sometimes(1.0), always)
    assert np.array_equal(sometimes(0.0), images())
    assert np.array_equal(augment((), keys, images(), 0.5), images())


def test_each_transformation_is_applied_independently_with_the_probability():
    digits = tuple(lambda key, image, place=place: image + 10**place for place in range(3))
    count, traces = 5000, []

    @jax.jit
    def total(probability):
        traces.append(probability)
        return augment(digits, some_keys(count), jnp.zeros((count, 1, 1, 1)), probability)

    for probability in (0.3, 0.0, 1.0):
        sums = np.asarray(total(probability)).ravel().astype(int)
        applied = np.stack([sums // 10**place % 10 for place in range(3)])
        for row in applied:
            assert stats.binomtest(int(row.sum()), count, probability).pvalue > 1e-3
    assert len(traces) == 1
    cells = np.bincount(np.asarray(total(0.5)).ravel().astype(int), minlength=112)
    assert_uniform(cells[[0, 1, 10, 11, 100, 101, 110, 111]])  # independent of each other


def test_devices_that_share_a_batch_do_not_matter():
    keys = some_keys(64)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:4])
    share = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    run = jax.jit(lambda keys, images: augment(OPS, keys, images, 0.5))
    found = run(jax.device_put(keys, share), jax.device_put(images(), share))
    same(found, run(keys, images()))


def test_gradients_pass_through_a_scan():
    def body(pictures, step):
        keys = jax.vmap(lambda key: jax.random.fold_in(key, step))(some_keys(64))
        return pictures - 0.1 * jax.grad(lambda x: jnp.square(augment(OPS, keys, x, 0.5)).sum())(
            pictures
        ), None

    found, _ = jax.jit(lambda x: jax.lax.scan(body, x, jnp.arange(3)))(images())
    assert np.isfinite(found).all() and np.square(found).sum() < np.square(images()).sum()


# --- Adaptive probability -----------------------------------------------------------------------------


def reference(batches, batch_size, p, target, length, interval):
    """The published rule: p after each minibatch."""
    window, values = [], []
    for number, logits in enumerate(batches, start=1):
        window += list(np.sign(logits))
        if number % interval == 0:
            adjust = np.sign(np.mean(window) - target) * batch_size * interval / length
            p, window = min(max(p + adjust, 0), 1), []
        values.append(p)
    return values


@pytest.mark.parametrize(("interval", "start"), [(4, 0.0), (1, 0.5), (3, 0.97)])
def test_adaptation_follows_the_published_rule_over_any_calls(interval, start):
    rng = np.random.default_rng(interval)
    drift = 0.8 + np.sin(np.arange(50) / 5)[:, None]  # r_t is both above and below the target
    batches = rng.normal(drift, 1, (50, 16)).astype(np.float32)
    numbers = {"target": 0.6, "length": 2000.0}
    expected = reference(batches, 16, start, **numbers, interval=interval)
    traces = []

    @jax.jit
    def run(memory, batches, numbers):
        traces.append(numbers)

        def body(memory, logits):
            memory = update_adaptive(memory, logits, 16, **numbers, interval=interval)
            return memory, memory["probability"]

        return jax.lax.scan(body, memory, batches)

    memory, found = init_adaptive(start), []
    types = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), memory)
    for first in range(0, 50, 10):
        memory = jax.tree.map(np.asarray, memory)  # as through a checkpoint
        memory, values = run(memory, batches[first : first + 10], jax.tree.map(jnp.float32, numbers))
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), memory) == types
        found += list(values)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert min(expected) < max(expected) and len(traces) == 1
    done = 50 // interval * interval
    heuristic = np.sign(batches[done - interval : done]).mean()
    np.testing.assert_allclose(memory["heuristic"], heuristic, rtol=1e-6)


def test_the_probability_is_constant_if_the_heuristic_is_on_target():
    logits = jnp.array([1.0] * 8 + [-1.0] * 2)  # r_t = 0.6
    memory = init_adaptive(0.5)
    for _ in range(4):
        memory = update_adaptive(memory, logits, 10)
    np.testing.assert_allclose(memory["heuristic"], 0.6, rtol=1e-6)
    assert memory["probability"] == 0.5


def test_the_probability_crosses_in_length_images():
    sure = jnp.ones(50)

    @jax.jit
    def after(memory, logits, count):
        return jax.lax.fori_loop(0, count, lambda _, memory: update_adaptive(memory, logits, 50), memory)

    nearly = after(init_adaptive(), sure, 9_996)
    np.testing.assert_allclose(nearly["probability"], 9_996 / 10_000, atol=1e-4)
    assert nearly["probability"] < 1
    there = after(nearly, sure, 8)  # 500,200 images
    assert there["probability"] == 1
    assert after(there, -sure, 10_008)["probability"] == 0


def test_packed_discriminators_count_images_not_logits():
    memory = update_adaptive(init_adaptive(), jnp.ones(4), 8, length=80.0, interval=1)
    np.testing.assert_allclose(memory["probability"], 0.1, rtol=1e-6)
    assert memory["heuristic"] == 1


# --- Invalid fields
# -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("color", {"brightness": -0.5}, r"color\.brightness=-0\.5 must be finite and at least 0"),
        ("color", {"contrast": float("nan")}, r"color\.contrast=nan must be"),
        ("translation", {"ratio": 1.5}, r"translation\.ratio=1\.5 must lie in \[0, 1\]"),
        ("cutout", {"ratio": 2.0}, r"cutout\.ratio=2\.0 must lie in \[0, 1\]"),
        ("crop", {"padding": -1}, r"crop\.padding=-1 must be"),
        ("crop", {"mode": "wrap"}, r"unknown crop\.mode 'wrap'; known: reflect, zero"),
        ("rotation", {"degrees": 270.0}, r"rotation\.degrees=270\.0 must lie in \[0, 180\]"),
        ("scale", {"zoom": float("inf")}, r"scale\.zoom=inf must be"),
    ],
)
def test_impossible_fields_are_refused_by_name(name, fields, message):
    with pytest.raises(UserError, match=message):
        AUGMENTATIONS[name](**fields)


def test_other_impossible_numbers_are_refused():
    with pytest.raises(UserError, match=r"crop\.padding=7 must be below the image's size \(8, 7\)"):
        apply("crop", padding=7)
    with pytest.raises(UserError, match=r"probability=1\.2 must lie in \[0, 1\]"):
        augment(OPS, some_keys(64), images(), 1.2)
    with pytest.raises(UserError, match=r"probability=-1 must lie in \[0, 1\]"):
        init_adaptive(-1)
    with pytest.raises(UserError, match="interval=0 must be at least 1"):
        update_adaptive(init_adaptive(), jnp.ones(2), 2, interval=0)


def test_multipliers_are_factors_of_the_probability():
    images = jnp.float32(np.random.default_rng(0).uniform(-1, 1, (2000, 3, 3, 1)))
    keys = jax.random.split(jax.random.key(0), len(images))
    ops = AUGMENTATIONS["brightness"](), AUGMENTATIONS["flip"]()
    second = jax.vmap(lambda key, image: ops[1](jax.random.fold_in(key, 1), image))(keys, images)
    np.testing.assert_array_equal(augment(ops, keys, images, None, (0.0, 1.0)), second)
    found = augment(ops[:1], keys, images, 0.8, (0.5,))
    changed = np.asarray(found != images).any(axis=(1, 2, 3)).mean()
    assert abs(changed - 0.4) < 4 * np.sqrt(0.4 * 0.6 / len(images))
