"""Work shared through a folder: who does a part of it, and whose result counts.

On one machine a lock of the system tells who is alive. Between machines it is a lease, a file that its owner
touches again and again: one that nobody has touched for a while is stale. Leases are numbered, and the next
number can be made by one process only, so that of several which see a stale lease one takes over.
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

PATIENCE = 120.0  # seconds without a sign of life after which a lease of another machine is stale
_PREFIX = "lease-"


class Claim:
    """A part that this process works on, until it is released or another process takes it over.

    Attributes:
      lost: whether another process has taken over: this one was silent for too long, and must write no more.
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
        """Gives a sign of life; returns whether the claim still holds."""
        with contextlib.suppress(OSError):  # a file system that does not answer takes nothing over
            if max(_leases(self._lease.parent), default=0) != _number(self._lease) or not self._is_mine():
                self.lost = True
            else:
                os.utime(self._lease)
        return not self.lost

    def _is_mine(self) -> bool:
        """Whether the lease has the words that this one wrote: another's may have had its number since."""
        return self._lease.exists() and self._lease.read_text(encoding="utf-8") == self._words

    def end(self) -> None:
        """Lets go of the part."""
        self._ended.set()
        self._thread.join()
        if self.check():
            self._lease.unlink(missing_ok=True)


@contextlib.contextmanager
def claim(folder: Path, patience: float = PATIENCE) -> Iterator[Claim | None]:
    """Claims the part whose folder this is; None where another process works on it.

    Args:
      folder: made where it is not there.
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
    """Writes a file whole, in one move, unless it is there already; returns whether this was the first."""
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
    """The lease that this process has made, and its words, or None where another one is good."""
    newest = max(_leases(folder), default=0)
    if newest:
        lease = folder / f"{_PREFIX}{newest}"
        try:
            owner, touched = json.loads(lease.read_text(encoding="utf-8") or "{}"), lease.stat().st_mtime
        except (OSError, ValueError):  # just released, or being written
            return None
        # An owner on this machine would hold the lock that this process has: it is dead.
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
    """Of the running system, which containers on one machine share, as they share its locks."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return boot.read_text(encoding="utf-8").strip() if boot.exists() else socket.gethostname()


def _now(folder: Path) -> float:
    """By the clock of the file system, which all machines see alike."""
    probe = folder / f".clock-{uuid.uuid4().hex}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink()
