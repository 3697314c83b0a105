"""Penalties on top of the adversarial loss, in families, each with its own small signature and registry.

A penalty is the bare formula: its weight, its interval (lazy regularization) and its schedule are applied in
one place, `jaxgan/steps.py`.

- gradient, `(critic, real, fake, keys, axis_name) -> [B]`: of the discriminator, on its gradient by images;
- logit, `LogitPenalty`: of the discriminator, on its outputs, with a memory;
- consistency, `(critic, generator, augment, real, z, keys) -> {"discriminator": [B], "generator": [B]}`;
- weight, `WeightPenalty`: of either network, on its parameters, with a memory;
- projection, `params -> params`: of the discriminator, after its update;
- feature, `(real_features, fake_features) -> scalar`: of the generator, on the discriminator's features.

To add one: write a builder here and register it with its family, under a name that no family has. Its
keyword-only parameters become the config fields `regularizers.<name>.<parameter>`, and the contract tests
cover it. A parameter whose default is a float is a leaf of the state: the step calls the builder with a
traced value, which may be computed with but not branched on.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxgan.errors import UserError
from jaxgan.registry import Registry

GRADIENT_PENALTIES = Registry("gradient penalty")
LOGIT_PENALTIES = Registry("logit penalty")
CONSISTENCY = Registry("consistency penalty")
WEIGHT_PENALTIES = Registry("weight penalty")
PROJECTIONS = Registry("projection")
FEATURE_PENALTIES = Registry("feature penalty")

FAMILIES = {
    "gradient": GRADIENT_PENALTIES,
    "logit": LOGIT_PENALTIES,
    "consistency": CONSISTENCY,
    "weight": WEIGHT_PENALTIES,
    "projection": PROJECTIONS,
    "feature": FEATURE_PENALTIES,
}

PerExample = Callable[..., jax.Array]
Terms = Callable[..., dict[str, jax.Array]]


def family_of(name: str) -> str:
    """The key in `FAMILIES` of the regularizer called `name`; UserError with all names when there is none."""
    families = Registry("regularizer")  # of all families at once: it refuses a name that two of them have
    for family, registry in FAMILIES.items():
        for known in registry:
            families.register(known)(family)
    return families[name]


def _draw(sampler, keys, shape):
    """Per-example draws `[B, *shape]` from typed keys `[B]`."""
    return jax.vmap(lambda key: sampler(key, shape))(keys)


def _split(keys):
    """Two independent typed keys `[B]` of each of the keys."""
    pairs = jax.vmap(jax.random.split)(keys)
    return pairs[:, 0], pairs[:, 1]


# --- Gradient penalties -------------------------------------------------------------------------------
#
# ∇D(x) is the gradient of Σ_i D(x)_i. Where the discriminator couples examples (minibatch standard deviation)
# its i-th part is not that of D(x)_i alone, but it is what is published, StyleGAN2 included.


def _square_norm(critic, x):
    """‖∇_x Σ_i D(x)_i‖² over all axes but the first: `[B, ...] -> [B]`."""
    gradient = jax.grad(lambda x: jnp.sum(critic(x)))(x)
    return jnp.sum(jnp.square(gradient), axis=tuple(range(1, x.ndim)))


def _sqrt(squares):
    """√ with the derivative 0 at 0, and exact elsewhere: an epsilon would bias small norms."""
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1.0)), 0.0)


def _uniform(keys, like):
    """One U(0, 1) an example, to be multiplied with `like` `[B, ...]`."""
    return _draw(jax.random.uniform, keys, (1,) * (like.ndim - 1))


def _between(real, fake, keys):
    """εx + (1 - ε)G(z), ε ~ U(0, 1) an example."""
    epsilon = _uniform(keys, real)
    return epsilon * real + (1 - epsilon) * fake


@GRADIENT_PENALTIES.register("wgan_gp")
def wgan_gp(*, target: float = 1.0, one_sided: bool = False) -> PerExample:
    """(‖∇D(x̂)‖ - target)², or max(0, ‖∇D(x̂)‖ - target)²;  x̂ = εx + (1 - ε)G(z), ε ~ U(0, 1) an example.

    Args:
      target: the slope that the discriminator should have between real and fake examples.
      one_sided: whether smaller slopes are free (WGAN-LP).

    Source: Gulrajani et al. 2017, Improved Training of Wasserstein GANs, equation 3, with weight 10; Petzka
    et al. 2018, On the regularization of Wasserstein GANs, for one side.
    """

    def penalty(critic, real, fake, keys, axis_name=None):
        excess = _sqrt(_square_norm(critic, _between(real, fake, keys))) - target
        return jnp.square(jax.nn.relu(excess) if one_sided else excess)

    return penalty


@GRADIENT_PENALTIES.register("dragan")
def dragan(*, target: float = 1.0, scale: float = 0.5) -> PerExample:
    """(‖∇D(x̂)‖ - target)²;  x̂ = x + α·scale·std(X)·u, α ~ U(0, 1) an example and u ~ U(0, 1) a pixel.

    std(X) is over all numbers of the whole batch of real examples, over `axis_name` too.

    Args:
      target: the slope that the discriminator should have around real examples.
      scale: of the noise.

    Source: Kodali et al. 2017, On Convergence and Stability of GANs, section 2.3, with weight 10. x̂ is that
    of the authors' published code; the paper's text has x + δ with δ ~ N(0, cI).
    """

    def penalty(critic, real, fake, keys, axis_name=None):
        def mean(x):
            return jnp.mean(x) if axis_name is None else lax.pmean(jnp.mean(x), axis_name)

        stddev = jnp.sqrt(mean(jnp.square(real - mean(real))))
        alpha_keys, noise_keys = _split(keys)
        noise = _uniform(alpha_keys, real) * _draw(jax.random.uniform, noise_keys, real.shape[1:])
        return jnp.square(_sqrt(_square_norm(critic, real + scale * stddev * noise)) - target)

    return penalty


@GRADIENT_PENALTIES.register("r1")
def r1() -> PerExample:
    """½‖∇D(x)‖² on real examples; its weight is the papers' γ.

    Source: Mescheder et al. 2018, Which Training Methods for GANs do actually Converge?, equation 9.
    """
    return lambda critic, real, fake, keys, axis_name=None: _square_norm(critic, real) / 2


@GRADIENT_PENALTIES.register("r2")
def r2() -> PerExample:
    """½‖∇D(G(z))‖² on fake examples; its weight is the papers' γ.

    Source: Mescheder et al. 2018, Which Training Methods for GANs do actually Converge?, equation 10.
    """
    return lambda critic, real, fake, keys, axis_name=None: _square_norm(critic, fake) / 2


@GRADIENT_PENALTIES.register("zero_centered")
def zero_centered() -> PerExample:
    """‖∇D(x̂)‖² with the x̂ of `wgan_gp`.

    Source: Thanh-Tung et al. 2019, Improving Generalization and Stability of GANs (0-GP).
    """
    return lambda critic, real, fake, keys, axis_name=None: _square_norm(critic, _between(real, fake, keys))


# --- Logit penalties ----------------------------------------------------------------------------------


class LogitPenalty(NamedTuple):
    """A penalty on the discriminator's outputs.

    Attributes:
      init: `() -> memory`, a pytree of float32 leaves.
      penalty: `(real_logits [B], fake_logits [B], memory) -> ([B], memory)`, of the whole batch.
    """

    init: Callable[[], Any]
    penalty: Callable[[jax.Array, jax.Array, Any], tuple[jax.Array, Any]]


@LOGIT_PENALTIES.register("lecam")
def lecam(*, decay: float = 0.99) -> LogitPenalty:
    """(D(x) - α_F)² + (D(G(z)) - α_R)²: real outputs stay near the average fake one, and fake near real.

    α_R and α_F are exponential moving averages of the batch means of D(x) and D(G(z)), this batch included,
    corrected for their start at 0 as Adam's are: at first they are the means of the first batch. No gradient
    flows into them.

    Args:
      decay: of the averages, below 1.

    Source: Tseng et al. 2021, Regularizing Generative Adversarial Networks under Limited Data, section 3.2.
    The paper's formula; the published code has max(0, D(x) - α_F)² + max(0, α_R - D(G(z)))², and the same
    averages.
    """

    def penalty(real, fake, memory):
        now = lax.stop_gradient({"real": jnp.mean(real), "fake": jnp.mean(fake), "weight": jnp.ones(())})
        memory = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, memory, now)
        real_average, fake_average = (memory[key] / memory["weight"] for key in ("real", "fake"))
        return jnp.square(real - fake_average) + jnp.square(fake - real_average), memory

    return LogitPenalty(lambda: {key: jnp.zeros(()) for key in ("real", "fake", "weight")}, penalty)


@LOGIT_PENALTIES.register("drift")
def drift() -> LogitPenalty:
    """D(x)² on real examples, against outputs that drift away from 0; its weight is the paper's ε_drift.

    Source: Karras et al. 2018, Progressive Growing of GANs, appendix A.1, with weight 0.001.
    """
    return LogitPenalty(dict, lambda real, fake, memory: (jnp.square(real), memory))


# --- Consistency --------------------------------------------------------------------------------------


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
        def difference(images, keys):
            return jnp.square(critic(images) - critic(augment(keys, images)))

        real_keys, fake_keys = _split(keys)
        terms = difference(real, real_keys), difference(generator(z), fake_keys)
        return {"discriminator": weights[0] * terms[0] + weights[1] * terms[1]}

    return penalty


@CONSISTENCY.register("zcr")
def zcr(*, stddev: float = 0.03, discriminator: float = 1.0, generator: float = 0.1) -> Terms:
    """D: (D(G(z)) - D(G(z + Δz)))²;  G: -‖G(z) - G(z + Δz)‖²/(numbers in an image);  Δz ~ N(0, stddev²·I).

    The mean over an image keeps the generator's term, which has no lower bound but that of its images, from
    growing with the image's size.

    Args:
      stddev: of the latents' disturbance, in units of z.
      discriminator: relative weight of the discriminator's term.
      generator: relative weight of the generator's term.

    Source: Zhao et al. 2021, Improved Consistency Regularization for GANs, algorithm 2, with λ_dis = 5 and
    λ_gen = 0.5: weight 5 and these defaults.
    """
    weights = {"discriminator": discriminator, "generator": generator}

    def penalty(critic, generator, augment, real, z, keys):
        near = z + stddev * _draw(jax.random.normal, keys, z.shape[1:])
        images, near_images = generator(z), generator(near)
        change = jnp.mean(jnp.square(images - near_images), axis=tuple(range(1, images.ndim)))
        return {
            "discriminator": weights["discriminator"] * jnp.square(critic(images) - critic(near_images)),
            "generator": -weights["generator"] * change,
        }

    return penalty


# --- Weight penalties ---------------------------------------------------------------------------------


class WeightPenalty(NamedTuple):
    """A penalty on the parameters of one network.

    Attributes:
      init: `params -> memory`, a pytree of float32 leaves.
      penalty: `(params, memory) -> scalar`.
      update: `(params, memory) -> memory`, with the parameters after their update.
      networks: which it is for, of 'generator' and 'discriminator'.
    """

    init: Callable[[Any], Any]
    penalty: Callable[[Any, Any], jax.Array]
    update: Callable[[Any, Any], Any]
    networks: tuple[str, ...]


def _networks(networks: str) -> tuple[str, ...]:
    both = ("generator", "discriminator")
    if networks not in (*both, "both"):
        raise UserError(f"unknown networks '{networks}'; known: {', '.join(both)}, both")
    return both if networks == "both" else (networks,)


def _outputs(name, kernel, bias):
    """The kernel's axis of outputs: the last, but in a `layers.ConvTranspose` the one before.

    Parameters do not say of which layer they are. The bias does, which has a number an output; where there is
    none, or both axes are as long, the name does that transposed convolutions have in `jaxgan.models`.
    """
    if bias is not None and kernel.shape[-2] != kernel.shape[-1]:
        return -1 if bias.shape[0] == kernel.shape[-1] else -2
    return -2 if "conv_transpose" in name else -1


def _matrices(params, name=""):
    """Every kernel as a matrix `[all else, outputs]`."""
    matrices = []
    for key, value in params.items():
        if isinstance(value, dict):
            matrices += _matrices(value, key)
        elif key == "kernel":
            outputs = _outputs(name, value, params.get("bias"))
            matrices.append(jnp.moveaxis(value, outputs, -1).reshape(-1, value.shape[outputs]))
    return matrices


def _off_diagonal(matrix):
    """‖WᵀW ⊙ (1 - I)‖²_F."""
    rows, columns = matrix.shape
    if columns <= 2 * rows:
        return jnp.sum(jnp.square(matrix.T @ matrix * (1 - jnp.eye(columns))))
    # DCGAN's projection has 12,544 columns: WWᵀ is smaller and has the same norm. Little cancels, as so many
    # columns cannot be near right angles.
    diagonal = jnp.sum(jnp.square(matrix), axis=0)
    return jnp.sum(jnp.square(matrix @ matrix.T)) - jnp.sum(jnp.square(diagonal))


@WEIGHT_PENALTIES.register("orthogonal")
def orthogonal(*, networks: str = "generator") -> WeightPenalty:
    """Σ_W ‖WᵀW ⊙ (1 - I)‖²_F over all kernels W, `[all else, outputs]`: filters at right angles, of any norm.

    W is a kernel as it is stored, before spectral normalization.

    Args:
      networks: 'generator', 'discriminator' or 'both'.

    Source: Brock et al. 2019, Large Scale GAN Training for High Fidelity Natural Image Synthesis, equation 3,
    with weight 0.0001 on the generator.
    """

    def penalty(params, memory):
        return sum(map(_off_diagonal, _matrices(params)), jnp.zeros(()))

    return WeightPenalty(lambda params: {}, penalty, lambda params, memory: memory, _networks(networks))


@WEIGHT_PENALTIES.register("historical_averaging")
def historical_averaging(*, networks: str = "both") -> WeightPenalty:
    """‖θ - (1/t)·Σ_{i≤t} θ[i]‖², θ[1] the initial parameters and θ = θ[t]; the average is held fixed.

    Args:
      networks: 'generator', 'discriminator' or 'both'.

    Source: Salimans et al. 2016, Improved Techniques for Training GANs, section 3.3.
    """

    def penalty(params, memory):
        average = lax.stop_gradient(memory["average"])
        squares = jax.tree.map(lambda p, a: jnp.sum(jnp.square(p - a)), params, average)
        return sum(jax.tree.leaves(squares), jnp.zeros(()))

    def update(params, memory):
        count = memory["count"] + 1
        average = jax.tree.map(lambda p, a: a + (p - a) / count, params, memory["average"])
        return {"average": average, "count": count}

    def init(params):
        return {"average": params, "count": jnp.ones(())}

    return WeightPenalty(init, penalty, update, _networks(networks))


# --- Projections --------------------------------------------------------------------------------------


@PROJECTIONS.register("clip")
def clip(*, bound: float = 0.01) -> Callable[[Any], Any]:
    """θ → clip(θ, -bound, bound), of all parameters, biases and normalizations included.

    Source: Arjovsky et al. 2017, Wasserstein GAN, algorithm 1.
    """
    return lambda params: jax.tree.map(lambda leaf: jnp.clip(leaf, -bound, bound), params)


# --- Features -----------------------------------------------------------------------------------------


@FEATURE_PENALTIES.register("feature_matching")
def feature_matching() -> Callable[[jax.Array, jax.Array], jax.Array]:
    """‖E f(x) - E f(G(z))‖², f `[B, F]` the discriminator's last features and E the mean over the batch.

    Source: Salimans et al. 2016, Improved Techniques for Training GANs, section 3.1.
    """
    return lambda real, fake: jnp.sum(jnp.square(jnp.mean(real, axis=0) - jnp.mean(fake, axis=0)))
