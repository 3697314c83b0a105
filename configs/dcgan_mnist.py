"""A DCGAN on MNIST: the main example.

python launch.py --config=configs/dcgan_mnist.py               sized for a CPU of two cores
python launch.py --config=configs/dcgan_mnist.py:conditional   the same, conditioned on each digit's class
python launch.py --config=configs/dcgan_mnist.py:full          wider, no dense layers, for accelerators

On two cores the first takes 3 minutes. Its digits can be recognized after 500 steps, which take 19 seconds.
Results over several seeds are in jaxgan/benchmarks/README.md.
"""

from configs import default

VARIANTS = ("", "conditional", "full")


def set_rates(config):
    """Adam's numbers, found by configs/dcgan_mnist_search.py for the layers below."""
    config.generator_optimizer.adam.update({"learning_rate": 1.5e-3, "b1": 0.4, "b2": 0.999})
    config.discriminator_optimizer.adam.update({"learning_rate": 5e-4, "b1": 0.2, "b2": 0.999})


def get_config(variant: str = ""):
    if variant not in VARIANTS:
        raise ValueError(f"dcgan_mnist has the variants 'conditional' and 'full', not '{variant}'")
    config = default.get_config()
    config.dataset.name = "mnist"
    config.dataset.fallback = "digits"  # scikit-learn's 1,797 digits if MNIST is not available
    config.dataset.image_size = 28
    config.loss.name = "nonsaturating"
    config.latent = "normal"
    config.generator.name = "dcgan"
    config.discriminator.name = "dcgan"

    if variant == "full":
        config.num_steps = 20_000
        config.steps_per_call = 50  # fewer on a CPU, according to the cost of a step
        config.batch_size = 128
        config.generator.dcgan.channels = (256, 128, 64)
        config.generator.dcgan.kernels = (5, 5, 5)
        config.discriminator.dcgan.channels = (64, 128)
    else:
        config.num_steps = 10_000
        config.steps_per_call = 20
        config.sample_every = 500
        config.checkpoint_every = 1_000
        config.batch_size = 64
        generator, discriminator = config.generator.dcgan, config.discriminator.dcgan
        generator.dense = (256,)  # 256 → 7·7·32 → 14·14·16 → 28·28·1
        generator.channels = (32, 16)
        generator.kernels, generator.strides = (4, 4), (2, 2)
        discriminator.channels, discriminator.kernels = (16, 32), (4, 4)
        discriminator.dense = (256,)
        set_rates(config)
    if variant == "conditional":
        config.condition.name = "labels"
        config.condition.labels.generator = "batch_norm"
        config.condition.labels.discriminator = "joined"
    return config
