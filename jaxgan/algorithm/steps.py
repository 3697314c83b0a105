"""The algorithm: one training step of a generative adversarial network, as a pure function of its state.

Goodfellow et al. 2014, algorithm 1: update the discriminator n_D times on fresh batches, then the generator
once (`updates.py`). What is static (networks, losses, the order of updates) is in `GAN`. Every number that
training changes or that an ablation may vary is a leaf of `GanState`. A term of the loss is compiled only if
its number is in `GanState.hyper`.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Shaped

from jaxgan.algorithm.accumulation import generate
from jaxgan.algorithm.collectives import whole_size
from jaxgan.algorithm.gan import GAN, Game
from jaxgan.algorithm.guards import finite
from jaxgan.algorithm.metrics import diversity
from jaxgan.algorithm.randomness import example_keys, named_keys
from jaxgan.algorithm.schedules import at_this_step
from jaxgan.algorithm.train_state import GanState, NetworkState
from jaxgan.algorithm.tricks import lookahead, scale
from jaxgan.algorithm.updates import update_discriminator, update_generator
from jaxgan.augment import augment
from jaxgan.latents import make_key


def train_step(
    state: GanState, batch: dict[str, Shaped[Array, "..."]], *, gan: GAN, axis_name: str | None = None
) -> tuple[GanState, dict[str, Float[Array, ""]]]:
    """One generator update with the discriminator updates before it.

    Args:
      state: the state before the step.
      batch: `examples`, uint8 images `[n, B, H, W, C]` or float32 points `[n, B, D]`, a fresh batch for each
        of the n_D discriminator updates, and one more with `generator_batch = fresh`; `index`, int32 `[B]`,
        the places in the global batch, from which the noise is drawn (so that it does not depend on the
        number of devices); `labels`, int32 `[n, B]`, if classes have weights or are a condition; `partner`,
        `[n, B, ...]`, if a condition reads it.
      gan: what is static.
      axis_name: the device axis, under pmap.

    Returns:
      the state after the step, and metrics: scalars by name.
    """
    hyper, optimizers = at_this_step(state, gan.schedules, gan.schedule)
    generator = state.generator.with_numbers(optimizers["generator"])
    discriminator = state.discriminator.with_numbers(optimizers["discriminator"])
    game = Game(gan, state.step, hyper, generator, axis_name)
    key = jax.random.fold_in(make_key(state.key), state.step + 1)  # 0 drew the initial weights
    update_keys = jax.random.split(key, gan.batches)

    def make_minibatch(i):
        """The inputs of the i-th update of the step."""
        z = gan.sample_latents(named_keys(update_keys[i], "latent"), batch["index"])
        keys, real = example_keys(update_keys[i], batch["index"]), scale(batch["examples"][i])
        if gan.data_augment:
            real = augment(game.operations("data_augment"), named_keys(keys, "data"), real, None)
        minibatch = {"z": z, "keys": keys, **_with_condition(gan, real, keys, batch, i, hyper)}
        if "class_weights" in hyper:
            minibatch["weights"] = hyper["class_weights"][batch["labels"][i]]
        return minibatch

    def with_fakes(minibatch):
        """The minibatch with its fakes; the way back to the generator's parameters; its collections."""
        given = minibatch["given"]["fake"]
        fake, *rest = generate(generator, minibatch["z"], given, gan.accumulate)
        return {**minibatch, "fake": fake}, *rest

    def update(player, minibatch, i):
        count = state.step // gan.generator_steps * gan.discriminator_steps + i
        return update_discriminator(*player, minibatch, game, count)

    def update_once(player, i):
        minibatch, _, _ = with_fakes(make_minibatch(i))
        return update(player, minibatch, i)

    # All but the last of the n_D discriminator updates draw their own fakes ...
    player = critic = (discriminator, state.extras["discriminator"])
    last = gan.discriminator_steps - 1
    if last:
        player, others = lax.scan(update_once, player, jnp.arange(last))
    # ... the last may share its fakes, and so the generator's forward pass, with the generator's update.
    minibatch, pull_back, generator_state = with_fakes(make_minibatch(last))
    if gan.generator_steps == 1:
        player, metrics = update(player, minibatch, last)
    else:  # only in every n_G-th step; the others repeat its metrics
        player, metrics = lax.cond(
            state.step % gan.generator_steps == 0,
            lambda player: update(player, minibatch, last),
            lambda player: (player, state.extras["discriminator_metrics"]),
            player,
        )
    if last:  # metrics are the means over all updates
        metrics = jax.tree.map(lambda of_last, rest: (of_last + rest.sum(0)) / (last + 1), metrics, others)
    if gan.update_order == "alternating":
        critic = player
    if gan.generator_batch == "fresh":
        minibatch, pull_back, generator_state = with_fakes(make_minibatch(last + 1))
    (generator, memory), generator_metrics = update_generator(
        generator.replace(model_state=generator_state),
        state.extras["generator"],
        *critic,
        minibatch,
        pull_back,
        game,
    )
    extras = {**state.extras, "generator": memory, "discriminator": player[1]}
    if gan.generator_steps > 1:
        extras["discriminator_metrics"] = metrics
    networks = {"generator": generator, "discriminator": player[0]}
    if gan.lookahead_every:
        due = (state.step + 1) % gan.lookahead_every == 0
        fast = {name: network.params for name, network in networks.items()}
        fast, extras["lookahead"] = lookahead(fast, extras["lookahead"], hyper["lookahead_alpha"], due)
        networks = {name: network.replace(params=fast[name]) for name, network in networks.items()}
    state = state.replace(
        step=state.step + 1,
        **networks,
        ema=update_ema(state.ema, networks["generator"], ema_decay(game, whole_size(batch, axis_name))),
        extras=extras,
    )
    spread = diversity(minibatch["real"], minibatch["fake"], axis_name)
    metrics = {**metrics, **generator_metrics, "diversity": spread}
    return state, metrics if gan.nonfinite == "keep" else finite(metrics)


