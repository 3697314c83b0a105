import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxgan.algorithm.train_state import variable_shapes
from jaxgan.errors import UserError
from jaxgan.latents import latent_keys
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.models.injection import NoiseInjection, inject
from jaxgan.models.minibatch import MinibatchDiscrimination, minibatch_stddev
from jaxgan.models.multi import MultiGenerator, generator_index

LATENT_DIM = 6
# Generators that take an image, and discriminators of patches, are in test_image_networks.py.
FROM_LATENTS = [name for name in GENERATORS if "given_shape" not in GENERATORS.takes(name)]
OF_WHOLE_IMAGES = [name for name in DISCRIMINATORS if "outputs" in DISCRIMINATORS.takes(name)]
ALL = [(GENERATORS, name) for name in FROM_LATENTS] + [(DISCRIMINATORS, name) for name in OF_WHOLE_IMAGES]
EVERYTHING = {  # without noise, which takes long to compile
    "batch_norm": True, "latent_injection": True, "minibatch_stddev": 2, "minibatch_discrimination": 3,
    "dense": (5,),
}  # fmt: skip
# Networks with weights N(0, 0.02), with state besides the parameters, and with bounded images.
NORMAL = [entry for entry in ALL if not entry[0].fields(entry[1]).keys() & {"initializer", "group_width"}]
STATEFUL = [entry for entry in ALL if entry[1] != "r3gan"]
BOUNDED = [name for name in FROM_LATENTS if name != "r3gan"]
every_network = pytest.mark.parametrize(("registry", "name"), ALL, ids=lambda v: getattr(v, "kind", v))
# Their last layers are those of resnet, which is always tested.
LIKE_RESNET = ("biggan", "biggan_deep", "r3gan")
each_end = pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (n in LIKE_RESNET)) for n in OF_WHOLE_IMAGES],
)
FEW_SHAPES = (2, 2, 1), (21, 10, 2), (48, 48, 4)  # for the deep networks, which take long to trace
SHAPES = (*FEW_SHAPES, (7, 7, 3), (8, 8, 2), (28, 28, 1), (28, 28, 4), (30, 30, 3), (32, 32, 3), (64, 64, 2),
          (1, 5, 1), (32, 48, 3))  # fmt: skip


def shapes_for(registry):
    names = FROM_LATENTS if registry is GENERATORS else OF_WHOLE_IMAGES
    for name, shape in itertools.product(names, SHAPES):
        slow = name in (*LIKE_RESNET, "resnet") and shape not in FEW_SHAPES
        yield pytest.param(name, shape, marks=[pytest.mark.slow] * slow, id=f"{name}-{shape}")


stateful = pytest.mark.parametrize(("registry", "name"), STATEFUL, ids=lambda v: getattr(v, "kind", v))
every_generator = pytest.mark.parametrize("name", FROM_LATENTS)
every_discriminator = pytest.mark.parametrize("name", OF_WHOLE_IMAGES)


def fields_of(registry, name, **wanted):
    """The wanted fields that the network has."""
    return {field: value for field, value in wanted.items() if field in registry.fields(name)}


