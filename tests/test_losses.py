import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.errors import UserError
from jaxgan.losses import LOSSES, identification, real_or_fake

REAL = np.array([-3.0, -0.5, 0.0, 0.7, 2.0, 11.0])
FAKE = np.array([1.5, -2.0, 0.0, 0.3, -7.0, 4.0])
EXTREME = np.array([-1e4, -88.75, -30.0, -1e-8, 0.0, 1e-8, 30.0, 88.75, 1e4])

LOGISTIC = ("minimax", "nonsaturating")
F_DIVERGENCES = {  # and the generator's loss that is not the default
    "kl": "saturating",
    "reverse_kl": "nonsaturating",
    "pearson": "saturating",
    "squared_hellinger": "nonsaturating",
    "jensen_shannon": "saturating",
}
RELATIVISTIC = (
    "relativistic_average",
    "relativistic_average_least_squares",
    "relativistic_average_hinge",
    "relativistic_pairing",
)

# Every registered loss with its defaults, and the built-in ones in their other forms.
CASES = {name: LOSSES[name] for name in LOSSES}
for name in LOGISTIC:
    CASES[f"{name}-smooth"] = functools.partial(LOSSES[name], real_label=0.9, fake_label=0.2)
CASES["least_squares-pearson"] = functools.partial(LOSSES["least_squares"], a=-1.0, b=1.0, c=0.0)
for name, other in F_DIVERGENCES.items():
    CASES[f"{name}-{other}"] = functools.partial(LOSSES[name], generator=other)


def softplus(x):
    """log(1 + e^x) in float64."""
    return np.logaddexp(0.0, x)


def relu(x):
    return np.maximum(0, x)


def log_loss(r, f):
    return softplus(-r) + softplus(f)


def smooth_log_loss(r, f):
    return 0.9 * softplus(-r) + 0.1 * softplus(r) + 0.2 * softplus(-f) + 0.8 * softplus(f)


def average_of(real_loss, fake_loss):
    """Both losses of a relativistic average GAN, as functions of C(x) - E C(G(z)) and C(G(z)) - E C(x)."""
    return (
        lambda r, f: real_loss(r - f.mean()) + fake_loss(f - r.mean()),
        lambda r, f: real_loss(f - r.mean()) + fake_loss(r - f.mean()),
    )


# Formulas of the papers: discriminator, generator.
FORMULAS = {
    "minimax": (log_loss, lambda r, f: -softplus(f)),
    "minimax-smooth": (smooth_log_loss, lambda r, f: -softplus(f)),
    "nonsaturating": (log_loss, lambda r, f: softplus(-f)),
    "nonsaturating-smooth": (smooth_log_loss, lambda r, f: softplus(-f)),
    "least_squares": (lambda r, f: ((r - 1) ** 2 + f**2) / 2, lambda r, f: (f - 1) ** 2 / 2),
    "least_squares-pearson": (lambda r, f: ((r - 1) ** 2 + (f + 1) ** 2) / 2, lambda r, f: f**2 / 2),
    "hinge": (lambda r, f: relu(1 - r) + relu(1 + f), lambda r, f: -f),
    "wasserstein": (lambda r, f: f - r, lambda r, f: -f),
    "kl": (lambda r, f: np.exp(f - 1) - r, lambda r, f: -f),
    "kl-saturating": (lambda r, f: np.exp(f - 1) - r, lambda r, f: -np.exp(f - 1)),
    "reverse_kl-nonsaturating": (lambda r, f: np.exp(-r) + f - 1, lambda r, f: np.exp(-f)),
    "reverse_kl": (lambda r, f: np.exp(-r) + f - 1, lambda r, f: 1 - f),
    "pearson": (lambda r, f: f**2 / 4 + f - r, lambda r, f: -f),
    "pearson-saturating": (lambda r, f: f**2 / 4 + f - r, lambda r, f: -(f**2) / 4 - f),
    "squared_hellinger-nonsaturating": (
        lambda r, f: np.exp(-r) + np.exp(f) - 2,
        lambda r, f: np.exp(-f) - 1,
    ),
    "squared_hellinger": (lambda r, f: np.exp(-r) + np.exp(f) - 2, lambda r, f: 1 - np.exp(f)),
    "jensen_shannon": (
        lambda r, f: log_loss(r, f) - np.log(4),
        lambda r, f: softplus(-f) - np.log(2),
    ),
    "jensen_shannon-saturating": (
        lambda r, f: log_loss(r, f) - np.log(4),
        lambda r, f: np.log(2) - softplus(f),
    ),
    "relativistic_average": average_of(lambda d: softplus(-d), softplus),
    "relativistic_average_least_squares": average_of(lambda d: (d - 1) ** 2, lambda d: (d + 1) ** 2),
    "relativistic_average_hinge": average_of(lambda d: relu(1 - d), lambda d: relu(1 + d)),
    "relativistic_pairing": (lambda r, f: softplus(f - r), lambda r, f: softplus(r - f)),
}


