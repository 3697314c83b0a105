"""The list of all config fields, and the nearest fields to a name that does not exist."""

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from jaxgan.config.default import GROUPS, Choice, Penalties, Schedules, get_config
from jaxgan.config.essential import essential
from jaxgan.config.fields import OF_PENALTIES, OF_SCHEDULES, flatten, scheduled
from jaxgan.declarations import Field
from jaxgan.errors import UserError
from jaxgan.optimizers import SCHEDULES
from jaxgan.registry import Registry, union
from jaxgan.regularizers import FAMILIES

EVERY = "NAME"  # stands for the name of any penalty, in paths of fields that all penalties have
NUMBER = "NUMBER"  # stands for the field of any number of the state

# Common other names of fields → paths, or ends of paths.
SYNONYMS = {
    "lr": ("learning_rate",),
    "g_lr": ("generator_optimizer.adam.learning_rate",),
    "d_lr": ("discriminator_optimizer.adam.learning_rate",),
    "beta1": ("b1",),
    "beta2": ("b2",),
    "betas": ("b1", "b2"),
    "optimizer": ("generator_optimizer.name", "discriminator_optimizer.name"),
    "lr_schedule": ("schedule.name",),
    "scheduler": ("schedule.name",),
    "n_critic": ("discriminator_steps",),
    "n_dis": ("discriminator_steps",),
    "d_steps": ("discriminator_steps",),
    "critic_steps": ("discriminator_steps",),
    "disc_iters": ("discriminator_steps",),
    "g_steps": ("generator_steps",),
    "z_dim": ("latent_dim",),
    "nz": ("latent_dim",),
    "dim_z": ("latent_dim",),
    "noise_dim": ("latent_dim",),
    "z": ("latent", "latent_dim"),
    "prior": ("latent",),
    "truncation": ("latent", "latent_threshold"),
    "ema": ("ema_decay",),
    "ema_beta": ("ema_decay",),
    "ngf": ("generator.dcgan.channels",),
    "ndf": ("discriminator.dcgan.channels",),
    "width": ("channels", "hidden"),
    "widths": ("channels", "hidden"),
    "hidden_dim": ("hidden",),
    "gp": ("regularizers.wgan_gp.weight",),
    "gp_weight": ("regularizers.wgan_gp.weight",),
    "lambda_gp": ("regularizers.wgan_gp.weight",),
    "gradient_penalty": ("regularizers.wgan_gp.weight",),
    "r1_gamma": ("regularizers.r1.weight",),
    "gamma": ("regularizers.r1.weight",),
    "clip_value": ("regularizers.clip.weight", "regularizers.clip.bound"),
    "weight_clip": ("regularizers.clip.weight", "regularizers.clip.bound"),
    "grad_clip": ("generator_clip_norm", "discriminator_clip_norm"),
    "clip_norm": ("generator_clip_norm", "discriminator_clip_norm"),
    "sn": ("spectral_norm",),
    "bn": ("batch_norm",),
    "label_smoothing": ("loss.nonsaturating.real_label",),
    "smoothing": ("loss.nonsaturating.real_label",),
    "epochs": ("num_steps",),
    "steps": ("num_steps",),
    "iterations": ("num_steps",),
    "max_steps": ("num_steps",),
    "n_iter": ("num_steps",),
    "bs": ("batch_size",),
    "gradient_accumulation": ("accumulate",),
    "data": ("dataset.name", "dataset.path"),
    "data_dir": ("dataset.path",),
    "resolution": ("dataset.image_size",),
    "img_size": ("dataset.image_size",),
    "model": ("generator.name", "discriminator.name"),
    "gpus": ("num_devices",),
    "devices": ("num_devices",),
    "dtype": ("compute_dtype",),
    "bf16": ("compute_dtype",),
    "mixed_precision": ("compute_dtype",),
    "pretrained": ("init_from",),
    "init": ("init_from",),
    "metric": ("evaluation.statistics.names",),
    "metrics": ("evaluation.statistics.names",),
    "fid": ("evaluation.statistics.names", "evaluation.protocol"),
    "diffaugment": ("augment.names",),
    "ada": ("augment.adaptive",),
    "save_every": ("checkpoint_every",),
    "eval_freq": ("eval_every",),
}


