"""A DCGAN on MNIST with two dense layers of 1024 before the projection, and z uniform in (-1, 1).

python launch.py --config=configs/dcgan_mnist_dense.py

For accelerators: a step costs several times as much as with configs/dcgan_mnist.py. Without the dense layers:
--config.generator.dcgan.dense='()'; with z normal: --config.latent=normal.
"""

from configs import default


def get_config():
    config = default.get_config()
    config.num_steps = 20_000
    config.latent = "uniform"
    config.dataset.name = "mnist"
    config.dataset.fallback = "digits"  # if MNIST is not available
    config.dataset.image_size = 28
    config.generator.name = "dcgan"
    config.generator.dcgan.dense = (1024, 1024)
    config.generator.dcgan.channels = (256, 128, 64)  # 7·7·256, then transposed convolutions 128, 64, 1
    config.generator.dcgan.kernels = (5, 5, 7)
    config.generator.dcgan.strides = (2, 2, 1)
    config.discriminator.name = "dcgan"
    config.discriminator.dcgan.channels = (32, 64, 128)
    config.discriminator.dcgan.kernels = (5, 5, 5)
    config.discriminator.dcgan.strides = (2, 2, 2)
    return config
