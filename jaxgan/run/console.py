"""The console of a job: log lines, the compilation cache, and errors as one line with an exit status.

Slow imports, JAX above all, are late: `--help` and wrong flags do not need them.
"""

import atexit
import contextlib
import errno
import functools
import gc
import importlib.util
import logging
import os
import re
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from absl import app, flags
from absl import logging as absl_logging

from jaxgan.errors import LostProcess, UserError
from jaxgan.run import streams
from jaxgan.run.plain_path import is_plain

# New objects after which Python collects garbage. Tracing makes many that live: with Python's 700 the
# collections would take a twentieth of the start.
_COLLECT_AFTER = 50_000


def run(main: Callable[..., int], page: str = "", takes_words: Callable[[], bool] = lambda: False) -> None:
    """Parses the flags, runs `main` and exits with the status that it returns, or that its error has.

    Args:
      main: of the job; gets the arguments that are not flags.
      takes_words: returns whether such arguments are allowed; called after parsing the flags.
      page: the text of `--help`; '': all flags with their meanings.
    """
    streams.protect()
    gc.disable()  # garbage collection during the imports would take a tenth of the start
    atexit.register(gc.freeze)  # otherwise garbage collection at the end takes a second
    try:
        parse = functools.partial(_parse, page=page, takes_words=takes_words)
        try:
            app.run(lambda argv: _guarded(functools.partial(main, *argv[1:])), flags_parser=parse)
        except UserError as error:
            _fail(error)
    except SystemExit as end:
        leave(end.code)


def leave(status: str | int | None) -> NoReturn:
    """Ends the process; at once if it failed and a thread would keep it alive.

    After a failed save, threads of Orbax wait for minutes.
    """
    others = (thread for thread in threading.enumerate() if thread is not threading.main_thread())
    if isinstance(status, int) and status and any(not thread.daemon for thread in others):
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)
    sys.exit(status)


def _guarded(main) -> int:
    _set_up_logging()
    _set_up_jax()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    gc.enable()
    try:
        return _translated(main)
    except BaseException as error:
        processes = sys.modules.get("jaxgan.devices.processes")
        if not processes or not processes.connected():
            raise
        cause, status = error, 1
        if isinstance(error, SystemExit):  # its line has been printed
            cause, status = error.__context__ or error, error.code
        else:
            traceback.print_exc()
        processes.fail(status, " ".join(str(cause).split()) or type(cause).__name__)


def _translated(main) -> int:
    try:
        status = main()
        if processes := sys.modules.get("jaxgan.devices.processes"):
            processes.leave()
        return status
    except UserError as error:
        _fail(error)
    except KeyboardInterrupt:  # before training began, or asked twice
        print("interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except OSError as error:
        if error.errno is None:
            raise
        full = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
        remedy = "make room, and run the same command again" if full else "check the path and its permissions"
        _fail(UserError(f"{error.filename or 'a file of the run'}: {error.strerror}; {remedy}"))
    except AssertionError as error:  # JAX's error if there is no device
        from jaxgan.devices.parallel import missing_platforms

        if platforms := missing_platforms():
            _fail(
                UserError(
                    f"JAX_PLATFORMS={platforms}, but JAX finds no such device: unset it, or install JAX "
                    "for it"
                )
            )
        raise error
    except (ValueError, RuntimeError) as error:  # JaxRuntimeError is one
        from jaxgan.devices import processes

        if "nable to initialize backend" in str(error):
            _fail(
                UserError(f"JAX finds no device ({str(error).splitlines()[0][:150]}): correct JAX_PLATFORMS")
            )
        if processes.is_loss(error):
            _fail(
                LostProcess(
                    "another process of this run is gone: the same command, in all processes, goes on from "
                    "the last checkpoint"
                )
            )
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        _fail(
            UserError(
                "out of memory on the device: lower batch_size, the networks' widths, or "
                "dataset.max_device_bytes, which leaves larger sets on disk"
            )
        )


def _fail(error: UserError) -> None:
    print(
        f"{'diverged' if error.exit_status == 3 else 'error'}: {' '.join(str(error).split())}",
        file=sys.stderr,
    )
    sys.exit(error.exit_status)


def _parse(
    argv: Sequence[str], page: str = "", takes_words: Callable[[], bool] = lambda: False
) -> Sequence[str]:
    """Parses flags as absl does, but explains what is wrong in one line and exits with 2."""
    asked = {argument.lstrip("-") for argument in argv[1:] if argument.startswith("-")}
    if asked & {"help", "h", "?", "helpshort"} and page:
        print(page)
        sys.exit(0)
    if asked & {"help", "h", "?", "helpshort", "helpfull"}:
        print(f"{sys.modules['__main__'].__doc__}\n{flags.FLAGS.main_module_help()}")
        sys.exit(0)
    argv = _with_recorded_config(argv)
    _require_config_file(argv)
    try:
        rest = flags.FLAGS(argv)
    except flags.IllegalFlagValueError as error:  # an exception in a config file comes as a traceback
        raise UserError(_illegal_value(argv, str(error))) from error
    except flags.Error as error:
        several = r"(Did you mean: [^,]+, [^,]+, [^,]+), .* \?"  # three are enough
        message = re.sub(several, r"\1 ?", str(error))
        if "'config." in message and not any(a.startswith(("--config=", "--config ")) for a in argv):
            message += ": give --config=FILE, or the --workdir of a run"
        raise UserError(message) from error
    except ImportError as error:
        raise UserError(
            f"a config file imports what is not there: {error}; correct it, or put its folder on PYTHONPATH"
        ) from error
    except (AttributeError, KeyError) as error:
        if isinstance(getattr(error, "obj", None), ModuleType):  # from code that a config file imports
            raise
        raise UserError(_unknown_field(argv, str(error))) from error
    if len(rest) > 1 and not takes_words():
        raise UserError(f"unexpected argument '{rest[1]}': flags look like --config.FIELD=VALUE")
    return rest


def _with_recorded_config(argv: Sequence[str]) -> Sequence[str]:
    """If --workdir names a run and --config is missing, uses the config of the run."""
    given: dict[str, str] = {}
    for argument, following in zip(argv, [*argv[1:], ""], strict=True):
        if argument.startswith("-"):
            flag, equals, value = argument.lstrip("-").partition("=")
            given[flag] = value if equals else following
    record = Path(given.get("workdir") or ".").expanduser() / "config.json"
    trains = given.get("mode", "train") == "train" or any(flag.startswith("config.") for flag in given)
    if "config" in given or not given.get("workdir") or not trains or not _is_file(record, "workdir"):
        return argv
    file = importlib.util.find_spec("jaxgan.config.recorded").origin
    return [argv[0], f"--config={file}:{record}", *argv[1:]]


def _is_file(path: Path, flag: str) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError) as error:  # too long a name, say
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--{flag}: {path}: {reason}; choose another") from error


