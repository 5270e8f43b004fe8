"""Phases in words: each sentence where the tables bear it out, and only there."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dsi_cli.views.overview import Line
from dsi_cli.views.phases import Told, hints, phases_line, told

pytest_plugins = ("analysed",)

SAI = "sai excess ncsm,scsm"


def row(phase, first, last, slope=0.01, confidence=0.95, low=None, high=None, curve=SAI):
    ends = {"low": last if low is None else low, "high": last if high is None else high}
    return {"curve": curve, "phase": phase, "first_epoch": first, "last_epoch": last, "slope": slope} | {
        "confidence": confidence,
        "reason": None,
        **ends,
    }


def none(curve=SAI, reason="too short"):
    return {"curve": curve, "phase": None, "reason": reason}


def run_of(excess, z, accuracy=None, epochs=10):
    return [Line(epoch, excess=excess, z=z, accuracy=accuracy) for epoch in range(epochs)]


LEARNT = run_of(0.3, 25.0)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            [row("surge", 4, 20)],
            "still in the surge: alignment with WordNet has risen steeply since epoch 4, up to the last epoch",
        ),
        ([row("surge", 0, 3), row("stabilisation", 3, 30)], "alignment with WordNet has been flat since epoch 3"),
        (
            [row("surge", 0, 3), row("refinement", 3, 9, low=5, high=14), row("stabilisation", 9, 30)],
            "alignment with WordNet has been flat since epoch 9 (95 % interval 5 to 14)",
        ),
        (
            [row("surge", 0, 3), row("stabilisation", 3, 30, confidence=0.08)],
            "perhaps (confidence 0.08): alignment with WordNet has been flat since epoch 3",
        ),
        (
            [row("surge", 0, 3), row("refinement", 3, 30)],
            "alignment with WordNet has risen slowly since epoch 3, and is not flat yet",
        ),
        (
            [row("surge", 0, 3), row("refinement", 3, 30, slope=-0.01, confidence=0.8)],
            "alignment with WordNet has fallen slowly since epoch 3",
        ),
        (
            [row("drop", 0, 3, -0.1), row("growth", 3, 30)],
            "alignment with WordNet dropped at first and has grown slowly since epoch 3, as in appendix E of the paper",
        ),
    ],
)
def test_the_last_phase_in_a_sentence(rows, sentence):
    assert hints([*rows, none("wsi max")], LEARNT) == [sentence]


@pytest.mark.parametrize(
    ("values", "still"),
    [(np.linspace(0.6, 0.7, 31), ", and is not flat yet"), (0.7 - 0.1 * np.exp(-np.arange(31) / 5), "")],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_slow_phase_whose_end_is_flat_is_not_said_to_go_on(values, still, sign):
    lines = [Line(epoch, excess=sign * value, z=25.0) for epoch, value in enumerate(values)]
    (hint,) = hints([row("surge", 0, 3), row("refinement", 3, 30, slope=sign * 0.01)], lines)
    assert hint == f"alignment with WordNet has {'risen' if sign > 0 else 'fallen'} slowly since epoch 3{still}"


def test_nothing_is_said_without_evidence():
    assert hints([none(), row("surge", 0, 3, curve="wsi max")], LEARNT) == []
    assert hints([none()], []) == []
    assert hints([none()], run_of(0.01, 1.0, epochs=7)) == [], "too few epochs"
    assert hints([none()], run_of(0.3, 2.0)) == [], "chance is so wide that an alignment would not show"
    assert hints([none()], [*run_of(0.01, 1.0), Line(10, excess=0.04, z=3.1)]) == []


def test_a_run_that_never_left_chance():
    within = "alignment with WordNet was within chance at every epoch (z at most 1.0)"
    assert hints([none()], run_of(0.01, 1.0)) == [f"looks like a run that never learnt: {within}"]
    assert hints([none()], run_of(0.01, 1.0, accuracy=0.015), classes=100) == [
        f"looks like a run that never learnt: {within}"
    ]
    assert hints([none()], run_of(0.01, 1.0, accuracy=0.6), classes=100) == [f"{within}, though accuracy reached 0.600"]


def test_appendix_e_is_named_where_its_two_phases_are_there():
    dropped = [row("drop", 0, 3, -0.1, curve="wsi max"), row("growth", 3, 30, curve="wsi max")]
    what = "(appendix E of the paper): Max WSI dropped at first and has grown slowly since epoch 3"
    (said,) = hints([none(), *dropped], run_of(0.01, 1.0))
    assert said.startswith("looks like a run that never learnt: ")
    assert said.endswith(what)
    assert hints([none(), *dropped], [Line(0), Line(1)]) == [f"looks like a run that hardly learns {what}"]
    assert hints([none(), *dropped], LEARNT) == [], "an alignment well above chance is no run that hardly learns"


def test_the_line_of_phases():
    rows = [none(), row("surge", 0, 3, curve="wsi max"), row("refinement", 3, 9, low=8, high=12, curve="wsi max")]
    rows += [row("stabilisation", 9, 30, confidence=0.49, curve="wsi max"), row("surge", 0, 1, curve="wsi min")]
    assert phases_line(rows) == (
        "phases of Max WSI: surge to epoch 3 (confidence 0.95), refinement to epoch 9 (95 % interval 8 to 12, confidence 0.95), "
        "then perhaps stabilisation (confidence 0.49)"
    )
    assert phases_line([row("surge", 4, 20)]) == "phases of the alignment: surge from epoch 4 to 20 (confidence 0.95)"
    assert phases_line([none(), none("wsi max", "other")]) == "no phases in the alignment: too short"


def test_whole_runs_in_words(analysed):
    said = {run: told(analysed.out, run) for run in analysed.run.names}
    for run, end in (("cifar100-cnn", 1), ("cifar100-vit", 3)):
        surge = f"phases of the alignment: surge to epoch {end} (confidence 1.00), perhaps refinement to epoch "
        assert said[run].phases.startswith(surge)
        doubt = f"perhaps (confidence {said[run].rows[2]['confidence']:.2f}): "
        assert said[run].hints[0].startswith(f"{doubt}alignment with WordNet has been flat since epoch ")
    assert said["collapsed"].phases.startswith("no phases in the alignment: ")
    (hint,) = said["collapsed"].hints
    assert hint.startswith("looks like a run that never learnt: ")
    assert "ppendix" not in hint, "its curves do not drop first and grow then"
    assert said["garments"].phases.startswith("phases of Max WSI: surge to epoch 3 (95 % interval ")
    assert said["garments"].hints == []


def test_nothing_is_told_of_an_output_without_the_table(analysed, tmp_path):
    assert told(tmp_path, "run") == Told()
    assert told(analysed.out, "another") == Told()


def test_the_command_says_it_on_stdout_and_in_its_document(dsi, make_run, tmp_path):
    make_run(epochs=3)
    line = "  no phases in the alignment: 3 epochs have a value; at least 8 are needed\n"
    ended = dsi("analyze", tmp_path / "run", "-o", tmp_path / "out")
    assert line in ended.out
    document = json.loads(dsi("analyze", tmp_path / "run", "-o", tmp_path / "out", "--json").out)
    (run,) = document["runs"]
    assert [one["curve"] for one in run["phases"]] == [SAI, "wsi max", "wsi min"]
    assert run["phases"][0]["reason"] == "3 epochs have a value; at least 8 are needed"
    assert run["hints"] == []
