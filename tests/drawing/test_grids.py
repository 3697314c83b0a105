import numpy as np
import pytest
from PIL import Image

from jaxgan.datasets import Mixture
from jaxgan.drawing import grids
from jaxgan.drawing.grids import draw_closest_pairs, draw_real_and_fake, draw_samples, write_animation

# 3 images of 56×56 in a grid of 2×2 are enlarged 448 / (2·56) = 4 times; gaps of 2 pixels; a band of 24
ZOOM, GAP, BAND, SIDE = 4, 2, 24, 56


def images(channels, num=3, side=SIDE):
    return np.random.default_rng(channels).integers(0, 256, (num, side, side, channels), np.uint8)


def expected_pixels(image):
    """The expected pixels on the canvas: [H·zoom, W·zoom, 3 or 4]."""
    channels = image.shape[-1]
    if channels <= 2:  # grey; the canvas has no alpha channel
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
        assert (found[:band] < 100).any() and not covered[:band].any()  # dark letters only on the band


def test_two_titles_look_different():
    one, two = (np.asarray(draw_samples(images(1), title))[:BAND] for title in ("step 1", "step 2"))
    assert (one != two).any()


def test_columns_and_zoom():
    wide = draw_samples(images(3, num=6, side=8), columns=6)  # zoom round(448 / 48) = 9
    assert wide.size == (6 * (8 * 9 + GAP) + GAP, 8 * 9 + GAP + GAP)
    large = draw_samples(images(3, num=4, side=500))  # images are never reduced
    assert large.size == (2 * 502 + GAP, 2 * 502 + GAP)
    np.testing.assert_array_equal(np.asarray(large)[GAP:502, GAP:502], images(3, num=4, side=500)[0])


def test_one_long_title_widens_the_picture():
    title = "an image " * 100
    picture = np.asarray(draw_samples(images(1, num=1, side=8), title))
    assert picture.shape[1] > 8 * 56 + 2 * GAP
    assert (picture[:, -6:] == 255).all() and (
        picture[:BAND, -60:-6] < 100
    ).any()  # up to the end of the title


def test_images_need_not_be_square():
    example = np.random.default_rng(0).integers(0, 256, (1, 56, 28, 3), np.uint8)  # zoom 448 / 56 = 8
    found = np.asarray(draw_samples(example))
    np.testing.assert_array_equal(found[GAP:-GAP, GAP:-GAP], example[0].repeat(8, axis=0).repeat(8, axis=1))


def find(picture, tile):
    """(top, left) of every occurrence of the tile in the picture."""
    pixels, height, width = np.asarray(picture), *tile.shape[:2]
    tops, lefts = np.nonzero((pixels[: 1 - height or None, : 1 - width or None] == tile[0, 0]).all(axis=-1))
    places = zip(tops.tolist(), lefts.tolist(), strict=True)
    return [(t, left) for t, left in places if (pixels[t : t + height, left : left + width] == tile).all()]


@pytest.mark.parametrize("channels", [1, 3])
def test_real_and_fake_are_side_by_side(channels):
    real, fake = images(channels, num=6, side=56), 255 - images(channels, num=4, side=56)
    picture = draw_real_and_fake(real, fake, "digits, step 500")
    assert picture.mode == "RGB"
    for i in range(4):  # the largest square number
        ((top, left),) = find(picture, expected_pixels(real[i]))
        ((other_top, other_left),) = find(picture, expected_pixels(fake[i]))
        assert top == other_top and left < picture.width / 2 < other_left
    assert not find(picture, expected_pixels(real[4]))
    untitled = draw_real_and_fake(real, fake)
    assert untitled.height < picture.height
    np.testing.assert_array_equal(np.asarray(picture)[-untitled.height :], np.asarray(untitled))


