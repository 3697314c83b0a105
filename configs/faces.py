"""Faces, or other grey images of 48×48, from your own array: dense generator, convolutional discriminator.

python launch.py --config=configs/faces.py --config.dataset.path=faces.npy
python launch.py --config=configs/faces.py:small --config.dataset.path=faces.npy     24×24, for two cores

faces.npy: uint8 `[N, H, W]`, 0 black, 255 white. Images of any size are cropped and resized. For floats give
the values of black and white: --config.dataset.array.low=0 --config.dataset.array.high=1. The generator is
dense and has no notion of neighbouring pixels, so it works best on faces in the same pose.

Tried on 100 faces of 25×25: 1,500 steps of :small took a minute and a half beside other work. The faces
differ and have much noise; the discriminator won (83 training faces are few). With the large one's loss,
rates, norms and dropout, the fakes of the small networks were nearly alike after 500 steps. Rates were not
searched.
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
    config.generator.mlp.hidden = (512, 512)  # 100→512→512→2304
    config.generator.mlp.activation = "relu"
    config.discriminator.name = "dcgan"
    config.discriminator.dcgan.channels = (32, 64, 128)
    config.discriminator.dcgan.kernels = (3, 3, 3)
    config.discriminator.dcgan.strides = (2, 2, 2)
    config.discriminator.dcgan.slope = 0.01
    config.discriminator.dcgan.batch_norm = False
    config.discriminator.dcgan.dropout = 0.3
    if variant == "small":
        config.num_steps = 5_000
        config.dataset.image_size = 24
        config.generator.mlp.hidden = (256, 256)  # 100→256→256→576
        config.generator.mlp.weights, config.generator.mlp.batch_norm = "glorot", True
        discriminator = config.discriminator.dcgan
        discriminator.channels = (16, 32, 64)
        discriminator.slope, discriminator.dropout = 0.2, 0.0
        discriminator.spectral_norm = "."
        discriminator.minibatch_discrimination = 16  # compares the examples of a batch
        config.loss.name = "hinge"
        config.generator_optimizer.adam.update({"learning_rate": 1e-3, "b1": 0.4})
        config.discriminator_optimizer.adam.update({"learning_rate": 1e-3, "b1": 0.2})
    return config
