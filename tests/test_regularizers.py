import inspect
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from jaxgan.algorithm.conditions import Codes
from jaxgan.errors import UserError
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.models.convolution import conv
from jaxgan.regularizers import (
    CONSISTENCY,
    FAMILIES,
    FEATURE_PENALTIES,
    GRADIENT_PENALTIES,
    LOGIT_PENALTIES,
    PROJECTIONS,
    WEIGHT_PENALTIES,
    family_of,
    weight,
)
from jaxgan.regularizers.classes import Said
from jaxgan.regularizers.reconstruction import Parts

B = 4
SHAPES = {"images": (B, 3, 2, 5), "points": (B, 3)}
ENTRIES = [(family, name) for family, registry in FAMILIES.items() for name in registry]
COUPLED = {"dragan", "lecam"}  # depends on statistics of the whole batch

# Formulas of the papers: the squared norm of the gradient → the penalty.
GRADIENT_FORMULAS = {
    "wgan_gp": lambda square: (np.sqrt(square) - 1) ** 2,
    "dragan": lambda square: (np.sqrt(square) - 1) ** 2,
    "r1": lambda square: square / 2,
    "r2": lambda square: square / 2,
    "zero_centered": lambda square: square,
}


def keys(seed=3):
    return jax.random.split(jax.random.key(seed), B)


def examples(kind="images", seed=0):
    """Real and fake examples in float64."""
    rng = np.random.default_rng(seed)
    return rng.normal(1, 2, SHAPES[kind]), rng.normal(-1, 1, SHAPES[kind])


def network(seed=1):
    """Float64 parameters of a network with every kind of layer, all widths different."""
    rng = np.random.default_rng(seed)
    shapes = {
        "dense_0": {"kernel": (3, 4), "bias": (4,)},
        "batch_norm_0": {"scale": (4,), "bias": (4,)},
        "block": {"conv_1": {"kernel": (2, 3, 4, 5)}, "conv_transpose_1": {"kernel": (3, 2, 6, 5)}},
        "output": {"kernel": (3, 3, 2, 6), "bias": (2,)},
    }
    return jax.tree.map(lambda shape: rng.normal(size=shape), shapes, is_leaf=lambda x: isinstance(x, tuple))


def single(tree):
    return jax.tree.map(jnp.float32, tree)


def places(name, real, fake):
    """The points at which the gradient is taken, in NumPy, from the same keys."""
    if name in ("r1", "r2"):
        return real if name == "r1" else fake
    found = []
    for x, y, key in zip(real, fake, keys(), strict=True):
        if name == "dragan":
            alpha_key, noise_key = jax.random.split(key)
            noise = np.asarray(jax.random.uniform(noise_key, x.shape))
            y = x + 0.5 * np.std(real) * noise
            epsilon = 1 - float(jax.random.uniform(alpha_key))
        else:
            epsilon = float(jax.random.uniform(key))
        found.append(epsilon * x + (1 - epsilon) * y)
    return np.stack(found)


# --- The contract of every entry ----------------------------------------------------------------------


def critic(images):
    """A critic without interactions between examples, with non-zero curvature everywhere."""
    return (
        jnp.tanh(images.reshape(len(images), -1) / 3).sum(axis=1) + images.reshape(len(images), -1)[:, 0] ** 2
    )


def generator(z):
    return jnp.tanh(jnp.stack([z, z**2], axis=2))


def brighten(keys, images):
    return images + jax.vmap(jax.random.normal)(keys).reshape(-1, *[1] * (images.ndim - 1))


def features(images):
    return jnp.tanh(images.reshape(len(images), -1)[:, :3])


