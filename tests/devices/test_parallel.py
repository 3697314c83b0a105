import re

import jax
import numpy as np
import pytest
from gans import enlarge, load_digits, make_gan, make_state
from runs import tiny_config
from xla_flags import as_for_users

from jaxgan.algorithm.gan import Regularizer, data_key
from jaxgan.augment import AUGMENTATIONS
from jaxgan.config import experiment
from jaxgan.datasets import order
from jaxgan.devices import parallel
from jaxgan.errors import UserError
from jaxgan.losses import LOSSES
from jaxgan.models import DISCRIMINATORS, convolution
from jaxgan.optimizers import OPTIMIZERS, SCHEDULES
from jaxgan.regularizers import FAMILIES, family_of

B, NUM_STEPS = 8, 6


class Game:
    """A GAN and its initial state, which can be trained in several modes."""

    def __init__(self, factor, **fields):
        self.gan = make_gan(**fields)
        self.state = enlarge(make_state(self.gan), factor)
        self._programs = {}

    def program(self, num_devices=1, mode="jit", streamed=False):
        """Each program is made once, so tests share compiled programs."""
        how = (num_devices, mode, streamed)
        if how not in self._programs:
            made = parallel.make_program(self.gan, mode, B, streamed=streamed, num_devices=num_devices)
            self._programs[how] = made
        return self._programs[how]

    def train(self, lengths=(NUM_STEPS,), seed_state=None, **how):
        """The leaves of the state, by path, and the metrics [steps] after calls of the given lengths."""
        program, step, metrics = self.program(**how), 0, []
        state = program.place_state(seed_state or self.state)
        data = program.place_data({"examples": load_digits()}) if not how.get("streamed") else None
        for num in lengths:
            block = program.place_data({"examples": self.blocks(step, num)}) if data is None else data
            state, new = program.train_steps(state, block, num)
            metrics.append(jax.device_get(new))
            step += num
        flat = jax.tree_util.tree_flatten_with_path(jax.device_get(state))[0]
        leaves = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in flat}
        joined = {name: np.concatenate([part[name] for part in metrics]) for name in metrics[0]}
        return leaves, joined

    def blocks(self, step, num):
        """uint8 [num, n_D, B, 8, 8, 1]: the batches of some steps, read on the host."""
        key, digits, n_d = np.asarray(data_key(self.state.key)), load_digits(), self.gan.discriminator_steps
        rows = [order.rows(key, step + i, n_d * B, len(digits)) for i in range(num)]
        return digits[np.stack(rows)].reshape(num, n_d, B, *digits.shape[1:])


def assert_equal_bits(found, expected):
    for part, wanted in zip(found, expected, strict=True):
        assert part.keys() == wanted.keys()
        different = [path for path in wanted if part[path].tobytes() != wanted[path].tobytes()]
        assert not different


def assert_close(found, expected, tolerance=1e-5):
    """‖a - b‖ / ‖b‖ for each network's parameters, each of its collections, and each metric."""
    for part, wanted in zip(found, expected, strict=True):
        assert part.keys() == wanted.keys()
        groups = {}
        for path in wanted:
            groups.setdefault(path.partition("['")[0] or path, []).append(path)
        for group, paths in groups.items():
            a, b = (np.concatenate([np.ravel(side[path]) for path in paths]) for side in (part, wanted))
            a, b = np.float64(a), np.float64(b)
            assert np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b), group


@pytest.fixture(scope="module")
def plain():
    """Dense, plain gradient descent, two discriminator steps. pmap must reproduce it, too."""
    game = Game(5.0, discriminator_steps=2)
    return game, game.train()


@pytest.fixture(scope="module")
def normalized():
    """Convolutions, batch norm in both networks, plain gradient descent.

    Initial weights and small steps: with larger steps rounding errors grow by a factor of ten per step.
    """
    optimizer = OPTIMIZERS["sgd"](learning_rate=0.03)
    game = Game(
        1.0,
        family="dcgan",
        batch_norm=True,
        generator_optimizer=optimizer,
        discriminator_optimizer=optimizer,
    )
    return game, game.train()