def _require_config_file(argv: Sequence[str]) -> None:
    """Refuses a missing file: ml_collections would report wrong fields instead."""
    for argument, following in zip(argv, [*argv[1:], ""], strict=True):
        flag, equals, value = argument.partition("=")
        value = value if equals else following
        if flag.lstrip("-") == "config" and not _is_file(Path(value.partition(":")[0]), "config"):
            raise UserError(f"--config={value}: there is no such file; configs/ holds those of the project")


def _illegal_value(argv: Sequence[str], message: str) -> str:
    last = message.strip().splitlines()[-1].strip()
    if "Non-boolean argument" in last:  # absl: flag --config.FIELD=VALUE: (what is wrong, the value)
        return f"{last.rpartition(': (')[0].removeprefix('flag --config.')} must be True or False"
    if "positional argument" in last:
        return "this config has no variants: give its file without ':'"
    if "malformed node" in last or "as a ConfigDict" in last:  # a whole section was given a value
        field = next((a for a in argv if a.startswith("--config.") and a.partition("=")[0] in message), "")
        name, _, value = field.partition("=")
        end = "weight" if name.startswith("--config.regularizers.") else "name"
        return (
            f"{field or last} does not fit; is it {name or '--config.SECTION'}.{end}={value} that you mean?"
        )
    return last


def _unknown_field(argv: Sequence[str], message: str) -> str:
    """Finds the flag of a wrong field, of which ml_collections names only the last part."""
    from jaxgan.config import listing

    words = re.findall(r"\w+", message.replace("\\n", " ").replace("\\", " "))
    paths = [argument.lstrip("-").partition("=")[0].removeprefix("config.") for argument in argv]
    path = next((path for path in paths if words[0] in path.split(".")), words[0])
    if path.startswith(f"regularizers.{words[0]}") and path.count(".") > 1:
        return _unknown_regularizer(words[0])
    return f"the config has no field '{path[:80]}'.{listing.hint(path, flags.FLAGS['config'].value)}"


def _unknown_regularizer(name: str) -> str:
    from jaxgan.regularizers import family_of  # late, because nothing else here needs JAX

    try:
        return f"regularizers.{name} is in the {family_of(name)} family, but not in this config"
    except UserError as error:
        return str(error)


def _set_up_logging() -> None:
    handler = absl_logging.get_absl_handler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    absl_logging.use_absl_handler()
    absl_logging.set_verbosity(absl_logging.WARNING)


def _set_up_jax() -> None:
    """Sets JAX to float32, and caches compiled programs in the cache folder, beside decoded data sets.

    JAX_COMPILATION_CACHE_DIR sets another folder, JAX_ENABLE_COMPILATION_CACHE=false turns the cache off.
    """
    import jax

    from jaxgan.datasets import cache

    jax.config.update("jax_enable_x64", False)  # regardless of the environment
    # JAX prints two lines for each program that it could not cache
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache")
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = cache.folder().parent / "programs"
        kept = is_plain(folder)
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        if not kept or not os.access(folder, os.W_OK):
            absl_logging.warning(
                "compiled programs cannot be kept in %s, and are made anew at every start: set "
                "JAXGAN_CACHE_DIR to a folder with room", folder
            )  # fmt: skip
        jax.config.update("jax_compilation_cache_dir", str(folder) if kept else None)
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # loading is quicker for all
