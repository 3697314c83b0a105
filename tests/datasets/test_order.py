import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxgan.datasets import order

KEY = np.array([7, 11], np.uint32)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 1797, 60_000])
def test_an_epoch_has_every_example_once(size):
    for epoch in (0, 1, 2**32 - 1):
        assert np.array_equal(np.sort(order.rows(KEY, epoch, size, size)), np.arange(size))


def test_batches_may_cross_the_end_of_an_epoch():
    size, batch = 100, 32
    seen = np.concatenate([order.rows(KEY, step, batch, size) for step in range(25)])  # 8 epochs
    for epoch in seen.reshape(8, size):
        assert np.array_equal(np.sort(epoch), np.arange(size))


def test_the_batch_size_does_not_change_the_order():
    by_seven = np.concatenate([order.rows(KEY, step, 7, 100) for step in range(30)])
    assert np.array_equal(by_seven, order.rows(KEY, 0, 210, 100))


def test_a_batch_may_exceed_the_set():
    rows = order.rows(KEY, 3, 50, 7)
    assert rows.shape == (50,) and set(rows) == set(range(7))


def test_epochs_and_keys_have_different_orders():
    size = 1797
    orders = [order.rows(KEY, epoch, size, size) for epoch in (0, 1, 2)]
    orders += [
        order.rows(np.array(key, np.uint32), 0, size, size) for key in ([0, 0], [7, 12], [8, 11], [11, 7])
    ]
    for i, first in enumerate(orders):
        for second in orders[:i]:
            # Two random orders agree in 1 place on average (Poisson).
            assert (first == second).sum() < 10


@pytest.mark.parametrize("size", [2, 3, 7, 100])
def test_every_place_is_equally_likely(size):
    trials, counts = 2000, np.zeros((size, size))
    for trial in range(trials):
        counts[np.arange(size), order.rows(np.array([trial, 5], np.uint32), 0, size, size)] += 1
    expected = trials / size
    chi_square = ((counts - expected) ** 2 / expected).sum()
    freedom = (size - 1) ** 2
    # The standard deviation of a chi-square is sqrt(2 k). k is small at size 2, hence the constant.
    assert abs(chi_square - freedom) < 5 * np.sqrt(2 * freedom) + 5


def test_all_permutations_of_three_are_equally_likely():
    trials = 3000
    orders = [tuple(order.rows(np.array([9, t], np.uint32), 0, 3, 3)) for t in range(trials)]
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 6 and abs(counts - trials / 6).max() < 5 * np.sqrt(trials / 6)


@pytest.mark.parametrize("lag", [1, 2, 245])
def test_neighbours_in_the_order_are_independent(lag):
    size = 60_000
    rows = order.rows(KEY, 0, size, size).astype(np.float64)
    assert abs(np.corrcoef(rows[:-lag], rows[lag:])[0, 1]) < 5 / np.sqrt(size)
    assert abs(np.corrcoef(rows, np.arange(size))[0, 1]) < 5 / np.sqrt(size)


STEPS = [0, 1, 29, 30, 12_345, 2**31 - 1, 2**31, 2**32 - 1]


@pytest.mark.parametrize("batch, size", [(2048, 60_000), (5, 1), (7, 3), (5000, 1797), (64, 2**30 - 1)])
def test_numpy_and_jax_agree(batch, size):
    on_device = jax.jit(lambda key, step: order.rows(key, step, batch, size, xp=jnp))
    for step in STEPS:
        rows = on_device(KEY, np.uint32(step))
        assert rows.dtype == jnp.int32
        assert np.array_equal(rows, order.rows(KEY, step, batch, size)), step


def test_a_signed_step_and_a_scan_work_on_the_device():
    def body(step, _):
        return step + 1, order.rows(KEY, step, 16, 100, xp=jnp)

    _, rows = jax.lax.scan(body, jnp.int32(3), length=4)
    assert np.array_equal(rows, [order.rows(KEY, step, 16, 100) for step in range(3, 7)])


def test_under_vmap_over_keys():
    keys = np.array([[1, 2], [3, 4], [5, 6]], np.uint32)
    rows = jax.jit(jax.vmap(lambda key: order.rows(key, jnp.int32(5), 64, 1797, xp=jnp)))(keys)
    assert np.array_equal(rows, [order.rows(key, 5, 64, 1797) for key in keys])


def test_shares_of_a_batch_join_to_the_batch():
    whole = order.rows(KEY, 9, 64, 100)
    shares = [order.rows(KEY, 9, 64, 100, first, 16) for first in range(0, 64, 16)]
    assert np.array_equal(np.concatenate(shares), whole)
    of_device = jax.jit(lambda first: order.rows(KEY, 9, 64, 100, first, 16, xp=jnp))
    assert np.array_equal(np.concatenate([of_device(first) for first in range(0, 64, 16)]), whole)


