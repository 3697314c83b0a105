"""Stacked-MNIST: three digits are the colour channels of an image, which gives 1,000 modes.

python launch.py --config=configs/stacked_mnist.py               PacGAN's DCGAN, 64 to 512 channels
python launch.py --config=configs/stacked_mnist.py:tiny          Unrolled GAN's: a discriminator 1/4 as wide
python launch.py --config=configs/stacked_mnist.py:tiny_half     the same, 1/2 as wide as the generator
python launch.py --config=configs/stacked_mnist.py:small         for one or two cores: RpGAN + R1 + R2

The first three are for accelerators, and were not trained here. --mode=evaluate counts the modes. Published
results (modes found; reverse KL; 26,000 samples and 10 trials for the DCGAN, 25,600 and 50 for the others):

                 packing 1              packing 2
    DCGAN        78.9 ± 6.5    4.50     1000          .06
    tiny         78.5 ± 17.6   5.21     484.5 ± 33    2.61
    tiny_half    487.7         2.24     840.7         1.00

`small` has the networks of dcgan_mnist, twice as wide, and the loss and penalties of R3GAN (Huang et al.
2024). A step takes .034 s on two cores, and .9 GB of memory (without evaluation); a run takes 20 minutes on
one core. All of three seeds found more than 990 modes after 5,000 steps, and 1,000 with a reverse KL of .06
to .08 at the end, see jaxgan/benchmarks/README.md:
    python launch.py --config=configs/stacked_mnist.py:small --mode=sweep --sweep=seed=0:3 --population=off \\
    --config.dataset.fallback=
With penalties of weight .1 and rates of .001 and .0005 it collapsed within 500 steps.

Packing 2 keeps the number of packs in a batch: --config.packing=2 and twice the --config.batch_size.

PacGAN's code (Lin et al. 2018, section 4.2) differs from this config in four points. Its triples are fixed,
from all 70,000 digits; with packing 2 the pairs of triples are fixed, too. Its real images lie in [0, 1]. Its
second generator update uses the same latents as the first. The first layer of its tiny discriminator also has
a batch norm.
"""

from configs import default

TINY = {"tiny": (2, 4, 8), "tiny_half": (4, 8, 16)}  # variant: channels of the discriminator


def get_config(variant: str = ""):
    if variant not in ("", "small", *TINY):
        raise ValueError(f"stacked_mnist has the variants small, {', '.join(TINY)}, not '{variant}'")
    config = default.get_config()
    config.dataset.name = "stacked_mnist"
    config.dataset.image_size = 28
    config.generator.name = "dcgan"
    config.discriminator.name = "dcgan"
    config.ema_decay = 0.0  # the papers draw from the generator without averaging
    generator, discriminator = config.generator.dcgan, config.discriminator.dcgan
    generator_adam, discriminator_adam = config.generator_optimizer.adam, config.discriminator_optimizer.adam

    if variant in TINY:  # Metz et al. 2017, Unrolled Generative Adversarial Networks, section 3.3
        config.num_steps = 500_000
        config.batch_size = 128
        config.latent = "normal"
        config.latent_dim = 256
        config.dataset.stacked_mnist.num_triples = 0  # new triples in every batch
        config.evaluation.protocol = "25.6k"
        generator.channels = (64, 32, 16, 8)  # 4·4·64 → 7·7·32 → 14·14·16 → 28·28·8 → 28·28·3
        generator.kernels = (3, 3, 3, 3)
        generator.strides = (2, 2, 2, 1)
        discriminator.channels = TINY[variant]
        discriminator.kernels = (3, 3, 3)
        discriminator.strides = (2, 2, 2)
        discriminator.slope = 0.3
        generator_adam.learning_rate, discriminator_adam.learning_rate = 1e-4, 2e-4
        generator_adam.b2 = discriminator_adam.b2 = 0.99
    elif variant == "small":  # the networks of dcgan_mnist, with the loss and penalties of Huang et al. 2024
        config.num_steps = 20_000
        config.batch_size = 64
        config.latent = "normal"
        config.ema_decay = 0.999
        config.dataset.stacked_mnist.num_triples = 0  # new triples in every batch
        config.evaluation.protocol = "26k"
        config.loss.name = "relativistic_pairing"
        config.regularizers.r1.weight = config.regularizers.r2.weight = 2.0
        generator.dense = (256,)  # 256 → 7·7·64 → 14·14·32 → 28·28·3
        generator.channels = (64, 32)
        generator.kernels, generator.strides = (4, 4), (2, 2)
        discriminator.channels, discriminator.kernels = (32, 64), (4, 4)
        discriminator.dense = (256,)
        discriminator.batch_norm = False
        generator_adam.learning_rate = discriminator_adam.learning_rate = 2e-3
        config.schedule.name = "half_linear"  # both rates fall to 0 from the middle of the run on
    else:  # Lin et al. 2018, section 4.2, after Srivastava et al. 2017, VEEGAN, section 4
        config.num_steps = 200_000  # generator updates; 50 epochs of 128,000 triples for the discriminator
        config.batch_size = 64
        config.generator_steps = 2
        config.latent = "uniform"
        config.latent_dim = 100
        config.evaluation.protocol = "26k"
        generator.channels = (512, 256, 128, 64)  # 2·2·512 → 4·4·256 → 7·7·128 → 14·14·64 → 28·28·3
        generator.kernels = (5, 5, 5, 5)
        generator.strides = (2, 2, 2, 2)
        discriminator.channels = (64, 128, 256, 512)
        discriminator.kernels = (5, 5, 5, 5)
        discriminator.strides = (2, 2, 2, 2)
        generator_adam.learning_rate = discriminator_adam.learning_rate = 2e-4
    generator_adam.b1 = discriminator_adam.b1 = 0.5

    config.evaluation.extractor.name = "classifier"  # names each channel's digit
    config.evaluation.statistics.names = ("class_coverage",)
    config.steps_per_call = 100
    config.log_every = 500
    config.sample_every = 5_000
    config.checkpoint_every = 10_000
    if variant == "small":
        config.steps_per_call = 20
        config.eval_every = config.sample_every = config.checkpoint_every = 1_000
    return config
