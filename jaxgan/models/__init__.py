"""Generators and discriminators: pure Flax (linen) modules, one file a family.

A generator maps `(z [B, latent_dim], labels, train)` to images `[B, H, W, C]` in [-1, 1] (or points
`[B, D]`), a discriminator maps `(images, labels, train)` to logits `[B]` and, with `features=True`, also
its last features `[B, F]`. A builder takes the shape of one example, for layers that couple the examples
of a batch the name of the device axis, and a discriminator's also the number of its outputs (above 1 the
logits are `[B, outputs]`); its keyword-only parameters are the config fields `generator.<name>.*` and
`discriminator.<name>.*`.
"""

from jaxgan.registry import Registry

GENERATORS = Registry("generator")
DISCRIMINATORS = Registry("discriminator")

from jaxgan.models import dcgan, mlp  # noqa: E402, F401 (they register themselves)
