"""The records of the kinds of suspects, and what belongs to each of them."""

import numpy as np
import pytest

from dsi_cli.analysis.tables.suspects import EFFECTS
from dsi_cli.metrics.suspects import CORRECTIONS, FAMILIES
from dsi_cli.suspect_kinds import GRADES, KIND_NAMES, KINDS, SOURCES, SuspectKind

MEASURED = [
    pytest.param(measured, id=f"{kind.name}-{source}")
    for kind in KINDS
    for source, measured in kind.measured.items()
]


def test_every_kind_has_candidates_a_correction_and_an_effect():
    assert len(set(KIND_NAMES)) == len(KINDS)
    for table in (FAMILIES, CORRECTIONS, EFFECTS):
        assert set(table) == set(KIND_NAMES)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_words_of_a_kind_are_a_question_and_sentences_without_full_stops(
    kind: SuspectKind,
):
    assert kind.question.endswith("?")
    assert kind.sees.endswith(".")
    assert not kind.ordinary.endswith(".")
    assert not kind.next_step.endswith(".")
    assert kind.measured
    assert set(kind.measured) <= set(SOURCES)


@pytest.mark.parametrize("measured", MEASURED)
def test_grades_of_a_source_follow_its_scores(measured):
    below = np.nextafter([measured.strong, measured.worth], -np.inf)
    scores = [measured.strong, below[0], measured.worth, below[1], -np.inf]
    strong, worth, ordinary = GRADES
    grades = [measured.grade(score) for score in scores]
    assert grades == [strong, worth, worth, ordinary, ordinary]
