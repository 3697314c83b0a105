"""Class-conditional BigGAN on CIFAR-10 (Brock et al. 2019), with StudioGAN's settings for 32×32.

python launch.py --config=configs/biggan.py           384 and 192 channels, for accelerators
python launch.py --config=configs/biggan.py:deep      BigGAN-deep: 512 channels in narrow blocks
python launch.py --config=configs/biggan.py:small     a sixth as wide, for two cores

Full training has not been run here yet. StudioGAN reports FID 4.16 and an inception score of 9.96 with these
settings (50,000 samples against the training set, Inception, best checkpoint), not for `deep`. `small` takes
1.7 s a step on two cores, and 1.6 GB of memory.

Evaluations and drawn samples use the batch statistics of 16 batches of latents (standing statistics); the
grids of a training run use running averages. Differences from StudioGAN: averaging starts with the first step
(StudioGAN: after 1,000); the epsilons of batch norm and spectral norm are 1e-5 and 1e-12; the projection is
initially N(0, .02), not orthogonal.
"""

from configs import default


def get_config(variant: str = ""):
    if variant not in ("", "deep", "small"):
        raise ValueError(f"biggan has the variants deep and small, not '{variant}'")
    config = default.get_config()
    config.dataset.name = "tfds/cifar10"
    config.dataset.image_size = 32
    config.data_augment.names = ("flip",)
    config.num_steps = 100_000
    config.batch_size = 64
    config.ema_decay = 0.9999
    config.loss.name = "hinge"
    config.discriminator_steps = 5
    for optimizer in (config.generator_optimizer, config.discriminator_optimizer):
        optimizer.adam.update({"learning_rate": 2e-4, "b1": 0.5, "b2": 0.999, "eps": 1e-6})
    config.evaluation.standing_statistics = 16
    config.condition.name = "labels"
    config.condition.labels.update(
        {"generator": "batch_norm", "discriminator": "projection", "fakes": "uniform"}
    )
    name, width, config.latent_dim = ("biggan_deep", 128, 128) if variant == "deep" else ("biggan", 96, 80)
    for network in (config.generator, config.discriminator):
        network.name = name
        network[name].width = 16 if variant == "small" else width
        network[name].spectral_norm = "."
        network[name].attention = (16,)
    if variant == "small":
        config.num_steps = 10_000
        config.steps_per_call = 5
        config.ema_decay = 0.999
    return config
