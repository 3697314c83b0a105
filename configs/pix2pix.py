"""pix2pix on your pairs of pictures: a U-Net against a PatchGAN that sees both (Isola et al. 2017).

python launch.py --config=configs/pix2pix.py --config.dataset.path=FOLDER          256×256, for accelerators
python launch.py --config=configs/pix2pix.py:small --config.dataset.path=FOLDER    64×64, for two cores
python launch.py --config=configs/pix2pix.py:digits    16×16, the embedded digits of their outlines; offline

FOLDER has pictures with A left and B right in train/ and test/, or equal names in train/A and train/B. A is
given and B wanted; --config.dataset.paired.direction=BtoA is the other way round. As published: the logistic
loss plus 100 times the mean absolute difference, Adam 2e-4 with β1 .5, batches of 1. Other than published:
instance norm in place of batch norm, so that a result does not depend on its batch, dropout in training alone
(dropout_in_samples=True is the paper's), and flips without a random crop.

After the 1,000 steps of :digits, in half a minute of one core, 299 test digits of one seed had a PSNR of
26.4 dB (their outlines 9.9), and a classifier named .99 of them as their originals (outlines .49).
"""

from configs import default, sr_mnist


def get_config(variant: str = ""):
    if variant not in ("", "small", "digits"):
        raise ValueError(f"pix2pix has the variants small and digits, not '{variant}'")
    config = default.get_config()
    sr_mnist.set_game(config)
    config.dataset.name = "paired"
    config.dataset.image_size = 256
    config.data_augment.names = ("flip",)
    config.task.name = "paired"
    config.num_steps = 80_000  # 200 epochs of facades
    config.batch_size = 1
    config.schedule.name = "half_linear"
    config.generator.name = "unet"
    config.regularizers.l1.weight = 100.0
    if variant:
        config.dataset.image_size = 64
        config.num_steps = 5_000
        config.batch_size = 4
        config.generator.unet.width = 16
        config.discriminator.patchgan.receptive_field = 34
        config.discriminator.patchgan.width = 16
    if variant == "digits":
        config.dataset.name = "styled_digits"
        config.dataset.styled_digits.update({"digits": "digits", "style": "outline", "direction": "BtoA"})
        config.dataset.image_size = 16
        config.data_augment.names = ()
        config.num_steps = 1_000
        config.batch_size = 32
        config.generator.unet.upsampling = "resize"
        config.discriminator.patchgan.receptive_field = 16
        sr_mnist.set_rates(config, 1e-3, 5e-4)
    return config
