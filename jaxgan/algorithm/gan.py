"""What is static about a GAN, and a fresh state of it."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, UInt32

from jaxgan.algorithm.conditions import Condition
from jaxgan.algorithm.pool import init_pool
from jaxgan.algorithm.schedules import Schedule
from jaxgan.algorithm.train_state import GanState, NetworkState, init_network
from jaxgan.augment import init_adaptive
from jaxgan.extractors import Frozen
from jaxgan.latents import make_key, sample_latents
from jaxgan.losses import Loss
from jaxgan.tasks import Task

KeyWords = UInt32[Array, "2"] | UInt32[np.ndarray, "2"]

UPDATE_ORDERS = ("alternating", "simultaneous")
GENERATOR_BATCHES = ("shared", "fresh")


class Regularizer(NamedTuple):
    """A penalty and how it is applied: interval · weight · schedule(step) · penalty, every interval-th time.

    Attributes:
      family: a key of `regularizers.FAMILIES`.
      build: `(**numbers) -> penalty`, with the signature of its family.
      interval: updates of the network from one application to the next (lazy regularization; Karras et al.
        2020, Analyzing and Improving the Image Quality of StyleGAN, section 3.1).
      schedule: `(step, **numbers) -> factor` on the weight.
      own_step: whether it has an optimizer step of its own, after that of the update.
    """

    family: str
    build: Callable[..., Any]
    interval: int
    schedule: Callable[..., jax.Array]
    own_step: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class GAN:
    """What is static about a GAN: a new value of any field needs a new compiled program.

    Components are builders `(**numbers) -> component`; their numbers are in `GanState.hyper`.

    Attributes:
      generator, discriminator: linen modules (see `jaxgan.models`).
      generator_optimizer, discriminator_optimizer: optax transformations whose numbers are injected.
      loss: builder of the adversarial loss (see `jaxgan.losses`).
      schedule: `(step, **hyper.schedule) -> factor` on both learning rates (see `jaxgan.optimizers`).
      schedules: of any other numbers of the state, by the config field of each.
      latent: name of the latent distribution; `latent_fields` its numbers, `latent_dim` its dimension.
      shape: of one example, `(H, W, C)` or `(D,)`; with a task that of a target.
      stored_shape: of an example as it is stored; (): the same.
      condition: further inputs of both networks; None: there are none.
      discriminator_steps: n_D, discriminator updates before each generator update.
      generator_steps: n_G, generator updates for each discriminator update.
      update_order: 'alternating': the generator's update uses the updated discriminator; 'simultaneous': both
        updates use the networks from before the step.
      generator_batch: 'shared': the generator learns from the real examples and the fakes of the last
        discriminator update; 'fresh': from a batch and latents of its own.
      regularizers: by name.
      augment: differentiable augmentation of the discriminator's inputs, builders by name.
      data_augment: ordinary augmentation of the real examples alone, builders by name.
      consistency_augment: augmentation to which consistency penalties make the discriminator invariant, by
        name.
      augment_multipliers: factors of the probability of each of `augment`; (): all 1.
      adaptive_interval: discriminator updates from one step of ADA's rule to the next.
      instance_noise: schedule of the noise on the discriminator's inputs.
      image_pool: earlier fakes among which the discriminator's are drawn; 0: it is shown the new ones.
      packing: m, examples that the discriminator judges together (PacGAN).
      num_generators: k; above 1 the discriminator has k + 1 outputs (MAD-GAN).
      unrolled_steps: discriminator updates that the generator's update looks ahead.
      accumulate: number of microbatches.
      lookahead_every: steps from one joint backtracking of both networks to the next; 0: none.
      nonfinite: what to do with gradients that are NaN or infinite: a key of `guards.NONFINITE`.
      compute_dtype: 'float32' or 'bfloat16', of the networks in training; parameters are float32.
      features: of frozen networks, `images [B, ...] -> [B, ...]`, by the term that looks at them; None: there
        are none, or not for training.
    """

    generator: nn.Module
    discriminator: nn.Module
    generator_optimizer: optax.GradientTransformation
    discriminator_optimizer: optax.GradientTransformation
    loss: Callable[..., Loss]
    schedule: Callable[..., jax.Array]
    latent: str
    latent_dim: int
    shape: tuple[int, ...]
    latent_fields: dict[str, float] = dataclasses.field(default_factory=dict)
    stored_shape: tuple[int, ...] = ()
    condition: Condition | None = None
    discriminator_steps: int = 1
    generator_steps: int = 1
    update_order: str = "alternating"
    generator_batch: str = "shared"
    schedules: dict[str, Schedule] = dataclasses.field(default_factory=dict)
    regularizers: dict[str, Regularizer] = dataclasses.field(default_factory=dict)
    augment: dict[str, Callable] = dataclasses.field(default_factory=dict)
    data_augment: dict[str, Callable] = dataclasses.field(default_factory=dict)
    consistency_augment: dict[str, Callable] = dataclasses.field(default_factory=dict)
    augment_multipliers: tuple[float, ...] = ()
    adaptive_interval: int = 4
    instance_noise: Callable[..., jax.Array] | None = None
    image_pool: int = 0
    packing: int = 1
    num_generators: int = 1
    unrolled_steps: int = 0
    accumulate: int = 1
    lookahead_every: int = 0
    nonfinite: str = "keep"
    compute_dtype: str = "float32"
    features: dict[str, Frozen] | None = None

    @property
    def is_images(self) -> bool:
        """Whether examples are images, not points."""
        return len(self.shape) == 3

    @property
    def data_shape(self) -> tuple[int, ...]:
        """The shape of an example as it is stored."""
        return self.stored_shape or self.shape

    @property
    def task(self) -> Task | None:
        """What makes the images that the generator is given; None: it is given none."""
        return self.condition.task if self.condition else None

    @property
    def batches(self) -> int:
        """Batches of real examples that a step takes."""
        return self.discriminator_steps + (self.generator_batch == "fresh")

    @property
    def granule(self) -> int:
        """The batch size of each device must be a multiple of this."""
        return self.accumulate * math.lcm(self.packing, self.num_generators)

    @property
    def classes(self) -> tuple[int, ...]:
        """The labels of the condition; none if there is no such condition."""
        return self.condition.classes if self.condition else ()

    @property
    def reads_partners(self) -> bool:
        """Whether a step reads a second stream of examples, in an order of its own (unpaired data)."""
        return self.condition is not None and "partner" in self.condition.reads

    @property
    def num_codes(self) -> int:
        """The number of the generator's categorical and continuous codes."""
        codes = self.given_example.get("codes")
        return len(codes.categorical) + codes.continuous.shape[1] if codes else 0

    @property
    def rows(self) -> int:
        """Rows of a picture: one for each class or value of the first categorical code, at most 16; or 0."""
        codes = self.given_example.get("codes")
        return min(16, codes.categorical[0].shape[1] if codes and codes.categorical else len(self.classes))

    @property
    def given_example(self) -> dict[str, Any]:
        """A condition of zeros `[1, ...]`; empty if there is no condition."""
        return self.condition.example if self.condition else {}

    def sample_latents(
        self, key: Key[Array, ""], index: Int[Array, " B"]
    ) -> Float[Array, "B {self.latent_dim}"]:
        """Latents `[B, latent_dim]` of the examples with the given global indices, int32 `[B]`."""
        return sample_latents(self.latent, key, index, self.latent_dim, **self.latent_fields)

    def family(self, name: str) -> dict[str, Regularizer]:
        """The regularizers of one family, by name."""
        return {key: entry for key, entry in self.regularizers.items() if entry.family == name}