def small(registry, name, **more):
    """Fields for a narrow network, which compiles and runs fast."""
    fields = {}
    for field, parameter in registry.fields(name).items():
        if field in ("channels", "hidden"):
            fields[field] = tuple(max(width // 32, 3) for width in parameter.default)
        if field == "group_width":
            fields |= {"width": 4, "multipliers": (1, 1), "group_width": 4, "blocks": 1}
        elif field == "width":
            fields |= {"width": 3, "multipliers": (2, 1) if registry is GENERATORS else (1, 2)}
    return fields | fields_of(registry, name, **more)


def inputs_of(registry, shape, batch=3):
    size = (LATENT_DIM,) if registry is GENERATORS else shape
    return jnp.float32(np.random.default_rng(0).uniform(-1, 1, (batch, *size)))


@functools.cache
def variables_of(module, registry, shape):
    """Variables drawn by NumPy, because the initializers would take seconds to compile."""
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        kind = path[-1].key
        if kind in ("scale", "var") or kind.endswith("sigma"):
            return jnp.ones(leaf.shape, jnp.float32)
        if kind in ("bias", "mean"):
            return jnp.zeros(leaf.shape, jnp.float32)
        return jnp.float32(rng.normal(0, 0.02, leaf.shape))

    shapes = jax.eval_shape(module.init, jax.random.key(0), inputs_of(registry, shape))
    return jax.tree_util.tree_map_with_path(draw, dict(shapes))


@functools.partial(jax.jit, static_argnums=0, static_argnames=("train", "features", "mutable"))
def apply(module, variables, inputs, **kwargs):
    """The compiled network; single operations would take longer to compile."""
    kwargs = {**kwargs, "mutable": list(kwargs["mutable"])} if "mutable" in kwargs else kwargs
    return module.apply(variables, inputs, **kwargs)


@functools.cache
def built(registry, name, shape=(8, 8, 1), **fields):
    """A small network and its variables: (module, variables)."""
    module = registry[name](shape, **small(registry, name, **fields))
    return module, variables_of(module, registry, shape)


def shapes_of(module, registry, shape, **kwargs):
    """The shape of the output, without computing it."""
    inputs = inputs_of(registry, shape)

    def run(key):
        return module.apply(module.init(key, inputs), inputs, **kwargs)

    return jax.eval_shape(run, jax.random.key(0))


@pytest.mark.parametrize(("name", "shape"), [*shapes_for(GENERATORS)])
def test_generators_make_images_of_every_size(name, shape):
    images = shapes_of(GENERATORS[name](shape), GENERATORS, shape)
    assert images.shape == (3, *shape) and images.dtype == jnp.float32


@pytest.mark.parametrize(("name", "shape"), [*shapes_for(DISCRIMINATORS)])
def test_discriminators_judge_images_of_every_size(name, shape):
    module = DISCRIMINATORS[name](shape)
    logits, features = shapes_of(module, DISCRIMINATORS, shape, features=True)
    assert logits.shape == (3,) and logits.dtype == jnp.float32
    assert features.ndim == 2 and features.shape[0] == 3
    assert shapes_of(module, DISCRIMINATORS, shape).shape == (3,)


def test_sizes_that_the_strides_do_not_divide_are_rounded_up():
    """As in the authors' code: 28 → 14 → 7 → 4 and back."""
    module = GENERATORS["dcgan"]((28, 28, 3), channels=(5, 4, 3), kernels=(3, 3, 3), strides=(2, 2, 2))
    variables = variables_of(module, GENERATORS, (28, 28, 3))
    z = inputs_of(GENERATORS, None)
    _, found = jax.eval_shape(
        functools.partial(module.apply, capture_intermediates=True, mutable="intermediates"), variables, z
    )
    layers = found["intermediates"]
    assert layers["project"]["__call__"][0].shape == (3, 4 * 4 * 5)
    assert layers["conv_transpose_0"]["__call__"][0].shape == (3, 7, 7, 4)
    assert layers["conv_transpose_1"]["__call__"][0].shape == (3, 14, 14, 3)
    assert layers["output"]["__call__"][0].shape == (3, 28, 28, 3)


@pytest.mark.parametrize(
    ("registry", "fields", "message"),
    [
        (GENERATORS, {"channels": (8, 8)}, "must have the same length"),
        (GENERATORS, {"channels": (), "kernels": (), "strides": ()}, "must have the same length"),
        (GENERATORS, {"strides": (2, 0, 1)}, "must be at least 1"),
        (GENERATORS, {"dense": (0,)}, "must be at least 1"),
        (GENERATORS, {"activation": "gelu"}, "activation='gelu' must be one of relu, leaky_relu"),
        (DISCRIMINATORS, {"kernels": (3,)}, "must have the same length"),
        (DISCRIMINATORS, {"strides": (0, 2)}, "must be at least 1"),
        (DISCRIMINATORS, {"activation": "gelu"}, "activation='gelu' must be one of relu, leaky_relu"),
    ],
)
def test_dcgan_refuses_impossible_fields(registry, fields, message):
    with pytest.raises(UserError, match=message):
        registry["dcgan"]((28, 28, 1), **fields)


@pytest.mark.parametrize("field", ["minibatch_stddev", "minibatch_discrimination"])
@every_discriminator
def test_discriminators_refuse_a_negative_number_of_compared_examples(name, field):
    for value in (-1, 2.0):
        with pytest.raises(UserError, match=f"discriminator.{name}.{field}={value} must be at least 0"):
            DISCRIMINATORS[name]((8, 8, 1), **{field: value})


@pytest.mark.parametrize("registry", [GENERATORS, DISCRIMINATORS], ids=["generator", "discriminator"])
def test_dcgan_refuses_points_and_mlp_takes_them(registry):
    with pytest.raises(UserError, match="mlp for points"):
        registry["dcgan"]((2,))
    output = shapes_of(registry["mlp"]((2,)), registry, (2,))
    assert output.shape == ((3, 2) if registry is GENERATORS else (3,))
    with pytest.raises(UserError, match="at least 1"):
        registry["mlp"]((2,), hidden=(8, 0))


@pytest.mark.parametrize(("name", "fields", "message"), [
    ("mlp", {"hidden": (8,), "latent_injection": True}, "latent_injection has no effect with 1 hidden layer"),
    ("mlp", {"hidden": (), "noise": True}, "noise has no effect with 0 hidden layers: it takes at least 1"),
    ("dcgan", {"channels": (4,), "kernels": (3,), "strides": (1,), "latent_injection": True}, "at least 2"),
])  # fmt: skip
def test_injection_into_no_layer_is_refused(name, fields, message):
    with pytest.raises(UserError, match=message):
        GENERATORS[name]((8, 8, 1), **fields)


def test_a_projection_has_the_aspect_ratio_of_the_image():
    params = variables_of(GENERATORS["dcgan"]((28, 36, 1)), GENERATORS, (28, 36, 1))["params"]
    assert params["project"]["kernel"].shape == (LATENT_DIM, 7 * 9 * 256)


@pytest.mark.parametrize("name", BOUNDED)
def test_images_lie_between_minus_one_and_one(name):
    """Also with weights that are a thousand times too large."""
    module, variables = built(GENERATORS, name)
    large = {**variables, "params": jax.tree.map(lambda leaf: 1000 * (leaf + 0.1), variables["params"])}
    images = np.asarray(apply(module, large, inputs_of(GENERATORS, (8, 8, 1), 16)))
    assert images.min() >= -1 and images.max() <= 1
    assert np.abs(images).max() > 0.99


def test_points_are_unbounded():
    module, variables = built(GENERATORS, "mlp", (2,))
    large = {"params": jax.tree.map(lambda leaf: 1000 * (leaf + 0.1), variables["params"])}
    assert np.abs(module.apply(large, inputs_of(GENERATORS, (2,)))).max() > 1


@every_discriminator
def test_features_are_the_inputs_of_the_last_layer(name):
    module, variables = built(DISCRIMINATORS, name)
    images = inputs_of(DISCRIMINATORS, (8, 8, 1))
    logits, features = apply(module, variables, images, features=True)
    output = variables["params"]["output"]
    bias = output.get("bias", 0)  # r3gan has none
    np.testing.assert_allclose(logits, (features @ output["kernel"] + bias)[:, 0], atol=1e-6)
    assert np.abs(logits).max() > 0
    np.testing.assert_allclose(apply(module, variables, images), logits, rtol=1e-6)


@every_discriminator
def test_a_discriminator_has_the_requested_number_of_outputs(name):
    module = DISCRIMINATORS[name]((8, 8, 1), None, 3)
    logits, features = shapes_of(module, DISCRIMINATORS, (8, 8, 1), features=True)
    assert logits.shape == (3, 3) and features.ndim == 2


@stateful
def test_evaluation_changes_nothing_and_treats_examples_independently(registry, name):
    module, variables = built(registry, name, batch_norm=True, spectral_norm=".", dropout=0.5)
    inputs = inputs_of(registry, (8, 8, 1))
    state = {collection: values for collection, values in variables.items() if collection != "params"}
    outputs, updated = apply(module, variables, inputs, train=False, mutable=tuple(state))
    assert jax.tree.structure(dict(updated)) == jax.tree.structure(state) and jax.tree.leaves(state)
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(dict(updated)), strict=True):
        np.testing.assert_array_equal(old, new)
    other, _ = apply(module, variables, inputs.at[1:].set(0.3), train=False, mutable=tuple(state))
    np.testing.assert_allclose(other[0], outputs[0], rtol=1e-4, atol=1e-7)
    assert np.abs(other[1] - outputs[1]).max() > 1e-6


@stateful
def test_training_changes_collections_only(registry, name):
    module, variables = built(registry, name, batch_norm=True, spectral_norm=".")
    state = {collection: values for collection, values in variables.items() if collection != "params"}
    inputs = inputs_of(registry, (8, 8, 1))
    _, updated = apply(module, variables, inputs, train=True, mutable=tuple(state))
    assert jax.tree.structure(dict(updated)) == jax.tree.structure(state)
    moved = [
        not np.array_equal(old, new)
        for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(dict(updated)), strict=True)
    ]
    assert moved and np.mean(moved) > 0.9  # a running mean may be at its fixed point


