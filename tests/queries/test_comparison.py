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
from helpers.outputs import (
    ANIMALS,
    curve,
    heads,
    save_head,
    stored,
    stored_reference,
    write_csm,
)
from helpers.table_comparison import write_output, write_run, write_two
from scipy import stats

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.errors import UsageError
from dsi_cli.metrics import DEFAULT_MEASURES
from dsi_cli.metrics.alignment import alignments
from dsi_cli.metrics.differences import (
    CsmPair,
    LabelledPredictions,
    alignment_difference,
    difference_of_means,
    holm,
    idm_difference,
    max_wsi_difference,
    mean_accuracy,
)
from dsi_cli.metrics.wsi import max_wsi
from dsi_cli.queries.comparison.compare import (
    HIGHER,
    MEASURES,
    MIXED,
    NO_DIFFERENCE,
    PREFERRED,
    UNDECIDED,
    compare,
    verdict,
)
from dsi_cli.queries.comparison.equal_accuracy import (
    EQUAL,
    LAST,
    EqualAccuracy,
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
from dsi_cli.queries.records import records
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


def criteria_of(comparison):
    """Return the rows of the only pair by quantity."""
    (equal,) = comparison.equal
    return {row["quantity"]: row for row in records(equal.criteria)}


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
    assert [order[place] for place in match.order] == list(range(8))
    assert match_classes(a, a).by == "label list"
    found = compare([out])
    assert found.networks["value"].tolist() == pytest.approx([1.0] * 3)
    rows = found.equal[0].criteria
    assert not rows["excludes_zero"].fillna(value=False).any()
    assert rows["difference"].dropna().to_numpy() == pytest.approx(0.0, abs=1e-6)
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
    (row,) = records(found.networks)
    assert (row["reason"], row["common_classes"], row["at"]) == (reason, 2, None)
    (equal,) = found.equal
    assert (equal.criteria.empty, equal.reason) == (True, reason)
    assert repr(found) == f"Comparison(a, b: a and b cannot be compared: {reason}.)"
    assert found.coverage == ""
    assert {name for name, table in found.tables().items() if table.empty} == {
        "criteria",
        "classes",
        "reliability",
        "changes",
    }


def test_epochs_are_matched_on_those_completed(two, monkeypatch):
    a, b = compared_runs([two])
    vars(a)["completed"], vars(b)["completed"] = {0: 1, 1: 2, 2: 3}, {0: 0, 1: 1, 2: 2}
    assert match_epochs(a, b) == ("epochs completed", [(1, 0, 1), (2, 1, 2)])
    vars(b)["completed"] = None
    assert match_epochs(a, b) == ("epoch", [(0, 0, 0), (1, 1, 1), (2, 2, 2)])


def test_sai_between_networks_is_that_of_their_stored_matrices(two):
    found = compare([two])
    points = records(found.networks)
    assert [point["at"] for point in points] == [0, 1, 2]
    for point in points:
        first, second = (
            stored(two, run, "ncsm", point["at"]) for run in ("fast", "slow")
        )
        expected = oracles.sai(first, second, "pearson")
        assert point["value"] == pytest.approx(expected, abs=1e-9)
        entry = alignments(first, second, ["pearson"], draws=0)["pearson"]
        for name in ("null_mean", "null_std", "z"):
            assert point[name] == getattr(entry, name)
        assert point["reason"] is None
    assert records(found.networks_at(last_only=True)) == points[-1:]


def test_at_equal_accuracy_the_nearest_epochs_are_taken(two):
    (equal,) = compare([two]).equal
    assert (equal.basis, equal.level, equal.reason) == (EQUAL, 0.605, None)
    chosen = equal.chosen[["run", "epoch", "accuracy", "mistakes"]]
    assert chosen.to_numpy().tolist() == [
        ["fast", 1, 0.6, 160],
        ["slow", 2, 0.605, 158],
    ]


def test_rows_are_the_differences_of_the_stored_matrices_and_predictions(two):
    rows = criteria_of(compare([two]))
    reference, _ = stored_reference(two, "fast")
    at = {"fast": 1, "slow": 2}
    a, b = (stored(two, run, "ncsm", epoch) for run, epoch in at.items())

    def predictions(run, epoch):
        rows = Results(two).predictions(epoch, run=run)
        return LabelledPredictions(rows["target"], rows["prediction"])

    first, second = (predictions(run, epoch) for run, epoch in at.items())
    expected = {
        f"sai_{name}": alignment_difference(
            CsmPair(a, reference), CsmPair(b, reference), name
        )
        for name in MEASURES
    }
    expected |= {
        "widm": idm_difference((first, reference), (second, reference)),
        "nidm": idm_difference((first, a), (second, b)),
        "max_wsi": max_wsi_difference(a, b),
        "accuracy": difference_of_means(
            mean_accuracy(predictions("fast", 2)), mean_accuracy(second)
        ),
    }
    main = ["sai_pearson", "widm", "nidm", "max_wsi", "accuracy"]
    corrected = holm([expected[name].p_value for name in main])
    steps = dict(zip(main, corrected, strict=True))
    for name, found in expected.items():
        row, level, p_value = rows[name], 0.95, found.p_value
        if name in main:
            level, p_value = steps[name].level, steps[name].p_value
        values = [row[key] for key in ("first_value", "second_value", "difference")]
        assert values == [found.first, found.second, found.value], name
        assert (row["low"], row["high"]) == found.interval(level), name
        assert (row["level"], row["p_value"]) == (level, p_value), name
        assert row["is_main"] is (name in main), name
        assert row["excludes_zero"] is (p_value < 0.05), name
    over_images = {name for name, row in rows.items() if row["covers"] == "test images"}
    assert over_images == {"widm", "nidm", "accuracy"}
    criteria = [name for name, row in rows.items() if row["is_criterion"]]
    assert criteria == ["sai_pearson", "widm", "nidm"]


def test_mistakes_are_compared_from_counts_if_single_predictions_are_not_stored(two):
    kept = criteria_of(compare([two]))["widm"]
    shutil.rmtree(two / "predictions")
    found = criteria_of(compare([two]))["widm"]
    assert found["difference"] == pytest.approx(kept["difference"])
    assert found["p_value"] is not None


@pytest.mark.parametrize(
    ("name", "of"),
    [("sai_ccsm_scsm", "ccsm-test,scsm"), ("sai_own_ccsm", "ncsm,ccsm-test")],
)
def test_compare_corrected_alignments_equal_the_curves(two, name, of):
    row = criteria_of(compare([two]))[name]
    where = {"metric": "sai", "of": of, "variant": "pearson_corrected"}
    found = [
        curve(Results(two).curves, run, **where)["value"].get(epoch, np.nan)
        for run, epoch in (("fast", 1), ("slow", 2))
    ]
    if np.isnan(found).any():
        assert "no reliability above 0" in row["reason"]
    else:
        assert [row["first_value"], row["second_value"]] == pytest.approx(found)


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
    found = compare(out)
    (equal,) = found.equal
    assert found.runs["label"].tolist() == ["s2", "s10"]
    assert (equal.basis, equal.level) == (LAST, None)
    assert equal.reason == "s10 has no accuracy on test"
    rows = criteria_of(found)
    assert rows["sai_cosine"]["excludes_zero"] is not None
    assert rows["widm"]["excludes_zero"] is None
    assert "no confusions of epoch 2 on test in run 's10'" in rows["widm"]["reason"]


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
    found = compare([seeds], group="seed")
    (equal,) = found.equal
    assert (equal.first, equal.second, equal.basis) == ("a", "b", EQUAL)
    assert equal.level == 0.8
    curves, rows = Results(seeds).curves, criteria_of(found)
    agreement = {"metric": "sai", "of": "ncsm,scsm", "variant": "pearson"}
    of_widm = {"metric": "idm", "of": "scsm", "variant": "errors"}
    for name, where, column in (
        ("sai_pearson", agreement, "excess"),
        ("max_wsi", {"metric": "wsi", "variant": "max"}, "value"),
        ("widm", of_widm, "value"),
    ):
        values = np.array(
            [
                [curve(curves, f"{g}_seed{i}", **where)[column][2] for i in range(3)]
                for g in "ab"
            ]
        )
        row = rows[name]
        means = [row["first_value"], row["second_value"]]
        assert means == pytest.approx(values.mean(axis=1))
        assert row["low"] < row["difference"] < row["high"]
        deviation = values.var(axis=1, ddof=1).mean() ** 0.5
        assert row["seed_deviation"] == pytest.approx(deviation)
        reach = stats.t(4).ppf(0.975) * 2**0.5 * deviation
        assert row["seed_range"] == pytest.approx(reach)


def test_bands_are_the_means_and_the_ends_of_the_runs(seeds):
    tables = compare([seeds], group="seed").tables()
    curves = Results(seeds).curves
    for group in "ab":
        band = tables["curves"].query(f"curve == 'max_wsi' and group == '{group}'")
        where = {"metric": "wsi", "variant": "max"}
        values = np.array(
            [curve(curves, f"{group}_seed{i}", **where)["value"] for i in range(3)]
        )
        assert band["x"].tolist() == [0, 1, 2]
        assert band["mean"].to_numpy() == pytest.approx(values.mean(axis=0))
        assert band["low"].tolist() == values.min(axis=0).tolist()
        assert band["high"].tolist() == values.max(axis=0).tolist()
    # Networks are compared within and between groups.
    networks, bands = tables["networks"], tables["curves"].query("curve == 'networks'")
    assert bands.groupby("group")["runs"].first().to_dict() == {
        "within a": 3,
        "a – b": 9,
        "within b": 3,
    }
    is_between = networks["first"].str[0] != networks["second"].str[0]
    expected = networks[is_between].groupby("at")["excess"].agg(["mean", "min", "max"])
    found = bands[bands["group"] == "a – b"][["mean", "low", "high"]]
    assert found.to_numpy() == pytest.approx(expected.to_numpy())


def row_of(quantity, difference=0.0, half=0.1, is_criterion=True, **changed):
    low, high = difference - half, difference + half
    row = {
        "quantity": quantity,
        "title": quantity,
        "is_criterion": is_criterion,
        "is_main": True,
        "difference": difference,
        "low": low,
        "excludes_zero": not low <= 0 <= high,
    }
    return row | changed


def equal_of(*rows, basis=EQUAL, trainings=1):
    return EqualAccuracy(
        first="a",
        second="b",
        basis=basis,
        split="test",
        level=0.6,
        reason=None if basis == EQUAL else "why",
        trainings=(trainings, trainings),
        main_rows=list(rows),
        chosen_rows=[],
    )


AT = "trainings, at an accuracy of 0.600"
TWO, NONE = (
    f"In these two runs, {AT[11:]}",
    "no criterion tells a and b apart: the 95 % confidence intervals of",
)
MISSING = row_of("widm", low=None, excludes_zero=None)
DESCRIPTION = {"is_criterion": False}


@pytest.mark.parametrize(
    ("rows", "answer", "preferred"),
    [
        ([row_of("sai_pearson", 0.5), row_of("widm")], PREFERRED, "a"),
        ([row_of("sai_pearson", -0.5), row_of("widm", -0.5)], PREFERRED, "b"),
        ([row_of("sai_pearson"), row_of("widm", 0.5)], PREFERRED, "a"),
        ([row_of("sai_pearson", 0.5), row_of("widm", -0.5)], MIXED, None),
        (
            [row_of("sai_pearson"), row_of("max_wsi", 0.5, **DESCRIPTION)],
            NO_DIFFERENCE,
            None,
        ),
        (
            [row_of("sai_pearson"), row_of("accuracy", 0.5, **DESCRIPTION)],
            NO_DIFFERENCE,
            None,
        ),
        ([MISSING], UNDECIDED, None),
    ],
)
def test_verdict_prefers_a_network_only_over_several_trainings(rows, answer, preferred):
    found = verdict(equal_of(*rows, trainings=3))
    assert (found.answer, found.preferred) == (answer, preferred)
    assert found.sentence.startswith(
        "Over 3 and 3 trainings, at an accuracy of 0.600, "
    )
    single = verdict(equal_of(*rows))
    of_single = HIGHER if answer == PREFERRED else answer
    assert (single.answer, single.preferred) == (of_single, None)
    assert single.sentence.startswith("In these two runs, ")
    start = f"{preferred} is higher" if preferred else ("no ", "each ")
    assert single.title.startswith(start)
    if answer in (PREFERRED, MIXED):
        assert single.sentence.endswith(". Another training may reverse this.")


BOTH_HIGHER = (
    f"{TWO}, agreement is higher in a, and widm is higher in b. max_wsi, which only"
    " describes a network, is higher in a. Another training may reverse this"
)
AT_LAST = (
    "In these two runs, at the last epochs, agreement is higher in a. That may be due"
    " to their accuracy"
)
REPEATED = (
    f"Over 2 and 2 {AT}, {NONE} agreement and widm include 0. max_wsi, which only"
    " describes a network, is higher in a"
)
WSI = row_of("max_wsi", 0.5, **DESCRIPTION)


@pytest.mark.parametrize(
    ("equal", "sentence"),
    [
        (equal_of(row_of("agreement", 0.5), row_of("widm", -0.5), WSI), BOTH_HIGHER),
        (
            equal_of(row_of("agreement", 0.02, 0.01)),
            f"{TWO}, agreement is higher in a. Another training may reverse this",
        ),
        (equal_of(row_of("agreement", 0.5), basis=LAST), AT_LAST),
        (equal_of(row_of("agreement"), row_of("widm"), WSI, trainings=2), REPEATED),
        (equal_of(row_of("agreement")), f"{TWO}, {NONE} agreement include 0"),
        (
            equal_of(row_of("agreement"), row_of("accuracy", 0.5, **DESCRIPTION)),
            f"{TWO}, {NONE} agreement include 0",
        ),
    ],
)
def test_verdict_sentence_claims_no_more_than_the_intervals(equal, sentence):
    assert verdict(equal).sentence == f"{sentence}."


def test_coverage_excludes_the_seed_unless_all_are_repeated(two, seeds):
    found = compare([two])
    assert "but not other seeds." in found.coverage
    repeated = ["seed_deviation", "seed_range"]
    assert found.equal[0].criteria[repeated].isna().all(axis=None), "there are no seeds"
    found = compare([seeds], group="seed")
    assert "cover other seeds together with" in found.coverage
    covers = {"seeds, classes", "seeds, test images"}
    assert set(found.equal[0].criteria["covers"]) - {"seeds"} == covers
    runs = ["a_seed0", "a_seed1", "a_seed2", "b_seed0", "b_seed1"]
    assert (
        "cover other seeds"
        in compare([seeds], names=runs, group="(a|b)_seed[01]").coverage
    )
    single = compare([seeds], names=runs[:4], group="seed")
    assert single.coverage == "", "a single training gives no interval"
    both = compare([seeds, two], group="seed")
    assert "seeds, unless they are over seeds." in both.coverage


def test_pairs_of_runs_are_compared_with_each_other_only_when_they_are_asked_for(seeds):
    calls = []
    found = compare([seeds], group="seed", progress=lambda *call: calls.append(call))
    assert calls == [("at equal accuracy", 1, 1)]
    assert len(found.networks.groupby(["first", "second"])) == 15
    assert calls[1:] == [("with each other", epoch, 3) for epoch in (1, 2, 3)]


def test_runs_are_read_once_for_all_pairs(seeds, monkeypatch):
    reads = []
    csm = Results.csm

    def counted(self, kind, epoch=None, split=None, run=None):
        reads.append((kind, epoch, split, run))
        return csm(self, kind, epoch, split, run)

    monkeypatch.setattr(Results, "csm", counted)
    assert len(compare([seeds]).tables()["pairs"]) == 15
    assert len(set(reads)) == len(reads)


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
    assert equal.classes["name"].tolist() == sorted(likeness, key=likeness.get)
    assert equal.classes["likeness"].tolist() == pytest.approx(
        sorted(likeness.values())
    )
    reference = np.asarray(stored_reference(two, "fast")[0])
    for row in records(equal.classes):
        k = ANIMALS.index(row["name"])
        agreement = np.corrcoef(csms[1][k][off[k]], reference[k][off[k]])[0, 1]
        assert row["second_agreement"] == pytest.approx(agreement)
        similarity = np.where(off[k], csms[0][k], -np.inf)
        assert row["first_nearest"][0] == ANIMALS[int(np.argmax(similarity))]


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
    measures = ", ".join(DEFAULT_MEASURES)
    assert f"{said}measures is {measures} for a, cosine for b" in notes
    assert f"{said}quantiles is 0.95 for a, 0.9 for b" in notes
    assert not any("samples" in note for note in notes)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"tolerance": 1.5}, "tolerance-out-of-range"),
        ({"split": "val"}, "unknown-split"),
        ({"measures": ("ssim",)}, "unknown-measure"),
    ],
)
def test_compare_with_an_invalid_option_raises(two, options, code):
    with raises(code):
        compare([two], **options)


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
    assert found.networks["of"][0] == "tncsm-test,tncsm-test"
    expected = oracles.sai(*csms.values(), "pearson")
    assert found.networks["value"][1] == pytest.approx(expected, abs=1e-9)
    assert criteria_of(found)["max_wsi"]["first_value"] == max_wsi(csms["fast"])
    assert "nidm" not in set(found.curves["curve"]), "the curves table has none"


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
        csm=read,
        kept=lambda _what, make: make(),
        order=np.arange(4),
        run=SimpleNamespace(results=results, name="r"),
    )


