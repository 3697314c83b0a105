"""Small pure functions that the step is made of: noise by example, packing, top-k, accumulation."""

import zlib

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxgan.train_state import NetworkState

# --- Randomness ---------------------------------------------------------------------------------------


def keys_of(key: jax.Array, index: jax.Array) -> jax.Array:
    """One typed key an example, `[B]`, from its global index: noise does not depend on how devices share."""
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(index)


def purpose(keys: jax.Array, name: str) -> jax.Array:
    """Keys of the same shape for one use of them, independent of those for any other use."""
    fold = lambda key: jax.random.fold_in(key, zlib.crc32(name.encode()))  # noqa: E731
    return jax.vmap(fold)(keys) if keys.ndim else fold(keys)


# --- What the discriminator sees ----------------------------------------------------------------------


def scale(examples: jax.Array) -> jax.Array:
    """uint8 images to float32 in [-1, 1]; float points as they are."""
    return examples.astype(jnp.float32) / 127.5 - 1 if examples.dtype == jnp.uint8 else examples


def pack(examples: jax.Array, m: int) -> jax.Array:
    """m consecutive examples joined in the last axis: `[B, ..., C] -> [B/m, ..., m·C]`.

    Source: Lin et al. 2018, PacGAN, section 2.
    """
    if m == 1:
        return examples
    groups = examples.reshape(-1, m, *examples.shape[1:])
    return jnp.concatenate([groups[:, i] for i in range(m)], axis=-1)


def unpack(inputs: jax.Array, m: int) -> jax.Array:
    """The inverse of `pack`: `[B/m, ..., m·C] -> [B, ..., C]`."""
    if m == 1:
        return inputs
    groups = jnp.stack(jnp.split(inputs, m, axis=-1), axis=1)
    return groups.reshape(-1, *groups.shape[2:])


def flip_labels(real_logits: jax.Array, fake_logits: jax.Array, flipped: jax.Array):
    """The pair with the two sides swapped where `flipped` `[B]`: real taken for fake and fake for real.

    Source: Chintala et al. 2016, How to train a GAN, tip 6.
    """
    return (
        jnp.where(flipped, fake_logits, real_logits),
        jnp.where(flipped, real_logits, fake_logits),
    )


def top_k_weights(fake_logits: jax.Array, step: jax.Array, k: jax.Array, num_steps: jax.Array) -> jax.Array:
    """Weights `[B]` whose mean product with a loss is its mean over the k fakes of the highest logits.

    k falls from B to its value geometrically over `num_steps` steps (0: it has its value from the start).
    Source: Sinha et al. 2020, Top-k Training of GANs, section 3.
    """
    size = fake_logits.shape[0]
    progress = jnp.where(num_steps > 0, jnp.minimum(step / jnp.maximum(num_steps, 1), 1.0), 1.0)
    k = jnp.maximum(k, jnp.floor(size * (k / size) ** progress))
    rank = jnp.argsort(jnp.argsort(-lax.stop_gradient(fake_logits)))
    return jnp.where(rank < k, size / k, 0.0)


# --- Updates ------------------------------------------------------------------------------------------


def clip_by_norm(grads, bound: jax.Array):
    """The gradients, scaled down to a global norm of at most `bound` (Pascanu et al. 2013, algorithm 1)."""
    square = optax.tree.norm(grads, squared=True)
    # bounded inside the root, whose derivative at 0 would make NaN of an unrolled step
    factor = jnp.minimum(1.0, bound / jnp.sqrt(jnp.maximum(square, 1e-24)))
    return optax.tree.scale(factor, grads)


def look_back(fast, slow, alpha: jax.Array, due: jax.Array):
    """Both networks' weights and their slow copies after a step: `(fast, slow)`.

    Where `due`, slow ← slow + α·(fast - slow) and fast ← slow, for both networks at once.
    Source: Chavdarova et al. 2021, Taming GANs with Lookahead-Minmax, algorithm 1.
    """

    def backtrack(fast, slow):
        slow = jax.tree.map(lambda f, s: s + alpha * (f - s), fast, slow)
        return slow, slow

    return lax.cond(due, backtrack, lambda fast, slow: (fast, slow), fast, slow)


# --- Accumulation -------------------------------------------------------------------------------------


def split(tree, num: int):
    """Every `[B, ...]` as `[num, B/num, ...]`: part i has the examples i, i + num, i + 2·num, ...

    So each part is spread over the devices as the whole is.
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


def generate(network: NetworkState, z: jax.Array, num: int):
    """Fakes from latents, and the way back.

    Args:
      network: the generator.
      z: `[B, latent_dim]`.
      num: parts in which the batch goes through; above 1, the way back computes each forward pass again.

    Returns:
      fakes `[B, ...]`; the function gradient with respect to them → gradient with respect to the parameters;
      the generator's mutable collections afterwards.
    """
    forward = network.forward
    if num == 1:
        fake, pull_back, model_state = jax.vjp(
            lambda params: forward(params, network.model_state, z), network.params, has_aux=True
        )
        return fake, lambda gradient: pull_back(gradient)[0], model_state

    def make(model_state, z):
        fake, model_state = forward(network.params, model_state, z)
        return model_state, ((), fake)

    def return_through(gradient):
        def add(model_state, part):
            _, pull_back, model_state = jax.vjp(
                lambda params: forward(params, model_state, part["z"]), network.params, has_aux=True
            )
            return model_state, (pull_back(part["gradient"])[0], ())

        _, grads, _ = accumulate(add, network.model_state, {"z": z, "gradient": gradient}, num)
        return optax.tree.scale(num, grads)

    model_state, _, fake = accumulate(make, network.model_state, z, num)
    return fake, return_through, model_state