class Game(NamedTuple):
    """What the updates of both networks need to know about a step.

    Attributes:
      gan: what is static.
      step: int32 `[]`, the number of steps done before.
      hyper: the numbers of the state, see `GanState`.
      generator: as it was before the step.
      axis_name: the device axis, under pmap.
    """

    gan: GAN
    step: jax.Array
    hyper: dict[str, Any]
    generator: NetworkState
    axis_name: str | None

    @property
    def loss(self) -> Loss:
        return self.gan.loss(**self.hyper["loss"])

    def operations(self, which: str) -> tuple[Callable, ...]:
        """The operations of `augment`, `data_augment` or `consistency_augment`."""
        builders = getattr(self.gan, which)
        return tuple(build(**self.hyper[which][name]) for name, build in builders.items())


def packed_shape(shape: tuple[int, ...], packing: int) -> tuple[int, ...]:
    """Input shape of the discriminator: `packing` examples concatenated along the last axis."""
    return (*shape[:-1], shape[-1] * packing)


def init_state(gan: GAN, key: KeyWords, hyper: dict) -> GanState:
    """A fresh state. `key` is uint32 `[2]`; `hyper` as in `GanState`, without the learning rates."""
    generator_key, discriminator_key, _ = jax.random.split(jax.random.fold_in(make_key(key), 0), 3)
    z = jnp.zeros((1, gan.latent_dim))
    inputs = jnp.zeros((1, *packed_shape(gan.shape, gan.packing)))
    told = gan.given_example, gan.compute_dtype
    generator = init_network(gan.generator, gan.generator_optimizer, generator_key, z, *told)
    discriminator = init_network(
        gan.discriminator, gan.discriminator_optimizer, discriminator_key, inputs, *told
    )
    learning_rate = {
        "generator": generator.opt_state.hyperparams["learning_rate"],
        "discriminator": discriminator.opt_state.hyperparams["learning_rate"],
    }
    hyper = {**jax.tree.map(jnp.float32, hyper), "learning_rate": learning_rate}
    params = {"generator": generator.params, "discriminator": discriminator.params}
    return GanState(
        step=jnp.zeros((), jnp.int32),
        key=jnp.asarray(key),
        generator=generator,
        discriminator=discriminator,
        ema={"params": generator.params, "model_state": generator.model_state},
        hyper=hyper,
        extras=init_extras(gan, hyper, params),
    )