def test_transparent_images_show_white():
    clear = np.zeros((1, 8, 8, 4), np.uint8)
    opaque = np.concatenate([np.zeros((1, 8, 8, 3), np.uint8), np.full((1, 8, 8, 1), 255, np.uint8)], axis=-1)
    picture = np.asarray(draw_real_and_fake(clear, opaque))
    middle = picture.shape[0] // 2
    assert (picture[middle, 100] == 255).all() and (picture[middle, -100] == 0).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_nearest_example_is_below_its_fake(channels):
    fakes, neighbours = images(channels, num=5, side=96), 255 - images(channels, num=5, side=96)
    picture = draw_closest_pairs(fakes, neighbours, np.array([0.0, 12.345, 3e5, 7, 8]), "nearest", columns=3)
    places = []
    for fake, neighbour in zip(fakes, neighbours, strict=True):
        tiles = [image if channels == 3 else image.repeat(3, axis=-1) for image in (fake, neighbour)]
        ((top, left),), ((below, same),) = (find(picture, tile) for tile in tiles)
        assert left == same and below == top + 96 + GAP
        places.append((top, left))
        above = np.asarray(picture)[top - 18 : top - 2, left : left + 96]
        assert (above < 100).any()  # the distance
    tops, lefts = zip(*places, strict=True)
    assert tops[0] == tops[1] == tops[2] < tops[3] == tops[4]
    assert lefts[0] < lefts[1] < lefts[2] and lefts[3:] == lefts[:2]


def test_images_of_different_shapes_are_refused():
    grey, colour = images(1), images(3)
    for one, other in [
        (grey, colour),
        (grey, images(1, side=8)),
        (grey[:0], grey),
        (grey / 255, grey),
        (grey[0], grey),
    ]:
        with pytest.raises(ValueError, match="images"):
            draw_real_and_fake(one, other)
        with pytest.raises(ValueError, match="images"):
            draw_closest_pairs(one, other, np.zeros(len(one)))
    with pytest.raises(ValueError, match="2 distances"):
        draw_closest_pairs(grey, grey, np.zeros(2))


def test_points_are_drawn_at_their_positions():
    points = np.float32([[-1, -1], [1, 1]]) + np.random.default_rng(0).normal(0, 0.01, (20, 1, 2))
    picture = draw_samples(np.float32(points.reshape(-1, 2)), "ring, step 5")
    assert picture.mode == "RGB" and picture.size == (500, 520)
    pixels = np.asarray(picture).astype(int)
    coloured = np.ptp(pixels, axis=-1) > 60  # axes and text are grey
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


def test_points_of_one_dimension_show_their_histogram():
    few, many = (np.asarray(draw_samples(np.zeros((n, 1), np.float32), "t")) for n in (10, 1000))
    assert few.shape == many.shape and (few != many).any()


def test_an_animation_has_every_frame_and_holds_the_last(tmp_path):
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


def test_plots_of_one_mixture_have_the_same_axes(monkeypatch):
    """For any samples. Modes are drawn, and samples outside of the axes are counted."""
    drawn = []
    monkeypatch.setattr(grids, "render", lambda figure: drawn.append(figure.axes[0]))
    mixture = Mixture(np.array([[-1.0, 0.0], [1.0, 0.0]]), 0.1)  # 1.4 · (1 + 3 · .1) = 1.82
    for points in (np.zeros((5, 2)), np.array([[0.0, 0.0], [1.0, 1.0], [5.0, 0.0]])):
        draw_samples(points, "ring", mixture=mixture)
    for axes in drawn:
        np.testing.assert_allclose([*axes.get_xlim(), *axes.get_ylim()], [-1.82, 1.82, -1.82, 1.82])
        (circles,) = (c for c in axes.collections if len(c.get_offsets()) == 2)
        np.testing.assert_allclose(circles.get_offsets(), mixture.centres)
    assert [axes.get_title() for axes in drawn] == ["ring", "ring; 1 of 3 outside"]


def test_a_picture_has_metadata(tmp_path):
    about = {"Run": "digits [β1=.5]", "Step": 40, "Weights": "ema", "Folder": "caf\udce9"}  # invalid UTF-8
    grids.save(Image.new("L", (4, 4)), tmp_path / "a.png", about)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.text == {k: str(v) for k, v in about.items()} | {"Folder": "caf\\udce9"}
