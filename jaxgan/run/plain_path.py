"""Another name for a path that a library would treat as a pattern.

Orbax finds files with `glob` and does not escape the folder: it saves a checkpoint in `run[lr=0.1]`, but does
not find it again.
"""

import os
import re
import shutil
import tempfile
import weakref
from pathlib import Path

from jaxgan.errors import UserError

_OPEN = Path("/proc/self/fd")  # this process's open files by their numbers, on Linux


class PlainPath:
    """A name without `* ? [ ] \\` of a folder: its own name, or another one.

    The other name is that of the open folder, or of a link to it.

    Args:
      folder: an absolute path. It need not exist if its own name is plain.

    Attributes:
      path: the name, valid until `close`, or as long as this object exists.

    Raises:
      UserError: there is no folder for a link.
    """

    def __init__(self, folder: Path):
        self.path, self.close = folder, lambda: None
        if is_plain(folder) or not folder.is_dir():
            return
        if _OPEN.is_dir():
            number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            self.path, self.close = _OPEN / str(number), weakref.finalize(self, os.close, number)
            return
        try:
            links = Path(tempfile.mkdtemp(prefix="jaxgan-"))
        except OSError as error:
            raise UserError(f"no temporary folder for a link to {folder}: set TMPDIR to one") from error
        self.close = weakref.finalize(self, shutil.rmtree, links, ignore_errors=True)
        if not is_plain(links):
            raise UserError(f"TMPDIR={links.parent} has one of * ? [ ] \\: set it to another folder")
        self.path = links / "folder"
        self.path.symlink_to(folder, target_is_directory=True)


def is_plain(path: Path) -> bool:
    """Whether libraries can use the path: it is no pattern, and UTF-8."""
    return not re.search(r"[*?\[\]\\]|[^\x00-\ud7ff\ue000-\U0010ffff]", str(path))
