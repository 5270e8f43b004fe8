"""Another WordNet, as NLTK's downloader installs it: found in NLTK's folders, read from its files. Nothing is ever downloaded.

It is a folder ``corpora/NAME``, or a zip file of that, in Princeton's format (`dsi_cli.wordnet.princeton`).
"""

from __future__ import annotations

import os
import re
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsi_cli.errors import UsageError
from dsi_cli.wordnet import princeton

LARGEST = 256 * 2**20
"""Bytes of one file; WordNet 3.0's largest has 15 million."""

_NAME = re.compile(r"\w[\w.-]{0,99}", re.ASCII)
_MARK = "data.noun"


@dataclass(frozen=True)
class Files:
    """The files of a WordNet that is installed as ``path``: a folder, or a zip file of one."""

    path: Path

    def has(self, file: str) -> bool:
        """Return whether there is a file of that name."""
        if self.path.is_dir():
            return (self.path / file).is_file()
        try:
            with zipfile.ZipFile(self.path) as archive:
                return f"{self.path.stem}/{file}" in archive.namelist()
        except (OSError, zipfile.BadZipFile):
            return False

    def lines(self, file: str) -> list[str]:
        """Return the lines of a file, less the licence on top (lines that are indented); none where it is not there.

        Raises
        ------
        UsageError
            It cannot be read, or is no text.
        """
        if not self.has(file):
            return []
        try:
            text = self._bytes(file).decode()
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, UnicodeDecodeError) as error:
            raise UsageError(self.damaged(f"{file} cannot be read: {error}")) from None
        return ["" if line.startswith(" ") else line for line in text.split("\n")]

    def _bytes(self, file: str) -> bytes:
        if self.path.is_dir():
            with (self.path / file).open("rb") as opened:
                data = opened.read(LARGEST + 1)
        else:
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{self.path.stem}/{file}") as opened:
                data = opened.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise OSError(f"above {LARGEST // 2**20} MB")
        return data

    def damaged(self, what: str) -> str:
        """Return a message about what is wrong with the files."""
        return f"{self.path}: {what}; python -m nltk.downloader --force {self.path.stem} installs it anew"


def folders() -> list[Path]:
    """Return where NLTK looks for data: the folders that ``NLTK_DATA`` names, then its usual ones."""
    given = [Path(part) for part in os.environ.get("NLTK_DATA", "").split(os.pathsep) if part]
    here = [Path(sys.prefix, *part) for part in (("nltk_data",), ("share", "nltk_data"), ("lib", "nltk_data"))]
    system = [Path(part, "nltk_data") for part in ("/usr/share", "/usr/local/share", "/usr/lib", "/usr/local/lib")]
    roaming = [Path(part, "nltk_data") for part in (os.environ.get("APPDATA"),) if part]
    return [*given, Path("~/nltk_data").expanduser(), *here, *roaming, *system]


def names() -> list[str]:
    """Return the names of the WordNets that are installed, sorted."""
    inside = [path for folder in folders() for path in (folder / "corpora").glob("*") if _is_wordnet(path)]
    return sorted({path.stem if path.suffix == ".zip" else path.name for path in inside})


def read(name: str, part: str) -> dict[str, Any]:
    """Return the tables of the nouns or verbs of an installed WordNet, see `dsi_cli.wordnet.taxonomy.Tables`; some 2 s.

    Raises
    ------
    UsageError
        No WordNet of that name is installed (the message says which are, and how to install it), or its files are damaged.
    """
    files = _found(name)
    try:
        return princeton.tables(files.lines, part)
    except ValueError as error:
        raise UsageError(files.damaged(f"expected a WordNet in Princeton's format, {error}")) from None


def _found(name: str) -> Files:
    if _NAME.fullmatch(name):
        for folder in folders():
            for path in (folder / "corpora" / name, folder / "corpora" / f"{name}.zip"):
                if path.exists():
                    return Files(path)
    installed = ", ".join(names()) or "none"
    raise UsageError(
        f"--wordnet takes a WordNet that is installed for NLTK, found {name[:60]!a}; installed: {installed}"
        " (python -m nltk.downloader wordnet31, for example, installs one)"
    )


def _is_wordnet(path: Path) -> bool:
    return (path.is_dir() or path.suffix == ".zip") and Files(path).has(_MARK)
