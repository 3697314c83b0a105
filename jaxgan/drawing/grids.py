"""Pictures of samples: grids of images, real beside fake, nearest neighbours, scatter plots, animations."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from jaxgan.datasets.dataset import Mixture
from jaxgan.files import whole

CLASS_COLUMNS = 8  # samples in a row, for a class
_VIEW = 1.4  # half-width of a scatter plot of a mixture, relative to that of its modes


def draw_samples(
    examples: UInt8[np.ndarray, "N H W C"] | Float[np.ndarray, "N D"],
    title: str = "",
    columns: int = 0,
    *,
    pixels: int = 448,
    mixture: Mixture | None = None,
) -> Image.Image:
    """A picture of examples: uint8 images `[N, H, W, C]` in a grid, float points `[N, D]` as a scatter plot.

    Args:
      examples: what to draw. Of points with more than two dimensions, the first two are drawn; points of one
        dimension are drawn as a histogram.
      title: written above.
      columns: images in a row; 0 makes the grid square.
      pixels: small images are enlarged by an integer, so that the longer side of the grid is about this.
      mixture: the true density of points. All plots of a mixture have the same axes. Its modes are drawn as
        circles of 3 σ; the title counts points outside of the axes.
    """
    if examples.ndim == 4:
        return _draw_grid(examples, title, columns, pixels)
    return _draw_points(examples, title, mixture)


def to_image(image: UInt8[np.ndarray, "H W C"]) -> Image.Image:
    """A uint8 image `[H, W, C]` for Pillow: grey, grey and alpha, RGB or RGBA by its channels."""
    height, width, channels = image.shape
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    return Image.frombytes(mode, (width, height), np.ascontiguousarray(image).tobytes())


def save(picture: Image.Image, path: Path, about: Mapping[str, object] | None = None) -> None:
    """Writes a PNG file atomically, and makes its folder if needed.

    Args:
      picture: what to write.
      path: of the file.
      about: what it shows, by keyword (`Run`, `Step`, `Weights`, ...), for the file's text metadata.
    """
    path.parent.mkdir(exist_ok=True)
    text = PngInfo()
    for keyword, value in (about or {}).items():
        text.add_itxt(
            keyword, str(value).encode(errors="backslashreplace").decode()
        )  # paths may have any bytes
    with whole(path) as temporary:
        picture.save(temporary, format="png", pnginfo=text)


def render(figure) -> Image.Image:
    """A matplotlib figure as an RGB picture, without a window system."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.frombytes("RGBA", canvas.get_width_height(), canvas.buffer_rgba()).convert("RGB")


def _draw_grid(images, title, columns, pixels):
    n, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    zoom = max(1, round(pixels / (max(rows, columns) * max(height, width))))  # small images become visible
    gap = 2
    cell = (width * zoom + gap, height * zoom + gap)
    font = ImageFont.load_default(size=14)
    band = 24 if title else 0
    size = (columns * cell[0] + gap, rows * cell[1] + gap + band)
    if title:
        size = (max(size[0], math.ceil(font.getlength(title)) + 12), size[1])
    canvas = Image.new("RGBA" if channels == 4 else "RGB", size, "white")
    ImageDraw.Draw(canvas).text((6, 3), title, fill="black", font=font)
    for i, image in enumerate(images):
        tile = to_image(image).resize((width * zoom, height * zoom), Image.Resampling.NEAREST)
        place = (gap + i % columns * cell[0], band + gap + i // columns * cell[1])
        canvas.paste(tile.convert(canvas.mode), place)
    return canvas


def _draw_points(points, title, mixture):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5.2), dpi=100)
    axes = figure.subplots()
    if points.shape[1] == 1:
        axes.hist(points[:, 0], bins=100)
        axes.yaxis.get_major_locator().set_params(integer=True)  # a count
    else:
        axes.scatter(points[:, 0], points[:, 1], s=4, alpha=0.5, linewidths=0)
        if mixture is None or points.shape[1] > 2:
            axes.set_aspect("equal", adjustable="datalim")
        else:
            middle = (mixture.centres.min(axis=0) + mixture.centres.max(axis=0)) / 2
            reach = _VIEW * (abs(mixture.centres - middle).max() + 3 * mixture.std)
            axes.set(xlim=middle[0] + reach * np.array([-1, 1]), ylim=middle[1] + reach * np.array([-1, 1]))
            axes.set_aspect("equal")
            draw_circles(axes, mixture.centres, 3 * mixture.std)
            inside = (abs(points - middle) <= reach).all(axis=1).sum()
            title += f"; {len(points) - inside:,} of {len(points):,} outside" if inside < len(points) else ""
    axes.locator_params(nbins=5)  # drawing ticks takes most of the time
    axes.set_title(title, fontsize=9, y=1.0)
    return render(figure)


def draw_circles(axes, centres: Float[np.ndarray, "K 2"], radii: Float[np.ndarray, " K"] | float) -> None:
    """Draws circles on matplotlib axes, in the units of the data: centres `[K, 2]`, radii `[K]` or one."""
    from matplotlib.collections import EllipseCollection

    widths = 2 * np.broadcast_to(radii, len(centres))
    circles = EllipseCollection(
        widths, widths, np.zeros(len(centres)), units="xy", offsets=centres, offset_transform=axes.transData
    )
    circles.set(facecolor="none", edgecolor="#009e73", linewidth=1.3, zorder=3)
    axes.add_collection(circles)


