"""A run's labels: where they were found, what WordNet says of them, and the reference matrix and groups that follow."""

from __future__ import annotations

import hashlib
import logging
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.semantics import hierarchy, label_files
from dsi_cli.analysis.semantics.hierarchy import Hierarchy, OpenedTaxonomy, scatter_to_classes
from dsi_cli.checkpoints.discovery import CheckpointFile, TrainingRun
from dsi_cli.checkpoints.scan import read_metadata
from dsi_cli.errors import UsageError, count
from dsi_cli.labels import metadata, presets
from dsi_cli.labels.label_list import LabelList
from dsi_cli.labels.same_classes import name_key
from dsi_cli.wordnet.database import wordnet
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet, same_synset_in
from dsi_cli.wordnet.disambiguation import resolve
from dsi_cli.wordnet.disambiguation.resolve import Resolution
from dsi_cli.wordnet.similarity import shortest_paths

_log = logging.getLogger(__name__)

OF_DATA = "the data's class names"
"""The source of labels that nothing but the labelled data gives."""
FEWEST = 4
"""Resolved classes that an alignment with WordNet needs."""


LISTS_OWN = "list-superclasses"
"""The name of superclasses that a label list gives its classes."""


@dataclass(frozen=True)
class ClassLabels:
    """The classes of a run, or of a label list alone, in the classifier's order."""

    classes: int
    label_list: LabelList | None
    resolutions: tuple[Resolution, ...]
    wordnet: WordNet
    """What labels were looked up in."""
    taxonomy: OpenedTaxonomy | None = None
    """The taxonomy that takes WordNet's place as the hierarchy."""

    @property
    def labels_id(self) -> str | None:
        """The tables' name of the label list."""
        return self.label_list.id if self.label_list else None

    @property
    def meaning_id(self) -> str | None:
        """Twelve hex digits that change with the labels and with what they were understood to mean; None without labels."""
        if self.label_list is None:
            return None
        meant = [self.label_list.id, *(one.wnid or "" for one in self.resolutions)]
        return _digits(meant if self.wordnet.is_usual else [*meant, self.wordnet.id])

    @property
    def mapping_id(self) -> str | None:
        """The same, which also changes with the taxonomy of one's own and with the list's superclasses."""
        shapes = [self.taxonomy.fingerprint] if self.taxonomy else []
        shapes += [one or "" for one in (self.label_list.superclasses or ())] if self.label_list else []
        return _digits([self.meaning_id, *shapes]) if self.meaning_id and shapes else self.meaning_id

    @cached_property
    def hierarchy(self) -> Hierarchy:
        """The taxonomy that the classes hang in."""
        if self.taxonomy is None:
            return Hierarchy(self.wordnet.id, "WordNet", self.wordnet.taxonomy, self.nodes, self.classes)
        nodes = self.taxonomy.nodes(self.label_list.names) if self.label_list else {}
        return Hierarchy(self.taxonomy.name, self.taxonomy.source, self.taxonomy.taxonomy, nodes, self.classes, is_own=True)

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """The classes in display order: by the hierarchy, those that it lacks behind; superclasses of the list together."""
        order = self.hierarchy.order()
        above = self.list_superclasses
        return np.array(order if above is None else hierarchy.by_superclass(order, above), dtype=np.intp)

    @cached_property
    def groups(self) -> tuple[str | None, ...]:
        """The superclass that the list gives each class, else the hypernym that groups it; None for classes that none holds.

        Empty without labels.
        """
        if self.label_list is None:
            return ()
        return self.list_superclasses or self.hierarchy.groups()

    @property
    def list_superclasses(self) -> tuple[str | None, ...] | None:
        """Those of the label list, unless a taxonomy of one's own is given; None where there are none."""
        return self.label_list.superclasses if self.label_list and not self.taxonomy else None

    @property
    def resolved(self) -> int:
        """How many classes have a synset."""
        return sum(resolution.synset is not None for resolution in self.resolutions)

    @property
    def unresolved(self) -> list[Resolution]:
        """The labels without a synset."""
        return [resolution for resolution in self.resolutions if resolution.synset is None]

    @property
    def known_to(self) -> str:
        """Where labels are looked up, in words."""
        if self.taxonomy is not None:
            return self.taxonomy.source
        return self.wordnet.title if self.wordnet.part == "noun" else f"{self.wordnet.title}'s {self.wordnet.part}s"

    @property
    def placeholders(self) -> list[str]:
        """The labels that are placeholders, such as ``class_7``."""
        return [one.label for one in self.resolutions if one.resolved_by == resolve.PLACEHOLDER]

    @property
    def are_placeholders(self) -> bool:
        """Whether more than half of the labels are placeholders."""
        return 2 * len(self.placeholders) > self.classes

    @property
    def command(self) -> str | None:
        """The call of ``dsi labels`` that shows how these labels are understood; None if they are in no file."""
        if self.label_list is None or self.label_list.path is None:
            return None
        options = {"--pos": self.wordnet.part if self.wordnet.part != "noun" else None}
        options |= {"--wordnet": self.wordnet.name if self.wordnet.name != wordnet.SHIPPED else None}
        given = [word for name, value in options.items() if value is not None for word in (name, value)]
        return shlex.join(["dsi", "labels", self.label_list.path, *given])

    def why_all_uncertain(self) -> str | None:
        """Return why all senses that were chosen are uncertain, and what to do; None if they are not."""
        unknown = [one for one in self.unresolved if one.resolved_by != resolve.PLACEHOLDER]
        is_chosen = any(one.synset is not None and one.resolved_by not in resolve.CERTAIN for one in self.resolutions)
        if self.taxonomy is not None or not is_chosen or len(unknown) < resolve.FOREIGN_LIST_SHARE * self.classes:
            return None
        return (
            f"{len(unknown)} of {count(self.classes, 'label')} are unknown to {self.known_to}, so the senses of the others are "
            "uncertain, too: compare with a taxonomy of your own (--taxonomy FILE) or a matrix (--reference FILE), or choose the "
            "synsets (--map FILE)"
        )

    @property
    def left_out(self) -> list[tuple[str, str]]:
        """The labels that the hierarchy lacks, each with the reason."""
        if self.taxonomy is None:
            return [(one.label, one.reason or "") for one in self.unresolved]
        lacking = [one.label for one in self.resolutions if one.index not in self.hierarchy.nodes]
        return [(label, f"{self.taxonomy.source} has no node of that name") for label in lacking]

    def group_of(self, index: int) -> str | None:
        """Return the synset that groups a class, None where there is none."""
        return self.groups[index] if self.groups else None

    def why_no_reference(self) -> str | None:
        """Return why there is no alignment with WordNet, None if there is one."""
        if self.label_list is None:
            return "no labels: give them with --labels FILE or PRESET"
        return self.too_few(self.resolved, "WordNet", "an alignment")

    def too_few(self, known: int, source: str, what: str) -> str | None:
        """Return why so few known classes are not enough; None if they are.

        Parameters
        ----------
        known : the number of classes that the source knows
        source, what : the source, and what needs known classes, in words
        """
        if known >= FEWEST:
            return None
        if self.are_placeholders:
            few = ", ".join(self.placeholders[:2])
            return f"the labels are placeholders ({few}, ...): give the real class names with --labels FILE or PRESET"
        are = "is" if known == 1 else "are"
        return f"{known} of {self.classes} labels {are} known to {source}: {what} needs {FEWEST} or more"

    def why_no_hierarchy(self) -> str | None:
        """Return why mistakes cannot be judged by the hierarchy, None if they can."""
        if self.taxonomy is None or self.label_list is None:
            return self.why_no_reference()
        return self.too_few(len(self.hierarchy.nodes), self.taxonomy.source, "a hierarchy")

    @property
    def nodes(self) -> dict[int, int]:
        """The node in WordNet of each class that has a synset."""
        graph = self.wordnet.taxonomy
        nodes = {one.index: graph.node(one.wnid) for one in self.resolutions if one.wnid is not None}
        return {index: node for index, node in nodes.items() if node is not None}

    def reference(self) -> NDArray[np.float32]:
        """Return the matrix as it is stored: `similarity` in float32."""
        return self.similarity().astype(np.float32)

    def similarity(self) -> NDArray[np.float64]:
        """Return WordNet's path similarity ``(C, C)`` of the classes, NaN for those without a synset."""
        return scatter_to_classes(
            self.nodes, self.classes, lambda nodes: shortest_paths.path_similarity(nodes, self.wordnet.taxonomy)
        )

    @cached_property
    def own_superclasses(self) -> tuple[str | None, ...] | None:
        """Those that the list gives its classes, else the data set of a preset, such as CIFAR-100's 20; None where none does.

        A taxonomy of one's own comes before both.
        """
        if self.label_list is None or self.taxonomy:
            return None
        return self.list_superclasses or presets.superclasses_of(self.label_list)

    @property
    def superclasses_are(self) -> str:
        """Where the superclasses come from, as the tables name it: ``cifar100-superclasses``, else the hierarchy."""
        if self.label_list is None or self.own_superclasses is None:
            return self.hierarchy.name
        return LISTS_OWN if self.list_superclasses else f"{self.label_list.preset}-superclasses"

    def superclasses(self) -> NDArray[np.intp]:
        """Return a number for each class that is the same for those of a superclass.

        These are the data set's own where it has some, else the groups; a class without one is alone.
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
            if self.label_list is not None:
                one = self.resolutions[index]
                row |= {"labels_id": self.label_list.id, "name": one.label, "synset": one.synset, "wnid": one.wnid}
                row |= {"definition": one.definition, "resolved_by": one.resolved_by, "confidence": one.confidence}
                row |= {"candidates": list(one.candidates), "candidate_scores": list(one.scores), "reason": one.reason}
                row |= {"group": self.groups[index]}
            rows.append(row)
        return rows


def resolve_labels(
    labels: LabelList,
    chosen: Mapping[int, str] | None = None,
    wordnet: WordNet | None = None,
    tree: OpenedTaxonomy | None = None,
) -> ClassLabels:
    """Return what WordNet says of a label list; what a person chose for a class (an id, a synset name, nothing) comes first.

    Parameters
    ----------
    wordnet : what labels are looked up in; WordNet 3.0's nouns unless given
    tree : a taxonomy that takes WordNet's place as the hierarchy

    Raises
    ------
    UsageError
        The labels are a preset, whose classes are nouns, and verbs are asked for.
    """
    wordnet = wordnet or load_wordnet()
    if labels.preset is None and labels.subset_of is None:
        found = presets.recognise(labels.names, labels.source, labels.wnids)
        labels = replace(found, superclasses=labels.superclasses, path=labels.path)
    wnids, preset = _ids_in(labels, wordnet)
    resolutions = resolve.resolve(labels.names, wnids, preset, chosen, labels.superclasses, wordnet)
    one = ClassLabels(len(labels.names), labels, tuple(resolutions), wordnet, tree)
    _log.debug("%d labels from %s, preset %s: %d in WordNet", one.classes, labels.source, labels.preset, one.resolved)
    return one


def _ids_in(labels: LabelList, wordnet: WordNet) -> tuple[Sequence[str | None] | None, str | None]:
    """Return the ids of labels and the preset that they are of; in another WordNet those of a preset's same synsets, if any."""
    if labels.wnids is None or wordnet.is_usual or (labels.preset is None and labels.subset_of is None):
        return labels.wnids, labels.preset or labels.subset_of
    if wordnet.part != "noun" and labels.preset is None:
        return None, None
    if wordnet.part != "noun":
        raise UsageError(f"the classes of the preset {labels.preset} are nouns: leave out --pos {wordnet.part}")
    return [wnid and same_synset_in(wordnet, wnid) for wnid in labels.wnids], None