@every_network
def test_every_parameter_matters_so_there_is_no_bias_before_a_batch_norm(registry, name):
    """The gradient of such a bias is exactly zero in theory: in float64 it is noise of 1e-17."""
    module = registry[name]((8, 8, 1), **small(registry, name, **EVERYTHING))
    variables = variables_of(module, registry, (8, 8, 1))
    with jax.enable_x64(True):
        size = (LATENT_DIM,) if registry is GENERATORS else (8, 8, 1)
        rng = np.random.default_rng(0)
        inputs = rng.normal(size=(5, *size))
        variables = jax.tree.map(jnp.float64, variables)
        # weights of the usual size, so that no gradient is small due to a weak signal
        params = jax.tree.map(lambda leaf: leaf * (25 if leaf.ndim > 1 else 1), variables["params"])
        if "minibatch_discrimination" in params:  # the distances are large enough
            params["minibatch_discrimination"] = variables["params"]["minibatch_discrimination"]
        others = {collection: v for collection, v in variables.items() if collection != "params"}

        @jax.jit
        def gradient(params):
            def total(params):
                out, _ = module.apply({"params": params, **others}, inputs, train=True, mutable=True)
                return jnp.sum(out * weights)

            weights = rng.normal(size=jax.eval_shape(lambda: module.apply(variables, inputs)).shape)
            return jax.grad(total)(params)

        for path, leaf in jax.tree_util.tree_flatten_with_path(gradient(params))[0]:
            assert np.abs(leaf).max() > 1e-9, jax.tree_util.keystr(path)


