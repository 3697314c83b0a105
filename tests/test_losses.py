import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.losses import LOSSES

REAL = np.array([-3.0, -0.5, 0.0, 0.7, 2.0, 11.0])
FAKE = np.array([1.5, -2.0, 0.0, 0.3, -7.0, 4.0])
EXTREME = np.array([-1e4, -88.75, -30.0, -1e-8, 0.0, 1e-8, 30.0, 88.75, 1e4])


def softplus(x):
    """log(1 + e^x) in float64."""
    return np.logaddexp(0.0, x)


# Written down from the papers: discriminator, generator.
FORMULAS = {
    "minimax": (lambda r, f: softplus(-r) + softplus(f), lambda r, f: -softplus(f)),
    "nonsaturating": (lambda r, f: softplus(-r) + softplus(f), lambda r, f: softplus(-f)),
    "least_squares": (lambda r, f: ((r - 1) ** 2 + f**2) / 2, lambda r, f: (f - 1) ** 2 / 2),
    "hinge": (lambda r, f: np.maximum(0, 1 - r) + np.maximum(0, 1 + f), lambda r, f: -f),
    "wasserstein": (lambda r, f: f - r, lambda r, f: -f),
}
LOGISTIC = ("minimax", "nonsaturating")


def both(loss):
    return (loss.discriminator, loss.generator)


def pairs(logits):
    """Every pair of logits, as (real, fake)."""
    return [side.ravel() for side in np.meshgrid(logits, logits)]


@pytest.mark.parametrize("name", list(FORMULAS))
def test_values_are_those_of_the_paper(name):
    for function, formula in zip(both(LOSSES[name]()), FORMULAS[name], strict=True):
        found = function(jnp.float32(REAL), jnp.float32(FAKE))
        np.testing.assert_allclose(found, formula(REAL, FAKE), rtol=2e-6, atol=1e-7)


def test_values_by_hand():
    """At D(x) = 3/4 and D(G(z)) = 1/4: the logits are ±log 3."""
    real, fake = jnp.log(jnp.array([3.0])), -jnp.log(jnp.array([3.0]))
    for name, generator in (("minimax", np.log(3 / 4)), ("nonsaturating", np.log(4))):
        loss = LOSSES[name]()
        np.testing.assert_allclose(loss.discriminator(real, fake), [2 * np.log(4 / 3)], rtol=1e-6)
        np.testing.assert_allclose(loss.generator(real, fake), [generator], rtol=1e-6)
        np.testing.assert_allclose(loss.output_fn(real), [0.75], rtol=1e-6)
    half, two = jnp.array([0.5]), jnp.array([2.0])
    assert LOSSES["hinge"]().discriminator(half, two) == 0.5 + 3
    assert LOSSES["hinge"]().discriminator(two, -two) == 0
    assert LOSSES["wasserstein"]().discriminator(half, two) == 1.5
    assert LOSSES["least_squares"]().discriminator(half, two) == 0.125 + 2


def test_least_squares_targets():
    """The paper's equation 8: (a, b, c) = (-1, 1, 0)."""
    loss = LOSSES["least_squares"](a=-1.0, b=1.0, c=0.0)
    np.testing.assert_allclose(
        loss.discriminator(REAL, FAKE), ((REAL - 1) ** 2 + (FAKE + 1) ** 2) / 2, rtol=1e-6
    )
    np.testing.assert_allclose(loss.generator(REAL, FAKE), FAKE**2 / 2, rtol=1e-6)
    assert loss.threshold == 0
    assert LOSSES["least_squares"](a=0.0, b=0.9).threshold == 0.45


@pytest.mark.parametrize("name", list(LOSSES))
def test_one_value_an_example(name):
    for function in both(LOSSES[name]()):
        values = function(jnp.float32(REAL), jnp.float32(FAKE))
        assert values.shape == (len(REAL),) and values.dtype == jnp.float32


@pytest.mark.parametrize("name", list(LOSSES))
def test_extreme_logits_are_exact(name):
    """Values and both gradients in float32 against the same in float64, wherever they fit."""
    real, fake = pairs(EXTREME.astype(np.float32).astype(np.float64))

    def everything(real, fake):
        functions = both(LOSSES[name]())
        values = [function(real, fake) for function in functions]
        sums = [lambda r, f, function=function: function(r, f).sum() for function in functions]
        return values, [jax.grad(total, (0, 1))(real, fake) for total in sums]

    found = everything(jnp.float32(real), jnp.float32(fake))
    with jax.enable_x64(True):
        exact = everything(jnp.float64(real), jnp.float64(fake))
    for single, double in zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True):
        assert single.dtype == jnp.float32 and double.dtype == jnp.float64
        assert np.isfinite(double).all() and np.abs(double).max() < 3e38  # fits
        np.testing.assert_allclose(single, double, rtol=1e-6, atol=1e-37)
    if name in FORMULAS:
        for double, formula in zip(exact[0], FORMULAS[name], strict=True):
            np.testing.assert_allclose(double, formula(real, fake), rtol=1e-7)


