"""The search for the learning rates of configs/dcgan_mnist.py: short runs, compared on validation data.

python launch.py --config=configs/dcgan_mnist_search.py --mode=sweep --combine=search --draws=24 --wave=4 \
    --eta=2 --objective=classifier_frechet_distance_5k \
    --sweep='generator_optimizer.adam.learning_rate=log(3e-4:3e-3)' \
    --sweep='discriminator_optimizer.adam.learning_rate=log(5e-5:1e-3)' \
    --sweep='generator_optimizer.adam.b1=0:0.7' --sweep='discriminator_optimizer.adam.b1=0:0.7'

The results are in jaxgan/benchmarks/results/dcgan_mnist_search; jaxgan/benchmarks/README.md has a table.
"""

from configs import dcgan_mnist


def get_config():
    config = dcgan_mnist.get_config()
    config.num_steps = 4_000
    for optimizer, rate in ((config.generator_optimizer, 1e-3), (config.discriminator_optimizer, 2e-4)):
        optimizer.adam.learning_rate, optimizer.adam.b1 = rate, 0.5  # as they were before the search
    config.evaluation.protocol = "5000"
    config.evaluation.statistics.names = ("frechet_distance", "prdc")
    return config
