"""The algorithm: one training step of a generative adversarial network, as a pure function of its state.

Goodfellow et al. 2014, algorithm 1: update the discriminator n_D times on fresh batches, then the generator
once. What is static (networks, losses, the order of updates) stands in `GAN`; every number that training
changes or that an ablation may vary is a leaf of `GanState`.
"""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxgan.latents import make_key, sample_latents
from jaxgan.losses import Loss
from jaxgan.train_state import GanState, NetworkState, init_network

UPDATE_ORDERS = ("alternating", "simultaneous")


@dataclasses.dataclass(frozen=True, eq=False)
class GAN:
    """What is static about a GAN: a new value of any of these is a new program.

    Attributes:
      generator, discriminator: linen modules (see `jaxgan.models`).
      generator_optimizer, discriminator_optimizer: optax transformations whose numbers are injected.
      loss: the adversarial loss (see `jaxgan.losses`).
      schedule: `(step, **hyper.schedule) -> factor` on both learning rates (see `jaxgan.optimizers`).
      latent: name of the latent distribution; `latent_dim` its dimension.
      latent_dim: the length of z.
      shape: of one example, `(H, W, C)` or `(D,)`.
      discriminator_steps: n_D, discriminator updates before each generator update.
      update_order: 'alternating': the generator's update sees the discriminator just updated;
        'simultaneous': both see the networks as they were before the step.
    """

    generator: nn.Module
    discriminator: nn.Module
    generator_optimizer: optax.GradientTransformation
    discriminator_optimizer: optax.GradientTransformation
    loss: Loss
    schedule: Callable[..., jax.Array]
    latent: str
    latent_dim: int
    shape: tuple[int, ...]
    discriminator_steps: int = 1
    update_order: str = "alternating"

    @property
    def is_images(self) -> bool:
        """Whether examples are images, not points."""
        return len(self.shape) == 3


def init_state(gan: GAN, key: jax.Array, hyper: dict) -> GanState:
    """A fresh state. `key` is uint32 `[2]`; `hyper` as in `GanState`, without the learning rates."""
    generator_key, discriminator_key, _ = jax.random.split(jax.random.fold_in(make_key(key), 0), 3)
    z = jnp.zeros((1, gan.latent_dim))
    images = jnp.zeros((1, *gan.shape))
    generator = init_network(gan.generator, gan.generator_optimizer, generator_key, z)
    discriminator = init_network(gan.discriminator, gan.discriminator_optimizer, discriminator_key, images)
    learning_rate = {
        "generator": generator.opt_state.hyperparams["learning_rate"],
        "discriminator": discriminator.opt_state.hyperparams["learning_rate"],
    }
    return GanState(
        step=jnp.zeros((), jnp.int32),
        key=jnp.asarray(key),
        generator=generator,
        discriminator=discriminator,
        ema={"params": generator.params, "model_state": generator.model_state},
        hyper={**jax.tree.map(jnp.float32, hyper), "learning_rate": learning_rate},
        extras={},
    )


def data_key(key: jax.Array) -> jax.Array:
    """The key words, uint32 `[2]`, of the order in which a run with key words `key` sees its examples."""
    return jax.random.key_data(jax.random.split(jax.random.fold_in(make_key(key), 0), 3)[2])


