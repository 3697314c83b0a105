"""Inpainting: an image with a hole is given, the whole image is wanted."""

import dataclasses
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from jaxgan.declarations import AtLeast, Between, OneOf
from jaxgan.errors import UserError
from jaxgan.tasks.task import TASKS, HostImages, Images, Shape, refuse_points, shown

_EXAMPLES = 4096  # compared at a time, which bounds the memory


@TASKS.register("inpainting")
@dataclasses.dataclass(frozen=True)
class Inpainting:
    """What belongs into a hole: given is the image with the hole filled, and one more channel, 1 in the hole.

    Attributes:
      holes: centre: one square in the middle (of an odd rest, the smaller part is above and left of it).
        boxes: `count` rectangles at uniform places inside the image, their sides uniform from half of `side`,
        rounded up, to `side`. strokes: `count` strokes of a brush, each of four straight pieces that bend by
        up to a right angle; a stroke begins at a uniform place, and its pieces are up to `side` long.
      side: in pixels; 0: half of the image's shorter side.
      count: the number of boxes or strokes, which may overlap.
      brush: the width of strokes in pixels, at least 1.5, so that no stroke falls between the pixels.
      fill: the value in the hole, in [-1, 1]; 0 is the middle grey.
      keep: whether the result has the given pixels outside the hole.

    Source: Pathak et al. 2016, Context Encoders, section 4.2, for the centre and for boxes; strokes as in Yu
    et al. 2019, Free-Form Image Inpainting with Gated Convolution, section 3.3.
    """

    holes: Annotated[str, OneOf(("centre", "boxes", "strokes"))] = "centre"
    side: Annotated[int, AtLeast(0)] = 0
    count: Annotated[int, AtLeast(1)] = 3
    brush: Annotated[float, AtLeast(1.5)] = 3.0
    fill: Annotated[float, Between(-1, 1, closed=True)] = 0.0
    keep: bool = True

    restores: ClassVar = True
    reads: ClassVar = ()

    def check(self, shape: Shape) -> None:
        refuse_points("inpainting", shape)
        longest = max(self.side, self.brush if self.holes == "strokes" else 0)
        if longest >= min(shape[:2]):
            field = "side" if longest == self.side else "brush"
            raise UserError(f"task.inpainting.{field}={longest} must be below the images' {shown(shape)}")

    def shapes(self, shape: Shape) -> tuple[Shape, Shape]:
        return shape, (*shape[:2], shape[2] + 1)

    def real(self, images: Images, keys: Key[Array, " B"]) -> tuple[Images, dict[str, Any]]:
        mask = jax.vmap(lambda key: self.mask(key, images.shape[1:3]))(keys)[..., None]
        filled = jnp.where(mask, jnp.asarray(self.fill, images.dtype), images)
        return images, {"image": jnp.concatenate([filled, mask.astype(images.dtype)], axis=-1)}

    def mask(self, key: Key[Array, ""], size: tuple[int, int]):
        """bool `[H, W]`, true in the hole of one image."""
        side = self.side or min(size) // 2
        if self.holes == "strokes":
            return _strokes(key, size, self.count, side, self.brush)
        if self.holes == "boxes":
            sides, tops = _boxes(key, size, self.count, side)
        else:
            sides = jnp.full((1, 2), side)
            tops = (jnp.array([size]) - sides) // 2
        inside = [
            (jnp.arange(length) >= tops[:, axis, None]) & (jnp.arange(length) < (tops + sides)[:, axis, None])
            for axis, length in enumerate(size)
        ]
        return (inside[0][:, :, None] & inside[1][:, None, :]).any(axis=0)

    def complete(self, made: Images, given: Images) -> Images:
        """The given pixels, with those that were made in the hole."""
        return jnp.where(self.hole(given) > 0.5, made, given[..., :-1])

    def hole(self, given: Images) -> Images:
        return given[..., -1:]

    def baselines(self, given: HostImages) -> dict[str, HostImages]:
        """`mean` of the image's known pixels, by channel; and `nearest`: the nearest known pixel."""
        return {"mean": fill_with_mean(given), "nearest": fill_with_nearest(given)}


