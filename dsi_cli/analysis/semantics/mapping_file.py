"""A person's mapping file against the labels and WordNet: what was chosen for which class."""

from __future__ import annotations

from pathlib import Path

from dsi_cli.analysis.semantics.class_labels import resolve_labels
from dsi_cli.errors import UsageError
from dsi_cli.labels import mapping
from dsi_cli.labels.label_list import LabelList
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet
from dsi_cli.wordnet.disambiguation import identifiers


def read_mapping(path: str | Path, labels: LabelList, wordnet: WordNet | None = None) -> dict[int, str]:
    """Return the id or synset name that a mapping file gives each class that it names; empty to leave the class out.

    Where the columns ``synset`` and ``wnid`` say different things, one was edited and the other stands as it was written:
    what is not the synset that the label has without a mapping decides. An empty id says nothing.

    Raises
    ------
    UsageError
        The file cannot be read, names a class that is not there, or what the WordNet in use lacks; or a row's synset and
        id are different synsets, and neither is that of the label without a mapping.
    """
    found, wordnet = {}, wordnet or load_wordnet()
    written: dict[int, int] | None = None
    for index, (line, keys) in mapping.read_mapping(path, labels).items():
        where = f"{path}, line {line}"
        nodes = {name: _node(key, where, wordnet) if key else None for name, key in keys.items()}
        decides = next(iter(keys))
        if keys.get("wnid") and len(set(nodes.values())) > 1:
            written = resolve_labels(labels, None, wordnet).nodes if written is None else written
            edited = [name for name, node in nodes.items() if node != written.get(index)]
            if len(edited) > 1 and keys["synset"]:
                both = f"{keys['synset']} and {keys['wnid']}"
                raise UsageError(f"{where}: {both} are different {wordnet.part}s; correct one, or delete the column wnid")
            decides = edited[0]
        found[index] = keys[decides]
    return found


def mapping_or_none(path: str | Path | None, labels: LabelList, wordnet: WordNet) -> dict[int, str] | None:
    """Return `read_mapping`, or None without a file."""
    return None if path is None else read_mapping(path, labels, wordnet)


def _node(key: str, where: str, wordnet: WordNet) -> int:
    named = identifiers.look_up_id(key, wordnet)
    if named is None:
        forms = identifiers.expected_label(wordnet).rpartition(" or ")[0]
        raise UsageError(f"{where}: {identifiers.quote_label(key)} is no id; expected {forms}")
    if named.node is None:
        raise UsageError(f"{where}: {named.reason}")
    return named.node
