"""A trained generator as a function."""

import functools
import numbers
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int32, UInt8

from jaxgan.algorithm.conditions import Codes, Given, Labels, find_labels, read_codes
from jaxgan.algorithm.gan import GAN
from jaxgan.algorithm.tricks import scale
from jaxgan.datasets.dataset import Examples
from jaxgan.declarations import arguments
from jaxgan.errors import WrongArgument
from jaxgan.models.pair import DIRECTIONS
from jaxgan.regularizers.information import Posterior
from jaxgan.sampler.given import read_given, to_pixels, translate_all
from jaxgan.sampler.kept import Kept, degrade, require_kept
from jaxgan.sampler.programs import (
    batch_of,
    class_logits,
    conditions,
    discriminate,
    draw,
    drawn_at_once,
    fixed_inputs,
    generate,
    in_parts,
    latents,
    posterior,
    show,
    vary,
)

_LABELS = arguments.NUMBERS + "U"  # kinds of NumPy types: also names


class Sampler:
    """Draws from one generator. Sample i depends on the seed and on i alone, not on `num`.

    Attributes:
      gan: the GAN.
      weights: of its generator.
      step: steps trained.
      dataset: the record of the data set that it was trained on (see `record.describe_dataset`).
      discriminator: weights of the discriminator.
      loss_numbers: the numbers of the loss in training.
      kept: examples of which images are given, if the GAN has a task.
    """

    def __init__(
        self,
        gan: GAN,
        weights: dict[str, Any],
        step: int,
        dataset: dict[str, Any],
        discriminator: dict[str, Any],
        loss_numbers: dict[str, Float[Array, ""]],
        kept: Kept | None = None,
    ):
        self.gan, self.weights, self.step, self.dataset = gan, weights, step, dataset
        self.discriminator, self.loss_numbers, self.kept = discriminator, loss_numbers, kept

    def __call__(
        self, seed: int = 0, num: int = 64, labels: Labels = None, codes: Mapping[int, Any] | None = None
    ) -> Examples:
        """`num` samples: uint8 `[num, H, W, C]`, or float32 points `[num, D]`.

        Args:
          seed: of the latents, and of the labels if none are given.
          num: how many.
          labels: for a conditional generator: a label or the name of a class, or a list of them, which is
            repeated; None: drawn at random, all classes equally often.
          codes: for InfoGAN's generator: from the number of a code to its value, or to a list of values,
            which is repeated. Categorical codes come first, and have whole numbers. Other codes are drawn.

        Raises:
          WrongArgument: a number is out of its range, or the data has no such class.
        """
        empty = np.zeros((0, *self.gan.shape), np.uint8 if self.gan.is_images else np.float32)
        return np.concatenate([empty, *self.batches(seed, num, labels, codes)])

    def latents(self, seed: int = 0, num: int = 64) -> Float[np.ndarray, "num {self.gan.latent_dim}"]:
        """The latents of the same samples: float32 `[num, latent_dim]`, which `decode` takes."""
        seed, num = arguments.whole("seed", seed, 0, 2**32), arguments.whole("num", num)
        parts = [np.zeros((0, self.gan.latent_dim), np.float32)]
        for first in range(0, num, batch_of(self.gan)):
            parts.append(np.asarray(latents(self.gan, np.uint32(seed), np.int32(first))))
        return np.concatenate(parts)[:num]

    def batches(
        self, seed: int = 0, num: int = 64, labels: Labels = None, codes: Mapping[int, Any] | None = None
    ) -> Iterator[Examples]:
        """The same samples in batches, for numbers that do not fit into memory."""
        seed, num = arguments.whole("seed", seed, 0, 2**32), arguments.whole("num", num)
        return self._batches(seed, num, self.read_labels(labels), self._read_codes(codes))

    def _batches(self, seed: int, num: int, asked: np.ndarray | None, codes: dict) -> Iterator[np.ndarray]:
        size, at_once, before = batch_of(self.gan), drawn_at_once(self.gan), ()
        for first in range(0, num, at_once):
            rows = first + np.arange(at_once)
            given = self._kept_given(rows) if self.gan.task else {}
            if asked is not None:
                given = {"labels": asked[rows % len(asked)]}
            some = {i: values[rows % len(values)] for i, values in codes.items()}
            left = min(num - first, at_once)
            place = np.uint32(seed), np.int32(first), np.int32(-(-left // size))
            made = draw(self.gan, self.weights, *place, given, some)
            yield from before  # while the device computes these
            before = _in_batches(made, left, size)
        yield from before

    def _kept_given(self, rows: np.ndarray) -> Given:
        """What is given of kept examples, in turn."""
        given = require_kept(self.kept) and degrade(self.gan, self.kept)[1]
        return jax.tree.map(lambda part: part[rows % len(self.kept.examples)], given)

    def translate(
        self,
        images: np.ndarray,
        holes: np.ndarray | None = None,
        seed: int = 0,
        direction: str = "AtoB",
    ) -> UInt8[np.ndarray, "N H W C"] | Float[np.ndarray, "N H W C"]:
        """What the generator makes of given images, of any size.

        Args:
          images: uint8 `[N, h, w, c]`, or floats in [-1, 1], with the channels of what was given in training.
          holes: bool `[N, h, w]`, true where an image is to be filled, of inpainting's generator.
          seed: of the latents.
          direction: AtoB or BtoA, of a generator of both ways.

        Returns:
          images of the same type as the given ones.

        Raises:
          WrongArgument: the generator takes no such images.
        """
        if self.gan.task is None:
            raise WrongArgument("this generator takes no images: it was trained without a task")
        arguments.choice("direction", direction, DIRECTIONS if self.gan.reads_partners else DIRECTIONS[:1])
        given = read_given(self.gan, images, holes)
        made = translate_all(self.gan, self.weights, given, self.latents(seed, len(given)))
        if self.gan.reads_partners:  # (F(b) | G(a))
            made = np.split(made, 2, axis=-1)[direction == "AtoB"]
        return to_pixels(made) if np.asarray(images).dtype == np.uint8 else made

    def sheet(self, seed: int = 0) -> UInt8[np.ndarray, "rows H W C"]:
        """Of the kept examples what is given, what is made of it and what is wanted: see `kept.compare`."""
        require_kept(self.kept)
        shown = fixed_inputs(self.gan, seed, kept=self.kept)
        return np.asarray(show(self.gan, self.weights, shown, self.kept))

    def read_labels(self, labels: Labels) -> Int32[np.ndarray, " n"] | None:
        """Labels as a user gives them, as int32 `[n]`; None stays.

        Raises:
          WrongArgument: the generator takes none, or the data does not have one of them.
        """
        if labels is None:
            return None
        return find_labels(labels, self.gan.classes, self.dataset.get("class_names", ()))

    def _read_codes(self, codes: Mapping[int, Any] | None) -> dict[int, np.ndarray]:
        return {} if codes is None else read_codes(codes, self.gan.given_example.get("codes"))

    def judge(self, examples: Examples, labels: Labels = None) -> Float[np.ndarray, " N"]:
        """The discriminator's outputs `[N]` for examples in the same format: see `discriminate`.

        Args:
          examples: as the samples are.
          labels: for a conditional discriminator, repeated if fewer; None: the mean over all classes.
        """
        if self.gan.task:
            raise WrongArgument("judge: this discriminator judges an image beside the one that was given")
        examples = self._examples(examples)
        if not len(examples):
            return np.zeros(0, np.float32)
        asked, told = self.read_labels(labels), [{}]
        if asked is not None:
            told = [{"labels": np.resize(asked, len(examples))}]
        elif self.gan.classes:
            told = [{"labels": np.full(len(examples), label, np.int32)} for label in self.gan.classes]
        judge = functools.partial(discriminate, self.gan, self.discriminator, self.loss_numbers)
        return np.mean([in_parts(judge, examples, given) for given in told], axis=0)

    def classify(self, examples: Examples) -> Int[np.ndarray, " N"]:
        """The labels `[N]` that a conditional discriminator assigns to examples: see `class_logits`."""
        if not self.gan.classes:
            raise WrongArgument("only a conditional discriminator knows classes: this one has none")
        examples = self._examples(examples)
        if not len(examples):
            return np.zeros(0, int)
        logits = in_parts(functools.partial(class_logits, self.gan, self.discriminator), examples)
        return np.array(self.gan.classes)[logits.argmax(axis=1)]

    def _examples(self, examples: np.ndarray) -> jax.Array:
        """Examples as inputs of the discriminator."""
        layout = "[N, H, W, C]" if self.gan.is_images else "[N, D]"
        examples = arguments.array("examples", examples, layout)
        if examples.shape[1:] != self.gan.shape or (self.gan.is_images and examples.dtype != np.uint8):
            kind = "uint8" if self.gan.is_images else "float32"
            shape = ", ".join(map(str, self.gan.shape))
            raise WrongArgument(f"examples are {arguments.shown(examples)}: give {kind} [N, {shape}]")
        return scale(jnp.asarray(examples if self.gan.is_images else examples.astype(np.float32)))

    @property
    def threshold(self) -> float | None:
        """The discriminator's output above which an example is judged real; None: there is none."""
        threshold = self.gan.loss(**self.loss_numbers).threshold
        return None if threshold is None else float(threshold)

    def decode(
        self,
        z: Float[np.ndarray, "N Z"],
        labels: Labels | Float[np.ndarray, "N K"] = None,
        codes: Codes | None = None,
    ) -> Examples:
        """The samples of given latents `[N, latent_dim]`, in the same format.

        Args:
          z: the latents.
          labels: of a conditional generator: a label or the name of a class, for all latents, or a list of N
            of them; or float mixtures of its K classes `[N, K]`.
          codes: of InfoGAN's, with N rows.

        Raises:
          WrongArgument: the latents or labels have another shape, or are not finite.
        """
        with np.errstate(over="ignore"):  # infinite, which is refused
            z = arguments.array("latents", z, f"[N, {self.gan.latent_dim}]").astype(np.float32)
        arguments.finite("latents", z)
        if z.shape[1] != self.gan.latent_dim:
            raise WrongArgument(f"latents have shape {z.shape}: give [N, {self.gan.latent_dim}]")
        given = {}
        if self.gan.classes or labels is not None:
            given["labels"] = self._labels_of(labels, len(z))
        if "codes" in self.gan.given_example:
            given["codes"] = self._codes_of(codes, len(z))
        elif codes is not None:
            self._read_codes({})  # refuses them
        if not len(z):
            return np.zeros((0, *self.gan.shape), np.uint8 if self.gan.is_images else np.float32)
        if self.gan.task:
            given = self._kept_given(np.arange(len(z)))
        parts = []
        for first in range(0, len(z), batch_of(self.gan)):
            rows = np.minimum(first + np.arange(batch_of(self.gan)), len(z) - 1)  # the last one is repeated
            part = jax.tree.map(lambda values, rows=rows: np.asarray(values)[rows], given)
            parts.append(generate(self.gan, self.weights, z[rows], part))
        return np.concatenate([np.asarray(part) for part in parts])[: len(z)]

    def _codes_of(self, codes: Codes | None, num: int) -> Codes:
        """The codes of `num` latents."""
        wanted = jax.tree.map(lambda part: (num, part.shape[1]), self.gan.given_example["codes"])
        if not isinstance(codes, Codes) or jax.tree.map(np.shape, codes) != wanted:
            sizes = ", ".join(map(str, wanted.categorical)) or "none"
            raise WrongArgument(
                f"codes={arguments.shown(codes)}: give Codes with {num} rows, as sampler.codes does: "
                f"categorical {sizes}; continuous {wanted.continuous}"
            )
        return codes

    def _labels_of(self, labels: Labels | Float[np.ndarray, "N K"], num: int) -> np.ndarray:
        """The labels of `num` latents, or mixtures of classes."""
        if labels is None:
            raise WrongArgument(f"labels=None, but this generator needs classes: give {num} labels")
        one = isinstance(labels, str | numbers.Integral)
        found = arguments.array("labels", [labels] if one else labels, "[N]", "[N, K]", kinds=_LABELS)
        if found.ndim == 2:
            if found.shape[1] != (self.gan.condition.num_classes if self.gan.classes else 0):
                raise WrongArgument(
                    f"labels have shape {found.shape}: give [N], or shares of the classes [N, K]"
                )
            found = arguments.finite("labels", arguments.array("labels", found, "[N, K]").astype(np.float32))
        elif len(found) or not self.gan.classes:
            found = self.read_labels(found)
            found = np.repeat(found, num) if len(found) == 1 else found
        if len(found) != num:
            raise WrongArgument(f"labels have shape {found.shape}: give one, or as many as latents, {num}")
        return found

    def interpolate_classes(
        self, seed: int = 0, steps: int = 8, pairs: int = 8, labels: Labels = None
    ) -> Examples:
        """Samples on straight lines from class to class, with z fixed: `[pairs · steps, ...]`.

        Line i goes from the i-th of `labels` to the next; labels are repeated. None: all classes.

        Raises:
          WrongArgument: a number is out of its range, or the generator takes no labels.
        """
        seed, steps = arguments.whole("seed", seed, 0, 2**32), arguments.whole("steps", steps, 1)
        pairs = arguments.whole("pairs", pairs, 1)
        classes = self.read_labels(self.gan.classes if labels is None else labels)
        one_hot = np.eye(self.gan.condition.num_classes, dtype=np.float32)[classes]
        start, end = (one_hot[(np.arange(pairs) + i) % len(classes)][:, None] for i in (0, 1))
        t = np.linspace(0, 1, steps, dtype=np.float32)[None, :, None]
        way = ((1 - t) * start + t * end).reshape(pairs * steps, -1)
        return self.decode(np.repeat(self.latents(seed, pairs), steps, axis=0), way)

    def rows(self, seed: int = 0, labels: Labels = None) -> Examples:
        """Samples of a grid with a row for each class, or value of the first code: see `fixed_inputs`."""
        z, given = fixed_inputs(self.gan, seed, self.read_labels(labels))
        return self.decode(z, **given)

    def vary_code(
        self, i: int, seed: int = 0, steps: int = 10, num: int = 10, reach: float = 1.0
    ) -> Examples:
        """Samples with one code varied and all else fixed: `[num · steps, ...]`, or `[num · k, ...]`.

        Args:
          i: the number of the code. Categorical codes come first; they take all their k values.
          seed: of everything else.
          steps: values of a continuous code, from -reach to reach.
          num: samples whose code is varied.
          reach: the training uses values up to 1.
        """
        i = [*self._read_codes({i: 0})][0]
        steps, num = arguments.whole("steps", steps, 1), arguments.whole("num", num, 1)
        categorical = self.gan.given_example["codes"].categorical
        values = np.linspace(-reach, reach, steps, dtype=np.float32)
        values = np.arange(categorical[i].shape[1]) if i < len(categorical) else values
        z, codes = jax.tree.map(
            lambda part: np.repeat(part, len(values), axis=0),
            (self.latents(seed, num), self.codes(seed, num)),
        )
        return self.decode(z, codes=vary(codes, i, np.tile(values, num)))

    def codes(self, seed: int = 0, num: int = 64) -> Codes | None:
        """The codes of the first samples of a seed, for `decode`; None if the generator takes none."""
        if "codes" not in self.gan.given_example:
            return None
        places = [(np.uint32(seed), np.int32(first)) for first in range(0, num, batch_of(self.gan))]
        parts = [conditions(self.gan, *place)["codes"] for place in places]
        return jax.tree.map(lambda *some: np.concatenate(some)[:num], *parts)

    def posterior(self, examples: Examples) -> Posterior:
        """The posterior of the codes of examples, by InfoGAN's head: see `programs.posterior`."""
        self._read_codes({})
        return jax.device_get(posterior(self.gan, self.discriminator, self._examples(examples)))

    def interpolate(self, seed: int = 0, steps: int = 8, pairs: int = 8, labels: Labels = None) -> Examples:
        """Samples between latent 2i and latent 2i + 1, `[pairs · steps, ...]`.

        Interpolates along the great circle for the normal distribution, whose mass lies near a sphere
        (White 2016, Sampling Generative Networks), and along the line for others. With a conditional
        generator the class is fixed: row i has the i-th of `labels`, which are repeated; None: all classes.
        Codes are fixed, too.

        Raises:
          UserError: a number is out of its range.
        """
        seed, steps = arguments.whole("seed", seed, 0, 2**32), arguments.whole("steps", steps, 1)
        pairs = arguments.whole("pairs", pairs, 1)
        z = self.latents(seed, 2 * pairs)
        start, end = z[0::2, None], z[1::2, None]
        t = np.linspace(0, 1, steps, dtype=np.float32)[None, :, None]
        way = (1 - t) * start + t * end
        if self.gan.latent == "normal":
            cosine = (start * end).sum(-1, keepdims=True)
            cosine = cosine / np.linalg.norm(start, axis=-1, keepdims=True)
            cosine = cosine / np.linalg.norm(end, axis=-1, keepdims=True)
            angle = np.arccos(np.clip(cosine, -1, 1))
            if (np.sin(angle) > 1e-6).all():
                way = (np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / np.sin(angle)
        # one point of every row at a time, so that with several generators a row comes from one of them
        held = None
        if self.gan.classes:
            asked = self.read_labels(self.gan.classes if labels is None else labels)
            held = asked[np.arange(pairs) % len(asked)]
        codes = self.codes(seed, pairs)
        samples = [self.decode(way[:, i], held, codes) for i in range(steps)]
        return np.stack(samples, axis=1).reshape(pairs * steps, *self.gan.shape)


def _in_batches(made: jax.Array, num: int, size: int) -> Iterator[np.ndarray]:
    """The first `num` samples, `size` at a time. Only the first `next` waits for the device."""
    samples = np.asarray(made)[:num]
    for first in range(0, num, size):
        yield samples[first : first + size]
