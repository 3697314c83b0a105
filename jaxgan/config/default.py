"""Every field of an experiment, with its meaning. The files in `configs/` begin with it and override a few.

A section that names a component (`dataset`, `generator`, `loss`, the optimizers, every `schedule`) has a
field `name` and, for each known name, that component's fields. These are read from its declaration in
`jaxgan/`. For example: `--config.loss.name=least_squares --config.loss.least_squares.a=-1`. The section
`regularizers` has all penalties, which are switched on by weights: `--config.regularizers.r1.weight=5`.

Float fields are part of the training state: another value does not need another compiled program. Exceptions
are the fields of networks (slope, dropout) and of data, and latent_threshold.

`python launch.py --mode=fields` and `configs/FIELDS.md` show what is declared here.
"""

from typing import NamedTuple

from ml_collections import ConfigDict, FieldReference

from jaxgan.algorithm.gan import GENERATOR_BATCHES, UPDATE_ORDERS
from jaxgan.algorithm.guards import NONFINITE
from jaxgan.augment import AUGMENTATIONS
from jaxgan.config import schedules
from jaxgan.config.fields import LISTS, SECTIONS, component, components, regularizers
from jaxgan.declarations import Above, AtLeast, Between, Field, OneOf, SideOrSides, own_field
from jaxgan.registry import Registry


class Choice(NamedTuple):
    """A section that selects one component of a registry, or any number of them, and holds their fields."""

    registry: Registry
    default: str | tuple[str, ...]
    sentence: str


class Penalties(NamedTuple):
    """The section of all penalties."""

    sentence: str


class Schedules(NamedTuple):
    """The section of the schedules of all numbers."""

    sentence: str


def _fields(*declared: tuple) -> dict[str, Field]:
    """Fields by dotted path, from `(path, default, meaning, *ranges)`."""
    return {path: own_field(path, *rest) for path, *rest in declared}


_SEED = Between(0, 2**32)
_SHARE = Between(0, 1, closed=True)

# All fields, by heading and dotted path, in the order in which they are shown.
GROUPS: dict[str, dict[str, Field | Choice | Penalties | Schedules]] = {}

GROUPS["The run"] = _fields(
    ("seed", 0, "seed of all randomness in the run", _SEED),
    ("num_steps", 10_000, "generator updates; may be raised later to train longer", AtLeast(1)),
    (
        "max_minutes",
        0.0,
        "minutes in the training loop, over all starts, after which the run stops; 0: no limit",
        AtLeast(0),
    ),
    ("batch_size", 64, "examples in each update, summed over all devices", AtLeast(1)),
    ("steps_per_call", 50, "training steps in one compiled call; does not change the result", AtLeast(1)),
    ("parallel", "auto", "auto, jit (one program over all devices) or pmap"),
    ("num_devices", 0, "number of devices to use, over all processes; 0: all", AtLeast(0)),
    (
        "batch_statistics",
        "synchronized",
        "statistics of batch norm: synchronized over the whole batch, or of each device (device; pmap only)",
        OneOf(("synchronized", "device")),
    ),
    ("deterministic", False, "GPU: use deterministic kernels only, so that a resumed run has the same bits"),
    ("init_from", "", "workdir of another run whose networks this run starts from"),
    ("modules", (), "your own Python modules to import first; they can register components"),
)

GROUPS["The game (Goodfellow et al. 2014)"] = {
    **_fields(
        ("latent", "normal", "distribution of z: normal N(0, 1), uniform U(-1, 1) or truncated normal"),
        (
            "latent_threshold",
            2.0,
            "largest |z| of the truncated normal (Brock et al. 2019, section 3.1)",
            Above(0),
        ),
        ("latent_dim", 100, "dimension of the latent z", AtLeast(1)),
    ),
    "loss": Choice(SECTIONS["loss"], "nonsaturating", "adversarial loss of both networks"),
    **_fields(
        ("discriminator_loss_weight", 1.0, "λ of L = L_G + λ·L_D, penalties included", AtLeast(0)),
        (
            "generator_loss_weight",
            1.0,
            "weight of the adversarial loss; 0: the generator learns from its other terms alone",
            AtLeast(0),
        ),
        (
            "discriminator_steps",
            1,
            "discriminator updates before each generator update, on fresh batches",
            AtLeast(1),
        ),
        ("generator_steps", 1, "generator updates (steps) for each discriminator update", AtLeast(1)),
        (
            "update_order",
            "alternating",
            "alternating; or simultaneous: the generator uses the discriminator from before the step",
            OneOf(UPDATE_ORDERS),
        ),
        (
            "generator_batch",
            "shared",
            "what the generator learns from. shared: examples and fakes of the last discriminator update; "
            "fresh: a further batch, and latents of its own (R3GAN)",
            OneOf(GENERATOR_BATCHES),
        ),
        (
            "ema_decay",
            0.999,
            "decay of the averaged generator (Yazici et al. 2019); 0: no averaging",
            Between(0, 1),
        ),
        (
            "ema_half_life",
            0.0,
            "half-life of the averaged generator in images, instead of ema_decay (StyleGAN2); 0: ema_decay",
            AtLeast(0),
        ),
        (
            "ema_rampup",
            0.0,
            "largest half-life, as a share of the images that the run has seen (StyleGAN2-ADA: .05); 0: any",
            AtLeast(0),
        ),
    ),
}

