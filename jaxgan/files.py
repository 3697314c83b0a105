"""Files that are whole whenever somebody looks: written under a name of their own, then moved."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole(path: Path, suffix: str = "") -> Iterator[Path]:
    """A name to write to, which becomes `path` where nothing fails; of several writers the last one counts.

    Args:
      path: of the file.
      suffix: what the name ends with, for writers that look at it.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def replace(path: Path, content: str | bytes) -> None:
    """Writes a file whole, in one move; a text as UTF-8."""
    with whole(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
