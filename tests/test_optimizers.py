import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgan.optimizers import OPTIMIZERS, SCHEDULES

PARAMS = {"w": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.array([0.25, -0.75])}
GRADIENTS = [
    {"w": np.array([[0.1, -0.2], [3.0, 0.0]]) * (i + 1), "b": np.array([-0.5, 1e-3]) * (1 - i)}
    for i in range(3)
]


def run(optimizer, gradients=GRADIENTS, state=None, params=PARAMS):
    """The parameters after one update for each of the gradients."""
    state = optimizer.init(params) if state is None else state
    for gradient in gradients:
        updates, state = optimizer.update(jax.tree.map(jnp.float32, gradient), state, params)
        params = optax.apply_updates(params, updates)
    return params


def numpy_adam(lr, b1, b2, eps):
    """Kingma and Ba 2015, algorithm 1."""
    params = {name: np.float64(leaf) for name, leaf in PARAMS.items()}
    m, v = (dict.fromkeys(params, 0.0) for _ in range(2))
    for t, gradient in enumerate(GRADIENTS, start=1):
        for name, g in gradient.items():
            m[name] = b1 * m[name] + (1 - b1) * g
            v[name] = b2 * v[name] + (1 - b2) * g**2
            m_hat, v_hat = m[name] / (1 - b1**t), v[name] / (1 - b2**t)
            params[name] = params[name] - lr * m_hat / (np.sqrt(v_hat) + eps)
    return params


def numpy_rmsprop(lr, decay, eps):
    """θ ← θ - η g / √(v + ε), v the running mean of g²."""
    params = {name: np.float64(leaf) for name, leaf in PARAMS.items()}
    v = dict.fromkeys(params, 0.0)
    for gradient in GRADIENTS:
        for name, g in gradient.items():
            v[name] = decay * v[name] + (1 - decay) * g**2
            params[name] = params[name] - lr * g / np.sqrt(v[name] + eps)
    return params


def close(found, expected, rtol=1e-5):
    for name, leaf in expected.items():
        np.testing.assert_allclose(found[name], leaf, rtol=rtol, atol=1e-7)


def test_adam_is_the_paper_s():
    adam = OPTIMIZERS["adam"](learning_rate=0.1, b1=0.5, b2=0.99, eps=1e-3)
    close(run(adam), numpy_adam(0.1, 0.5, 0.99, 1e-3))
    moved = run(OPTIMIZERS["adam"](), GRADIENTS[:1])["w"] - PARAMS["w"]
    np.testing.assert_allclose(moved, -2e-4 * np.sign(GRADIENTS[0]["w"]), rtol=2e-3)  # the first step is η


def test_rmsprop_is_the_lecture_s():
    close(run(OPTIMIZERS["rmsprop"](learning_rate=0.1, decay=0.8, eps=1e-3)), numpy_rmsprop(0.1, 0.8, 1e-3))


def test_sgd_is_gradient_descent():
    total = {name: sum(gradient[name] for gradient in GRADIENTS) for name in PARAMS}
    close(
        run(OPTIMIZERS["sgd"](learning_rate=0.1)),
        {name: np.float64(leaf) - 0.1 * total[name] for name, leaf in PARAMS.items()},
    )


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_number_is_an_array_leaf_and_none_recompiles(name):
    defaults = {field: parameter.default for field, parameter in OPTIMIZERS.fields(name).items()}
    optimizer, traces = OPTIMIZERS[name](), []
    state = optimizer.init(PARAMS)
    assert "learning_rate" in defaults
    leaves = {field: state.hyperparams[field] for field in defaults}
    for field, value in leaves.items():
        assert isinstance(value, jax.Array) and value.dtype == jnp.float32
        np.testing.assert_allclose(value, defaults[field], rtol=1e-6)

    @jax.jit
    def update(state):
        traces.append(1)
        return run(optimizer, GRADIENTS[:2], state)

    results = [update(state)]
    for field, value in leaves.items():
        changed = state._replace(hyperparams={**state.hyperparams, field: value * 0.5})
        results.append(update(changed))
        close(results[-1], run(OPTIMIZERS[name](**{**defaults, field: float(value * 0.5)}), GRADIENTS[:2]))
    assert len(traces) == 1
    np.testing.assert_array_less(0, np.abs(results[1]["w"] - results[0]["w"])[0])


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_the_learning_rate_scales_the_step_and_the_step_goes_downhill(name):
    def step(learning_rate):
        gradients = GRADIENTS[:1]
        return jax.tree.map(
            lambda new, old: new - old, run(OPTIMIZERS[name](learning_rate=learning_rate), gradients), PARAMS
        )

    once, twice, none = step(0.05), step(0.1), step(0.0)
    close(twice, {leaf: 2 * value for leaf, value in once.items()}, rtol=1e-4)
    for leaf, gradient in GRADIENTS[0].items():
        assert not np.any(none[leaf])
        assert np.vdot(once[leaf], gradient) < 0


def factor(name, step, **fields):
    return float(jax.jit(SCHEDULES[name])(jnp.int32(step), **{k: jnp.float32(v) for k, v in fields.items()}))


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_schedules_start_at_one_and_rest_after_their_own_length(name):
    assert factor(name, 0, num_steps=100) == 1
    end = factor(name, 100, num_steps=100)
    assert factor(name, 101, num_steps=100) == factor(name, 10**9, num_steps=100) == end
    for step in (1, 30, 70):  # what counts is the share of the length
        long = factor(name, 10 * step, num_steps=1000)
        np.testing.assert_allclose(factor(name, step, num_steps=100), long, rtol=1e-5)
    value = SCHEDULES[name](jnp.int32(3), num_steps=jnp.float32(10))
    assert value.shape == () and value.dtype == jnp.float32


@pytest.mark.parametrize(
    ("name", "step", "expected"),
    [
        ("constant", 50, 1.0),
        ("constant", 100, 1.0),
        ("linear", 25, 0.8),
        ("linear", 50, 0.6),
        ("linear", 100, 0.2),
        ("cosine", 25, 0.2 + 0.8 * (1 + np.sqrt(0.5)) / 2),
        ("cosine", 50, 0.6),
        ("cosine", 100, 0.2),
    ],
)
def test_schedules_by_hand(name, step, expected):
    fields = {} if name == "constant" else {"final": 0.2}
    np.testing.assert_allclose(factor(name, step, num_steps=100, **fields), expected, rtol=1e-5)
    if fields:
        np.testing.assert_allclose(factor(name, 100, num_steps=100), 0, atol=1e-7)  # by default down to 0