GROUPS["Penalties, any number at once"] = {
    "regularizers": Penalties("a weight of 0 removes the penalty from the program"),
}

GROUPS["Stabilizers; off at 0 (counts: at 1)"] = {
    **_fields(
        (
            "label_flip",
            0.0,
            "share of pairs in which real and fake are swapped (Chintala et al. 2016)",
            _SHARE,
        ),
        (
            "instance_noise.stddev",
            0.0,
            "deviation of noise on the discriminator's inputs, which lie in [-1, 1] (Sønderby et al. 2017)",
            AtLeast(0),
        ),
    ),
    "instance_noise.schedule": Choice(
        SECTIONS["schedule"], "constant", "factor on the standard deviation of the noise"
    ),
    **_fields(
        (
            "image_pool",
            0,
            "earlier fakes among which those of the discriminator are drawn (CycleGAN has 50)",
            AtLeast(0),
        ),
        (
            "packing",
            1,
            "examples that the discriminator judges together (PacGAN, Lin et al. 2018)",
            AtLeast(1),
        ),
        (
            "num_generators",
            1,
            "k generators against a discriminator of k + 1 classes (MAD-GAN, Ghosh et al. 2018)",
            Between(1, 64, closed=True),
        ),
        (
            "unrolled_steps",
            0,
            "discriminator updates that the generator looks ahead (Metz et al. 2017)",
            Between(0, 10, closed=True),
        ),
        (
            "top_k",
            0,
            "the generator learns from its k best fakes (Sinha et al. 2020); 0: from all",
            AtLeast(0),
        ),
        ("top_k_steps", 0, "steps in which k falls geometrically from the batch size to top_k", AtLeast(0)),
        (
            "lookahead_every",
            0,
            "steps between two backtracking steps (LookaheadGAN, Chavdarova et al. 2021)",
            AtLeast(0),
        ),
        ("lookahead_alpha", 0.5, "α: how far the slow weights move towards the fast ones", _SHARE),
    ),
}

# Of images, any of `names` in their order: --config.augment.names=flip,crop.
GROUPS["Augmentation of images"] = {
    "augment": Choice(
        AUGMENTATIONS, (), "differentiable augmentation of the discriminator's inputs (Zhao et al. 2020)"
    ),
    **_fields(
        ("augment.probability", 1.0, "probability of each operation, for each image", _SHARE),
        ("augment.multipliers", (), "factors of the probability, one for each of names; (): all 1", _SHARE),
        (
            "augment.adaptive",
            False,
            "adapt the probability by ADA's rule (Karras et al. 2020); it must begin at 0",
        ),
        (
            "augment.target",
            0.6,
            "ADA: target of the mean sign of the real logits",
            Between(-1, 1, closed=True),
        ),
        (
            "augment.length",
            500_000.0,
            "ADA: number of images in which the probability can go from 0 to 1",
            Above(0),
        ),
        ("augment.adaptive_interval", 4, "ADA: discriminator updates between two adjustments", AtLeast(1)),
    ),
    "data_augment": Choice(AUGMENTATIONS, (), "ordinary augmentation, of real images alone"),
    "consistency_augment": Choice(
        AUGMENTATIONS,
        (),
        "augmentation under which regularizers.cr and bcr compare the discriminator's outputs",
    ),
}

GROUPS["Data"] = {
    "dataset": Choice(
        SECTIONS["dataset"],
        "mnist",
        "data set to train on; tfds is followed by the name of the set: tfds/cifar10",
    ),
    **_fields(
        ("dataset.path", "", "folder or file of your data, or data_dir of TFDS"),
        (
            "dataset.fallback",
            "",
            "data set to use instead if the named one is not available; a warning says so",
        ),
        (
            "dataset.hold_out",
            False,
            "leave every sixth training example out, and evaluate on these instead of the test set",
        ),
        (
            "dataset.image_size",
            0,
            "side in pixels, or (height, width), to which the centre is cropped and resized; 0: as stored",
            SideOrSides(),
        ),
        (
            "dataset.max_device_bytes",
            2**31,
            "data sets up to this size are kept on the device, larger ones are streamed",
        ),
        (
            "class_balance",
            "none",
            "resample: draw all classes equally often; weights: weigh classes in the loss",
            OneOf(("none", "resample", "weights")),
        ),
        ("class_weights", (), "a weight for each class; (): the inverse of its frequency", AtLeast(0)),
    ),
}

