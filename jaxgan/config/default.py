"""Every field of an experiment, with its meaning. The files in `configs/` begin with it and override a few.

Below a section that names a component (`dataset`, `generator`, `loss`, the optimizers, every `schedule`)
stand `name` and, for each known name, its fields, read from the component's declaration in `jaxgan/`: for
example `--config.loss.name=least_squares --config.loss.least_squares.a=-1`. Below `regularizers` stand all
penalties, each switched on by its weight: `--config.regularizers.r1.weight=5`.

Fields that are floats live in the training state, where another value is not another program; but not those
of the networks (slope, dropout) and of the data, nor latent_threshold.

`python launch.py --mode=fields` and `configs/FIELDS.md` show what is declared here.
"""

from typing import NamedTuple

from ml_collections import ConfigDict, FieldReference

from jaxgan.algorithm.gan import UPDATE_ORDERS
from jaxgan.augment import AUGMENTATIONS
from jaxgan.config.fields import LISTS, SECTIONS, component, components, regularizers
from jaxgan.declarations import Above, AtLeast, Between, Field, OneOf, SideOrSides, own_field
from jaxgan.registry import Registry


class Choice(NamedTuple):
    """A section that names one component of a registry, or any number; their fields stand below it."""

    registry: Registry
    default: str | tuple[str, ...]
    sentence: str


class Penalties(NamedTuple):
    """The section of all penalties."""

    sentence: str


def _fields(*declared: tuple) -> dict[str, Field]:
    """Of each a dotted path, the default, what it means, and what its values may be."""
    return {path: own_field(path, *rest) for path, *rest in declared}


_SEED = Between(0, 2**32)
_SHARE = Between(0, 1, closed=True)

# By heading, in the order in which they are shown: dotted path → what stands there.
GROUPS: dict[str, dict[str, Field | Choice | Penalties]] = {}

GROUPS["The run"] = _fields(
    ("seed", 0, "all randomness of the run", _SEED),
    ("num_steps", 10_000, "generator updates; may be raised later to go on", AtLeast(1)),
    (
        "max_minutes",
        0.0,
        "of the training loop, all starts together, after which a run stops; 0: any",
        AtLeast(0),
    ),
    ("batch_size", 64, "examples in each update, over all devices", AtLeast(1)),
    ("steps_per_call", 50, "steps in one compiled call; no influence on the result", AtLeast(1)),
    ("parallel", "auto", "auto, jit (one global view over all devices) or pmap"),
    ("num_devices", 0, "how many devices, over all processes; 0: all", AtLeast(0)),
    (
        "batch_statistics",
        "synchronized",
        "of batch norm: synchronized, over the whole batch; or device, over each one's share (pmap only)",
        OneOf(("synchronized", "device")),
    ),
    ("deterministic", False, "GPU: only deterministic kernels, so that a resumed run has the same bits"),
    ("init_from", "", "another workdir whose networks this run starts from"),
    ("modules", (), "your own Python modules to import first; they may register components"),
)

GROUPS["The game (Goodfellow et al. 2014)"] = {
    **_fields(
        ("latent", "normal", "distribution of z: normal N(0, 1), uniform U(-1, 1) or truncated normal"),
        (
            "latent_threshold",
            2.0,
            "truncated: |z| is at most this (Brock et al. 2019, section 3.1)",
            Above(0),
        ),
        ("latent_dim", 100, "length of z", AtLeast(1)),
    ),
    "loss": Choice(SECTIONS["loss"], "nonsaturating", "adversarial loss of both networks"),
    **_fields(
        ("discriminator_loss_weight", 1.0, "λ of L = L_G + λ·L_D, penalties included", AtLeast(0)),
        (
            "generator_loss_weight",
            1.0,
            "of the adversarial loss; 0: the generator matches features alone",
            AtLeast(0),
        ),
        (
            "discriminator_steps",
            1,
            "discriminator updates before each generator update, on fresh batches",
            AtLeast(1),
        ),
        ("generator_steps", 1, "generator updates (steps) to one discriminator update", AtLeast(1)),
        (
            "update_order",
            "alternating",
            "alternating; or simultaneous: the generator sees the discriminator of before the step",
            OneOf(UPDATE_ORDERS),
        ),
        (
            "ema_decay",
            0.999,
            "decay of the averaged generator (Yazici et al. 2019); 0: no averaging",
            Between(0, 1),
        ),
    ),
}

GROUPS["Penalties, any number at once"] = {
    "regularizers": Penalties("weight 0: absent from the program"),
}

GROUPS["Stabilizers; each 0 (or 1, of counts) is absent from the program"] = {
    **_fields(
        ("label_flip", 0.0, "share of pairs whose real and fake are swapped (Chintala et al. 2016)", _SHARE),
        (
            "instance_noise.stddev",
            0.0,
            "of noise on all that the discriminator sees (Sønderby et al. 2017); images lie in [-1, 1]",
            AtLeast(0),
        ),
    ),
    "instance_noise.schedule": Choice(SECTIONS["schedule"], "constant", "factor on the noise's deviation"),
    **_fields(
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
            "discriminator updates that the generator foresees (Metz et al. 2017)",
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
            "steps between joint backtrackings (LookaheadGAN, Chavdarova et al. 2021)",
            AtLeast(0),
        ),
        ("lookahead_alpha", 0.5, "how far the slow weights follow", _SHARE),
    ),
}

