"""Every statistic equals the reference package's on random and real features, to a relative 1e-5.

References get float64, because their float32 results are less accurate. tests/metrics/test_memorization.py
compares `memorization` and `data_copying` with SciPy and scikit-learn, which are always installed.
"""

import numpy as np
import pytest
from gans import load_digits
from packages import torch  # must come before the packages
from prdc import compute_prdc
from pytorch_msssim import ms_ssim as reference_ms_ssim
from pytorch_msssim import ssim as reference_ssim
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from jaxgan.metrics.frechet import frechet_distance
from jaxgan.metrics.inception_score import inception_score
from jaxgan.metrics.kernel import kernel_distance
from jaxgan.metrics.ms_ssim import ms_ssim
from jaxgan.metrics.prdc import prdc


def normal(count, dim, seed):
    return np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)


def rectified(count, seed):
    """Features like Inception's: 256 correlated numbers, not negative, with fewer examples than numbers."""
    mixing = np.random.default_rng(0).standard_normal((40, 256)) / 6
    return np.maximum(normal(count, 40, seed) @ mixing + 0.3, 0).astype(np.float32)


def pixels():
    return load_digits().reshape(-1, 64).astype(np.float32)


def pair(name):
    """Features of 'real' and 'fake' examples."""
    if name == "normal":
        return normal(500, 48, 1), normal(600, 48, 2) * 1.1 + 0.2
    if name == "equal distributions":
        return normal(500, 48, 1), normal(500, 48, 2)
    if name == "rectified":
        return rectified(200, 1), rectified(220, 2) * np.float32(1.05)
    return pixels()[:800], pixels()[800:1600] // 32 * 32


PAIRS = pytest.mark.parametrize("name", ["normal", "equal distributions", "rectified", "digits"])


def close(ours, theirs):
    print(f"{ours:.8g}, theirs {theirs:.8g}, relative difference {abs(ours - theirs) / abs(theirs):.1e}")
    assert ours == pytest.approx(theirs, rel=1e-5)


def doubles(*arrays):
    return [torch.from_numpy(array.astype(np.float64)) for array in arrays]


@PAIRS
def test_frechet_distance(name):
    real, fake = pair(name)
    theirs = fid_statistics_to_metric(*map(fid_features_to_statistics, doubles(real, fake)), verbose=False)
    close(frechet_distance(real, fake)["frechet_distance"], theirs["frechet_inception_distance"])


@PAIRS
def test_kernel_distance_of_the_same_subsets(name):
    real, fake = pair(name)
    ours = kernel_distance(real, fake, subset_size=100, num_subsets=20)
    theirs = kid_features_to_metric(
        *doubles(real, fake), kid_subset_size=100, kid_subsets=20, rng_seed=2020, verbose=False
    )
    close(ours["kernel_distance"], theirs["kernel_inception_distance_mean"])
    # theirs is the (biased) deviation over the subsets, ours the standard error of the mean
    close(ours["kernel_distance_stderr"] * np.sqrt(19), theirs["kernel_inception_distance_std"])


@PAIRS
def test_precision_and_recall(name):
    real, fake = pair(name)
    ours = prdc(real, fake, precision_k=3)
    theirs = prc_features_to_metric(*doubles(fake, real), prc_neighborhood=3, verbose=False)
    close(ours["precision"], theirs["precision"])
    close(ours["recall"], theirs["recall"])


@PAIRS
def test_density_and_coverage(name, capsys):
    real, fake = pair(name)
    ours = prdc(real, fake, precision_k=5, density_k=5)
    theirs = compute_prdc(real.astype(np.float64), fake.astype(np.float64), nearest_k=5)
    # Many digits, which are whole numbers, lie exactly on the border of a ball. It counts as inside for
    # precision and recall in Kynkäänniemi's own code and torch-fidelity, and not in this package
    names = ["density", "coverage"] if name == "digits" else list(theirs)
    for statistic in names:
        close(ours[statistic], float(theirs[statistic]))


@pytest.mark.parametrize("num_splits", [1, 10])
@pytest.mark.parametrize("name", ["normal", "unlikely classes", "digits"])
def test_inception_score(name, num_splits):
    logits = {
        "normal": normal(501, 1008, 3),
        "unlikely classes": normal(501, 100, 3) * 60,
        "digits": pixels() @ normal(64, 10, 4) / 100,
    }[name]
    ours = inception_score(logits, num_splits=num_splits)
    theirs = isc_features_to_metric(torch.from_numpy(logits), splits=num_splits)
    label = "inception_score_10_splits" if num_splits == 10 else "inception_score_1_split"
    close(ours[label], theirs["inception_score_mean"])
    if num_splits > 1:
        close(ours[f"{label}_std"], theirs["inception_score_std"])


def images(kind):
    """Two pairs of uint8 [176, 176, C]. 176 is divisible by 16; the reference would pad odd sizes."""
    random = np.random.default_rng(0)
    if kind == "noise":
        first = random.integers(0, 256, (2, 176, 176, 3))
        return first, np.clip(first + random.integers(-40, 41, first.shape), 0, 255)
    digits = load_digits()[:4].astype(np.int64)
    digits = digits.repeat(22, axis=1).repeat(22, axis=2)
    return digits[:2], (digits[:2] * 3 + digits[2:]) // 4


@pytest.mark.parametrize("kind", ["noise", "digits"])
def test_ms_ssim(kind):
    first, second = images(kind)
    tensors = doubles(*(x.transpose(0, 3, 1, 2) for x in (first, second)))
    first, second = first.astype(np.uint8), second.astype(np.uint8)
    five = reference_ms_ssim(*tensors, data_range=255, size_average=False)
    one = reference_ssim(*tensors, data_range=255, size_average=False, nonnegative_ssim=True)
    for scales, theirs in {5: five, 1: one}.items():
        for ours, reference in zip(np.asarray(ms_ssim(first, second, scales)), theirs, strict=True):
            close(float(ours), float(reference))
