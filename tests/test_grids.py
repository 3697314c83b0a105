import numpy as np
import pytest
from PIL import Image

from jaxgan.grids import draw_samples, write_animation

# 3 images of 56×56 in a grid of 2×2 are enlarged 448 / (2·56) = 4 times; gaps of 2 pixels; a band of 24
ZOOM, GAP, BAND, SIDE = 4, 2, 24, 56


def images(channels, num=3, side=SIDE):
    return np.random.default_rng(channels).integers(0, 256, (num, side, side, channels), np.uint8)


def expected_pixels(image):
    """[H·zoom, W·zoom, 3 or 4]: as it should be on the canvas."""
    channels = image.shape[-1]
    if channels <= 2:  # grey; the canvas has no transparency to show
        image = np.repeat(image[..., :1], 3, axis=-1)
    return image.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)


@pytest.mark.parametrize("title", ["", "digits, step 500"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_pixel_of_a_grid_is_in_its_place(channels, title):
    examples, band = images(channels), BAND if title else 0
    picture = draw_samples(examples, title)
    cell = SIDE * ZOOM + GAP
    assert picture.size == (2 * cell + GAP, 2 * cell + GAP + band)
    assert picture.mode == ("RGBA" if channels == 4 else "RGB")
    found, covered = np.asarray(picture), np.zeros(picture.size[::-1], bool)
    for i, image in enumerate(examples):
        top, left = band + GAP + i // 2 * cell, GAP + i % 2 * cell
        place = np.s_[top : top + SIDE * ZOOM, left : left + SIDE * ZOOM]
        np.testing.assert_array_equal(found[place], expected_pixels(image))
        covered[place] = True
    assert (found[band:][~covered[band:]] == 255).all()  # gaps and the empty fourth cell
    if title:
        assert (found[:band] < 100).any() and not covered[:band].any()  # dark letters on the band alone


def test_two_titles_look_different():
    one, two = (np.asarray(draw_samples(images(1), title))[:BAND] for title in ("step 1", "step 2"))
    assert (one != two).any()


def test_columns_and_zoom():
    wide = draw_samples(images(3, num=6, side=8), columns=6)  # zoom round(448 / 48) = 9
    assert wide.size == (6 * (8 * 9 + GAP) + GAP, 8 * 9 + GAP + GAP)
    large = draw_samples(images(3, num=4, side=500))  # never smaller than itself
    assert large.size == (2 * 502 + GAP, 2 * 502 + GAP)
    np.testing.assert_array_equal(np.asarray(large)[GAP:502, GAP:502], images(3, num=4, side=500)[0])


def test_one_long_title_widens_the_picture():
    title = "an image " * 100
    picture = np.asarray(draw_samples(images(1, num=1, side=8), title))
    assert picture.shape[1] > 8 * 56 + 2 * GAP
    assert (picture[:, -6:] == 255).all() and (picture[:BAND, -60:-6] < 100).any()  # to its end


def test_images_need_not_be_square():
    example = np.random.default_rng(0).integers(0, 256, (1, 56, 28, 3), np.uint8)  # zoom 448 / 56 = 8
    found = np.asarray(draw_samples(example))
    np.testing.assert_array_equal(found[GAP:-GAP, GAP:-GAP], example[0].repeat(8, axis=0).repeat(8, axis=1))


def test_points_are_drawn_where_they_are():
    points = np.float32([[-1, -1], [1, 1]]) + np.random.default_rng(0).normal(0, 0.01, (20, 1, 2))
    picture = draw_samples(np.float32(points.reshape(-1, 2)), "ring, step 5")
    assert picture.mode == "RGB" and picture.size == (500, 520)
    pixels = np.asarray(picture).astype(int)
    coloured = np.ptp(pixels, axis=-1) > 60  # axes and letters are grey
    rows, columns = np.nonzero(coloured)
    above = rows < np.median(rows)  # y grows upward
    assert above.sum() > 20 and (~above).sum() > 20
    assert columns[above].min() > columns[~above].max() + 100
    assert rows[~above].min() > rows[above].max() + 100
    untitled = np.asarray(draw_samples(np.float32(points.reshape(-1, 2))))
    assert (pixels[:62] != untitled[:62]).any() and (pixels[62:] == untitled[62:]).all()


def test_points_of_more_dimensions_show_the_first_two():
    points = np.float32(np.random.default_rng(0).normal(size=(50, 3)))
    found, expected = draw_samples(points, "t"), draw_samples(points[:, :2], "t")
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_an_animation_has_every_frame_and_rests_on_the_last(tmp_path):
    frames = []
    for i, (size, colour) in enumerate([((20, 10), "red"), ((20, 10), "lime"), ((30, 20), "blue")]):
        frames.append(tmp_path / f"{i}.png")
        Image.new("RGB", size, colour).save(frames[-1])
    write_animation(frames, tmp_path / "a.gif", seconds=3)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 3 and gif.size == (30, 20) and gif.info["loop"] == 0
        durations, corners, margins = [], [], []
        for i in range(3):
            gif.seek(i)
            durations.append(gif.info["duration"])
            corners.append(gif.convert("RGB").getpixel((5, 5)))
            margins.append(gif.convert("RGB").getpixel((25, 15)))
    assert durations == [1000, 1000, 2500]
    assert corners == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert margins == [(255, 255, 255), (255, 255, 255), (0, 0, 255)]
