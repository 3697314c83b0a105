"""Standing statistics: a generator's batch norms with the mean statistics of many batches of its own."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import lax

from jaxgan.algorithm.gan import GAN
from jaxgan.algorithm.train_state import variable_shapes
from jaxgan.compilation import float32, jit
from jaxgan.errors import UserError
from jaxgan.latents import make_key
from jaxgan.sampler.programs import batch_of, conditions, latents

FIELD = "evaluation.standing_statistics"
_SEED = 2**32 - 1  # of the latents and classes: others than those of the samples
_STATISTICS = ("mean", "var")


def require_batch_norm(gan: GAN) -> None:
    """UserError if the generator has no batch norm, or makes nothing from latents alone."""
    if gan.task:
        raise UserError(f"{FIELD} needs a generator that makes images from latents; this one is given images")
    variables = variable_shapes(gan.generator, (gan.latent_dim,), gan.given_example)
    if not any(path[-1] in _STATISTICS for path in flatten_dict(variables.get("batch_stats", {}))):
        raise UserError(f"{FIELD} is set, but the generator has no batch norm: set it to 0")


@float32
def with_standing_statistics(gan: GAN, weights: dict[str, Any], batches: int) -> dict[str, Any]:
    """The weights with batch norms' statistics over `batches` batches of latents, always the same ones.

    The mean of the batches' means and that of their variances take the place of the running averages, which
    follow other weights: an averaged generator never made the batches that they describe.

    Source: Brock et al. 2019, Large Scale GAN Training for High Fidelity Natural Image Synthesis, appendix C.

    Args:
      gan: what is static; its layers have no device axis.
      weights: `params` and `model_state` of its generator.
      batches: how many, of `batch_of(gan)` latents each; 0: the weights stay as they are.

    Raises:
      UserError: the generator has no batch norm.
    """
    if not batches:
        return weights
    require_batch_norm(gan)
    state = weights["model_state"]
    found = _statistics(gan, weights["params"], state, np.int32(batches))
    return {**weights, "model_state": {**state, "batch_stats": found}}


@functools.partial(jit, static_argnums=0)
def _statistics(gan, params, model_state, batches):
    stats = flatten_dict(model_state["batch_stats"])
    averages = {path for path in stats if path[-1] in _STATISTICS}
    # of running averages that begin at 0, one step is (1 - momentum) times the batch's statistics
    begun = {path: jnp.zeros_like(leaf) if path in averages else leaf for path, leaf in stats.items()}
    variables = {"params": params, **model_state, "batch_stats": unflatten_dict(begun)}

    def of_batch(i):
        seed, first = jnp.uint32(_SEED), i * batch_of(gan)
        key = jax.random.fold_in(make_key(jnp.array([0, _SEED], jnp.uint32)), i)  # of dropout
        momentum: dict[tuple[str, ...], float] = {}

        def note(layer, args, kwargs, context):
            if isinstance(context.module, nn.BatchNorm):
                momentum[context.module.path] = context.module.momentum
            return layer(*args, **kwargs)

        with nn.intercept_methods(note):
            _, state = gan.generator.apply(
                variables, latents(gan, seed, first), train=True, mutable=[*model_state],
                rngs={"dropout": key}, **conditions(gan, seed, first),
            )  # fmt: skip
        after = flatten_dict(state["batch_stats"])
        return {path: after[path] / (1 - momentum[path[:-1]]) for path in averages}

    total = {path: jnp.zeros_like(stats[path]) for path in averages}
    total = lax.fori_loop(0, batches, lambda i, sums: jax.tree.map(jnp.add, sums, of_batch(i)), total)
    return unflatten_dict({**stats, **{path: leaf / batches for path, leaf in total.items()}})
