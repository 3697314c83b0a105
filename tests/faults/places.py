"""Runs cells of places × conditions × jobs, many in one process with its own mount namespace.

    unshare -rm python places.py CELLS.json RESULTS.json

Each job is a real command line, run in this process. Tests run as root, for whom permissions have no effect,
so read-only and full places are mounts. A result is a cell with `fault`, which is empty if all is correct.
"""

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import fcntl  # noqa: E402

import numpy as np  # noqa: E402
from absl.testing import flagsaver  # noqa: E402

import jaxgan  # noqa: E402
from jaxgan.jobs import pictures  # noqa: E402
from jaxgan.run import console  # noqa: E402

GROUPS = ("train", "resume", "evaluate", "sample"), ("sweep", "report")  # jobs on a run, jobs on a sweep
JOBS = (*GROUPS[0], *GROUPS[1])
ODD = {
    "brackets": b"run[lr=1e-3]*",
    "backslash": b"a\\b",
    "spaces": b' it\'s  100%s {0} "so"',
    "new line": b"a\nb",
    "no UTF-8": b"caf\xe9",
    "longest": b"n" * 255,
    "too long": b"n" * 300,
    "dash": b"-run",
}
CONDITIONS = ("as usual", "missing", "read-only", "full", "deleted", "busy", "a file", *ODD)
# the jobs that use a place
PLACES = {
    "workdir": JOBS,
    "checkpoints": ("resume", "evaluate", "sample"),
    "samples": ("resume", "sample"),
    "metrics.jsonl": ("resume", "evaluate"),
    "plots": ("evaluate",),
    "evaluation.json": ("evaluate",),
    "runs": ("sweep", "report"),
    "parts": ("sweep", "report"),
    "figures": ("sweep", "report"),
    "cache": JOBS,
    "tmpdir": JOBS,
    "home": JOBS,
    "out.npz": ("sample",),
    "out folder": ("sample",),
}
INSIDE = ("checkpoints", "samples", "metrics.jsonl", "plots", "evaluation.json", "runs", "parts", "figures")
FILES = ("metrics.jsonl", "evaluation.json", "out.npz")
# the place is removed when the job opens the first file whose path matches
MOMENTS = {
    "train": r"/samples/\.step",
    "resume": r"metrics\.jsonl$",
    "evaluate": r"evaluation\.json",
    "sample": r"\.npz|/00000001\.png",
    "sweep": r"result\.json",
    "report": r"sweep\.csv",
}
SECONDS = 100  # limit for a job
REMEDIES = (  # a message must contain one of these
    "choose|give|set|make|check|wait|remove|move|restore|correct|unset|let|go on|run|rename|needs"
)


def makes_sense(cell):
    place, condition, job = cell["place"], cell["condition"], cell["job"]
    if job not in PLACES[place]:
        return False
    if place in INSIDE:
        return condition not in (*ODD, "as usual", "busy") and (place, condition) != (
            "evaluation.json",
            "missing",
        )
    if condition == "as usual":
        return place == "workdir"
    return condition != "busy" or place in ("workdir", "cache")


# --- A job, in this process ---------------------------------------------------------------------------

_moment = None


def _audit(event, args):
    global _moment
    if _moment is None or event != "open" or not isinstance(args[0], str | bytes):
        return
    pattern, action = _moment
    if re.search(pattern, os.fsdecode(args[0])):
        _moment = None
        action()


class Late(Exception):
    """A job did not end in time."""


def _late(*_):
    raise Late


def command(*words, cwd=None):
    """Runs the command line in this process: status, stdout, stderr."""
    import launch  # not at the top, because it declares flags

    folder = Path(tempfile.mkdtemp(dir=HERE))
    sys.argv = ["launch.py", *words]
    before = [os.dup(1), os.dup(2)]
    saved = flagsaver.save_flag_values()
    signal.signal(signal.SIGALRM, _late)
    signal.alarm(SECONDS)
    try:
        for number, name in ((1, "out"), (2, "err")):
            with open(folder / name, "wb") as file:
                os.dup2(file.fileno(), number)
        if cwd:
            os.chdir(cwd)
        try:
            console.run(launch.main)
            status = 0
        except SystemExit as error:
            status = error.code or 0
        except BaseException:
            traceback.print_exc()
            status = 1
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
    finally:
        signal.alarm(0)
        os.chdir("/")
        flagsaver.restore_flag_values(saved)
        for number, copy in zip((1, 2), before, strict=True):
            os.dup2(copy, number)
            os.close(copy)
    texts = [(folder / name).read_text(errors="replace") for name in ("out", "err")]
    shutil.rmtree(folder)
    return status, *texts