@pytest.mark.parametrize("spectral_norm", ["", "."], ids=["plain", "spectral_norm"])
@pytest.mark.parametrize(("registry", "name"), NORMAL, ids=lambda v: getattr(v, "kind", v))
def test_initial_weights_have_a_deviation_of_two_hundredths(registry, name, spectral_norm):
    module = registry[name]((8, 8, 1), **small(registry, name, spectral_norm=spectral_norm))
    inputs = inputs_of(registry, (8, 8, 1))
    params = jax.jit(lambda key: module.init(key, inputs)["params"])(jax.random.key(0))
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        place = jax.tree_util.keystr(path)
        if "kernel" in place:
            values = np.ravel(leaf)[:20_000].astype(np.float64)
            assert stats.kstest(values / 0.02, "norm").pvalue > 1e-4, place
            assert abs(values.std() / 0.02 - 1) < 4 / np.sqrt(2 * len(values)), place
        else:
            assert (leaf == (1 if "scale" in place else 0)).all(), place


@pytest.mark.parametrize("name", [n for n in DISCRIMINATORS if "dropout" in DISCRIMINATORS.fields(n)])
def test_dropout_is_active_in_training_only(name):
    wide = {"channels": (64, 64), "hidden": (256,)}
    module, variables = built(DISCRIMINATORS, name, dropout=0.3, batch_norm=False, **wide)
    images = inputs_of(DISCRIMINATORS, (8, 8, 1), 64)

    def features(**kwargs):
        return np.asarray(apply(module, variables, images, features=True, **kwargs)[1])

    one, two = (features(train=True, rngs={"dropout": jax.random.key(seed)}) for seed in (1, 2))
    again = features(train=True, rngs={"dropout": jax.random.key(1)})
    assert (one == again).all() and not (one == two).all()
    assert abs((one == 0).mean() - 0.3) < 0.02
    evaluated = features(train=False)
    assert (evaluated != 0).all()
    np.testing.assert_array_equal(features(train=False, rngs={"dropout": jax.random.key(1)}), evaluated)


def test_the_last_dropout_keeps_the_mean():
    """Kept units are divided by the share of kept units. There is one hidden layer, so no other dropout."""
    module, variables = built(DISCRIMINATORS, "mlp", dropout=0.3, hidden=(64,))
    images = inputs_of(DISCRIMINATORS, (8, 8, 1))
    rngs = {"dropout": jax.random.key(0)}
    _, dropped = module.apply(variables, images, train=True, features=True, rngs=rngs)
    _, whole = module.apply(variables, images, features=True)
    kept = np.asarray(dropped) != 0
    np.testing.assert_allclose(np.asarray(dropped)[kept], np.asarray(whole)[kept] / 0.7, rtol=1e-5)


def test_maxout_takes_the_largest_piece():
    """Goodfellow et al. 2013: h_i = max_j (xᵀW + b)_ij."""
    module, variables = built(DISCRIMINATORS, "mlp", (2,), maxout=5, hidden=(4,))
    x = inputs_of(DISCRIMINATORS, (2,))
    params = variables["params"]
    assert params["dense_0"]["kernel"].shape == (2, 20)
    hidden = (np.asarray(x) @ params["dense_0"]["kernel"]).reshape(3, 4, 5).max(axis=-1)
    _, features = module.apply(variables, x, features=True)
    np.testing.assert_allclose(features, hidden, rtol=1e-5)


