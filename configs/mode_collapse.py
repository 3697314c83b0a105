"""Remedies for mode collapse compared: the ring of 8 and the 5×5 grid, small networks, error bars.

python launch.py --config=configs/mode_collapse.py:ring --mode=sweep --sweep='seed=0:10'
python launch.py --config=configs/mode_collapse.py:grid --mode=sweep --sweep='seed=0:10'

Two layers of 128 each, Adam with a learning rate of 1e-3 and β1 = .5, 15,000 steps. A run takes minutes on
two cores. The setting is not from a paper. The metrics, modes and good samples, are PacGAN's
(jaxgan/metrics/modes.py). The results are in jaxgan/benchmarks/README.md.
"""

from configs import gan_ring


def _zero_centred(interval: int = 1):
    """R3GAN's loss (Huang et al. 2024) with R1 and R2 in every `interval`-th update."""
    penalties = {
        f"regularizers.{name}.{field}": value
        for name in ("r1", "r2")
        for field, value in (("weight", 1.0), ("interval", interval))
    }
    return {"loss.name": "relativistic_pairing", **penalties}


# The rows: `--mode=sweep` runs each of them with every seed.
SETTINGS = {
    "GAN": {},
    "PacGAN2": {"packing": 2, "batch_size": 200},  # 100 packs, as in the authors' code
    "unrolled 5": {  # Metz et al. 2017
        "loss.name": "minimax",
        "update_order": "simultaneous",
        "unrolled_steps": 5,
        "discriminator_optimizer.adam.eps_root": 1e-16,
    },
    "RpGAN": {"loss.name": "relativistic_pairing"},
    "RpGAN+R1+R2": _zero_centred(),
    "RpGAN+R1+R2 every 16th": _zero_centred(16),
    "RpGAN+R1+R2 every 64th": _zero_centred(64),
    "RpGAN+R1+R2 every 256th": _zero_centred(256),
}


def get_config(variant: str = "ring"):
    if variant not in ("ring", "grid"):
        raise ValueError(f"mode_collapse has the variants ring and grid, not '{variant}'")
    config = gan_ring.get_config("small")
    config.dataset.name = variant
    for network in (config.generator.mlp, config.discriminator.mlp):
        network.hidden = (128, 128)
    config.num_steps = 15_000
    config.log_every = config.eval_every = config.sample_every = config.checkpoint_every = 3_000
    return config
