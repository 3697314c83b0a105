"""Consistency penalties: how much a perturbation of the input changes the output of both networks.

`(critic, generator, augment, real, z, keys) -> {"discriminator": [B], "generator": [B]}`, with one or both of
the entries; `augment: (keys, images) -> images`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxgan.regularizers import CONSISTENCY
from jaxgan.regularizers.critic import of_fakes
from jaxgan.regularizers.draws import draw, split

Examples = Float[Array, "B ..."]
Latents = Float[Array, "B Z"]
Keys = Key[Array, " B"]
PerExample = Float[Array, " B"]
Terms = Callable[
    [
        Callable[[Examples], PerExample],
        Callable[[Latents], Examples],
        Callable[[Keys, Examples], Examples],
        Examples,
        Latents,
        Keys,
    ],
    dict[str, PerExample],
]


@CONSISTENCY.register("cr")
def cr() -> Terms:
    """D: (D(x) - D(T(x)))², T the random transformation `augment`.

    Source: Zhang et al. 2020, Consistency Regularization for Generative Adversarial Networks, algorithm 1,
    with weight 10.
    """

    def penalty(critic, generator, augment, real, z, keys):
        return {"discriminator": jnp.square(critic(real) - critic(augment(keys, real)))}

    return penalty


@CONSISTENCY.register("bcr")
def bcr(*, real: float = 1.0, fake: float = 1.0) -> Terms:
    """D: real·(D(x) - D(T(x)))² + fake·(D(G(z)) - D(T(G(z))))², each T with its own draw.

    Args:
      real: relative weight of the term of real examples.
      fake: relative weight of the term of fake ones.

    Source: Zhao et al. 2021, Improved Consistency Regularization for GANs, algorithm 1, with weight 10.
    Together with `zcr` it is their ICR.
    """
    weights = real, fake

    def penalty(critic, generator, augment, real, z, keys):
        def difference(critic, images, keys):
            return jnp.square(critic(images) - critic(augment(keys, images)))

        real_keys, fake_keys = split(keys)
        terms = difference(critic, real, real_keys), difference(of_fakes(critic), generator(z), fake_keys)
        return {"discriminator": weights[0] * terms[0] + weights[1] * terms[1]}

    return penalty


@CONSISTENCY.register("zcr")
def zcr(*, stddev: float = 0.03, discriminator: float = 1.0, generator: float = 0.1) -> Terms:
    """D: (D(G(z)) - D(G(z + Δz)))²;  G: -‖G(z) - G(z + Δz)‖²/(numbers in an image);  Δz ~ N(0, stddev²·I).

    The generator's term is a mean over the image, so that it does not grow with the image's size. It is
    bounded below only because images are.

    Args:
      stddev: standard deviation of the perturbation of z.
      discriminator: relative weight of the discriminator's term.
      generator: relative weight of the generator's term.

    Source: Zhao et al. 2021, Improved Consistency Regularization for GANs, algorithm 2, with λ_dis = 5 and
    λ_gen = 0.5: weight 5 and these defaults.
    """
    weights = {"discriminator": discriminator, "generator": generator}

    def penalty(critic, generator, augment, real, z, keys):
        critic = of_fakes(critic)
        near = z + stddev * draw(jax.random.normal, keys, z.shape[1:])
        images, near_images = generator(z), generator(near)
        change = jnp.mean(jnp.square(images - near_images), axis=tuple(range(1, images.ndim)))
        return {
            "discriminator": weights["discriminator"] * jnp.square(critic(images) - critic(near_images)),
            "generator": -weights["generator"] * change,
        }

    return penalty