def test_mlp_by_hand():
    """tanh(relu(z W + b) V + c), and LeakyReLU with its slope."""
    z = inputs_of(GENERATORS, ())
    module, variables = built(GENERATORS, "mlp", (2, 2, 1), hidden=(4,), activation="relu")
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64) * 20 + 0.1, variables["params"])
    exact = np.asarray(z, np.float64)
    hidden = np.maximum(exact @ p["dense_0"]["kernel"] + p["dense_0"]["bias"], 0)
    images = np.tanh(hidden @ p["output"]["kernel"] + p["output"]["bias"]).reshape(3, 2, 2, 1)
    np.testing.assert_allclose(module.apply({"params": p}, z), images, atol=1e-5)

    module, variables = built(DISCRIMINATORS, "mlp", (2, 2, 1), hidden=(4,), slope=0.25)
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64) * 20 + 0.1, variables["params"])
    hidden = images.reshape(3, 4) @ p["dense_0"]["kernel"] + p["dense_0"]["bias"]
    hidden = np.where(hidden > 0, hidden, 0.25 * hidden)
    logits = (hidden @ p["output"]["kernel"] + p["output"]["bias"])[:, 0]
    np.testing.assert_allclose(module.apply({"params": p}, jnp.float32(images)), logits, atol=1e-5)


def count(registry, name, shape, inputs, **fields):
    module = registry[name](shape, **fields)
    variables = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, *inputs)))
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


MNIST, FACES = (28, 28, 1), (48, 48, 1)
SMALL_EXAMPLES = {
    # 100·128+128 + 128·128+128 + 128·784+784
    "dense 100-128-128-784": (GENERATORS, "mlp", MNIST, {"hidden": (128, 128)}, 12_928 + 16_512 + 101_136),
    # 784·128+128 + 128+1
    "flatten-128-1": (DISCRIMINATORS, "mlp", MNIST, {"hidden": (128,)}, 100_480 + 129),
    "dense 100-256-512-1024-784": (
        GENERATORS, "mlp", MNIST, {"hidden": (256, 512, 1024)}, 25_856 + 131_584 + 525_312 + 803_600,
    ),
    "dense 784-512-1": (DISCRIMINATORS, "mlp", MNIST, {"hidden": (512,)}, 401_920 + 513),
    "dense 100-128-256-784": (GENERATORS, "mlp", MNIST, {"hidden": (128, 256)}, 12_928 + 33_024 + 201_488),
    "dense 784-256-128-1": (DISCRIMINATORS, "mlp", MNIST, {"hidden": (256, 128)}, 200_960 + 32_896 + 129),
    # 100·12544, 2·256, 5·5·256·128, 2·128, 5·5·128·64, 2·64, 7·7·64·1+1: only the output has a bias
    "DCGAN 7·7·256-128-64-1": (
        GENERATORS, "dcgan", MNIST, {}, 1_254_400 + 512 + 819_200 + 256 + 204_800 + 128 + 3_137,
    ),
    # 100·1024, 2·1024, 1024·1024, 2·1024, 1024·12544, then as above
    "DCGAN behind two dense layers": (
        GENERATORS, "dcgan", MNIST, {"dense": (1024, 1024)},
        102_400 + 2_048 + 1_048_576 + 2_048 + 12_845_056 + 512 + 819_200 + 256 + 204_800 + 128 + 3_137,
    ),
    # 5·5·1·32+32, 5·5·32·64, 2·64, 5·5·64·128, 2·128, 4·4·128+1: sizes 28, 14, 7, 4
    "conv 32-64-128": (
        DISCRIMINATORS, "dcgan", MNIST, {"channels": (32, 64, 128), "kernels": (5,) * 3, "strides": (2,) * 3},
        832 + 51_200 + 128 + 204_800 + 256 + 2_049,
    ),
    "dense 100-512-512-2304": (
        GENERATORS, "mlp", FACES, {"hidden": (512, 512)}, 51_712 + 262_656 + 1_181_952,
    ),
    # 3·3·1·32+32, 3·3·32·64+64, 3·3·64·128+128, 6·6·128+1: sizes 48, 24, 12, 6
    "faces conv 32-64-128": (
        DISCRIMINATORS, "dcgan", FACES,
        {
            "channels": (32, 64, 128), "kernels": (3,) * 3, "strides": (2,) * 3, "batch_norm": False,
            "activation": "leaky_relu", "slope": 0.01, "dropout": 0.3,
        },
        320 + 18_496 + 73_856 + 4_609,
    ),
}  # fmt: skip


@pytest.mark.parametrize("example", SMALL_EXAMPLES)
def test_the_field_s_small_examples_have_their_number_of_parameters(example):
    registry, name, shape, fields, expected = SMALL_EXAMPLES[example]
    inputs = (100,) if registry is GENERATORS else shape
    assert count(registry, name, shape, inputs, **fields) == expected


def test_the_first_convolution_of_dcgan_s_discriminator_is_not_normalized():
    module = DISCRIMINATORS["dcgan"]((8, 8, 1), channels=(3, 3, 3), kernels=(3,) * 3, strides=(2,) * 3)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
    assert set(shapes["batch_stats"]) == {"batch_norm_1", "batch_norm_2"}


