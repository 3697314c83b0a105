"""Every field of an experiment, with its meaning. The files in `configs/` begin with it and override a few.

Below `dataset`, `generator`, `discriminator`, `loss`, the optimizers and every `schedule` stand `name` and,
for each known name, its fields, read from the component's declaration in `jaxgan/`: for example
`--config.loss.name=least_squares --config.loss.least_squares.a=-1`. Below `regularizers` stand all
penalties, each switched on by its weight: `--config.regularizers.r1.weight=5`.

Fields that are floats live in the training state, where another value is not another program; but not those
of the networks (slope, dropout) and of the data, nor latent_threshold.
"""

from ml_collections import ConfigDict

from jaxgan.augment import AUGMENTATIONS
from jaxgan.config.fields import LISTS, SECTIONS, component, components, regularizers


def get_config() -> ConfigDict:
    """The config of a DCGAN on MNIST, with every field that there is, locked."""
    config = ConfigDict()

    # The run.
    config.seed = 0  # [0, 2^32): all randomness of the run
    config.num_steps = 10_000  # generator updates; may be raised later to go on
    config.batch_size = 64  # examples in each update, over all devices
    config.steps_per_call = 50  # steps in one compiled call; no influence on the result
    config.parallel = "auto"  # auto, jit (one global view over all devices) or pmap
    config.num_devices = 0  # how many devices, over all processes; 0: all
    # Of batch norm, over the whole batch: synchronized; or, with pmap only, over each device's share: device.
    config.batch_statistics = "synchronized"
    config.deterministic = False  # GPU: only deterministic kernels, so that a resumed run has the same bits
    config.init_from = ""  # another workdir whose networks this run starts from
    config.modules = ()  # your own Python modules to import first; they may register components

    # The game (Goodfellow et al. 2014).
    config.latent = "normal"  # distribution of z: normal N(0, 1), uniform U(-1, 1) or truncated normal
    config.latent_threshold = 2.0  # truncated: |z| is at most this (Brock et al. 2019, section 3.1)
    config.latent_dim = 100  # length of z
    config.loss = component(SECTIONS["loss"], "nonsaturating")
    config.discriminator_loss_weight = 1.0  # λ of L = L_G + λ·L_D, penalties included
    config.generator_loss_weight = 1.0  # of the adversarial loss; 0: the generator matches features alone
    config.discriminator_steps = 1  # discriminator updates before each generator update, on fresh batches
    config.generator_steps = 1  # generator updates (steps) to one discriminator update
    config.update_order = (
        "alternating"  # or simultaneous: the generator sees the discriminator of before the step
    )
    config.ema_decay = 0.999  # [0, 1): decay of the averaged generator (Yazici et al. 2019); 0: no averaging

    # Penalties, any number at once: of each `weight` (0: absent from the program), `interval` (lazily: in
    # every interval-th update, interval times as strong), `schedule` (factor on the weight), its own fields.
    config.regularizers = regularizers()

    # Stabilizers; each 0 (or 1, of counts) is absent from the program.
    config.label_flip = 0.0  # [0, 1]: share of pairs whose real and fake are swapped (Chintala et al. 2016)
    config.instance_noise = ConfigDict()  # on all that the discriminator sees (Sønderby et al. 2017)
    config.instance_noise.stddev = 0.0  # images lie in [-1, 1]
    config.instance_noise.schedule = component(SECTIONS["schedule"], "constant")
    config.packing = 1  # examples that the discriminator judges together (PacGAN, Lin et al. 2018)
    config.num_generators = 1  # k generators against a discriminator of k + 1 classes (MAD-GAN, Ghosh 2018)
    config.unrolled_steps = 0  # [0, 10]: discriminator updates that the generator foresees (Metz et al. 2017)
    config.top_k = 0  # the generator learns from its k best fakes (Sinha et al. 2020); 0: from all
    config.top_k_steps = 0  # steps in which k falls geometrically from the batch size to top_k
    config.lookahead_every = 0  # steps between joint backtrackings (LookaheadGAN, Chavdarova et al. 2021)
    config.lookahead_alpha = 0.5  # [0, 1]: how far the slow weights follow

    # Augmentation of images, any of `names` in their order (--config.augment.names=flip,crop): color,
    # translation, cutout, flip, crop, rotation, scale; and ADA's (Karras et al. 2020): quarter_turns,
    # integer_translation, isotropic_scale, pre_rotation, anisotropic_scale, post_rotation,
    # fractional_translation, brightness, contrast, luma_flip, hue, saturation. Each has its own fields.
    config.augment = components(AUGMENTATIONS)  # of all that the discriminator sees (Zhao et al. 2020)
    config.augment.probability = 1.0  # [0, 1]: of each operation on each image
    config.augment.adaptive = False  # ADA's rule (Karras et al. 2020): begin with probability 0
    config.augment.target = 0.6  # ADA: [-1, 1], what the mean sign of the real logits is steered to
    config.augment.length = 500_000.0  # ADA: images in which the probability goes from 0 to 1
    config.augment.adaptive_interval = 4  # ADA: discriminator updates between two adjustments
    config.data_augment = components(AUGMENTATIONS)  # ordinary: of the real images alone
    config.consistency_augment = components(AUGMENTATIONS)  # what regularizers.cr and bcr compare with

    # Data: mnist, digits, stacked_mnist, ring, grid, images (a folder), array (.npy, .npz), idx (a folder),
    # tfds/<name>.
    config.dataset = component(SECTIONS["dataset"], "mnist")
    config.dataset.path = ""  # folder or file of your own data, or TFDS's data_dir
    config.dataset.fallback = ""  # data set to train on, and to say so, where the named one cannot be had
    config.dataset.image_size = 0  # pixels; shorter side resized, centre cropped; 0: as stored
    config.dataset.max_device_bytes = 2**31  # sets up to this size stay on the device, others are streamed

    config.class_balance = "none"  # resample: all classes alike; weights: classes weigh in the loss
    config.class_weights = ()  # one for each class; (): the inverse of its frequency

    # What both networks are told of each example: none, labels, or codes (README, "Conditions").
    config.condition = component(SECTIONS["condition"], "none")

    # Networks.
    config.generator = component(SECTIONS["generator"], "dcgan")
    config.discriminator = component(SECTIONS["discriminator"], "dcgan")

    # Optimization.
    config.generator_optimizer = component(SECTIONS["generator_optimizer"], "adam")
    config.discriminator_optimizer = component(SECTIONS["discriminator_optimizer"], "adam")
    # Factor on both learning rates. <name>.num_steps is the schedule's own length; 0: num_steps of a new run.
    config.schedule = component(SECTIONS["schedule"], "constant")

    config.generator_clip_norm = 0.0  # largest global norm of the generator's gradient; 0: any
    config.discriminator_clip_norm = 0.0
    # Parts in which a batch goes through the networks, to save memory. Batch norm, LeCam, ADA and DRAGAN see
    # one part; the averages of batch norm and LeCam, and ADA's count of minibatches, move with each.
    config.accumulate = 1
    config.compute_dtype = "float32"  # or bfloat16, of the networks in training; parameters are float32

    # What is written, in steps; 0: never.
    config.log_every = 50  # metrics: means over the steps since the last line
    config.sample_every = 500  # grids of fixed latents
    config.checkpoint_every = 1_000  # a killed run goes on from the last one; 0: of the last step alone
    config.checkpoints_kept = 3  # how many of the newest
    config.eval_every = 0  # numbers of `evaluation`, below
    config.profile_at = 0  # step at which one call is traced into <workdir>/profile

    # Evaluation, of the averaged generator (jaxgan/evaluation/README.md).
    config.evaluation = ConfigDict()
    config.evaluation.protocol = "10k"  # 2.5k, 10k, 25.6k, 26k, 50k, or a number of samples
    config.evaluation.extractor = component(SECTIONS["evaluation.extractor"], "auto")  # of features
    # The statistics that are computed every eval_every steps; --mode=evaluate takes all that there are, these
    # with the fields given here.
    config.evaluation.statistics = components(LISTS["evaluation.statistics"], "frechet_distance")
    config.evaluation.best = ""  # number whose best checkpoint is kept, as classifier_frechet_distance_10k
    config.evaluation.best_is = "lowest"  # or highest
    config.evaluation.seed = 0  # [0, 2^32): of the latents, and of the choice of real examples

    return config.lock()