class Entry(NamedTuple):
    """One line of the list.

    Attributes:
      heading: of its group.
      path: dotted; `regularizers.NAME.weight` stands for all penalties.
      default: its default value.
      kind: the type of its value.
      allowed: its range, in words; '' if there is no restriction.
      sentence: what it means.
    """

    heading: str
    path: str
    default: Any
    kind: str
    allowed: str
    sentence: str


def entries() -> Iterator[Entry]:
    """All fields, in the order of their declaration; components in that of their names."""
    for heading, group in GROUPS.items():
        for path, entry in group.items():
            if isinstance(entry, Field):
                yield _entry(heading, path, entry)
            elif isinstance(entry, Choice):
                yield from _of_choice(heading, path, entry)
            elif isinstance(entry, Schedules):
                for field in OF_SCHEDULES:
                    yield _entry(heading, f"{path}.{NUMBER}.{field.name}", field)
            else:
                yield from _of_penalties(heading, path, entry)


def _of_choice(heading: str, path: str, choice: Choice) -> Iterator[Entry]:
    several = isinstance(choice.default, tuple)
    end, allowed = ("names", "any of") if several else ("name", "one of")
    names = f"{allowed} {', '.join(sorted(choice.registry))}"
    yield Entry(heading, f"{path}.{end}", choice.default, end, names, choice.sentence)
    yield from _of_components(heading, path, choice.registry)


def _of_penalties(heading: str, path: str, penalties: Penalties) -> Iterator[Entry]:
    for field in OF_PENALTIES:
        yield _entry(heading, f"{path}.{EVERY}.{field.name}", field)
    schedule = Choice(SCHEDULES, "constant", "factor on the weight")
    yield from _of_choice(heading, f"{path}.{EVERY}.schedule", schedule)
    yield from _of_components(heading, path, union("penalty", FAMILIES))


def _of_components(heading: str, path: str, registry: Registry) -> Iterator[Entry]:
    for name in sorted(registry):  # not as they are imported
        for field in registry.fields(name).values():
            yield _entry(heading, f"{path}.{name}.{field.name}", field)


def _entry(heading: str, path: str, field: Field) -> Entry:
    kind = "" if field.kind is object else getattr(field.kind, "__name__", "value")
    kind += "s" if field.is_tuple else ""
    allowed = " and ".join(str(range_).removeprefix("be ").removeprefix("lie ") for range_ in field.ranges)
    return Entry(heading, path, field.default, kind, allowed, field.sentence.removesuffix("."))


# --- To read ------------------------------------------------------------------------------------------


def text(config: ConfigDict | None = None, words: Iterable[str] = ()) -> str:
    """The list for a terminal: two lines a field.

    Args:
      config: whose values are shown where they differ from the defaults.
      words: only fields that have all of these in their path, sentence or range.

    Raises:
      UserError: there is no such field.
    """
    values = flatten(config.to_dict()) if config is not None else {}
    words = [word.removeprefix("--config.").lower() for word in words]
    lines: list[str] = []
    heading = ""
    for entry in entries():
        if not all(_is_about(entry, word) for word in words):
            continue
        if entry.heading != heading:
            heading = entry.heading
            lines += ["", heading]
        value = values.get(entry.path, entry.default)
        default = "" if value == entry.default else f", default {_written(entry.default)}"
        about = ", ".join(filter(None, (entry.kind, entry.allowed)))
        lines += [f"  {entry.path}={_written(value)}{default}  ({about})", f"      {entry.sentence}"]
        for path in _paths(entry, config):
            if values.get(path, entry.default) != entry.default:
                lines.append(f"      {path}={_written(values[path])}")
    if not lines:
        asked = " ".join(words)[:80]
        raise UserError(f"no field has '{asked}' in its name or meaning.{hint(asked, config)}")
    return "\n".join(lines).strip("\n")


def _paths(entry: Entry, config: ConfigDict | None) -> list[str]:
    """The fields that an entry with `EVERY` or `NUMBER` stands for."""
    if config is None:
        return []
    names = {EVERY: config.regularizers, NUMBER: scheduled(config)}
    return [
        entry.path.replace(sign, name) for sign in names if f".{sign}." in entry.path for name in names[sign]
    ]


