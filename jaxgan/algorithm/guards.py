"""Guards against gradients that are NaN or infinite: off unless a config asks for one."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

NONFINITE = ("keep", "replace", "skip")
_LARGEST = 1e5


def num_nonfinite(tree) -> Float[Array, ""]:
    """How many numbers of a tree are NaN or infinite."""
    return jnp.float32(sum(jnp.sum(~jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)))


def replaced(grads):
    """The gradients with 0 for NaN and ±1e5 for ±∞.

    Source: Karras et al. 2020, the published training loop of StyleGAN2-ADA.
    """
    return jax.tree.map(lambda g: jnp.nan_to_num(g, nan=0.0, posinf=_LARGEST, neginf=-_LARGEST), grads)


def finite(metrics: dict[str, Float[Array, ""]]) -> dict[str, Float[Array, ""]]:
    """The metrics with 0 for those that are not finite, so that a guarded run goes on."""
    return {name: jnp.where(jnp.isfinite(value), value, 0.0) for name, value in metrics.items()}


def unless(bad: Bool[Array, ""], after, before):
    """A tree after an update, or where it was `bad` the one before."""
    return jax.tree.map(lambda new, old: jnp.where(bad, old, new), after, before)


def where_finite(after, before):
    """A tree after an update, with the old value of each number that is not finite."""
    return jax.tree.map(lambda new, old: jnp.where(jnp.isfinite(new), new, old), after, before)
