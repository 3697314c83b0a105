"""Super-resolution of digits: a residual network enlarges 7×7 pixels to 28×28, against a PatchGAN.

python launch.py --config=configs/sr_mnist.py
python launch.py --config=configs/sr_mnist.py:small        the embedded 8×8 digits, from 4×4; no network
python launch.py --config=configs/sr_mnist.py --config.generator_loss_weight=0     without its GAN

The generator minimizes the adversarial loss plus 100 times the mean absolute difference (:small 10 times). In
samples/ are test images: what is given, what is made of it, and what is wanted.

Three seeds, with and without the GAN (results in jaxgan/benchmarks/README.md, 4 minutes a run on two cores):
    python launch.py --config=configs/sr_mnist.py --mode=sweep --sweep='generator_loss_weight=0.1,0' \\
    --sweep='seed=0:3' --config.dataset.fallback= --population=off \\
    --config.evaluation.statistics.names='("frechet_distance","class_accuracy","psnr","ssim")' \\
    --config.evaluation.protocol=2500
2,500 test digits had a PSNR of 21.7 dB (bicubic 14.5) and a class accuracy of .968 (.778).

After the 1,000 steps of :small, in a quarter of a minute, 299 test digits of one seed had a PSNR of 19.7 dB
(bicubic 13.3), and a classifier named .93 of them as their originals (bicubic .75).
"""

from configs import default


def set_game(config):
    """A generator that is given images, against a discriminator of patches."""
    config.condition.name = "image"
    config.latent_dim = 1  # the networks do not use it
    config.batch_size = 32
    config.discriminator.name = "patchgan"
    config.regularizers.l1.weight = 10.0
    set_rates(config, 2e-4, 2e-4)


def set_rates(config, generator, discriminator):
    """Learning rates of Adam."""
    config.generator_optimizer.adam.update({"learning_rate": generator, "b1": 0.5, "b2": 0.999})
    config.discriminator_optimizer.adam.update({"learning_rate": discriminator, "b1": 0.5, "b2": 0.999})


def get_config(variant: str = ""):
    if variant not in ("", "small"):
        raise ValueError(f"sr_mnist has the variant small, not '{variant}'")
    config = default.get_config()
    set_game(config)
    config.dataset.name = "mnist"
    config.dataset.fallback = "digits"
    config.dataset.image_size = 28
    config.task.name = "super_resolution"
    config.task.super_resolution.factor = 4
    config.num_steps = 6_000
    config.generator.name = "enlarger"
    config.generator.enlarger.width = 16
    config.generator.enlarger.blocks = 6
    config.generator_loss_weight = 0.1
    config.discriminator.patchgan.receptive_field = 16
    config.discriminator.patchgan.width = 16
    if variant == "small":
        config.dataset.name = "digits"
        config.dataset.fallback = ""
        config.dataset.image_size = 0
        config.task.super_resolution.factor = 2
        config.num_steps = 1_000
        config.generator.enlarger.blocks = 2
        config.generator_loss_weight = 1.0
        set_rates(config, 1e-3, 5e-4)
    return config
