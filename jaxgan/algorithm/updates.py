"""The updates of both networks: the discriminator's outputs, and one optimizer step of each network."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int, Key

from jaxgan.algorithm.accumulation import accumulate
from jaxgan.algorithm.collectives import average, gather
from jaxgan.algorithm.gan import Game
from jaxgan.algorithm.metrics import logit_metrics
from jaxgan.algorithm.penalties import consistency_term, penalize, project, remember, said
from jaxgan.algorithm.pool import draw_from_pool
from jaxgan.algorithm.randomness import named_keys
from jaxgan.algorithm.train_state import NetworkState
from jaxgan.algorithm.tricks import clip_by_norm, flip_labels, pack, top_k_weights, unpack
from jaxgan.augment import augment, update_adaptive
from jaxgan.losses import identification, per_example, real_or_fake
from jaxgan.models.multi import generator_index
from jaxgan.regularizers.critic import Critic
from jaxgan.regularizers.reconstruction import Parts


class DiscriminatorOutputs(NamedTuple):
    """The discriminator's outputs for B examples: B/m logits with packing of m, `[B, P]` of P patches."""

    logits: Float[Array, " B *P"]
    outputs: Float[Array, "B ..."]  # the logits, or `[B, k + 1]` with k generators
    features: Float[Array, "B F"] | None
    heads: dict[
        str, dict[str, Float[Array, "B _"]]
    ]  # the outputs of each head, by the name of its class loss


def discriminate(
    network: NetworkState,
    params,
    model_state,
    examples: Float[Array, "B ..."],
    given: dict,
    keys: Key[Array, " B"],
    memory,
    game: Game,
    own: bool = False,
) -> tuple[DiscriminatorOutputs, dict]:
    """The discriminator's outputs for examples, which are augmented, made noisy and packed first.

    Args:
      network: the discriminator.
      params, model_state: used instead of its own.
      examples: `[B, ...]`.
      given: conditions of the examples, `[B, ...]` by keyword.
      keys: typed keys `[B]`.
      memory: the discriminator's.
      game: the step's.
      own: whether this is the discriminator's own update, in which heads may stop the gradient below them.

    Returns:
      its outputs, and its mutable collections afterwards.
    """
    gan, hyper = game.gan, game.hyper
    if gan.augment:
        probability = (
            memory["adaptive"]["probability"] if "adaptive" in memory else hyper.get("augment_probability")
        )
        examples = augment(game.operations("augment"), named_keys(keys, "augment"), examples, probability)
    if "instance_noise" in hyper:  # Sønderby et al. 2017; Arjovsky and Bottou 2017, section 3
        numbers = hyper["instance_noise"]
        stddev = numbers["stddev"] * gan.instance_noise(game.step, **numbers["schedule"])
        noise = jax.vmap(lambda key: jax.random.normal(key, gan.shape))(named_keys(keys, "instance noise"))
        examples = examples + stddev * noise
    wanted = {"features": True} if gan.family("feature") else {}
    wanted = {"heads": True, "hold": own} if gan.family("class") else wanted
    outputs, model_state = network.forward(
        params,
        model_state,
        pack(examples, gan.packing),
        given,
        dropout_key=named_keys(keys, "dropout")[0],
        **wanted,
    )
    heads, features = {}, None
    if "heads" in wanted:
        outputs, heads, features = outputs
    elif "features" in wanted:
        outputs, features = outputs
    logits = real_or_fake(outputs) if gan.num_generators > 1 else outputs
    return DiscriminatorOutputs(logits, outputs, features, heads), model_state