def run(family, penalty, seed=0, kind="images"):
    """All outputs of a penalty of the family for some inputs, as a dict."""
    real, fake = single(examples(kind, seed))
    logits = critic(real), critic(fake)
    if family == "gradient":
        return {"values": penalty(critic, real, fake, keys())}
    if family == "logit":
        values, memory = penalty.penalty(*logits, penalty.init())
        return {"values": values, "memory": memory}
    if family == "consistency":
        return penalty(critic, generator, brighten, real, real.reshape(B, -1)[:, :3], keys())
    if family == "weight":
        params = single(network(seed))
        memory = penalty.update(params, penalty.init(single(network(seed + 1))))
        return {"value": penalty.penalty(params, memory), "memory": memory}
    if family == "projection":
        return {"params": penalty(single(network(seed)))}
    if family == "class":
        sides = said(penalty, seed)
        return {"discriminator": penalty.discriminator(*sides), "generator": penalty.generator(*sides)}
    if family == "reconstruction":
        pairs = [jnp.concatenate([x, x], axis=-1) for x in (real, fake)]  # for the terms of pairs
        parts = Parts(
            {"image": pairs[0]},
            generate=lambda given: pairs[1] + given["image"],
            features=dict.fromkeys(
                ("classifier_content", "vgg_content"), lambda pair: features(jnp.split(pair, 2, axis=-1)[0])
            ),
        )
        return {"values": penalty(*pairs, parts)}
    return {"value": penalty(jnp.stack(logits, axis=1), jnp.stack(logits[::-1], axis=1) + 1)}


def said(penalty, seed=0, classes=3):
    """The outputs of its head for real and for fake examples, whose labels differ."""
    example = Codes((jnp.zeros((1, 2)),), jnp.zeros((1, 1)))
    condition = SimpleNamespace(num_classes=classes, example={"codes": example})
    head, rng = penalty.head(condition), np.random.default_rng(seed)
    codes = Codes((jnp.eye(2)[jnp.array([0, 1, 1, 0])],), jnp.float32(rng.uniform(-1, 1, (B, 1))))
    sides = []
    for labels in ([0, 1, 2, 1], [2, 2, 0, 1]):
        logits = jnp.float32(rng.normal(size=(B, head.outputs)) / 3)
        embedding = rng.normal(size=(B, 5)) if head.embedding else None
        if head.embedding:
            embedding = jnp.float32(embedding / np.linalg.norm(embedding, axis=1, keepdims=True))
        sides.append(Said(logits, embedding, {"labels": jnp.array(labels), "codes": codes}))
    return sides


def numbers(registry, name):
    """The fields that are leaves of the state."""
    return {
        field: parameter.default
        for field, parameter in registry.fields(name).items()
        if isinstance(parameter.default, float)
    }


def test_names_are_unique_and_know_their_family():
    names = [name for _, name in ENTRIES]
    assert len(set(names)) == len(names)
    for family, name in ENTRIES:
        assert family_of(name) == family


def test_an_unknown_name_lists_all_families_and_the_nearest():
    with pytest.raises(UserError, match="unknown regularizer 'wgan-gp'") as error:
        family_of("wgan-gp")
    assert "Did you mean 'wgan_gp'?" in str(error.value)
    for _, name in ENTRIES:
        assert name in str(error.value)


@pytest.mark.parametrize(("family", "name"), ENTRIES)
def test_fields_do_not_hide_those_of_the_step(family, name):
    fields = FAMILIES[family].fields(name)
    assert not fields.keys() & {"weight", "interval", "schedule"}
    for field in fields.values():
        assert isinstance(field.default, float | int | bool | str | tuple), field.name
        assert field.default is not inspect.Parameter.empty


@pytest.mark.parametrize(("family", "name"), ENTRIES)
def test_shapes(family, name):
    for kind in SHAPES:
        outputs = jax.eval_shape(lambda kind=kind: run(family, FAMILIES[family][name](), kind=kind))
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(outputs))
        if family in ("gradient", "logit"):
            assert outputs["values"].shape == (B,)
        if family == "consistency":
            assert outputs and outputs.keys() <= {"discriminator", "generator"}
            assert all(values.shape == (B,) for values in outputs.values())
        if family == "class":
            assert outputs["discriminator"].shape == outputs["generator"].shape == (B,)
        if family in ("weight", "feature"):
            assert outputs["value"].shape == ()


@pytest.mark.parametrize(("family", "name"), ENTRIES)
def test_one_program_serves_every_number(family, name):
    """Float fields may be traced, each changes the result, and all outputs are finite."""
    registry, traces = FAMILIES[family], []
    fields = numbers(registry, name)

    @jax.jit
    def evaluate(fields):
        traces.append(fields)
        return run(family, registry[name](**fields))

    first = evaluate(fields)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(first))
    for field, default in fields.items():
        changed = {**fields, field: 0.7 * default + 0.01}
        pairs = zip(*map(jax.tree.leaves, (first, evaluate(changed))), strict=True)
        assert any((a != b).any() for a, b in pairs), field
    assert len(traces) == 1


