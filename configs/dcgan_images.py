"""A DCGAN on your own folder of PNG or JPEG files, as colour images of 32×32.

python launch.py --config=configs/dcgan_images.py --config.dataset.path=FOLDER          for accelerators
python launch.py --config=configs/dcgan_images.py:small --config.dataset.path=FOLDER    for two cores

Images of any size are cropped and resized. Other sizes: --config.dataset.image_size=64; grey:
--config.dataset.images.channels=1. The grids in samples/ show the progress.

On 50,000 colour pictures of 32×32, :small takes 5 min 36 s on two cores. Its fakes are laid out like
photographs, with shapes of vehicles, ships, birds and horses. The layers, loss and rates of :small were
compared in short runs and a short search, see jaxgan/benchmarks/README.md. The numbers of the large one were
not searched.
"""

from configs import default


def get_config(variant: str = ""):
    if variant not in ("", "small"):
        raise ValueError(f"dcgan_images has the variant 'small', not '{variant}'")
    config = default.get_config()
    config.dataset.name = "images"
    config.dataset.image_size = 32
    config.generator.name = config.discriminator.name = "dcgan"
    generator, discriminator = config.generator.dcgan, config.discriminator.dcgan
    generator.strides = discriminator.strides = (2, 2, 2)
    if variant == "small":
        config.num_steps = 12_000
        config.batch_size = 64
        config.steps_per_call = 20
        generator.channels = (64, 32, 16)  # 4·4·64 → 8·8·32 → 16·16·16 → 32·32·3
        generator.kernels = (4, 4, 4)
        discriminator.channels, discriminator.kernels = (16, 32, 64), (4, 4, 4)
        discriminator.batch_norm = False
        discriminator.spectral_norm = "."
        discriminator.minibatch_discrimination = 16
        config.loss.name = "hinge"
        config.generator_optimizer.adam.update({"learning_rate": 1e-3, "b1": 0.4})
        config.discriminator_optimizer.adam.update({"learning_rate": 1e-3, "b1": 0.2})
    else:
        config.num_steps = 50_000
        config.batch_size = 128
        config.steps_per_call = 50  # fewer on a CPU, according to the cost of a step
        generator.channels = (256, 128, 64)  # 4·4·256 → 8·8·128 → 16·16·64 → 32·32·3
        generator.kernels = (5, 5, 5)
        discriminator.channels = (64, 128, 256)
        discriminator.kernels = (5, 5, 5)
    return config
