"""InfoGAN on MNIST: one categorical code of ten values and two continuous ones, found without labels.

python launch.py --config=configs/infogan_mnist.py          with the networks of configs/dcgan_mnist.py
python launch.py --config=configs/infogan_mnist.py:paper    with those of the paper's code, for accelerators

--mode=evaluate measures how well the categorical code matches the digit classes. --mode=sample draws
code_0.png and so on: in each picture one code varies and the rest of z is fixed. The paper reports an error
of 5 % (a purity of .95). After the 5,000 steps of the first command, in six minutes beside other work, five
seeds had purities of .83, .92, .94, .84 and .91, and Fréchet distances of 11 to 16 (2,500 fakes, floor 5).

Unlike in the authors' code (openai/InfoGAN), images lie in [-1, 1], and gains of batch norm start at 1.
"""

from configs import dcgan_mnist, recipes


def get_config(variant: str = ""):
    if variant not in ("", "paper"):
        raise ValueError(f"infogan_mnist has the variant 'paper', not '{variant}'")
    config = dcgan_mnist.get_config()
    recipes.infogan(config)
    config.ema_decay = 0.99
    if not variant:
        dcgan_mnist.set_rates(config)
        config.num_steps = 5_000
        config.regularizers.information.weight = 0.3
        config.condition.codes.scale = 10.0
    if variant == "paper":
        config.num_steps = 5_000
        config.batch_size = 128
        config.ema_decay = 0.0  # the paper draws from the generator without averaging
        config.latent = "uniform"
        config.latent_dim = 62
        config.regularizers.information.batch_norm = True
        discriminator = config.discriminator.dcgan
        discriminator.channels, discriminator.kernels = (64, 128), (4, 4)
        discriminator.dense = (1024,)
        discriminator.slope = 0.01
        generator = config.generator.dcgan
        generator.dense = (1024,)  # 1024 → 7·7·128 → 14·14·64 → 28·28·1
        generator.channels = (128, 64)
        generator.kernels, generator.strides = (4, 4), (2, 2)
    return config