@pytest.fixture(scope="module")
def three():
    """A small generator, three copies of it as one module, and the variables of this module."""
    fields = {"hidden": (5, 4), "batch_norm": True, "spectral_norm": "dense", "latent_injection": True}
    one, _ = built(GENERATORS, "mlp", **fields)
    return one, MultiGenerator(one, 3), variables_of(MultiGenerator(one, 3), GENERATORS, (8, 8, 1))


def own(variables, j):
    return {collection: values[f"generator_{j}"] for collection, values in variables.items()}


def test_generators_take_turns_for_any_batch_size(three):
    one, all_three, variables = three
    assert set(variables["params"]) == {"generator_0", "generator_1", "generator_2"}
    z = inputs_of(GENERATORS, (), 7)
    each = np.stack([apply(one, own(variables, j), z) for j in range(3)])
    expected = each[np.arange(7) % 3, np.arange(7)]
    for batch in (1, 2, 6, 7):
        np.testing.assert_allclose(
            apply(all_three, variables, z[:batch]), expected[:batch], rtol=1e-4, atol=1e-6
        )
    np.testing.assert_array_equal(generator_index(7, 3), [0, 1, 2, 0, 1, 2, 0])
    assert generator_index(7, 3).dtype == jnp.int32


def test_each_generator_has_its_own_batch_statistics(three):
    one, all_three, variables = three
    z = inputs_of(GENERATORS, (), 8)
    images, updated = apply(all_three, variables, z, train=True, mutable=("batch_stats",))
    for j in range(3):
        expected, state = apply(one, own(variables, j), z[j::3], train=True, mutable=("batch_stats",))
        np.testing.assert_allclose(images[j::3], expected, rtol=1e-3, atol=1e-5)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
            own(updated, j),
            {"batch_stats": state["batch_stats"]},
        )


def test_generators_start_from_different_weights(three):
    class Echo(nn.Module):
        @nn.compact
        def __call__(self, z, train=False):
            weight = self.param("weight", nn.initializers.normal(), ())
            return weight * z

    module, z = MultiGenerator(Echo(), 2), jnp.ones((3, 1))
    (first, second, third), variables = module.init_with_output(jax.random.key(0), z)
    assert first == third != second


@pytest.mark.slow
@every_network
def test_networks_compute_in_bfloat16(registry, name):
    """Parameters and inputs in bfloat16, batch statistics in float32, all options enabled."""
    shallow = {"hidden": (4, 3), "channels": (4, 3), "kernels": (3, 3), "strides": (2, 1)}
    module, variables = built(registry, name, (4, 4, 1), spectral_norm="output", **shallow, **EVERYTHING)
    inputs = jnp.bfloat16(inputs_of(registry, (4, 4, 1), 4))
    half = {**variables, "params": jax.tree.map(jnp.bfloat16, variables["params"])}

    @jax.jit
    def run(params, inputs):
        def total(params, inputs):
            outputs, updated = module.apply({**half, "params": params}, inputs, train=True, mutable=True)
            return jnp.sum(jnp.square(outputs)), (outputs, updated.get("batch_stats", {}))

        return jax.grad(total, (0, 1), has_aux=True)(params, inputs)

    gradients, (outputs, state) = run(half["params"], inputs)
    for leaf in (outputs, *jax.tree.leaves(gradients)):
        assert leaf.dtype == jnp.bfloat16 and np.isfinite(np.float32(leaf)).all() and np.any(leaf)
    # the same numbers in float32
    half = {**half, "params": jax.tree.map(jnp.float32, half["params"])}
    expected, updated = apply(module, half, jnp.float32(inputs), train=True, mutable=("batch_stats",))
    np.testing.assert_allclose(np.float32(outputs), expected, rtol=2e-2, atol=2e-2 * np.abs(expected).max())
    for found, exact in zip(
        jax.tree.leaves(state), jax.tree.leaves(updated.get("batch_stats", {})), strict=True
    ):
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, exact, rtol=2e-2, atol=1e-3)


def numpy_stddev(x, groups):
    """The mean standard deviation within the group of each example; groups are lists of examples."""
    x = np.float64(x)
    appended = np.zeros(len(x))
    for group in groups:
        variance = np.mean((x[group] - x[group].mean(axis=0)) ** 2, axis=0)
        appended[group] = np.sqrt(variance + 1e-8).mean()
    return appended


@pytest.mark.parametrize(
    ("batch", "group_size", "groups"),
    [
        (6, 3, [[0, 2, 4], [1, 3, 5]]),
        (6, 2, [[0, 3], [1, 4], [2, 5]]),
        (6, 4, [[0, 2, 4], [1, 3, 5]]),  # 4 does not divide 6: groups of 3
        (4, 64, [[0, 1, 2, 3]]),
        (5, 4, [[0], [1], [2], [3], [4]]),
    ],
)
def test_minibatch_stddev_by_hand(batch, group_size, groups):
    rng = np.random.default_rng(0)
    for shape in ((7,), (3, 2, 4)):
        x = np.float32(rng.normal(size=(batch, *shape)))
        found = minibatch_stddev(x, group_size)
        np.testing.assert_array_equal(found[..., :-1], x)
        appended = numpy_stddev(x, groups).reshape(-1, *[1] * len(shape))
        np.testing.assert_allclose(found[..., -1:], np.broadcast_to(appended, (*x.shape[:-1], 1)), rtol=1e-5)


