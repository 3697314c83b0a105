"""Pictures of samples: grids of images, scatter plots of points, strips, animations."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont


def draw_samples(examples: np.ndarray, title: str = "", columns: int = 0) -> Image.Image:
    """A picture of examples: uint8 images `[N, H, W, C]` in a grid, float points `[N, 2]` as a scatter plot.

    Args:
      examples: what to draw; of points of more dimensions than two the first two are drawn.
      title: written above.
      columns: images in a row; 0 makes the grid square.
    """
    draw = _draw_grid if examples.ndim == 4 else _draw_points
    return draw(examples, title, columns)


def to_image(image: np.ndarray) -> Image.Image:
    """A uint8 image `[H, W, C]` for Pillow: grey, grey and alpha, RGB or RGBA by its channels."""
    height, width, channels = image.shape
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    return Image.frombytes(mode, (width, height), np.ascontiguousarray(image).tobytes())


def _draw_grid(images, title, columns):
    n, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    zoom = max(1, round(448 / (max(rows, columns) * max(height, width))))  # small images become visible
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


def _draw_points(points, title, columns):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5.2), dpi=100)
    axes = figure.subplots()
    axes.scatter(points[:, 0], points[:, 1], s=4, alpha=0.5, linewidths=0)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_title(title, fontsize=9)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return Image.open(buffer).convert("RGB")


def write_animation(frames: Sequence[Path], path: Path, seconds: float = 6.0) -> None:
    """Writes the pictures one after the other as an animated GIF that lasts about `seconds`."""
    images = []
    for frame in frames:
        with Image.open(frame) as image:
            images.append(image.convert("RGB"))
    size = tuple(max(image.size[axis] for image in images) for axis in (0, 1))
    padded = []
    for image in images:
        canvas = Image.new("RGB", size, "white")
        canvas.paste(image)
        padded.append(canvas.quantize(64))
    milliseconds = max(40, int(1000 * seconds / len(padded)))
    durations = [milliseconds] * (len(padded) - 1) + [milliseconds + 1500]  # rest on the last
    padded[0].save(path, save_all=True, append_images=padded[1:], duration=durations, loop=0)
