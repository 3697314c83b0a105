"""Every loss, penalty and trick trains two finite steps on real images. Numbers need no recompilation.

Penalties run without jit: most operations are the same in all tests and are compiled once.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gans import load_digits
from runs import DCGAN, tiny_config

from configs import recipes
from jaxgan.algorithm.gan import init_state
from jaxgan.algorithm.steps import train_step
from jaxgan.config import checks, experiment, fields
from jaxgan.config.essential import essential
from jaxgan.losses import LOSSES
from jaxgan.regularizers import FAMILIES, family_of
from jaxgan.sweeps import plan

B = 8
MLP = {
    "generator.name": "mlp",
    "discriminator.name": "mlp",
    "generator.mlp.hidden": (8,),
    "discriminator.mlp.hidden": (8,),
    "latent_dim": 4,
    "batch_size": B,
}
OF_IMAGES = {"content", *FAMILIES["reconstruction"]}  # given ones: see test_image_conditions.py
PENALTIES = [name for registry in FAMILIES.values() for name in registry if name not in OF_IMAGES]
TRANSFORMED = ("cr", "bcr")  # these compare images with transformed ones
LABELS = np.arange(1000, dtype=np.int32) % 10


def configure(**changes):
    """A config of tiny dense networks on the digits, checked as in a run."""
    config = tiny_config(**{name.replace(".", "__"): value for name, value in (MLP | changes).items()})
    checks.check(config)
    return fields.fix_schedule(config)


def penalized(*names):
    fields = {f"regularizers.{name}.weight": 0.5 for name in names}
    if names == ("information",):
        fields |= {"condition.name": "codes"}
    elif any(family_of(name) == "class" for name in names):
        fields.pop("regularizers.information.weight", None)  # only for codes
        fields |= {"condition.name": "labels", "condition.labels.discriminator": "none"}
        fields |= {"regularizers.ac.weight": 0.5} if "tac" in names else {}
    return fields | ({"consistency_augment.names": ("flip",)} if {*names} & {*TRANSFORMED} else {})


def make(config):
    """(GAN, function that returns an initial state, batch)."""
    gan = experiment.make_gan(config, (8, 8, 1), classes=tuple(range(10)))
    hyper = experiment.make_hyper(config, LABELS)
    key = np.array([0, 3], np.uint32)
    state = functools.partial(init_state, gan, key, hyper)
    rows = np.arange(gan.batches * B).reshape(-1, B)
    batch = {"examples": jnp.asarray(load_digits()[rows]), "index": jnp.arange(B)}
    if "class_weights" in hyper or gan.condition:
        batch["labels"] = jnp.asarray(LABELS[rows])
    return gan, state, batch


def lowered(config):
    gan, state, batch = make(config)
    return jax.jit(functools.partial(train_step, gan=gan)).lower(jax.eval_shape(state), batch)


def train(config, num=2, jit=False):
    """The states and metrics of some steps."""
    gan, state, batch = make(config)
    step = functools.partial(train_step, gan=gan)
    step = jax.jit(step) if jit else step
    states, metrics = [state()], []
    for _ in range(num):
        after, values = step(states[-1], batch)
        states.append(after)
        metrics.append(values)
    for leaf in jax.tree.leaves((states[-1], metrics)):
        assert np.isfinite(np.asarray(leaf, np.float64)).all()
    for name in ("generator", "discriminator"):
        changes = jax.tree.map(
            lambda a, b: np.abs(a - b).max(),
            getattr(states[0], name).params,
            getattr(states[-1], name).params,
        )
        assert max(jax.tree.leaves(changes)) > 0, f"the {name} does not learn"
    return states, metrics


@pytest.mark.slow
@pytest.mark.parametrize("loss", [*LOSSES])
def test_every_loss_with_all_penalties_at_once(loss):
    _, metrics = train(configure(**{"loss.name": loss}, **penalized(*PENALTIES)))
    assert {f"discriminator/{name}" for name in ("r1", "lecam", "cr", "orthogonal")} - metrics[0].keys() == {
        "discriminator/orthogonal"  # only for the generator
    }
    assert {"generator/orthogonal", "generator/feature_matching", "generator/zcr"} <= metrics[0].keys()


@pytest.mark.parametrize("penalty", PENALTIES)
def test_every_penalty(penalty):
    _, metrics = train(configure(**penalized(penalty)))
    if family_of(penalty) != "projection":
        assert any(name.endswith(f"/{penalty}") for name in metrics[0])


@pytest.mark.slow
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", [*LOSSES])
def test_every_penalty_with_every_loss(penalty, loss):
    train(configure(**{"loss.name": loss}, **penalized(penalty)))


TRICKS = {
    "label smoothing": {"loss.nonsaturating.real_label": 0.9, "loss.nonsaturating.fake_label": 0.1},
    "label flipping": {"label_flip": 0.2},
    "instance noise that fades": {"instance_noise.stddev": 0.3, "instance_noise.schedule.name": "linear"},
    "feature matching alone": {"generator_loss_weight": 0.0, "regularizers.feature_matching.weight": 1.0},
    "minibatch deviation": {"discriminator.mlp.minibatch_stddev": 4},
    "minibatch deviation under R1": {"discriminator.mlp.minibatch_stddev": 4, "regularizers.r1.weight": 1.0},
    "minibatch discrimination": {"discriminator.mlp.minibatch_discrimination": 3},
    "packing": {"packing": 2},
    "packing under a gradient penalty": {"packing": 2, "regularizers.wgan_gp.weight": 1.0},
    "top-k": {"top_k": 4, "top_k_steps": 10},
    "unrolling": {"unrolled_steps": 2, "discriminator_optimizer.adam.eps_root": 1e-16},
    "several generators": {"num_generators": 2},
    "noise in the generator": {"generator.mlp.noise": True},
    "latents injected": {"generator.mlp.latent_injection": True, "generator.mlp.hidden": (8, 8)},
    "clipped gradients": {"generator_clip_norm": 0.1, "discriminator_clip_norm": 0.1},
    "accumulation": {"accumulate": 2},
    "lookahead": {"lookahead_every": 2},
    "three to one": {"discriminator_steps": 3},
    "one to two": {"generator_steps": 2},
    "simultaneous": {"update_order": "simultaneous"},
    "weighed losses": {"discriminator_loss_weight": 0.5},
    "differentiable augmentation": {"augment.names": ("color", "translation", "cutout")},
    "adaptive augmentation": {
        "augment.names": ("flip", "scale"),
        "augment.adaptive": True,
        "augment.probability": 0.0,
    },
    "ordinary augmentation": {"data_augment.names": ("flip", "crop", "rotation", "scale")},
    "class weights": {"class_balance": "weights"},
    "truncated latents": {"latent": "truncated", "latent_threshold": 1.0},
    "bfloat16": {"compute_dtype": "bfloat16"},
    "lazy penalties": {"regularizers.r1.weight": 1.0, "regularizers.r1.interval": 2},
    "a step of its own for penalties": {
        "regularizers.r1.weight": 1.0,
        "regularizers.r1.interval": 2,
        "regularizers.r1.own_step": True,
        "packing": 2,
        "accumulate": 2,
    },
    "a fresh batch for the generator": {"generator_batch": "fresh", "discriminator_steps": 2},
    "a guard against NaN": {"nonfinite_gradients": "skip", "generator_steps": 2},
    "a half-life that ramps up": {
        "ema_half_life": 1e3,
        "ema_rampup": 0.05,
        "schedules.ema_half_life.form": "exponential",
        "schedules.ema_half_life.end": 1e4,
    },
    "everything": {
        "packing": 2,
        "accumulate": 2,
        "label_flip": 0.1,
        "instance_noise.stddev": 0.1,
        "lookahead_every": 2,
        "augment.names": ("translation",),
        "data_augment.names": ("flip",),
        "regularizers.r1.weight": 1.0,
        "regularizers.lecam.weight": 0.1,
        "regularizers.historical_averaging.weight": 0.1,
        "compute_dtype": "bfloat16",
        "loss.name": "relativistic_pairing",
    },
}


@pytest.mark.parametrize("trick", TRICKS)
def test_every_trick(trick):
    train(configure(**TRICKS[trick]), jit=True)


# Fields that are numbers, with other values ...
NUMBERS = {
    "ema_decay": 0.5,
    "generator_optimizer.adam.b1": 0.3,
    "discriminator_optimizer.adam.learning_rate": 1.0,
    "loss.nonsaturating.real_label": 0.8,
    "discriminator_loss_weight": 2.0,
    "regularizers.wgan_gp.weight": 7.0,
    "regularizers.wgan_gp.target": 0.0,
    "regularizers.wgan_gp.schedule.linear.final": 0.3,
    "regularizers.wgan_gp.schedule.linear.num_steps": 7,
    "regularizers.lecam.weight": 3.0,
    "regularizers.lecam.decay": 0.5,
    "label_flip": 0.4,
    "instance_noise.stddev": 0.7,
    "generator_clip_norm": 2.0,
    "top_k": 3,
    "top_k_steps": 9,
    "lookahead_alpha": 0.9,
    "augment.color.brightness": 0.1,
    "augment.probability": 0.3,
    "augment.target": 0.1,
    "num_steps": 999,
    "schedule.cosine.final": 0.5,
}
# ... and fields that enable them.
IN_USE = {
    "regularizers.wgan_gp.weight": 1.0,
    "regularizers.wgan_gp.schedule.name": "linear",
    "regularizers.lecam.weight": 1.0,
    "schedule.name": "cosine",
    "label_flip": 0.1,
    "instance_noise.stddev": 0.1,
    "generator_clip_norm": 1.0,
    "top_k": 4,
    "top_k_steps": 10,
    "lookahead_every": 2,
    "augment.names": ("color",),
    "augment.adaptive": True,
    "augment.probability": 0.1,
}


def test_other_numbers_use_the_same_program():
    """One jitted step accepts states with other numbers and schedules. Both GANs have the same program."""
    one, other = configure(**IN_USE), configure(**(IN_USE | NUMBERS))
    assert lowered(one).as_text() == lowered(other).as_text()

    gan, state, batch = make(one)
    step, state = jax.jit(functools.partial(train_step, gan=gan)), jax.jit(state)()
    hyper = jax.tree.map(jnp.float32, experiment.make_hyper(other, LABELS))
    after = [
        step(state.replace(hyper={**state.hyper, **knobs}), batch)[0].discriminator.params
        for knobs in ({}, hyper, {"label_flip": jnp.float32(1.0)})
    ]
    assert step._cache_size() == 1
    kernels = [np.asarray(params["dense_0"]["kernel"]) for params in after]
    assert (kernels[0] != kernels[1]).any() and (kernels[0] != kernels[2]).any()


def test_a_weight_of_zero_is_absent_from_the_program():
    off = {"label_flip": 0.0, "instance_noise.stddev": 0.0, "generator_clip_norm": 0.0, "top_k": 0}
    off |= {f"regularizers.{name}.weight": 0.0 for name in PENALTIES}
    plain = lowered(configure()).as_text()
    assert lowered(configure(**off)).as_text() == plain
    assert len(lowered(configure(**penalized("drift"))).as_text()) > len(plain)


def test_the_recipe_of_top_k_follows_overrides_and_sweeps():
    config = tiny_config()
    recipes.top_k(config)
    assert (config.top_k, config.top_k_steps) == (8, 30)
    made = plan.make_plan(config, ["packing=1,2", "batch_size=16,32"])
    assert [run.config.top_k for run in made.runs] == [8, 16, 4, 8]
    config.batch_size = 64
    checks.check(config)
    assert essential(config)["top_k"] == experiment.make_hyper(config)["top_k"]["k"] == 32
    config.top_k = 5  # an explicit value
    config.batch_size = 32
    assert config.top_k == 5


@pytest.mark.parametrize("name", [*recipes.RECIPES])
def test_every_recipe_builds_a_step(name):
    """On digits: a valid config of convolutional networks with batch norm, and a step of dense networks."""
    convolutions = tiny_config(**DCGAN)
    convolutions.generator.dcgan.batch_norm = convolutions.discriminator.dcgan.batch_norm = True
    dense = tiny_config()
    for config in (convolutions, dense):
        recipes.RECIPES[name](config)
        checks.check(config)
    config = fields.fix_schedule(dense)
    gan = experiment.make_gan(config, (8, 8, 1), classes=tuple(range(10)))
    hyper = experiment.make_hyper(config, LABELS)
    state = jax.eval_shape(lambda: init_state(gan, jnp.zeros(2, jnp.uint32), hyper))
    shape = (gan.batches, config.batch_size)
    batch = {
        "examples": jax.ShapeDtypeStruct((*shape, 8, 8, 1), jnp.uint8),
        "labels": jax.ShapeDtypeStruct(shape, jnp.int32),
        "index": jax.ShapeDtypeStruct(shape[1:], jnp.int32),
    }
    after, _ = jax.eval_shape(functools.partial(train_step, gan=gan), state, batch)
    assert jax.tree.structure(after) == jax.tree.structure(state)
