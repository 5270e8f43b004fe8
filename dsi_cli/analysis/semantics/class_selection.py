"""The part of the classes that ``--classes`` names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.semantics.class_labels import MIN_KNOWN_CLASSES, ClassLabels
from dsi_cli.errors import UsageError, listed
from dsi_cli.labels.files import read_labels
from dsi_cli.wordnet.database.taxonomy import hypernym_closure


def select_classes(choice: str, labels: ClassLabels) -> NDArray[np.intp]:
    """Return the indices of the classes that an option names: those of a label file, of
    a superclass or group, or below a synset of the hierarchy.

    Raise `UsageError` if the file or the name is unknown (code ``unknown-classes``), a
    class of the file is none of the run (code ``class-not-in-run``), or fewer than four
    classes remain (code ``too-few-classes``).
    """
    if Path(choice).exists():
        chosen = _of_file(choice, labels)
    else:
        superclasses = labels.dataset_superclasses or labels.groups
        groups = (superclasses, labels.groups)
        chosen = {
            index
            for names in groups
            for index, name in enumerate(names)
            if name == choice
        }
        taxonomy = labels.hierarchy.taxonomy
        node = taxonomy.node(choice)
        if not chosen and node is not None:
            chosen = {
                index
                for index, own in labels.hierarchy.nodes.items()
                if node in hypernym_closure(taxonomy, own)
            }
        if not chosen:
            raise UsageError(
                f"no class belongs to {choice}",
                hint=(
                    "write --classes FILE with one class per line, a superclass, or a"
                    " synset such as animal.n.01"
                ),
                code="unknown-classes",
                classes=choice,
            )
    if len(chosen) < MIN_KNOWN_CLASSES:
        message = (
            f"{choice} holds {len(chosen)} of the classes; an analysis of a part needs"
            f" {MIN_KNOWN_CLASSES} or more"
        )
        raise UsageError(message, code="too-few-classes", classes=len(chosen))
    return np.array(sorted(chosen), dtype=np.intp)


def _of_file(file: str, labels: ClassLabels) -> set[int]:
    known: dict[str, int] = {}
    for entry in reversed(labels.resolutions):
        for name in (entry.wnid, entry.synset, entry.label):
            if name is not None:
                known[name] = entry.index
    names = read_labels(file).names
    unknown = [name for name in names if name not in known]
    if unknown:
        message = f"{file} has {listed(unknown, 3)}, which the run does not have"
        raise UsageError(
            message,
            hint="write the names of the run's classes, one per line",
            code="class-not-in-run",
            classes=unknown,
        )
    return {known[name] for name in names}
