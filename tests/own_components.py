"""Components of one's own, in a module outside of the repository: loss, penalty, networks, data."""

from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.datasets import DATASETS, from_arrays
from jaxgan.losses import LOSSES, Loss
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.registry import AtLeast
from jaxgan.regularizers import GRADIENT_PENALTIES

Width = Annotated[int, AtLeast(1)]


@LOSSES.register("cubic")
def cubic(*, margin: float = 1.0):
    """D: |x - m|³ + |G(z) + m|³;  G: |G(z) - m|³, of logits."""

    def to(target, logits):
        return jnp.abs(logits - target) ** 3

    def discriminator(real, fake):
        return to(margin, real) + to(-margin, fake)

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
    width: Width = 8

    @nn.compact
    def __call__(self, z, train=False):
        size, channels = self.shape[0], self.shape[-1]
        x = nn.relu(nn.Dense(4 * self.width)(z)).reshape(-1, 2, 2, self.width)
        x = jax.image.resize(x, (len(x), size, size, self.width), "bilinear")
        return nn.tanh(nn.Conv(channels, (3, 3))(x))


@DISCRIMINATORS.register("pooling")
class Pooling(nn.Module):
    width: Width = 8

    @nn.compact
    def __call__(self, images, train=False):
        x = nn.leaky_relu(nn.Conv(self.width, (3, 3), 2)(images), 0.2)
        return nn.Dense(1)(x.mean(axis=(1, 2)))[:, 0]


@DATASETS.register("stripes")
def stripes(split, path, image_size, *, num: int = 64):
    rows = np.arange(num)[:, None, None, None] + np.arange(8)[None, :, None, None]
    images = np.broadcast_to(np.uint8(255 * (rows // 2 % 2)), (num, 8, 8, 1))
    return from_arrays("stripes", np.ascontiguousarray(images), None, f"{num} striped images, {split}")
