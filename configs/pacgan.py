"""PacGAN's tables of the ring and the grid (Lin et al. 2018, table 1) with error bars and one extra row.

python launch.py --config=configs/pacgan.py --mode=sweep --sweep='seed=0:10'
python launch.py --config=configs/pacgan.py --mode=sweep --sweep='seed=0:10' --config.dataset.name=grid

Networks, optimizer and protocol of the paper (configs/gan_ring.py): 400,000 steps, 2,500 samples. Published
means of ten trials, ± standard error (modes found; share of good samples; reverse KL):

               ring of 8                              5×5 grid
    GAN        6.3 ± .5   98.2 ± .2 %   .45 ± .09     17.3 ± .8   94.8 ± .7 %   .70 ± .07
    PacGAN2    7.9 ± .1   95.6 ± 2.0 %  .07 ± .03     23.8 ± .7   91.3 ± .8 %   .13 ± .04
    PacGAN3    7.8 ± .1   97.7 ± .3 %   .10 ± .02     24.6 ± .4   94.2 ± .4 %   .06 ± .02
    PacGAN4    7.8 ± .1   95.9 ± 1.4 %  .07 ± .02     24.8 ± .2   93.6 ± .6 %   .04 ± .01

As in the authors' code, a batch has 100 packs of any size, and both networks are updated at once. For
accelerators; a shorter run for two cores: --config.num_steps=2000 --config.steps_per_call=100.
"""

from configs import gan_ring

_ZERO_CENTRED = {
    "loss.name": "relativistic_pairing",
    "regularizers.r1.weight": 1.0,
    "regularizers.r2.weight": 1.0,
}
# The rows: `--mode=sweep` runs each of them with every seed.
SETTINGS = {
    "GAN": {},
    "PacGAN2": {"packing": 2, "batch_size": 200},
    "PacGAN3": {"packing": 3, "batch_size": 300},
    "PacGAN4": {"packing": 4, "batch_size": 400},
    "RpGAN+R1+R2": _ZERO_CENTRED,
}


def get_config():
    config = gan_ring.get_config()
    config.update_order = "simultaneous"
    return config