@pytest.mark.parametrize("name", [name for name in GRADIENT_PENALTIES if name not in COUPLED])
def test_a_gradient_penalty_treats_each_example_independently(name):
    penalty = jax.jit(lambda real, fake: GRADIENT_PENALTIES[name]()(critic, real, fake, keys()))
    real, fake = single(examples())
    before, after = penalty(real, fake), penalty(real.at[2].add(1.0), fake.at[2].add(1.0))
    assert ((np.asarray(before) != np.asarray(after)) == (np.arange(B) == 2)).all()


@pytest.mark.parametrize("name", [name for name in LOGIT_PENALTIES if name not in COUPLED])
def test_a_logit_penalty_treats_each_example_independently(name):
    penalty = LOGIT_PENALTIES[name]()
    real, fake = jnp.arange(1.0, B + 1), -jnp.arange(1.0, B + 1)
    before, _ = penalty.penalty(real, fake, penalty.init())
    after, _ = penalty.penalty(real.at[2].add(1.0), fake.at[2].add(1.0), penalty.init())
    assert ((np.asarray(before) != np.asarray(after)) == (np.arange(B) == 2)).all()


@pytest.mark.parametrize("name", list(CONSISTENCY))
def test_a_consistency_penalty_treats_each_example_independently(name):
    penalty = jax.jit(lambda real, z: CONSISTENCY[name]()(critic, generator, brighten, real, z, keys()))
    real, z = single(examples())[0], single(examples("points"))[0]
    before, after = penalty(real, z), penalty(real.at[2].add(1.0), z.at[2].add(1.0))
    for side in before:
        assert ((np.asarray(before[side]) != np.asarray(after[side])) == (np.arange(B) == 2)).all()


@pytest.mark.parametrize("name", list(WEIGHT_PENALTIES))
def test_a_weight_penalty_declares_its_network_and_keeps_the_shape_of_its_memory(name):
    for networks, expected in (
        ("both", ("generator", "discriminator")),
        ("generator", ("generator",)),
        ("discriminator", ("discriminator",)),
    ):
        assert WEIGHT_PENALTIES[name](networks=networks).networks == expected
    with pytest.raises(UserError, match="'critic'; known: generator, discriminator, both"):
        WEIGHT_PENALTIES[name](networks="critic")
    penalty, params = WEIGHT_PENALTIES[name](), single(network())
    memory = penalty.init(params)
    updated = penalty.update(params, memory)
    assert jax.tree.structure(updated) == jax.tree.structure(memory)
    for old, new in zip(*map(jax.tree.leaves, (memory, updated)), strict=True):
        assert old.shape == new.shape and old.dtype == new.dtype == jnp.float32


@pytest.mark.parametrize("name", list(PROJECTIONS))
def test_a_projection_keeps_shapes_and_is_idempotent(name):
    project, params = PROJECTIONS[name](), single(network())
    once = project(params)
    assert jax.tree.map(jnp.shape, once) == jax.tree.map(jnp.shape, params)
    jax.tree.map(np.testing.assert_array_equal, project(once), once)


@pytest.mark.parametrize("name", list(FEATURE_PENALTIES))
def test_a_feature_penalty_is_zero_where_the_fakes_are_real(name):
    features = single(examples("points"))[0]
    assert FEATURE_PENALTIES[name]()(features, features) == 0


# --- Gradient penalties -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(SHAPES))
@pytest.mark.parametrize("name", list(GRADIENT_FORMULAS))
def test_a_linear_critic_has_the_norm_of_its_weights(name, kind):
    real, fake = examples(kind)
    w = np.random.default_rng(5).normal(size=real.shape[1:])
    found = GRADIENT_PENALTIES[name]()(
        lambda x: jnp.sum(x * w, axis=tuple(range(1, x.ndim))), *single((real, fake)), keys()
    )
    np.testing.assert_allclose(found, np.full(B, GRADIENT_FORMULAS[name](np.sum(w**2))), rtol=1e-5)