@pytest.fixture(scope="module")
def adaptive():
    """Convolutions, batch norm and Adam, as in a real run.

    With these networks a scan of length one once gave different bits; with many others it did not.
    """
    discriminator = DISCRIMINATORS["dcgan"]((8, 8, 1), channels=(4, 4), kernels=(3, 3), strides=(2, 2))
    game = Game(1.0, family="dcgan", batch_norm=True, optimizer="adam", discriminator=discriminator)
    with as_for_users():
        return game, game.train()


def coupled_gan(axis_name):
    """All components that couple examples or draw noise, with plain gradient descent."""
    coupled = {"minibatch_stddev": 4, "minibatch_discrimination": 2, "hidden": (8,)}
    names = ("dragan", "lecam", "feature_matching", "cr")
    regularizers = {name: (family_of(name), FAMILIES[family_of(name)].bind(name)[0]) for name in names}
    return make_gan(
        axis_name=axis_name,
        discriminator=DISCRIMINATORS["mlp"]((8, 8, 2), axis_name, **coupled),
        loss=lambda: LOSSES["relativistic_average"]()._replace(threshold=0.0),  # ADA needs a threshold
        packing=2,
        accumulate=2,
        instance_noise=SCHEDULES["constant"],
        augment={"translation": AUGMENTATIONS["translation"]},
        consistency_augment={"flip": AUGMENTATIONS["flip"]},
        regularizers={
            name: Regularizer(family, build, 2 if name == "dragan" else 1, SCHEDULES["constant"])
            for name, (family, build) in regularizers.items()
        },
    )


def coupled_knobs():
    penalty = {"weight": 0.1, "schedule": {}, "fields": {}}
    return {
        "regularizers": dict.fromkeys(("dragan", "lecam", "feature_matching", "cr"), penalty),
        "top_k": {"k": 3, "num_steps": 0},
        "instance_noise": {"stddev": 0.1, "schedule": {}},
        "label_flip": 0.3,
        "augment": {"translation": {}},
        "consistency_augment": {"flip": {}},
        "augment_probability": 0.5,
        "adaptive": {"target": 0.6, "length": 1000.0},
        "class_weights": np.linspace(0.5, 1.5, 10),
    }


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_components_that_couple_a_batch_are_the_same_on_several_devices(mode):
    """Relativistic means, top-k, feature means, minibatch features, LeCam, ADA, DRAGAN's deviation."""
    labels = np.arange(len(load_digits()), dtype=np.int32) % 10

    def train(mode, num_devices):
        gan = coupled_gan(parallel.AXIS if mode == "pmap" else None)
        program = parallel.make_program(gan, mode, 16, num_devices=num_devices)
        state = program.place_state(enlarge(make_state(gan, **coupled_knobs()), 5.0))
        data = program.place_data({"examples": load_digits(), "labels": labels})
        state, metrics = program.train_steps(state, data, 3)
        flat = jax.tree_util.tree_flatten_with_path(jax.device_get(state))[0]
        leaves = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in flat}
        return leaves, jax.device_get(metrics)

    assert_close(train(mode, 2), train("jit", 1))


def test_balanced_classes_are_the_same_streamed_or_on_the_device(plain):
    game, _ = plain
    labels = np.minimum(np.arange(len(load_digits())) // 5, 9)  # the last class has almost all examples
    groups = order.group_by_class(labels)
    program = game.program()
    data = program.place_data({"examples": load_digits(), "groups": groups})
    state, _ = program.train_steps(program.place_state(game.state), data, NUM_STEPS)
    key, n_d = np.asarray(data_key(game.state.key)), game.gan.discriminator_steps
    rows = np.stack([order.balanced_rows(key, step, n_d * B, groups) for step in range(NUM_STEPS)])
    assert (labels[rows] < 9).mean() > 0.8
    blocks = {"examples": load_digits()[rows].reshape(NUM_STEPS, n_d, B, 8, 8, 1)}
    streamed = game.program(streamed=True)
    other, _ = streamed.train_steps(streamed.place_state(game.state), streamed.place_data(blocks), NUM_STEPS)
    for one, two in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True):
        assert np.asarray(one).tobytes() == np.asarray(two).tobytes()


