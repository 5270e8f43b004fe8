"""A person's mapping file against the labels and WordNet: what was chosen for which class."""

from __future__ import annotations

from pathlib import Path

from dsi_cli.errors import UsageError
from dsi_cli.labels import mapping
from dsi_cli.labels.lists import LabelList
from dsi_cli.wordnet import ids, net
from dsi_cli.wordnet.net import Net


def chosen(path: str | Path, labels: LabelList, of: Net | None = None) -> dict[int, str]:
    """Return the id or synset name that a mapping file gives each class that it names; empty to leave the class out.

    The column ``synset`` decides where there is one.

    Raises
    ------
    UsageError
        The file cannot be read, names a class that is not there, or what the WordNet in use lacks; or a row's synset and
        id are different synsets.
    """
    found, of = {}, of or net.load()
    for index, (line, keys) in mapping.read(path, labels).items():
        key = keys["synset"] if "synset" in keys else keys["wnid"]
        nodes = {name: _node(keys[name], f"{path}, line {line}", of) for name in keys if keys[name]}
        if key and len(set(nodes.values())) > 1:
            both = f"{keys['synset']} and {keys['wnid']}"
            raise UsageError(
                f"{path}, line {line}: {both} are different {of.part}s; correct one, or delete the column wnid"
            )
        found[index] = key
    return found


def chosen_or_none(path: str | Path | None, labels: LabelList, of: Net) -> dict[int, str] | None:
    """Return `chosen`, or None without a file."""
    return None if path is None else chosen(path, labels, of)


def _node(key: str, where: str, of: Net) -> int:
    named = ids.by_name(key, of)
    if named is None:
        raise UsageError(f"{where}: {ids.shown(key)} is no id; expected {ids.how_to_name(of).rpartition(' or ')[0]}")
    if named.node is None:
        raise UsageError(f"{where}: {named.reason}")
    return named.node