@pytest.mark.parametrize("kind", list(SHAPES))
@pytest.mark.parametrize("name", list(GRADIENT_FORMULAS))
def test_a_quadratic_critic_shows_where_the_gradient_is_taken(name, kind):
    """D(x) = ½⟨c, x²⟩ has the gradient c·x; c and all axes differ, so confusing two would be noticed."""
    real, fake = examples(kind)
    c = np.random.default_rng(5).uniform(0.1, 1, real.shape[1:])
    found = GRADIENT_PENALTIES[name]()(
        lambda x: jnp.sum(c * jnp.square(x), axis=tuple(range(1, x.ndim))) / 2, *single((real, fake)), keys()
    )
    gradients = (c * places(name, real, fake)).reshape(B, -1)
    np.testing.assert_allclose(found, GRADIENT_FORMULAS[name](np.sum(gradients**2, axis=1)), rtol=1e-4)


def perceptron(params, x):
    """A smooth critic."""
    return jnp.tanh(x.reshape(len(x), -1) @ params["in"]) @ params["out"]


def convolutional(params, x):
    """A smooth critic with the package's own convolution."""
    return jnp.sum(jnp.square(jnp.tanh(conv(x, params["kernel"], 2))), axis=(1, 2, 3))


@pytest.mark.parametrize(
    ("name", "judge"),
    [*((name, perceptron) for name in GRADIENT_PENALTIES), ("r1", convolutional), ("wgan_gp", convolutional)],
)
def test_gradients_by_the_critics_parameters_are_finite_differences(name, judge):
    rng, step = np.random.default_rng(4), 1e-6
    shapes = {perceptron: {"in": (30, 3), "out": (3,)}, convolutional: {"kernel": (3, 3, 5, 2)}}[judge]
    with jax.enable_x64(True):
        params = {key: jnp.asarray(0.3 * rng.normal(size=shape)) for key, shape in shapes.items()}
        real, fake = examples()

        @jax.jit
        @jax.value_and_grad
        def total(params):
            penalty = GRADIENT_PENALTIES[name]()
            return jnp.sum(penalty(lambda x: judge(params, x), real, fake, keys()))

        _, found = total(params)
        for _ in range(3):
            direction = {key: rng.normal(size=shape) for key, shape in shapes.items()}
            up, down = (
                total({key: params[key] + sign * step * direction[key] for key in params})[0]
                for sign in (1, -1)
            )
            slope = sum(np.sum(found[key] * direction[key]) for key in params)
            np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", list(GRADIENT_PENALTIES))
def test_the_derivative_is_finite_where_the_gradient_is_zero(name):
    real, fake = single(examples())

    def total(scale):
        penalty = GRADIENT_PENALTIES[name]()
        return jnp.sum(penalty(lambda x: scale * jnp.sum(x, axis=(1, 2, 3)), real, fake, keys()))

    assert np.isfinite(total(0.0)) and jax.grad(total)(0.0) == 0


@pytest.mark.parametrize("norm", [1e-15, 1e-3, 1e3])
@pytest.mark.parametrize("name", ["wgan_gp", "dragan"])
def test_no_norm_is_biased(name, norm):
    real, fake = single(examples("points"))
    penalty = GRADIENT_PENALTIES[name](target=0.0)
    found = jnp.sqrt(penalty(lambda x: norm * x[:, 1], real, fake, keys()))
    np.testing.assert_allclose(found, np.full(B, norm), rtol=1e-6)


def test_one_side_leaves_small_slopes_free():
    real, fake = single(examples("points"))
    for slope, one, two in ((0.5, 0.0, 0.25), (3.0, 4.0, 4.0)):
        for one_sided, expected in ((True, one), (False, two)):
            penalty = GRADIENT_PENALTIES["wgan_gp"](one_sided=one_sided)
            found = penalty(lambda x, slope=slope: slope * x[:, 0], real, fake, keys())
            np.testing.assert_allclose(found, np.full(B, expected), rtol=1e-5)