@pytest.mark.parametrize("mode", ["jit", "pmap"])
@pytest.mark.parametrize("num_devices", [1, 2])
def test_the_state_is_placed_as_a_copy_on_every_device(num_devices, mode):
    """A donated shard that shares the caller's memory would be freed twice."""
    gan = make_gan()
    state = make_state(gan)
    program = parallel.make_program(gan, mode, B, num_devices=num_devices)
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(program.place_state(state)), strict=True):
        np.testing.assert_array_equal(old, new)
        pointers = [shard.data.unsafe_buffer_pointer() for shard in new.addressable_shards]
        assert len(pointers) == num_devices and old.unsafe_buffer_pointer() not in pointers


def test_training_moves_every_network_and_depends_on_the_seed(plain):
    """Otherwise the equalities below could not fail."""
    game, (leaves, metrics) = plain
    before = jax.tree_util.tree_flatten_with_path(jax.device_get(game.state))[0]
    for path, leaf in before:
        place = jax.tree_util.keystr(path)
        if ".params" in place and "kernel" in place:
            assert np.abs(leaves[place] - leaf).max() > 1e-4, place
    assert leaves[".step"] == NUM_STEPS and metrics["D(x)"].shape == (NUM_STEPS,)
    other = game.train(seed_state=enlarge(make_state(game.gan, seed=8), 5.0))
    with pytest.raises(AssertionError):
        assert_close(other, (leaves, metrics), tolerance=1e-2)


@pytest.fixture(scope="module")
def twenty(plain):
    return plain[0].train(lengths=(20,))


@pytest.mark.parametrize("num_devices", [2, pytest.param(4, marks=pytest.mark.slow), 8])
@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_several_devices_give_the_numbers_of_one(plain, twenty, mode, num_devices):
    """Examples and noise are the same, and gradients are means over the whole batch."""
    found, _ = plain[0].train(lengths=(20,), num_devices=num_devices, mode=mode)
    assert_every_leaf_close(found, twenty[0], 1e-5)


def assert_every_leaf_close(found, expected, tolerance):
    """‖a - b‖ / ‖b‖ for every leaf."""
    assert found.keys() == expected.keys()
    for path, leaf in expected.items():
        a, b = np.float64(found[path]), np.float64(leaf)
        assert np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b), path


def with_nan(every):
    """The digits in [-1, 1], of which every so manieth has a NaN."""
    digits = np.float32(load_digits()) / 127.5 - 1
    digits[::every, 3, 3] = np.nan
    return digits


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_a_guard_and_a_step_of_its_own_are_the_same_on_several_devices(mode, guarded):
    """A NaN on one device leaves the update out on both."""
    leaves, metrics = guarded
    skipped = metrics["discriminator_nonfinite"] > 0
    assert 0 < skipped.sum() < len(skipped) and len(np.unique(leaves[".discriminator.step"])) == 1
    assert_close(train_guarded(mode, 2), guarded)


@pytest.fixture(scope="module")
def guarded():
    return train_guarded("jit", 1)