def train_step(
    state: GanState, batch: dict[str, jax.Array], *, gan: GAN, axis_name: str | None = None
) -> tuple[GanState, dict[str, jax.Array]]:
    """One generator update with the discriminator updates before it.

    Args:
      state: the state before the step.
      batch: `examples`, uint8 images `[n_D, B, H, W, C]` or float32 points `[n_D, B, D]`, a fresh batch for
        each discriminator update; `index`, int32 `[B]`, the examples' places in the global batch, from which
        their noise is drawn (so that it does not depend on how many devices share the batch).
      gan: what is static.
      axis_name: the device axis, under pmap.

    Returns:
      the state after the step, and metrics: scalars by name.
    """
    key = jax.random.fold_in(make_key(state.key), state.step + 1)  # 0 drew the initial weights
    latent_keys = jax.random.split(jax.random.fold_in(key, 0), gan.discriminator_steps)
    dropout_keys = jax.random.split(jax.random.fold_in(key, 1), gan.discriminator_steps + 1)
    state = _with_scheduled_learning_rates(state, gan)
    generator, discriminator = state.generator, state.discriminator

    def latents(key):
        return sample_latents(gan.latent, key, batch["index"], gan.latent_dim)

    def update_once(discriminator, inputs):
        images, latent_key, dropout_key = inputs
        fake, _ = generator.forward(generator.params, generator.model_state, latents(latent_key), train=True)
        return update_discriminator(discriminator, scale(images), fake, dropout_key, gan, axis_name)

    # All but the last of the n_D discriminator updates draw their own fakes ...
    if gan.discriminator_steps > 1:
        earlier = (batch["examples"][:-1], latent_keys[:-1], dropout_keys[:-2])
        discriminator, _ = lax.scan(update_once, discriminator, earlier)
    # ... the last shares its fakes, and so the generator's forward pass, with the generator's update.
    real = scale(batch["examples"][-1])
    z = latents(latent_keys[-1])
    fake, pull_back, generator_state = jax.vjp(
        lambda params: generator.forward(params, generator.model_state, z, train=True),
        generator.params,
        has_aux=True,
    )
    discriminator, metrics = update_discriminator(discriminator, real, fake, dropout_keys[-2], gan, axis_name)
    critic = state.discriminator if gan.update_order == "simultaneous" else discriminator
    generator, generator_metrics = update_generator(
        generator.replace(model_state=generator_state),
        critic, real, fake, pull_back, dropout_keys[-1], gan, axis_name,
    )  # fmt: skip
    state = state.replace(
        step=state.step + 1,
        generator=generator,
        discriminator=discriminator,
        ema=update_ema(state.ema, generator, state.hyper["ema_decay"], state.step),
    )
    metrics = {**metrics, **generator_metrics, "diversity": diversity(real, fake, axis_name)}
    return state, metrics


def update_discriminator(
    network: NetworkState, real, fake, dropout_key, gan: GAN, axis_name: str | None
) -> tuple[NetworkState, dict[str, jax.Array]]:
    """One descent step of the discriminator on a batch of real and a batch of fake examples.

    The two go through the network one after the other, each with its own batch statistics
    (Chintala et al. 2016, How to train a GAN, tip 4).
    """
    real_key, fake_key = jax.random.split(dropout_key)

    def loss_fn(params):
        real_logits, state = network.forward(
            params, network.model_state, real, train=True, dropout_key=real_key
        )
        fake_logits, state = network.forward(params, state, fake, train=True, dropout_key=fake_key)
        real_logits, fake_logits = gather(real_logits, axis_name), gather(fake_logits, axis_name)
        loss = jnp.mean(gan.loss.discriminator(real_logits, fake_logits))
        return loss, (state, real_logits, fake_logits)

    (loss, (model_state, real_logits, fake_logits)), grads = jax.value_and_grad(loss_fn, has_aux=True)(
        network.params
    )
    grads, model_state = average((grads, model_state), axis_name)
    metrics = {
        "discriminator_loss": loss,
        "discriminator_grad_norm": optax.tree.norm(grads),
        **judgement(gan.loss, real_logits, fake_logits),
    }
    return network.apply_gradients(grads=grads).replace(model_state=model_state), metrics


