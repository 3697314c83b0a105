"""A pool of earlier fakes, which the discriminator is shown instead of some new ones."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key, Num


def init_pool(size: int, shape: tuple[int, ...], parts: int = 1) -> dict[str, jax.Array]:
    """An empty pool of `size` images for each of the `parts` into which the channels of `shape` fall."""
    *sides, channels = shape
    return {
        "images": jnp.zeros((parts, size, *sides, channels // parts)),
        "count": jnp.zeros((), jnp.int32),
    }


def draw_from_pool(
    pool: dict[str, Num[Array, "..."]], fakes: Float[Array, "B H W C"], keys: Key[Array, " B"]
) -> tuple[dict[str, Num[Array, "..."]], Float[Array, "B H W C"]]:
    """The pool afterwards, and what the discriminator is shown, one fake after the other.

    While the pool is not full, each fake is stored and shown. Then with probability ½ it takes the place of a
    random stored one, which is shown; or else it is shown, and not stored. The parts of a fake (a pair's two
    images) have pools and draws of their own.

    Args:
      pool: as `init_pool` or the last call returned it.
      fakes: of the whole batch.
      keys: one an example.

    Source: Shrivastava et al. 2017, Learning from Simulated and Unsupervised Images through Adversarial
    Training, section 2.3; this rule is that of CycleGAN's code (Zhu et al. 2017, section 4).
    """
    parts, size = pool["images"].shape[:2]

    def show(part, images, fakes):
        def one(carry, inputs):
            images, count = carry
            fake, key = inputs
            coin, place = jax.random.split(jax.random.fold_in(key, part))
            filling = count < size
            replace = ~filling & jax.random.bernoulli(coin)
            index = jnp.where(filling, count, jax.random.randint(place, (), 0, size))
            old = images[index]
            images = images.at[index].set(jnp.where(filling | replace, fake, old))
            return (images, jnp.minimum(count + 1, size)), jnp.where(replace, old, fake)

        (images, count), shown = lax.scan(one, (images, pool["count"]), (fakes, keys))
        return images, count, shown

    split = jnp.split(fakes, parts, axis=-1)
    images, counts, shown = zip(
        *(show(i, pool["images"][i], some) for i, some in enumerate(split)), strict=True
    )
    return {"images": jnp.stack(images), "count": counts[0]}, jnp.concatenate(shown, axis=-1)