def fields():
    """The tiny run: dense networks on digits in a file, which go through the cache."""
    values = {
        "dataset.name": "array",
        "dataset.path": HERE / "digits.npy",
        "dataset.array.in_memory_gb": 0.0,
        "generator.name": "mlp",
        "generator.mlp.hidden": "(8,)",
        "discriminator.name": "mlp",
        "discriminator.mlp.hidden": "(8,)",
        "latent_dim": 4,
        "batch_size": 8,
        "num_devices": 1,
        "num_steps": 2,
        "steps_per_call": 2,
        "log_every": 2,
        "sample_every": 2,
        "checkpoint_every": 2,
        "evaluation.extractor.name": "raw",
        "evaluation.protocol": "8",
    }
    return [f"--config={ROOT / 'configs' / 'default.py'}", *(f"--config.{k}={v}" for k, v in values.items())]


def words(job, place, out):
    """The command line of a job on the run or the sweep in `place`."""
    workdir = f"--workdir={os.fsdecode(place)}"
    return {
        "train": lambda: [*fields(), workdir],
        "resume": lambda: [workdir, "--config.num_steps=4"],
        "evaluate": lambda: ["--mode=evaluate", workdir],
        "sample": lambda: ["--mode=sample", workdir, "--num=5", f"--out={os.fsdecode(out)}"],
        "sweep": lambda: ["--mode=sweep", *fields(), workdir, "--sweep=seed=0,1", "--population=map"],
        "report": lambda: ["--mode=report", workdir],
    }[job]()


# --- Expected results ---------------------------------------------------------------------------------


def lines(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "images_per_second"} for row in rows]


def table(text):
    """The printed numbers of an evaluation."""
    return [line for line in text.splitlines() if line.startswith(("step", "raw_", "no "))]


def scores(sweep):
    rows = (sweep / "sweep.csv").read_text().splitlines()
    column = rows[0].split(",").index("generator_loss")
    return [row.split(",")[column] for row in rows[1:]]


