"""A path that a library may take for a pattern, by another name.

Orbax looks for files with `glob`, and does not escape the folder: a checkpoint below `run[lr=0.1]` is saved,
and not found again.
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
    """A folder under a name without `* ? [ ] \\`: its own, or another of the same folder.

    The other name is that of the open folder, which nobody can take away, or of a link to it.

    Args:
      folder: an absolute path; it need not be there where its own name is plain.

    Attributes:
      path: the name; it holds until `close`, or as long as this object.

    Raises:
      UserError: there is no place for a link.
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
    """Whether a library takes the path for itself: no pattern, and UTF-8."""
    return not re.search(r"[*?\[\]\\]|[^\x00-\ud7ff\ue000-\U0010ffff]", str(path))
