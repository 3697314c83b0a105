"""The command line: flags, then one call. `HELP` is what `--help` shows.

Nothing that takes long to import is imported here before it is known to be needed.
"""

import hashlib
import os
import re
import runpy
import shlex
import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from jaxgan.errors import UserError
from jaxgan.run import console

HELP = """\
jaxgan: generative adversarial networks in JAX and Flax

  train     python launch.py --config=configs/dcgan_digits.py [--config.FIELD=VALUE ...]
            The same command goes on with the run that it began, in runs/ or --workdir=DIR.
            So does --workdir=DIR alone; --workdir=DIR --config.num_steps=N makes it longer.
  evaluate  python launch.py --mode=evaluate --workdir=DIR [--protocol=50k]
  sample    python launch.py --mode=sample --workdir=DIR [--num=50000 --out=FILE.npz]
  translate python launch.py --mode=translate --workdir=DIR --input=FOLDER --out=FOLDER
  sweep     python launch.py --mode=sweep --config=FILE --sweep='FIELD=VALUES' [--dry_run]
            and --mode=report --workdir=DIR, to write its report anew
  fields    python launch.py --mode=fields [--config=FILE] [WORD]
            lists what --config.FIELD=VALUE can set (also in configs/FIELDS.md)

Configs are in configs/, more about all of this in README.md.
All flags: python launch.py --helpfull

Exit status: 0 done; 2 wrong input, told in one line; 3 training diverged; 4 another process of
the run is gone (or 134, where JAX's runtime sees that first); 128 + signal after SIGINT or
SIGTERM, with a checkpoint written first.\
"""

CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment, configs/*.py.", lock_config=True)
WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder; default runs/<config name>[-<overrides>].")
MODES = "train", "evaluate", "sample", "translate", "sweep", "report", "fields"
MODE = flags.DEFINE_enum("mode", "train", MODES, "What to do.")
NUM = flags.DEFINE_integer("num", 0, "sample: how many examples to write to --out.")
OUT = flags.DEFINE_string(
    "out",
    None,
    "sample, translate, fields: FILE.npz or a folder for PNGs, default WORKDIR/samples.npz; a folder; or "
    "FILE.md.",
)
LABELS = flags.DEFINE_list(
    "labels", None, "sample: of a conditional run, classes that take turns: 7,3 or cat."
)
CODES = flags.DEFINE_list(
    "codes", None, "sample: of InfoGAN, values of codes by number: 0:7,1:0.5; of one code several take turns."
)
SEED = flags.DEFINE_integer("sample_seed", 0, "sample, translate: the seed of the latents.")
STEP = flags.DEFINE_string(
    "step", None, "sample, evaluate, translate: a checkpoint's step, or 'best'; default the newest."
)
WEIGHTS = flags.DEFINE_enum(
    "weights", "ema", ["ema", "raw"], "sample, evaluate, translate: averaged or raw generator."
)
INPUT = flags.DEFINE_string("input", None, "translate: an image file, or a folder of them.")
TILE = flags.DEFINE_integer(
    "tile",
    512,
    "translate: larger pictures go through the network in tiles of so many pixels in height and width, one "
    "at a time, so that its memory is that of one tile; 0: whole.",
    lower_bound=0,
)
OVERLAP = flags.DEFINE_integer("overlap", 64, "translate: pixels that tiles share.", lower_bound=0)
DIRECTION = flags.DEFINE_enum(
    "direction", "AtoB", ["AtoB", "BtoA"], "translate: of a run on unpaired pictures, which way."
)
# Of a run that several processes train.
DISTRIBUTED = flags.DEFINE_boolean(
    "distributed", False, "train: one of several processes, started by SLURM, Open MPI or on a TPU pod."
)
COORDINATOR = flags.DEFINE_string("coordinator", None, "train: HOST:PORT of process 0, a free port.")
PROCESSES = flags.DEFINE_integer("num_processes", None, "train: how many processes there are.")
PROCESS = flags.DEFINE_integer("process_id", None, "train: which of them this is, from 0.")
# Of an evaluation; the default of each is what the run's config says.
PROTOCOL = flags.DEFINE_string("protocol", None, "evaluate: 2.5k, 10k, 25.6k, 26k, 50k or a number of fakes.")
EXTRACTOR = flags.DEFINE_string("extractor", None, "evaluate: auto, inception, classifier or raw.")
INCEPTION = flags.DEFINE_string("inception_weights", None, "evaluate: Inception's weights, converted.")
DATA = flags.DEFINE_string("dataset_path", None, "evaluate: where the run's data set is now.")
# Of a sweep (jaxgan/sweeps/README.md).
SWEEP = flags.DEFINE_multi_string("sweep", [], "sweep: FIELD=a,b,c or FIELD=a:b:n or FIELD=log(a:b:n).")
SETTINGS = flags.DEFINE_list("settings", [], "sweep: of the config file's named settings these; default all.")
COMBINE = flags.DEFINE_enum(
    "combine", "grid", ["grid", "zip", "random", "search"], "sweep: how fields combine."
)
DRAWS = flags.DEFINE_integer("draws", 0, "sweep: of random and search, how many settings.", lower_bound=0)
DRAWS_SEED = flags.DEFINE_integer("draws_seed", 0, "sweep: of --combine=random and search.")
OBJECTIVE = flags.DEFINE_string("objective", "", "sweep: of search, what is improved: NUMBER or NUMBER,cost.")
WAVE = flags.DEFINE_integer("wave", 8, "sweep: of search, settings that train together.", lower_bound=1)
ETA = flags.DEFINE_integer("eta", 3, "sweep: of search, of so many one goes on at a rung.", lower_bound=2)
BASELINE = flags.DEFINE_string(
    "baseline", "", "sweep, report: the setting to compare with; default the first."
)
SPREAD = flags.DEFINE_enum(
    "spread",
    "interval",
    ["interval", "stderr"],
    "sweep, report: what stands beside a mean.",
)
EVALUATE = flags.DEFINE_enum(
    "evaluate",
    "end",
    ["end", "off"],
    "sweep: evaluate runs at their end if eval_every is 0.",
)
POPULATION = flags.DEFINE_enum(
    "population", "auto", ["auto", "vmap", "map", "measure", "off"], "sweep: how runs of a program train."
)
SIZE = flags.DEFINE_integer(
    "population_size", 0, "sweep: most runs at once; default what memory holds, up to 256.", lower_bound=0
)
DRY_RUN = flags.DEFINE_boolean("dry_run", False, "sweep: print the plan and stop.")


def read_config():
    """The config that --config and its overrides name."""
    if not flags.FLAGS["config"].present:
        given = "--config=configs/dcgan_mnist.py, or another file of configs/"
        trains = MODE.value in ("train", "sweep")
        raise UserError(f"which run? Give {given if trains else '--workdir=DIR'}")
    return CONFIG.value


def overrides() -> dict:
    """The fields that --config.FIELD=VALUE sets."""
    flag = flags.FLAGS["config"]
    return config_flags.get_override_values(flag) if flag.present else {}


def require_flags_of_mode() -> None:
    """Refuses flags that the mode does not take; their help begins with the modes that do."""
    for name in flags.FLAGS:
        modes, colon, _ = flags.FLAGS[name].help.partition(": ")
        modes = modes.split(", ")
        if flags.FLAGS[name].present and colon and {*modes} <= {*MODES} and MODE.value not in modes:
            raise UserError(f"--{name} is of --mode={' and '.join(modes)}; this is --mode={MODE.value}")


def chosen_workdir(*more: str) -> Path:
    """--workdir, or the default."""
    if "://" in (WORKDIR.value or ""):  # a path would lose a slash of it
        raise UserError(f"--workdir={WORKDIR.value} is a URL: give a folder on a file system of this machine")
    return Path(WORKDIR.value).expanduser() if WORKDIR.value else default_workdir(*more)


def default_workdir(*more: str) -> Path:
    """runs/<config name>[-<overrides>]: an override starts a run of its own."""
    flag = flags.FLAGS["config"]
    name, _, variant = config_flags.get_config_filename(flag).partition(":")
    given = (f"{field}={value}" for field, value in overrides().items())
    parts = [Path(name).stem, variant, *given, *more]
    name = "-".join(re.sub(r"[^\w.=+,-]+", "_", part) for part in parts if part)
    if len(name) > 150:  # longer than file systems like: the rest as a hash
        name = f"{name[:130]}-{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}"
    return Path("runs") / name


def sweep_settings() -> dict | None:
    """The named settings of the config file, if it has any: `SETTINGS = {name: {field: value}}`."""
    path, _, _ = config_flags.get_config_filename(flags.FLAGS["config"]).partition(":")
    known = runpy.run_path(path).get("SETTINGS", {})
    if unknown := [name for name in SETTINGS.value if name not in known]:
        names = f"has {', '.join(known)}" if known else "names no settings"
        raise UserError(f"--settings: {path} {names}, not '{unknown[0]}'")
    return {name: known[name] for name in SETTINGS.value or known}


def search(config, command: str) -> int:
    """The search that the flags name."""
    from jaxgan.sweeps.searching import Options, run

    for name in ("baseline", "spread", "evaluate", "population_size"):
        if flags.FLAGS[name].present:
            raise UserError(f"--{name} is of other sweeps: --combine=search does not take it")
    config_file = config_flags.get_config_filename(flags.FLAGS["config"])
    given = [f"--config={config_file}", *(f"--config.{name}={value}" for name, value in overrides().items())]
    workdir = chosen_workdir("search", *SETTINGS.value, OBJECTIVE.value, *SWEEP.value)
    drawn = DRAWS.value, WAVE.value, ETA.value, DRAWS_SEED.value
    options = Options(OBJECTIVE.value, *drawn, POPULATION.value, DRY_RUN.value, command, given)
    settings = sweep_settings() if SETTINGS.value else {}
    return run(config, SWEEP.value, settings, overrides(), workdir, options)


def sweep(config) -> int:
    """The sweep that the flags name."""
    from jaxgan.jobs import train
    from jaxgan.sweeps import devices, plan
    from jaxgan.sweeps.sweep import Options
    from jaxgan.sweeps.sweep import sweep as run

    devices.use_cores()
    train.require_determinism(config.deterministic)
    command = f"python {shlex.join(['launch.py', *sys.argv[1:]])}"
    if COMBINE.value == "search":
        return search(config, command)
    for name in ("objective", "wave", "eta"):
        if flags.FLAGS[name].present:
            raise UserError(f"--{name} is of --combine=search; this is --combine={COMBINE.value}")
    drawn = COMBINE.value, DRAWS.value, DRAWS_SEED.value
    evaluate = EVALUATE.value == "end"
    made = plan.make_plan(config, SWEEP.value, *drawn, sweep_settings(), overrides(), evaluate)
    workdir = chosen_workdir("sweep", *SETTINGS.value, *SWEEP.value)
    shown = BASELINE.value, SPREAD.value, DRY_RUN.value, command
    return run(made, workdir, Options(POPULATION.value, SIZE.value, *shown))


def list_fields(words: tuple[str, ...]) -> int:
    """Prints the fields of which the words say something, all without words; or writes a page of all."""
    from jaxgan.config import listing

    if OUT.value:
        Path(OUT.value).write_text(listing.markdown(), encoding="utf-8")
        print(f"wrote {OUT.value}")
    else:
        given = flags.FLAGS["config"].present
        print(listing.text(CONFIG.value if given else None, words))
    return 0


def main(*words: str) -> int:
    require_flags_of_mode()
    if MODE.value == "fields":
        return list_fields(words)

    if MODE.value == "train":
        from jaxgan.config.dependencies import reset_idle
        from jaxgan.devices import processes
        from jaxgan.jobs.train import train

        config = read_config().copy_and_resolve_references()
        reset_idle(config, overrides(), overrides())
        where = COORDINATOR.value, PROCESSES.value, PROCESS.value
        if DISTRIBUTED.value or where != (None, None, None):
            processes.connect(*where)
        return train(config, chosen_workdir())

    if MODE.value == "sweep":
        return sweep(read_config())

    if not WORKDIR.value:
        read_config()  # its name is the workdir's
    workdir, given = chosen_workdir(), {}
    if WORKDIR.value and overrides() and MODE.value != "report":
        from jaxgan.run import record

        given = record.changes(read_config(), overrides(), workdir)
    step = int(STEP.value) if (STEP.value or "").isdecimal() else STEP.value
    if MODE.value == "report":
        if (workdir / "search.json").exists():
            from jaxgan.sweeps import searching

            print("wrote " + ", ".join(map(str, searching.report(workdir))))
            return 0
        from jaxgan.sweeps import report

        print("wrote " + ", ".join(map(str, report.write(workdir, BASELINE.value, SPREAD.value))))
        return 0

    # the run may still be going: what JAX would take of an accelerator's memory at once is not there
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if MODE.value == "sample":
        from jaxgan.jobs.sample import sample

        out = Path(OUT.value).expanduser() if OUT.value else None
        return sample(workdir, NUM.value, out, SEED.value, step, WEIGHTS.value, LABELS.value, CODES.value)

    if MODE.value == "translate":
        from jaxgan.jobs.translate import translate

        if not INPUT.value or not OUT.value:
            raise UserError("--mode=translate needs --input=FOLDER and --out=FOLDER")
        source, out = Path(INPUT.value).expanduser(), Path(OUT.value).expanduser()
        chosen = step, WEIGHTS.value, SEED.value, DIRECTION.value
        return translate(workdir, source, out, *chosen, TILE.value, OVERLAP.value)

    from jaxgan.jobs.evaluate import evaluate

    changes = {
        "evaluation.protocol": PROTOCOL.value,
        "evaluation.extractor.name": EXTRACTOR.value or ("inception" if INCEPTION.value else None),
        "evaluation.extractor.inception.weights": INCEPTION.value,
        "dataset.path": DATA.value,
    }
    given |= {field: value for field, value in changes.items() if value is not None}
    evaluate(workdir, given, step, WEIGHTS.value)
    return 0


if __name__ == "__main__":
    console.run(main, HELP, takes_words=lambda: MODE.value == "fields")