def both(loss):
    return (loss.discriminator, loss.generator)


def pairs(logits):
    """Every pair of logits, as (real, fake)."""
    return [side.ravel() for side in np.meshgrid(logits, logits)]


@pytest.mark.parametrize("case", list(FORMULAS))
def test_values_are_those_of_the_paper(case):
    for function, formula in zip(both(CASES[case]()), FORMULAS[case], strict=True):
        found = function(jnp.float32(REAL), jnp.float32(FAKE))
        np.testing.assert_allclose(found, formula(REAL, FAKE), rtol=2e-6, atol=2e-7)


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


@pytest.mark.parametrize(
    ("name", "discriminator", "output"),
    [
        ("kl", 1 / (2 * np.e) - np.log(2), np.log(2)),
        ("reverse_kl", -1 / 2 - np.log(2), -1 / 2),
        ("pearson", np.log(2) ** 2 / 4 - 2 * np.log(2), np.log(2)),
        ("squared_hellinger", -1, 1 / 2),
        ("jensen_shannon", 2 * np.log(3 / 4), np.log(4 / 3)),
    ],
)
def test_f_divergences_by_hand(name, discriminator, output):
    """The logits are log 2 for a real and -log 2 for a fake example."""
    loss, two = LOSSES[name](), jnp.log(jnp.array([2.0]))
    np.testing.assert_allclose(loss.discriminator(two, -two), [discriminator], rtol=1e-6)
    np.testing.assert_allclose(loss.output_fn(two), [output], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        ("relativistic_average", [2 * softplus(-2), 2 * np.log(2)], [2 * softplus(2), 2 * np.log(2)]),
        ("relativistic_average_least_squares", [2, 2], [18, 2]),
        ("relativistic_average_hinge", [0, 2], [6, 2]),
        ("relativistic_pairing", [softplus(-3), softplus(1)], [softplus(3), softplus(-1)]),
    ],
)
def test_relativistic_losses_by_hand(name, discriminator, generator):
    """The means are 2 and 1: real logits are 2 or 0 above the fake mean, fake ones 2 or 0 below the real."""
    loss, real, fake = LOSSES[name](), jnp.array([3.0, 1.0]), jnp.array([0.0, 2.0])
    np.testing.assert_allclose(loss.discriminator(real, fake), discriminator, rtol=1e-6)
    np.testing.assert_allclose(loss.generator(real, fake), generator, rtol=1e-6)


@pytest.mark.parametrize("name", RELATIVISTIC)
def test_relativistic_losses_see_only_differences(name):
    loss = LOSSES[name]()
    assert loss.threshold is None
    for function in both(loss):
        np.testing.assert_allclose(function(REAL + 5, FAKE + 5), function(REAL, FAKE), rtol=1e-6)


def test_least_squares_targets():
    """The paper's equation 8: (a, b, c) = (-1, 1, 0)."""
    loss = LOSSES["least_squares"](a=-1.0, b=1.0, c=0.0)
    np.testing.assert_allclose(
        loss.discriminator(REAL, FAKE), ((REAL - 1) ** 2 + (FAKE + 1) ** 2) / 2, rtol=1e-6
    )
    np.testing.assert_allclose(loss.generator(REAL, FAKE), FAKE**2 / 2, rtol=1e-6)
    assert loss.threshold == 0
    assert LOSSES["least_squares"](a=0.0, b=0.9).threshold == 0.45


def test_an_unknown_generator_loss_is_refused():
    with pytest.raises(UserError, match="'saturated'; known: nonsaturating, saturating"):
        LOSSES["kl"](generator="saturated")


@pytest.mark.parametrize("name", ["minimax", "nonsaturating"])
@pytest.mark.parametrize("field", ["real_label", "fake_label"])
def test_a_label_outside_of_0_to_1_is_refused(name, field):
    for value in (-0.1, 1.1, float("nan")):
        with pytest.raises(UserError, match=f"{field}={value} must lie in"):
            LOSSES[name](**{field: value})


@pytest.mark.parametrize("case", list(CASES))
def test_one_value_per_example(case):
    for function in both(CASES[case]()):
        values = function(jnp.float32(REAL), jnp.float32(FAKE))
        assert values.shape == (len(REAL),) and values.dtype == jnp.float32


