"""InfoGAN on MNIST: one categorical code of ten values and two continuous ones, found without labels.

python launch.py --config=configs/infogan_mnist.py          networks for a CPU of two cores
python launch.py --config=configs/infogan_mnist.py:paper    those of the paper's code, for accelerators

--mode=evaluate says how well the categorical code names the digits; --mode=sample draws code_0.png and so on,
with one code varied and all else held. The paper reports an error of 5 % (a purity of .95).

As in the authors' code (openai/InfoGAN), but that images lie in [-1, 1] and gains of batch norm begin at 1.
"""

from configs import default


def get_config(variant: str = ""):
    if variant not in ("", "paper"):
        raise ValueError(f"infogan_mnist has the variant 'paper', not '{variant}'")
    config = default.get_config()
    config.dataset.name = "mnist"
    config.dataset.fallback = "digits"  # scikit-learn's 1,797 digits, where MNIST is not to be had
    config.dataset.image_size = 28
    config.loss.name = "nonsaturating"
    config.latent = "uniform"
    config.ema_decay = 0.0  # the paper draws from the generator itself
    config.latent_dim = 62
    config.condition.name = "codes"
    config.regularizers.information.weight = 1.0
    config.generator.name = "dcgan"
    config.discriminator.name = "infogan"
    generator, discriminator = config.generator.dcgan, config.discriminator.infogan
    if variant == "paper":
        config.num_steps = 5_000
        config.batch_size = 128
        config.regularizers.information.batch_norm = True
        generator.dense = (1024,)  # 1024 → 7·7·128 → 14·14·64 → 28·28·1
        generator.channels = (128, 64)
        generator.kernels, generator.strides = (4, 4), (2, 2)
    else:
        config.num_steps = 4_000
        config.steps_per_call = 10
        config.batch_size = 64
        config.sample_every = 500
        generator.dense = (128,)
        generator.channels = (32, 16)
        generator.kernels, generator.strides = (4, 4), (2, 2)
        discriminator.channels = (16, 32)
        discriminator.dense = (128,)
    config.generator_optimizer.adam.learning_rate = 1e-3
    config.discriminator_optimizer.adam.learning_rate = 2e-4
    config.generator_optimizer.adam.b1 = config.discriminator_optimizer.adam.b1 = 0.5
    return config
