import numpy as np
import pytest
from gans import load_digits

from jaxgan.errors import UserError
from jaxgan.metrics.ms_ssim import ms_ssim, ms_ssim_diversity, num_scales

WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])


def smooth(count, size, channels=1, seed=0):
    """uint8 images with structure: enlarged digits, a different digit in each channel."""
    digits = load_digits()[np.random.default_rng(seed).permutation(1000)[: count * channels], :, :, 0]
    repeats = -(-size // 8)
    images = np.kron(digits, np.ones((repeats, repeats), np.uint8))[:, :size, :size]
    return images.reshape(count, channels, size, size).transpose(0, 2, 3, 1)


def by_loops(x, y, scales):
    """The definition for one channel in float64, window by window."""
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    weights = WEIGHTS if scales == 5 else WEIGHTS[:scales] / WEIGHTS[:scales].sum()
    score = 1.0
    for scale in range(scales):
        if scale:
            height, width = (-(-size // 2) for size in x.shape)
            rows, columns = (
                np.arange(2 * height).clip(max=len(x) - 1),
                np.arange(2 * width).clip(max=len(x.T) - 1),
            )
            x, y = (a[rows][:, columns].reshape(height, 2, width, 2).mean(axis=(1, 3)) for a in (x, y))
        luminance, structure = [], []
        for i in range(len(x) - 10):
            for j in range(len(x.T) - 10):
                a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
                mean_a, mean_b = np.sum(window * a), np.sum(window * b)
                variances = np.sum(window * ((a - mean_a) ** 2 + (b - mean_b) ** 2))
                covariance = np.sum(window * (a - mean_a) * (b - mean_b))
                structure.append((2 * covariance + 58.5225) / (variances + 58.5225))
                luminance.append((2 * mean_a * mean_b + 6.5025) / (mean_a**2 + mean_b**2 + 6.5025))
        factor = np.array(structure)
        if scale == scales - 1:
            factor = factor * luminance
        score *= max(factor.mean(), 0) ** weights[scale]
    return score


@pytest.mark.parametrize(("shape", "scales"), [((28, 28, 1), 1), ((32, 28, 3), 2), ((45, 41, 1), 3)])
def test_by_loops(shape, scales):
    """One scale is SSIM. Odd sizes, several channels, and bright flat areas, the worst case of float32."""
    height, width, channels = shape
    first, second = (smooth(3, 48, channels, seed)[:, :height, :width] for seed in (0, 1))
    second[1] = first[1] // 2 + 127
    second[2] = 255 - first[2] // 50
    expected = [
        np.mean([by_loops(*pair, scales) for pair in zip(x.T.astype(float), y.T.astype(float), strict=True)])
        for x, y in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(ms_ssim(first, second, scales), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "scales"), [(8, 0), (10, 0), (11, 1), (20, 1), (21, 2), (28, 2), (32, 2), (41, 3), (64, 3)]
)
def test_scales_that_fit(size, scales):
    assert num_scales(size, size) == num_scales(size, 500) == num_scales(500, size) == scales


def test_five_scales_from_161_pixels():
    assert num_scales(160, 160) == num_scales(81, 81) == 4
    assert num_scales(161, 161) == num_scales(512, 512) == 5
    images = smooth(4, 161)
    scores = ms_ssim(images, images[::-1], 5)
    np.testing.assert_allclose(ms_ssim(images, images, 5), 1, atol=1e-6)
    assert (scores < 0.9).all()


def test_similarity_decreases_with_noise():
    images = smooth(20, 32, channels=3)
    noise = np.random.default_rng(0).standard_normal(images.shape)
    scores = [
        ms_ssim(images, (images + level * noise).clip(0, 255).round().astype(np.uint8), 2)
        for level in (0, 10, 40, 100)
    ]
    np.testing.assert_allclose(scores[0], 1, atol=1e-6)
    assert (np.diff(scores, axis=0) < 0).all()


def test_opposite_images_count_as_zero():
    images = smooth(4, 28)
    np.testing.assert_array_equal(ms_ssim(images, 255 - images, 2), 0)


def test_pairs():
    """One and a half batches of pairs; each pair counts once."""
    images = smooth(30, 28)
    random = np.random.RandomState(4)
    first = random.randint(30, size=96)
    second = (first + random.randint(1, 30, size=96)) % 30
    scores = np.concatenate(
        [ms_ssim(images[first[i]], images[second[i]], 2) for i in np.split(np.arange(96), 3)]
    )
    found = ms_ssim_diversity(images, num_pairs=96, seed=4)
    np.testing.assert_allclose(found["ms_ssim_2_scales"], scores.mean(), rtol=1e-6)
    np.testing.assert_allclose(found["ms_ssim_2_scales_stderr"], scores.std(ddof=1) / 96**0.5, rtol=1e-5)


@pytest.mark.parametrize("size", [28, 32])
def test_diversity(size):
    images = smooth(100, size)
    found = ms_ssim_diversity(images, num_pairs=100)
    assert found.keys() == {"ms_ssim_2_scales", "ms_ssim_2_scales_stderr"}
    assert found == ms_ssim_diversity(images, num_pairs=100)
    assert found != ms_ssim_diversity(images, num_pairs=100, seed=1)
    few = ms_ssim_diversity(images[:3], num_pairs=100)  # there are only three pairs
    pairs = ms_ssim(images[[0, 0, 1]], images[[1, 2, 2]], 2)
    assert pairs.min() <= few["ms_ssim_2_scales"] <= pairs.max()
    assert 0 < found["ms_ssim_2_scales"] < 0.6
    collapsed = ms_ssim_diversity(np.repeat(images[:1], 50, axis=0), num_pairs=70)
    np.testing.assert_allclose(collapsed["ms_ssim_2_scales"], 1, atol=1e-6)


def test_refused():
    with pytest.raises(UserError, match="11 x 11 pixels or more, not 8 x 8"):
        ms_ssim_diversity(load_digits())
    with pytest.raises(UserError, match="2 images and 2 pairs or more, not 1 and 1000"):
        ms_ssim_diversity(smooth(1, 28))
    for images in (smooth(4, 28) / 255, smooth(4, 28)[0]):
        with pytest.raises(ValueError, match="takes uint8"):
            ms_ssim_diversity(images)
