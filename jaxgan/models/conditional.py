"""Wrappers that add labels, codes or images to any generator and discriminator.

They share the scope of the wrapped network, so its parameters keep their names and initial values.
"""

import math
import re
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxgan.models.heads import apply_head
from jaxgan.models.layers import apply_layer, normal_init
from jaxgan.regularizers.classes import Head

# For each example: its label, or a mixture of classes.
Labels = Int[Array, " B"] | Float[Array, "B classes"]


def class_vectors(labels: Labels, classes: int, dtype) -> Float[Array, "B classes"]:
    """Labels int `[B]` as one-hot vectors `[B, classes]`; vectors (e.g. mixtures) are kept."""
    return jax.nn.one_hot(labels, classes, dtype=dtype) if labels.ndim == 1 else labels.astype(dtype)


class Embedding(nn.Module):
    """An embedding of classes: `[B, classes]` (see `class_vectors`) to `[B, width]`."""

    width: int
    init: nn.initializers.Initializer = nn.initializers.normal(1.0)

    @nn.compact
    def __call__(self, vectors: Float[Array, "B classes"]) -> Float[Array, "B width"]:
        shape = vectors.shape[-1], self.width
        return vectors @ self.param("embedding", self.init, shape)


class ConditionalGenerator(nn.Module):
    """`generator` with labels, int32 `[B]` or mixtures of classes `[B, classes]`; or with codes beside z.

    What is joined to z is appended to it. A network whose class says `takes_joined` gets it by itself.

    Attributes:
      generator: the network.
      classes: K, if there are labels.
      labels: 'joined': an embedding of the class beside z (Mirza and Osindero 2014, Conditional Generative
        Adversarial Nets), initially N(0, 1), or as the network's class says by `label_init`; 'batch_norm':
        every batch norm has a gain and a bias for each class, see `layers.batch_norm`.
      embedding: width of that embedding.
      code_scale: factor of categorical codes.
    """

    generator: nn.Module
    classes: int = 0
    labels: str = "joined"
    embedding: int = 50
    code_scale: float = 1.0

    def setup(self):
        nn.share_scope(self, self.generator)

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], train: bool = False, labels: Labels | None = None, codes: Any = None
    ) -> Float[Array, "B ..."]:
        joined, condition = [], ()
        if codes is not None:
            joined = [self.code_scale * code for code in codes.categorical] + [codes.continuous]
        if labels is not None:
            vectors = class_vectors(labels, self.classes, z.dtype)
            if self.labels == "batch_norm":
                condition = (vectors,)
            else:
                init = getattr(self.generator, "label_init", nn.initializers.normal(1.0))
                joined.append(Embedding(self.embedding, init, name="label_embedding")(vectors))
        if joined and getattr(self.generator, "takes_joined", False):
            return self.generator(z, train, *condition, joined=jnp.concatenate(joined, axis=-1))
        return self.generator(jnp.concatenate([z, *joined], axis=-1), train, *condition)


