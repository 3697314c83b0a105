"""Every field of an experiment, with its meaning. The other configs import this one and override a few.

Below `dataset`, `generator`, `discriminator`, `loss`, the optimizers and `schedule` stand `name` and, for
each known name, the fields of its builder, read from the builder's signature in `jaxgan/`: for example
`--config.loss.name=least_squares --config.loss.least_squares.a=-1`.
"""

from ml_collections import ConfigDict

from jaxgan.experiment import SECTIONS, component


def get_config() -> ConfigDict:
    config = ConfigDict()

    # The run.
    config.seed = 0  # [0, 2^32): all randomness of the run
    config.num_steps = 10_000  # generator updates; may be raised later to go on
    config.batch_size = 64  # examples in each update, over all devices
    config.steps_per_call = 50  # steps in one compiled call; no influence on the result
    config.parallel = "auto"  # auto, jit (one global view over all devices) or pmap
    config.num_devices = 0  # how many of this machine's devices; 0: all
    config.deterministic = False  # GPU: only deterministic kernels, so that a resumed run has the same bits
    config.init_from = ""  # another workdir whose networks this run starts from
    config.modules = ()  # your own Python modules to import first; they may register components

    # The game (Goodfellow et al. 2014).
    config.latent = "normal"  # distribution of z: normal N(0, 1) or uniform U(-1, 1)
    config.latent_dim = 100  # length of z
    config.loss = component(SECTIONS["loss"], "nonsaturating")
    config.discriminator_steps = 1  # discriminator updates before each generator update, on fresh batches
    config.update_order = (
        "alternating"  # or simultaneous: the generator sees the discriminator of before the step
    )
    config.ema_decay = 0.999  # [0, 1): decay of the averaged generator (Yazici et al. 2019); 0: no averaging

    # Data: mnist, digits, ring, grid, images (a folder), array (.npy, .npz), idx (a folder), tfds/<name>.
    config.dataset = component(SECTIONS["dataset"], "mnist")
    config.dataset.path = ""  # folder or file of your own data, or TFDS's data_dir
    config.dataset.fallback = ""  # data set to train on, and to say so, where the named one cannot be had
    config.dataset.image_size = 0  # pixels; shorter side resized, centre cropped; 0: as stored
    config.dataset.max_device_bytes = 2**31  # sets up to this size stay on the device, others are streamed

    # Networks.
    config.generator = component(SECTIONS["generator"], "dcgan")
    config.discriminator = component(SECTIONS["discriminator"], "dcgan")

    # Optimization.
    config.generator_optimizer = component(SECTIONS["generator_optimizer"], "adam")
    config.discriminator_optimizer = component(SECTIONS["discriminator_optimizer"], "adam")
    # Factor on both learning rates. <name>.num_steps is the schedule's own length; 0: num_steps of a new run.
    config.schedule = component(SECTIONS["schedule"], "constant")

    # What is written, in steps; 0: never (but for the last step).
    config.log_every = 50  # metrics: means over the steps since the last line
    config.sample_every = 500  # grids of fixed latents
    config.checkpoint_every = 1_000  # a killed run goes on from the last one
    config.checkpoints_kept = 3  # how many of the newest
    config.profile_at = 0  # step at which one call is traced into <workdir>/profile

    return config.lock()
