"""Colouring of your pictures: a U-Net makes 32×32 pixels in colour from grey ones, against a PatchGAN.

python launch.py --config=configs/colour_images.py --config.dataset.path=FOLDER
python launch.py --config=configs/colour_images.py:small --config.dataset.path=FOLDER     for two cores
python launch.py --config=configs/colour_images.py:digits      the embedded digits, ten colours; no network

Pictures are cropped and resized to dataset.image_size, of which both sides must be multiples of
2^generator.unet.depth. Held-out pictures are shown in samples/: grey, coloured, true. The generator minimizes
the adversarial loss plus 100 times the mean absolute difference, as pix2pix (Isola et al. 2017).

The luma is kept; the network chooses the colours. After the 3,000 steps of :small, 4 minutes beside other
work, 2,500 test pictures of three seeds had a Fréchet distance of 7.2 (grey 19.9, without the GAN 11.0) and a
PSNR of 25.1 dB (25.8, 25.6), see jaxgan/benchmarks/README.md:
    python launch.py --config=configs/colour_images.py:small --mode=sweep --sweep='seed=0:3' \\
    --sweep='generator_loss_weight=1,0' --population=off --config.dataset.path=FOLDER \\
    --config.evaluation.protocol=2500 \\
    --config.evaluation.statistics.names='("frechet_distance","class_accuracy","psnr","ssim")'

In :digits each class has a colour of its own. After its 1,000 steps 299 test digits of one seed had 31.1 dB
(grey 13.4), and a classifier of coloured digits named .98 of them as their originals (grey .26).
"""

from configs import default, sr_mnist


def get_config(variant: str = ""):
    if variant not in ("", "small", "digits"):
        raise ValueError(f"colour_images has the variants small and digits, not '{variant}'")
    config = default.get_config()
    sr_mnist.set_game(config)
    config.dataset.name = "images"
    config.dataset.image_size = 32
    config.task.name = "colouring"
    config.num_steps = 20_000
    config.generator.name = "unet"
    config.discriminator.patchgan.receptive_field = 34
    config.regularizers.l1.weight = 100.0
    if variant:
        config.num_steps = 3_000
        config.batch_size = 16
        config.generator.unet.width = 16
        config.discriminator.patchgan.width = 16
    if variant == "digits":
        config.dataset.name = "styled_digits"
        config.dataset.styled_digits.update({"digits": "digits", "style": "coloured", "form": "styled"})
        config.dataset.image_size = 16
        config.num_steps = 1_000
        config.batch_size = 32
        config.generator.unet.upsampling = "resize"
        config.discriminator.patchgan.receptive_field = 16
        sr_mnist.set_rates(config, 1e-3, 5e-4)
    return config