@pytest.mark.parametrize("batch, size", [(0, 5), (5, 0), (5, 2**30), (2**30, 5)])
def test_impossible_sizes_are_refused(batch, size):
    with pytest.raises(ValueError, match="2\\^30"):
        order.rows(KEY, 0, batch, size)


# --- Balanced over classes ----------------------------------------------------------------------------

LABELS = np.random.default_rng(2).choice([7, 2, 30, 4], 3000, p=[0.9, 0.07, 0.02, 0.01]).astype(np.int32)
GROUPS = order.group_by_class(LABELS)


def test_groups_hold_every_example_of_each_class():
    assert all(part.dtype == np.int32 for part in GROUPS)
    assert np.array_equal(GROUPS.sizes, [(LABELS == label).sum() for label in (2, 4, 7, 30)])
    for start, size, label in zip(GROUPS.starts, GROUPS.sizes, (2, 4, 7, 30), strict=True):
        assert np.array_equal(GROUPS.rows[start : start + size], np.flatnonzero(LABELS == label))


def test_classes_and_examples_within_a_class_are_equally_likely():
    drawn = np.concatenate([order.balanced_rows(KEY, step, 100, GROUPS) for step in range(2000)])
    assert drawn.dtype == np.int32
    assert stats.chisquare(np.bincount(LABELS[drawn])[[2, 4, 7, 30]]).pvalue > 1e-4
    for label in (2, 4, 7, 30):
        times = np.bincount(drawn[LABELS[drawn] == label], minlength=len(LABELS))[LABELS == label]
        assert stats.chisquare(times).pvalue > 1e-4


def test_balanced_draws_are_independent():
    labels = LABELS[order.balanced_rows(KEY, 0, 200_000, GROUPS)]
    for lag in (1, 2, 64):
        pairs = np.unique(labels[:-lag].astype(np.int64) * 100 + labels[lag:], return_counts=True)[1]
        assert len(pairs) == 16 and stats.chisquare(pairs).pvalue > 1e-4


def test_steps_and_keys_have_different_balanced_draws():
    draws = [order.balanced_rows(KEY, step, 3000, GROUPS) for step in (0, 1, 2**20, 2**31)]
    draws += [order.balanced_rows(np.array(key, np.uint32), 0, 3000, GROUPS) for key in ([7, 12], [11, 7])]
    alike = (1 / GROUPS.sizes).mean() / len(GROUPS.sizes)  # the chance that two draws are the same example
    for i, first in enumerate(draws):
        for second in draws[:i]:
            assert (first == second).sum() < 3000 * alike + 6 * np.sqrt(3000 * alike)


def test_the_batch_size_does_not_change_the_balanced_draws():
    by_seven = np.concatenate([order.balanced_rows(KEY, step, 7, GROUPS) for step in range(30)])
    assert np.array_equal(by_seven, order.balanced_rows(KEY, 0, 210, GROUPS))


@pytest.mark.parametrize("batch", [64, 2**20 + 3])
def test_balanced_draws_agree_between_numpy_and_jax(batch):
    on_device = jax.jit(
        lambda step, groups, first: order.balanced_rows(KEY, step, batch, groups, first, 16, xp=jnp)
    )
    for step in STEPS:
        for first in (0, batch - 16):
            rows = on_device(np.uint32(step), GROUPS, first)
            assert rows.dtype == jnp.int32
            assert np.array_equal(rows, order.balanced_rows(KEY, step, batch, GROUPS, first, 16)), step


def test_shares_of_a_balanced_batch_join_to_the_batch():
    whole = order.balanced_rows(KEY, 9, 64, GROUPS)
    shares = [order.balanced_rows(KEY, 9, 64, GROUPS, first, 16) for first in range(0, 64, 16)]
    assert np.array_equal(np.concatenate(shares), whole)


def test_one_class_and_one_example_are_enough():
    assert set(order.balanced_rows(KEY, 0, 50, order.group_by_class(np.full(3, 5)))) == {0, 1, 2}
    assert set(order.balanced_rows(KEY, 0, 50, order.group_by_class(np.array([8])))) == {0}


def test_impossible_balanced_draws_are_refused():
    with pytest.raises(ValueError, match="labels"):
        order.group_by_class(np.zeros(0, np.int32))
    with pytest.raises(ValueError, match="batch"):
        order.balanced_rows(KEY, 0, 0, GROUPS)


def test_on_the_device_without_jit():
    """As in debugging."""
    with jax.disable_jit():
        np.testing.assert_array_equal(order.rows(KEY, 9, 64, 100, xp=jnp), order.rows(KEY, 9, 64, 100))
