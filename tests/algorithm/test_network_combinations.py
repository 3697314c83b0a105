"""Pairs of residual networks, with losses and penalties. Each pair is traced; some are trained."""

import functools

import jax
import numpy as np
import pytest
from conditional import CLASSES, digit_labels, make_batch
from runs import tiny_config

from jaxgan.algorithm.gan import init_state
from jaxgan.algorithm.steps import train_step
from jaxgan.config import checks, experiment, fields

NETWORKS = ("resnet", "biggan", "biggan_deep", "r3gan")
GAMES = {
    "hinge, projection": {
        "loss.name": "hinge", "condition.name": "labels", "condition.labels.discriminator": "projection",
    },
    "pairing, R1, R2": {
        "loss.name": "relativistic_pairing", "regularizers.r1.weight": 1.0, "regularizers.r2.weight": 1.0,
    },
    "WGAN-GP, joined": {
        "loss.name": "wasserstein", "regularizers.wgan_gp.weight": 10.0, "condition.name": "labels",
    },
    "ReACGAN, bCR": {
        "loss.name": "hinge", "condition.name": "labels", "condition.labels.discriminator": "none",
        "regularizers.d2d_ce.weight": 0.5, "regularizers.bcr.weight": 1.0,
        "consistency_augment.names": ("flip",),
    },
}  # fmt: skip
# All pairs of networks, each with one game. Four rows cover each network and game once; the others are slow.
QUICK = {(0, 0), (1, 2), (2, 3), (3, 1)}
ROWS = [
    pytest.param(generator, discriminator, [*GAMES][i ^ j], marks=[pytest.mark.slow] * ((i, j) not in QUICK))
    for i, generator in enumerate(NETWORKS)
    for j, discriminator in enumerate(NETWORKS)
]


def small(config, network, name):
    """Makes the network narrow and shallow, with attention if it has that field."""
    section = config[network][name]
    if name == "r3gan":
        section.update({"width": 4, "group_width": 4, "blocks": 1})
    else:
        section.update({"width": 2, "multipliers": (2, 1) if network == "generator" else (1, 2)})
        section.attention = (8,) if network == "generator" else (4,)
        section.spectral_norm = "."


def make(generator, discriminator, game):
    """(GAN, function that returns an initial state, batch) of tiny networks on the digits."""
    names = {"generator__name": generator, "discriminator__name": discriminator}
    config = tiny_config(**names, latent_dim=4, batch_size=8)
    config.update_from_flattened_dict(GAMES[game])
    for network, name in (("generator", generator), ("discriminator", discriminator)):
        small(config, network, name)
    if config.condition.name == "labels" and "batch_norm" in config.generator[generator]:
        config.condition.labels.generator = "batch_norm"
    checks.check(config)
    config = fields.fix_schedule(config)
    gan = experiment.make_gan(config, (8, 8, 1), None, CLASSES)
    hyper = experiment.make_hyper(config, digit_labels())
    state = functools.partial(init_state, gan, np.array([0, 3], np.uint32), hyper)
    batch = make_batch(gan)
    return gan, state, batch if gan.condition else {k: v for k, v in batch.items() if k != "labels"}


@pytest.mark.parametrize(("generator", "discriminator", "game"), ROWS)
def test_every_pair_of_networks_gives_a_step(generator, discriminator, game):
    gan, state, batch = make(generator, discriminator, game)
    state = jax.eval_shape(state)
    after, metrics = jax.eval_shape(functools.partial(train_step, gan=gan), state, batch)
    shapes = [jax.tree.map(lambda x: (x.shape, x.dtype), tree) for tree in (after, state)]
    assert shapes[0] == shapes[1] and "discriminator_loss" in metrics


@pytest.mark.slow
@pytest.mark.parametrize(
    ("generator", "discriminator", "game"),
    [
        ("resnet", "biggan", "hinge, projection"),
        ("biggan", "resnet", "hinge, projection"),
        ("biggan_deep", "biggan_deep", "ReACGAN, bCR"),
        ("r3gan", "r3gan", "pairing, R1, R2"),
    ],
)
def test_each_network_trains(generator, discriminator, game):
    gan, state, batch = make(generator, discriminator, game)
    state = jax.jit(state)()
    step = jax.jit(functools.partial(train_step, gan=gan))
    after, metrics = step(state, batch)
    after, metrics = step(after, batch)
    for leaf in jax.tree.leaves((after.generator.params, after.discriminator.params, metrics)):
        assert np.isfinite(leaf).all()
    for network in ("generator", "discriminator"):
        old, new = (jax.tree.leaves(getattr(s, network).params) for s in (state, after))
        assert all((np.asarray(a) != b).any() for a, b in zip(old, new, strict=True)), network