def train_guarded(mode, num_devices):
    """Leaves and metrics after 8 steps with R1 in a step of its own in every second update."""
    build = FAMILIES["gradient"].bind("r1")[0]
    gan = make_gan(
        axis_name=parallel.AXIS if mode == "pmap" else None,
        regularizers={"r1": Regularizer("gradient", build, 2, SCHEDULES["constant"], own_step=True)},
        nonfinite="skip",
    )
    knobs = {"regularizers": {"r1": {"weight": 0.1, "schedule": {}, "fields": {}}}}
    program = parallel.make_program(gan, mode, B, num_devices=num_devices)
    state = program.place_state(enlarge(make_state(gan, **knobs), 3.0))
    state, metrics = program.train_steps(state, program.place_data({"examples": with_nan(12)}), 8)
    flat = jax.tree_util.tree_flatten_with_path(jax.device_get(state))[0]
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in flat}, jax.device_get(metrics)


FEATURES = ("adam", "batch_norm", "r1", "minibatch_stddev", "accumulate")


def train_in_float64(mode, num_devices, *features):
    """The leaves after 20 steps on B = 16, with an EMA and these features."""
    axis_name = parallel.AXIS if mode == "pmap" else None
    knobs = {"regularizers": {"r1": {"weight": 0.1, "schedule": {}, "fields": {}}}}
    fields = {
        "batch_norm": "batch_norm" in features,
        "optimizer": "adam" if "adam" in features else "sgd",
        "accumulate": 2 if "accumulate" in features else 1,
    }
    if "r1" in features:
        build = FAMILIES["gradient"].bind("r1")[0]
        fields["regularizers"] = {"r1": Regularizer("gradient", build, 2, SCHEDULES["constant"])}
    if "minibatch_stddev" in features:
        grouped = {"minibatch_stddev": 4, "hidden": (8,), "activation": "elu"}
        fields["discriminator"] = DISCRIMINATORS["mlp"]((8, 8, 1), axis_name, **grouped)
    with jax.enable_x64(True):
        gan = make_gan(axis_name=axis_name, compute_dtype="float64", **fields)
        state = enlarge(make_state(gan, **(knobs if "r1" in features else {})), 3.0)
        state = jax.tree.map(lambda leaf: leaf.astype(float) if leaf.dtype == np.float32 else leaf, state)
        program = parallel.make_program(gan, mode, 16, num_devices=num_devices)
        # converted here, because R1 differentiates by them
        data = program.place_data({"examples": np.float64(load_digits()) / 127.5 - 1})
        state, _ = program.train_steps(program.place_state(state), data, 20)
        flat = jax.tree_util.tree_flatten_with_path(jax.device_get(state))[0]
    leaves = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in flat}
    assert leaves[".step"] == 20 and leaves[".ema['params']['output']['kernel']"].dtype == np.float64
    return leaves


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "num_devices"), [("jit", 4), ("pmap", 2)])
def test_in_float64_modes_differ_only_by_rounding(mode, num_devices, everything):
    """Adam, batch norm, R1 in every second update, EMA, minibatch deviation and accumulation together."""
    assert_every_leaf_close(train_in_float64(mode, num_devices, *FEATURES), everything, 1e-8)


@pytest.fixture(scope="module")
def everything():
    return train_in_float64("jit", 1, *FEATURES)


@pytest.mark.slow
@pytest.mark.parametrize("feature", ["", *FEATURES])
def test_each_feature_in_float64(feature):
    expected = train_in_float64("jit", 1, feature)
    for mode in ("jit", "pmap"):
        for num_devices in (2, 4, 8) if feature != "accumulate" else (2, 4):
            assert_every_leaf_close(train_in_float64(mode, num_devices, feature), expected, 1e-10)


def test_the_gradients_of_a_network_are_reduced_together(plain):
    """One all-reduce for each of three updates with its metrics, two for `diversity`, none for the data."""
    game, _ = plain
    program = game.program(num_devices=2)
    state, data = program.place_state(game.state), program.place_data({"examples": load_digits()})
    text = program.train_steps.lower(state, data, NUM_STEPS).compile().as_text()
    counts = {op: len(re.findall(rf" {op}(?:-start)?\(", text)) for op in COLLECTIVES}
    assert counts.pop("all-reduce") <= 5 and not any(counts.values()), counts