def discriminator_loss(params, network: NetworkState, model_state, memory, batch: dict, game: Game, count):
    """λ times the adversarial loss and all penalties of the discriminator.

    Real and fake examples go through the network one after the other, each with its own batch statistics
    (Chintala et al. 2016, How to train a GAN, tip 4).

    Args:
      params: to be differentiated.
      network: the discriminator.
      model_state: its mutable collections.
      memory: of its penalties and tricks.
      batch: `real`, `fake` `[B, ...]`, conditions `given` of each, `z`, `keys` `[B]`, and `weights` `[B]`
        if classes have weights.
      game: the step's.
      count: int32 `[]`, discriminator updates done before.

    Returns:
      the loss, and `(model_state, memory, metrics)`.
    """
    gan, hyper, axis_name = game.gan, game.hyper, game.axis_name
    real_keys, fake_keys = named_keys(batch["keys"], "real"), named_keys(batch["keys"], "fake")
    frozen, before = model_state, memory

    def judge(examples, like):
        """Logits with the statistics from before the update, and the same noise as the real examples."""
        given = batch["given"][like]
        outputs, _ = discriminate(network, params, frozen, examples, given, real_keys, before, game)
        return per_example(outputs.logits)

    def judge_batch(which, keys, model_state):
        given = batch["given"][which]
        return discriminate(network, params, model_state, batch[which], given, keys, memory, game, own=True)

    critic = Critic(judge)
    real, model_state = judge_batch("real", real_keys, model_state)
    fake, model_state = judge_batch("fake", fake_keys, model_state)
    real_logits, fake_logits = gather(real.logits, axis_name), gather(fake.logits, axis_name)

    roles = real_logits, fake_logits
    input_keys = batch["keys"][:: gan.packing]
    if "label_flip" in hyper:
        draw = jax.vmap(lambda key: jax.random.bernoulli(key, hyper["label_flip"]))
        roles = flip_labels(*roles, gather(draw(named_keys(input_keys, "flip")), axis_name))
    loss = jnp.mean(weigh_classes(per_example(game.loss.discriminator(*roles)), batch, game))
    metrics = {"discriminator_loss": loss, **logit_metrics(game.loss, real_logits, fake_logits)}

    if gan.num_generators > 1:
        which = generator_index(len(batch["fake"]), gan.num_generators)
        metrics["identification_loss"] = jnp.mean(identification(fake.outputs, which))
        loss += metrics["identification_loss"]

    def gradient(name, penalty, _):
        packed = Critic(lambda inputs, like: judge(unpack(inputs, gan.packing), like))
        inputs = pack(batch["real"], gan.packing), pack(batch["fake"], gan.packing)
        return jnp.mean(penalty(packed, *inputs, named_keys(input_keys, name), axis_name)), ()

    def logit(name, penalty, remembered):
        means = per_example(real_logits), per_example(fake_logits)
        values, remembered = penalty.penalty(*means, remembered)
        return jnp.mean(values), remembered

    def consistency(name, penalty, _):
        params = game.generator.params
        return consistency_term("discriminator", name, penalty, critic, params, batch, game), ()

    def weight(name, penalty, remembered):
        return penalty.penalty(params, remembered), remembered

    def class_loss(name, loss, _):
        return jnp.mean(loss.discriminator(*said(name, real, fake, batch, axis_name))), ()

    families = {"gradient": gradient, "logit": logit, "consistency": consistency, "weight": weight}
    families |= {"class": class_loss} if real.heads else {}
    for family, evaluate in families.items():
        total, memory, values = penalize(family, evaluate, memory, game, count)
        loss += total
        metrics |= {f"discriminator/{name}": value for name, value in values.items()}
    if "adaptive" in memory:
        images = len(real_logits) * gan.packing
        numbers = hyper["adaptive"]
        # above zero if the example is judged real
        sure = game.loss.output_fn(real_logits) - game.loss.threshold
        adaptive = update_adaptive(
            memory["adaptive"], sure, images, interval=gan.adaptive_interval, **numbers
        )
        memory = {**memory, "adaptive": adaptive}
        metrics["augment_probability"] = adaptive["probability"]
    return hyper["loss_weight"]["discriminator"] * loss, (model_state, memory, metrics)


def weigh_classes(losses: Float[Array, " B"], batch: dict, game: Game) -> Float[Array, " B"]:
    """The discriminator's losses, weighted by the real examples' classes if these have weights."""
    if "weights" not in batch:
        return losses
    packing = game.gan.packing
    return losses * gather(batch["weights"].reshape(-1, packing).mean(axis=1), game.axis_name)


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
    return (network, remember(memory, network.params, game)), metrics


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
    return (network, remember(memory, network.params, game)), metrics


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
    if name in game.hyper.get("clip_norm", {}):
        grads = clip_by_norm(grads, game.hyper["clip_norm"][name])
    network = network.apply_gradients(grads=grads)
    if name == "discriminator":
        network = network.replace(params=project(network.params, game, count))
    return network
