"""A trained generator as a function: `sampler = jaxgan.load(workdir); images = sampler(seed=0, num=64)`.

Of a conditional one: `sampler(labels=7)`, a list of labels or names of classes, which take turns, or none; of
InfoGAN's `sampler(codes={0: 7})`, which fixes its first code.
"""

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
)
from jaxgan.sampler.sampler import Sampler

__all__ = [
    "BATCH",
    "WEIGHTS",
    "Sampler",
    "apply",
    "batch_of",
    "class_logits",
    "conditions",
    "discriminate",
    "finish",
    "fixed_inputs",
    "generate",
    "latents",
    "load",
    "posterior",
]
