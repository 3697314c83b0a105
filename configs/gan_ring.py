"""Eight Gaussians on a ring, with the networks and the optimizer of PacGAN (Lin et al. 2018, section 4.1).

python launch.py --config=configs/gan_ring.py
python launch.py --config=configs/gan_ring.py:small    two layers of 64 each: half a minute

It trains 400,000 steps, as in the paper, but with alternating updates (configs/pacgan.py updates both
networks at once, as in the paper). A plain GAN finds 6.3 ± .5 of the 8 modes in the paper, so some modes will
be lost. metrics.jsonl has their number (modes_2.5k), and samples/ shows which are found. `small` is not from
a paper: it is for experiments and for sweeps over many settings.
"""

from configs import default


def get_config(variant: str = ""):
    if variant not in ("", "small"):
        raise ValueError(f"gan_ring has the variant small, not '{variant}'")
    config = default.get_config()
    config.num_steps = 400_000
    config.batch_size = 100
    config.latent = "normal"
    config.latent_dim = 2
    config.ema_decay = 0.0  # the paper draws from the generator without averaging
    config.dataset.name = "ring"
    config.generator.name = "mlp"
    config.generator.mlp.hidden = (400, 400, 400, 400)
    config.generator.mlp.activation = "relu"
    config.generator.mlp.batch_norm = True
    config.discriminator.name = "mlp"
    config.discriminator.mlp.hidden = (200, 200, 200)
    config.discriminator.mlp.maxout = 5
    for optimizer in (config.generator_optimizer, config.discriminator_optimizer):
        optimizer.adam.learning_rate = 1e-4
        optimizer.adam.b1 = 0.8
    config.steps_per_call = 200
    config.log_every = 1_000
    config.sample_every = 5_000
    config.checkpoint_every = 20_000
    config.eval_every = 20_000
    config.evaluation.protocol = "2.5k"  # samples
    config.evaluation.statistics.names = ("mode_coverage",)
    if variant == "small":
        for network in (config.generator.mlp, config.discriminator.mlp):
            network.hidden = (64, 64)
            network.weights = "glorot"
        config.generator.mlp.batch_norm = False
        config.discriminator.mlp.maxout = 0
        for optimizer in (config.generator_optimizer, config.discriminator_optimizer):
            optimizer.adam.learning_rate = 1e-3
            optimizer.adam.b1 = 0.5
        config.num_steps = 20_000
        config.steps_per_call = 1_000
        config.checkpoint_every = 10_000
        config.eval_every = 2_000
    return config
