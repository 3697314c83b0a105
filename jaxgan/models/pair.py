"""Two networks as one, for translation both ways: Zhu et al. 2017, CycleGAN.

An example is a pair (a | b), joined by channels, with a and b from two sets of images. Each network keeps its
own parameters, below `first` and `second`.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

DIRECTIONS = ("AtoB", "BtoA")


class PairGenerator(nn.Module):
    """(a | b) → (F(b) | G(a)): `first` is F, to the images of a; `second` is G, to those of b.

    Attributes:
      generator: the module to copy.
    """

    generator: nn.Module

    @property
    def multiple(self) -> int:
        """Of which the sides of an image must be multiples."""
        return getattr(self.generator, "multiple", 1)

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], train: bool = False, image: Float[Array, "B H W G"] | None = None
    ) -> Float[Array, "B h w C"]:
        a, b = jnp.split(image, 2, axis=-1)
        to_a, to_b = (self.generator.clone(parent=self, name=name) for name in ("first", "second"))
        return jnp.concatenate([to_a(z, train, image=b), to_b(z, train, image=a)], axis=-1)


class PairDiscriminator(nn.Module):
    """(a | b) → the logits of both images `[B, P]`, P/2 for each: `first` judges a, `second` b.

    A network that gives one logit gives two here.

    Attributes:
      discriminator: the module to copy.
    """

    discriminator: nn.Module

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "B H W C"],
        train: bool = False,
        features: bool = False,
        image: Float[Array, "B H W C"] | None = None,
    ):
        """Logits, and with `features` the last features; the given `image` is not used."""
        judged = []
        for name, half in zip(("first", "second"), jnp.split(images, 2, axis=-1), strict=True):
            network = self.discriminator.clone(parent=self, name=name)
            judged.append(network(half, train, **({"features": True} if features else {})))
        if not features:
            return _join(judged)
        logits, last = zip(*judged, strict=True)
        return _join(logits), jnp.concatenate(last, axis=-1)


def _join(logits):
    return jnp.concatenate([some.reshape(len(some), -1) for some in logits], axis=1)
