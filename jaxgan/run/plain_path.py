"""A path that a library may take for a pattern, by another name.

Orbax looks for files with `glob`, and does not escape the folder: a checkpoint below `run[lr=0.1]` is saved,
and not found again.
"""

import re
import shutil
import tempfile
import weakref
from pathlib import Path


class PlainPath:
    """A folder under a name without `* ? [ ] \\`: its own, or that of a link to it.

    Args:
      folder: an absolute path.

    Attributes:
      path: the name; a link is removed by `close`, or with this object.
    """

    def __init__(self, folder: Path):
        self.path, self.close = folder, lambda: None
        if re.search(r"[*?\[\]\\]", str(folder)):
            links = Path(tempfile.mkdtemp(prefix="jaxgan-"))
            self.close = weakref.finalize(self, shutil.rmtree, links, ignore_errors=True)
            self.path = links / "folder"
            self.path.symlink_to(folder, target_is_directory=True)