def init_extras(gan: GAN, hyper: dict, params: dict) -> dict[str, Any]:
    """The initial memory of penalties and tricks; `params` are those of both networks, by name."""
    extras: dict[str, Any] = {network: {"regularizers": {}} for network in params}
    for name, (family, build, *_) in gan.regularizers.items():
        if family == "logit":
            extras["discriminator"]["regularizers"][name] = build().init()
        if family == "weight":
            penalty = build()
            for network in penalty.networks:
                extras[network]["regularizers"][name] = penalty.init(params[network])
    if "adaptive" in hyper:
        extras["discriminator"]["adaptive"] = init_adaptive(hyper["augment_probability"])
    if gan.image_pool:
        extras["discriminator"]["pool"] = init_pool(gan.image_pool, gan.shape, 1 + gan.reads_partners)
    if gan.lookahead_every:
        extras["lookahead"] = params
    if gan.generator_steps > 1:
        zero = jnp.zeros((), jnp.float32)
        extras["discriminator_metrics"] = dict.fromkeys(discriminator_metrics(gan, hyper), zero)
    return jax.tree.map(jnp.copy, extras)


def discriminator_metrics(gan: GAN, hyper: dict) -> tuple[str, ...]:
    """The names of the metrics of a discriminator update."""
    names = "discriminator_loss discriminator_grad_norm D(x) D(G(z)) accuracy_real accuracy_fake".split()
    if gan.num_generators > 1:
        names.append("identification_loss")
    if "adaptive" in hyper:
        names.append("augment_probability")
    if gan.nonfinite != "keep":
        names.append("discriminator_nonfinite")
    for name, entry in gan.regularizers.items():
        if entry.family in ("gradient", "logit", "consistency", "class"):
            names.append(f"discriminator/{name}")
        if entry.family == "weight" and "discriminator" in entry.build().networks:
            names.append(f"discriminator/{name}")
    return tuple(names)


def partner_key(key: KeyWords) -> KeyWords:
    """The key words, uint32 `[2]`, of the order of a run's second stream of examples."""
    return jax.random.key_data(jax.random.fold_in(make_key(data_key(key)), 1))


def data_key(key: KeyWords) -> KeyWords:
    """The key words, uint32 `[2]`, of the order of a run's examples; `key` are the run's key words."""
    return jax.random.key_data(jax.random.split(jax.random.fold_in(make_key(key), 0), 3)[2])
