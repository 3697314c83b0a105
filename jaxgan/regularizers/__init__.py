"""Penalties on top of the adversarial loss: one file a family, with its own small signature and registry.

A penalty is the bare formula: its weight, its interval (lazy regularization) and its schedule are applied in
one place, `jaxgan/algorithm/penalties.py`.

- gradient, `(critic, real, fake, keys, axis_name) -> [B]`: of the discriminator, on its gradient by images;
- logit, `LogitPenalty`: of the discriminator, on its outputs, with a memory;
- consistency, `(critic, generator, augment, real, z, keys) -> {"discriminator": [B], "generator": [B]}`;
- weight, `WeightPenalty`: of either network, on its parameters, with a memory;
- projection, `params -> params`: of the discriminator, after its update;
- class, `ClassLoss`: of both networks, on the outputs of discriminator heads that predict labels or codes;
- feature, `(real_features, fake_features) -> scalar`: of the generator, on the discriminator's features;
- reconstruction, `(real, fake, parts) -> [B]`: of a generator that is given images, on what it should make.

With a condition, `critic(x)` uses the conditions of the real examples, and `critic.of_fakes(critic)(x)` those
of the fakes. Penalties that do not distinguish them need the same conditions for both (see `ONE_SIDED`).

To add one: write a builder in its family's file and register it, under a name that no family has. Its
keyword-only parameters become the config fields `regularizers.<name>.<parameter>`, and the contract tests
cover it. A parameter whose default is a float is a leaf of the state: the step calls the builder with a
traced value, which may be computed with but not branched on.
"""

from jaxgan import registry
from jaxgan.registry import Registry

GRADIENT_PENALTIES = Registry("gradient penalty", section="regularizers")
LOGIT_PENALTIES = Registry("logit penalty", section="regularizers")
CONSISTENCY = Registry("consistency penalty", section="regularizers")
WEIGHT_PENALTIES = Registry("weight penalty", section="regularizers")
PROJECTIONS = Registry("projection", section="regularizers")
CLASS_LOSSES = Registry("class loss", section="regularizers")
FEATURE_PENALTIES = Registry("feature penalty", section="regularizers")
RECONSTRUCTION = Registry("reconstruction term", section="regularizers")

# Gradient and consistency penalties that use real examples with their conditions and fakes with theirs. The
# others need fake i to have the condition of real example i.
ONE_SIDED = frozenset({"r1", "r2", "dragan", "cr", "bcr", "zcr"})

FAMILIES = {
    "gradient": GRADIENT_PENALTIES,
    "logit": LOGIT_PENALTIES,
    "consistency": CONSISTENCY,
    "weight": WEIGHT_PENALTIES,
    "projection": PROJECTIONS,
    "feature": FEATURE_PENALTIES,
    "class": CLASS_LOSSES,
    "reconstruction": RECONSTRUCTION,
}


def family_of(name: str) -> str:
    """The key in `FAMILIES` of the regularizer called `name`; UserError with all names when there is none."""
    return registry.family_of(name, "regularizer", FAMILIES)


from jaxgan.regularizers import (  # noqa: E402, F401 (register themselves)
    classes,
    consistency,
    feature,
    gradient,
    information,
    logit,
    reconstruction,
    weight,
)