def test_minibatch_stddev_of_equal_examples_has_a_gradient():
    gradient = jax.grad(lambda x: jnp.sum(minibatch_stddev(x, 4)))(jnp.ones((4, 3)))
    np.testing.assert_allclose(gradient, np.ones((4, 3)), rtol=1e-5)


def test_minibatch_discrimination_by_hand():
    x = np.random.default_rng(0).normal(size=(5, 4))
    module = MinibatchDiscrimination(3, 2)
    variables = module.init(jax.random.key(0), jnp.float32(x))
    tensor = np.float64(variables["params"]["kernel"]).reshape(4, 3, 2)
    matrices = np.einsum("if,fbc->ibc", x, tensor)
    expected = np.zeros((5, 3))
    for i, b, j in np.ndindex(5, 3, 5):
        expected[i, b] += (i != j) * np.exp(-np.abs(matrices[i, b] - matrices[j, b]).sum())
    found = module.apply(variables, jnp.float32(x))
    np.testing.assert_array_equal(found[:, :4], np.float32(x))
    np.testing.assert_allclose(found[:, 4:], expected, rtol=1e-4)


@each_end
def test_discriminators_may_compare_the_examples_of_a_batch(name):
    comparing = {"minibatch_stddev": 2, "minibatch_discrimination": 3}
    module, variables = built(DISCRIMINATORS, name, batch_norm=False, **comparing)
    plain, without = built(DISCRIMINATORS, name, batch_norm=False)
    variables = jax.tree.map(lambda leaf: 5 * leaf, variables)  # so that also sums over pixels differ
    params = {layer: leaves for layer, leaves in variables["params"].items() if layer != "output"}
    without = {"params": {**params, "output": without["params"]["output"]}}
    images = inputs_of(DISCRIMINATORS, (8, 8, 1), 4)
    logits, features = apply(module, variables, images, features=True)
    others, _ = apply(module, variables, images.at[1:].set(images[0]), features=True)
    assert np.abs(others[0] - logits[0]) > 1e-5
    np.testing.assert_allclose(features, apply(plain, without, images, features=True)[1], rtol=1e-5)


@each_end
def test_over_devices_the_whole_batch_is_compared(name):
    fields = small(
        DISCRIMINATORS, name, batch_norm=False, minibatch_stddev=4, minibatch_discrimination=3, kernels=(3, 3)
    )
    whole, spread = (DISCRIMINATORS[name]((4, 4, 1), axis, **fields) for axis in (None, "data"))
    params = variables_of(whole, DISCRIMINATORS, (4, 4, 1))["params"]
    images = inputs_of(DISCRIMINATORS, (4, 4, 1), 8)

    def gradients(module, params, images):
        """Gradients by weights and images, and the logits."""

        def loss(params, images):
            logits = module.apply({"params": params}, images, train=True)
            return jnp.sum(jnp.sin(20 * logits + images[:, 0, 0, 0])), logits

        return jax.grad(loss, (0, 1), has_aux=True)(params, images)

    (by_params, by_images), logits = jax.jit(lambda *args: gradients(whole, *args))(params, images)
    (shares, by_own_images), own_logits = jax.pmap(
        lambda *args: gradients(spread, *args), "data", in_axes=(None, 0), devices=jax.devices()[:4]
    )(params, images.reshape(4, 2, 4, 4, 1))
    np.testing.assert_allclose(own_logits.ravel(), logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_own_images.reshape(images.shape), by_images, rtol=1e-3, atol=1e-5)
    for share, leaf in zip(jax.tree.leaves(shares), jax.tree.leaves(by_params), strict=True):
        np.testing.assert_allclose(share.sum(axis=0), leaf, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in GENERATORS if "noise" in GENERATORS.fields(n)])
def test_noise_is_a_pure_function_of_the_latent(name):
    module, variables = built(GENERATORS, name, noise=True)
    params = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf + 2 if path[-1].key == "weight" else leaf, variables["params"]
    )
    z = inputs_of(GENERATORS, (), 3)
    images = apply(module, {**variables, "params": params}, z)
    others = apply(module, {**variables, "params": params}, z[np.array([2, 0, 0])])
    np.testing.assert_allclose(others, images[np.array([2, 0, 0])], rtol=1e-4, atol=1e-6)
    silent = jax.tree.map(lambda leaf: leaf if leaf.ndim > 1 else 0 * leaf, params)
    quiet = apply(module, {**variables, "params": silent}, z)
    assert np.abs(quiet - images).max() > 1e-3


