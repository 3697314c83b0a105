"""R3GAN on CIFAR-10: a relativistic loss with R1 and R2, and networks without norms (Huang et al. 2024).

python launch.py --config=configs/r3gan.py                   768 channels, 20.7 million parameters each
python launch.py --config=configs/r3gan.py:stacked_mnist     the same networks on Stacked-MNIST
python launch.py --config=configs/r3gan.py:small             16 to 128 channels, for two cores
python launch.py --config=configs/r3gan.py:stacked_mnist,small     both

The first two are for accelerators. Full training has not been run here yet. The paper reports FID 1.96 on
CIFAR-10 (50,000 samples), and 1,000 modes and a reverse KL of .029 on Stacked-MNIST. On Stacked-MNIST
`small` takes .6 s a step on two cores, and 2.3 GB of memory; one run found 241 modes in 2,500 steps, see
jaxgan/benchmarks/README.md. On 50,000 colour pictures (--config.dataset.name=images) it takes .4 s and
3.0 GB, measured on another day; it was run for 60 steps only.

On CIFAR-10 both networks are told the classes, as in the paper; pictures without classes ask for
--config.condition.name=none.

As published: R1 and R2 in every update; γ, β2, the learning rate, the average's half-life and the probability
of augmentation follow half a cosine in the first steps, and are then constant; the generator's update has a
batch of its own; operations on colours have half the probability of the others. Differences: training is in
float32, and digits are scaled to 32×32. `small` has a burn-in of 8 % of its steps, an average over fewer
images, five times the learning rate, and 16 times γ, as its batch is a 16th (StyleGAN2-ADA's rule). With
the published γ one run on Stacked-MNIST had 8 modes after 750 steps, against 158.

The curve of `small` on Stacked-MNIST:

    python launch.py --config=configs/r3gan.py:stacked_mnist,small --mode=sweep --sweep=seed=0 \\
    --population=off --config.dataset.fallback= --config.num_steps=2500 --config.eval_every=250
"""

from configs import default
from configs.recipes import BLITTING, COLOUR, GEOMETRY


def _over(config, field, num_steps, end):
    """Lets a number go to an end along half a cosine."""
    schedule = config.schedules
    for name in field.split("."):
        schedule = schedule[name]
    schedule.update({"form": "cosine", "end": end, "num_steps": num_steps})


def get_config(variant: str = ""):
    variants = variant.split(",") if variant else []
    if unknown := [name for name in variants if name not in ("stacked_mnist", "small")]:
        raise ValueError(f"r3gan has the variants stacked_mnist and small, not '{unknown[0]}'")
    config = default.get_config()
    stacked, small = "stacked_mnist" in variants, "small" in variants
    config.dataset.name = "stacked_mnist" if stacked else "tfds/cifar10"
    config.dataset.image_size = 32
    config.num_steps = 10_000 if small else 19_532 if stacked else 488_282  # 10 and 250 million images
    burn_in = 800 if small else 3_906 if stacked else 39_063  # 2 and 20 million images
    config.batch_size = 32 if small else 512
    config.latent_dim = 64
    config.loss.name = "relativistic_pairing"
    config.generator_batch = "fresh"
    config.ema_half_life = 1e-8  # images: at first the average is the generator itself
    _over(config, "ema_half_life", burn_in, 20_000.0 if small else 500_000.0 if stacked else 5_000_000.0)
    gamma = (1.0 if stacked else 0.05) * 512 / config.batch_size  # for other batches by StyleGAN2-ADA's rule
    for name in ("r1", "r2"):
        config.regularizers[name].weight = gamma
        _over(config, f"regularizers.{name}.weight", burn_in, gamma / 10)
    for section in ("generator_optimizer", "discriminator_optimizer"):
        rate = 1e-3 if small else 2e-4
        config[section].adam.update({"learning_rate": rate, "b1": 0.0, "b2": 0.9})
        _over(config, f"{section}.adam.b2", burn_in, 0.99)
        if not stacked:
            _over(config, f"{section}.adam.learning_rate", burn_in, rate / 4)
    for network in (config.generator, config.discriminator):
        network.name = "r3gan"
        network.r3gan.width = 16 if small else 768
    if stacked:
        config.dataset.stacked_mnist.num_triples = 0  # new triples in every batch
        config.evaluation.protocol = "26k"
        config.evaluation.extractor.name = "classifier"
        config.evaluation.statistics.names = ("class_coverage",)
    else:
        config.condition.name = "labels"
        config.condition.labels.discriminator = "inner_product"
        config.condition.labels.embedding = 128 if small else 768  # the discriminator's last maps
        config.condition.labels.generator_embedding = config.latent_dim
        config.data_augment.names = ("flip",)
        config.augment.names = (*BLITTING, *GEOMETRY, *COLOUR, "cutout")
        config.augment.multipliers = tuple(0.5 if name in COLOUR else 1.0 for name in config.augment.names)
        config.augment.probability = 0.0
        _over(config, "augment.probability", burn_in, 0.55)
    if small:
        config.generator.r3gan.multipliers = (8, 4, 2, 1)  # 128 channels at 4×4, 16 at 32×32
        config.discriminator.r3gan.multipliers = (1, 2, 4, 8)
        config.steps_per_call = 5
        if stacked:
            config.eval_every = config.checkpoint_every = 500
    return config
