"""The updates of both networks: one optimizer step of each."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int

from jaxgan.algorithm.accumulation import accumulate
from jaxgan.algorithm.collectives import average, gather
from jaxgan.algorithm.discriminator import discriminate, discriminator_loss, own_penalties, weigh_classes
from jaxgan.algorithm.gan import Game
from jaxgan.algorithm.guards import finite, num_nonfinite, replaced, unless, where_finite
from jaxgan.algorithm.penalties import consistency_term, penalize, project, remember, said
from jaxgan.algorithm.pool import draw_from_pool
from jaxgan.algorithm.randomness import named_keys
from jaxgan.algorithm.train_state import NetworkState
from jaxgan.algorithm.tricks import clip_by_norm, top_k_weights
from jaxgan.losses import per_example
from jaxgan.regularizers.critic import Critic
from jaxgan.regularizers.reconstruction import Parts


def with_pool(memory: dict, batch: dict, game: Game) -> tuple[dict, dict]:
    """The memory and the batch, with fakes from the pool. Every device has the same pool."""
    keys = jax.random.key_data(named_keys(batch["keys"], "pool"))
    keys = jax.random.wrap_key_data(gather(keys, game.axis_name))
    pool, shown = draw_from_pool(memory["pool"], gather(batch["fake"], game.axis_name), keys)
    if game.axis_name is not None:
        part = len(batch["fake"])
        shown = lax.dynamic_slice_in_dim(shown, lax.axis_index(game.axis_name) * part, part)
    return {**memory, "pool": pool}, {**batch, "fake": shown}


def update_discriminator(
    network: NetworkState, memory: dict, batch: dict, game: Game, count: Int[Array, ""]
) -> tuple[tuple[NetworkState, dict], dict[str, Float[Array, ""]]]:
    """One optimizer step of the discriminator on a batch of real and a batch of fake examples.

    Returns:
      the discriminator and its memory, and metrics.
    """
    before = network, memory
    gradient_fn = jax.value_and_grad(discriminator_loss, has_aux=True)

    def update(carry, batch):
        (_, (*carry, metrics)), grads = gradient_fn(network.params, network, *carry, batch, game, count)
        return tuple(carry), ((grads, metrics), ())

    if game.gan.image_pool:
        memory, batch = with_pool(memory, batch, game)
    carry = (network.model_state, memory)
    (model_state, memory), means, _ = accumulate(update, carry, batch, game.gan.accumulate)
    (grads, metrics), model_state = average((means, model_state), game.axis_name)
    metrics["discriminator_grad_norm"] = optax.tree.norm(grads)
    network = descend(network, grads, "discriminator", game, count).replace(model_state=model_state)
    bad = jnp.zeros(())
    if any(entry.own_step for entry in game.gan.regularizers.values()):
        network, values, bad = step_of_penalties(network, before[1], batch, game, count)
        metrics |= {f"discriminator/{name}": value for name, value in values.items()}
    after = (network, remember(memory, network.params, game))
    after, metrics = _guarded("discriminator", after, before, grads, metrics, game)
    if game.gan.nonfinite != "keep":
        metrics["discriminator_nonfinite"] += bad
    return after, metrics


def step_of_penalties(
    network: NetworkState, memory: dict, batch: dict, game: Game, count: Int[Array, ""]
) -> tuple[NetworkState, dict[str, Float[Array, ""]], Float[Array, ""]]:
    """A further optimizer step of the discriminator, on penalties alone, in every k-th update.

    Source: Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, appendix B.

    Returns:
      the discriminator, the penalties by name (0 in other updates), and how many numbers of their gradient
      are not finite, if there is a guard.
    """
    own = {name: entry.interval for name, entry in game.gan.regularizers.items() if entry.own_step}
    (interval,) = {*own.values()}

    def take(network):
        def update(carry, batch):
            gradient_fn = jax.value_and_grad(own_penalties, has_aux=True)
            (_, values), grads = gradient_fn(network.params, network, memory, batch, game, count)
            return carry, ((grads, values), ())

        _, means, _ = accumulate(update, (), batch, game.gan.accumulate)
        grads, values = average(means, game.axis_name)
        bad = jnp.zeros(()) if game.gan.nonfinite == "keep" else num_nonfinite(grads)
        return descend(network, grads, "discriminator", game, count), values, bad

    if interval == 1:
        return take(network)
    nothing = dict.fromkeys(own, jnp.zeros(())), jnp.zeros(())
    return lax.cond(count % interval == 0, take, lambda network: (network, *nothing), network)


def _guarded(name: str, after: tuple, before: tuple, grads, metrics: dict, game: Game) -> tuple:
    """A network and its memory after an update, and metrics; with a guard against NaN and infinity."""
    if game.gan.nonfinite == "keep":
        return after, metrics
    count = num_nonfinite(grads)
    if game.gan.nonfinite == "skip":
        after = unless(count > 0, after, before)
    else:  # the gradients were replaced; statistics and memories of the same batch may be NaN, too
        network, memory = after
        model_state = where_finite(network.model_state, before[0].model_state)
        after = network.replace(model_state=model_state), where_finite(memory, before[1])
    return after, finite(metrics) | {f"{name}_nonfinite": count}


# --- The generator ------------------------------------------------------------------------------------


def update_generator(
    network: NetworkState,
    memory: dict,
    critic: NetworkState,
    critic_memory: dict,
    batch: dict,
    pull_back: Callable,
    game: Game,
) -> tuple[tuple[NetworkState, dict], dict[str, Float[Array, ""]]]:
    """One optimizer step of the generator against the discriminator `critic`.

    Args:
      network: the generator, with its mutable collections from after the forward pass that made the fakes.
      memory: of its penalties.
      critic: the discriminator, which is not changed.
      critic_memory: the discriminator's memory.
      batch: `real`, `fake` `[B, ...]`, conditions `given` of each, `z`, `keys` `[B]`, and `weights` `[B]`
        if classes have weights.
      pull_back: gradient with respect to the fakes → gradient with respect to the generator's parameters.
      game: the step's.

    Returns:
      the generator and its memory, and metrics.
    """
    gan, hyper, axis_name = game.gan, game.hyper, game.axis_name

    def reconstruct(params, fake, batch):
        """How far fakes are from the targets; also a function of the generator that maps them back."""

        def generate(given):
            return network.forward(params, network.model_state, batch["z"], given)[0]

        parts = Parts(batch["given"]["fake"], generate, gan.features)

        def reconstruction(name, term, _):
            return jnp.mean(term(batch["real"], fake, parts)), ()

        total, _, values = penalize("reconstruction", reconstruction, memory, game, game.step)
        return total, {f"generator/{name}": value for name, value in values.items()}

    def loss_fn(fake, batch):
        """The terms that depend on the parameters through the fakes."""
        batch = {**batch, "fake": fake, "keys": named_keys(batch["keys"], "generator")}
        opponent = unroll(critic, critic_memory, batch, game) if gan.unrolled_steps else critic

        def outputs_of(which):
            outputs, _ = discriminate(
                opponent, opponent.params, opponent.model_state,
                batch[which], batch["given"][which], named_keys(batch["keys"], which), critic_memory, game,
            )  # fmt: skip
            return outputs

        real, fake = outputs_of("real"), outputs_of("fake")
        real_logits, fake_logits = gather(real.logits, axis_name), gather(fake.logits, axis_name)
        losses = per_example(game.loss.generator(real_logits, fake_logits))
        if "top_k" in hyper:
            losses = losses * top_k_weights(per_example(fake_logits), game.step, **hyper["top_k"])
        metrics = {"generator_loss": jnp.mean(losses)}
        if gan.unrolled_steps and not game.loss.relativistic:
            # the value of the whole game at θ_D^K(θ_G): with it real logits depend on the fakes, too
            of_real = per_example(game.loss.discriminator(real_logits, lax.stop_gradient(fake_logits)))
            losses = losses - weigh_classes(of_real, batch, game)
        loss = hyper["loss_weight"].get("generator", 0.0) * jnp.mean(losses)

        def feature(name, penalty, _):
            return penalty(gather(real.features, axis_name), gather(fake.features, axis_name)), ()

        def class_loss(name, penalty, _):
            return jnp.mean(penalty.generator(*said(name, real, fake, batch, axis_name))), ()

        families = {"feature": feature} | ({"class": class_loss} if real.heads else {})
        for family, evaluate in families.items():
            total, _, values = penalize(family, evaluate, memory, game, game.step)
            loss += total
            metrics |= {f"generator/{name}": value for name, value in values.items()}
        return loss, metrics

    def update(carry, batch):
        (_, metrics), gradient = jax.value_and_grad(loss_fn, has_aux=True)(batch["fake"], batch)
        direct = ()
        if gan.family("reconstruction"):
            of_both = jax.grad(reconstruct, (0, 1), has_aux=True)
            (direct, more), values = of_both(network.params, batch["fake"], batch)
            gradient, metrics = gradient + more, metrics | values
        return carry, ((metrics, direct), gradient / gan.accumulate)

    _, (metrics, direct), fake_gradient = accumulate(update, (), batch, gan.accumulate)
    grads = pull_back(fake_gradient)
    grads = optax.tree.add(grads, direct) if gan.family("reconstruction") else grads

    def direct_fn(params):
        """The terms that depend on the parameters in other ways."""

        def judge(examples, like):
            outputs, _ = discriminate(
                critic, critic.params, critic.model_state,
                examples, batch["given"][like], batch["keys"], critic_memory, game,
            )  # fmt: skip
            return per_example(outputs.logits)

        def consistency(name, penalty, _):
            return consistency_term("generator", name, penalty, Critic(judge), params, batch, game), ()

        def weight(name, penalty, remembered):
            return penalty.penalty(params, remembered), remembered

        loss, metrics = jnp.zeros(()), {}
        for family, evaluate in {"consistency": consistency, "weight": weight}.items():
            total, _, values = penalize(family, evaluate, memory, game, game.step)
            loss += total
            metrics |= {f"generator/{name}": value for name, value in values.items()}
        return loss, metrics

    if gan.family("consistency") or gan.family("weight"):
        direct_grads, more = jax.grad(direct_fn, has_aux=True)(network.params)
        grads = optax.tree.add(grads, direct_grads)
        metrics |= more
    grads, metrics, model_state = average((grads, metrics, network.model_state), axis_name)
    metrics["generator_grad_norm"] = optax.tree.norm(grads)
    network = descend(network, grads, "generator", game, game.step).replace(model_state=model_state)
    after, before = (network, remember(memory, network.params, game)), (game.generator, memory)
    return _guarded("generator", after, before, grads, metrics, game)


def unroll(network: NetworkState, memory: dict, batch: dict, game: Game) -> NetworkState:
    """The discriminator after some more updates on the same batch, as a function of the fakes.

    Source: Metz et al. 2017, Unrolled Generative Adversarial Networks, equations 5 to 7; they use the
    value of the minimax game after these updates, including the term of real examples.
    """

    gan = game.gan

    def update_once(network, count):
        grads, (model_state, _, _) = jax.grad(discriminator_loss, has_aux=True)(
            network.params, network, network.model_state, memory, batch, game, count
        )
        grads, model_state = average((grads, model_state), game.axis_name)
        network = descend(network, grads, "discriminator", game, count)
        return network.replace(model_state=model_state), None

    if gan.update_order == "alternating":
        done = game.step // gan.generator_steps + 1
    else:
        done = -(-game.step // gan.generator_steps)
    counts = done * gan.discriminator_steps + jnp.arange(gan.unrolled_steps)
    return lax.scan(update_once, network, counts)[0]


def descend(network: NetworkState, grads, name: str, game: Game, count: Int[Array, ""]) -> NetworkState:
    """One step of a network's optimizer: clips gradients before it, and projects parameters after it."""
    before, sound = network, game.gan.nonfinite != "skip" or num_nonfinite(grads) == 0
    if game.gan.nonfinite == "replace":
        grads = replaced(grads)
    if name in game.hyper.get("clip_norm", {}):
        grads = clip_by_norm(grads, game.hyper["clip_norm"][name])
    network = network.apply_gradients(grads=grads)
    if name == "discriminator":
        network = network.replace(params=project(network.params, game, count))
    return network if sound is True else unless(~sound, network, before)