def test_compare_classes_missing_class_is_no_neighbour():
    grown = CSM.copy()
    grown[3] = grown[:, 3] = np.nan
    pair = compare_classes([network(CSM)], [network(grown)])
    assert pair.classes["first_nearest"].tolist() == [
        ["b", "c"],
        ["a", "c"],
        ["b", "a"],
        [],
    ]
    likeness = pair.classes["likeness"].to_numpy()
    assert likeness == pytest.approx([1.0] * 3 + [np.nan], nan_ok=True)
    assert np.isnan(pair.second[3]).all()
    assert pair.second[0, 1] == pytest.approx(100 * 5 / 6)


@pytest.mark.parametrize("has_predictions", [True, False])
def test_networks_whose_epochs_count_differently_are_compared_as_in_the_table(
    tmp_path, has_predictions
):
    weights = heads(6)
    targets = np.arange(160) % len(ANIMALS)
    is_right = (
        np.random.default_rng(0).random((6, 160)) < np.linspace(0.3, 0.8, 6)[:, None]
    )
    predictions = np.where(is_right, targets, (targets + 1) % len(ANIMALS))
    # Lightning counts from 0; how an own loop counts is unknown.
    for epoch in range(5):
        path = tmp_path / "known" / f"epoch={epoch}-step={epoch + 1}.ckpt"
        lightning = {"global_step": epoch + 1, "pytorch-lightning_version": "2.0.0"}
        save_head(path, weights[epoch], epoch=epoch, **lightning)
    for epoch in range(1, 7):
        path = tmp_path / "unknown" / f"epoch_{epoch}.pt"
        save_head(path, weights[epoch - 1], epoch=epoch)
    for name, epochs in (("known", 5), ("unknown", 6)):
        (tmp_path / name / "classes.txt").write_text("\n".join(ANIMALS))
        if has_predictions:
            np.save(tmp_path / name / "preds.npy", predictions[:epochs])
            np.save(tmp_path / name / "targets.npy", targets)
    out = tmp_path / "out"
    analyze([tmp_path / "known", tmp_path / "unknown"], out, Options(draws=0))
    comparison = compare([out])
    chosen = dict(
        zip(*comparison.tables()["chosen"][["run", "epoch"]].T.values, strict=True)
    )
    (row,) = comparison.networks.to_dict("records")
    assert {"known": row["first_epoch"], "unknown": row["second_epoch"]} == chosen
    if has_predictions:
        assert row["matched_by"] == "accuracy"
        assert (row["first_epoch"], row["second_epoch"], row["at"]) == (4, 5, 5)
        assert row["value"] == pytest.approx(1)
    else:
        assert row["matched_by"] == "last epochs"
        assert (row["first_epoch"], row["second_epoch"]) == (4, 6)


