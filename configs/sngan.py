"""SNGAN on CIFAR-10, or your pictures: residual networks with spectral norm (Miyato et al. 2018).

python launch.py --config=configs/sngan.py                     the paper's networks, for accelerators
python launch.py --config=configs/sngan.py:projection          conditional: batch norm, projection
python launch.py --config=configs/sngan.py:small               a quarter as wide, for two cores
python launch.py --config=configs/sngan.py:small,projection    both
python launch.py --config=configs/sngan.py:images --config.dataset.path=FOLDER     your pictures, 64×64

Full training has not been run here yet. torch-mimicry reports with these settings (50,000 samples, Inception)
FID 16.77 ± .04 and an inception score of 7.97; with projection, 10.84 ± .03 and 8.25. `small` takes 1.5 s
a step on two cores, and 1.3 GB of memory. Its curve on a folder of 50,000 pictures in ten classes is in
jaxgan/benchmarks/README.md:

    python launch.py --config=configs/sngan.py:small,projection --mode=sweep --sweep=seed=0 \\
    --population=off --config.dataset.name=images --config.dataset.path=FOLDER \\
    --config.num_steps=1800 --config.eval_every=200

Variants can be combined. Pictures are cropped and resized to --config.dataset.image_size, a side or (height,
width), from which the depth of both networks follows. Class folders become labels for projection. Maps are
enlarged by repeating pixels, as in the paper; torch-mimicry uses bilinear upsampling.
"""

from configs import default


def get_config(variant: str = ""):
    variants = variant.split(",") if variant else []
    if unknown := [name for name in variants if name not in ("projection", "small", "images")]:
        raise ValueError(f"sngan has the variants projection, small and images, not '{unknown[0]}'")
    config = default.get_config()
    config.dataset.name = "images" if "images" in variants else "tfds/cifar10"
    config.dataset.image_size = 64 if "images" in variants else 32
    config.num_steps = 100_000
    config.batch_size = 64
    config.latent_dim = 128
    config.ema_decay = 0.0  # the published results use no averaged generator
    config.loss.name = "hinge"
    config.discriminator_steps = 5
    config.schedule.name = "linear"  # to 0
    for optimizer in (config.generator_optimizer, config.discriminator_optimizer):
        optimizer.adam.update({"learning_rate": 2e-4, "b1": 0.0, "b2": 0.9})
    for network in (config.generator, config.discriminator):
        network.name = "resnet"
        network.resnet.width = 16 if "small" in variants else 64
    config.discriminator.resnet.spectral_norm = "."
    if "projection" in variants:  # Miyato and Koyama 2018, cGANs with Projection Discriminator
        config.condition.name = "labels"
        config.condition.labels.generator = "batch_norm"
        config.condition.labels.discriminator = "projection"
    if "small" in variants:
        config.num_steps = 10_000
        config.steps_per_call = 5
        config.ema_decay = 0.999
    return config
