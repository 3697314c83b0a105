"""The lock of a workdir, which one process at a time holds; and stopping by signals."""

import contextlib
import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from jaxgan.errors import UserError


def require_local(folder: Path) -> None:
    """UserError if the folder of a run is a URL, or a name that JSON cannot hold."""
    path = str(folder)
    if "://" in path or path.startswith(("gs:/", "s3:/", "http:/", "https:/")):
        raise UserError(f"{path} is a URL: give a --workdir on a file system of this machine")
    try:
        str(Path(folder).absolute()).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{ascii(path)} is no UTF-8: choose another --workdir") from error


@contextlib.contextmanager
def claim(workdir: Path) -> Iterator[None]:
    """Makes the folder and holds its lock, which the system releases when the process ends in any way.

    If an error ends the block before the folder holds a run, everything that was made is removed.

    Raises:
      UserError: another process holds the lock, or the folder cannot be written or has other files.
    """
    require_local(workdir)
    record, path = workdir / "config.json", workdir / ".lock"
    try:
        made = [folder for folder in (workdir, *workdir.parents) if not folder.exists()]
        workdir.mkdir(parents=True, exist_ok=True)
        if not record.exists():
            names = {path.name for path in workdir.iterdir()} - {
                "config.json.tmp"
            }  # files of earlier versions
            foreign = sorted(name for name in names if not name.startswith("."))
            if foreign:
                raise UserError(
                    f"{workdir} is not empty ({foreign[0]}, ...) and holds no run: choose another --workdir"
                )
        lock = path.open("a")
    except OSError as error:
        raise UserError(f"cannot write to {workdir} ({error.strerror}): choose another --workdir") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = os.path.samestat(
                os.fstat(lock.fileno()), path.stat()
            )  # not a folder that was just removed
        except (BlockingIOError, FileNotFoundError):
            held = False
        except OSError as error:
            raise UserError(
                f"{workdir} cannot be locked ({error.strerror}): choose a --workdir on another file system, "
                "or mount this one with locks"
            ) from error
        if not held:
            raise UserError(
                f"{workdir} is in use by another process: wait for it, or choose another --workdir"
            )
        try:
            yield
        except BaseException:
            if not record.exists():
                _remove(path, made)
            raise


def _remove(lock: Path, folders: list[Path]) -> None:
    with contextlib.suppress(OSError):  # a folder that another process uses now is not empty, and stays
        lock.unlink()
        for folder in folders:
            folder.rmdir()


class Stop:
    """Whether a signal asks to stop: `with Stop() as stop: ... if stop.signal: ...`.

    The signals are SIGINT, SIGTERM and SIGHUP (a closed terminal; ignored under nohup). If a `Stop` is used
    inside of another one, as for a run in a sweep, both get signals, also earlier ones.
    """

    def __init__(self):
        self.signal = 0
        self._outer: Stop | None = None

    def __enter__(self) -> "Stop":
        outer = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        self._outer = outer if isinstance(outer, Stop) else None
        numbers = [signal.SIGINT, signal.SIGTERM]
        if threading.current_thread() is not threading.main_thread():
            numbers = []  # in threads Python does not allow signal handlers
        elif signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # not if nohup ignores it
            numbers.append(signal.SIGHUP)
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        if self._outer:
            self.signal = self._outer.signal
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number, frame) -> None:
        if self.signal:  # asked twice: do not wait
            signal.signal(number, signal.SIG_DFL)  # a third signal ends the process
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            signal.raise_signal(number)
        with contextlib.suppress(OSError):  # the terminal may be closed
            os.write(2, b"stopping, with a checkpoint; again, to stop at once without one\n")
        self.signal = number
        if self._outer:
            self._outer.signal = number
