"""Dense networks on MNIST: three well-known introductory examples.

python launch.py --config=configs/mlp_mnist.py:small    100→128→128→784 against 784→128→1, ReLU
python launch.py --config=configs/mlp_mnist.py:deep     100→256→512→1024→784 against 784→512→1, LeakyReLU(.2)
python launch.py --config=configs/mlp_mnist.py:leaky    100→128→256→784 against 784→256→128→1, LeakyReLU(.2)

Each uses Adam with a learning rate of 2e-4, batches of 64 and Glorot's initial weights. These are Keras's
default, and the examples were written in Keras. Without a variant, `small` runs. Expect grainy digits of most
classes, because dense networks have no notion of neighbouring pixels. With DCGAN's weights, N(0, .02), the
two smaller ones collapse: --config.generator.mlp.weights=normal --config.discriminator.mlp.weights=normal.
"""

from configs import default

NETWORKS = {  # variant: hidden layers of the generator, of the discriminator, activation of both
    "small": ((128, 128), (128,), "relu"),
    "deep": ((256, 512, 1024), (512,), "leaky_relu"),
    "leaky": ((128, 256), (256, 128), "leaky_relu"),
}


def get_config(variant: str = "small"):
    if variant not in NETWORKS:
        raise ValueError(f"mlp_mnist has the variants {', '.join(NETWORKS)}, not '{variant}'")
    generator, discriminator, activation = NETWORKS[variant]
    config = default.get_config()
    config.num_steps = 20_000
    config.dataset.name = "mnist"
    config.dataset.fallback = "digits"  # if MNIST is not available
    config.dataset.image_size = 28
    config.generator.name = "mlp"
    config.generator.mlp.hidden = generator
    config.generator.mlp.weights = config.discriminator.mlp.weights = "glorot"
    config.generator.mlp.activation = activation
    config.discriminator.name = "mlp"
    config.discriminator.mlp.hidden = discriminator
    config.discriminator.mlp.activation = activation
    return config
