"""Six ways to condition on a label, compared on MNIST: the networks of the main example, with error bars.

python launch.py --config=configs/conditional_mnist.py --mode=sweep --sweep='seed=0:3'

Networks, loss, learning rates and number of steps are those of configs/dcgan_mnist.py. The rows differ
only in the method of conditioning. Projection needs another discriminator, see _FOR_PROJECTION.
Each run takes 3 to 8 minutes on two cores. What was measured is in jaxgan/benchmarks/README.md.
"""

from configs import dcgan_mnist

_STATISTICS = ("frechet_distance", "prdc")


def _labels(generator: str, discriminator: str, **weights: float):
    """Overrides for a condition, the `weights` of penalties, and metrics of conditional GANs."""
    condition = {
        "condition.name": "labels",
        "evaluation.statistics.names": (*_STATISTICS, "class_accuracy", "intra_class_distance"),
        "condition.labels.generator": generator,
        "condition.labels.discriminator": discriminator,
    }
    return condition | {f"regularizers.{name}.weight": weight for name, weight in weights.items()}


# Batch norm in the discriminator breaks projection: it amplifies small differences between fakes, which then
# pass for classes. Without it a generator makes one image a class, unless the discriminator compares all
# examples of the batch. In a group of four, as of minibatch statistics, two seldom have the same class.
_FOR_PROJECTION = {
    "discriminator.dcgan.batch_norm": False,
    "discriminator.dcgan.spectral_norm": ".",
    "discriminator.dcgan.minibatch_discrimination": 16,
    "discriminator_optimizer.adam.learning_rate": 1e-3,
    "loss.name": "hinge",
}

# The rows: `--mode=sweep` runs each of them with every seed.
SETTINGS = {
    "unconditional": {},
    "projection": _labels("batch_norm", "projection") | _FOR_PROJECTION,  # Miyato and Koyama 2018
    "cgan": _labels("joined", "joined"),  # Mirza and Osindero 2014
    "acgan": _labels("batch_norm", "none", ac=1.0) | {"regularizers.ac.fakes": True},  # Odena et al. 2017
    "2C": _labels("batch_norm", "none", contrastive=1.0),  # Kang and Park 2020, ContraGAN
    "D2D-CE": _labels("batch_norm", "none", d2d_ce=0.5),  # Kang et al. 2021, ReACGAN
}


def get_config():
    config = dcgan_mnist.get_config()
    config.dataset.fallback = ""  # the table is only for MNIST
    config.sample_every = 5_000
    config.log_every = 500
    config.evaluation.statistics.names = _STATISTICS
    return config
