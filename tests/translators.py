"""Small GANs that are given images, built from configs as a run's are."""

import jax
import jax.numpy as jnp
import numpy as np
from gans import load_digits
from runs import tiny_config

from jaxgan.algorithm.gan import init_state
from jaxgan.config import checks, experiment, fields

B = 8
GIVEN = {
    "condition.name": "image",
    "task.super_resolution.factor": 2,
    "generator.name": "enlarger",
    "generator.enlarger.width": 2,
    "generator.enlarger.blocks": 1,
    "discriminator.name": "patchgan",
    "discriminator.patchgan.receptive_field": 16,
    "discriminator.patchgan.width": 2,
    "regularizers.l1.weight": 1.0,
    "latent_dim": 2,
    "batch_size": B,
}

BOTH_WAYS = {
    "task.name": "unpaired",
    "condition.image.discriminator": "none",
    "generator.name": "resnet_translator",
    "generator.resnet_translator.width": 2,
    "generator.resnet_translator.blocks": 1,
    "generator.resnet_translator.halvings": 1,
    "loss.name": "least_squares",
    "update_order": "simultaneous",
    "regularizers.l1.weight": 0.0,
    "regularizers.cycle.weight": 10.0,
    "regularizers.identity.weight": 5.0,
    "image_pool": 3,
    "generator_optimizer.name": "sgd",
    "discriminator_optimizer.name": "sgd",
}  # CycleGAN, by plain descent


def image_fields(changes):
    """GIVEN with changes, less the fields of what is not selected; names with '.' as in a config."""
    wanted = GIVEN | changes
    chosen = {
        part: wanted.get(f"{part}.name", "super_resolution")
        for part in ("generator", "discriminator", "task")
    }

    def used(name):
        part, _, rest = name.partition(".")
        return part not in chosen or rest == "name" or rest.startswith(f"{chosen[part]}.")

    return {name.replace(".", "__"): value for name, value in wanted.items() if used(name)}


def configure(**changes):
    """A checked config of tiny networks on the digits; names with '.', given as a dict."""
    config = tiny_config(**image_fields(changes))
    checks.check(config)
    return fields.fix_schedule(config)


def make(config, axis_name=None, seed=3, shape=(8, 8, 1)):
    """(GAN, fresh state)."""
    gan = experiment.make_gan(config, shape, axis_name)
    hyper = experiment.make_hyper(config)
    return gan, jax.jit(lambda: init_state(gan, np.array([0, seed], np.uint32), hyper))()


def make_batch(gan, size=B):
    """The first digits."""
    rows = np.arange(gan.discriminator_steps * size).reshape(-1, size)
    examples = np.broadcast_to(load_digits()[rows], (*rows.shape, *gan.data_shape))
    batch = {"examples": jnp.asarray(examples), "index": jnp.arange(size)}
    if gan.reads_partners:
        batch["partner"] = batch["examples"][:, ::-1]
    return batch
