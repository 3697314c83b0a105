"""R3GAN on CIFAR-10: a relativistic loss with R1 and R2, and networks without norms (Huang et al. 2024).

python launch.py --config=configs/r3gan.py                   768 channels, 20.7 million parameters each
python launch.py --config=configs/r3gan.py:stacked_mnist     the same networks on Stacked-MNIST
python launch.py --config=configs/r3gan.py:small             32 channels, for two cores

The first two are for accelerators. Full training has not been run here yet. The paper reports FID 1.96 on
CIFAR-10 (50,000 samples), and 1,000 modes and a reverse KL of .029 on Stacked-MNIST. `small` takes 2.3 s of
CPU time per step and 1.4 GB of memory.

With the classes, as in the paper: --config.condition.name=labels --config.condition.labels.embedding=768
--config.condition.labels.discriminator=inner_product.

Differences from the paper: the learning rate, the weights of R1 and R2, β2 and the averaging follow no
half-cosine schedules; they have the constant values below. There is no adaptive augmentation. Training is in
float32. Digits are scaled to 32×32.
"""

from configs import default


def get_config(variant: str = ""):
    if variant not in ("", "stacked_mnist", "small"):
        raise ValueError(f"r3gan has the variants stacked_mnist and small, not '{variant}'")
    config = default.get_config()
    stacked = variant == "stacked_mnist"
    config.dataset.name = "stacked_mnist" if stacked else "tfds/cifar10"
    config.dataset.image_size = 32
    config.num_steps = 19_532 if stacked else 488_282  # 10 and 250 million images
    config.batch_size = 512
    config.latent_dim = 64
    config.ema_decay = 0.9993 if stacked else 0.99993  # half-lives of half a million and five million images
    config.loss.name = "relativistic_pairing"
    for penalty in (config.regularizers.r1, config.regularizers.r2):
        penalty.weight = 1.0 if stacked else 0.05  # falls to a tenth in the paper
    for optimizer in (config.generator_optimizer, config.discriminator_optimizer):
        optimizer.adam.update({"learning_rate": 2e-4, "b1": 0.0, "b2": 0.99})
    for network in (config.generator, config.discriminator):
        network.name = "r3gan"
        network.r3gan.width = 32 if variant == "small" else 768
    if stacked:
        config.dataset.stacked_mnist.num_triples = 0  # new triples in every batch
        config.evaluation.protocol = "26k"
        config.evaluation.extractor.name = "classifier"
        config.evaluation.statistics.names = ("class_coverage",)
    else:
        config.data_augment.names = ("flip",)
    if variant == "small":
        config.num_steps = 10_000
        config.batch_size = 32
        config.ema_decay = 0.999
        config.steps_per_call = 5
    return config