class ConditionalDiscriminator(nn.Module):
    """`discriminator` with labels in the same form. It ignores codes, which its heads predict.

    Attributes:
      discriminator: the network. With joined labels its input has one more channel, or `embedding` numbers.
      classes: K.
      labels: 'joined': an embedding of the class, as one more channel of an image, or beside the numbers of a
        point (Mirza and Osindero 2014); 'projection': the logit is D(x) + ⟨v_y, h⟩ with its last features h
        and a vector v_y of the class (Miyato and Koyama 2018, cGANs with Projection Discriminator, equation
        3; v is spectrally normalized if the network's pattern matches 'projection'); 'select': the logit is
        the label's own output out of K (Mescheder et al. 2018, Which Training Methods for GANs do actually
        Converge?, section 6); 'inner_product': ⟨D(x), v_y⟩ of `embedding` outputs and an embedding of the
        class, initially N(0, 1/(K·embedding)) (Huang et al. 2024, R3GAN); 'none': labels are not used.
      embedding: width of the embedding that is joined to points, or of the inner product.
      heads: the heads that the class losses need, by name.
    """

    discriminator: nn.Module
    classes: int = 0
    labels: str = "joined"
    embedding: int = 50
    heads: tuple[tuple[str, Head], ...] = ()

    def setup(self):
        nn.share_scope(self, self.discriminator)

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "B ..."],
        train: bool = False,
        features: bool = False,
        heads: bool = False,
        hold: bool = False,
        labels: Labels | None = None,
        codes: Any = None,
    ):
        """Logits `[B]`; with `features` (logits, features); with `heads` (logits, said, features).

        With `hold`, heads that require it stop the gradient to the layers below.
        """
        pattern = getattr(self.discriminator, "spectral_norm", "")
        axis_name = getattr(self.discriminator, "axis_name", None)
        axis_name = axis_name if getattr(self.discriminator, "synchronized", True) else None
        heads = heads or bool(self.heads) and self.is_initializing()
        more = {"features": True} if features or heads or self.labels == "projection" else {}
        if self.labels != "none":
            vectors = class_vectors(labels, self.classes, images.dtype)
        if self.labels == "joined":
            images = join(images, vectors, self.embedding)
        logits = self.discriminator(images, train, **more)
        logits, last = logits if more else (logits, None)
        if self.labels == "projection":
            project = nn.Dense(last.shape[-1], use_bias=False, kernel_init=normal_init, name="projection")
            of_class = apply_layer(project, vectors, spectral_norm=pattern, train=train)
            logits += jnp.sum(of_class * last, axis=-1)
        if self.labels == "select":
            logits = jnp.sum(logits.reshape(vectors.shape) * vectors, axis=-1)
        if self.labels == "inner_product":
            init = nn.initializers.variance_scaling(1 / self.embedding, "fan_in", "normal")
            of_class = Embedding(self.embedding, init, name="label_embedding")(vectors)
            logits = jnp.sum(logits.reshape(of_class.shape) * of_class, axis=-1)
        if heads:
            said = {}
            for name, head in self.heads:
                below = lax.stop_gradient(last) if hold and head.held else last
                said[name] = apply_head(
                    head, name, below, spectral_norm=pattern, train=train, axis_name=axis_name
                )
            return logits, said, last
        return (logits, last) if features else logits


class CompletedGenerator(nn.Module):
    """`generator` of images, whose results keep what the given images show already.

    Attributes:
      generator: the network.
      complete: from results `[B, H, W, C]` and given images `[B, H, W, G]` to what is kept of both, as
        `Inpainting.complete`.
    """

    generator: nn.Module
    complete: Callable

    @property
    def multiple(self) -> int:
        """Of which the sides of an image must be multiples."""
        return getattr(self.generator, "multiple", 1)

    def setup(self):
        nn.share_scope(self, self.generator)

    def __call__(
        self, z: Float[Array, "B Z"], train: bool = False, image: Float[Array, "B H W G"] | None = None
    ) -> Float[Array, "B H W C"]:
        return self.complete(self.generator(z, train, image=image), image)


class ImageDiscriminator(nn.Module):
    """`discriminator` that sees a given image beside the one that it judges.

    Attributes:
      discriminator: the network, for images with the channels of both if they are joined.
      joined: whether the given image is joined; enlarged bilinearly where it is smaller.
    """

    discriminator: nn.Module
    joined: bool = True

    def setup(self):
        nn.share_scope(self, self.discriminator)

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "B H W C"],
        train: bool = False,
        features: bool = False,
        image: Float[Array, "B h w G"] | None = None,
    ):
        """Logits `[B]` or `[B, P]`; with `features` (logits, features)."""
        if self.joined:
            size = *images.shape[:3], image.shape[-1]
            beside = image if image.shape == size else jax.image.resize(image, size, "linear")
            images = jnp.concatenate([images, beside], axis=-1)
        return self.discriminator(images, train, **({"features": True} if features else {}))


def is_of_condition(path: tuple[str, ...]) -> bool:
    """Whether a variable belongs to a condition or a head, or depends on a batch norm's condition."""
    return any(
        re.match(r"(spectral_)?(head_|proxies_|projection|label_embedding|batch_norm_)", p) for p in path
    )


def joined_shape(shape: tuple[int, ...], embedding: int) -> tuple[int, ...]:
    """The shape of an example of `shape` after `join`."""
    return (*shape[:-1], shape[-1] + (1 if len(shape) == 3 else embedding))


def join(
    examples: Float[Array, "B *size C"], vectors: Float[Array, "B classes"], embedding: int
) -> Float[Array, "B *size joined"]:
    """Appends the class: images get one more channel, `[B, H, W, C + 1]`; points `[B, D + embedding]`.

    Call it inside a compact `__call__`.
    """
    size = examples.shape[1:-1]
    embedded = Embedding(math.prod(size) if size else embedding, name="label_embedding")(vectors)
    embedded = embedded.reshape(-1, *size, 1) if size else embedded
    return jnp.concatenate([examples, embedded], axis=-1)
