"""Whether fakes have the requested class, and whether each class is as varied as in the data."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxgan.errors import UserError
from jaxgan.metrics import FAMILIES
from jaxgan.metrics.frechet import frechet_distance
from jaxgan.metrics.number import Number, describe


class Labelled(NamedTuple):
    """Features and labels of N examples.

    Attributes:
      features: float32 `[N, F]`.
      labels: int `[N]`; of fakes the requested ones.
      predicted: int `[N]`, labels by a classifier; None: there is no classifier.
    """

    features: Float[np.ndarray, "N F"]
    labels: Int[np.ndarray, " N"]
    predicted: Int[np.ndarray, " N"] | None = None


@FAMILIES["labels"].register("class_accuracy")
@describe(
    {
        "class_accuracy": Number(
            "higher", "share of fakes that the classifier assigns to the requested class", 0, 1
        ),
        "discriminator_class_accuracy": Number("", "share of real examples whose class D recognizes", 0, 1),
    }
)
def class_accuracy(real: Labelled, fake: Labelled) -> dict[str, float]:
    """The share of fakes that the classifier assigns to the requested label.

    Its floor, for real examples with their own labels, is the classifier's accuracy. It does not show how
    varied a class is.

    Source: Odena et al. 2017, Conditional Image Synthesis with Auxiliary Classifier GANs, section 4.1.
    """
    if fake.predicted is None:
        raise UserError("needs a classifier of this data's classes: set evaluation.extractor.name=classifier")
    return {"class_accuracy": float(np.mean(fake.predicted == fake.labels))}


@FAMILIES["labels"].register("intra_class_distance")
@describe(
    {
        "intra_class_distance": Number("lower", "Fréchet distance within a class, mean over classes", 0),
        "intra_class_distance_worst": Number("lower", "the same, of the worst class", 0),
        "intra_class_fakes": Number("", "number of fakes in the class with the fewest", 0),
    }
)
def intra_class_distance(real: Labelled, fake: Labelled) -> dict[str, float]:
    """The Fréchet distance between real examples and fakes of a class: mean over classes, and the worst
    class.

    Returns:
      `intra_class_distance`, `intra_class_distance_worst`; and `intra_class_fakes`, the number of
      fakes in the class with the fewest. The distance grows when there are fewer.

    Raises:
      UserError: a class has fewer than two real examples or fakes.

    Source: Miyato and Koyama 2018, cGANs with Projection Discriminator, section 4 (intra FID).
    """
    distances, counts = [], []
    for label in np.unique(real.labels):
        sides = [side.features[side.labels == label] for side in (real, fake)]
        if min(map(len, sides)) < 2:
            raise UserError(f"class {label} has {len(sides[0])} real examples and {len(sides[1])} fakes")
        distances.append(frechet_distance(*sides)["frechet_distance"])
        counts.append(len(sides[1]))
    return {
        "intra_class_distance": float(np.mean(distances)),
        "intra_class_distance_worst": float(np.max(distances)),
        "intra_class_fakes": float(min(counts)),
    }
