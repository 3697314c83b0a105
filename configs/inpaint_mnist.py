"""Inpainting of digits: a U-Net fills a hole of 14×14 in the middle of 28×28 pixels, against a PatchGAN.

python launch.py --config=configs/inpaint_mnist.py
python launch.py --config=configs/inpaint_mnist.py:small   the embedded 8×8 digits, a hole of 4×4; no network
python launch.py --config=configs/inpaint_mnist.py --config.generator_loss_weight=0       without its GAN

The hole is grey, and a further channel says where it is. Other holes: --config.task.inpainting.holes=boxes,
or strokes. The generator minimizes the adversarial loss plus 10 times the mean absolute difference.
"""

from configs import default, sr_mnist


def get_config(variant: str = ""):
    if variant not in ("", "small"):
        raise ValueError(f"inpaint_mnist has the variant small, not '{variant}'")
    config = default.get_config()
    sr_mnist.set_game(config)
    config.dataset.name = "mnist"
    config.dataset.fallback = "digits"
    config.dataset.image_size = 28
    config.task.name = "inpainting"
    config.num_steps = 6_000
    config.generator.name = "unet"
    config.generator.unet.width = 32
    config.generator.unet.upsampling = "resize"
    config.discriminator.patchgan.receptive_field = 34
    config.discriminator.patchgan.width = 32
    if variant == "small":
        config.dataset.name = "digits"
        config.dataset.fallback = ""
        config.dataset.image_size = 0
        config.num_steps = 1_000
        config.generator.unet.width = 16
        config.discriminator.patchgan.receptive_field = 16
        config.discriminator.patchgan.width = 16
        sr_mnist.set_rates(config, 1e-3, 5e-4)
    return config
