import numpy as np
import pytest

from jaxgan.errors import UserError
from jaxgan.metrics.inception_score import inception_score


def test_confident_and_balanced_predictions_score_the_number_of_classes():
    logits = np.tile(1e4 * np.eye(7), (30, 1))
    found = inception_score(logits, num_splits=1)
    np.testing.assert_allclose(found["inception_score_1_split"], 7, rtol=1e-12)
    assert found["inception_score_1_split_std"] == 0


@pytest.mark.parametrize("logits", [[0.0, 0.0, 0.0], [1e4, -1e4, 0.0], [3.0, 1.0, -2.0]])
def test_constant_predictions_score_one(logits):
    found = inception_score(np.tile(logits, (40, 1)))
    np.testing.assert_allclose(found["inception_score_10_splits"], 1, rtol=1e-12)


def test_by_hand():
    p = np.array([[0.9, 0.1], [0.2, 0.8]])  # p(y) = .55, .45
    divergences = [
        0.9 * np.log(0.9 / 0.55) + 0.1 * np.log(0.1 / 0.45),
        0.2 * np.log(0.2 / 0.55) + 0.8 * np.log(0.8 / 0.45),
    ]
    found = inception_score(
        np.log(p) + [[3.0], [-500.0]], num_splits=1
    )  # an offset of the logits does not matter
    np.testing.assert_allclose(found["inception_score_1_split"], np.exp(np.mean(divergences)), rtol=1e-12)


def test_splits_are_of_shuffled_examples():
    """103 logits in 10 splits of 10 or 11, against the formula with probabilities."""
    logits = np.random.default_rng(0).standard_normal((103, 5)).astype(np.float32)
    shuffled = logits[np.random.RandomState(3).permutation(103)].astype(np.float64)
    p = np.exp(shuffled) / np.exp(shuffled).sum(axis=1, keepdims=True)
    parts = [p[i * 103 // 10 : (i + 1) * 103 // 10] for i in range(10)]
    scores = [np.exp(np.mean(np.sum(q * np.log(q / q.mean(axis=0)), axis=1))) for q in parts]
    found = inception_score(logits, seed=3)
    np.testing.assert_allclose(found["inception_score_10_splits"], np.mean(scores), rtol=1e-12)
    np.testing.assert_allclose(found["inception_score_10_splits_std"], np.std(scores), rtol=1e-9)


def test_sorted_by_class():
    """Without the shuffle each split would hold one class and score 1."""
    found = inception_score(np.repeat(50 * np.eye(10), 100, axis=0))
    assert found["inception_score_10_splits"] > 9


def test_a_class_without_any_probability():
    logits = np.array([[0.0, -1e6], [0.0, -1e6], [0.0, -1e5]])
    assert inception_score(logits, num_splits=1)["inception_score_1_split"] == 1


def test_refused():
    with pytest.raises(UserError, match="9 fake examples are too few: this statistic needs 10"):
        inception_score(np.zeros((9, 3)))
    with pytest.raises(UserError, match="num_splits=0 must be at least 1"):
        inception_score(np.zeros((9, 3)), num_splits=0)
    with pytest.raises(UserError, match="NaN"):
        inception_score(np.full((20, 3), np.nan))