def contents(folder):
    """Every file below a folder, by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def draw(run):
    return jaxgan.load(run)(num=5)


class Known:
    """The results of all jobs without a fault."""

    def __init__(self, jobs):
        jobs = [job for group in GROUPS if {*group} & {*jobs} for job in group]
        digits = HERE / "digits.npy"
        from sklearn.datasets import load_digits

        np.save(digits, (load_digits().images[:120] * 15.9).astype(np.uint8))
        self.run, self.sweep = HERE / "known" / "run", HERE / "known" / "sweep"
        self.done = {}
        for job in JOBS:
            if job not in jobs:
                continue
            place = self.sweep if job in ("sweep", "report") else self.run
            if job == "resume":
                place = HERE / "known" / "resumed"
                shutil.copytree(self.run, place)
            if job in ("evaluate", "sample"):
                place = HERE / "known" / job
                shutil.copytree(self.run, place)
            done = command(*words(job, place, HERE / "known" / "samples.npz"))
            if done[0]:
                raise RuntimeError(f"{job}: {done}")
            self.done[job] = done
        if "train" in jobs:
            self.samples, self.lines = draw(self.run), lines(self.run)
            self.later, self.later_lines = (of(HERE / "known" / "resumed") for of in (draw, lines))
        else:
            self.scores = scores(self.sweep)

    def wrong(self, job, place, out, printed, gone):
        """What is wrong with the results of a job that reported success; '' if nothing is."""
        if job in ("train", "resume") and gone and (place / "checkpoints").is_dir():
            samples = self.later if job == "resume" else self.samples
            return "" if np.array_equal(draw(place), samples) else "another generator"
        if job in ("train", "resume") and not gone:
            samples, rows = (self.later, self.later_lines) if job == "resume" else (self.samples, self.lines)
            if not np.array_equal(draw(place), samples):
                return "another generator"
            return "" if lines(place) == rows else f"other lines: {lines(place)}"
        if job == "evaluate":
            if table(printed) != table(self.done[job][1]):
                return f"other numbers: {printed}"
        if job == "sample":
            if not out.exists():
                return "" if gone else "no samples"
            if out.suffix == ".npz":
                found = np.load(out)["images"]
            else:
                from PIL import Image

                found = np.stack(
                    [np.asarray(Image.open(path))[..., None] for path in sorted(out.glob("0*.png"))]
                )
            return "" if np.array_equal(found, self.samples) else "other samples"
        if job in ("sweep", "report") and not gone and (place / "runs").is_dir():
            return "" if scores(place) == self.scores else f"other scores: {scores(place)}"
        return ""


# --- A cell -------------------------------------------------------------------------------------------


def mount(*arguments):
    subprocess.run(["mount", *map(os.fsencode, arguments)], check=True)


def make_full(place):
    """Moves the place with its contents to a full file system."""
    size = sum(path.stat().st_size + 4096 for path in place.rglob("*")) if place.is_dir() else 8192
    room = place.parent / f"room{time.monotonic_ns()}"
    room.mkdir()
    mount("-t", "tmpfs", "-o", f"size={size + 2**16}", "none", room)
    target = room / "place"
    if place.is_dir():
        shutil.copytree(place, target, symlinks=True)
    else:
        shutil.copy(place, target)
    with contextlib.suppress(OSError), open(room / "rest", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    mount("--bind", target, place)
    return [place, room]


def make_read_only(place):
    mount("--bind", place, place)
    mount("-o", "remount,bind,ro", place)
    return [place]


def remove(place):
    with contextlib.suppress(OSError):
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)


def fault_of(cell, known, number):
    """What is wrong with the result of a cell; '' if nothing is."""
    global _moment
    place_name, condition, job = cell["place"], cell["condition"], cell["job"]
    here = HERE / "cells" / str(number)
    here.mkdir(parents=True)
    # the usual places
    kind = "sweep" if job in ("sweep", "report") else "run"
    base = here / ("run[1]" if place_name == "tmpdir" else kind)
    places = {
        "workdir": base,
        "cache": here / "cache",
        "tmpdir": here / "tmp",
        "home": here / "home",
        "out.npz": here / "out" / "out.npz",
        "out folder": here / "pngs",
    }
    is_file = place_name in FILES
    if condition in ODD:
        odd = os.fsdecode(ODD[condition])
        if place_name == "out.npz":
            odd = odd[: 251 if condition == "longest" else None] + ".npz"
        places[place_name] = places[place_name].parent / odd
    elif condition == "missing" and place_name not in INSIDE:
        places[place_name] = here / "new" / "deeper" / places[place_name].name
    workdir = places["workdir"]
    out = places["out folder" if place_name == "out folder" else "out.npz"]
    place = places.get(place_name) or workdir / place_name
    (here / "out").mkdir()

    mounts, held = [], []
    too_long = condition == "too long"
    begins = job in ("train", "sweep")  # the job creates its folder
    if not begins and not (place_name == "workdir" and (condition in ("missing", "a file") or too_long)):
        shutil.copytree(known.sweep if kind == "sweep" else known.run, workdir)
        if place_name == "evaluation.json":
            shutil.copy(HERE / "known" / "evaluate" / "evaluation.json", workdir)
    elif job == "sweep" and place_name in INSIDE:  # the sweep is incomplete
        shutil.copytree(known.sweep, workdir)
        remove(workdir / "sweep.csv")
        for part in (workdir / "parts").iterdir():
            (part / "result.json").unlink(missing_ok=True)
    for name in ("cache", "tmpdir", "home"):
        if name != place_name:
            places[name].mkdir(exist_ok=True)
    if place_name == "cache" and condition not in ("missing", "a file", "too long"):
        shutil.copytree(HERE / "cache", place)

    saved = {} if too_long and place_name == "workdir" else contents(workdir / "checkpoints")
    gone = False
    try:
        if condition == "missing":
            if place_name in INSIDE:
                remove(place)
                gone = place_name in ("metrics.jsonl", "runs", "parts")
        elif condition == "a file":
            remove(place)
            if is_file:
                place.mkdir()
            else:
                place.write_text("not a folder")
        elif condition in ("read-only", "full", "deleted", "busy") or condition in ODD:
            if not too_long and not place.exists():
                if is_file and condition not in ODD:
                    place.touch()
                elif not is_file and not (place_name == "workdir" and begins and condition in ODD):
                    place.mkdir(parents=True, exist_ok=True)
            if condition == "read-only":
                mounts = make_read_only(place)
            elif condition == "full":
                mounts = make_full(place)
            elif condition == "deleted":
                gone = place_name in ("workdir", "out.npz", "out folder", "runs", "parts", "checkpoints",
                                      "samples", "metrics.jsonl")  # fmt: skip
                target = place.parent if place_name == "out.npz" else place
                _moment = MOMENTS[job], lambda: remove(target)
            elif condition == "busy" and place_name == "workdir":
                lock = workdir / ("parts/0000/.lock" if kind == "sweep" else ".lock")
                lock.parent.mkdir(parents=True, exist_ok=True)
                held.append(open(lock, "a"))
                fcntl.flock(held[-1], fcntl.LOCK_EX)
                if job == "sweep":  # the other process ends after a second
                    threading.Timer(1.0, held[-1].close).start()
        environment(places, place_name)
        status, printed, errors = command(*words(job, argument(workdir, here), argument(out, here)), cwd=here)
    except Late:
        return "it did not end"
    finally:
        _moment = None
        for file in held:
            file.close()
        for path in mounts:
            subprocess.run(["umount", "-l", os.fsencode(path)], check=False)
    shown = errors.replace(str(here), "").replace(str(HERE), "").replace(str(ROOT), "")
    fault = judge(cell, status, printed, shown, place, known, workdir, out, gone)
    if not fault and saved and place_name != "checkpoints" and not (place_name == "workdir" and gone):
        fault = lost(workdir, saved, status, known)
    return fault and f"{fault} [status {status}]"


def argument(path, here):
    """A path relative to `here`; a leading dash of a name stays in front."""
    return Path(os.path.relpath(path, here))


_shared: dict = {}


def share_programs():
    """All runs share one program, compiled once, and all figures are one, drawn once."""
    from jaxgan.config import experiment
    from jaxgan.devices import flops, parallel
    from jaxgan.jobs import train
    from jaxgan.sweeps import figures, layout, members

    def once(function, *key):
        @functools.wraps(function)
        def call(*arguments, **named):
            values = (function, *(arguments[i] for i in key))
            if values not in _shared:
                _shared[values] = function(*arguments, **named)
            return _shared[values]

        return call

    experiment.make_gan = once(experiment.make_gan, 1)  # key: the shape
    parallel.make_program = once(parallel.make_program)
    layout.Population = members.Population = once(members.Population)
    figures.svg, figures.pdf = once(figures.svg), once(figures.pdf)  # takes seconds
    train.steps_of_a_call = members.steps_of_a_call = once(flops.steps_of_a_call, 3, 4)


def environment(places, place_name):
    os.environ["TMPDIR"] = str(places["tmpdir"])
    tempfile.tempdir = None
    os.environ["HOME"] = str(places["home"])
    if place_name == "home":
        os.environ.pop("JAXGAN_CACHE_DIR", None)
    else:
        os.environ["JAXGAN_CACHE_DIR"] = str(places["cache"])
    if place_name == "cache":
        os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    else:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(HERE / "cache" / "programs")
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    jax.config.update("jax_compilation_cache_dir", str(HERE / "cache" / "programs"))
    compilation_cache.reset_cache()


def judge(cell, status, printed, errors, place, known, workdir, out, gone):
    kept = [line for line in errors.splitlines() if not re.match(r"(WARNING|INFO)\b", line)]
    if status == 0:
        if kept:
            return f"{len(kept)} lines on stderr: {errors[-600:]!r}"
        return known.wrong(cell["job"], workdir, out, printed, gone)
    if status != 2 or len(kept) != 1 or not kept[0].startswith("error: "):
        return f"{len(kept)} lines: {errors[-700:]!r}"
    message = kept[0].removeprefix("error: ")
    if len(message) >= 300:
        return f"{len(message)} characters: {message!r}"
    if not names(cell, message, place):
        return f"does not name the place: {message!r}"
    if must_work(cell):
        return f"refused: {message!r}"
    if not re.search(rf"[:;,(].*\b({REMEDIES})\b", message):
        return f"no remedy: {message!r}"
    return ""


def names(cell, message, place):
    words = {"cache": ["JAXGAN_CACHE_DIR"], "home": ["JAXGAN_CACHE_DIR", "home"], "tmpdir": ["TMPDIR"]}
    shown = [
        "checkpoint" if cell["place"] == "checkpoints" else place.name[:20],
        ascii(place.name)[1:15],
        "--workdir",
        *words.get(cell["place"], []),
    ]
    return any(word in message for word in shown)


def must_work(cell):
    place, condition = cell["place"], cell["condition"]
    if condition == "as usual" or (place in ("cache", "home", "tmpdir") and condition != "deleted"):
        return True
    if condition in ODD:
        return condition not in ("no UTF-8", "too long")
    return (place, condition, cell["job"]) in {
        ("workdir", "missing", "train"),
        ("workdir", "missing", "sweep"),
        ("out.npz", "missing", "sample"),
        ("out folder", "missing", "sample"),
        ("workdir", "read-only", "evaluate"),
        ("workdir", "full", "evaluate"),
        ("workdir", "read-only", "sample"),
        ("workdir", "full", "sample"),
        ("workdir", "busy", "evaluate"),
        ("workdir", "busy", "sample"),
        ("workdir", "busy", "sweep"),
        ("workdir", "busy", "report"),
        ("checkpoints", "read-only", "evaluate"),
        ("checkpoints", "read-only", "sample"),
        ("checkpoints", "full", "evaluate"),
        ("checkpoints", "full", "sample"),
    }


def lost(workdir, saved, status, known):
    """What is wrong with earlier checkpoints; '' if they can still be loaded."""
    if status == 2 and contents(workdir / "checkpoints") == saved:
        return ""
    try:
        found = draw(workdir)
    except Exception as error:
        return f"what was saved is lost: {error}"
    fine = any(np.array_equal(found, samples) for samples in (known.samples, known.later))
    return "" if fine else "what was saved has changed"


def main():
    global HERE
    sys.addaudithook(_audit)
    cells, results = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    HERE = results.parent / "p"
    HERE.mkdir()
    mount("-t", "tmpfs", "none", HERE)
    pictures.draw_run = lambda *_: []  # takes seconds
    os.environ["JAXGAN_CACHE_DIR"] = str(HERE / "cache")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(HERE / "cache" / "programs")
    import jax

    jax.config.update("jax_compilation_cache_dir", str(HERE / "cache" / "programs"))
    console.leave = sys.exit  # this process continues
    share_programs()
    known, done = Known({cell["job"] for cell in cells}), []
    for number, cell in enumerate(cells):
        begun, wall = time.process_time(), time.monotonic()
        try:
            fault = fault_of(cell, known, number)
        except Exception:
            fault = f"the test itself: {traceback.format_exc()[-900:]}"
        done.append(
            {
                **cell,
                "fault": fault,
                "seconds": round(time.process_time() - begun, 2),
                "wall": round(time.monotonic() - wall, 2),
            }
        )
        with contextlib.suppress(OSError):
            shutil.rmtree(HERE / "cells" / str(number))
        results.write_text(json.dumps(done))


if __name__ == "__main__":
    main()
    os._exit(0)  # threads of failed saves would wait for minutes