def test_the_target_and_the_scale_of_the_noise():
    real, fake = single(examples("points"))
    square = lambda x: jnp.sum(jnp.square(x), axis=1) / 2  # noqa: E731
    for name in ("wgan_gp", "dragan"):
        found = GRADIENT_PENALTIES[name](target=2.0)(lambda x: 3 * x[:, 0], real, fake, keys())
        np.testing.assert_allclose(found, np.ones(B), rtol=1e-5)
    still = GRADIENT_PENALTIES["dragan"](target=0.0, scale=0.0)(square, real, fake, keys())
    np.testing.assert_allclose(still, np.sum(np.square(real), axis=1), rtol=1e-5)


@pytest.mark.parametrize("name", list(GRADIENT_PENALTIES))
def test_devices_that_share_a_batch_see_the_whole(name):
    """Two examples per device; DRAGAN's standard deviation is over all examples."""
    real, fake = single(examples())
    batch = real, fake, keys()
    penalty = GRADIENT_PENALTIES[name]()
    whole = jax.jit(lambda *batch: penalty(critic, *batch))(*batch)
    shards = jax.tree.map(lambda x: x.reshape(2, B // 2, *x.shape[1:]), batch)
    shared = jax.pmap(lambda *batch: penalty(critic, *batch, "devices"), axis_name="devices")(*shards)
    np.testing.assert_allclose(shared.reshape(-1), whole, rtol=1e-5)


# --- Logit penalties ----------------------------------------------------------------------------------


def test_lecam_is_the_papers_formula_over_a_run():
    rng, decay = np.random.default_rng(2), 0.8
    penalty = LOGIT_PENALTIES["lecam"](decay=decay)
    memory, seen = penalty.init(), []
    for _ in range(5):
        real, fake = rng.normal(1, 1, B), rng.normal(-1, 1, B)
        seen.append((real.mean(), fake.mean()))
        values, memory = penalty.penalty(*single((real, fake)), memory)
        # An average of all batches so far, including this one. The weight of each is `decay` times the next
        # one's.
        weights = decay ** np.arange(len(seen))[::-1]
        real_average, fake_average = weights @ np.array(seen) / weights.sum()
        expected = (real - fake_average) ** 2 + (fake - real_average) ** 2
        np.testing.assert_allclose(values, expected, rtol=1e-5)


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_lecam_refuses_an_invalid_decay(decay):
    with pytest.raises(UserError, match=rf"lecam.decay={decay} must lie in \[0, 1\)"):
        LOGIT_PENALTIES["lecam"](decay=decay)


def test_lecam_starts_at_the_means_of_the_first_batch():
    penalty = LOGIT_PENALTIES["lecam"](decay=0.99)
    values, _ = penalty.penalty(jnp.array([1.0, 3.0]), jnp.array([-1.0, 0.0]), penalty.init())
    np.testing.assert_allclose(values, [1.5**2 + 3**2, 3.5**2 + 2**2], rtol=1e-5)


def test_no_gradient_flows_into_lecams_memory():
    penalty, decay = LOGIT_PENALTIES["lecam"](decay=0.5), 0.5
    real, fake = jnp.array([1.0, 3.0]), jnp.array([-1.0, 0.0])
    found = jax.grad(lambda r, f: penalty.penalty(r, f, penalty.init())[0].sum(), (0, 1))(real, fake)
    np.testing.assert_allclose(found[0], 2 * (real - fake.mean()), rtol=1e-5)
    np.testing.assert_allclose(found[1], 2 * (fake - real.mean()), rtol=1e-5)
    remembered = jax.grad(lambda r: sum(jax.tree.leaves(penalty.penalty(r, fake, penalty.init())[1])))(real)
    np.testing.assert_array_equal(remembered, np.zeros(2))
    assert penalty.penalty(real, fake, penalty.init())[1]["weight"] == 1 - decay


def test_drift_is_the_square_of_real_logits():
    penalty = LOGIT_PENALTIES["drift"]()
    values, memory = penalty.penalty(jnp.array([1.0, -3.0]), jnp.array([5.0, 7.0]), penalty.init())
    np.testing.assert_array_equal(values, [1, 9])
    assert memory == {}


# --- Consistency --------------------------------------------------------------------------------------


def brightness(images):
    return jnp.sum(images, axis=tuple(range(1, images.ndim)))


@pytest.mark.parametrize("name", ["cr", "bcr"])
def test_an_augmentation_that_does_nothing_costs_nothing(name):
    real, z = single(examples())[0], single(examples("points"))[0]
    terms = CONSISTENCY[name]()(critic, generator, lambda keys, images: images, real, z, keys())
    np.testing.assert_array_equal(terms["discriminator"], np.zeros(B))


def test_consistency_of_real_and_of_fake_examples_by_hand():
    """The doubled image has twice the brightness, so the difference is the brightness itself."""
    real, z = jnp.array([[1.0, 2.0], [0.5, -4.0]]), jnp.array([[1.0], [3.0]])
    twice = lambda keys, images: 2 * images  # noqa: E731
    inputs = brightness, lambda z: 10 * z, twice, real, z, keys()[:2]
    np.testing.assert_allclose(CONSISTENCY["cr"]()(*inputs)["discriminator"], [9, 3.5**2])
    np.testing.assert_allclose(CONSISTENCY["bcr"]()(*inputs)["discriminator"], [9 + 100, 3.5**2 + 900])
    weighted = CONSISTENCY["bcr"](real=0.0, fake=2.0)(*inputs)
    np.testing.assert_allclose(weighted["discriminator"], [200, 1800])


def test_real_and_fake_examples_are_transformed_by_separate_draws():
    used = []

    def augment(keys, images):
        used.append(jax.random.key_data(keys))
        return images

    real, z = single(examples())[0], single(examples("points"))[0]
    CONSISTENCY["bcr"]()(critic, generator, augment, real, z, keys())
    words = np.concatenate([*used, jax.random.key_data(keys())])
    assert len(np.unique(words, axis=0)) == 3 * B


def test_zcr_by_hand():
    """G(z) = 3z and D the brightness: both terms follow from Δz, which is drawn from the keys."""
    z = single(examples("points"))[0]
    delta = 0.2 * np.stack([jax.random.normal(key, (3,)) for key in keys()])
    penalty = CONSISTENCY["zcr"](stddev=0.2, discriminator=2.0, generator=5.0)
    terms = penalty(brightness, lambda z: 3 * z, None, None, z, keys())
    np.testing.assert_allclose(terms["discriminator"], 2 * (3 * delta.sum(axis=1)) ** 2, rtol=2e-4, atol=1e-5)
    np.testing.assert_allclose(terms["generator"], -5 * (9 * delta**2).mean(axis=1), rtol=2e-4, atol=1e-5)


def test_zcr_moves_images_of_near_latents_apart_and_their_logits_together():
    z = single(examples("points"))[0]
    penalty = CONSISTENCY["zcr"]()

    def terms(slope, height):
        return penalty(lambda x: slope * x[:, 0], lambda z: height * z, None, None, z, keys())

    by_slope = jax.grad(lambda slope: terms(slope, 1.0)["discriminator"].sum())(1.0)
    by_height = jax.grad(lambda height: terms(1.0, height)["generator"].sum())(1.0)
    assert by_slope > 0 > by_height


# --- Weight penalties, projections, features ----------------------------------------------------------


def off_diagonal(matrix):
    gram = matrix.T @ matrix
    return np.sum((gram - np.diag(np.diag(gram))) ** 2)


def test_orthogonal_is_over_kernels_as_matrices_of_outputs():
    params = network()
    block = params["block"]
    matrices = [
        params["dense_0"]["kernel"],
        block["conv_1"]["kernel"].reshape(-1, 5),
        np.swapaxes(block["conv_transpose_1"]["kernel"], 2, 3).reshape(-1, 6),
        np.swapaxes(params["output"]["kernel"], 2, 3).reshape(
            -1, 2
        ),  # the bias shows which axis has the outputs
    ]
    penalty = WEIGHT_PENALTIES["orthogonal"]()
    found = penalty.penalty(single(params), penalty.init(params))
    np.testing.assert_allclose(found, sum(map(off_diagonal, matrices)), rtol=1e-5)


@pytest.mark.parametrize("columns", [1, 14, 15, 300])
def test_orthogonal_of_tall_and_wide_matrices(columns):
    kernel = np.random.default_rng(6).normal(size=(7, columns))
    penalty = WEIGHT_PENALTIES["orthogonal"]()
    both = jax.jit(jax.value_and_grad(lambda kernel: penalty.penalty({"dense": {"kernel": kernel}}, {})))
    value, grads = both(jnp.float32(kernel))
    np.testing.assert_allclose(value, off_diagonal(kernel), rtol=1e-5)
    gram = kernel.T @ kernel
    np.testing.assert_allclose(grads, 4 * kernel @ (gram - np.diag(np.diag(gram))), rtol=1e-4, atol=1e-3)


def test_orthogonal_columns_of_any_norm_cost_nothing():
    q, _ = np.linalg.qr(np.random.default_rng(6).normal(size=(8, 3)))
    penalty = WEIGHT_PENALTIES["orthogonal"]()
    found = penalty.penalty({"dense": {"kernel": jnp.float32(q * [1, 20, 0.1])}}, {})
    np.testing.assert_allclose(found, 0, atol=1e-9)


@pytest.mark.parametrize(
    ("registry", "name"),
    [(registry, name) for registry in (GENERATORS, DISCRIMINATORS) for name in registry],
    ids=lambda value: getattr(value, "kind", value),
)
def test_orthogonal_knows_the_outputs_of_every_networks_layers(registry, name):
    """The reference is spectral normalization, whose vector `u` has one number per output."""
    if "spectral_norm" not in registry.fields(name):
        pytest.skip("nothing to compare with")
    shape = (32, 32, 3)
    model = registry[name](shape, spectral_norm=".")
    inputs = jnp.zeros((1, 16)) if registry is GENERATORS else jnp.zeros((1, *shape))
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), inputs))
    vectors = flatten_dict(variables["batch_stats"], sep="/")
    params, compared = flatten_dict(variables["params"], sep="/"), 0
    for path, u in vectors.items():
        if path.endswith("/u"):
            layer = path.removesuffix("/u").replace("spectral_", "")
            kernel, bias = params[f"{layer}/kernel"], params.get(f"{layer}/bias")
            axis = weight._outputs(layer.split("/")[-1], kernel, bias)
            assert kernel.shape[axis] == u.shape[0], layer
            compared += 1
    assert compared == sum(path.endswith("kernel") for path in params)


