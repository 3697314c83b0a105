"""Gradient accumulation: a batch goes through the networks in microbatches, one after the other."""

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float

from jaxgan.algorithm.train_state import NetworkState


def split(tree, num: int):
    """Every `[B, ...]` as `[num, B/num, ...]`: part i has the examples i, i + num, i + 2·num, ...

    So each part is distributed over the devices as the whole batch is.
    """
    return jax.tree.map(lambda x: jnp.swapaxes(x.reshape(-1, num, *x.shape[1:]), 0, 1), tree)


def join(tree):
    """The inverse of `split`."""
    return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1).reshape(-1, *x.shape[2:]), tree)


def accumulate(update, carry, batch, num: int):
    """`update(carry, part) -> (carry, (totals, per_example))` over `num` parts of a batch, one by one.

    Returns:
      the carry after the last part, the mean of `totals` over the parts, and `per_example` joined.
    """
    if num == 1:
        carry, (totals, per_example) = update(carry, batch)
        return carry, totals, per_example
    parts = split(batch, num)
    like = jax.eval_shape(update, carry, jax.tree.map(lambda part: part[0], parts))[1][0]
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)

    def body(carry, part):
        inner, sums = carry
        inner, (totals, per_example) = update(inner, part)
        return (inner, jax.tree.map(jnp.add, sums, totals)), per_example

    (carry, sums), per_example = lax.scan(body, (carry, zeros), parts)
    return carry, jax.tree.map(lambda leaf: leaf / num, sums), join(per_example)


def generate(network: NetworkState, z: Float[Array, "B Z"], given: dict, num: int):
    """Fakes from latents, and the function that pulls gradients back to the parameters.

    Args:
      network: the generator.
      z: `[B, latent_dim]`.
      given: conditions of the fakes, `[B, ...]` by keyword.
      num: number of microbatches; above 1, the backward pass computes each forward pass again.

    Returns:
      fakes `[B, ...]`; a function from the gradient with respect to them to the gradient with respect to the
      parameters; the generator's mutable collections afterwards.
    """
    forward = network.forward
    if num == 1:
        fake, pull_back, model_state = jax.vjp(
            lambda params: forward(params, network.model_state, z, given), network.params, has_aux=True
        )
        return fake, lambda gradient: pull_back(gradient)[0], model_state

    inputs = {"z": z, "given": given}

    def make(model_state, part):
        fake, model_state = forward(network.params, model_state, part["z"], part["given"])
        return model_state, ((), fake)

    def return_through(gradient):
        def add(model_state, part):
            _, pull_back, model_state = jax.vjp(
                lambda params: forward(params, model_state, part["z"], part["given"]),
                network.params,
                has_aux=True,
            )
            return model_state, (pull_back(part["gradient"])[0], ())

        _, grads, _ = accumulate(add, network.model_state, {**inputs, "gradient": gradient}, num)
        return optax.tree.scale(num, grads)

    model_state, _, fake = accumulate(make, network.model_state, inputs, num)
    return fake, return_through, model_state