def _is_about(entry: Entry, word: str) -> bool:
    said = word in f"{entry.path} {entry.sentence} {entry.allowed}".lower()
    return said or _is_meant(entry.path, SYNONYMS.get(word, ()))


def _is_meant(path: str, wanted: Iterable[str]) -> bool:
    return any(f".{path}".endswith(f".{end}") for end in wanted)


def markdown() -> str:
    """The list as a page."""
    lines = [
        "# All fields of a config",
        "",
        "Written by `python launch.py --mode=fields --out=configs/FIELDS.md` from the declarations in",
        "`jaxgan/config/default.py` and of the components. `--config.FIELD=VALUE` sets a field, and",
        "`python launch.py --mode=fields [--config=FILE] [WORD]` finds one.",
        f"`{EVERY}` stands for each penalty: `regularizers.r1.weight`.",
        f"`{NUMBER}` stands for the field of any number of the state: `schedules.ema_decay.end`.",
    ]
    heading = ""
    for entry in entries():
        if entry.heading != heading:
            heading = entry.heading
            lines += ["", f"## {heading}", ""]
        about = ", ".join(filter(None, (entry.kind, entry.allowed)))
        default = _written(entry.default)
        default = f"; default `{default}`" if default else ""
        lines.append(f"- `{entry.path}` ({about}{default}): {entry.sentence}")
    return "\n".join(lines) + "\n"


def _written(value: Any) -> str:
    """As the command line takes it."""
    if isinstance(value, tuple | list):
        return ",".join(map(str, value)) if all(isinstance(v, str) for v in value) else str(tuple(value))
    return f"{value:g}" if isinstance(value, float) else str(value)


# --- The nearest --------------------------------------------------------------------------------------


def hint(name: str, config: ConfigDict | None = None) -> str:
    """A hint for a field that does not exist: the nearest fields, and where all are listed."""
    if name.startswith("schedules."):
        number = name.removeprefix("schedules.").rpartition(".")[0]
        if number in flatten((get_config() if config is None else config).to_dict()):
            return f" {number} is fixed for a run. Which numbers can change: python launch.py --mode=fields"
    found = nearest(name, config)
    several = f" The nearest: {', '.join(found)}." if found else ""
    return f"{several} All: python launch.py --mode=fields"


def nearest(name: str, config: ConfigDict | None = None, most: int = 3) -> list[str]:
    """The fields that are most likely meant, the likeliest first.

    Fields of selected components come before those of others, and shorter paths before longer ones.

    Args:
      name: dotted, without `config.`.
      config: the config whose fields are listed; None: the default config.
      most: how many.
    """
    config = get_config() if config is None else config
    paths = list(flatten(config.to_dict()))
    if "schedule" not in name:  # every number has one, which is hardly meant
        paths = [path for path in paths if not path.startswith("schedules.")]
    selected = set(flatten(essential(config)))
    name = name.lower().replace("-", "_")
    *section, last = name.split(".")
    meant = SYNONYMS.get(last) or SYNONYMS.get(last.replace("_", "")) or ()

    def score(path: str) -> float:
        end = path.rpartition(".")[2]
        if last == end or _is_meant(path, meant):
            likeness = 1.0
        else:
            likeness = max(_likeness(last, end), _likeness(name, path), 0.75 * _shares_words(last, path))
        parts = path.split(".")[:-1]
        shared = [max((_likeness(part, other) for other in parts), default=0.0) for part in section]
        likeness += 0.3 * sum(shared) / len(section) if section else 0
        return likeness + 0.1 * (path in selected) - 0.001 * len(path)

    ranked = sorted(((score(path), path) for path in paths), key=lambda pair: (-pair[0], pair[1]))
    best = ranked[0][0]
    return [path for value, path in ranked[:most] if value >= 0.65 and value > best - 0.095]


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def _shares_words(name: str, path: str) -> float:
    """The share of the words of a name that occur in a path."""
    words = set(re.split(r"[._]", name)) - {""}
    return len(words & set(re.split(r"[._]", path))) / max(len(words), 1)
