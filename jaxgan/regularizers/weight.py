"""Penalties on the parameters of either network, with a memory; and projections of the discriminator's."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxgan.errors import UserError
from jaxgan.regularizers import PROJECTIONS, WEIGHT_PENALTIES


class WeightPenalty(NamedTuple):
    """A penalty on the parameters of one network.

    Attributes:
      init: `params -> memory`, a pytree of float32 leaves.
      penalty: `(params, memory) -> scalar`.
      update: `(params, memory) -> memory`, called with the parameters after an update.
      networks: to which it applies: 'generator', 'discriminator', or both.
    """

    init: Callable[[Any], Any]
    penalty: Callable[[Any, Any], Float[Array, ""]]
    update: Callable[[Any, Any], Any]
    networks: tuple[str, ...]


def _networks(networks: str) -> tuple[str, ...]:
    both = ("generator", "discriminator")
    if networks not in (*both, "both"):
        raise UserError(f"unknown networks '{networks}'; known: {', '.join(both)}, both")
    return both if networks == "both" else (networks,)


def _outputs(name, kernel, bias):
    """The kernel's axis of outputs: the last; in a `layers.ConvTranspose` the second last.

    The length of the bias shows which it is. Without a bias, or if both axes are equally long, the layer's
    name shows it: transposed convolutions of `jaxgan.models` have a certain name.
    """
    if bias is not None and kernel.shape[-2] != kernel.shape[-1]:
        return -1 if bias.shape[0] == kernel.shape[-1] else -2
    return -2 if "conv_transpose" in name else -1


def _matrices(params, name=""):
    """Every kernel as a matrix `[all else, outputs]`."""
    matrices = []
    for key, value in params.items():
        if isinstance(value, dict):
            matrices += _matrices(value, key)
        elif key == "kernel":
            outputs = _outputs(name, value, params.get("bias"))
            matrices.append(jnp.moveaxis(value, outputs, -1).reshape(-1, value.shape[outputs]))
    return matrices


def _off_diagonal(matrix):
    """‖WᵀW ⊙ (1 - I)‖²_F."""
    rows, columns = matrix.shape
    if columns <= 2 * rows:
        return jnp.sum(jnp.square(matrix.T @ matrix * (1 - jnp.eye(columns))))
    # DCGAN's projection has 12,544 columns: WWᵀ is smaller and has the same norm. The difference is not
    # small, because so many columns cannot be nearly orthogonal.
    diagonal = jnp.sum(jnp.square(matrix), axis=0)
    return jnp.sum(jnp.square(matrix @ matrix.T)) - jnp.sum(jnp.square(diagonal))


@WEIGHT_PENALTIES.register("orthogonal")
def orthogonal(*, networks: str = "generator") -> WeightPenalty:
    """Σ_W ‖WᵀW ⊙ (1 - I)‖²_F over all kernels W, `[all else, outputs]`: orthogonal filters, of any norm.

    W is a kernel as it is stored, before spectral normalization.

    Args:
      networks: to penalize: 'generator', 'discriminator' or 'both'.

    Source: Brock et al. 2019, Large Scale GAN Training for High Fidelity Natural Image Synthesis, equation 3,
    with weight 0.0001 on the generator.
    """

    def penalty(params, memory):
        return sum(map(_off_diagonal, _matrices(params)), jnp.zeros(()))

    return WeightPenalty(lambda params: {}, penalty, lambda params, memory: memory, _networks(networks))


@WEIGHT_PENALTIES.register("historical_averaging")
def historical_averaging(*, networks: str = "both") -> WeightPenalty:
    """‖θ - (1/t)·Σ_{i≤t} θ[i]‖², θ[1] the initial parameters, θ = θ[t]; the average is a constant.

    Args:
      networks: to penalize: 'generator', 'discriminator' or 'both'.

    Source: Salimans et al. 2016, Improved Techniques for Training GANs, section 3.3.
    """

    def penalty(params, memory):
        average = lax.stop_gradient(memory["average"])
        squares = jax.tree.map(lambda p, a: jnp.sum(jnp.square(p - a)), params, average)
        return sum(jax.tree.leaves(squares), jnp.zeros(()))

    def update(params, memory):
        count = memory["count"] + 1
        average = jax.tree.map(lambda p, a: a + (p - a) / count, params, memory["average"])
        return {"average": average, "count": count}

    def init(params):
        return {"average": params, "count": jnp.ones(())}

    return WeightPenalty(init, penalty, update, _networks(networks))


@PROJECTIONS.register("clip")
def clip(*, bound: float = 0.01) -> Callable[[Any], Any]:
    """θ → clip(θ, -bound, bound), of all parameters, biases and normalizations included.

    Args:
      bound: the largest magnitude of a parameter.

    Source: Arjovsky et al. 2017, Wasserstein GAN, algorithm 1.
    """
    return lambda params: jax.tree.map(lambda leaf: jnp.clip(leaf, -bound, bound), params)
