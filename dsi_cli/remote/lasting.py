"""A folder of this machine for copies, removed with the object that stands for it, at the latest at the process's end."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path


class Lasting:
    """A new, empty folder.

    Attributes
    ----------
    path : Path
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="dsi-")).resolve()
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
