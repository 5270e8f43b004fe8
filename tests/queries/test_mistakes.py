"""Mistakes and confused pairs, against a slow loop over all samples, in fractions."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from helpers.errors import raises
from helpers.outputs import RUNS, curve, write_counts, write_csm, write_predictions

from dsi_cli.errors import UsageError
from dsi_cli.queries.mistakes import MistakeQuery, confused_pairs, worst_mistakes
from dsi_cli.store import layout
from dsi_cli.store.results import Results

LABELS = ("cat", "dog", "horse", "frog", "qwxzy", "lion", "whale", "bee")
"""One of them is in no WordNet."""


@pytest.fixture
def made(make_results):
    """Return ``made(labels=LABELS)``: the results of a run of two epochs, without
    predictions.
    """
    return lambda labels=LABELS: make_results(2, labels)


def answers(samples=300, classes=8, seed=0):
    """Return random (target, prediction, score); scores have ties, and some are
    unknown.
    """
    rng = np.random.default_rng(seed)
    target, prediction = rng.integers(0, classes, (2, samples))
    score = [
        None if one == 0 else one / 4 for one in rng.integers(0, 5, samples).tolist()
    ]
    return target.tolist(), prediction.tolist(), score


def rank_of(matrix, i, j):
    """Return the rank of a class, and the last; None where the matrix lacks one of the
    two.
    """
    known = [k for k in range(len(matrix)) if matrix[k][k] == matrix[k][k]]
    if i not in known or j not in known:
        return None
    others = [k for k in known if k not in (i, j)]
    above = sum(matrix[i][k] > matrix[i][j] for k in others)
    ties = sum(matrix[i][k] == matrix[i][j] for k in others)
    return Fraction(1 + above) + Fraction(ties, 2), len(known) - 1


def farness_of(*ranks):
    known = [rank / last for rank, last in (pair for pair in ranks if pair is not None)]
    return sum(known, Fraction(0)) / len(known) if known else None


def looked_up(run, epoch, split="test", name=None):
    """Return what is known of each pair, by a slow loop."""
    own, wordnet = (
        run.csm(kind, epoch, run=name).to_numpy().tolist() for kind in ("ncsm", "scsm")
    )
    found = {}
    for i in range(len(own)):
        for j in range(len(own)):
            if i != j:
                a, b = rank_of(own, i, j), rank_of(wordnet, i, j)
                found[i, j] = (
                    a and float(a[0]),
                    b and wordnet[i][j],
                    b and float(b[0]),
                    farness_of(a, b),
                )
    return found


def known_of(row):
    return row.rank, row.wordnet_similarity, row.wordnet_rank


@pytest.mark.parametrize(("order", "sign"), [("unreasonable", -1), ("reasonable", 1)])
def test_samples_are_those_of_a_slow_loop(made, order, sign):
    out = made()
    target, prediction, score = answers()
    write_predictions(out, target, prediction, score=score, epoch=1)
    known = looked_up(Results(out), 1)
    wrong = [
        (sign * known[i, j][3], -(s if s is not None else -1), sample)
        for sample, (i, j, s) in enumerate(zip(target, prediction, score, strict=True))
        if i != j
    ]
    found = worst_mistakes(Results(out), MistakeQuery(order=order, most=1000))
    assert ([row.sample for row in found.rows], found.found) == (
        [sample for _, _, sample in sorted(wrong)],
        len(wrong),
    )
    for row in found.rows:
        i, j = target[row.sample], prediction[row.sample]
        assert (row.truth_index, row.prediction_index, row.score) == (
            i,
            j,
            score[row.sample],
        )
        assert (row.truth, row.prediction) == (LABELS[i], LABELS[j])
        assert (known_of(row), row.farness) == (
            known[i, j][:3],
            pytest.approx(known[i, j][3], abs=1e-9),
        )
        assert (row.wordnet_rank is None) == ("qwxzy" in (row.truth, row.prediction))
    assert (found.own, found.furthest, found.wordnet_furthest) == ("ncsm", 7, 6)


@pytest.mark.parametrize(("order", "sign"), [("unreasonable", -1), ("reasonable", 1)])
def test_pairs_are_those_of_a_slow_loop(made, order, sign):
    out = made()
    target, prediction, _ = answers()
    counts = np.zeros((8, 8), int)
    np.add.at(counts, (target, prediction), 1)
    write_counts(out, counts, epoch=1)
    known = looked_up(Results(out), 1)
    number = Counter((i, j) for i, j in zip(target, prediction, strict=True) if i != j)
    expected = sorted(
        number, key=lambda pair: (-number[pair], sign * known[pair][3], pair)
    )
    found = confused_pairs(Results(out), MistakeQuery(order=order, most=1000))
    assert [(row.truth_index, row.prediction_index) for row in found.rows] == expected
    assert [row.count for row in found.rows] == [number[pair] for pair in expected]
    for row in found.rows:
        assert row.share == row.count / target.count(row.truth_index)
        assert known_of(row) == known[row.truth_index, row.prediction_index][:3]
        assert (row.truth, row.prediction) == (
            LABELS[row.truth_index],
            LABELS[row.prediction_index],
        )


@pytest.mark.parametrize("run", RUNS)
def test_the_ranks_of_all_mistakes_make_the_idm(analysed, run):
    found = worst_mistakes(analysed.run, MistakeQuery(run=run, most=10**6))
    errors = curve(
        analysed.run.curves, run, metric="idm", variant="errors", split="test"
    ).loc[found.query.epoch]
    for of, rank, last in (
        ("ncsm", "rank", found.furthest),
        ("scsm", "wordnet_rank", found.wordnet_furthest),
    ):
        value = errors[errors["of"] == of]["value"].item()
        assert 1 - np.mean(
            [getattr(row, rank) for row in found.rows]
        ) / last == pytest.approx(value)


def test_mistakes_query_selects_epoch_classes_and_number(made):
    out = made()
    target, prediction, score = answers()
    counts = np.zeros((8, 8), int)
    np.add.at(counts, (target, prediction), 1)
    for epoch in (0, 1):
        write_predictions(out, target, prediction, score=score, epoch=epoch)
        write_counts(out, counts, epoch=epoch)
    for make in (worst_mistakes, confused_pairs):
        whole = make(Results(out), MistakeQuery(most=1000))
        assert whole.query == MistakeQuery("run", 1, most=1000), "the last epoch"
        few = make(Results(out), MistakeQuery(most=3))
        assert (few.rows, few.found) == (whole.rows[:3], whole.found)
        for truth, prediction_ in (("cat", None), (None, "dog"), ("lion", "bee")):
            part = make(
                Results(out),
                MistakeQuery(truth=truth, prediction=prediction_, most=1000),
            )
            assert part.rows == [
                row
                for row in whole.rows
                if row.truth == (truth or row.truth)
                and row.prediction == (prediction_ or row.prediction)
            ]
            assert part.found == len(part.rows) > 0
        assert (
            make(Results(out), MistakeQuery(epoch=0, most=5)).rows != whole.rows[:5]
        ), "ranks are those of the epoch"
        assert (
            make(Results(out), MistakeQuery(truth="cat", prediction="cat")).rows == []
        )


def test_mistakes_without_a_classifier_use_templates(made):
    out = made()
    write_predictions(out, [0, 0, 0], [1, 2, 3])
    layout.csm_path(out, "run", "ncsm", None, 0).unlink()
    layout.head_path(out, "run", 0).unlink()
    assert (listing := worst_mistakes(Results(out))).own is None
    assert {row.rank for row in listing.rows} == {None}
    assert listing.rows == sorted(
        listing.rows, key=lambda row: (-row.wordnet_rank, row.sample)
    )
    templates = np.eye(8)
    templates[0, 1:] = templates[1:, 0] = [0.3, 0.1, 0.2, *[0.0] * 4]
    write_csm(out, templates, "tncsm", "test")
    listing = worst_mistakes(Results(out))
    assert (listing.own, listing.furthest) == ("tncsm", 7)
    assert {row.prediction: row.rank for row in listing.rows} == {
        "dog": 1,
        "horse": 3,
        "frog": 2,
    }
    write_predictions(out, [0], [1], split="train")
    assert worst_mistakes(Results(out), MistakeQuery(split="train")).own is None, (
        "templates of another split"
    )


def test_mistakes_without_ranks_are_sorted_by_score(made):
    out = made(labels=None)
    layout.csm_path(out, "run", "ncsm", None, 0).unlink()
    layout.head_path(out, "run", 0).unlink()
    write_predictions(out, [0, 0, 0, 1], [1, 2, 3, 1], score=[0.5, None, 0.9, 1.0])
    for order in ("unreasonable", "reasonable"):
        listing = worst_mistakes(Results(out), MistakeQuery(order=order))
        assert [row.sample for row in listing.rows] == [2, 0, 1]
        assert {
            (row.rank, row.wordnet_similarity, row.wordnet_rank, row.farness)
            for row in listing.rows
        } == {(None,) * 4}
        assert (listing.own, listing.furthest, listing.wordnet_furthest) == (
            None,
            None,
            None,
        )
    assert [
        row.truth for row in worst_mistakes(Results(out), MistakeQuery(truth="0")).rows
    ] == ["0", "0", "0"]


def test_names_that_classes_share_have_their_index(made):
    out = made(labels=("crane", "dog", "crane", "frog", "bird", "lion", "whale", "bee"))
    write_predictions(out, [0, 2, 2, 1], [2, 0, 3, 0])
    assert {
        row.truth
        for row in worst_mistakes(Results(out), MistakeQuery(truth="crane")).rows
    } == {
        "crane (class 0)",
        "crane (class 2)",
    }
    (row,) = worst_mistakes(
        Results(out), MistakeQuery(truth="crane (class 2)", prediction="crane")
    ).rows
    assert (row.sample, row.truth_index, row.prediction_index) == (1, 2, 0)


def test_mistakes_title_and_legend_describe_the_query(made):
    out = made()
    write_predictions(out, [0, 0, 1], [1, 1, 0])
    write_counts(out, np.eye(8, k=1, dtype=int))
    listing = worst_mistakes(
        Results(out), MistakeQuery(most=1, truth="cat", prediction="dog")
    )
    assert (
        listing.title == "run, epoch 0, test: 1 of 2 mistakes of cat predicted as dog"
    )
    assert (
        listing.legend
        == "furthest from the truth first; ranks from 1, the most similar to the truth,"
        " to 7 (WordNet: 6)"
    )
    listing = confused_pairs(
        Results(out), MistakeQuery(order="reasonable", truth="bee")
    )
    assert listing.title == "run, epoch 0, test: no pairs of bee"
    assert listing.legend.startswith(
        "most frequent first, then nearest to the truth first; ranks"
    )


def test_mistakes_of_a_run_without_predictions_raise(made):
    out = made()
    for function in (worst_mistakes, confused_pairs):
        with raises("no-predictions", run="run", split="test", other_split=None):
            function(Results(out))
    write_counts(out, np.eye(8, k=1, dtype=int), epoch=1)
    with raises("no-predictions", table="predictions") as caught:
        worst_mistakes(Results(out))
    assert "add --pairs" in str(caught.value)
    assert confused_pairs(Results(out)).found == 7
    with pytest.raises(
        UsageError, match=r"^no confusions of epoch 0 on test in run 'run': there are 1"
    ):
        confused_pairs(Results(out), MistakeQuery(epoch=0))
    with raises(
        "no-predictions", table="confusions", split="train", other_split="test"
    ):
        confused_pairs(Results(out), MistakeQuery(split="train"))


@pytest.mark.parametrize(
    ("query", "code", "fields"),
    [
        (MistakeQuery(truth="cta"), "unknown-class", {"name": "cta", "similar": "cat"}),
        (
            MistakeQuery(prediction="doog"),
            "unknown-class",
            {"name": "doog", "similar": "dog"},
        ),
        (MistakeQuery(truth="#########"), "unknown-class", {"similar": ""}),
        (MistakeQuery(order="worst"), "unknown-order", {"order": "worst"}),
        (MistakeQuery(split="val"), "unknown-split", {"split": "val"}),
        (MistakeQuery(run="walk"), "unknown-run", {"run": "walk"}),
    ],
)
def test_mistakes_of_a_query_that_cannot_be_answered_raise(made, query, code, fields):
    out = made()
    write_predictions(out, [0], [1])
    write_counts(out, np.eye(8, k=1, dtype=int))
    for function in (worst_mistakes, confused_pairs):
        with raises(code, **fields):
            function(Results(out), query)
