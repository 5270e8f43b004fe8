"""Other versions of WordNet that are installed for NLTK, read by NLTK from its own folders. Nothing is downloaded."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

from dsi_cli.errors import UsageError
from dsi_cli.wordnet.database import compiled_tables

_NAME = re.compile(r"\w[\w.-]{0,99}", re.ASCII)


def installed_names() -> list[str]:
    """Return the names of the WordNets in NLTK's folders, sorted."""
    import nltk.data

    names = set()
    for folder in nltk.data.path:
        for path in Path(folder, "corpora").glob("wordnet*"):
            if path.suffix == ".zip":
                names.add(path.stem)
            elif path.is_dir():
                names.add(path.name)
    return sorted(names - {"wordnet_ic"})


def read_tables(name: str, part: str) -> dict[str, Any]:
    """Return the tables of the nouns or verbs of an installed WordNet (`dsi_cli.wordnet.database.taxonomy.Tables`).

    This takes about 10 s.

    Raises
    ------
    UsageError
        No WordNet of that name is installed (the message lists the installed ones and the command to install one), or its
        files are damaged.
    """
    if not _NAME.fullmatch(name) or name not in installed_names():
        installed = ", ".join(installed_names()) or "none"
        raise UsageError(
            f"--wordnet takes a WordNet that is installed for NLTK, found {name[:60]!a}; installed: {installed}"
            " (python -m nltk.downloader wordnet31, for example, installs one)",
            code="wordnet-not-installed",
            name=name,
            installed=installed,
        )
    try:
        reader = open_reader(name)
        try:
            return compiled_tables.compile_tables(reader, part)
        finally:
            for file in reader._data_file_map.values():  # NLTK leaves them open
                file.close()
    except Exception as error:
        # NLTK has no exception class for damaged files: its parser raises whatever it meets.
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise UsageError(
            f"the WordNet {name!r} cannot be read ({reason}): python -m nltk.downloader --force {name} installs it again",
            code="wordnet-damaged",
            name=name,
            reason=reason,
        ) from error


def open_reader(name: str) -> Any:
    """Return NLTK's reader of an installed WordNet."""
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
    from nltk.corpus.util import LazyCorpusLoader

    class Reader(WordNetCorpusReader):  # type: ignore[misc]
        """NLTK's reader without the mapping to WordNet 3.0, which takes seconds and requires 3.0 to be installed."""

        def map_wn(self, version: str = "wordnet") -> None:  # noqa: ARG002 (NLTK passes it)
            return None

    loader = LazyCorpusLoader(name, Reader, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about languages other than English
        loader.ensure_loaded()
    return loader