@pytest.mark.parametrize("name", [n for n in GENERATORS if "noise" in GENERATORS.fields(n)])
def test_noise_has_no_effect_initially(name):
    fields = small(GENERATORS, name, noise=True)
    shapes = jax.eval_shape(
        GENERATORS[name]((8, 8, 1), **fields).init, jax.random.key(0), inputs_of(GENERATORS, ())
    )["params"]
    layers = [layer for layer in shapes if layer.startswith("noise")]
    assert len(layers) == 3 and all(shapes[layer]["weight"].ndim == 1 for layer in layers)
    params = NoiseInjection().init(jax.random.key(0), jnp.ones((2, 5)), latent_keys(jnp.ones((2, 3))))
    assert not params["params"]["weight"].any()


@pytest.mark.parametrize("shape", [(6, 5, 3), (40,)])
def test_noise_is_one_normal_number_per_pixel_or_unit(shape):
    rng = np.random.default_rng(0)
    z, x = jnp.float32(rng.normal(size=(50, 4))), jnp.float32(rng.normal(size=(50, *shape)))
    weight = jnp.linspace(1, 2, shape[-1])
    keys = latent_keys(z)
    apply_noise = jax.jit(lambda x, keys: NoiseInjection().apply({"params": {"weight": weight}}, x, keys))
    noise = (np.asarray(apply_noise(x, keys)) - np.asarray(x)) / np.asarray(weight)
    if len(shape) == 3:
        np.testing.assert_allclose(noise, np.broadcast_to(noise[..., :1], noise.shape), atol=1e-5)
        noise = noise[..., 0]
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]) < 4 / np.sqrt(noise.size)


@functools.partial(jax.jit, static_argnames=("layer", "noise", "latent"))
def injected(x, z, params, layer, noise=False, latent=False):
    class Layer(nn.Module):
        @nn.compact
        def __call__(self, x, z):
            return inject(
                x, z, layer, keys=latent_keys(z) if noise else None, latent=latent,
                kernel_init=nn.initializers.ones, spectral_norm="", train=True,
            )  # fmt: skip

    return Layer().apply({"params": params}, x, z)


def test_each_layer_has_its_own_noise():
    z, x = inputs_of(GENERATORS, ()), jnp.zeros((3, 8))
    one, two = (injected(x, z, {f"noise_{i}": {"weight": jnp.ones(8)}}, i, noise=True) for i in (0, 1))
    assert not (one == two).any() and one.shape == (3, 8)
    half = injected(
        *(jnp.bfloat16(array) for array in (x, z)),
        {"noise_1": {"weight": jnp.ones(8, jnp.bfloat16)}},
        1,
        True,
    )
    np.testing.assert_array_equal(half, jnp.bfloat16(two))


def test_a_latent_is_added_to_each_pixel_of_all_layers_except_the_first():
    z, kernel = inputs_of(GENERATORS, ()), jnp.arange(12.0).reshape(LATENT_DIM, 2)
    x = jnp.float32(np.random.default_rng(0).normal(size=(3, 4, 4, 2)))
    found = injected(x, z, {"inject_1": {"kernel": kernel}}, 1, latent=True)
    np.testing.assert_allclose(found, x + (z @ kernel)[:, None, None], rtol=1e-5)
    points = injected(x[:, 0, 0], z, {"inject_2": {"kernel": kernel}}, 2, latent=True)
    np.testing.assert_allclose(points, x[:, 0, 0] + z @ kernel, rtol=1e-5)
    np.testing.assert_array_equal(injected(x, z, {}, 0, latent=True), x)


@pytest.mark.parametrize("name", [n for n in GENERATORS if "latent_injection" in GENERATORS.fields(n)])
def test_latents_are_injected_into_hidden_layers(name):
    fields = small(GENERATORS, name, latent_injection=True)
    module = GENERATORS[name]((8, 8, 1), **fields)
    params = jax.eval_shape(module.init, jax.random.key(0), inputs_of(GENERATORS, ()))["params"]
    widths = fields.get("channels") or fields["hidden"]
    found = {layer: leaves["kernel"].shape for layer, leaves in params.items() if "inject" in layer}
    assert found == {f"inject_{i}": (LATENT_DIM, widths[i]) for i in (1, 2)}


def test_a_user_defined_network_needs_no_default_for_train():
    class Strict(nn.Module):
        @nn.compact
        def __call__(self, z, train):
            return nn.Dense(4)(z)

    assert variable_shapes(Strict(), (3,))["params"]["Dense_0"]["kernel"].shape == (3, 4)
