"""Several generators in one: Ghosh et al. 2018, Multi-Agent Diverse Generative Adversarial Networks."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32


class MultiGenerator(nn.Module):
    """`num` copies of a generator with separate parameters; copy i % num makes example i.

    They run one after the other: vmap would give grouped convolutions, which are several times slower on a
    CPU.

    Attributes:
      generator: the module to copy; the copies are called `generator_0` and so on.
      num: how many.
    """

    generator: nn.Module
    num: int

    @nn.compact
    def __call__(self, z: Float[Array, "B Z"], train: bool = False) -> Float[Array, "B ..."]:
        batch, turns = len(z), -(-len(z) // self.num)
        z = _pad(z, max(batch, self.num))  # at least one for each copy
        parts = []
        for j in range(self.num):
            copy = self.generator.clone(parent=self, name=f"generator_{j}")
            # the last round may end before this copy
            parts.append(_pad(copy(z[j :: self.num], train), turns))
        examples = jnp.stack(parts, axis=1)
        return examples.reshape(-1, *examples.shape[2:])[:batch]


def _pad(array, rows):
    """Appends examples of zeros, up to `rows`."""
    return jnp.pad(array, ((0, rows - len(array)), *[(0, 0)] * (array.ndim - 1)))


def generator_index(batch: int, num: int) -> Int32[Array, " batch"]:
    """Which of `num` generators makes each example of a batch: int32 `[batch]`."""
    return jnp.arange(batch, dtype=jnp.int32) % num
