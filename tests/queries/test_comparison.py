"""Comparisons of runs: which take part, the same classes and epochs, equal accuracy,
repetitions, the verdict.
"""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers import oracles
from helpers.errors import raises
from helpers.outputs import ANIMALS, curve, stored, stored_reference, write_csm
from helpers.table_comparison import write_output, write_run, write_two
from scipy import stats

from dsi_cli.errors import UsageError
from dsi_cli.metrics.alignment import alignments
from dsi_cli.metrics.differences import (
    CsmPair,
    LabelledPredictions,
    accuracy_difference,
    alignment_difference,
    holm,
    idm_difference,
    max_wsi_difference,
)
from dsi_cli.metrics.wsi import max_wsi
from dsi_cli.queries.comparison.compare import (
    HIGHER,
    MEASURES,
    MIXED,
    NO_DIFFERENCE,
    PREFERRED,
    UNDECIDED,
    ComparisonOptions,
    compare,
    verdict,
)
from dsi_cli.queries.comparison.equal_accuracy import (
    EQUAL,
    LAST,
    CriterionRow,
    EqualAccuracyComparison,
    MatchedEpoch,
    common_level,
)
from dsi_cli.queries.comparison.network_pairs import compare_classes
from dsi_cli.queries.comparison.repetitions import group_runs
from dsi_cli.queries.comparison.runs import (
    ComparedRun,
    compared_runs,
    match_classes,
    match_epochs,
)
from dsi_cli.store.results import Results


@pytest.fixture(scope="module")
def two_networks(tmp_path_factory):
    return write_two(tmp_path_factory.mktemp("two"))