@pytest.mark.parametrize("name", list(LOSSES))
def test_numbers_may_be_traced(name):
    """Float fields are leaves of the training state: another value needs no other program."""
    numbers = {f: p.default for f, p in LOSSES.fields(name).items() if isinstance(p.default, float)}
    traced = []

    def everything(numbers):
        traced.append(numbers)
        loss = LOSSES[name](**numbers)
        real, fake = jnp.float32(REAL), jnp.float32(FAKE)
        return [function(real, fake) for function in both(loss)], loss.output_fn(real), loss.threshold

    compiled = jax.jit(everything)
    for share in (0.0, 0.25):  # a share of the way to 1/2: labels are probabilities
        moved = {field: value + share * (0.5 - value) for field, value in numbers.items()}
        found = compiled(jax.tree.map(jnp.float32, moved))
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-7), found, everything(moved)
        )
    assert len(traced) == 1 + 2  # the other two are calls outside of jit


@pytest.mark.parametrize("case", list(CASES))
def test_extreme_logits_are_exact(case):
    """Values and both gradients in float32 equal those in float64, or are infinite if they overflow.

    The relative error, of the result or of the logits, is at most 1e-6. The values of f-divergences, and of
    losses that are not built in, may also have the rounding error of constants of order one.
    """
    real, fake = pairs(EXTREME.astype(np.float32).astype(np.float64))

    def everything(real, fake):
        functions = both(CASES[case]())
        sums = [lambda r, f, function=function: function(r, f).sum() for function in functions]
        gradients = [jax.grad(total, (0, 1))(real, fake) for total in sums]
        values = [function(real, fake) for function in functions]
        return [np.asarray(array) for array in values + jax.tree.leaves(gradients)]

    found = everything(jnp.float32(real), jnp.float32(fake))
    signs = np.random.default_rng(7).choice([-1e-6, 1e-6], (4, 2, len(real)))
    with jax.enable_x64(True):
        exact = everything(real, fake)
        moved = [everything(real + real * by_real, fake + fake * by_fake) for by_real, by_fake in signs]
    constants = 1e-37 if case in FORMULAS and not case.startswith(tuple(F_DIVERGENCES)) else 5e-7
    for i, (single, double) in enumerate(zip(found, exact, strict=True)):
        assert single.dtype == np.float32 and double.dtype == np.float64
        assert not np.isnan(double).any()
        fits = np.abs(double) < np.finfo(np.float32).max
        np.testing.assert_array_equal(single[~fits], np.sign(double[~fits]) * np.inf)
        single, double = single[fits], double[fits]
        by_rounding = np.max([np.abs(other[i][fits] - double) for other in moved], axis=0)
        bound = 1e-6 * np.abs(double) + by_rounding + (constants if i < 2 else 1e-37)
        assert (np.abs(single - double) <= bound).all()
    if case in FORMULAS:
        for double, formula in zip(exact[:2], FORMULAS[case], strict=True):
            with np.errstate(over="ignore"):
                np.testing.assert_allclose(double, formula(real, fake), rtol=1e-7, atol=1e-15)


