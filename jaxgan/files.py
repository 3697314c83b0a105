"""Files that are whole whenever somebody looks: written under a name of their own, then moved."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

_LONGEST = 180  # bytes of a name that a temporary one keeps: with what is added it has to stay below 255


@contextlib.contextmanager
def whole(path: Path, suffix: str = "") -> Iterator[Path]:
    """A name to write to, which becomes `path` where nothing fails; of several writers the last one counts.

    Args:
      path: of the file.
      suffix: what the name ends with, for writers that look at it.
    """
    name = os.fsdecode(os.fsencode(path.name)[:_LONGEST])
    temporary = path.with_name(f".{name}.{uuid.uuid4().hex}{suffix}")
    try:
        with named(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):  # the folder may be gone; a first error is the one to tell
            temporary.unlink()


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """What fails within names this path: a write has none in its error, and a temporary name says nothing."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = os.fspath(path), None
        raise


def replace(path: Path, content: str | bytes) -> None:
    """Writes a file whole, in one move; a text as UTF-8."""
    with whole(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