COLLECTIVES = "all-reduce all-gather all-to-all collective-permute reduce-scatter".split()


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_a_call_moves_nothing_from_the_host(plain, mode):
    game, _ = plain
    program = game.program(num_devices=2, mode=mode)
    data = program.place_data({"examples": load_digits()})
    state, _ = program.train_steps(program.place_state(game.state), data, NUM_STEPS)
    with jax.transfer_guard("disallow"):
        program.train_steps(state, data, NUM_STEPS)


def equations(jaxpr):
    """All equations of a program, including those of its parts."""
    for equation in jaxpr.eqns:
        yield equation
        for part in jax.tree.leaves(equation.params, is_leaf=lambda value: hasattr(value, "eqns")):
            yield from equations(part) if hasattr(part, "eqns") else ()


def test_the_order_of_the_examples_is_computed_once_per_call(plain):
    """Computing it needs a while loop, and on a GPU the host waits for every iteration."""
    game, _ = plain
    program = game.program()
    data = {
        "examples": load_digits()
    }  # 1,797 is not a product of two neighbouring numbers, so it needs the loop
    made = program.train_steps.trace(game.state, data, NUM_STEPS).jaxpr
    names = [str(equation.primitive) for equation in equations(made)]
    (steps,) = [e for e in equations(made) if e.params.get("length") == NUM_STEPS]
    inside = [str(equation.primitive) for equation in equations(steps.params["jaxpr"])]
    assert "while" in names and "while" not in inside and "dot_general" in inside


@pytest.mark.slow
def test_under_pmap_batch_statistics_may_be_per_device():
    """The means of the halves average to that of the batch; the mean of their variances is smaller."""
    config = {"generator__name": "mlp", "generator__mlp__hidden": (4,), "generator__mlp__batch_norm": True}
    config |= {"discriminator__dcgan__batch_norm": True, "parallel": "pmap", "num_devices": 2}

    def train(batch_statistics):
        fields = tiny_config(**config, batch_statistics=batch_statistics)
        gan = experiment.make_gan(fields, (8, 8, 1), parallel.AXIS)
        program = parallel.make_program(gan, "pmap", 16, num_devices=2)
        data = program.place_data({"examples": load_digits()})
        state = program.place_state(make_state(gan))
        state, _ = program.train_steps(state, data, 1)
        networks = jax.device_get((state.generator, state.discriminator))
        return [min(network.model_state["batch_stats"].items())[1] for network in networks]

    (whole, whole_judge), (own, own_judge) = train("synchronized"), train("device")
    np.testing.assert_allclose(own["mean"], whole["mean"], rtol=1e-4, atol=1e-6)
    assert (own["var"] < whole["var"]).all()
    assert not np.allclose(own_judge["var"], whole_judge["var"], rtol=1e-4)  # the fakes differ, too


def test_under_jit_batch_norm_is_over_the_whole_batch(normalized):
    game, expected = normalized
    assert_close(game.train(num_devices=4), expected)


@pytest.mark.slow
def test_under_pmap_batch_norm_is_over_the_whole_batch_if_the_network_has_the_axis():
    alone = Game(1.0, batch_norm=True)
    together = Game(1.0, batch_norm=True, axis_name=parallel.AXIS)
    assert_close(together.train(num_devices=2, mode="pmap"), alone.train())


def test_pmap_on_one_device(plain):
    game, expected = plain
    assert_close(game.train(mode="pmap"), expected)


