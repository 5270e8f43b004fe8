"""A run's labels: where they were found, what WordNet says of them, and the reference matrix that follows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.discover import Found, Run
from dsi_cli.checkpoints.scan import read_metadata
from dsi_cli.errors import UsageError
from dsi_cli.labels import files, metadata, presets
from dsi_cli.labels.lists import LabelList
from dsi_cli.wordnet import paths, senses, taxonomy
from dsi_cli.wordnet.senses import Resolution

OF_DATA = "the data's class names"
"""The source of labels that nothing but the labelled data gives."""
FEWEST = 4
"""Resolved classes that an alignment with WordNet needs."""


@dataclass(frozen=True)
class Labelling:
    """The classes of a run, or of a label list alone, in the classifier's order."""

    classes: int
    labels: LabelList | None
    resolutions: tuple[Resolution, ...]
    order: NDArray[np.intp]
    """The classes in display order: taxonomy where labels are resolved, the others behind; else as given."""

    @property
    def labels_id(self) -> str | None:
        """The tables' name of the label list."""
        return self.labels.id if self.labels else None

    @property
    def mapping_id(self) -> str | None:
        """Twelve hex digits that change with the labels and with what they were understood to mean; None without labels."""
        if self.labels is None:
            return None
        meant = [self.labels.id, *(one.wnid or "" for one in self.resolutions)]
        return hashlib.sha256("\n".join(meant).encode()).hexdigest()[:12]

    @property
    def resolved(self) -> int:
        """How many classes have a synset."""
        return sum(resolution.synset is not None for resolution in self.resolutions)

    @property
    def unresolved(self) -> list[Resolution]:
        """The labels without a synset."""
        return [resolution for resolution in self.resolutions if resolution.synset is None]

    def why_no_reference(self) -> str | None:
        """Return why there is no alignment with WordNet, None if there is one."""
        if self.labels is None:
            return "no labels: give them with --labels FILE or PRESET"
        if self.resolved < FEWEST:
            return f"{self.resolved} of {self.classes} labels are known to WordNet: an alignment needs {FEWEST} or more"
        return None

    def reference(self) -> NDArray[np.float32]:
        """Return the matrix as it is stored: `similarity` in float32."""
        return self.similarity().astype(np.float32)

    def similarity(self) -> NDArray[np.float64]:
        """Return WordNet's path similarity ``(C, C)`` of the classes, NaN for those without a synset."""
        matrix = np.full((self.classes, self.classes), np.nan)
        graph = taxonomy.load()
        known = [(one.index, graph.node(one.wnid)) for one in self.resolutions if one.wnid is not None]
        if known:
            at = np.array([index for index, _ in known])
            matrix[np.ix_(at, at)] = paths.path_similarity([node for _, node in known if node is not None])
        return matrix

    def class_rows(self, run: str, samples: Mapping[str, Sequence[int]] = {}) -> list[dict[str, Any]]:
        """Return the rows of the classes table.

        Parameters
        ----------
        samples : how many samples each class has, by split
        """
        place = np.empty(self.classes, dtype=np.intp)
        place[self.order] = np.arange(self.classes)
        rows: list[dict[str, Any]] = []
        for index in range(self.classes):
            row: dict[str, Any] = {"run": run, "class_index": index, "display_order": int(place[index])}
            row |= {f"samples_{split}": int(numbers[index]) for split, numbers in samples.items()}
            if self.labels is not None:
                one = self.resolutions[index]
                row |= {"labels_id": self.labels.id, "name": one.label, "synset": one.synset, "wnid": one.wnid}
                row |= {"definition": one.definition, "resolved_by": one.resolved_by, "confidence": one.confidence}
                row |= {"candidates": list(one.candidates), "candidate_scores": list(one.scores), "reason": one.reason}
            rows.append(row)
        return rows


def label(labels: LabelList, chosen: Mapping[int, str] | None = None) -> Labelling:
    """Return what WordNet says of a label list; what a person chose for a class (an id, a synset name, nothing) comes first."""
    if labels.preset is None:
        labels = presets.recognise(labels.names, labels.source, labels.wnids)
    resolutions = tuple(senses.resolve(labels.names, labels.wnids, labels.preset, chosen))
    return Labelling(len(labels.names), labels, resolutions, _display_order(resolutions))


def without_labels(classes: int) -> Labelling:
    """Return the labelling of a run whose labels nobody knows."""
    return Labelling(classes, None, (), np.arange(classes))


def labels_of(
    run: Run,
    asked: str | None,
    readable: Sequence[Found],
    classes: int | None,
    of_data: tuple[str, ...] | None = None,
) -> tuple[LabelList | None, list[str]]:
    """Return a run's labels, and warnings about labels that were found but cannot be used.

    They are those asked for, else the first that fit the number of classes: beside the checkpoints, in the folder above,
    in a checkpoint itself; else those of the labelled data. Without a classifier, and so a number, the data's come first.

    Raises
    ------
    UsageError
        The labels that were asked for cannot be read.
    """
    if asked is not None:
        return files.read(asked), []
    warnings: list[str] = []
    told = None if of_data is None else presets.recognise(of_data, OF_DATA, None)
    if classes is None:
        return told, warnings
    for found in chain(_found_labels(run, readable), [told] if told is not None else []):
        if isinstance(found, str):
            warnings.append(found)
        elif len(found.names) == classes:
            return found, warnings
        elif found is not told:
            warnings.append(f"{found.source} has {len(found.names)} labels, the classifier {classes} classes: not used")
    return None, warnings


def _found_labels(run: Run, readable: Sequence[Found]) -> Iterator[LabelList | str]:
    """Yield the label lists that lie around a run, best first, and why others could not be read."""
    for folder in (run.folder, run.folder.parent):
        beside = files.find_beside(folder)
        if beside is not None:
            try:
                yield files.read_labels(beside)
            except UsageError as error:
                yield str(error)
    for part in (part for one in readable[:1] for part in read_metadata(one) or ()):
        told = metadata.from_metadata(part)
        if told is not None:
            yield told


def _display_order(resolutions: Sequence[Resolution]) -> NDArray[np.intp]:
    graph = taxonomy.load()
    known = [(one.index, graph.node(one.wnid)) for one in resolutions if one.wnid is not None]
    shown = taxonomy.taxonomy_order([node for _, node in known if node is not None]) if known else ()
    first = [known[place][0] for place in shown]
    rest = [one.index for one in resolutions if one.wnid is None]
    return np.array([*first, *rest], dtype=np.intp)
