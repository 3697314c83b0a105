"""User-defined components as in a module outside of the repository: loss, penalty, networks, data."""

from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.datasets import DATASETS, from_arrays, hold_out
from jaxgan.declarations import AtLeast
from jaxgan.losses import LOSSES, Loss
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.regularizers import GRADIENT_PENALTIES


@LOSSES.register("cubic")
def cubic(*, margin: float = 1.0):
    """D: |x - m|³ + |G(z) + m|³;  G: |G(z) - m|³, of logits."""
    to = lambda target, logits: jnp.abs(logits - target) ** 3  # noqa: E731
    discriminator = lambda real, fake: to(margin, real) + to(-margin, fake)  # noqa: E731
    return Loss(discriminator, lambda real, fake: to(margin, fake), lambda logits: logits, threshold=0.0)


@GRADIENT_PENALTIES.register("lipschitz_at_fakes")
def lipschitz_at_fakes(*, bound: Annotated[float, AtLeast(0)] = 1.0):
    """max(0, ‖∇D(G(z))‖ - bound)², [B]."""

    def penalty(critic, real, fake, keys, axis_name=None):
        gradient = jax.grad(lambda x: jnp.sum(critic(x)))(fake).reshape(len(fake), -1)
        return jax.nn.relu(jnp.sqrt(jnp.sum(gradient**2, axis=1) + 1e-12) - bound) ** 2

    return penalty


@GENERATORS.register("upsampling")
class Upsampling(nn.Module):
    shape: tuple[int, ...]
    width: Annotated[int, AtLeast(1)] = 8

    @nn.compact
    def __call__(self, z, train=False):
        x = nn.relu(nn.Dense(4 * self.width)(z)).reshape(-1, 2, 2, self.width)
        x = jax.image.resize(x, (len(x), *self.shape[:2], self.width), "bilinear")
        return nn.tanh(nn.Conv(self.shape[2], (3, 3))(x))


@DISCRIMINATORS.register("pooling")
class Pooling(nn.Module):
    @nn.compact
    def __call__(self, images, train=False):
        return nn.Dense(1)(nn.leaky_relu(nn.Conv(8, (3, 3), 2)(images), 0.2).mean(axis=(1, 2)))[:, 0]


@DATASETS.register("stripes")
def stripes(split, path, image_size, *, num: int = 64):
    rows = hold_out(num, split)[:, None] + np.arange(8)
    images = np.tile(np.uint8(255 * (rows // 2 % 2))[:, :, None, None], (1, 1, 8, 1))
    return from_arrays("stripes", images, None, f"striped images, {split}")
