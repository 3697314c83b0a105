"""Losses and penalties against theory: divergences of optimal discriminators, and the Dirac-GAN."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.losses import LOSSES
from jaxgan.regularizers import GRADIENT_PENALTIES


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


# --- f-GAN: Nowozin et al. 2016 -----------------------------------------------------------------------
#
# Real examples have P = N(0, 1), fakes Q = N(0.5, 1.2²), which is wide enough for finite divergences.
# Expectations are sums over a grid, which are exact up to rounding for such functions.

X = np.linspace(-10, 10, 101)
MEAN, STDDEV = 0.5, 1.2


def density(mean, stddev):
    """Probabilities of the points of the grid."""
    return (X[1] - X[0]) * jnp.exp(-(((X - mean) / stddev) ** 2) / 2) / (stddev * np.sqrt(2 * np.pi))


def log_ratio(x):
    """log p/q, quadratic in x."""
    return ((x - MEAN) / STDDEV) ** 2 / 2 - x**2 / 2 + np.log(STDDEV)


def jensen_shannon(p, q):
    """As defined in table 1, without the usual factor of ½."""
    return jnp.sum(p * jnp.log(2 * p / (p + q)) + q * jnp.log(2 * q / (p + q)))


class Divergence(NamedTuple):
    """A row of tables 1, 2 and 6, and the closed form for P = N(0, 1), Q = N(m, s²).

    Attributes:
      f, slope: the generator function f(u) and f'(u); D_f(P‖Q) = ∫ q f(p/q).
      conjugate: f*(t).
      activation: g_f(v).
      best: the optimal V as a function of log p/q, for which g_f(V) = f'(p/q).
      value: D_f as a function of m and s.
    """

    f: Callable
    slope: Callable
    conjugate: Callable
    activation: Callable
    best: Callable
    value: Callable


DIVERGENCES = {
    "kl": Divergence(
        f=lambda u: u * np.log(u),
        slope=lambda u: 1 + np.log(u),
        conjugate=lambda t: np.exp(t - 1),
        activation=lambda v: v,
        best=lambda log_u: 1 + log_u,
        value=lambda m, s: jnp.log(s) + (1 + m**2) / (2 * s**2) - 1 / 2,
    ),
    "reverse_kl": Divergence(
        f=lambda u: -np.log(u),
        slope=lambda u: -1 / u,
        conjugate=lambda t: -1 - np.log(-t),
        activation=lambda v: -np.exp(-v),
        best=lambda log_u: log_u,
        value=lambda m, s: -jnp.log(s) + (s**2 + m**2) / 2 - 1 / 2,
    ),
    "pearson": Divergence(
        f=lambda u: (u - 1) ** 2,
        slope=lambda u: 2 * (u - 1),
        conjugate=lambda t: t**2 / 4 + t,
        activation=lambda v: v,
        best=lambda log_u: 2 * (jnp.exp(log_u) - 1),
        # ∫ p²/q - 1: the exponent of p²/q is also quadratic; the integral is finite for s² > ½.
        value=lambda m, s: s**2 / jnp.sqrt(2 * s**2 - 1) * jnp.exp(m**2 / (2 * s**2 - 1)) - 1,
    ),
    "squared_hellinger": Divergence(
        f=lambda u: (np.sqrt(u) - 1) ** 2,
        slope=lambda u: 1 - 1 / np.sqrt(u),
        conjugate=lambda t: t / (1 - t),
        activation=lambda v: 1 - np.exp(-v),
        best=lambda log_u: log_u / 2,
        value=lambda m, s: 2 - 2 * jnp.sqrt(2 * s / (1 + s**2)) * jnp.exp(-(m**2) / (4 * (1 + s**2))),
    ),
    "jensen_shannon": Divergence(
        f=lambda u: u * np.log(u) - (u + 1) * np.log((u + 1) / 2),
        slope=lambda u: np.log(2 * u / (u + 1)),
        conjugate=lambda t: -np.log(2 - np.exp(t)),
        activation=lambda v: np.log(2) - np.log(1 + np.exp(-v)),
        best=lambda log_u: log_u,
        value=lambda m, s: jensen_shannon(density(0, 1), density(m, s)),
    ),
}
# The GAN row: the same divergence minus log 4. It is not in the list above, as its output activation is log
# D.
BEST = {name: row.best for name, row in DIVERGENCES.items()} | {"minimax": lambda log_u: log_u}
VALUES = {name: row.value for name, row in DIVERGENCES.items()}
VALUES["minimax"] = lambda m, s: VALUES["jensen_shannon"](m, s) - np.log(4)


def objective(loss, logits):
    """The objective of the discriminator, -E_P E_Q of its loss, for its logits on the grid."""
    return -density(0, 1) @ loss.discriminator(logits[:, None], logits[None, :]) @ density(MEAN, STDDEV)


@pytest.mark.parametrize("name", list(DIVERGENCES))
def test_losses_are_those_of_the_tables(name):
    """D minimizes -g(V(x)) + f*(g(V(G(z)))), and the threshold is f'(1)."""
    row, loss = DIVERGENCES[name], LOSSES[name]()
    real, fake = np.linspace(-3, 3, 31), np.linspace(2, -2.5, 31)
    expected = row.conjugate(row.activation(fake)) - row.activation(real)
    np.testing.assert_allclose(loss.discriminator(real, fake), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(loss.output_fn(real), row.activation(real), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(loss.threshold, row.slope(1.0))


@pytest.mark.parametrize("name", list(DIVERGENCES))
def test_rows_of_the_tables_are_consistent(name):
    """f(1) = 0, f*(t) = max_u ut - f(u), taken at t = f'(u), and g(best V) = f'(p/q)."""
    row, u = DIVERGENCES[name], np.exp(np.linspace(-2, 2, 201))
    np.testing.assert_allclose(row.f(1.0), 0)
    t = row.slope(u)
    np.testing.assert_allclose(row.conjugate(t), u * t - row.f(u), atol=1e-12)
    others = u[None, :] * t[:, None] - row.f(u)[None, :]
    np.testing.assert_array_equal(others.argmax(axis=1), np.arange(len(u)))
    np.testing.assert_allclose(row.activation(np.asarray(row.best(np.log(u)))), t, atol=1e-12)


@pytest.mark.parametrize("name", list(VALUES))
def test_the_best_discriminator_measures_the_divergence(name):
    loss, best = LOSSES[name](), BEST[name](log_ratio(X))
    divergence = VALUES[name](MEAN, STDDEV)
    np.testing.assert_allclose(objective(loss, best), divergence, rtol=1e-10)
    for direction in (np.ones_like(X), X, X**2, np.sin(2 * X), np.exp(-(X**2))):
        for size in (-0.3, -0.01, 0.01, 0.3):
            assert objective(loss, best + size * direction) < divergence - 1e-7


@pytest.mark.parametrize("name", list(VALUES))
def test_a_trained_discriminator_measures_the_divergence(name):
    """Trained by Newton's method among polynomials, orthonormal under Q.

    The optimal V is quadratic, except for Pearson's: p/q, whose coefficients fall by a factor of 0.55 per
    degree.
    """
    degree = 20 if name == "pearson" else 2
    basis = np.polynomial.hermite_e.hermevander((X - MEAN) / STDDEV, degree)
    basis /= np.sqrt(np.cumprod(np.maximum(1.0, np.arange(degree + 1))))

    def loss_fn(coefficients):
        return -objective(LOSSES[name](), basis @ coefficients)

    @jax.jit
    def update(coefficients):
        step = jnp.linalg.solve(jax.hessian(loss_fn)(coefficients), jax.grad(loss_fn)(coefficients))
        return coefficients - step

    coefficients = jnp.zeros(degree + 1)
    for _ in range(15):
        coefficients = update(coefficients)
    np.testing.assert_allclose(-loss_fn(coefficients), VALUES[name](MEAN, STDDEV), rtol=1e-9)
    middle = np.abs(X) < 3
    best = BEST[name](log_ratio(X))
    np.testing.assert_allclose((basis @ coefficients)[middle], best[middle], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", list(VALUES))
def test_the_saturating_generator_descends_the_divergence(name):
    """With the optimal discriminator held fixed, the gradient by Q's mean and deviation is that of D_f."""
    loss = LOSSES[name]() if name == "minimax" else LOSSES[name](generator="saturating")

    def generator_loss(mean, stddev):
        logits = BEST[name](log_ratio(mean + stddev * X))  # of fakes mean + stddev·z, z ~ N(0, 1)
        return density(0, 1) @ loss.generator(logits, logits)

    found = jax.grad(generator_loss, (0, 1))(MEAN, STDDEV)
    np.testing.assert_allclose(found, jax.grad(VALUES[name], (0, 1))(MEAN, STDDEV), rtol=1e-8)


def test_pairing_measures_how_far_pairs_are_from_swapped_pairs():
    """max_V E log σ(V(x) - V(y)) = ½JS(P⊗Q‖Q⊗P) - log 2, at V = log p/q plus any constant.

    σ(V(x) - V(y)) is the probability that x is the real example of an unordered pair, p(x)q(y) against
    q(x)p(y). This is the logistic game on pairs. Each pair occurs once, not once as real and once as fake.
    """
    loss, best = LOSSES["relativistic_pairing"](), log_ratio(X)
    pairs = density(0, 1)[:, None] * density(MEAN, STDDEV)[None, :]
    value = jensen_shannon(pairs, pairs.T) / 2 - np.log(2)
    np.testing.assert_allclose(objective(loss, best), value, rtol=1e-10)
    np.testing.assert_allclose(objective(loss, best + 7), value, rtol=1e-10)
    for direction in (X, X**2, np.sin(2 * X), np.exp(-(X**2))):
        for size in (-0.3, -0.01, 0.01, 0.3):
            assert objective(loss, best + size * direction) < value - 1e-7


# --- Dirac-GAN: Mescheder et al. 2018, Which Training Methods for GANs do actually Converge? ----------
#
# Real examples are all 0, fake ones all θ, and D(x) = ψx. A state is the vector (θ, ψ); the equilibrium is
# (0, 0). The paper's game is min_θ max_ψ f(ψθ) + f(0), with D high on fakes; f'(0) is the slope of the
# losses at logit 0.

SLOPES = {  # f'(0)
    "minimax": 1 / 2,
    "nonsaturating": 1 / 2,
    "jensen_shannon": 1 / 2,
    "relativistic_pairing": 1 / 2,
    "wasserstein": 1,
    "hinge": 1,
    "squared_hellinger": 1,
    "relativistic_average": 1,
}
START = np.array([1.0, 0.5])
EQUILIBRIUM = np.zeros(2)


class Game(NamedTuple):
    """The losses of discriminator and generator as functions of the state."""

    discriminator: Callable
    generator: Callable


def dirac_gan(name, penalty=None, weight=0.0, noise=0.0):
    """The game of a loss, a gradient penalty and instance noise: N(0, noise²) on real and fake examples.

    Expectations over the noise are Gauss-Hermite quadrature, over all pairs of nodes.
    """
    loss = LOSSES[name]()
    nodes, weights = np.polynomial.hermite_e.hermegauss(25) if noise else (np.zeros(1), np.ones(1))
    real_noise, fake_noise = (noise * side.reshape(-1, 1) for side in np.meshgrid(nodes, nodes))
    weights = np.outer(weights, weights).ravel() / weights.sum() ** 2
    keys = jax.random.split(jax.random.key(0), len(weights))

    def setting(state):
        return (lambda x: state[1] * x[:, 0]), jnp.asarray(real_noise), state[0] + fake_noise

    def discriminator(state):
        critic, real, fake = setting(state)
        values = loss.discriminator(critic(real), critic(fake))
        return weights @ (values + weight * penalty(critic, real, fake, keys) if penalty else values)

    def generator(state):
        critic, real, fake = setting(state)
        return weights @ loss.generator(critic(real), critic(fake))

    return Game(discriminator, generator)


def field(game):
    """The gradient vector field v(θ, ψ), along which both descend."""
    return lambda w: -jnp.stack([jax.grad(game.generator)(w)[0], jax.grad(game.discriminator)(w)[1]])


def simultaneous(game, rate):
    return lambda w: w + rate * field(game)(w)


def alternating(game, rate, generator_steps=1, discriminator_steps=1):
    def update(w):
        for _ in range(generator_steps):
            w = w + rate * field(game)(w) * jnp.array([1.0, 0.0])
        for _ in range(discriminator_steps):
            w = w + rate * field(game)(w) * jnp.array([0.0, 1.0])
        return w

    return update


UPDATES = [simultaneous, alternating]


def eigenvalues(function):
    """Eigenvalues of the Jacobian at the equilibrium."""
    return np.linalg.eigvals(np.asarray(jax.jacobian(function)(EQUILIBRIUM)))


def assert_same(found, expected):
    """Asserts that two sets of two complex numbers are equal."""
    found, expected = (np.sort_complex(np.round(values, 9)) for values in (found, expected))
    np.testing.assert_allclose(found, expected, atol=1e-8)


def plus_minus(middle, square):
    """middle ± √square."""
    root = np.sqrt(complex(square))
    return [middle + root, middle - root]


def trajectory(update, steps):
    """The states `[steps, 2]` after START."""

    def step(w, _):
        w = update(w)
        return w, w

    return np.asarray(jax.jit(lambda w: jax.lax.scan(step, w, length=steps)[1])(START))


def radius(states):
    return np.linalg.norm(states, axis=-1)


@pytest.mark.parametrize("name", list(SLOPES))
def test_without_regularization_the_flow_circles(name):
    """Section 2: the eigenvalues are ±f'(0)i."""
    assert_same(eigenvalues(field(dirac_gan(name))), plus_minus(0, -(SLOPES[name] ** 2)))


@pytest.mark.parametrize("name", ["minimax", "wasserstein"])
def test_without_regularization_simultaneous_updates_spiral_out(name):
    """Section 2: 1 ± hf'(0)i. In a zero-sum game v ⟂ (θ, ψ), so each step increases the distance."""
    game, rate = dirac_gan(name), 0.1
    found = eigenvalues(simultaneous(game, rate))
    assert_same(found, plus_minus(1, -((rate * SLOPES[name]) ** 2)))
    assert (np.abs(found) > 1).all()
    assert abs(field(game)(START) @ START) < 1e-15
    assert (np.diff(radius(trajectory(simultaneous(game, rate), 500))) > 0).all()


@pytest.mark.parametrize("steps", [(1, 1), (1, 5), (2, 3)])
@pytest.mark.parametrize("rate", [0.1, 0.5, 5.0])
def test_without_regularization_alternating_updates_circle(rate, steps):
    """Section 2: 1 - α²/2 ± √((1 - α²/2)² - 1), α = √(n_G n_D)hf'(0); on the unit circle if α ≤ 2."""
    update = alternating(dirac_gan("minimax"), rate, *steps)
    alpha = np.sqrt(steps[0] * steps[1]) * rate / 2
    middle = 1 - alpha**2 / 2
    found = eigenvalues(update)
    assert_same(found, plus_minus(middle, middle**2 - 1))
    if alpha <= 2:
        np.testing.assert_allclose(np.abs(found), 1)
    else:
        assert np.abs(found).max() > 1
    if rate == 0.1:
        states = trajectory(update, 2000)
        assert 0.3 < radius(states).min() and radius(states).max() < 3


def test_the_nonsaturating_game_converges_but_slowly():
    """Same eigenvalues ±i/2, but the game is not zero-sum: d(θ² + ψ²)/dt = -2θψ·tanh(θψ/2) ≤ 0.

    Near 0 this is -(θψ)², with mean -r⁴/8 over a cycle, so r² = 8/(t + 8/r₀²): slower than exponential.
    """
    states = trajectory(alternating(dirac_gan("nonsaturating"), 0.1), 4000)
    time = 0.1 * np.arange(1, 4001)
    expected = 8 / (time + 8 / radius(START) ** 2)
    np.testing.assert_allclose(radius(states[500:]) ** 2, expected[500:], rtol=0.05)


@pytest.mark.parametrize("noise", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("name", ["minimax", "nonsaturating"])
def test_instance_noise_converges(name, noise):
    """Section 3.2: σ²f''(0) ± √(σ⁴f''(0)² - f'(0)²), with f''(0) = -1/4 for the logistic losses.

    Reason: E f(ψ(θ + σε)) + f(-ψσε') has the second derivative 2σ²f''(0) by ψ, and 0 by θ.
    """
    game = dirac_gan(name, noise=noise)
    half_trace = -(noise**2) / 4
    assert_same(eigenvalues(field(game)), plus_minus(half_trace, half_trace**2 - 1 / 4))
    if noise == 1:
        for update in UPDATES:
            assert radius(trajectory(update(game, 0.1), 1500))[-1] < 1e-6


def test_instance_noise_does_nothing_for_wasserstein():
    """f'' = 0: the flow circles, as in section 3.2."""
    assert_same(eigenvalues(field(dirac_gan("wasserstein", noise=1.0))), [1j, -1j])


@pytest.mark.parametrize("gamma", [0.5, 3.0])
@pytest.mark.parametrize("penalty", ["r1", "r2", "zero_centered"])
@pytest.mark.parametrize("name", ["nonsaturating", "wasserstein", "relativistic_pairing"])
def test_zero_centered_gradient_penalties_converge(name, penalty, gamma):
    """Section 3.3: -γ/2 ± √(γ²/4 - f'(0)²), for the penalty γ/2·‖∇D‖² at any points."""
    weight = gamma / 2 if penalty == "zero_centered" else gamma
    game = dirac_gan(name, GRADIENT_PENALTIES[penalty](), weight)
    assert_same(eigenvalues(field(game)), plus_minus(-gamma / 2, gamma**2 / 4 - SLOPES[name] ** 2))
    if gamma < 1:
        for update in UPDATES:
            assert radius(trajectory(update(game, 0.1), 800))[-1] < 1e-6


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("penalty", ["wgan_gp", "dragan"])
def test_gradient_penalties_of_another_target_do_not_converge(penalty, update):
    """Section 3.1: w(|ψ| - 1)² has a kink at the equilibrium, which drives ψ away: there are no eigenvalues.

    For ψ > 0, v is linear. Its zero is not at the equilibrium but on the border, at (2w, 0), with the
    eigenvalues -w ± √(w² - 1). For ψ < 0 the zero is at (-2w, 0). With a weak penalty the states circle
    around both points. With a strong penalty they converge to one of them: the fakes stop 2w from the real
    examples.
    """
    weak, strong = (dirac_gan("wasserstein", GRADIENT_PENALTIES[penalty](), w) for w in (0.25, 2.0))
    for side in (-1.0, 1.0):
        np.testing.assert_allclose(field(weak)(np.array([0.0, side * 1e-9])), [0, side / 2], atol=1e-8)
        off = jax.jacobian(field(strong))(np.array([0.3, side * 0.2]))
        assert_same(np.linalg.eigvals(np.asarray(off)), plus_minus(-2, 3))
    late = trajectory(update(weak, 0.05), 6000)[-2000:]
    assert 0.1 < radius(late).min() and radius(late).max() < 3
    assert ((np.diff(np.sign(late), axis=0) != 0).sum(axis=0) >= 10).all()
    np.testing.assert_allclose(np.abs(trajectory(update(strong, 0.05), 6000)[-1]), [4, 0], atol=1e-6)


@pytest.mark.parametrize("name", ["minimax", "wasserstein"])
def test_a_one_sided_gradient_penalty_does_not_change_small_slopes(name):
    """(max(0, |ψ| - 1))² is constant around the equilibrium: the flow circles as without a penalty."""
    game = dirac_gan(name, GRADIENT_PENALTIES["wgan_gp"](one_sided=True), weight=10.0)
    assert_same(eigenvalues(field(game)), plus_minus(0, -(SLOPES[name] ** 2)))