@pytest.mark.parametrize("length", [1, pytest.param(2, marks=pytest.mark.slow), 3])
def test_calls_of_any_length_give_the_same_bits(exact, adaptive, length):
    game, expected = adaptive
    assert_equal_bits(game.train(lengths=(length,) * (NUM_STEPS // length)), expected)


def test_a_remainder_gives_the_same_bits(exact, adaptive):
    game, expected = adaptive
    assert_equal_bits(game.train(lengths=(3, 2, 1)), expected)


def test_batches_streamed_from_the_host_give_the_bits_of_data_on_the_device(exact, adaptive):
    game, expected = adaptive
    assert_equal_bits(game.train(streamed=True), expected)


@pytest.mark.parametrize(("mode", "num_devices"), [("jit", 2), ("pmap", 2)])
def test_streamed_batches_on_several_devices(plain, mode, num_devices):
    game, expected = plain
    assert_close(game.train(mode=mode, num_devices=num_devices, streamed=True), expected)


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_the_placed_state_is_donated_and_the_caller_s_is_not(plain, mode):
    game, _ = plain
    program = game.program(mode=mode, num_devices=2)
    placed, data = program.place_state(game.state), program.place_data({"examples": load_digits()})
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(placed))
    program.train_steps(placed, data, NUM_STEPS)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(placed))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(game.state))
    assert not data["examples"].is_deleted()


def test_a_repeated_call_compiles_nothing_new(plain):
    game, _ = plain
    program = game.program()
    data, compiled = program.place_data({"examples": load_digits()}), []
    state, _ = program.train_steps(program.place_state(game.state), data, NUM_STEPS)

    def listen(event, duration, **_):
        if event.endswith("backend_compile_duration"):
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)  # permanent: JAX 0.8 cannot remove it
    state, _ = program.train_steps(state, data, NUM_STEPS)
    again = make_state(game.gan, seed=9)  # compiles, so the listener is called
    heard = len(compiled)
    again = program.place_state(again)
    placing = len(compiled)
    program.train_steps(again, data, NUM_STEPS)
    assert heard > 0 and len(compiled) == placing


def test_every_convolution_of_the_compiled_step_has_the_fast_order(monkeypatch):
    """Within a loop XLA:CPU takes 20 to 80 times as long for any order but NHWC, HWIO -> NHWC.

    XLA swaps kernel and image if the kernel is larger: see test_layers.
    """
    monkeypatch.setattr(convolution, "_FEW_CHANNELS", 1)  # this network has few channels everywhere
    game = Game(1.0, family="dcgan")
    program = game.program()
    lowered = program.train_steps.lower(
        program.place_state(game.state), program.place_data({"examples": load_digits()}), 3
    )
    orders = re.findall(r"convolution\(.*dim_labels=(\S+?)[,\s]", lowered.compile().as_text())
    # generator: 2 forward, 3 backward; discriminator: 2 forward and 3 backward on real and on fake examples,
    # 2 forward and 2 backward in the generator's update; without those to one channel
    assert len(orders) >= 17
    assert set(orders) == {"b01f_01io->b01f"}


@pytest.mark.parametrize(
    ("batch_size", "num_devices", "sizes"),
    [(6, 4, "4 or 8"), (1, 8, "8"), (9, 2, "8 or 10"), (63, 4, "60 or 64")],
)
def test_a_batch_that_devices_cannot_share_is_refused_with_valid_sizes(batch_size, num_devices, sizes):
    gan = make_gan()
    with pytest.raises(UserError, match=rf"cannot be shared by {num_devices} devices: set it to {sizes}\b"):
        parallel.make_program(gan, "jit", batch_size, num_devices=num_devices)
    for size in sizes.split(" or "):
        parallel.make_program(gan, "pmap", int(size), num_devices=num_devices)


def test_unknown_modes_and_too_many_devices_are_refused():
    gan = make_gan()
    with pytest.raises(UserError, match="parallel='vmap' is not known; choose one of auto, jit, pmap"):
        parallel.make_program(gan, "vmap", B, num_devices=1)
    with pytest.raises(UserError, match=f"this machine has {len(jax.devices())}"):
        parallel.make_program(gan, "jit", B, num_devices=len(jax.devices()) + 1)
