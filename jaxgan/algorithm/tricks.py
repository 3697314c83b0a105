"""Tricks of GAN training as pure functions: packing, flipped labels, top-k, clipping, lookahead."""

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Shaped, UInt8


def scale(examples: UInt8[Array, "..."] | Float[Array, "..."]) -> Float[Array, "..."]:
    """uint8 images to float32 in [-1, 1]; float points as they are."""
    return examples.astype(jnp.float32) / 127.5 - 1 if examples.dtype == jnp.uint8 else examples


def pack(examples: Float[Array, "B *middle C"], m: int) -> Float[Array, "packs *middle packed"]:
    """m consecutive examples joined in the last axis: `[B, ..., C] -> [B/m, ..., m·C]`.

    Source: Lin et al. 2018, PacGAN, section 2.
    """
    if m == 1:
        return examples
    groups = examples.reshape(-1, m, *examples.shape[1:])
    return jnp.concatenate([groups[:, i] for i in range(m)], axis=-1)


def unpack(inputs: Float[Array, "packs *middle packed"], m: int) -> Float[Array, "B *middle C"]:
    """The inverse of `pack`: `[B/m, ..., m·C] -> [B, ..., C]`."""
    if m == 1:
        return inputs
    groups = jnp.stack(jnp.split(inputs, m, axis=-1), axis=1)
    return groups.reshape(-1, *groups.shape[2:])


def flip_labels(
    real_logits: Float[Array, " B *P"], fake_logits: Float[Array, " B *P"], flipped: Bool[Array, " B"]
) -> tuple[Float[Array, " B *P"], Float[Array, " B *P"]]:
    """Swaps real and fake logits where `flipped` `[B]` is true, of all patches of an example at once.

    Source: Chintala et al. 2016, How to train a GAN, tip 6.
    """
    flipped = flipped if real_logits.ndim == 1 else flipped[:, None]
    return (
        jnp.where(flipped, fake_logits, real_logits),
        jnp.where(flipped, real_logits, fake_logits),
    )


def top_k_weights(
    fake_logits: Float[Array, " B"],
    step: int | Int[Array, ""],
    k: float | Float[Array, ""],
    num_steps: int | float | Shaped[Array, ""],
) -> Float[Array, " B"]:
    """Weights `[B]` with which the mean of a loss is its mean over the k fakes with the highest logits.

    Over `num_steps` steps k falls geometrically from B to its value (0: it has this value from the start).
    Source: Sinha et al. 2020, Top-k Training of GANs, section 3.
    """
    size = fake_logits.shape[0]
    progress = jnp.where(num_steps > 0, jnp.minimum(step / jnp.maximum(num_steps, 1), 1.0), 1.0)
    k = jnp.maximum(k, jnp.floor(size * (k / size) ** progress))
    rank = jnp.argsort(jnp.argsort(-lax.stop_gradient(fake_logits)))
    return jnp.where(rank < k, size / k, 0.0)


def clip_by_norm(grads, bound: float | Float[Array, ""]):
    """The gradients, scaled down to a global norm of at most `bound` (Pascanu et al. 2013, algorithm 1)."""
    square = optax.tree.norm(grads, squared=True)
    # bounded inside the root: its derivative at 0 would make an unrolled step NaN
    factor = jnp.minimum(1.0, bound / jnp.sqrt(jnp.maximum(square, 1e-24)))
    return optax.tree.scale(factor, grads)


def lookahead(fast, slow, alpha: float | Float[Array, ""], due: bool | Bool[Array, ""]):
    """Both networks' weights and their slow copies after a step: `(fast, slow)`.

    Where `due`, slow ← slow + α·(fast - slow) and fast ← slow, for both networks at once.
    Source: Chavdarova et al. 2021, Taming GANs with Lookahead-Minmax, algorithm 1.
    """

    def backtrack(fast, slow):
        slow = jax.tree.map(lambda f, s: s + alpha * (f - s), fast, slow)
        return slow, slow

    return lax.cond(due, backtrack, lambda fast, slow: (fast, slow), fast, slow)