@pytest.mark.parametrize("name", list(LOSSES))
def test_gradients_are_finite_differences(name):
    rng = np.random.default_rng(3)
    real, fake, step = rng.normal(0, 2, 20), rng.normal(0, 2, 20), 1e-6
    with jax.enable_x64(True):
        for function in both(LOSSES[name]()):
            found = jax.grad(lambda r, f, function=function: function(r, f).sum(), (0, 1))(real, fake)
            by_real = function(real + step, fake).sum() - function(real - step, fake).sum()
            np.testing.assert_allclose(found[0].sum(), by_real / (2 * step), atol=1e-6)
            for i in range(len(real)):
                shift = step * (np.arange(len(real)) == i)
                difference = function(real, fake + shift).sum() - function(real, fake - shift).sum()
                np.testing.assert_allclose(found[1][i], difference / (2 * step), atol=1e-7)


@pytest.mark.parametrize("name", list(LOSSES))
def test_the_discriminator_raises_real_and_lowers_fake_logits_the_generator_raises_fake(name):
    loss, real, fake = LOSSES[name](), jnp.array([0.3]), jnp.array([0.7])
    by_real, by_fake = jax.grad(lambda r, f: loss.discriminator(r, f).sum(), (0, 1))(real, fake)
    assert by_real < 0 < by_fake
    assert jax.grad(lambda f: loss.generator(real, f).sum())(fake) < 0


def slope(loss, p, q, logit):
    """Derivative by the logit of what a discriminator minimizes where real has density p and fake q."""
    by_real, by_fake = jax.grad(lambda r, f: loss.discriminator(r, f).sum(), (0, 1))(logit, logit)
    return p * by_real[0] + q * by_fake[0]


def logit_of(loss, output):
    """The logit that `output_fn` takes to `output`, by bisection."""
    low, high = -100.0, 100.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if loss.output_fn(np.float64(middle)) < output else (low, middle)
    return low


@pytest.mark.parametrize("p", [0.03, 0.5, 0.9])
@pytest.mark.parametrize("name", LOGISTIC)
def test_the_best_discriminator_is_p_over_p_plus_q(name, p):
    """Goodfellow et al. 2014, proposition 1; at p = q its loss is log 4."""
    loss, q = LOSSES[name](), 0.5
    with jax.enable_x64(True):
        best = np.array([np.log(p / q)])
        np.testing.assert_allclose(loss.output_fn(best), p / (p + q))
        assert abs(slope(loss, p, q, best)) < 1e-12
        assert slope(loss, p, q, best - 0.1) < 0 < slope(loss, p, q, best + 0.1)
        if p == q:
            np.testing.assert_allclose(loss.discriminator(best, best), np.log(4))


@pytest.mark.parametrize(("p", "q"), [(0.1, 0.5), (0.7, 0.2)])
def test_the_best_discriminators_of_the_other_losses(p, q):
    """Least squares: (b·p + a·q) / (p + q), Mao et al. 2017, equation 5. Hinge: the sign of p - q."""
    a, b = -0.5, 2.0
    with jax.enable_x64(True):
        best = np.array([(b * p + a * q) / (p + q)])
        assert abs(slope(LOSSES["least_squares"](a=a, b=b), p, q, best)) < 1e-12
        side = np.sign(p - q)
        below, above = (slope(LOSSES["hinge"](), p, q, np.array([side + shift])) for shift in (-0.1, 0.1))
        assert below < 0 < above


@pytest.mark.parametrize("name", [name for name in LOSSES if LOSSES[name]().threshold is not None])
def test_the_threshold_is_where_real_and_fake_are_as_likely(name):
    loss = LOSSES[name]()
    with jax.enable_x64(True):
        logit = np.array([logit_of(loss, loss.threshold)])
        np.testing.assert_allclose(loss.output_fn(logit), loss.threshold, atol=1e-12)
        assert abs(slope(loss, 1.0, 1.0, logit)) < 1e-9


@pytest.mark.parametrize("name", list(LOSSES))
def test_outputs_grow_with_the_logit(name):
    outputs = np.asarray(LOSSES[name]().output_fn(jnp.linspace(-5, 5, 50)))
    assert (np.diff(outputs) > 0).all()


def test_where_the_discriminator_is_sure_minimax_stops_teaching_and_nonsaturating_does_not():
    fake = jnp.array([-40.0])
    gradient = {
        name: jax.grad(lambda f, name=name: LOSSES[name]().generator(f, f).sum())(fake) for name in LOGISTIC
    }
    assert abs(gradient["minimax"]) < 1e-15
    assert gradient["nonsaturating"] == -1
