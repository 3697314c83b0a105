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


def numpy_adam(lr, b1, b2, eps, eps_root=0.0, weight_decay=0.0, optimism=0.0):
    """Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019, algorithm 2; Daskalakis et al. 2018."""
    params = {name: np.float64(leaf) for name, leaf in PARAMS.items()}
    m, v = (dict.fromkeys(params, 0.0) for _ in range(2))
    before = {}
    for t, gradient in enumerate(GRADIENTS, start=1):
        for name, g in gradient.items():
            m[name] = b1 * m[name] + (1 - b1) * g
            v[name] = b2 * v[name] + (1 - b2) * g**2
            m_hat, v_hat = m[name] / (1 - b1**t), v[name] / (1 - b2**t)
            r = m_hat / (np.sqrt(v_hat + eps_root) + eps)
            ahead = r + optimism * (r - before.get(name, r))
            params[name] = params[name] - lr * (ahead + weight_decay * params[name])
            before[name] = r
    return params


def numpy_lion(lr, b1, b2, weight_decay):
    """Chen et al. 2023, algorithm 2."""
    params = {name: np.float64(leaf) for name, leaf in PARAMS.items()}
    m = dict.fromkeys(params, 0.0)
    for gradient in GRADIENTS:
        for name, g in gradient.items():
            sign = np.sign(b1 * m[name] + (1 - b1) * g)
            params[name] = params[name] - lr * (sign + weight_decay * params[name])
            m[name] = b2 * m[name] + (1 - b2) * g
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


def test_adam_follows_the_paper():
    adam = OPTIMIZERS["adam"](learning_rate=0.1, b1=0.5, b2=0.99, eps=1e-3)
    close(run(adam), numpy_adam(0.1, 0.5, 0.99, 1e-3))
    moved = run(OPTIMIZERS["adam"](), GRADIENTS[:1])["w"] - PARAMS["w"]
    np.testing.assert_allclose(moved, -2e-4 * np.sign(GRADIENTS[0]["w"]), rtol=2e-3)  # the first step is η


def test_the_variants_of_adam_follow_their_papers():
    numbers = {"b1": 0.5, "b2": 0.99, "eps": 1e-3, "eps_root": 1e-2}
    close(run(OPTIMIZERS["adam"](learning_rate=0.1, **numbers)), numpy_adam(0.1, **numbers))
    decayed = OPTIMIZERS["adamw"](learning_rate=0.1, weight_decay=0.3, **numbers)
    close(run(decayed), numpy_adam(0.1, **numbers, weight_decay=0.3))
    optimistic = OPTIMIZERS["optimistic_adam"](learning_rate=0.1, optimism=0.7, **numbers)
    close(run(optimistic), numpy_adam(0.1, **numbers, optimism=0.7))


def test_optimism_ends_the_circling_of_a_bilinear_game():
    """min_x max_y xy: Adam's distance from the solution (0, 0) grows, the optimistic one's goes to 0."""

    def distance(name):
        optimizer = OPTIMIZERS[name](learning_rate=0.05, b1=0.0)

        def body(_, carry):
            (x, y), state = carry
            updates, state = optimizer.update((y, -x), state, (x, y))
            return optax.apply_updates((x, y), updates), state

        start = (jnp.float32(1), jnp.float32(0.5))
        (x, y), _ = jax.lax.fori_loop(0, 1000, body, (start, optimizer.init(start)))
        return np.hypot(x, y)

    assert distance("optimistic_adam") < 1e-3 and distance("adam") > 2  # 1.1 initially


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if "eps_root" in OPTIMIZERS.fields(name)])
def test_with_eps_root_an_update_is_differentiable(name):
    """As unrolled GANs do. Some gradients are exactly 0, where the derivative of the root is infinite."""

    def moved(gradient, eps_root):
        optimizer = OPTIMIZERS[name](learning_rate=0.1, eps_root=eps_root)
        updates, _ = optimizer.update(gradient, optimizer.init(PARAMS), PARAMS)
        return sum(jnp.sum(update) for update in updates.values())

    gradient = jax.tree.map(jnp.float32, GRADIENTS[0])
    derivative = jax.jit(jax.grad(moved))
    assert np.isnan(derivative(gradient, 0.0)["w"][1, 1])
    for leaf in derivative(gradient, 1e-16).values():
        assert np.isfinite(leaf).all()


def test_lion_follows_the_paper():
    lion = OPTIMIZERS["lion"](learning_rate=0.1, b1=0.8, b2=0.9, weight_decay=0.3)
    close(run(lion), numpy_lion(0.1, 0.8, 0.9, 0.3))


def test_momentum_follows_polyak():
    momentum = OPTIMIZERS["momentum"](learning_rate=0.1, momentum=-0.5)
    expected = {}
    for name, leaf in PARAMS.items():
        g = [np.float64(gradient[name]) for gradient in GRADIENTS]
        v = [g[0], g[1] - 0.5 * g[0], g[2] - 0.5 * g[1] + 0.25 * g[0]]
        expected[name] = np.float64(leaf) - 0.1 * sum(v)
    close(run(momentum), expected)


