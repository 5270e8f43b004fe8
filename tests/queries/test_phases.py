"""Phases in words: each sentence where the tables bear it out, and only there."""

import json

from dsi_cli.queries.epoch_summary import EpochSummary, PhaseSentences, hints, phase_sentences, phases_line

AGREEMENT = "agreement ncsm,scsm"


def row(phase, first, last, low=None, high=None, gain=0.3, curve=AGREEMENT):
    ends = {"low": last if low is None else low, "high": last if high is None else high}
    return {"curve": curve, "phase": phase, "first_epoch": first, "last_epoch": last, "gain": gain, "reason": None, **ends}


def none(curve=AGREEMENT, reason="too short"):
    return {"curve": curve, "phase": None, "reason": reason}


def run_of(excess, z, accuracy=None, epochs=10):
    return [EpochSummary(epoch, excess=excess, z=z, accuracy=accuracy) for epoch in range(epochs)]


LEARNT = run_of(0.3, 25.0)


def test_a_hint_says_since_when_the_agreement_is_stable():
    rows = [row("surge", 0, 3), row("refinement", 3, 9), row("stabilisation", 9, 30), row("t90", 0, 3)]
    assert hints(rows, LEARNT) == ["agreement with WordNet has stayed within its noise since epoch 9"]
    assert hints(rows[:2], LEARNT) == []
    assert hints([none(), row("stabilisation", 9, 30, curve="wsi max")], LEARNT) == []


def test_nothing_is_said_without_evidence():
    assert hints([none()], []) == []
    assert hints([none()], run_of(0.01, 1.0, epochs=7)) == [], "too few epochs"
    assert hints([none()], run_of(0.3, 2.0)) == [], "chance is so wide that an alignment would not show"
    assert hints([none()], [*run_of(0.01, 1.0), EpochSummary(10, excess=0.04, z=3.1)]) == []


def test_a_run_that_never_left_chance():
    within = "alignment with WordNet was within chance at every epoch (z at most 1.0)"
    assert hints([none()], run_of(0.01, 1.0)) == [f"looks like a run that never learnt: {within}"]
    assert hints([none()], run_of(0.01, 1.0, accuracy=0.015), classes=100) == [
        f"looks like a run that never learnt: {within}"
    ]
    assert hints([none()], run_of(0.01, 1.0, accuracy=0.6), classes=100) == [f"{within}, though accuracy reached 0.600"]


def test_the_line_of_phases():
    rows = [none(), row("surge", 0, 2.7, 1.8, 4.03, curve="wsi max"), row("stabilisation", 2.7, 30, curve="wsi max")]
    assert phases_line(rows) == "phases of Max WSI: surge to epoch 2.7 (95 % CI 1.8 to 4.0), then stabilisation"
    assert phases_line([none(), none("wsi max", "other")]) == "no phases in the agreement: too short"


def test_whole_runs_in_words(analysed):
    said = {run: phase_sentences(analysed.out, run) for run in analysed.run.names}
    for run, end in (("cifar100-cnn", "2.7"), ("cifar100-vit", "5.9")):
        assert said[run].phases.startswith(f"phases of the agreement: surge to epoch {end} (95 % CI ")
        assert said[run].hints[0].startswith("agreement with WordNet has stayed within its noise since epoch ")
    assert said["collapsed"].phases.startswith("no phases in the agreement: ")
    (hint,) = said["collapsed"].hints
    assert hint.startswith("looks like a run that never learnt: ")


def test_nothing_is_told_of_an_output_without_the_table(analysed, tmp_path):
    assert phase_sentences(tmp_path, "run") == PhaseSentences()
    assert phase_sentences(analysed.out, "another") == PhaseSentences()


def test_the_document_of_the_command_has_the_phases(dsi, make_run, tmp_path):
    make_run(epochs=3)
    document = json.loads(dsi("analyze", tmp_path / "run", "-o", tmp_path / "out", "--json").out)
    (run,) = document["runs"]
    assert [one["curve"] for one in run["phases"]] == [AGREEMENT, "wsi max"]
    assert run["phases"][0]["reason"] == "3 epochs have a value; at least 5 are needed"
    assert run["hints"] == []
