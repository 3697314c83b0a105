"""Statistics: of features, of class probabilities, of images, of modes, of the nearest training examples.

A statistic is a pure function on the host, `-> {name: float}`, for features of any origin. Its family
determines its arguments. Its keyword-only parameters are the config fields `evaluation.statistics.<name>.*`.
Families:

- features, `(real_features [N, F], fake_features [M, F])`;
- logits, `(logits [M, K])` of fakes;
- images, `(images uint8 [M, H, W, C])` of fakes;
- classes, `(predicted int [M], shares [K])`: the mode of each fake, the data's share of each mode;
- mixture, `(points [M, D], centres [K, D], std)` of fakes;
- neighbours, `(test, fake)`: the `Neighbours` in the training set of real test examples and of fakes;
- labels, `(real, fake)`: `conditional.Labelled` of each;
- restoration, `(restored uint8 [N, H, W, C], truth, holes bool [N, H, W] or None)`, image by image;
- training, `(train_features, test_features, fake_features)`.

To add one: write it in a file here, register it with its family, and import the file below.
"""

from jaxgan import registry
from jaxgan.registry import Registry

FAMILIES = {
    family: Registry(f"statistic of {family}", section="evaluation.statistics")
    for family in (
        "features",
        "logits",
        "images",
        "classes",
        "mixture",
        "neighbours",
        "training",
        "labels",
        "restoration",
    )
}  # fmt: skip
STATISTICS = registry.union("statistic", FAMILIES)


def family_of(name: str) -> str:
    """The key in `FAMILIES` of the statistic called `name`; UserError with all names when there is none."""
    return registry.family_of(name, "statistic", FAMILIES)


from jaxgan.metrics import (  # noqa: E402, F401 (register themselves)
    codes,
    conditional,
    frechet,
    inception_score,
    kernel,
    memorization,
    modes,
    ms_ssim,
    prdc,
    restoration,
)
