"""A run's labels: where they were found, what WordNet says of them, and the reference matrix that follows."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.discover import Found, Run
from dsi_cli.checkpoints.scan import read_metadata
from dsi_cli.errors import UsageError
from dsi_cli.labels import files, metadata, presets
from dsi_cli.labels.lists import LabelList
from dsi_cli.wordnet import groups, paths, senses, subsumers, taxonomy
from dsi_cli.wordnet.senses import Resolution

_log = logging.getLogger(__name__)

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
    groups: tuple[str | None, ...] = ()
    """The synset of the hypernym that groups each class; None for classes that no group holds, empty without labels."""

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

    def group_of(self, index: int) -> str | None:
        """Return the synset that groups a class, None where there is none."""
        return self.groups[index] if self.groups else None

    def why_no_reference(self) -> str | None:
        """Return why there is no alignment with WordNet, None if there is one."""
        if self.labels is None:
            return "no labels: give them with --labels FILE or PRESET"
        if self.resolved < FEWEST:
            return f"{self.resolved} of {self.classes} labels are known to WordNet: an alignment needs {FEWEST} or more"
        return None

    @property
    def nodes(self) -> dict[int, int]:
        """The node in WordNet of each class that has a synset."""
        return _known(self.resolutions)

    def reference(self) -> NDArray[np.float32]:
        """Return the matrix as it is stored: `similarity` in float32."""
        return self.similarity().astype(np.float32)

    def similarity(self) -> NDArray[np.float64]:
        """Return WordNet's path similarity ``(C, C)`` of the classes, NaN for those without a synset."""
        return placed(self.nodes, self.classes, paths.path_similarity)

    def heights(self) -> NDArray[np.float32]:
        """Return the height of the lowest common hypernym ``(C, C)``, NaN for classes without a synset."""
        return placed(self.nodes, self.classes, subsumers.common_heights, np.float32)

    @cached_property
    def own_superclasses(self) -> tuple[str, ...] | None:
        """Those that the data set of a preset gives its classes, such as CIFAR-100's 20; None where there are none."""
        return None if self.labels is None else presets.superclasses_of(self.labels)

    def superclasses(self) -> NDArray[np.intp]:
        """Return a number for each class that is the same for those of a superclass.

        These are the data set's own where it has some, else the groups; a class without a group is alone.
        """
        named = self.own_superclasses or [self.group_of(index) for index in range(self.classes)]
        numbers: dict[str, int] = {}
        alone = range(self.classes, 2 * self.classes)
        found = [
            one if name is None else numbers.setdefault(name, len(numbers)) for name, one in zip(named, alone, strict=True)
        ]
        return np.array(found, dtype=np.intp)

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
                row |= {"group": self.groups[index]}
            rows.append(row)
        return rows


def placed(
    nodes: Mapping[int, int],
    classes: int,
    between: Callable[[Sequence[int]], NDArray[Any]],
    dtype: type[np.floating[Any]] = np.float64,
) -> NDArray[Any]:
    """Return what a measure gives between the nodes of classes ``(C, C)``, NaN for classes without one."""
    matrix = np.full((classes, classes), np.nan, dtype=dtype)
    if nodes:
        at = np.array(list(nodes))
        matrix[np.ix_(at, at)] = between(list(nodes.values()))
    return matrix


def label(labels: LabelList, chosen: Mapping[int, str] | None = None) -> Labelling:
    """Return what WordNet says of a label list; what a person chose for a class (an id, a synset name, nothing) comes first."""
    if labels.preset is None:
        labels = presets.recognise(labels.names, labels.source, labels.wnids)
    resolutions = tuple(senses.resolve(labels.names, labels.wnids, labels.preset, chosen))
    one = Labelling(len(labels.names), labels, resolutions, _display_order(resolutions), _groups(resolutions))
    _log.debug("%d labels from %s, preset %s: %d in WordNet", one.classes, labels.source, labels.preset, one.resolved)
    return one


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


def _known(resolutions: Sequence[Resolution]) -> dict[int, int]:
    """Return the node of each class that has a synset."""
    graph = taxonomy.load()
    nodes = {one.index: graph.node(one.wnid) for one in resolutions if one.wnid is not None}
    return {index: node for index, node in nodes.items() if node is not None}


def _groups(resolutions: Sequence[Resolution]) -> tuple[str | None, ...]:
    names = taxonomy.load().names
    known = _known(resolutions)
    found = dict(zip(known, groups.groups(list(known.values())), strict=True))
    return tuple(None if (group := found.get(one.index)) is None else names[group] for one in resolutions)


def _display_order(resolutions: Sequence[Resolution]) -> NDArray[np.intp]:
    known = _known(resolutions)
    indices = list(known)
    first = [indices[place] for place in taxonomy.taxonomy_order(list(known.values()))]
    rest = [one.index for one in resolutions if one.wnid is None]
    return np.array([*first, *rest], dtype=np.intp)
