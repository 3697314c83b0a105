"""Sharing work through a folder: which process works on a part, and whose result is used.

On one machine a lock of the system shows whether the owner is alive. Between machines there are leases: files
that their owners touch regularly. A lease that was not touched for some time is stale. Leases are numbered,
and only one process can make the next number, so only one process takes over a stale lease.
"""

import contextlib
import fcntl
import json
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

from jaxgan.errors import UserError
from jaxgan.files import named

PATIENCE = 120.0  # seconds after which an untouched lease of another machine is stale
_PREFIX = "lease-"


class Claim:
    """A part that this process works on, until it is released or another process takes it over.

    Attributes:
      lost: whether another process has taken over, because this one was silent too long. It must not write.
    """

    def __init__(self, lease: Path, words: str, patience: float):
        self.lost, self._words = False, words
        self._lease, self._ended = lease, threading.Event()
        self._thread = threading.Thread(target=self._beat, args=(patience / 6,), daemon=True)
        self._thread.start()

    def _beat(self, seconds: float) -> None:
        while not self._ended.wait(seconds):
            self.check()

    def check(self) -> bool:
        """Touches the lease; returns whether the claim still holds."""
        with contextlib.suppress(OSError):  # if the file system does not answer, the claim is not lost
            if max(_leases(self._lease.parent), default=0) != _number(self._lease) or not self._is_mine():
                self.lost = True
            else:
                os.utime(self._lease)
        return not self.lost

    def _is_mine(self) -> bool:
        """Whether the lease has the content that this process wrote: another may have its number now."""
        return self._lease.exists() and self._lease.read_text(encoding="utf-8") == self._words

    def end(self) -> None:
        """Releases the part."""
        self._ended.set()
        self._thread.join()
        if self.check():
            self._lease.unlink(missing_ok=True)


@contextlib.contextmanager
def claim(folder: Path, patience: float = PATIENCE) -> Iterator[Claim | None]:
    """Claims the part of a folder; None if another process works on it.

    Args:
      folder: of the part; made if it is missing.
      patience: seconds after which another machine's lease is stale.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        except OSError as error:
            raise UserError(
                f"{folder} cannot be locked ({error.strerror}): choose a --workdir on another "
                "file system, or mount this one with locks"
            ) from error
        taken = _take(folder, patience)
        if taken is None:
            yield None
            return
        held = Claim(*taken, patience)
        try:
            yield held
        finally:
            held.end()


def publish(path: Path, text: str) -> bool:
    """Writes a file atomically unless it exists; returns whether it was written."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with named(path):
            temporary.write_text(text, encoding="utf-8")
            os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _take(folder: Path, patience: float) -> tuple[Path, str] | None:
    """The new lease of this process and its content, or None if another lease is valid."""
    newest = max(_leases(folder), default=0)
    if newest:
        lease = folder / f"{_PREFIX}{newest}"
        try:
            owner, touched = json.loads(lease.read_text(encoding="utf-8") or "{}"), lease.stat().st_mtime
        except (OSError, ValueError):  # just released, or being written
            return None
        # An owner on this machine would hold the lock, so it is dead.
        if owner.get("machine") != _machine() and _now(folder) - touched < patience:
            return None
    lease = folder / f"{_PREFIX}{newest + 1}"
    owner = {"machine": _machine(), "host": socket.gethostname(), "process": os.getpid()}
    words = json.dumps({**owner, "claim": uuid.uuid4().hex})
    if not publish(lease, words):
        return None
    for number in _leases(folder):  # the stale ones
        if number < newest + 1:
            (folder / f"{_PREFIX}{number}").unlink(missing_ok=True)
    return lease, words


def _leases(folder: Path) -> list[int]:
    return [_number(path) for path in folder.glob(f"{_PREFIX}*")]


def _number(lease: Path) -> int:
    return int(lease.name.removeprefix(_PREFIX))


def _machine() -> str:
    """The identity of the running system. Containers on a machine share it, and its locks."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return boot.read_text(encoding="utf-8").strip() if boot.exists() else socket.gethostname()


def _now(folder: Path) -> float:
    """The time by the clock of the file system, which all machines share."""
    probe = folder / f".clock-{uuid.uuid4().hex}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink()
