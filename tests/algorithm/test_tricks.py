import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.algorithm.accumulation import accumulate, join, split
from jaxgan.algorithm.randomness import example_keys, named_keys
from jaxgan.algorithm.tricks import clip_by_norm, flip_labels, lookahead, pack, top_k_weights, unpack


@pytest.mark.parametrize("shape", [(6, 2), (6, 4, 4, 3)])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_packing_joins_neighbours_in_the_last_axis(shape, m):
    x = jnp.arange(np.prod(shape)).reshape(shape)
    packed = pack(x, m)
    assert packed.shape == (6 // m, *shape[1:-1], m * shape[-1])
    for i in range(m):
        channels = slice(i * shape[-1], (i + 1) * shape[-1])
        np.testing.assert_array_equal(packed[..., channels], x[i::m])
    np.testing.assert_array_equal(unpack(packed, m), x)


def test_keys_depend_on_the_example_and_on_their_purpose():
    key = jax.random.key(3, impl="threefry2x32")
    whole, part = example_keys(key, jnp.arange(8)), example_keys(key, jnp.arange(4, 8))
    words = jax.random.key_data
    np.testing.assert_array_equal(words(whole[4:]), words(part))
    draws = [words(named_keys(whole, name)) for name in ("real", "fake")] + [words(whole)]
    assert len(np.unique(np.concatenate(draws), axis=0)) == 24
    np.testing.assert_array_equal(words(named_keys(whole, "real")[2]), words(named_keys(whole[2], "real")))


def test_parts_are_strided_so_that_each_is_spread_over_the_devices():
    tree = {"x": jnp.arange(12).reshape(6, 2), "keys": example_keys(jax.random.key(0), jnp.arange(6))}
    parts = split(tree, 3)
    np.testing.assert_array_equal(parts["x"][1], tree["x"][1::3])
    np.testing.assert_array_equal(join(parts)["x"], tree["x"])
    assert join(parts)["keys"].shape == (6,)


@pytest.mark.parametrize("num", [1, 2, 4])
def test_accumulation_averages_and_concatenates(num):
    def update(carry, part):
        return carry + part.sum(), ({"mean": part.mean()}, part**2)

    carry, means, squares = accumulate(update, jnp.float32(1), jnp.arange(8.0), num)
    assert carry == 29 and means["mean"] == 3.5
    np.testing.assert_array_equal(squares, np.arange(8.0) ** 2)


def test_flipped_pairs_change_sides():
    real, fake = flip_labels(jnp.array([1.0, 2.0]), jnp.array([3.0, 4.0]), jnp.array([False, True]))
    assert real.tolist() == [1, 4] and fake.tolist() == [3, 2]


def test_the_weights_of_the_best_have_a_mean_of_one():
    logits = jnp.array([0.1, 5.0, -2.0, 0.3, 0.2, 0.0])
    weights = top_k_weights(logits, jnp.int32(0), jnp.float32(2), jnp.float32(0))
    assert weights.tolist() == [0, 3, 0, 3, 0, 0]
    ties = top_k_weights(jnp.zeros(6), jnp.int32(0), jnp.float32(2), jnp.float32(0))
    assert ties.mean() == 1 and (ties > 0).sum() == 2  # equal logits do not give more than k


def test_clipping_by_the_norm_over_all_leaves():
    grads = {"a": jnp.array([3.0]), "b": jnp.array([[4.0]])}
    found = clip_by_norm(grads, jnp.float32(1))
    np.testing.assert_allclose([found["a"][0], found["b"][0, 0]], [0.6, 0.8], rtol=1e-6)
    assert clip_by_norm(grads, jnp.float32(5))["a"] == 3
    zeros = jax.tree.map(jnp.zeros_like, grads)
    assert clip_by_norm(zeros, jnp.float32(1))["b"] == 0  # not NaN


def test_backtracking_moves_the_slow_weights_and_resets_the_fast():
    fast, slow = {"w": jnp.array([2.0])}, {"w": jnp.array([0.0])}
    for due, expected in ((True, (0.5, 0.5)), (False, (2.0, 0.0))):
        new_fast, new_slow = lookahead(fast, slow, 0.25, jnp.bool_(due))
        assert (new_fast["w"][0], new_slow["w"][0]) == expected