def test_historical_averaging_is_the_distance_from_the_mean_of_the_path():
    rng, start = np.random.default_rng(8), network()
    path = [start]
    penalty = WEIGHT_PENALTIES["historical_averaging"]()
    memory, update = penalty.init(single(start)), jax.jit(penalty.update)
    gradients = jax.jit(jax.value_and_grad(penalty.penalty, (0, 1)))
    assert gradients(single(start), memory)[0] == 0
    for _ in range(6):
        path.append(jax.tree.map(lambda leaf: leaf + rng.normal(0, 0.1, leaf.shape), path[-1]))
        memory = update(single(path[-1]), memory)
        mean = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *path)
        away = jax.tree.map(lambda leaf, average: leaf - average, path[-1], mean)
        value, (grads, into) = gradients(single(path[-1]), memory)
        np.testing.assert_allclose(value, sum(np.sum(leaf**2) for leaf in jax.tree.leaves(away)), rtol=1e-4)
        jax.tree.map(lambda g, a: np.testing.assert_allclose(g, 2 * a, rtol=1e-4, atol=1e-5), grads, away)
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(into))


def test_clip():
    params = {"a": jnp.array([-3.0, 0.005, 0.02]), "b": {"scale": jnp.array([1.0])}}
    clipped = PROJECTIONS["clip"]()(params)
    np.testing.assert_allclose(clipped["a"], [-0.01, 0.005, 0.01])
    np.testing.assert_allclose(clipped["b"]["scale"], [0.01])
    np.testing.assert_allclose(PROJECTIONS["clip"](bound=2.0)(params)["a"], [-2, 0.005, 0.02])


def test_feature_matching_is_the_squared_distance_of_means():
    real, fake = examples("points")
    found = FEATURE_PENALTIES["feature_matching"]()(*single((real, fake)))
    np.testing.assert_allclose(found, np.sum((real.mean(axis=0) - fake.mean(axis=0)) ** 2), rtol=1e-5)
