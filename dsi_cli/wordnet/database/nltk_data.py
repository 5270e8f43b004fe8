"""Another WordNet that is installed for NLTK, read by NLTK from its own folders. Nothing is ever downloaded."""

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

    corpora = [path for folder in nltk.data.path for path in Path(folder, "corpora").glob("wordnet*")]
    found = {
        path.stem if path.suffix == ".zip" else path.name for path in corpora if path.is_dir() or path.suffix == ".zip"
    }
    return sorted(found - {"wordnet_ic"})


def read_tables(name: str, part: str) -> dict[str, Any]:
    """Return the tables of the nouns or verbs of an installed WordNet, see `dsi_cli.wordnet.database.taxonomy.Tables`; some 10 s.

    Raises
    ------
    UsageError
        No WordNet of that name is installed (the message lists those that are, and how to install it), or its files are damaged.
    """
    if not _NAME.fullmatch(name) or name not in installed_names():
        installed = ", ".join(installed_names()) or "none"
        raise UsageError(
            f"--wordnet takes a WordNet that is installed for NLTK, found {name[:60]!a}; installed: {installed}"
            " (python -m nltk.downloader wordnet31, for example, installs one)"
        )
    try:
        found = open_reader(name)
        try:
            return compiled_tables.compile_tables(found, part)
        finally:
            for file in found._data_file_map.values():  # NLTK leaves them open
                file.close()
    except Exception as error:
        # NLTK has no error of its own for damaged files: what it raises is whatever its parser met.
        said = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise UsageError(
            f"the WordNet {name!r} cannot be read ({said}): python -m nltk.downloader --force {name} installs it again"
        ) from error


def open_reader(name: str) -> Any:
    """Return NLTK's reader of an installed WordNet."""
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
    from nltk.corpus.util import LazyCorpusLoader

    class Reader(WordNetCorpusReader):  # type: ignore[misc]
        """The reader without the mapping to WordNet 3.0, which would have to be installed as well, and takes seconds."""

        def map_wn(self, version: str = "wordnet") -> None:  # noqa: ARG002 (as of the base class)
            return None

    loader = LazyCorpusLoader(name, Reader, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about languages other than English
        loader.ensure_loaded()
    return loader