def _boxes(key, size, count, side):
    """Sides and upper left corners, int `[count, 2]` each."""
    of_sides, of_tops = jax.random.split(key)
    sides = jax.random.randint(of_sides, (count, 2), (side + 1) // 2, side + 1)
    return sides, jax.random.randint(of_tops, (count, 2), 0, jnp.array(size) - sides + 1)


def _strokes(key, size, count, side, brush, pieces=4):
    """bool `[H, W]`: the pixels whose centres are within half a brush of a stroke."""
    of_start, of_angle, of_length = jax.random.split(key, 3)
    start = jax.random.uniform(of_start, (count, 1, 2)) * (jnp.array(size) - 1)
    turns = jax.random.uniform(of_angle, (count, pieces), minval=-0.5, maxval=0.5) * jnp.pi
    turns = turns.at[:, 0].mul(2)  # the first piece has any direction
    angles = jnp.cumsum(turns, axis=1)
    lengths = jax.random.uniform(of_length, (count, pieces, 1)) * side
    moves = lengths * jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1)
    ends = start + jnp.cumsum(moves, axis=1)
    starts = jnp.concatenate([start, ends[:, :-1]], axis=1)
    pixels = jnp.stack(jnp.meshgrid(*map(jnp.arange, size), indexing="ij"), axis=-1)

    def near(hole, piece):
        begin, end = piece
        along = end - begin
        share = ((pixels - begin) * along).sum(-1) / jnp.maximum((along**2).sum(), 1e-12)
        closest = begin + jnp.clip(share, 0, 1)[..., None] * along
        return hole | (((pixels - closest) ** 2).sum(-1) <= (brush / 2) ** 2), None

    pieces = starts.reshape(-1, 2), ends.reshape(-1, 2)
    return jax.lax.scan(near, jnp.zeros(size, bool), pieces)[0]


def fill_with_mean(given: Float[np.ndarray, "B H W C"]) -> Float[np.ndarray, "B H W c"]:
    """The images, with the mean of their known pixels in the hole; 0 where nothing is known."""
    images, known = given[..., :-1], given[..., -1:] < 0.5
    mean = (images * known).sum(axis=(1, 2), keepdims=True) / np.maximum(
        known.sum(axis=(1, 2), keepdims=True), 1
    )
    return np.where(known, images, mean).astype(given.dtype)


def fill_with_nearest(given: Float[np.ndarray, "B H W C"]) -> Float[np.ndarray, "B H W c"]:
    """The images, with the nearest known pixel (distance of centres) in the hole; 0 if there is none."""
    from scipy import ndimage  # late: it takes long to import

    found = []
    for image in given:
        hole = image[..., -1] > 0.5
        rows, columns = ndimage.distance_transform_edt(hole, return_distances=False, return_indices=True)
        found.append(image[rows, columns, :-1] * ~hole.all())
    return np.stack(found)


def fill_with_example(
    given: Float[np.ndarray, "B H W C"], examples: UInt8[np.ndarray, "M H W c"]
) -> Float[np.ndarray, "B H W c"]:
    """The images, with the hole's pixels of the example whose other pixels are nearest (Euclidean)."""
    images, known = given[..., :-1], np.broadcast_to(given[..., -1:] < 0.5, given[..., :-1].shape)
    flat = (np.where(known, images, 0).reshape(len(given), -1), known.reshape(len(given), -1))
    image, seen = (part.astype(np.float32) for part in flat)
    best, nearest = np.full(len(given), np.inf, np.float32), np.zeros(len(given), int)
    for first in range(0, len(examples), _EXAMPLES):
        some = examples[first : first + _EXAMPLES].reshape(-1, image.shape[1]) / np.float32(127.5) - 1
        squares = seen @ np.square(some).T - 2 * (image @ some.T)  # but for the same Σ image²
        closest = squares.argmin(axis=1)
        squares = squares[np.arange(len(given)), closest]
        nearest = np.where(squares < best, first + closest, nearest)
        best = np.minimum(squares, best)
    found = examples[nearest] / np.float32(127.5) - 1
    return np.where(known, images, found).astype(given.dtype)
