"""Faces, or other grey images of 48×48, from your own array: dense generator, convolutional discriminator.

python launch.py --config=configs/faces.py --config.dataset.path=faces.npy

faces.npy: uint8 `[N, H, W]`, 0 black, 255 white. Images of any size are cropped and resized. For floats give
the values of black and white: --config.dataset.array.low=0 --config.dataset.array.high=1. The generator is
dense and has no notion of neighbouring pixels, so it works best on faces in the same pose.
"""

from configs import default


def get_config():
    config = default.get_config()
    config.num_steps = 20_000
    config.dataset.name = "array"
    config.dataset.image_size = 48
    config.generator.name = "mlp"
    config.generator.mlp.hidden = (512, 512)  # 100→512→512→2304
    config.generator.mlp.activation = "relu"
    config.discriminator.name = "dcgan"
    config.discriminator.dcgan.channels = (32, 64, 128)
    config.discriminator.dcgan.kernels = (3, 3, 3)
    config.discriminator.dcgan.strides = (2, 2, 2)
    config.discriminator.dcgan.slope = 0.01
    config.discriminator.dcgan.batch_norm = False
    config.discriminator.dcgan.dropout = 0.3
    return config
