"""A tiny DCGAN on the embedded handwritten digits, enlarged to 16×16. The shortest run; works offline.

python launch.py --config=configs/dcgan_digits.py

On two cores it takes half a minute, and 11 s with --config.num_steps=1000 (18 s if nothing is compiled yet).
Most of its digits can be read at a glance. Over three seeds, 240 fakes had a precision of .83 and a recall of
.84. With batch norm, the non-saturating loss and the rates that this config had before, after 4,000 steps,
these were .85 and .59 (jaxgan/benchmarks/README.md).
"""

from configs import default


def get_config():
    config = default.get_config()
    config.num_steps = 3_000
    config.dataset.name = "digits"
    config.dataset.image_size = 16  # the digits have 8×8 pixels, and can hardly be read like that
    config.loss.name = "hinge"
    config.generator.name = config.discriminator.name = "dcgan"
    generator, discriminator = config.generator.dcgan, config.discriminator.dcgan
    generator.dense = (128,)
    generator.channels = (32, 16)  # 4·4·32 → 8·8·16 → 16·16·1
    generator.kernels, generator.strides = (4, 4), (2, 2)
    discriminator.channels = (16, 32)
    discriminator.kernels, discriminator.strides = (4, 4), (2, 2)
    discriminator.dense = (128,)
    discriminator.batch_norm = False
    discriminator.spectral_norm = "."
    discriminator.minibatch_discrimination = 16  # compares the examples of a batch
    config.generator_optimizer.adam.update({"learning_rate": 1.5e-3, "b1": 0.4})
    config.discriminator_optimizer.adam.update({"learning_rate": 1e-3, "b1": 0.2})
    return config
