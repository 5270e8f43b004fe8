"""The sentences of facts: one table that terminal, report, notebook and JSON read.

A step notices something as a `dsi_cli.facts.Fact`. This module decides what comes
first, which facts share a line, and how they read. No other module has their words.
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dsi_cli.errors import count, listed
from dsi_cli.facts import ERROR, SEVERITIES, WARNING, Fact
from dsi_cli.store import layout
from dsi_cli.store.schema import FACTS

if TYPE_CHECKING:
    from dsi_cli.store.results import Results

DISTRUSTED = "distrusted"
"""The field of a fact with the inputs that others contradict."""
BREAK = "trainings-joined"
"""The code of the fact about a run that consists of several trainings."""
MAX_NAMED = 5  # labels, files or runs that a sentence names; dsi counts the others


class Kind(NamedTuple):
    """The words of one kind of fact, and its severity.

    In a sentence and a command, ``{name}`` is a field. ``{name:label}`` is the number
    of labels in it, ``{name:first}`` its first item with the number of the others, and
    ``{name:quoted}`` its items in quotes.
    """

    severity: str
    sentence: str
    hint: str = ""  # what to do, in words
    command: str = ""  # the command that helps, or shows more


KINDS = {
    # inputs that contradict one another; their field ``distrusted`` names what dsi draws
    # no conclusion from
    "labels-in-another-order": Kind(
        ERROR,
        "the labels of {labels} seem to be in another order than the classes of the"
        " head: in {order}, the agreement with {reference} is {better:.2f} (z"
        " {better_z:.0f}) instead of {given:.2f} (z {given_z:.1f}; 0 is chance)",
        "Check how the classes were ordered when the network was trained, write the"
        " labels in that order into LABELS, and run:",
        "{command}",
    ),
    "labels-in-order-of-file": Kind(
        ERROR,
        "the labels of {labels} seem to be in another order than the classes of the"
        " head: in {order}, the agreement with {reference} is {better:.2f} (z"
        " {better_z:.0f}) instead of {given:.2f} (z {given_z:.1f}; 0 is chance)",
        "To use that order, run:",
        "{command}",
    ),
    "labels-contradict-head": Kind(
        ERROR,
        "the head agrees with its own mistakes ({own:.2f}, z {own_z:.0f}; 0 is chance),"
        " but not with {reference} by the labels of {labels} ({given:.2f}, z"
        " {given_z:.1f}): they are in another order than the classes of the head, or"
        " {reference} does not describe these classes",
        "Check how the classes were ordered when the network was trained, write the"
        " labels in that order into LABELS, and run:",
        "{command}",
    ),
    "labels-contradict-log": Kind(
        ERROR,
        "the network reached an accuracy of {accuracy:.2f}, but its head does not agree"
        " with {reference} by the labels of {labels} ({given:.2f}, z {given_z:.1f}; 0 is"
        " chance): they are in another order than the classes of the head, or"
        " {reference} does not describe these classes",
        "Check how the classes were ordered when the network was trained, write the"
        " labels in that order into LABELS, and run:",
        "{command}",
    ),
    "predictions-in-another-order": Kind(
        ERROR,
        "predictions and targets on {split} seem to have another order of classes than"
        " the head: in {order}, the agreement of head and mistakes is {better:.2f} (z"
        " {better_z:.0f}) instead of {given:.2f} (z {given_z:.1f}; 0 is chance)",
        "Give the classes the numbers that the head has, write PREDICTIONS again, and"
        " run:",
        "{command}",
    ),
    "predictions-contradict-head": Kind(
        ERROR,
        "the mistakes on {split} do not follow the head ({given:.2f}, z {given_z:.1f}; 0"
        " is chance): predictions and targets have another order of classes than the"
        " head, or they are of another network",
        "Check the order of their classes and from which checkpoint they are, write"
        " PREDICTIONS again, and run:",
        "{command}",
    ),
    "targets-in-another-order": Kind(
        ERROR,
        "predictions and targets on {split} have their classes in different orders: the"
        " accuracy is {accuracy:.2f}, and {accuracy_meant:.2f} with the {which} in"
        " {order}",
        "Give both the numbers of the head's classes, write PREDICTIONS again, and run:",
        "{command}",
    ),
    "predictions-contradict-targets": Kind(
        ERROR,
        "the predictions on {split} have nothing to do with the targets (accuracy"
        " {accuracy:.2f}, which is chance), although the network has learned to"
        " classify",
        "Check that both have the same order of samples, and from which checkpoint the"
        " predictions are, write PREDICTIONS again, and run:",
        "{command}",
    ),
    "predictions-of-other-epochs": Kind(
        ERROR,
        "the predictions on {split} seem to be one epoch off: the accuracy differs from"
        " that of {log} by {given:.3f} on average, and by {better:.3f} if the"
        " predictions of epoch {example} are those of checkpoint {example_meant}",
        "Give each epoch of the predictions the number of its checkpoint, write"
        " PREDICTIONS again, and run:",
        "{command}",
    ),
    "predictions-of-other-heads": Kind(
        ERROR,
        "the predictions on {split} seem to be one epoch off: from epoch to epoch, the"
        " mistakes change as the head does ({better:.3f}, z {better_z:.0f}; 0 is chance)"
        " if the predictions of epoch {example} are those of checkpoint"
        " {example_meant}, instead of {given:.3f} (z {given_z:.1f})",
        "Give each epoch of the predictions the number of its checkpoint, write"
        " PREDICTIONS again, and run:",
        "{command}",
    ),
    "predictions-contradict-log": Kind(
        ERROR,
        "the accuracy of the predictions on {split} is {accuracy:.2f}, and"
        " {accuracy_of_log:.2f} according to {log}, so they are of other samples,"
        " classes or checkpoints",
        "Check from which checkpoints the predictions are, and that predictions and"
        " truth have the same order of samples and classes; then run:",
        "{command}",
    ),
    # checkpoints
    BREAK: Kind(
        WARNING,
        "the heads of {breaks} are unrelated, as those of independently trained"
        " networks, although each has learned, so the run seems to consist of several"
        " trainings",
        "If so, analyse each by itself:",
        "{command}",
    ),
    "checkpoints-failed": Kind(
        ERROR, "{files:first} cannot be used: {reason}", command="dsi scan {folder}"
    ),
    "checkpoints-pending": Kind(
        WARNING,
        "{files:first} may still be being written: {reason}",
        command="dsi scan {folder}",
    ),
    "predictions-missing": Kind(
        ERROR, "{files:first} has no predictions on {split}: {reason}"
    ),
    "checkpoints-lost": Kind(
        WARNING,
        "{files:first} no longer exist, and what the cache had of them was damaged, so"
        " the results lack them",
    ),
    "predictions-lost": Kind(
        WARNING,
        "the predictions on {split} of {files:first} were damaged in the cache, and this"
        " call has no source for them",
        "Give --predictions, or --{split} with --model, again.",
    ),
    "checkpoints-left-out": Kind(
        WARNING, "dsi leaves out {files:checkpoint}, such as {example}: {reason}"
    ),
    "classes-not-in-reference": Kind(
        WARNING,
        "{reference} lacks {labels:class} of {classes}, such as {labels:first}, so they"
        " are left out of the comparison with it",
    ),
    "head-grows": Kind(
        WARNING,
        "the head grows from {common} to {classes:class}, so curves are over the first"
        " {common}, which every epoch has",
    ),
    "heads-repeated": Kind(
        WARNING,
        "{checkpoints} have the same head at different epochs or steps",
        "Check that each file holds the checkpoint of its own epoch.",
    ),
    "files-repeated": Kind(
        WARNING,
        "{revisions:first} is left out, because its file is that of another revision",
        "Compare the revisions: {revisions}.",
    ),
    "angle-rises": Kind(
        WARNING,
        "the angle to the head of the last checkpoint, {last}, falls while training"
        " converges, but not at {checkpoints}",
        "Check the order of these checkpoints.",
    ),
    "epochs-numbered": Kind(
        WARNING,
        "no file names its epoch, so dsi numbers them from 1 by their {by} and joins no"
        " log",
    ),
    "head-unconfirmed": Kind(
        WARNING,
        "the head {head} ({classes} x {features}) was taken, but nothing confirms that"
        " it is a classifier",
        "To choose another of the ranking, add --head NAME.",
        "dsi scan --why {path}",
    ),
    "folders-numbered": Kind(
        WARNING,
        "the numbered folders in {name} are a run each",
        "If they are epochs of one run, give {path} with {option}",
    ),
    "epochs-in-contents": Kind(
        WARNING,
        "{files:first} are a run each, although their contents state different epochs"
        " and their class vectors are related",
        "If they are the epochs of one training, add {option}",
    ),
    "names-do-not-fit": Kind(
        WARNING,
        "{others} of {files:file} do not fit {option} and are left out, such as"
        " {example}",
    ),
    "names-differ-from-contents": Kind(
        WARNING,
        "{files:checkpoint} have other epochs in their contents than --names states"
        " ({example} has {in_contents}); dsi takes those of --names ({in_name})",
    ),
    "heads-unrelated": Kind(
        WARNING,
        "the class vectors of successive checkpoints are unrelated (angles of"
        " {angle:.0f}° or more)",
        "If these are separate trainings, put each into a folder of its own.",
    ),
    "zero-weights": Kind(
        WARNING,
        "the weights of class {classes:quoted} are zero, so its similarity to all"
        " others is 0",
    ),
    # labels
    "labels-repeated": Kind(
        WARNING,
        "{source} has labels that occur twice ({labels:quoted}), which get different"
        " senses if there are several",
        "Check these senses.",
    ),
    "labels-unreadable": Kind(
        WARNING,
        "{source} is not used, because dsi cannot read labels in it: {reason}",
        "Give the labels in another form with --labels FILE.",
    ),
    "labels-not-used": Kind(
        WARNING,
        "{source} is not used, because it has {labels:label} and the classifier"
        " {classes:class}",
    ),
    "labels-reordered": Kind(
        WARNING,
        "{used} is used, but {source} has the same classes in another order: class"
        " {index} is {there!r} there and {here!r} here",
    ),
    "labels-partly-reordered": Kind(
        WARNING,
        "{used} is used, but {source} has some of the classes in another order: class"
        " {index} is {there!r} there and {here!r} here",
    ),
    "labels-numbered": Kind(
        WARNING,
        "{used} is used, but {source} has numbers for names, perhaps in another order:"
        " class {index} is {there!r} there and {here!r} here",
    ),
    "labels-of-other-classes": Kind(
        WARNING,
        "{used} is used, but {source} next to the checkpoints has other classes"
        " ({labels:quoted}, ...)",
    ),
    "no-labels": Kind(
        WARNING,
        "dsi found no names for {classes:class}, so there is no agreement",
        "Add --labels FILE with one class name per line, or --labels PRESET from this"
        " list:",
        "dsi labels --presets",
    ),
    "no-agreement": Kind(
        WARNING, "no agreement with {reference}: {reason}", command="{command}"
    ),
    "senses-uncertain-all": Kind(
        WARNING,
        "{unknown} of {labels:label} are unknown to {source}, so the senses of"
        " the others are uncertain, too",
        "Add --taxonomy FILE or --reference FILE, or choose the synsets with --map"
        " FILE.",
        "{command}",
    ),
    "labels-unresolved": Kind(
        WARNING,
        "dsi leaves {labels:label} out of the comparison with {reference}: {labels}"
        " ({reason})",
        command="{command}",
    ),
    "senses-uncertain": Kind(
        WARNING,
        "dsi is unsure of the sense of {senses:label}: {senses}",
        command="{command}",
    ),
    # training logs
    "log-not-joined": Kind(
        WARNING,
        "{log} has the epochs {of_log}, and the checkpoints have {of_run}, so dsi does"
        " not join them",
        "Change the numbers in the log, or, if equal numbers are the same epochs, add"
        " {option}",
    ),
    "log-without-epochs": Kind(
        WARNING,
        "{log} has {rows:row} without numbers of epochs, and the checkpoints have"
        " {of_run}, so dsi does not join them",
        "Change the numbers in the log, or, if equal numbers are the same epochs, add"
        " {option}",
    ),
    "log-shifted": Kind(
        WARNING,
        "{log} has the epochs {of_log}, and the checkpoints have {of_run}, so dsi"
        " takes epoch {epoch_of_log} of the log for epoch {epoch_of_run}",
    ),
    "log-nearby": Kind(
        WARNING, "dsi does not join the log {log}", "To use it, add {option}"
    ),
    # predictions
    "predictions-of-other-runs": Kind(WARNING, "{file} has no predictions of this run"),
    "predictions-not-used": Kind(
        WARNING,
        "{file} next to the checkpoints is not used, because {used} is",
        "Choose with --predictions FILE",
    ),
    "predictions-nearby-of-other-runs": Kind(
        WARNING,
        "{file} next to the checkpoints is not used, because its column 'run' has"
        " other runs",
    ),
    "predictions-unusable": Kind(
        WARNING, "{file} next to the checkpoints is not used: {reason}"
    ),
    "predictions-without-epoch": Kind(
        WARNING,
        "{file} names no epoch, so dsi takes its predictions for the last of"
        " {of_run:epoch}, epoch {last}",
        "If they belong to another, add a column 'epoch', or give an NPZ with"
        " `epochs`.",
    ),
    "predictions-of-usable-epochs": Kind(
        WARNING,
        "{file} has {used:row} and the run {of_run:epoch}, so dsi takes the rows for"
        " {used:epochs}, without the unused checkpoints of {left_out:epochs}",
        "If they belong to others, give an NPZ with `epochs`.",
    ),
    "epochs-without-predictions": Kind(
        WARNING, "{file} has no predictions for {missing} of {of_run:epoch}"
    ),
    "predictions-without-checkpoint": Kind(
        WARNING, "{file} has predictions for epochs that the run lacks"
    ),
    "sources-differ": Kind(
        WARNING,
        "the curves on {split} contain predictions that differ in their file, data,"
        " model or arguments",
        "To make them comparable, run again for all epochs with --{split} or"
        " --predictions.",
    ),
    "accuracy-differs": Kind(
        WARNING,
        "the accuracy on {splits} is not what the trainer wrote",
        "Check that predictions and truth have the same order of samples and classes.",
    ),
    "accuracy-of-model-differs": Kind(
        WARNING,
        "the accuracy on {splits} is not what the trainer wrote",
        "Check the images, their size, mean and std, and the order of the classes.",
    ),
    # classes of a test set
    "class-names-are-numbers": Kind(
        WARNING,
        "the class names of {data} are numbers, so dsi takes them as the classifier's"
        " class numbers, from 0",
    ),
    "class-names-unsorted": Kind(
        WARNING,
        "the class names of {data} are numbers, so dsi takes them as the classifier's"
        " class numbers, from 0",
        "If training sorted them as text, as torchvision's ImageFolder does ({names},"
        " ...), give them the names of the labels.",
    ),
    "class-order-sorted": Kind(
        WARNING,
        "dsi takes the class names of the data, in sorted order, as the classifier's"
        " order",
        "Give --labels if it is another.",
    ),
    "class-order-as-text": Kind(
        WARNING,
        "the class names of {data} are numbers in alphabetical order ({names}, ...),"
        " which dsi uses as torchvision's ImageFolder does",
        "Give --labels with them in the classifier's order if that is another.",
    ),
    "classes-without-image": Kind(
        WARNING, "{data} has no image of {empty:class} (of {classes}): {empty:quoted}"
    ),
    # comparisons of results
    "label-orders-differ": Kind(
        WARNING,
        "the label lists of {first} and {second} have {moved:class} of {classes} at other"
        " indices, such as {moved:first}, and dsi matches the classes by {by}",
        "If both networks have the same order of classes, one of the lists is wrong:"
        " analyse its checkpoints again with --labels.",
    ),
    "senses-differ": Kind(
        WARNING,
        "the labels of {first} and {second} have other senses for {labels:class} of"
        " {classes}, such as {labels:first}, so the agreement and the WIDM of two"
        " networks are compared over the other classes",
        "To compare all classes, analyse both with the same --labels and --mapping.",
    ),
    # what tables lack
    "curves-without-values": Kind(WARNING, "{curves}: no values, because {reason}"),
    "mistakes-left-out": Kind(
        WARNING,
        "{left_out} of {mistakes:mistake} are predictions of classes without samples,"
        " and IDM, severity and superclass accuracy leave them out",
    ),
}
"""The kinds of facts by code; of equal severity, an earlier one is more important."""


class _Words(string.Formatter):
    """Formats the fields of a fact in a sentence."""

    def format_field(self, value: Any, format_spec: str) -> str:
        """Return a field as text; for the specifications see `Kind`."""
        if isinstance(value, list | tuple):
            return _list_text(value, format_spec)
        if isinstance(value, int) and format_spec.isalpha():
            return count(value, format_spec)
        if isinstance(value, int) and not format_spec:
            return f"{value:,}"
        return str(super().format_field(value, format_spec))


def _list_text(items: Sequence[Any], form: str) -> str:
    names = [" → ".join(map(str, _parts(item))) for item in items]
    if form == "first":
        return listed(names, 1)
    if form == "quoted":
        return listed([repr(name) for name in names], MAX_NAMED)
    if form == "epochs":
        return f"epoch{'s' * (len(items) > 1)} {listed(names, MAX_NAMED)}"
    if form:
        return count(len(items), form)
    return listed(names, MAX_NAMED)


def _parts(item: Any) -> Sequence[Any]:
    """Return the parts of an item: a label and its synset, or the item alone."""
    return item if isinstance(item, list | tuple) else [item]


@dataclass(frozen=True)
class Message:
    """A fact in words.

    Attributes
    ----------
    severity : ``error``, ``warning`` or ``note``.
    code : the code of the fact.
    text : the sentence; it begins with the runs if only some runs have the fact.
    hint : what to do, in words; empty without advice.
    command : a command that helps, or shows more; empty without one.
    is_contradiction : True if it is about inputs that contradict one another.
    """

    severity: str
    code: str
    text: str
    hint: str = ""
    command: str = ""
    is_contradiction: bool = False

    @property
    def line(self) -> str:
        """The sentence with what to do, in one line."""
        advice = " ".join(part for part in (self.hint, self.command) if part)
        return f"{self.text}. {advice}" if advice else self.text


def messages(facts: Iterable[Fact], runs: Sequence[str]) -> list[Message]:
    """Return facts in words, the most important first.

    Parameters
    ----------
    facts : the facts of all runs.
    runs : the names of all runs. A fact that all of them have names none.
    """
    # Runs with the same fact share a message; its command is that of the first run.
    owners: dict[str, list[Fact]] = {}
    for one in in_order(facts):
        shown = {name: one.fields[name] for name in one.fields if name not in _OF_RUN}
        key = json.dumps([one.code, one.epochs, shown], sort_keys=True)
        owners.setdefault(key, []).append(one)
    made = []
    for same in owners.values():
        names = [one.run for one in same if one.run]
        is_shared = len(names) in (0, len(runs))
        made.append(_message(same[0], "" if is_shared else listed(names, MAX_NAMED)))
    return made


_OF_RUN = ("command", "folder")  # fields that differ between runs with the same fact


def _message(one: Fact, owner: str) -> Message:
    kind, words = KINDS[one.code], _Words()
    text = words.vformat(kind.sentence, (), one.fields)
    if one.epochs:
        text += f" ({epochs_text(one.epochs)})"
    if owner:
        text = f"{owner}: {text}"
    hint, command = (
        words.vformat(template, (), one.fields)
        for template in (kind.hint, kind.command)
    )
    is_contradiction = DISTRUSTED in one.fields
    return Message(kind.severity, one.code, text, hint, command, is_contradiction)


def epochs_text(epochs: Sequence[int]) -> str:
    """Return epochs in words.

    >>> epochs_text([4]), epochs_text([3, 4, 9, 12, 27, 30])
    ('epoch 4', '6 epochs from 3 to 30')
    """
    if len(epochs) == 1:
        return f"epoch {epochs[0]}"
    return f"{len(epochs)} epochs from {min(epochs)} to {max(epochs)}"


def in_order(facts: Iterable[Fact]) -> list[Fact]:
    """Return facts with the most important ones first; facts that differ in their
    epochs alone are one fact.
    """
    merged: dict[str, Fact] = {}
    for one in facts:
        key = json.dumps([one.code, one.run, one.fields], sort_keys=True)
        known = merged.get(key, one)
        epochs = tuple(sorted({*known.epochs, *one.epochs}))
        merged[key] = replace(one, epochs=epochs)
    codes = list(KINDS)

    def rank(one: Fact) -> tuple[int, int]:
        return SEVERITIES.index(KINDS[one.code].severity), codes.index(one.code)

    return sorted(merged.values(), key=rank)


def rows(facts: Iterable[Fact]) -> list[dict[str, Any]]:
    """Return facts as rows of ``facts.parquet``, in the order of `in_order`."""
    return [
        {
            "run": one.run,
            "code": one.code,
            "epochs": list(one.epochs),
            "fields": json.dumps(one.fields, sort_keys=True, ensure_ascii=False),
            "severity": KINDS[one.code].severity,
        }
        for one in in_order(facts)
    ]


def from_rows(stored: Iterable[Mapping[Any, Any]]) -> list[Fact]:
    """Return the facts in rows of ``facts.parquet``; a later version of dsi may have
    written codes that this one does not have, and these are left out.
    """
    return [
        Fact(
            row["code"],
            row["run"],
            tuple(int(epoch) for epoch in row["epochs"]),
            json.loads(row["fields"]),
        )
        for row in stored
        if row["code"] in KINDS
    ]


def of_run(out: Path, run: str) -> list[Fact]:
    """Return the facts of a run of a results folder."""
    return from_rows(layout.read_table(out, FACTS, run).to_pylist())


def contradictions(found: Iterable[Fact]) -> list[Fact]:
    """Return the facts about inputs that contradict one another."""
    return [one for one in found if DISTRUSTED in one.fields]


def distrusted(found: Iterable[Fact]) -> frozenset[str]:
    """Return the inputs from which no conclusion may be drawn, because others
    contradict them: ``labels``, ``predictions:test`` and ``predictions:train``.
    """
    return frozenset(name for one in found for name in one.fields.get(DISTRUSTED, ()))


def of_results(results: Results, run: str | None = None) -> list[Fact]:
    """Return the facts of all runs of a results folder, or of one run."""
    frame = results.facts if run is None else results.rows_of("facts", run)
    return from_rows(frame.to_dict("records"))


def documents(facts: Iterable[Fact]) -> list[dict[str, Any]]:
    """Return facts for JSON: the columns of the table, with the fields as an object,
    and the words.
    """
    made = []
    for one in in_order(facts):
        message = _message(one, "")
        made.append(
            {
                "run": one.run,
                "code": one.code,
                "epochs": list(one.epochs),
                "fields": dict(one.fields),
                "severity": message.severity,
                "text": message.text,
                "hint": message.hint or None,
                "command": message.command or None,
            }
        )
    return made