def update_generator(
    network: NetworkState, critic: NetworkState, real, fake, pull_back, dropout_key, gan, axis_name
) -> tuple[NetworkState, dict[str, jax.Array]]:
    """One descent step of the generator against the discriminator `critic`.

    Args:
      network: the generator, its mutable collections as the forward pass that made `fake` left them.
      critic: the discriminator; its parameters and collections stay as they are.
      real, fake: examples `[B, ...]`.
      pull_back: gradient with respect to `fake` → gradient with respect to the generator's parameters.
      dropout_key: for the discriminator's dropout.
      gan: what is static.
      axis_name: the device axis, under pmap.
    """
    real_key, fake_key = jax.random.split(dropout_key)

    def judge(images, key):
        logits, _ = critic.forward(critic.params, critic.model_state, images, train=True, dropout_key=key)
        return gather(logits, axis_name)

    def loss_fn(fake):
        return jnp.mean(gan.loss.generator(judge(real, real_key), judge(fake, fake_key)))

    loss, fake_grad = jax.value_and_grad(loss_fn)(fake)
    (grads,) = pull_back(fake_grad)
    grads, model_state = average((grads, network.model_state), axis_name)
    metrics = {"generator_loss": loss, "generator_grad_norm": optax.tree.norm(grads)}
    return network.apply_gradients(grads=grads).replace(model_state=model_state), metrics


def update_ema(ema: dict, generator: NetworkState, decay: jax.Array, step: jax.Array) -> dict:
    """ema ← d·ema + (1 - d)·generator, parameters and batch statistics, d = min(decay, (1 + t)/(10 + t)).

    The ramp lets the average forget the initial weights at once, so that early samples show learning.
    Source: Yazici et al. 2019, The Unusual Effectiveness of Averaging in GAN Training; the ramp is that of
    TensorFlow's ExponentialMovingAverage.
    """
    decay = jnp.minimum(decay, (1 + step) / (10 + step))
    new = {"params": generator.params, "model_state": generator.model_state}
    return jax.tree.map(lambda average, value: average + (1 - decay) * (value - average), ema, new)


def scale(examples: jax.Array) -> jax.Array:
    """uint8 images to float32 in [-1, 1]; float points as they are."""
    return examples.astype(jnp.float32) / 127.5 - 1 if examples.dtype == jnp.uint8 else examples


def judgement(loss: Loss, real_logits: jax.Array, fake_logits: jax.Array) -> dict[str, jax.Array]:
    """How the discriminator judges a batch: mean outputs D(x), D(G(z)) and the accuracy on both."""
    real, fake = loss.output_fn(real_logits), loss.output_fn(fake_logits)
    threshold = (real.mean() + fake.mean()) / 2 if loss.threshold is None else loss.threshold
    return {
        "D(x)": real.mean(),
        "D(G(z))": fake.mean(),
        "accuracy_real": jnp.mean(real > threshold),
        "accuracy_fake": jnp.mean(fake < threshold),
    }


def diversity(real: jax.Array, fake: jax.Array, axis_name: str | None) -> jax.Array:
    """How much fakes differ within a batch, relative to real examples: 1 as much, 0 collapsed.

    The root of the mean (over pixels or coordinates) of the variance over the batch, fake over real.
    """

    def variance(images):
        mean = average(images.mean(axis=0), axis_name)
        return average(jnp.mean(jnp.square(images - mean)), axis_name)

    return jnp.sqrt(variance(fake) / jnp.maximum(variance(real), 1e-12))


def gather(per_example: jax.Array, axis_name: str | None) -> jax.Array:
    """The whole batch's values from each device's share: losses may couple examples."""
    return per_example if axis_name is None else lax.all_gather(per_example, axis_name, tiled=True)


def average(tree, axis_name: str | None):
    """The mean over devices."""
    return tree if axis_name is None else lax.pmean(tree, axis_name)


def _with_scheduled_learning_rates(state: GanState, gan: GAN) -> GanState:
    factor = gan.schedule(state.step, **state.hyper["schedule"])
    rates = state.hyper["learning_rate"]
    return state.replace(
        generator=state.generator.with_learning_rate(rates["generator"] * factor),
        discriminator=state.discriminator.with_learning_rate(rates["discriminator"] * factor),
    )
