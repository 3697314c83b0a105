"""Every number of every statistic has a meaning, a better direction and a range."""

import math

import pytest

from jaxgan.evaluation.naming import number_name, number_of
from jaxgan.metrics.number import find_number


@pytest.mark.parametrize(
    ("family", "key", "extractor", "num", "name", "arrow"),
    [
        ("features", "frechet_distance", "inception", 50_000, "fid_50k", "↓"),
        ("features", "kernel_distance", "inception", 10_000, "kid_10k", "↓"),
        ("features", "frechet_distance", "classifier", 10_000, "classifier_frechet_distance_10k", "↓"),
        ("logits", "inception_score_10_splits", "inception", 50_000, "inception_score_10_splits_50k", "↑"),
        ("logits", "inception_score_1_split_std", "raw", 150, "raw_inception_score_1_split_std_150", ""),
        ("mixture", "modes", "raw", 2_500, "modes_2.5k", "↑"),
        ("mixture", "reverse_kl_nearest", "raw", 2_500, "reverse_kl_nearest_2.5k", "↓"),
        ("classes", "modes", "my_own", 26_000, "my_own_modes_26k", "↑"),
        ("images", "ms_ssim_2_scales", "raw", 10_000, "ms_ssim_2_scales_10k", ""),
    ],
)  # fmt: skip
def test_names_are_made_and_read(family, key, extractor, num, name, arrow):
    assert number_name(family, key, extractor, num) == name
    assert number_of(name) is find_number(key) and number_of(name).arrow == arrow


@pytest.mark.parametrize("name", ["generator_loss", "D(x)", "diversity", "images_per_second", ""])
def test_metrics_of_training_are_no_statistics(name):
    assert number_of(name) is None


def test_ranges():
    assert find_number("good")[2:] == (0, 1, False) and find_number("modes")[2:] == (0, math.inf, True)
