"""PSNR and SSIM against scikit-image on the same pixels, and by hand."""

import numpy as np
import pytest
from skimage import metrics

from jaxgan import datasets
from jaxgan.errors import UserError, WrongArgument
from jaxgan.metrics.restoration import mean_psnr, mean_ssim, psnr, ssim

WINDOW = dict(data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=-1)


def each(function, *arrays, **fields):
    return [function(*images, **fields) for images in zip(*arrays, strict=True)]


def pairs(shape, count=5):
    """Real digits, enlarged, channels from different ones; and the same with errors of several kinds."""
    height, width, channels = shape
    digits = datasets.load("digits", image_size=(height, width)).examples[: count * channels, :, :, 0]
    truth = np.ascontiguousarray(np.moveaxis(digits.reshape(count, channels, height, width), 1, -1))
    noise = np.random.default_rng(0).normal(0, 30, truth.shape)
    restored = (truth + noise).clip(0, 255).astype(np.uint8)
    restored[1] = truth[1] // 2 + 60
    restored[2] = 255 - truth[2]
    restored[3] = truth[3]
    restored[3, 0, 0, 0] ^= 7
    return restored, truth


@pytest.mark.parametrize("shape", [(28, 28, 1), (19, 32, 3), (11, 11, 1)])
def test_they_are_those_of_scikit_image(shape):
    restored, truth = pairs(shape)
    expected = each(metrics.peak_signal_noise_ratio, truth, restored, data_range=255)
    np.testing.assert_allclose(psnr(restored, truth), expected, rtol=1e-12)
    expected = each(metrics.structural_similarity, restored, truth, **WINDOW)
    np.testing.assert_allclose(ssim(restored, truth), expected, rtol=1e-9, atol=1e-12)


def test_the_hole_alone():
    """The errors of its pixels, and scikit-image's map of SSIM at its pixels."""
    restored, truth = pairs((28, 24, 3))
    holes = np.zeros((5, 28, 24), bool)
    holes[:, 7:21, 6:18] = True
    holes[1, :, :3] = True  # where no window has its centre
    _, maps = zip(*each(metrics.structural_similarity, restored, truth, full=True, **WINDOW), strict=True)
    inner = holes.copy()
    inner[:, :, :5] = False
    expected = each(lambda similarity, hole: similarity[hole].mean(), maps, inner)
    np.testing.assert_allclose(ssim(restored, truth, holes), expected, rtol=1e-9)

    def inside(x, y, hole):
        return metrics.peak_signal_noise_ratio(y[hole], x[hole], data_range=255)

    expected = each(inside, restored[:3], truth[:3], holes[:3])
    np.testing.assert_allclose(psnr(restored, truth, holes)[:3], expected, rtol=1e-12)
    assert psnr(restored, truth, holes)[3] == np.inf  # its error is outside of the hole
    numbers = mean_psnr(restored, truth, holes) | mean_ssim(restored, truth, holes)
    assert numbers.keys() == {"psnr", "psnr_hole", "ssim", "ssim_hole"}
    assert numbers["ssim_hole"] == pytest.approx(ssim(restored, truth, holes).mean())


def test_by_hand():
    truth = np.full((2, 12, 12, 1), 100, np.uint8)
    restored = truth + np.array([5, 0], np.uint8)[:, None, None, None]
    np.testing.assert_allclose(psnr(restored, truth), [10 * np.log10(255**2 / 25), np.inf])
    c1 = 6.5025  # flat images have no structure, and only their means differ
    np.testing.assert_allclose(ssim(restored, truth), [(2 * 105 * 100 + c1) / (105**2 + 100**2 + c1), 1])
    assert mean_psnr(restored, truth)["psnr"] == pytest.approx((10 * np.log10(255**2 / 25) + 100) / 2)
    restored[1, 0] = 0  # left out by the border
    assert psnr(restored, truth)[1] < 20 and mean_psnr(restored, truth, border=1)["psnr"] > 60


def test_an_image_without_a_hole_has_no_number():
    restored, truth = pairs((12, 12, 1), count=4)
    holes = np.zeros((4, 12, 12), bool)
    holes[0, 5:7, 5:7] = True
    assert np.isnan(psnr(restored, truth, holes)).tolist() == [False, True, True, True]
    assert mean_psnr(restored, truth, holes)["psnr_hole"] == psnr(restored, truth, holes)[0]
    with pytest.raises(UserError, match="no image has a hole"):
        mean_ssim(restored[1:], truth[1:], holes[1:])


def test_what_is_refused():
    restored, truth = pairs((12, 12, 1), count=4)
    for first, second, holes in (
        (restored / 255.0, truth, None),
        (restored, truth[:, :11], None),
        (restored[:0], truth[:0], None),
        (restored, truth, np.zeros((4, 12, 12))),
        (restored, truth, np.zeros((4, 12, 11), bool)),
    ):
        with pytest.raises(WrongArgument):
            psnr(first, second, holes)
    with pytest.raises(UserError, match="SSIM needs images of 11 x 11 pixels or more, not 10 x 12"):
        ssim(restored[:, :10], truth[:, :10])
    with pytest.raises(UserError, match="border=6 leaves nothing of images of 12 x 12"):
        mean_psnr(restored, truth, border=6)
