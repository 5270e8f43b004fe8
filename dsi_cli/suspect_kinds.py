"""The kinds of suspects: classes, pairs and groups that deserve a look.

A kind is one record. Commands, options, tables, report and documentation read it;
`dsi_cli.metrics.suspects` has one function for each record, which finds its candidates.
``benchmarks/suspects.py`` measures the grades.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WEIGHTS, TEST, TRAIN = "weights", "test", "train"
SOURCES = (WEIGHTS, TEST, TRAIN)
"""The sources of evidence: the weights of the head alone, or also the predictions of a
split.
"""
STRONG, WORTH_A_LOOK, ORDINARY = "strong", "worth a look", "ordinary"
GRADES = (STRONG, WORTH_A_LOOK, ORDINARY)
NOTABLE = (STRONG, WORTH_A_LOOK)  # the grades that are listed by default


@dataclass(frozen=True)
class Measured:
    """The grades of a kind by one source of evidence, and the words for it.

    Parameters
    ----------
    strong, worth : the scores from which a suspect is strong, or worth a look.
    evidence : the sentence about a suspect, without its full stop.
    next_step : what a user does next, without its full stop; None for that of the kind.
    evidence_of_one : the sentence about a single class of a kind that also has pairs.
    """

    strong: float
    worth: float
    evidence: str
    next_step: str | None = None
    evidence_of_one: str | None = None

    def grade(self, score: float) -> str:
        """Return the grade of a score."""
        if score >= self.strong:
            return STRONG
        return WORTH_A_LOOK if score >= self.worth else ORDINARY


@dataclass(frozen=True)
class SuspectKind:
    """A kind of suspect.

    Parameters
    ----------
    name : as in the table of suspects and for ``--kind``.
    question : the question that a list of this kind answers.
    ordinary : the sentence of a list whose first entry is ordinary.
    sees : what dsi sees, for the documentation.
    next_step : what a user does next, without its full stop.
    measured : by source of evidence, its grades and words; a source that is missing
        says nothing about this kind.
    """

    name: str
    question: str
    ordinary: str
    sees: str
    next_step: str
    measured: Mapping[str, Measured]


KINDS = (
    SuspectKind(
        "duplicate",
        "Which classes may be the same?",
        "no two classes are closer than natural look-alikes are",
        "Two classes are much closer to each other than to all other classes. Test"
        " predictions, if there are any, do not tell them apart.",
        "Compare images of {all}, and merge the classes if they are the same",
        {
            WEIGHTS: Measured(
                2.2,
                1.7,
                "{all} are {score:.1f} times as close as nearest classes usually are,"
                " closer than {closer}",
            ),
            TEST: Measured(
                2.45,
                1.9,
                "Of {images:.0f} test images of {all} that are predicted as one of the"
                " two, the network tells {percent:.0f} % right (chance 50 %, 95 % CI"
                " {percents}); the classes are closer than {closer}",
            ),
        },
    ),
    SuspectKind(
        "mislabelled-images",
        "Whose images may carry another label?",
        "no label is predicted as one other class more often than usual",
        "The training images with one label are predicted as another class, or as what"
        " that class is confused with, far more often than the test images. Without"
        " training predictions, two classes are close although test predictions tell"
        " them apart.",
        "Look at the images of {first} and {last}",
        {
            TEST: Measured(
                4.7,
                4.0,
                "{first} and {last} are closer than their names explain, and"
                " {percent:.0f} % of the test images of {last} are predicted as {first}"
                " (95 % CI {percents})",
                "Look at the training images of {first}; stored training predictions"
                " would name the images",
            ),
            TRAIN: Measured(
                2.6,
                1.9,
                "{percent:.0f} % of the training images labelled {first} are predicted"
                " as {last} (95 % CI {percents}), and {reverse:.0f} % of the test images"
                " of {first}",
                "Look at the images that dsi mistakes OUT --split train --truth"
                " {quoted[0]} --prediction {quoted[1]} lists, the surest first",
            ),
        },
    ),
    SuspectKind(
        "shortcut",
        "Which groups share something that their names do not say?",
        "no group is much closer than its names explain",
        "Three or more classes are close to one another beyond what their names"
        " explain. Test predictions, if there are any, tell them apart.",
        "Look for what the images of {all} share (background, colour, watermark,"
        " co-occurrence)",
        {
            WEIGHTS: Measured(
                1.8,
                1.3,
                "{all} share something that their names do not say: the farthest two"
                " are closer than {closer}",
            ),
            TEST: Measured(
                1.16,
                0.95,
                "{all} share something that their names do not say: the farthest two"
                " are closer than {closer}, although the network tells {percent:.0f} %"
                " of the two that it confuses most right (chance 50 %, 95 % CI"
                " {percents})",
            ),
        },
    ),
    SuspectKind(
        "wrong-label",
        "Which names may be wrong?",
        "no name fits its class much worse than usual",
        "The similarities of a class do not fit its name, or those of two classes fit"
        " better if the names are exchanged.",
        "Check {all} in the label list",
        {
            WEIGHTS: Measured(
                4.2,
                2.8,
                "{first} fits the name {last}, and {last} the name {first}, better than"
                " their own names (correlation of {first} with its own name"
                " {effect:.2f}, 95 % CI {low:.2f} to {high:.2f})",
                evidence_of_one="The correlation of {first} with its own name is"
                " {effect:.2f} (95 % CI {low:.2f} to {high:.2f}, usual {usual:.2f}); of"
                " the other names, {other} fits best",
            ),
        },
    ),
    SuspectKind(
        "wrong-sense",
        "Which senses may be wrong?",
        "no other sense of a name fits its class much better",
        "Another sense of the name in WordNet fits the similarities of a class better.",
        "Read the definitions of both senses. If the images show {better}, add the line"
        " {index},{first},{better} to the file of --map (index,name,synset)",
        {
            WEIGHTS: Measured(
                8.5,
                6.0,
                "{better} fits what the network sees in {first} better than {used},"
                " which is in use (correlation {effect:.2f}, 95 % CI {low:.2f} to"
                " {high:.2f})",
            ),
        },
    ),
    SuspectKind(
        "dead-class",
        "Which classes were not learned?",
        "no class has a short vector or is hardly ever predicted",
        "The vector of a class is short, or the class is hardly ever predicted.",
        "Check whether the training data has images of {all}",
        {
            WEIGHTS: Measured(
                0.45,
                0.38,
                "The vector of {all} has {effect:.2f} times the usual length",
            ),
            TEST: Measured(
                2.5,
                2.0,
                "{all} is predicted {predicted:.0f} times, and has {images:.0f} test"
                " images",
            ),
        },
    ),
)
KINDS_BY_NAME: Mapping[str, SuspectKind] = {kind.name: kind for kind in KINDS}
KIND_NAMES = tuple(KINDS_BY_NAME)


def quoted(names: Sequence[str]) -> list[str]:
    """Return the names of classes for a list that commas separate, in quotes if one of
    them has a comma.

    >>> quoted(["tub, vat", "bathtub"])
    ['"tub, vat"', '"bathtub"']
    """
    if any("," in name for name in names):
        return [f'"{name}"' for name in names]
    return list(names)
