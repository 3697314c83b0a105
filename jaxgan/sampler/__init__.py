"""A trained generator as a function: `sampler = jaxgan.load(workdir); images = sampler(seed=0, num=64)`.

Of a conditional generator: `sampler(labels=7)`; `labels` may be a list, also of class names, which is
repeated, or None. Of InfoGAN's generator: `sampler(codes={0: 7})` fixes its first code. Of a generator that
is given images: `sampler.translate(images)`; `sampler()` takes those that the run has kept.
"""

from jaxgan.sampler.kept import Kept, keep
from jaxgan.sampler.load import WEIGHTS, load
from jaxgan.sampler.programs import (
    BATCH,
    apply,
    batch_of,
    class_logits,
    conditions,
    discriminate,
    finish,
    fixed_inputs,
    generate,
    latents,
    posterior,
    show,
)
from jaxgan.sampler.sampler import Sampler
from jaxgan.sampler.standing import require_batch_norm, with_standing_statistics

__all__ = [
    "BATCH",
    "WEIGHTS",
    "Kept",
    "Sampler",
    "apply",
    "batch_of",
    "class_logits",
    "conditions",
    "discriminate",
    "finish",
    "fixed_inputs",
    "generate",
    "keep",
    "latents",
    "load",
    "posterior",
    "require_batch_norm",
    "show",
    "with_standing_statistics",
]