def draw_real_and_fake(
    real: UInt8[np.ndarray, "N H W C"], fake: UInt8[np.ndarray, "M H W C"], title: str = ""
) -> Image.Image:
    """Real and fake images in two square grids of the same size, side by side.

    Args:
      real, fake: uint8 `[N, H, W, C]` of one shape, C from 1 to 4; the first k² of each are drawn,
        k = ⌊√N⌋ with the smaller N.
      title: written above.
    """
    _require_images(real, fake)
    side = math.isqrt(min(len(real), len(fake)))
    grids = [draw_samples(images[: side**2], name) for images, name in ((real, "real"), (fake, "fake"))]
    gap = 12
    canvas = Image.new("RGB", (sum(grid.width for grid in grids) + gap, grids[0].height), "white")
    for grid, left in zip(grids, (0, grids[0].width + gap), strict=True):
        _paste(canvas, grid, (left, 0))
    return _with_title(canvas, title)


def draw_closest_pairs(
    fakes: UInt8[np.ndarray, "N H W C"],
    neighbours: UInt8[np.ndarray, "N H W C"],
    distances: Float[np.ndarray, " N"],
    title: str = "",
    columns: int = 8,
) -> Image.Image:
    """Fakes, each above its nearest training example and below the distance between them.

    Args:
      fakes: uint8 `[N, H, W, C]`, in the order in which to draw them (see `memorization.Neighbours.closest`).
      neighbours: likewise, the nearest training example of each.
      distances: `[N]`.
      title: written above.
      columns: pairs in a row.
    """
    _require_images(fakes, neighbours)
    if not len(fakes) == len(neighbours) == len(distances):
        raise ValueError(f"{len(fakes)} fakes, {len(neighbours)} neighbours, {len(distances)} distances")
    columns = min(columns, len(fakes))
    font, margin, band = ImageFont.load_default(size=13), 64, 20
    strips = []
    for start in range(0, len(fakes), columns):
        part = slice(start, start + columns)
        white = np.full((columns, *fakes.shape[1:]), 255, np.uint8)  # fills up the last row
        rows = [np.concatenate([images[part], white])[:columns] for images in (fakes, neighbours)]
        grid = draw_samples(np.concatenate(rows), columns=columns, pixels=96 * columns)
        strip = Image.new("RGB", (margin + grid.width, band + grid.height), "white")
        _paste(strip, grid, (margin, band))
        pen = ImageDraw.Draw(strip)
        for row, name in enumerate(("fake", "nearest")):
            place = (margin - 6, band + grid.height * (2 * row + 1) // 4)
            pen.text(place, name, fill="black", font=font, anchor="rm")
        pen.text((margin - 6, band - 3), "distance", fill="black", font=font, anchor="rs")
        for i, distance in enumerate(distances[part]):
            middle = margin + grid.width * (2 * i + 1) // (2 * columns)
            pen.text((middle, band - 3), f"{distance:.3g}", fill="black", font=font, anchor="ms")
        strips.append(strip)
    height = strips[0].height + 6
    canvas = Image.new("RGB", (strips[0].width, height * len(strips)), "white")
    for i, strip in enumerate(strips):
        canvas.paste(strip, (0, height * i))
    return _with_title(canvas, title)


def _require_images(one, other):
    for images in (one, other):
        if images.ndim != 4 or images.dtype != np.uint8 or not len(images):
            raise ValueError(f"uint8 images [N, H, W, C] can be drawn, not {images.dtype} {images.shape}")
    if one.shape[1:] != other.shape[1:]:
        raise ValueError(f"images of shapes {one.shape[1:]} and {other.shape[1:]} do not compare")


def _paste(canvas, picture, place):
    """Pastes an image; transparent parts show the canvas."""
    canvas.paste(picture, place, picture if picture.mode == "RGBA" else None)


def _with_title(picture, title):
    if not title:
        return picture
    font, band = ImageFont.load_default(size=15), 28
    width = max(picture.width, math.ceil(font.getlength(title)) + 12)
    canvas = Image.new("RGB", (width, picture.height + band), "white")
    canvas.paste(picture, (0, band))
    ImageDraw.Draw(canvas).text((6, 5), title, fill="black", font=font)
    return canvas


def write_animation(frames: Sequence[Path], path: Path, seconds: float = 6.0) -> None:
    """Writes the pictures one after the other as an animated GIF that lasts about `seconds`."""
    images = []
    for frame in frames:
        with Image.open(frame) as image:
            image = image.convert("RGBA")  # GIFs have no partial transparency: show white
            images.append(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))
    size = tuple(max(image.size[axis] for image in images) for axis in (0, 1))
    padded = []
    for image in images:
        canvas = Image.new("RGB", size, "white")
        canvas.paste(image)
        padded.append(canvas.quantize(64))
    milliseconds = max(40, int(1000 * seconds / len(padded)))
    durations = [milliseconds] * (len(padded) - 1) + [milliseconds + 1500]  # show the last one longer
    padded[0].save(path, save_all=True, append_images=padded[1:], duration=durations, loop=0)