def test_compare_of_label_lists_in_another_order_says_so_first(tmp_path, make_run, dsi):
    first, second = make_run("first"), make_run("second", labels=ANIMALS[::-1])
    out = tmp_path / "out"
    analyze([first, second], out, Options(draws=0))
    (found,) = compare([out]).facts
    assert (found.code, found.fields["by"]) == ("label-orders-differ", "WordNet id")
    assert set(found.fields["moved"]) == set(ANIMALS)
    line = dsi("compare", out).out.splitlines()[0]
    assert line.startswith("The label lists of first and second")


def test_compare_of_other_senses_leaves_the_classes_out_of_the_agreement(
    tmp_path, make_run
):
    first, second = make_run("first", epochs=1), make_run("second", epochs=1, seed=1)
    (tmp_path / "map.csv").write_text("name,synset\nbee,bee.n.02\n", encoding="utf-8")
    analyze([first], tmp_path / "a", Options(draws=0))
    mapped = Options(draws=0, mapping=str(tmp_path / "map.csv"))
    analyze([second], tmp_path / "b", mapped)
    comparison = compare([tmp_path / "a", tmp_path / "b"])
    (found,) = comparison.facts
    assert (found.code, found.fields["labels"]) == ("senses-differ", ["bee"])
    kept = [index for index, name in enumerate(ANIMALS) if name != "bee"]
    square = np.ix_(kept, kept)
    row = next(
        row
        for row in comparison.tables()["criteria"].to_dict("records")
        if row["quantity"] == "sai_pearson"
    )
    for name, value in (("a", row["first_value"]), ("b", row["second_value"])):
        results = Results(tmp_path / name)
        own, reference = (
            results.csm(kind).to_numpy()[square].astype(np.float64)
            for kind in ("ncsm", "scsm")
        )
        pairs = np.triu_indices(len(kept), 1)
        expected = np.corrcoef(own[pairs], reference[pairs])[0, 1]
        assert value == pytest.approx(expected, abs=1e-5)


def test_compare_of_the_same_labels_has_no_fact(tmp_path, make_run):
    out = tmp_path / "out"
    analyze([make_run("first"), make_run("second", seed=1)], out, Options(draws=0))
    assert compare([out]).facts == []