GROUPS["Networks"] = {
    "condition": Choice(
        SECTIONS["condition"], "none", "conditional input of the networks: none, labels, codes or image"
    ),
    "task": Choice(
        SECTIONS["task"], "super_resolution", "what makes the given image, with condition.name=image"
    ),
    "generator": Choice(SECTIONS["generator"], "dcgan", "network from z to an example"),
    "discriminator": Choice(SECTIONS["discriminator"], "dcgan", "network from an example to a logit"),
}

GROUPS["Optimization"] = {
    "generator_optimizer": Choice(SECTIONS["generator_optimizer"], "adam", "optimizer of the generator"),
    "discriminator_optimizer": Choice(
        SECTIONS["discriminator_optimizer"], "adam", "optimizer of the discriminator"
    ),
    "schedule": Choice(SECTIONS["schedule"], "constant", "factor on both learning rates"),
    "schedules": Schedules("of any other number of the state, from its own value to an end"),
    **_fields(
        (
            "generator_clip_norm",
            0.0,
            "largest global norm of the generator's gradient; 0: no clipping",
            AtLeast(0),
        ),
        (
            "discriminator_clip_norm",
            0.0,
            "largest global norm of the discriminator's gradient; 0: no clipping",
            AtLeast(0),
        ),
        (
            "accumulate",
            1,
            "number of microbatches (gradient accumulation), to save memory. Batch norm, LeCam, ADA and "
            "DRAGAN see one microbatch at a time, and update their averages after each",
            AtLeast(1),
        ),
        (
            "nonfinite_gradients",
            "keep",
            "NaN and infinity in gradients. keep: the run ends as diverged; replace: 0 and ±1e5 for them; "
            "skip: no update. Both count them in the metrics",
            OneOf(NONFINITE),
        ),
        (
            "compute_dtype",
            "float32",
            "data type of the networks in training; parameters are float32",
            OneOf(("float32", "bfloat16")),
        ),
    ),
}

GROUPS["What is written, and after how many steps (0: never)"] = _fields(
    ("log_every", 50, "steps between two lines of metrics, which are means over these steps", AtLeast(1)),
    ("sample_every", 500, "steps between two grids of samples, always from the same latents", AtLeast(0)),
    (
        "checkpoint_every",
        1_000,
        "steps between two checkpoints; 0: only the last step",
        AtLeast(0),
    ),
    ("checkpoints_kept", 3, "number of the newest checkpoints to keep", AtLeast(1)),
    ("eval_every", 0, "steps between two evaluations", AtLeast(0)),
    ("profile_at", 0, "step at which one compiled call is traced into <workdir>/profile", AtLeast(0)),
)

GROUPS["Evaluation, of the averaged generator"] = {
    **_fields(("evaluation.protocol", "10k", "protocol: 2.5k, 10k, 25.6k, 26k, 50k, or a number of samples")),
    "evaluation.extractor": Choice(SECTIONS["evaluation.extractor"], "auto", "extractor of features"),
    "evaluation.statistics": Choice(
        LISTS["evaluation.statistics"],
        ("frechet_distance",),
        "computed every eval_every steps; --mode=evaluate computes all, with these fields",
    ),
    **_fields(
        (
            "evaluation.best",
            "",
            "number whose best checkpoint is kept, for example classifier_frechet_distance_10k",
        ),
        (
            "evaluation.best_is",
            "lowest",
            "whether its lowest or its highest value is best",
            OneOf(("lowest", "highest")),
        ),
        (
            "evaluation.direction",
            "AtoB",
            "of a run on unpaired pictures, which of its two translations is measured",
            OneOf(("AtoB", "BtoA")),
        ),
        ("evaluation.seed", 0, "seed of the latents and of the choice of real examples", _SEED),
        (
            "evaluation.standing_statistics",
            0,
            "batches of latents over which batch norms get their statistics, to evaluate and to sample; 0: "
            "the running averages of training",
            AtLeast(0),
        ),
    ),
}

OWN: dict[str, Field] = {
    path: entry for group in GROUPS.values() for path, entry in group.items() if isinstance(entry, Field)
}


def get_config() -> ConfigDict:
    """The config of a DCGAN on MNIST, with all fields, locked."""
    config = ConfigDict()
    for group in GROUPS.values():
        for path, entry in group.items():
            *parents, last = path.split(".")
            section = config
            for name in parents:
                if name not in section:
                    section[name] = ConfigDict()
                section = section[name]
            section[last] = _value(entry)
    return config.lock()


def _value(entry: Field | Choice | Penalties | Schedules):
    if isinstance(entry, Field):  # of one type, unless that is object
        return FieldReference(entry.default, object) if entry.kind is object else entry.default
    if isinstance(entry, Penalties):
        return regularizers()
    if isinstance(entry, Schedules):
        return schedules.section()
    if isinstance(entry.default, tuple):
        return components(entry.registry, *entry.default)
    return component(entry.registry, entry.default)
