"""Generators and discriminators: pure Flax (linen) modules, one file a family.

A generator maps `(z [B, latent_dim], train)` to images `[B, H, W, C]` in [-1, 1], or to points `[B, D]`.
Images of `r3gan` have no bound; they are clipped when they are drawn. A discriminator maps `(images, train)`
to logits `[B]`, and with `features=True` also to its last features `[B, F]`. A generator that takes a
`condition`, `[B, K]`, passes it to its batch norms (`layers.batch_norm`). Other uses of labels are wrappers
around both networks (`conditional.py`).

A network is one class, registered under its name. Its fields, with their defaults, are the config fields
`generator.<name>.*` and `discriminator.<name>.*`. Their annotations give their ranges. A method `check()`
may refuse combinations of fields. A class declares which of the following it needs:

- `shape`, of one example;
- `axis_name`, the device axis, for layers that compare the examples of a batch;
- `synchronized`, whether batch norm is one of these layers;
- `outputs`, of a discriminator: above 1 the logits are `[B, outputs]`;
- `given_shape`, of a generator that makes an image from a given one (`unet`, `resnet_translator`,
  `enlarger`): it is called with `image`, `[B, H, W, C]` in [-1, 1], besides z.

A discriminator that declares no `outputs` may give `[B, P]`, a logit for each of P patches (`patchgan`).

`check()` raises `errors.UserError` or ValueError with what is wrong; the network's name is put before it. A
function that takes these arguments and returns a module can also be registered. A field that cannot be in a
config, such as a function or a type, must be a `ClassVar`.
"""

from jaxgan.registry import Registry

GENERATORS = Registry("generator", given=("shape", "axis_name", "synchronized", "given_shape"))
DISCRIMINATORS = Registry("discriminator", given=("shape", "axis_name", "outputs", "synchronized"))

from jaxgan.models import (  # noqa: E402, F401 (they register themselves)
    biggan,
    biggan_deep,
    dcgan,
    enlarger,
    mlp,
    patchgan,
    r3gan,
    resnet,
    resnet_translator,
    unet,
)
