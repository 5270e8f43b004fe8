"""The class labels of a training run: where dsi finds them, their WordNet synsets, and
the groups and superclasses that follow.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.semantics import hierarchy
from dsi_cli.analysis.semantics.hierarchy import CustomTaxonomy, Hierarchy
from dsi_cli.checkpoints.checkpoint_reader import read_metadata
from dsi_cli.checkpoints.discovery import CheckpointFile, TrainingRun, printable
from dsi_cli.errors import UsageError, count, quoted
from dsi_cli.facts import Fact, fact
from dsi_cli.labels import files, index_maps, presets
from dsi_cli.labels.label_list import LabelList, are_ids, match_order, name_key
from dsi_cli.wordnet.database import wordnet
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet, same_synset_in
from dsi_cli.wordnet.disambiguation import identifiers, resolve
from dsi_cli.wordnet.disambiguation.resolve import Resolution

_log = logging.getLogger(__name__)

DATASET_CLASS_NAMES = "the data's class names"
"""The source of labels that come from the dataset, not from a label file or a
checkpoint.
"""
MIN_KNOWN_CLASSES = (
    4  # the number of known classes that an alignment with a reference needs
)
# the name in the tables of superclasses that come from the label list
LIST_SUPERCLASSES = "list-superclasses"


@dataclass(frozen=True)
class ClassLabels:
    """The classes of a training run, or of a label list, in the order of the
    classifier.
    """

    classes: int
    label_list: LabelList | None
    resolutions: tuple[Resolution, ...]
    wordnet: WordNet  # the WordNet in which the labels were looked up
    taxonomy: CustomTaxonomy | None = (
        None  # the taxonomy that replaces WordNet as the hierarchy
    )

    @cached_property
    def senses_id(self) -> str | None:
        """The hash of the labels and their synsets, in twelve hex digits; None without
        labels.
        """
        if self.label_list is None:
            return None
        parts = [
            self.label_list.id,
            *(resolution.wnid or "" for resolution in self.resolutions),
        ]
        if not self.wordnet.is_usual:
            parts.append(self.wordnet.id)
        return _digest(parts)

    @cached_property
    def semantics_id(self) -> str | None:
        """The hash of `senses_id`, the custom taxonomy and the superclasses of the
        list; None without labels.
        """
        if self.label_list is None or self.senses_id is None:
            return None
        others = [self.taxonomy.fingerprint] if self.taxonomy else []
        others += [
            superclass or "" for superclass in self.label_list.superclasses or ()
        ]
        return _digest([self.senses_id, *others]) if others else self.senses_id

    @cached_property
    def hierarchy(self) -> Hierarchy:
        """The taxonomy that contains the classes."""
        if self.taxonomy is None:
            return Hierarchy(
                self.wordnet.id, self.wordnet.taxonomy, self.nodes, self.classes
            )
        nodes = self.taxonomy.class_nodes(self.label_list)
        return Hierarchy(
            self.taxonomy.name,
            self.taxonomy.taxonomy,
            nodes,
            self.classes,
            is_custom=True,
        )

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """The classes in display order: by the hierarchy, with the classes of a
        superclass of the list together.
        """
        order = self.hierarchy.order()
        if self.list_superclasses is not None:
            order = hierarchy.gather_superclasses(order, self.list_superclasses)
        return np.array(order, dtype=np.intp)

    @cached_property
    def groups(self) -> tuple[str | None, ...]:
        """The superclass of each class in the label list, or else its group in the
        hierarchy; empty without labels.
        """
        if self.label_list is None:
            return ()
        return self.list_superclasses or self.hierarchy.groups()

    @cached_property
    def coarse_groups(self) -> NDArray[np.intp] | None:
        """The coarse group of each class in the hierarchy, as a number; None without
        groups.
        """
        return self.hierarchy.coarse_groups()

    @property
    def list_superclasses(self) -> tuple[str | None, ...] | None:
        """The superclasses of the label list; None if it has none, or if a custom
        taxonomy replaces them.
        """
        return (
            self.label_list.superclasses
            if self.label_list and not self.taxonomy
            else None
        )

    @property
    def resolved(self) -> int:
        """The number of classes with a synset."""
        return len(self.resolutions) - len(self.unresolved)

    @property
    def to_check(self) -> list[Resolution]:
        """The labels whose sense is uncertain, the least certain first."""
        uncertain = [entry for entry in self.resolutions if entry.is_uncertain]
        return sorted(uncertain, key=lambda entry: entry.confidence or 0.0)

    @property
    def unresolved(self) -> list[Resolution]:
        """The labels without a synset."""
        return [
            resolution for resolution in self.resolutions if resolution.synset is None
        ]

    @property
    def lookup_source(self) -> str:
        """The name of the taxonomy or WordNet that contains the labels, for
        messages.
        """
        if self.taxonomy is not None:
            return self.taxonomy.source
        if self.wordnet.part == "noun":
            return self.wordnet.title
        return f"{self.wordnet.title}'s {self.wordnet.part}s"

    @property
    def placeholders(self) -> list[str]:
        """The labels that are placeholders, such as ``class_7``."""
        return [
            resolution.label
            for resolution in self.resolutions
            if resolution.resolved_by == resolve.PLACEHOLDER
        ]

    @property
    def are_placeholders(self) -> bool:
        """True if more than half of the labels are placeholders."""
        return 2 * len(self.placeholders) > self.classes

    @property
    def command(self) -> str | None:
        """The call of ``dsi labels`` that shows the senses of these labels; None
        without a file or with a custom taxonomy.
        """
        if (
            self.taxonomy is not None
            or self.label_list is None
            or self.label_list.path is None
        ):
            return None
        words = ["dsi", "labels", self.label_list.path]
        if self.wordnet.part != "noun":
            words += ["--pos", self.wordnet.part]
        if self.wordnet.name != wordnet.SHIPPED:
            words += ["--wordnet", self.wordnet.name]
        return shlex.join(words)

    @property
    def unknown_labels(self) -> list[tuple[str, str]]:
        """The labels that the hierarchy does not contain, each with the reason."""
        if self.taxonomy is None:
            return [
                (resolution.label, resolution.reason or "")
                for resolution in self.unresolved
            ]
        reason = f"{self.taxonomy.source} has no node of that name"
        return [
            (entry.label, reason)
            for entry in self.resolutions
            if entry.index not in self.hierarchy.nodes
        ]

    @property
    def uncertain(self) -> list[list[str]]:
        """The labels and synsets that a person should check, the least certain first;
        none if a custom taxonomy replaces WordNet.
        """
        if self.taxonomy is not None:
            return []
        return [[entry.label, entry.synset] for entry in self.to_check if entry.synset]

    @property
    def nodes(self) -> dict[int, int]:
        """The WordNet node of each class with a synset, by class index."""
        nodes = {
            entry.index: self.wordnet.taxonomy.node(entry.wnid)
            for entry in self.resolutions
            if entry.wnid
        }
        return {index: node for index, node in nodes.items() if node is not None}

    @property
    def are_all_uncertain(self) -> bool:
        """True if so many labels are unknown to WordNet that the chosen senses of the
        others are uncertain.
        """
        lacking = self._without_certain_sense
        unknown = sum(entry.resolved_by != resolve.PLACEHOLDER for entry in lacking)
        is_any_chosen = any(
            entry.synset and entry.resolved_by not in resolve.CERTAIN
            for entry in self.resolutions
        )
        return (
            self.taxonomy is None
            and is_any_chosen
            and resolve.is_foreign(unknown, len(lacking), self.classes)
        )

    @property
    def _without_certain_sense(self) -> list[Resolution]:
        return [
            entry
            for entry in self.unresolved
            if entry.resolved_by not in resolve.CERTAIN
        ]

    def facts(self, reference: str, reason_no_agreement: str | None) -> Iterator[Fact]:
        """Yield what a user should check or add so that labels can be compared.

        `reference` is the main reference, and `reason_no_agreement` the reason why
        nothing can be compared with it, or None.
        """
        if self.label_list is None:
            if reason_no_agreement is not None:
                yield fact("no-labels", classes=self.classes)
            return
        command = self.command or ""
        unknown = [] if self.are_placeholders else self.unknown_labels
        labels = [label for label, _ in unknown]
        map_command = f"{command} --write-map map.csv" if command and unknown else ""
        if reason_no_agreement is not None:
            yield fact(
                "no-agreement",
                reference=reference,
                reason=reason_no_agreement,
                labels=labels,
                command=map_command,
            )
        if self.are_all_uncertain:
            yield fact(
                "senses-uncertain-all",
                unknown=len(self._without_certain_sense),
                labels=self.classes,
                source=self.lookup_source,
                command=command,
            )
            return
        if unknown and reason_no_agreement is None:
            yield fact(
                "labels-unresolved",
                labels=labels,
                reference=reference,
                reason=unknown[0][1],
                command=map_command,
            )
        senses = self.uncertain
        if senses:
            yield fact("senses-uncertain", senses=senses, command=command)

    def reason_no_reference(self) -> str | None:
        """Return why no alignment with WordNet is possible, or None if it is."""
        if self.label_list is None:
            return "no labels; add --labels FILE, or --labels PRESET"
        return self.reason_too_few_known(self.resolved, "WordNet", "an alignment")

    def reason_no_hierarchy(self) -> str | None:
        """Return why the hierarchy cannot judge mistakes, or None if it can."""
        if self.taxonomy is None or self.label_list is None:
            return self.reason_no_reference()
        return self.reason_too_few_known(
            len(self.hierarchy.nodes), self.taxonomy.source, "a hierarchy"
        )

    def reason_no_superclasses(self) -> str | None:
        """Return why the superclass accuracy cannot be computed, or None if it can."""
        if self.dataset_superclasses:
            return None
        reason = self.reason_no_hierarchy()
        if reason is not None or any(self.groups):
            return reason
        share = "two or more, but not all" if self.hierarchy.is_custom else "3 to 40 %"
        return (
            f"no hypernym holds {share} of the classes: there are no groups to be"
            " superclasses"
        )

    def reason_too_few_known(self, known: int, source: str, use: str) -> str | None:
        """Return why the number of classes that a source contains is too small for a
        use, or None if it is large enough.
        """
        if known >= MIN_KNOWN_CLASSES:
            return None
        if self.are_placeholders:
            examples = ", ".join(self.placeholders[:2])
            return (
                f"the labels are placeholders ({examples}, ...); give the class names"
                " with --labels FILE"
            )
        if known == self.classes:
            return f"{count(known, 'class')}; {use} needs {MIN_KNOWN_CLASSES} or more"
        are = "is" if known == 1 else "are"
        return (
            f"{known} of {self.classes} labels {are} known to {source}; {use} needs"
            f" {MIN_KNOWN_CLASSES} or more"
        )

    @cached_property
    def dataset_superclasses(self) -> tuple[str | None, ...] | None:
        """The superclasses of the label list or else of its preset, such as CIFAR-100's
        20.

        None if neither has superclasses, or if a custom taxonomy replaces them.
        """
        if self.label_list is None or self.taxonomy:
            return None
        return self.list_superclasses or presets.superclasses_of(self.label_list)

    @property
    def superclass_source(self) -> str:
        """The source of the superclasses in the tables: ``cifar100-superclasses`` or
        the name of the hierarchy.
        """
        if self.label_list is None or self.dataset_superclasses is None:
            return self.hierarchy.name
        return (
            LIST_SUPERCLASSES
            if self.list_superclasses
            else f"{self.label_list.preset}-superclasses"
        )

    @cached_property
    def superclass_numbers(self) -> NDArray[np.intp]:
        """The superclass of each class as a number.

        The superclasses are those of the dataset, or else the groups. Each class
        without a superclass has a separate number.
        """
        names = self.dataset_superclasses or self.groups
        numbers: dict[str | int, int] = {}
        return np.array(
            [
                numbers.setdefault(name or index, len(numbers))
                for index, name in enumerate(names)
            ],
            np.intp,
        )

    def class_rows(
        self, run: str, samples: Mapping[str, Sequence[int]] = {}
    ) -> list[dict[str, Any]]:
        """Return the rows of the classes table; `samples` has the number of samples of
        each class, by split.
        """
        rows: list[dict[str, Any]] = []
        for index, position in enumerate(np.argsort(self.order).tolist()):
            row: dict[str, Any] = {
                "run": run,
                "class_index": index,
                "display_order": position,
            }
            row |= {
                f"samples_{split}": int(numbers[index])
                for split, numbers in samples.items()
            }
            if self.label_list is not None:
                resolution = self.resolutions[index]
                row |= {
                    "labels_id": self.label_list.id,
                    "name": resolution.label,
                    "group": self.groups[index],
                }
                row |= vars(resolution) | {"candidate_scores": resolution.scores}
            rows.append(row)
        return rows


def resolve_labels(
    labels: LabelList,
    choices: Mapping[int, str] | None = None,
    wordnet: WordNet | None = None,
    taxonomy: CustomTaxonomy | None = None,
) -> ClassLabels:
    """Return the labels of a list with their synsets in a WordNet, by default WordNet
    3.0's nouns.

    `choices` are the ids or synset names that the user chose, by class index; an empty
    text leaves the class out. A taxonomy replaces WordNet as the hierarchy.

    Raise `UsageError` if the labels are a preset, whose classes are nouns, and the
    WordNet contains another part of speech.
    """
    wordnet = wordnet or load_wordnet()
    if labels.preset is None and labels.subset_of is None:
        recognised = presets.recognise(labels.names, labels.source, labels.wnids)
        labels = replace(recognised, superclasses=labels.superclasses, path=labels.path)
    # Presets have ids of WordNet 3.0. In another WordNet, the ids are those of the same
    # synsets there, which no preset explains.
    wnids: Sequence[str | None] | None = labels.wnids
    preset = labels.preset or labels.subset_of
    if wnids is not None and preset is not None and not wordnet.is_usual:
        preset = None
        if wordnet.part == "noun":
            wnids = [wnid and same_synset_in(wordnet, wnid) for wnid in wnids]
        elif labels.preset is not None:
            message = f"the classes of the preset {labels.preset} are nouns"
            raise UsageError(
                message,
                hint=f"leave out --pos {wordnet.part}",
                code="preset-needs-nouns",
                preset=labels.preset,
                pos=wordnet.part,
            )
        else:
            wnids = None
    resolutions = resolve.resolve(
        labels.names, wnids, preset, choices, labels.superclasses, wordnet
    )
    if (
        preset is not None
        and preset == labels.subset_of
        and 2 * len(labels.names) < len(presets.load_preset(preset).names)
    ):
        by_words = resolve.resolve(
            labels.names, superclasses=labels.superclasses, wordnet=wordnet
        )
        resolutions = resolve.resolve_part(resolutions, preset, by_words)
    result = ClassLabels(
        len(labels.names), labels, tuple(resolutions), wordnet, taxonomy
    )
    _log.debug(
        "%d labels from %s, preset %s: %d in WordNet",
        result.classes,
        labels.source,
        labels.preset,
        result.resolved,
    )
    return result


def read_choices(
    path: str | Path | None, labels: LabelList, wordnet: WordNet | None = None
) -> dict[int, str]:
    """Return the id or synset name that the user chose for each class in a mapping
    file; an empty text leaves the class out.

    If the columns ``synset`` and ``wnid`` disagree, the user edited one of them. That
    is the one that differs from the synset that the label has without a mapping. An
    empty id is ignored.

    Raise `UsageError` if the file cannot be read, names an unknown class or synset, or
    if both columns of a row were edited.
    """
    choices: dict[int, str] = {}
    if path is None:
        return choices
    wordnet = wordnet or load_wordnet()
    nodes_without_mapping = cache(lambda: resolve_labels(labels, None, wordnet).nodes)
    for index, (line, columns) in files.read_mapping(path, labels).items():
        # Find the nodes of both columns.
        where = f"{path}, line {line}"
        nodes: dict[str, int | None] = {}
        for column, text in columns.items():
            entry = identifiers.look_up_id(text, wordnet) if text else None
            nodes[column] = None if entry is None else entry.node
            if text and nodes[column] is None:
                forms = identifiers.expected_id(wordnet)
                reason = (
                    f"{quoted(text)} is not an id; expected {forms}"
                    if entry is None
                    else entry.reason
                )
                raise UsageError(f"{where}: {reason}", code="unknown-synset", id=text)
        # Choose the edited column if they differ.
        decisive = next(iter(columns))
        if columns.get("wnid") and len(set(nodes.values())) > 1:
            edited = [
                column
                for column, node in nodes.items()
                if node != nodes_without_mapping().get(index)
            ]
            if len(edited) > 1 and columns["synset"]:
                message = (
                    f"{where}: {columns['synset']} and {columns['wnid']} are different"
                    f" {wordnet.part}s"
                )
                raise UsageError(
                    message,
                    hint="correct one, or delete the column wnid",
                    code="mapping-columns-disagree",
                    path=str(path),
                    line=line,
                )
            decisive = edited[0]
        choices[index] = columns[decisive]
    return choices


def without_labels(
    classes: int, wordnet: WordNet | None = None, taxonomy: CustomTaxonomy | None = None
) -> ClassLabels:
    """Return the `ClassLabels` of a run with unknown labels; for the parameters see
    `resolve_labels`.
    """
    return ClassLabels(classes, None, (), wordnet or load_wordnet(), taxonomy)


def find_labels(
    run: TrainingRun,
    given: LabelList | None,
    readable: Sequence[CheckpointFile],
    classes: int | None,
    dataset_names: tuple[str, ...] | None = None,
    earlier_id: str | None = None,
) -> tuple[LabelList | None, list[Fact]]:
    """Return the labels of a run, and facts about label lists that dsi found but cannot
    use.

    Unless the user has given labels, dsi takes the first list with the right number of
    them. It searches in the first readable checkpoint, next to the checkpoints, in the
    parent folder and finally in the dataset. Numbers and placeholders in a checkpoint
    come after the files. A run without a classifier has no number of classes, and its
    labels are those of the dataset. ``earlier_id`` is the id of the labels of an
    earlier call. If they are in a file, no checkpoint is opened again.

    Raise `UsageError` if a label file was found, and another one has the same classes
    in another order.
    """
    if given is not None:
        return given, _contradictions(given, run, readable)
    from_dataset = (
        None
        if dataset_names is None
        else presets.recognise(dataset_names, DATASET_CLASS_NAMES, None)
    )
    if classes is None:
        return from_dataset, []
    facts: list[Fact] = []
    found: LabelList | None = None
    for candidate in _nearby_labels(run, readable, earlier_id):
        if found is not None and found.path is not None:
            # Other files of as many classes must have the same order as the first one.
            if (
                not isinstance(candidate, UsageError)
                and candidate.path is not None
                and len(candidate.names) == classes
            ):
                _require_same_order(found, candidate)
        elif isinstance(candidate, UsageError):
            unreadable = fact(
                "labels-unreadable",
                source=printable(str(candidate.fields["where"])),
                cause=candidate.code,
                reason=str(candidate.fields["reason"]),
            )
            facts.append(unreadable)
        elif len(candidate.names) != classes:
            unused = fact(
                "labels-not-used",
                source=candidate.source,
                labels=len(candidate.names),
                classes=classes,
                in_checkpoint=candidate.path is None,
            )
            facts.append(unused)
        elif found is None:
            found = candidate
    if (
        found is None
        and from_dataset is not None
        and len(from_dataset.names) == classes
    ):
        found = from_dataset
    return found, facts


def _require_same_order(labels: LabelList, other: LabelList) -> None:
    """Raise `UsageError` if two label files have the same classes in another order."""
    contradiction = _contradiction(labels, other)
    if contradiction is not None and contradiction.is_order:
        first, second = (shlex.quote(path or "") for path in (labels.path, other.path))
        message = (
            f"{labels.path} and {other.path} have classes in different order:"
            f" {contradiction.text}; choose one of them with "
        )
        message += f"--labels {first} or --labels {second}"
        raise UsageError(
            message, code="label-files-disagree", path=labels.path, other=other.path
        )


def contradictions_of_found(
    labels: LabelList | None, run: TrainingRun, readable: Sequence[CheckpointFile]
) -> list[Fact]:
    """Return a fact if labels that were found for a run contradict those in a
    checkpoint or in a file.
    """
    if labels is None:
        return []
    # Labels of a checkpoint are compared with files only, so that this checkpoint is
    # not opened again.
    return _contradictions(labels, run, readable if labels.path is not None else ())


def orders_nearby(labels: LabelList, run: TrainingRun) -> dict[str, tuple[int, ...]]:
    """Return the orders of the label files of a run that have the same classes as its
    labels: the index of each class in the labels, by the path of the file.
    """
    found = {}
    for nearby in _labels_in_files(run):
        if isinstance(nearby, UsageError) or len(nearby.names) != len(labels.names):
            continue
        order = match_order(nearby.names, nearby.wnids, labels, {})
        if order is not None and nearby.path is not None:
            found[nearby.path] = order
    return found


def _contradictions(
    labels: LabelList, run: TrainingRun, readable: Sequence[CheckpointFile]
) -> list[Fact]:
    """Return a fact if a list of the run has the same classes in another order, or a
    file has as many other classes.
    """
    for nearby in chain(_labels_in_files(run), _labels_in_checkpoint(readable)):
        if isinstance(nearby, UsageError) or len(nearby.names) != len(labels.names):
            continue  # this list is not used, so it need not be valid
        contradiction = _contradiction(labels, nearby)
        if contradiction is not None:
            found = fact(
                contradiction.code,
                used=labels.source,
                source=nearby.source,
                in_checkpoint=nearby.path is None,
                **contradiction.fields,
            )
            return [found]
    return []


class _Contradiction(NamedTuple):
    """A difference between two label lists."""

    code: str  # of the fact
    fields: dict[str, Any]

    @property
    def is_order(self) -> bool:
        """True if a class of both lists has another number."""
        return self.code in ("labels-reordered", "labels-partly-reordered")

    @property
    def text(self) -> str:
        """The number and the names of the first class that differs."""
        index, there, here = (self.fields[name] for name in ("index", "there", "here"))
        return f"class {index} is {there!r} in the second and {here!r} in the first"


def _contradiction(labels: LabelList, nearby: LabelList) -> _Contradiction | None:
    """Return how the classes of a list of the run differ from those of the labels, or
    None if they do not contradict them.
    """
    order = match_order(labels.names, labels.wnids, nearby, {})
    code = "labels-reordered"
    there, here = (
        [name_key(name) for name in names] for names in (nearby.names, labels.names)
    )
    if order is not None:
        moved = [index for index, other in enumerate(order) if index != other]
    elif len(identifiers.placeholders(nearby.names)) == len(there):
        # Trainers sort folders with numbers as text (1, 10, 100, 2), but names come in
        # the order of the numbers.
        numbers = [int(re.sub(r"\D", "", name)) for name in nearby.names]
        moved = [
            index
            for index, number in enumerate(sorted(numbers))
            if number != numbers[index]
        ]
        code = "labels-numbered"
    else:
        most = Counter(there) | Counter(here)
        # a repeated name has no certain place
        common = {key for key in {*there} & {*here} if most[key] == 1}
        has_ids = are_ids(nearby.names) or are_ids(labels.names)
        if nearby.path is not None and not has_ids and 2 * len(common) < len(here):
            return _Contradiction(
                "labels-of-other-classes", {"labels": list(nearby.names[:2])}
            )
        moved = [
            index
            for index, key in enumerate(here)
            if key in common and key != there[index]
        ]
        code = "labels-partly-reordered"
    if len(moved) < 2:
        return None
    first = moved[0]
    return _Contradiction(
        code,
        {"index": first, "here": labels.names[first], "there": nearby.names[first]},
    )


def _nearby_labels(
    run: TrainingRun, readable: Sequence[CheckpointFile], earlier_id: str | None
) -> Iterator[LabelList | UsageError]:
    """Yield the label lists of a run in the order of `find_labels`, or the error of a
    file that cannot be read.
    """
    in_files = list(_labels_in_files(run))
    ids = [labels.id for labels in in_files if isinstance(labels, LabelList)]
    in_checkpoint = [] if earlier_id in ids else list(_labels_in_checkpoint(readable))
    numbered = [
        labels
        for labels in in_checkpoint
        if 2 * len(identifiers.placeholders(labels.names)) > len(labels.names)
    ]
    yield from (labels for labels in in_checkpoint if labels not in numbered)
    yield from in_files
    yield from numbered


def _labels_in_files(run: TrainingRun) -> Iterator[LabelList | UsageError]:
    """Yield the lists in the label files of a run's folder and its parent, or the error
    of a file that cannot be read.
    """
    for folder in (run.folder, run.folder.parent):
        for path in files.find_label_files(folder):
            try:
                yield files.read_labels(path)
            except UsageError as error:
                yield error


def _labels_in_checkpoint(readable: Sequence[CheckpointFile]) -> Iterator[LabelList]:
    """Yield the label lists in the first of some checkpoints."""
    for checkpoint in readable[:1]:
        for part in read_metadata(checkpoint) or ():
            labels = index_maps.from_metadata(part)
            if labels is not None:
                yield labels


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