def ema_decay(game: Game, batch_size: int) -> Float[Array, ""]:
    """d of the averaged generator in a step: min(decay, (1 + t)/(10 + t)), or .5^(B / half-life).

    The ramp lets the average forget the initial weights at once, so that early samples show learning. With a
    ramp-up r a half-life, in images, is at most r times the images that the run has seen.
    Source: Yazici et al. 2019, The Unusual Effectiveness of Averaging in GAN Training, with the ramp of
    TensorFlow's ExponentialMovingAverage; Karras et al. 2020, StyleGAN2-ADA, the published training loop.
    """
    step, hyper = game.step, game.hyper
    if "ema_half_life" not in hyper:
        return jnp.minimum(hyper["ema_decay"], (1 + step) / (10 + step))
    half_life = hyper["ema_half_life"]
    if "ema_rampup" in hyper:
        half_life = jnp.minimum(half_life, hyper["ema_rampup"] * batch_size * step.astype(jnp.float32))
    return 0.5 ** (batch_size / jnp.maximum(half_life, 1e-8))


def update_ema(ema: dict, generator: NetworkState, decay: float | Float[Array, ""]) -> dict:
    """ema ← d·ema + (1 - d)·generator, of parameters and batch statistics."""
    new = {"params": generator.params, "model_state": generator.model_state}
    return jax.tree.map(lambda average, value: average + (1 - decay) * (value - average), ema, new)


def _with_condition(gan: GAN, real, keys, batch: dict, i, hyper: dict) -> dict:
    """The real examples, and the conditions, `given`, of the real examples and of the fakes."""
    if gan.condition is None:
        return {"real": real, "given": {"real": {}, "fake": {}}}
    stored = {"examples": real} | {name: batch[name][i] for name in gan.condition.reads}
    if gan.reads_partners:
        stored["partner"] = scale(stored["partner"])
    real, with_real = gan.condition.real(stored, keys)
    with_fake = gan.condition.fake(keys, with_real, hyper.get("condition", {}))
    return {"real": real, "given": {"real": with_real, "fake": with_fake}}
