"""The discriminator's outputs, and its loss with all penalties."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxgan.algorithm.collectives import gather
from jaxgan.algorithm.gan import Game
from jaxgan.algorithm.metrics import logit_metrics
from jaxgan.algorithm.penalties import consistency_term, penalize, said
from jaxgan.algorithm.randomness import named_keys
from jaxgan.algorithm.train_state import NetworkState
from jaxgan.algorithm.tricks import flip_labels, pack, unpack
from jaxgan.augment import augment, update_adaptive
from jaxgan.losses import identification, per_example, real_or_fake
from jaxgan.models.multi import generator_index
from jaxgan.regularizers.critic import Critic


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
        ops, own_keys = game.operations("augment"), named_keys(keys, "augment")
        examples = augment(ops, own_keys, examples, probability, gan.augment_multipliers)
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
    judge = frozen_judge(params, network, model_state, memory, batch, game)

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

    gradient = gradient_term(judge, batch, input_keys, game)
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


def frozen_judge(params, network: NetworkState, model_state, memory, batch: dict, game: Game) -> Callable:
    """`(examples, like) -> mean logits [B]`, with the given statistics and memory.

    Augmentation, noise and dropout are those of the loss's real or fake examples, as `like` says.
    """

    def judge(examples, like):
        given, keys = batch["given"][like], named_keys(batch["keys"], like)
        outputs, _ = discriminate(network, params, model_state, examples, given, keys, memory, game)
        return per_example(outputs.logits)

    return judge


def gradient_term(judge: Callable, batch: dict, keys: Key[Array, " packs"], game: Game) -> Callable:
    """What `penalize` evaluates of gradient penalties: their mean over the batch."""
    gan = game.gan

    def gradient(name, penalty, _):
        packed = Critic(lambda inputs, like: judge(unpack(inputs, gan.packing), like))
        inputs = pack(batch["real"], gan.packing), pack(batch["fake"], gan.packing)
        return jnp.mean(penalty(packed, *inputs, named_keys(keys, name), game.axis_name)), ()

    return gradient


def own_penalties(params, network: NetworkState, memory, batch: dict, game: Game, count):
    """λ times the penalties that have an optimizer step of their own.

    Returns:
      the sum, and the values by name.
    """
    judge = frozen_judge(params, network, network.model_state, memory, batch, game)
    term = gradient_term(judge, batch, batch["keys"][:: game.gan.packing], game)
    total, _, values = penalize("gradient", term, memory, game, count, own_step=True)
    return game.hyper["loss_weight"]["discriminator"] * total, values
