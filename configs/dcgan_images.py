"""A DCGAN on your own folder of PNG or JPEG files, as colour images of 32×32.

python launch.py --config=configs/dcgan_images.py --config.dataset.path=DIR

Images of any size are cropped and resized. For accelerators. Other sizes: --config.dataset.image_size=64;
grey: --config.dataset.images.channels=1. The grids in samples/ show the progress.
"""

from configs import default


def get_config():
    config = default.get_config()
    config.num_steps = 50_000
    config.batch_size = 128
    config.steps_per_call = 50  # fewer on a CPU, according to the cost of a step
    config.dataset.name = "images"
    config.dataset.image_size = 32
    config.generator.name = "dcgan"
    config.generator.dcgan.channels = (256, 128, 64)  # 4·4·256 → 8·8·128 → 16·16·64 → 32·32·3
    config.generator.dcgan.kernels = (5, 5, 5)
    config.generator.dcgan.strides = (2, 2, 2)
    config.discriminator.name = "dcgan"
    config.discriminator.dcgan.channels = (64, 128, 256)
    config.discriminator.dcgan.kernels = (5, 5, 5)
    config.discriminator.dcgan.strides = (2, 2, 2)
    return config