def test_rmsprop_follows_the_lecture():
    close(run(OPTIMIZERS["rmsprop"](learning_rate=0.1, decay=0.8, eps=1e-3)), numpy_rmsprop(0.1, 0.8, 1e-3))


def test_sgd_is_gradient_descent():
    total = {name: sum(gradient[name] for gradient in GRADIENTS) for name in PARAMS}
    close(
        run(OPTIMIZERS["sgd"](learning_rate=0.1)),
        {name: np.float64(leaf) - 0.1 * total[name] for name, leaf in PARAMS.items()},
    )


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_number_is_an_array_leaf_and_can_change_without_compilation(name):
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


def value(name, step, **fields):
    """The value of a schedule at a step; all fields are traced."""
    return float(jax.jit(SCHEDULES[name])(jnp.int32(step), **{k: jnp.float32(v) for k, v in fields.items()}))


every_schedule = pytest.mark.parametrize("name", list(SCHEDULES))


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "warmup"])
def test_schedules_start_at_one_and_follow_the_share_of_their_length(name):
    assert value(name, 0, num_steps=100) == 1
    for step in (1, 30, 70):
        long = value(name, 10 * step, num_steps=1000)
        np.testing.assert_allclose(value(name, step, num_steps=100), long, rtol=1e-5)


@every_schedule
def test_schedules_are_constant_after_their_length_and_outside_of_a_run(name):
    end = value(name, 100, num_steps=100)
    for step in (101, 10**9, 2**31 - 1):
        assert value(name, step, num_steps=100) == end
    for step in (0, 5, 2**31 - 1):  # no length: the value at the end, without 0/0
        np.testing.assert_allclose(value(name, step, num_steps=0), end, rtol=1e-6)
        np.testing.assert_allclose(value(name, step), end, rtol=1e-6)
    for fields in ({}, {"num_steps": 10}, {"num_steps": jnp.float32(10), "warmup_steps": jnp.float32(3)}):
        found = SCHEDULES[name](jnp.int32(3), **fields)
        assert found.shape == () and found.dtype == jnp.float32


@every_schedule
def test_every_schedule_takes_a_warm_up(name):
    for step in (0, 1, 6):
        warm = value(name, step, num_steps=50, warmup_steps=7)
        np.testing.assert_allclose(warm, (step + 1) / 7 * value(name, step, num_steps=50), rtol=1e-6)
    for step in (7, 40, 2**31 - 1):
        assert value(name, step, num_steps=50, warmup_steps=7) == value(name, step, num_steps=50)


@pytest.mark.parametrize("length", [1, 3, 7, 10, 1000, 999_983])
def test_the_warm_up_is_exact_and_ends_at_one(length):
    for step in {0, 1 % length, length // 2, length - 1, length}:
        expected = np.float32(min(step + 1, length)) / np.float32(length)
        assert value("warmup", step, num_steps=length) == expected
        assert value("constant", step, warmup_steps=length) == expected


@pytest.mark.parametrize(
    ("name", "step", "expected"),
    [
        ("constant", 50, 1.0),
        ("constant", 100, 1.0),
        ("warmup", 0, 0.01),
        ("warmup", 24, 0.25),
        ("warmup", 100, 1.0),
        ("linear", 25, 0.8),
        ("linear", 50, 0.6),
        ("linear", 100, 0.2),
        ("cosine", 25, 0.2 + 0.8 * (1 + np.sqrt(0.5)) / 2),
        ("cosine", 50, 0.6),
        ("cosine", 100, 0.2),
        ("exponential", 25, 0.2**0.25),
        ("exponential", 50, 0.2**0.5),
        ("exponential", 100, 0.2),
    ],
)
def test_schedules_by_hand(name, step, expected):
    has_final = "final" in SCHEDULES.fields(name)
    fields = {"final": 0.2} if has_final else {}
    np.testing.assert_allclose(value(name, step, num_steps=100, **fields), expected, rtol=1e-5)
    if has_final:
        bottom = SCHEDULES.fields(name)["final"].default
        np.testing.assert_allclose(value(name, 100, num_steps=100), bottom, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("every", [1, 2, 3, 7, 10, 33, 1000])
def test_steps_drop_after_exactly_their_number(every):
    schedule = jax.jit(jax.vmap(lambda step, every: SCHEDULES["step"](
        step, num_steps=jnp.float32(12 * every), every=every, factor=jnp.float32(0.5)
    ), (0, None)))  # fmt: skip
    steps = np.arange(12 * every + 5)
    expected = 0.5 ** (np.minimum(steps, 12 * every - 1) // every)
    np.testing.assert_allclose(schedule(steps, jnp.float32(every)), expected, rtol=1e-6)


def test_steps_are_thirds_by_default():
    found = [value("step", step, num_steps=99) for step in (0, 32, 33, 65, 66, 98, 99, 10**9)]
    np.testing.assert_allclose(found, [1, 1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01], rtol=1e-5)