@pytest.fixture
def two(two_networks, tmp_path):
    """Return a results folder, to write to, of two networks, one of which learns
    faster.
    """
    return shutil.copytree(two_networks, tmp_path / "out")


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Return the results of two networks with three trainings each."""
    top = tmp_path_factory.mktemp("seeds")
    runs = [
        write_run(top / f"{name}_seed{i}", seed=10 * at + i)
        for at, name in enumerate("ab")
        for i in range(3)
    ]
    return write_output(top / "out", *runs)


def test_runs_of_several_outputs_take_part(two, tmp_path):
    other = write_output(tmp_path / "other", write_run(tmp_path / "third"))
    assert [one.label for one in compared_runs([two, other])] == [
        "fast",
        "slow",
        "third",
    ]
    assert [one.label for one in compared_runs([two, other], ["slow", "third"])] == [
        "slow",
        "third",
    ]


def test_the_same_name_in_two_outputs_is_told_apart(two, tmp_path):
    copy = tmp_path / "copy" / "out"
    shutil.copytree(two, copy)
    labels = [one.label for one in compared_runs([two, copy])]
    root = tmp_path.name
    assert labels == [
        f"{root}/out/fast",
        f"{root}/out/slow",
        "copy/out/fast",
        "copy/out/slow",
    ]
    moved = shutil.move(copy, tmp_path / "again")
    assert [one.label for one in compared_runs([two, moved])] == [
        "out/fast",
        "out/slow",
        "again/fast",
        "again/slow",
    ]
    chosen = [one.label for one in compared_runs([two, moved], ["again/fast", "slow"])]
    assert chosen == ["out/slow", "again/fast", "again/slow"]


def test_compared_runs_of_too_few_unknown_or_repeated_runs_raises(two, tmp_path):
    with raises("too-few-runs", runs=["slow"]) as caught:
        compared_runs([two], ["slow"])
    assert "add another --run" in str(caught.value)
    with raises("unknown-run", run="walk"):
        compared_runs([two], ["walk"])
    with raises("repeated-folder", path=two.resolve()):
        compared_runs([two, tmp_path / "fast" / ".." / "out"])
    with pytest.raises(UsageError, match="there is no results folder"):
        compared_runs([two, tmp_path / "none"])


def test_a_permuted_copy_is_the_same_network(tmp_path):
    order = [3, 1, 7, 0, 2, 6, 5, 4]
    out = write_output(
        tmp_path / "out",
        write_run(tmp_path / "a"),
        write_run(tmp_path / "b", order=order),
    )
    a, b = compared_runs([out])
    match = match_classes(a, b)
    assert (match.common, match.by) == (8, "WordNet id")
    assert ([order[place] for place in match.order], match_classes(a, a).by) == (
        list(range(8)),
        "label list",
    )
    found = compare([out])
    assert [point.value for point in found.between[0].points] == pytest.approx(
        [1.0] * 3
    )
    (equal,) = found.equal
    assert {row.excludes_zero for row in equal.rows} <= {False, None}
    for row in equal.rows:
        assert row.difference is None or row.difference == pytest.approx(0.0, abs=1e-6)
    assert (found.verdicts[0].answer, found.preferred) == (NO_DIFFERENCE, None)
    assert "no criterion tells a and b apart" in found.recommendation


def test_names_that_no_wordnet_has_are_matched_by_name(tmp_path):
    made_up = [f"qx{label}" for label in ANIMALS]
    order = [1, 0, 2, 3, 4, 5, 6, 7]
    runs = (
        write_run(tmp_path / "a", labels=made_up),
        write_run(tmp_path / "b", labels=made_up, order=order),
    )
    found = match_classes(*compared_runs([write_output(tmp_path / "out", *runs)]))
    assert (found.by, found.order.tolist()) == ("name", order)


def test_compare_runs_of_other_classes_has_the_reason(tmp_path):
    labels = ["cat", "dog", "apple", "pear", "car", "bus", "tree", "house"]
    out = write_output(
        tmp_path / "out",
        write_run(tmp_path / "a"),
        write_run(tmp_path / "b", labels=labels),
    )
    found = compare([out])
    reason = (
        "2 classes in common, of 8 and 8: networks are compared on the same classes"
    )
    assert (
        found.between[0].points,
        found.between[0].reason,
        found.between[0].common_classes,
    ) == ([], reason, 2)
    assert (found.equal[0].rows, found.equal[0].reason) == ([], reason)
    assert (repr(found), found.coverage) == (
        f"Comparison(a, b: a and b cannot be compared: {reason})",
        "",
    )


def test_epochs_are_matched_on_those_completed(two, monkeypatch):
    a, b = compared_runs([two])
    vars(a)["completed"], vars(b)["completed"] = {0: 1, 1: 2, 2: 3}, {0: 0, 1: 1, 2: 2}
    assert match_epochs(a, b) == ("epochs completed", [(1, 0, 1), (2, 1, 2)])
    vars(b)["completed"] = None
    assert match_epochs(a, b) == ("epoch", [(0, 0, 0), (1, 1, 1), (2, 2, 2)])


def test_sai_between_networks_is_that_of_their_stored_matrices(two):
    found = compare([two]).between[0]
    assert [point.at for point in found.points] == [0, 1, 2]
    for point in found.points:
        first, second = (stored(two, run, "ncsm", point.at) for run in ("fast", "slow"))
        assert point.value == pytest.approx(
            oracles.sai(first, second, "pearson"), abs=1e-9
        )
        entry = alignments(first, second, ["pearson"], draws=0)["pearson"]
        assert (point.null_mean, point.null_std, point.z, point.reason) == (
            entry.null_mean,
            entry.null_std,
            entry.z,
            None,
        )


def test_at_equal_accuracy_the_nearest_epochs_are_taken(two):
    (equal,) = compare([two]).equal
    assert (equal.basis, equal.level, equal.reason) == (EQUAL, 0.605, None)
    (first,), (second,) = equal.first_chosen, equal.second_chosen
    assert (first.epoch, first.accuracy, first.mistakes) == (1, 0.6, 160)
    assert (second.epoch, second.accuracy, second.mistakes) == (2, 0.605, 158)


def test_rows_are_the_differences_of_the_stored_matrices_and_predictions(two):
    rows = {row.quantity: row for row in compare([two]).equal[0].rows}
    reference, _ = stored_reference(two, "fast")
    a, b = (
        stored(two, run, "ncsm", epoch) for run, epoch in (("fast", 1), ("slow", 2))
    )
    frames = {
        (run, epoch): Results(two).predictions(epoch, run=run)
        for run, epoch in (("fast", 1), ("slow", 2), ("fast", 2))
    }
    first, second, last = (
        LabelledPredictions(one["target"], one["prediction"]) for one in frames.values()
    )
    expected = {
        **{
            f"sai_{name}": alignment_difference(
                CsmPair(a, reference), CsmPair(b, reference), name
            )
            for name in MEASURES
        },
        "widm": idm_difference((first, reference), (second, reference)),
        "nidm": idm_difference((first, a), (second, b)),
        "max_wsi": max_wsi_difference(a, b),
        "accuracy": accuracy_difference(last, second),
    }
    main = ["sai_pearson", "widm", "nidm", "max_wsi", "accuracy"]
    steps = dict(
        zip(main, holm([expected[name].p_value for name in main]), strict=True)
    )
    for name, found in expected.items():
        row = rows[name]
        level, p_value = (
            (0.95, found.p_value)
            if name not in main
            else (steps[name].level, steps[name].p_value)
        )
        assert (row.first, row.second, row.difference) == (
            found.first,
            found.second,
            found.value,
        ), name
        assert (row.low, row.high) == found.interval(level), name
        assert (row.level, row.p_value, row.is_main) == (
            level,
            p_value,
            name in main,
        ), name
        assert row.excludes_zero is (row.p_value < 0.05), name
    assert {name for name, row in rows.items() if row.covers == "test images"} == {
        "widm",
        "nidm",
        "accuracy",
    }
    assert [row.quantity for row in rows.values() if row.is_criterion] == [
        "sai_pearson",
        "widm",
        "nidm",
    ]


def test_mistakes_are_compared_from_counts_if_single_predictions_are_not_stored(two):
    kept = {row.quantity: row for row in compare([two]).equal[0].rows}
    shutil.rmtree(two / "predictions")
    found = {row.quantity: row for row in compare([two]).equal[0].rows}
    assert found["widm"].difference == pytest.approx(kept["widm"].difference)
    assert found["widm"].p_value is not None


def test_compare_corrected_alignments_equal_the_curves(two):
    rows = {row.quantity: row for row in compare([two]).equal[0].rows}
    curves = Results(two).curves
    for name, of in (
        ("sai_ccsm_scsm", "ccsm-test,scsm"),
        ("sai_own_ccsm", "ncsm,ccsm-test"),
    ):
        where = {"metric": "sai", "of": of, "variant": "pearson_corrected"}
        found = [
            curve(curves, run, **where)["value"].get(epoch)
            for run, epoch in (("fast", 1), ("slow", 2))
        ]
        if any(value is None or np.isnan(value) for value in found):
            assert "no reliability above 0" in rows[name].reason
        else:
            assert [rows[name].first, rows[name].second] == pytest.approx(found), name


@pytest.mark.parametrize(
    ("accuracies", "tolerance", "value", "epochs", "reason"),
    [
        (((0.2, 0.6, 0.9), (0.3, 0.6, 0.5)), 0.01, 0.6, (1, 1), None),
        (((0.2, 0.6, 0.6, 0.9), (0.3, 0.6, 0.6, 0.4)), 0.01, 0.6, (1, 1), None),
        (((0.7, 0.8, 0.9), (0.2, 0.3, 0.5)), 0.21, 0.5, (0, 2), None),
        (
            ((0.7, 0.8, 0.9), (0.2, 0.3, 0.5)),
            *(0.01, None, (2, 2)),
            (
                "no accuracy in common within 0.01: the accuracy of r0 nearest to 0.500"
                " is 0.700"
            ),
        ),
        (
            ((0.125, 0.8, 0.9), (0.125, 0.13, 0.125)),
            *(
                0.01,
                None,
                (2, 2),
                "r1 does no better than guessing: its best accuracy is 0.130",
            ),
        ),
    ],
)
def test_common_level_is_the_highest_that_all_reach_at_the_earliest_epochs(
    tmp_path, accuracies, tolerance, value, epochs, reason
):
    runs = [
        write_run(tmp_path / f"r{i}", one, seed=i) for i, one in enumerate(accuracies)
    ]
    found = common_level(
        compared_runs([write_output(tmp_path / "out", *runs)]), "test", tolerance
    )
    assert (found.value, found.epochs, found.reason) == (
        value,
        {"r0": epochs[0], "r1": epochs[1]},
        reason,
    )


def test_compare_without_predictions_uses_the_last_epochs(tmp_path):
    out = write_output(
        tmp_path / "out",
        write_run(tmp_path / "s2"),
        write_run(tmp_path / "s10", None, seed=1),
    )
    (equal,) = compare([out]).equal
    assert (
        [run.label for run in compare(out).runs]
        == [run.label for run in compared_runs([out])]
        == ["s2", "s10"]
    )
    assert (equal.basis, equal.level, equal.reason) == (
        LAST,
        None,
        "s10 has no accuracy on test",
    )
    rows = {row.quantity: row for row in equal.rows}
    assert rows["sai_cosine"].excludes_zero is not None
    assert rows["widm"].excludes_zero is None
    assert "no confusions of epoch 2 on test in run 's10'" in rows["widm"].reason


def test_group_runs_with_a_pattern_that_gives_no_groups_raises(two):
    runs = compared_runs([two])
    for code, pattern in (
        ("invalid-pattern", "("),
        ("no-captured-group", "fast"),
        ("no-match", "(zz)"),
    ):
        with raises(code, pattern=pattern):
            group_runs(runs, pattern)
    with raises("one-group", group="x"):
        group_runs(
            [replace(run, label=f"x_seed{index}") for index, run in enumerate(runs)],
            "seed",
        )
    named = [
        replace(runs[0], label=label)
        for label in ("cifar10", "cifar100", "vit-s1", "cnn/run2", "cnn-r1")
    ]
    assert [group.name for group in group_runs(named, "seed")] == [
        "cifar10",
        "cifar100",
        "vit",
        "cnn",
    ]


def test_groups_are_compared_by_their_means_and_ranges(seeds):
    found = compare([seeds], ComparisonOptions(group="seed"))
    (equal,) = found.equal
    assert (equal.first, equal.second, equal.basis, equal.level) == (
        "a",
        "b",
        EQUAL,
        0.8,
    )
    curves = Results(seeds).curves
    for name, where, column in (
        (
            "sai_pearson",
            {"metric": "sai", "of": "ncsm,scsm", "variant": "pearson"},
            "excess",
        ),
        ("max_wsi", {"metric": "wsi", "variant": "max"}, "value"),
        ("widm", {"metric": "idm", "of": "scsm", "variant": "errors"}, "value"),
    ):
        values = [
            [curve(curves, f"{g}_seed{i}", **where)[column][2] for i in range(3)]
            for g in "ab"
        ]
        row = next(row for row in equal.rows if row.quantity == name)
        assert [row.first, row.second] == pytest.approx(
            [np.mean(one) for one in values]
        )
        assert row.low < row.difference < row.high
        assert row.seed_deviation == pytest.approx(
            np.mean([np.var(one, ddof=1) for one in values]) ** 0.5
        )
        assert row.seed_range == pytest.approx(
            stats.t(4).ppf(0.975) * 2**0.5 * row.seed_deviation
        )
    assert (len(found.between), replace(found.runs[0], last_epoch=0).span) == (15, "0")
    bands = [band for band in found.curves if band.curve == "max_wsi"]
    assert [(band.group, band.x) for band in bands] == [
        ("a", [0, 1, 2]),
        ("b", [0, 1, 2]),
    ]
    for band in bands:
        values = np.array(
            [
                curve(curves, f"{band.group}_seed{i}", metric="wsi", variant="max")[
                    "value"
                ]
                for i in range(3)
            ]
        )
        assert (band.mean, band.low) == (
            pytest.approx(values.mean(axis=0)),
            values.min(axis=0).tolist(),
        )
        assert band.high == values.max(axis=0).tolist()
    # Networks are compared within and between groups.
    bands = {band.group: band for band in found.curves if band.curve == "networks"}
    assert {name: len(band.runs) for name, band in bands.items()} == {
        "within a": 3,
        "a – b": 9,
        "within b": 3,
    }
    of = [
        one
        for one in found.between
        if one.first.startswith("a") and one.second.startswith("b")
    ]
    values = np.array([[point.excess for point in one.points] for one in of])
    assert bands["a – b"].mean == pytest.approx(values.mean(axis=0))
    assert (bands["a – b"].low, bands["a – b"].high) == (
        values.min(axis=0).tolist(),
        values.max(axis=0).tolist(),
    )


def row_of(quantity, difference=0.0, half=0.1, is_criterion=True, **changed):
    low, high = difference - half, difference + half
    excludes = not low <= 0 <= high
    row = CriterionRow(
        *(quantity, quantity, is_criterion, True, "classes", 0.5, 0.5),
        *(
            difference,
            low,
            high,
            0.95,
            0.04 if excludes else 0.5,
            excludes,
            None,
            None,
            None,
        ),
    )
    return replace(row, **changed)


def equal_of(*rows, basis=EQUAL, trainings=1):
    chosen = [MatchedEpoch("x", 1, 1, 0.6, 9)] * trainings
    reason = None if basis == EQUAL else "why"
    return EqualAccuracyComparison(
        "a", "b", basis, "test", 0.6, 0.01, chosen, chosen, list(rows), reason
    )


AT = "trainings, at an accuracy of 0.600"
TWO, NONE = (
    f"In these two runs, {AT[11:]}",
    "no criterion tells a and b apart: the 95 % confidence intervals of",
)
MISSING = row_of("widm", low=None, high=None, excludes_zero=None, reason="no mistake")


@pytest.mark.parametrize(
    ("rows", "answer", "preferred"),
    [
        ([row_of("sai_pearson", 0.5), row_of("widm")], PREFERRED, "a"),
        ([row_of("sai_pearson", -0.5), row_of("widm", -0.5)], PREFERRED, "b"),
        ([row_of("sai_pearson"), row_of("widm", 0.5)], PREFERRED, "a"),
        ([row_of("sai_pearson", 0.5), row_of("widm", -0.5)], MIXED, None),
        (
            [
                row_of("sai_pearson"),
                row_of("sai_cosine", 0.5, is_criterion=False, is_main=False),
            ],
            NO_DIFFERENCE,
            None,
        ),
        (
            [row_of("sai_pearson"), row_of("max_wsi", 0.5, is_criterion=False)],
            NO_DIFFERENCE,
            None,
        ),
        (
            [row_of("sai_pearson"), row_of("accuracy", 0.5, is_criterion=False)],
            NO_DIFFERENCE,
            None,
        ),
        ([MISSING], UNDECIDED, None),
    ],
)
def test_verdict_prefers_a_network_only_over_several_trainings(rows, answer, preferred):
    found = verdict(equal_of(*rows, trainings=3))
    assert (found.answer, found.preferred, len(found.reasons)) == (
        answer,
        preferred,
        len(rows),
    )
    assert found.sentence.startswith(
        "Over 3 and 3 trainings, at an accuracy of 0.600, "
    )
    single = verdict(equal_of(*rows))
    assert (single.answer, single.preferred) == (
        HIGHER if answer == PREFERRED else answer,
        None,
    )
    assert single.sentence.startswith("In these two runs, ")
    assert single.title.startswith(
        f"{preferred} is higher" if preferred else ("no ", "each ")
    )
    assert answer not in (PREFERRED, MIXED) or single.sentence.endswith(
        "; another training may reverse it"
    )


@pytest.mark.parametrize(
    ("equal", "sentence"),
    [
        (
            equal_of(
                row_of("agreement", 0.5),
                row_of("widm", -0.5),
                row_of("max_wsi", 0.5, is_criterion=False),
            ),
            (
                f"{TWO}, agreement is higher in a, and widm is higher in b; max_wsi,"
                " which only describes a network, is higher in a; another training may"
                " reverse it"
            ),
        ),
        (
            equal_of(row_of("agreement", 0.02, 0.01)),
            f"{TWO}, agreement is higher in a; another training may reverse it",
        ),
        (
            equal_of(row_of("agreement", 0.5), basis=LAST),
            (
                "In these two runs, at the last epochs, agreement is higher in a; that"
                " may be due to their accuracy"
            ),
        ),
        (
            equal_of(
                row_of("agreement"),
                row_of("widm"),
                row_of("max_wsi", 0.5, is_criterion=False),
                trainings=2,
            ),
            (
                f"Over 2 and 2 {AT}, {NONE} agreement and widm include 0; max_wsi,"
                " which only describes a network, is higher in a"
            ),
        ),
        (equal_of(row_of("agreement")), f"{TWO}, {NONE} agreement include 0"),
        (
            equal_of(row_of("agreement"), row_of("accuracy", 0.5, is_criterion=False)),
            f"{TWO}, {NONE} agreement include 0",
        ),
    ],
)
def test_verdict_sentence_claims_no_more_than_the_intervals(equal, sentence):
    assert verdict(equal).sentence == sentence


def test_reasons_state_if_the_confidence_interval_excludes_0():
    found = verdict(
        equal_of(
            row_of("widm", 0.5),
            row_of("nidm", 0.05),
            replace(row_of("x"), difference=None, reason="no"),
        )
    )
    assert found.reasons == [
        (
            "widm: 0.500 against 0.500: higher in a; the 95 % confidence interval of"
            " the difference over classes, +0.400 to +0.600, excludes 0"
        ),
        (
            "nidm: 0.500 against 0.500: the 95 % confidence interval of the difference"
            " over classes, -0.050 to +0.150, includes 0"
        ),
        "x: not compared; no",
    ]


def test_coverage_excludes_the_seed_unless_all_are_repeated(two, seeds):
    found = compare([two])
    assert "but not of the seed." in found.coverage
    assert {(row.seed_deviation, row.seed_range) for row in found.equal[0].rows} == {
        (None, None)
    }, "there are no seeds"
    calls = []
    found = compare(
        [seeds], ComparisonOptions(group="seed"), lambda *call: calls.append(call)
    )
    assert "over seeds" in found.coverage
    assert calls == [
        ("at equal accuracy", 1, 1),
        *(("with each other", pair, 15) for pair in range(1, 16)),
    ]
    assert {row.covers for row in found.equal[0].rows} == {"seeds"}
    runs = ["a_seed0", "a_seed1", "a_seed2", "b_seed0", "b_seed1"]
    assert (
        "over seeds, so"
        in compare([seeds], ComparisonOptions(runs, "(a|b)_seed[01]")).coverage
    )
    assert compare([seeds], ComparisonOptions(runs[:4], "seed")).coverage == "", (
        "a single training gives no interval"
    )
    assert (
        "seed, unless they are over seeds."
        in compare([seeds, two], ComparisonOptions(group="seed")).coverage
    )


def test_classes_seen_differently_are_those_whose_ranks_correlate_least(two):
    csms = [
        stored(two, run, "ncsm", epoch) for run, epoch in (("fast", 1), ("slow", 2))
    ]
    off = ~np.eye(8, dtype=bool)
    ranks = [stats.rankdata(csm[off]).reshape(8, 7) for csm in csms]
    likeness = {
        name: np.corrcoef(ranks[0][k], ranks[1][k])[0, 1]
        for k, name in enumerate(ANIMALS)
    }
    (equal,) = compare([two]).equal
    assert [row.name for row in equal.classes] == sorted(likeness, key=likeness.get)
    assert [row.likeness for row in equal.classes] == pytest.approx(
        sorted(likeness.values())
    )
    reference, _ = stored_reference(two, "fast")
    for row in equal.classes:
        k = ANIMALS.index(row.name)
        agreement = np.corrcoef(csms[1][k][off[k]], np.asarray(reference)[k][off[k]])[
            0, 1
        ]
        assert row.second_agreement == pytest.approx(agreement)
        nearest = max(
            (j for j in range(8) if j != k), key=lambda j, row_of=csms[0][k]: row_of[j]
        )
        assert row.first_nearest[0] == ANIMALS[nearest]


def test_compare_notes_name_different_options(tmp_path):
    first = write_output(tmp_path / "one", write_run(tmp_path / "a"))
    second = write_output(
        tmp_path / "two",
        write_run(tmp_path / "b", seed=1),
        measures=("cosine",),
        quantiles=(0.9,),
    )
    notes = compare([first, second]).notes
    said = "different options of the analysis: "
    assert (
        f"{said}measures is cosine, ssim, mae, mse, pearson, spearman for a, cosine"
        " for b" in notes
    )
    assert f"{said}quantiles is 0.95 for a, 0.9 for b" in notes
    assert not any("samples" in note for note in notes)


@pytest.mark.parametrize(
    ("options", "code", "fields"),
    [
        (
            ComparisonOptions(tolerance=1.5),
            "tolerance-out-of-range",
            {"tolerance": 1.5},
        ),
        (ComparisonOptions(split="val"), "unknown-split", {"split": "val"}),
        (ComparisonOptions(measures=("ssim",)), "unknown-measure", {"measure": "ssim"}),
    ],
)
def test_compare_with_an_invalid_option_raises(two, options, code, fields):
    with raises(code, **fields):
        compare([two], options)


def test_networks_without_a_classifier_are_compared_by_their_templates(
    two, monkeypatch
):
    rng = np.random.default_rng(0)
    csms = {
        run: np.corrcoef(rng.normal(size=(8, 12))).astype(np.float32)
        for run in ("fast", "slow")
    }
    for run, csm in csms.items():
        for epoch in range(3):
            write_csm(two, csm, "tncsm", "test", epoch=epoch, run=run)
    monkeypatch.setattr(ComparedRun, "own", "tncsm-test")
    found = compare([two])
    assert found.between[0].of == "tncsm-test,tncsm-test"
    assert found.between[0].points[1].value == pytest.approx(
        oracles.sai(*csms.values(), "pearson"), abs=1e-9
    )
    assert {row.quantity: row for row in found.equal[0].rows}[
        "max_wsi"
    ].first == max_wsi(csms["fast"])
    assert [band.curve for band in found.curves if band.curve == "nidm"] == [], (
        "the curves table has none"
    )


CSM = np.array(
    [[1, 0.9, 0.1, 0.2], [0.9, 1, 0.3, 0.4], [0.1, 0.3, 1, 0.8], [0.2, 0.4, 0.8, 1]]
)


def network(csm, names="abcd"):
    """Return a network at an epoch with a matrix and without a reference."""
    classes = pd.DataFrame(
        {
            "run": "r",
            "class_index": range(4),
            "name": list(names),
            "wnid": None,
            "synset": None,
        }
    )

    def read(kind):
        if kind == "scsm":
            raise UsageError("no reference", code="unknown-reference")
        return csm

    results = SimpleNamespace(rows_of=lambda *_: classes)
    return SimpleNamespace(
        csm=read, order=np.arange(4), run=SimpleNamespace(results=results, name="r")
    )


def test_compare_classes_missing_class_is_no_neighbour():
    grown = CSM.copy()
    grown[3] = grown[:, 3] = np.nan
    pair = compare_classes([network(CSM)], [network(grown)])
    assert [entry.first_nearest for entry in pair.classes] == [
        ["b", "c"],
        ["a", "c"],
        ["b", "a"],
        [],
    ]
    assert [entry.likeness for entry in pair.classes] == [pytest.approx(1.0)] * 3 + [
        None
    ]
    assert np.isnan(pair.second[3]).all()
    assert pair.second[0, 1] == pytest.approx(100 * 5 / 6)