@pytest.mark.parametrize("case", list(CASES))
def test_gradients_are_finite_differences(case):
    rng = np.random.default_rng(3)
    logits, step = rng.normal(0, 1.5, 20), 1e-5
    with jax.enable_x64(True):
        for function in both(CASES[case]()):
            total = jax.vmap(lambda x, function=function: function(x[:10], x[10:]).sum())
            shifts = step * jnp.eye(20)
            differences = (total(logits + shifts) - total(logits - shifts)) / (2 * step)
            found = jax.grad(lambda x, total=total: total(x[None])[0])(logits)
            np.testing.assert_allclose(found, differences, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(
    "case", [c for c in CASES if c != "least_squares-pearson"]
)  # its generator's target is 0
def test_the_discriminator_raises_real_and_lowers_fake_logits_the_generator_raises_fake(case):
    loss, real, fake = CASES[case](), jnp.array([0.3]), jnp.array([0.7])
    by_real, by_fake = jax.grad(lambda r, f: loss.discriminator(r, f).sum(), (0, 1))(real, fake)
    assert by_real < 0 < by_fake
    assert jax.grad(lambda f: loss.generator(real, f).sum())(fake) < 0
    assert bool(jax.grad(lambda r: loss.generator(r, fake).sum())(real)) == loss.relativistic


def slope(loss, p, q, logit):
    """Derivative of the discriminator's loss by the logit, where real examples have density p, fakes q."""
    by_real, by_fake = jax.grad(lambda r, f: loss.discriminator(r, f).sum(), (0, 1))(logit, logit)
    return p * by_real[0] + q * by_fake[0]


def logit_of(loss, output):
    """The logit for which `output_fn` returns `output`, by bisection."""
    low, high = -100.0, 100.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if loss.output_fn(np.float64(middle)) < output else (low, middle)
    return low


@pytest.mark.parametrize("p", [0.03, 0.5, 0.9])
@pytest.mark.parametrize("labels", [(1.0, 0.0), (0.9, 0.0), (0.9, 0.1)])
@pytest.mark.parametrize("name", LOGISTIC)
def test_the_best_discriminator_is_p_over_p_plus_q(name, labels, p):
    """Goodfellow et al. 2014, proposition 1; at p = q its loss is log 4. Smoothed: Salimans et al. 2016."""
    loss, q = LOSSES[name](real_label=labels[0], fake_label=labels[1]), 0.5
    with jax.enable_x64(True):
        output = (labels[0] * p + labels[1] * q) / (p + q)
        best = np.array([np.log(output / (1 - output))])
        np.testing.assert_allclose(loss.output_fn(best), output)
        assert abs(slope(loss, p, q, best)) < 1e-12
        assert slope(loss, p, q, best - 0.1) < 0 < slope(loss, p, q, best + 0.1)
        if p == q and labels == (1.0, 0.0):
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


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case]().threshold is not None])
def test_at_the_threshold_real_and_fake_are_equally_likely(case):
    loss = CASES[case]()
    with jax.enable_x64(True):
        logit = np.array([logit_of(loss, loss.threshold)])
        np.testing.assert_allclose(loss.output_fn(logit), loss.threshold, atol=1e-12)
        assert abs(slope(loss, 1.0, 1.0, logit)) < 1e-9


@pytest.mark.parametrize("name", list(LOSSES))
def test_outputs_grow_with_the_logit(name):
    outputs = np.asarray(LOSSES[name]().output_fn(jnp.linspace(-5, 5, 50)))
    assert (np.diff(outputs) > 0).all()


def test_with_a_confident_discriminator_minimax_saturates_and_nonsaturating_does_not():
    fake = jnp.array([-40.0])
    gradient = {
        name: jax.grad(lambda f, name=name: LOSSES[name]().generator(f, f).sum())(fake) for name in LOGISTIC
    }
    assert abs(gradient["minimax"]) < 1e-15
    assert gradient["nonsaturating"] == -1


def test_mad_gan_is_the_cross_entropy_over_the_generators_and_real():
    """Ghosh et al. 2018: real examples have the last class, those of generator i class i."""
    rng = np.random.default_rng(5)
    real, fake = rng.normal(0, 3, (2, 40, 4))
    index = rng.integers(0, 3, 40).astype(np.int32)
    with jax.enable_x64(True):
        found = LOSSES["minimax"]().discriminator(real_or_fake(real), real_or_fake(fake))
        found += identification(fake, index)
        expected = -jax.nn.log_softmax(real)[:, -1] - jax.nn.log_softmax(fake)[np.arange(40), index]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_mad_gan_of_one_generator_is_a_plain_gan():
    """The difference of its two outputs is one logit; no generator has to be identified."""
    outputs = jnp.stack([jnp.float32(FAKE), jnp.float32(REAL)], axis=1)
    np.testing.assert_allclose(real_or_fake(outputs), REAL - FAKE, rtol=1e-6)
    assert (identification(outputs, jnp.zeros(len(FAKE), jnp.int32)) == 0).all()


def test_mad_gan_at_extreme_outputs():
    outputs = jnp.array([[1e4, -1e4, 0.0], [-1e4, -1e4, 1e4]])
    np.testing.assert_allclose(real_or_fake(outputs), [-1e4, 2e4 - np.log(2)], rtol=1e-6)
    index = jnp.array([1, 0])
    np.testing.assert_allclose(identification(outputs, index), [2e4, np.log(2)], rtol=1e-6)
    gradient = jax.grad(lambda x: (real_or_fake(x) + identification(x, index)).sum())(outputs)
    np.testing.assert_allclose(gradient, [[0, -1, 1], [-1, 0, 1]], atol=1e-6)


@pytest.mark.parametrize("name", [*LOSSES])
def test_outputs_have_a_finite_mean_at_extreme_logits(name):
    """The logged D(G(z)) of a confident discriminator must not look like a diverged run."""
    logits = jnp.array([-1e4, -100.0, 0.0, 100.0, 1e4])
    assert np.isfinite(LOSSES[name]().output_fn(logits).mean())
