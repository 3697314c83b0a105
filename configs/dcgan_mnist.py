"""A DCGAN on MNIST: the main example.

python launch.py --config=configs/dcgan_mnist.py          sized for a CPU of two cores
python launch.py --config=configs/dcgan_mnist.py:full     the reference configuration, for accelerators

Digits can be recognized after 1,000 steps of the first, most of them after 8,000.
"""

from configs import default

VARIANTS = ("", "full")


def get_config(variant: str = ""):
    if variant not in VARIANTS:
        raise ValueError(f"dcgan_mnist has the variant 'full', not '{variant}'")
    config = default.get_config()
    config.dataset.name = "mnist"
    config.dataset.fallback = "digits"  # scikit-learn's 1,797 digits, where MNIST is not to be had
    config.dataset.image_size = 28
    config.loss.name = "nonsaturating"
    config.latent = "normal"
    config.generator.name = "dcgan"
    config.discriminator.name = "dcgan"

    if variant == "full":
        config.num_steps = 20_000
        config.steps_per_call = 50  # fewer on a CPU, by its arithmetic
        config.batch_size = 128
        config.generator.dcgan.channels = (256, 128, 64)
        config.generator.dcgan.kernels = (5, 5, 5)
        config.discriminator.dcgan.channels = (64, 128)
    else:
        config.num_steps = 8_000
        config.steps_per_call = 10
        config.sample_every = 200
        config.checkpoint_every = 500
        config.batch_size = 64
        config.generator.dcgan.channels = (64, 32, 16)
        config.generator.dcgan.kernels = (5, 5, 5)
        config.discriminator.dcgan.channels = (32, 64)
    return config