def without_labels(classes: int, wordnet: WordNet | None = None, tree: OpenedTaxonomy | None = None) -> ClassLabels:
    """Return the labelling of a run whose labels nobody knows; parameters as for `resolve_labels`."""
    return ClassLabels(classes, None, (), wordnet or load_wordnet(), tree)


def find_labels(
    run: TrainingRun,
    asked: str | None,
    readable: Sequence[CheckpointFile],
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
        given = label_files.read(asked)
        return given, list(_contradicted(given, run))
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
            warnings.append(
                f"{found.source} has {count(len(found.names), 'label')}, the classifier {count(classes, 'class')}: not used"
            )
    return None, warnings


def _contradicted(labels: LabelList, run: TrainingRun) -> Iterator[str]:
    """Yield a warning if the file beside the checkpoints has as many labels as were given, and most of them are others."""
    beside = label_files.find_beside(run.folder)
    if beside is None:
        return
    with suppress(UsageError):  # what was asked for counts, so that file need not be right
        found = label_files.read_labels(beside)
        same = {name_key(name) for name in found.names} & {name_key(name) for name in labels.names}
        are_one = found.preset is not None and found.preset == labels.preset
        if len(found.names) == len(labels.names) and not are_one and 2 * len(same) < len(labels.names):
            first = ", ".join(map(repr, found.names[:2]))
            yield f"{labels.source} is used, but {found.source} beside the checkpoints names other classes ({first}, ...)"


def _found_labels(run: TrainingRun, readable: Sequence[CheckpointFile]) -> Iterator[LabelList | str]:
    """Yield the label lists that lie around a run, best first, and why others could not be read."""
    for folder in (run.folder, run.folder.parent):
        beside = label_files.find_beside(folder)
        if beside is not None:
            try:
                yield label_files.read_labels(beside)
            except UsageError as error:
                yield str(error)
    for part in (part for one in readable[:1] for part in read_metadata(one) or ()):
        told = metadata.from_metadata(part)
        if told is not None:
            yield told


def _digits(parts: Sequence[str | None]) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:12]
