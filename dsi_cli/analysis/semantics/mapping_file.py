"""The synsets that the user chose for classes in a mapping file, checked against the labels and WordNet."""

from __future__ import annotations

from pathlib import Path

from dsi_cli.analysis.semantics.class_labels import resolve_labels
from dsi_cli.errors import UsageError
from dsi_cli.labels import mapping
from dsi_cli.labels.label_list import LabelList
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet
from dsi_cli.wordnet.disambiguation import identifiers


def read_mapping(path: str | Path | None, labels: LabelList, wordnet: WordNet | None = None) -> dict[int, str]:
    """Return the id or synset name of each class in a mapping file; an empty text leaves the class out. None names no class.

    If the columns ``synset`` and ``wnid`` disagree, the user edited one of them. That is the one that differs from the
    synset that the label has without a mapping. An empty id is ignored.

    Raises
    ------
    UsageError
        The file cannot be read, or names an unknown class or synset. Or both columns of a row were edited and disagree.
    """
    choices: dict[int, str] = {}
    if path is None:
        return choices
    wordnet = wordnet or load_wordnet()
    unmapped: dict[int, int] | None = None
    for index, (line, columns) in mapping.read_mapping(path, labels).items():
        where = f"{path}, line {line}"
        nodes = {column: _find_node(text, where, wordnet) if text else None for column, text in columns.items()}
        decisive = next(iter(columns))
        if columns.get("wnid") and len(set(nodes.values())) > 1:
            if unmapped is None:
                unmapped = resolve_labels(labels, None, wordnet).nodes
            edited = [column for column, node in nodes.items() if node != unmapped.get(index)]
            if len(edited) > 1 and columns["synset"]:
                raise UsageError(
                    f"{where}: {columns['synset']} and {columns['wnid']} are different {wordnet.part}s; correct one, or delete "
                    "the column wnid",
                    code="mapping-columns-disagree",
                    path=str(path),
                    line=line,
                )
            decisive = edited[0]
        choices[index] = columns[decisive]
    return choices


def _find_node(text: str, where: str, wordnet: WordNet) -> int:
    entry = identifiers.look_up_id(text, wordnet)
    if entry is None:
        forms = identifiers.expected_label(wordnet).rpartition(" or ")[0]
        raise UsageError(
            f"{where}: {identifiers.quote_label(text)} is no id; expected {forms}", code="unknown-synset", id=text
        )
    if entry.node is None:
        raise UsageError(f"{where}: {entry.reason}", code="unknown-synset", id=text)
    return entry.node
