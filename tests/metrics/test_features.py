import numpy as np
import pytest

from jaxgan.errors import UserError
from jaxgan.metrics.features import check_features, check_pair


def test_good_features_are_returned_unchanged():
    for dtype in (np.uint8, np.float32, np.float64):
        features = np.arange(6, dtype=dtype).reshape(3, 2)
        assert check_features(features, "real", at_least=3) is features


@pytest.mark.parametrize("shape", [(4,), (4, 2, 2), (4, 0)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="real features have shape"):
        check_features(np.zeros(shape), "real")


def test_too_few_and_not_finite():
    with pytest.raises(UserError, match="^2 fake examples are too few: this statistic needs 3$"):
        check_pair(np.zeros((3, 2)), np.zeros((2, 2)), at_least=3)
    broken = np.zeros((4, 2), np.float32)
    broken[1, 0], broken[3] = np.nan, np.inf
    with pytest.raises(UserError, match="^2 of 4 fake examples have NaN or infinite features$"):
        check_pair(np.zeros((3, 2)), broken)


def test_nan_in_the_last_of_many_rows_is_found():
    features = np.zeros((10_000, 1), np.float32)
    features[-1] = np.nan
    with pytest.raises(UserError, match="^1 of 10000 real examples"):
        check_features(features, "real")


def test_two_widths():
    with pytest.raises(ValueError, match="features of 2 and of 3 numbers do not compare"):
        check_pair(np.zeros((3, 2)), np.zeros((3, 3)))
