"""Faces, or other grey images of 48×48, from your own array: dense generator, convolutional discriminator.

python launch.py --config=configs/faces.py --config.dataset.path=faces.npy
python launch.py --config=configs/faces.py:small --config.dataset.path=faces.npy     24×24, for two cores

faces.npy: uint8 `[N, H, W]`, 0 black, 255 white. Images of any size are cropped and resized. For floats give
the values of black and white: --config.dataset.array.low=0 --config.dataset.array.high=1. The generator is
dense and has no notion of neighbouring pixels, so it works best on faces in the same pose.

DiffAugment (Zhao et al. 2020) makes the most of few images. Tried on 100 faces of 25×25, of which 83 train:
after 3,000 steps of :small, in a minute and a half beside other work, the fakes are different faces. With a
discriminator's rate of 1e-4 they looked a little worse. Without augmentation the discriminator wins (loss .04
with 3e-4), and the fakes are noise around one face.
"""

from configs import default


def get_config(variant: str = ""):
    if variant not in ("", "small"):
        raise ValueError(f"faces has the variant 'small', not '{variant}'")
    config = default.get_config()
    config.num_steps = 20_000
    config.dataset.name = "array"
    config.dataset.image_size = 48
    config.generator.name = "mlp"
    config.discriminator.name = "dcgan"
    config.loss.name = "hinge"
    config.augment.names = ("color", "translation", "cutout")
    generator, discriminator = config.generator.mlp, config.discriminator.dcgan
    generator.hidden = (512, 512)  # 100→512→512→2304
    generator.activation = "relu"
    generator.weights, generator.batch_norm = "glorot", True
    discriminator.channels = (32, 64, 128)
    discriminator.kernels, discriminator.strides = (3, 3, 3), (2, 2, 2)
    discriminator.batch_norm = False
    discriminator.spectral_norm = "."
    discriminator.minibatch_discrimination = 16  # compares the examples of a batch
    config.generator_optimizer.adam.update({"learning_rate": 1e-3, "b1": 0.4})
    config.discriminator_optimizer.adam.update({"learning_rate": 3e-4, "b1": 0.2})
    if variant == "small":
        config.num_steps = 5_000
        config.dataset.image_size = 24
        generator.hidden = (256, 256)  # 100→256→256→576
        discriminator.channels = (16, 32, 64)
    return config