# Of images, any of `names` in their order: --config.augment.names=flip,crop.
GROUPS["Augmentation of images"] = {
    "augment": Choice(AUGMENTATIONS, (), "of all that the discriminator sees (Zhao et al. 2020)"),
    **_fields(
        ("augment.probability", 1.0, "of each operation on each image", _SHARE),
        ("augment.adaptive", False, "ADA's rule (Karras et al. 2020): begin with probability 0"),
        (
            "augment.target",
            0.6,
            "ADA: what the mean sign of the real logits is steered to",
            Between(-1, 1, closed=True),
        ),
        ("augment.length", 500_000.0, "ADA: images in which the probability goes from 0 to 1", Above(0)),
        ("augment.adaptive_interval", 4, "ADA: discriminator updates between two adjustments", AtLeast(1)),
    ),
    "data_augment": Choice(AUGMENTATIONS, (), "ordinary: of the real images alone"),
    "consistency_augment": Choice(AUGMENTATIONS, (), "what regularizers.cr and bcr compare with"),
}

GROUPS["Data"] = {
    "dataset": Choice(SECTIONS["dataset"], "mnist", "tfds is written with the set's name: tfds/cifar10"),
    **_fields(
        ("dataset.path", "", "folder or file of your own data, or TFDS's data_dir"),
        ("dataset.fallback", "", "set to train on, and to say so, where the named one cannot be had"),
        (
            "dataset.hold_out",
            False,
            "train without the validation part (every sixth example), evaluate on it instead of the test set",
        ),
        (
            "dataset.image_size",
            0,
            "pixels, to which the centre is cropped and scaled; 0: as stored",
            SideOrSides(),
        ),
        ("dataset.max_device_bytes", 2**31, "sets up to this size stay on the device, others are streamed"),
        (
            "class_balance",
            "none",
            "resample: all classes alike; weights: classes weigh in the loss",
            OneOf(("none", "resample", "weights")),
        ),
        ("class_weights", (), "one for each class; (): the inverse of its frequency", AtLeast(0)),
    ),
}

GROUPS["Networks"] = {
    "condition": Choice(
        SECTIONS["condition"], "none", "what both networks are told of each example: none, labels or codes"
    ),
    "generator": Choice(SECTIONS["generator"], "dcgan", "z → example"),
    "discriminator": Choice(SECTIONS["discriminator"], "dcgan", "example → logit"),
}

GROUPS["Optimization"] = {
    "generator_optimizer": Choice(SECTIONS["generator_optimizer"], "adam", "of the generator"),
    "discriminator_optimizer": Choice(SECTIONS["discriminator_optimizer"], "adam", "of the discriminator"),
    "schedule": Choice(SECTIONS["schedule"], "constant", "factor on both learning rates"),
    **_fields(
        ("generator_clip_norm", 0.0, "largest global norm of the generator's gradient; 0: any", AtLeast(0)),
        (
            "discriminator_clip_norm",
            0.0,
            "largest global norm of the discriminator's gradient; 0: any",
            AtLeast(0),
        ),
        (
            "accumulate",
            1,
            "parts in which a batch goes through the networks, to save memory. Batch norm, LeCam, ADA and "
            "DRAGAN see one part; the averages of batch norm and LeCam, and ADA's count of minibatches, move "
            "with each",
            AtLeast(1),
        ),
        (
            "compute_dtype",
            "float32",
            "of the networks in training; parameters are float32",
            OneOf(("float32", "bfloat16")),
        ),
    ),
}

GROUPS["What is written, in steps; 0: never"] = _fields(
    ("log_every", 50, "metrics: means over the steps since the last line", AtLeast(1)),
    ("sample_every", 500, "grids of fixed latents", AtLeast(0)),
    (
        "checkpoint_every",
        1_000,
        "a killed run goes on from the last one; 0: of the last step alone",
        AtLeast(0),
    ),
    ("checkpoints_kept", 3, "how many of the newest", AtLeast(1)),
    ("eval_every", 0, "numbers of `evaluation`", AtLeast(0)),
    ("profile_at", 0, "step at which one call is traced into <workdir>/profile", AtLeast(0)),
)

GROUPS["Evaluation, of the averaged generator"] = {
    **_fields(("evaluation.protocol", "10k", "2.5k, 10k, 25.6k, 26k, 50k, or a number of samples")),
    "evaluation.extractor": Choice(SECTIONS["evaluation.extractor"], "auto", "of features"),
    "evaluation.statistics": Choice(
        LISTS["evaluation.statistics"],
        ("frechet_distance",),
        "computed every eval_every steps; --mode=evaluate takes all, with the fields given here",
    ),
    **_fields(
        ("evaluation.best", "", "number whose best checkpoint is kept, as classifier_frechet_distance_10k"),
        ("evaluation.best_is", "lowest", "which of its values is best", OneOf(("lowest", "highest"))),
        ("evaluation.seed", 0, "of the latents, and of the choice of real examples", _SEED),
    ),
}

OWN: dict[str, Field] = {
    path: entry for group in GROUPS.values() for path, entry in group.items() if isinstance(entry, Field)
}


def get_config() -> ConfigDict:
    """The config of a DCGAN on MNIST, with every field that there is, locked."""
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


def _value(entry: Field | Choice | Penalties):
    if isinstance(entry, Field):  # of one type, unless that is object
        return FieldReference(entry.default, object) if entry.kind is object else entry.default
    if isinstance(entry, Penalties):
        return regularizers()
    if isinstance(entry.default, tuple):
        return components(entry.registry, *entry.default)
    return component(entry.registry, entry.default)
