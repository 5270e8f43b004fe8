"""Mistakes and confused pairs, against a slow loop over all samples, in fractions."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from helpers.errors import raises
from helpers.outputs import RUNS, curve, write_counts, write_csm, write_predictions

from dsi_cli.queries.mistakes import confused_pairs, worst_mistakes
from dsi_cli.queries.records import records
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


def assert_known(row, expected):
    rank, wordnet_similarity, wordnet_rank, farness = expected
    assert row["rank"] == rank
    assert row["wordnet_similarity"] == wordnet_similarity
    assert row["wordnet_rank"] == wordnet_rank
    assert row["farness"] == pytest.approx(farness, abs=1e-9)


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
    found = worst_mistakes(Results(out), order=order, most=1000)
    assert found["sample"].tolist() == [sample for _, _, sample in sorted(wrong)]
    for row in records(found):
        i, j = target[row["sample"]], prediction[row["sample"]]
        assert (row["truth_index"], row["prediction_index"]) == (i, j)
        assert (row["truth"], row["prediction"]) == (LABELS[i], LABELS[j])
        assert row["score"] == score[row["sample"]]
        assert_known(row, known[i, j])
        has_wordnet = "qwxzy" not in (row["truth"], row["prediction"])
        assert (row["wordnet_rank"] is not None) == has_wordnet
    described = ("own", "furthest", "wordnet_furthest", "found")
    assert [found.attrs[key] for key in described] == ["ncsm", 7, 6, len(wrong)]


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
    found = records(confused_pairs(Results(out), order=order, most=1000))
    assert [(row["truth_index"], row["prediction_index"]) for row in found] == expected
    for row, (i, j) in zip(found, expected, strict=True):
        assert (row["truth"], row["prediction"]) == (LABELS[i], LABELS[j])
        assert row["count"] == number[i, j]
        assert row["share"] == number[i, j] / target.count(i)
        assert_known(row, known[i, j])


@pytest.mark.parametrize("run", RUNS)
def test_the_ranks_of_all_mistakes_make_the_idm(analysed, run):
    found = worst_mistakes(analysed.run, run=run, most=10**6)
    errors = curve(
        analysed.run.curves, run, metric="idm", variant="errors", split="test"
    ).loc[found.attrs["epoch"]]
    for of, rank, last in (
        ("ncsm", "rank", found.attrs["furthest"]),
        ("scsm", "wordnet_rank", found.attrs["wordnet_furthest"]),
    ):
        value = errors[errors["of"] == of]["value"].item()
        assert 1 - found[rank].mean() / last == pytest.approx(value)


@pytest.mark.parametrize("make", [worst_mistakes, confused_pairs])
def test_mistakes_are_selected_by_epoch_class_and_number(made, make):
    out = made()
    target, prediction, score = answers()
    counts = np.zeros((8, 8), int)
    np.add.at(counts, (target, prediction), 1)
    for epoch in (0, 1):
        write_predictions(out, target, prediction, score=score, epoch=epoch)
        write_counts(out, counts, epoch=epoch)
    every = make(Results(out), most=1000)
    assert (every.attrs["run"], every.attrs["epoch"]) == ("run", 1), "the last epoch"
    few = make(Results(out), most=3)
    assert records(few) == records(every)[:3]
    assert few.attrs["found"] == len(every)
    for selected in ({"truth": "lion"}, {"truth": "lion", "prediction": "bee"}):
        part = make(Results(out), most=1000, **selected)
        is_part = np.all([every[key] == name for key, name in selected.items()], axis=0)
        assert records(part) == records(every[is_part])
        assert 0 < len(part) == part.attrs["found"] < len(every)


def test_mistakes_without_a_classifier_use_templates(made):
    out = made()
    write_predictions(out, [0, 0, 0], [1, 2, 3])
    layout.csm_path(out, "run", "ncsm", None, 0).unlink()
    layout.head_path(out, "run", 0).unlink()
    listing = worst_mistakes(Results(out))
    assert listing.attrs["own"] is None
    assert listing["rank"].isna().all()
    assert listing["wordnet_rank"].is_monotonic_decreasing
    templates = np.eye(8)
    templates[0, 1:] = templates[1:, 0] = [0.3, 0.1, 0.2, *[0.0] * 4]
    write_csm(out, templates, "tncsm", "test")
    listing = worst_mistakes(Results(out))
    assert (listing.attrs["own"], listing.attrs["furthest"]) == ("tncsm", 7)
    ranks = listing.set_index("prediction")["rank"].to_dict()
    assert ranks == {"dog": 1, "horse": 3, "frog": 2}
    write_predictions(out, [0], [1], split="train")
    of_train = worst_mistakes(Results(out), split="train")
    assert of_train.attrs["own"] is None, "templates of another split"


def test_mistakes_without_ranks_are_sorted_by_score(made):
    out = made(labels=None)
    layout.csm_path(out, "run", "ncsm", None, 0).unlink()
    layout.head_path(out, "run", 0).unlink()
    write_predictions(out, [0, 0, 0, 1], [1, 2, 3, 1], score=[0.5, None, 0.9, 1.0])
    missing = ["rank", "wordnet_similarity", "wordnet_rank", "farness"]
    for order in ("unreasonable", "reasonable"):
        listing = worst_mistakes(Results(out), order=order)
        assert listing["sample"].tolist() == [2, 0, 1]
        assert listing[missing].isna().all(axis=None)
        assert listing.attrs["furthest"] is listing.attrs["wordnet_furthest"] is None
    assert set(worst_mistakes(Results(out), truth="0")["truth"]) == {"0"}


def test_names_that_classes_share_have_their_index(made):
    out = made(labels=("crane", "dog", "crane", "frog", "bird", "lion", "whale", "bee"))
    write_predictions(out, [0, 2, 2, 1], [2, 0, 3, 0])
    both = worst_mistakes(Results(out), truth="crane")
    assert set(both["truth"]) == {"crane (class 0)", "crane (class 2)"}
    one = worst_mistakes(Results(out), truth="crane (class 2)", prediction="crane")
    assert one[["sample", "truth_index", "prediction_index"]].to_numpy().tolist() == [
        [1, 2, 0]
    ]


def test_mistakes_title_and_legend_describe_the_selection(made):
    out = made()
    write_predictions(out, [0, 0, 1], [1, 1, 0])
    write_counts(out, np.eye(8, k=1, dtype=int))
    listing = worst_mistakes(Results(out), most=1, truth="cat", prediction="dog")
    assert listing.attrs["title"] == (
        "run, epoch 0, test: 1 of 2 mistakes of cat predicted as dog"
    )
    assert listing.attrs["legend"] == (
        "furthest from the truth first; ranks from 1, the most similar to the truth,"
        " to 7 (WordNet: 6)"
    )
    listing = confused_pairs(Results(out), order="reasonable", truth="bee")
    assert listing.attrs["title"] == "run, epoch 0, test: no pairs of bee"
    assert listing.attrs["legend"].startswith(
        "most frequent first, then nearest to the truth first; ranks"
    )


def test_mistakes_of_a_run_without_predictions_raise(made):
    out = made()
    for function in (worst_mistakes, confused_pairs):
        with raises("no-predictions", run="run", split="test", other_split=None):
            function(Results(out))
    write_counts(out, np.eye(8, k=1, dtype=int), epoch=1)
    with raises("no-predictions", table="predictions"):
        worst_mistakes(Results(out))
    assert confused_pairs(Results(out)).attrs["found"] == 7
    with raises("no-confusions"):
        confused_pairs(Results(out), epoch=0)
    with raises(
        "no-predictions", table="confusions", split="train", other_split="test"
    ):
        confused_pairs(Results(out), split="train")


@pytest.mark.parametrize(
    ("options", "code", "fields"),
    [
        ({"truth": "cta"}, "unknown-class", {"name": "cta", "similar": "cat"}),
        ({"prediction": "doog"}, "unknown-class", {"name": "doog", "similar": "dog"}),
        ({"truth": "#########"}, "unknown-class", {"similar": ""}),
        ({"order": "worst"}, "unknown-order", {"order": "worst"}),
        ({"split": "val"}, "unknown-split", {"split": "val"}),
        ({"run": "walk"}, "unknown-run", {"run": "walk"}),
    ],
)
def test_mistakes_of_what_does_not_exist_raise(made, options, code, fields):
    out = made()
    write_predictions(out, [0], [1])
    write_counts(out, np.eye(8, k=1, dtype=int))
    for function in (worst_mistakes, confused_pairs):
        with raises(code, **fields):
            function(Results(out), **options)


@pytest.mark.parametrize(("split", "order"), [("test", "surest"), ("train", None)])
def test_the_surest_mistakes_are_those_of_a_slow_loop(make_results, split, order):
    out, epochs = make_results(7, LABELS), range(2, 7)
    expected = {}
    for epoch in range(7):
        # the same targets and a third of the predictions at all epochs
        target, prediction, _ = answers()
        other, _, score = answers(seed=epoch + 1)
        prediction[::3] = other[::3]
        write_predictions(
            out, target, prediction, score=score, epoch=epoch, split=split
        )
        for sample, pair in enumerate(zip(target, prediction, strict=True)):
            if epoch in epochs and pair[0] != pair[1]:
                expected.setdefault((sample, *pair), []).append(score[sample])

    def key(mistake):
        known = [score for score in expected[mistake] if score is not None]
        mean = sum(known) / len(known) if known else -1
        return -len(expected[mistake]), -mean, mistake[0]

    found = worst_mistakes(Results(out), split=split, order="surest", most=10**6)
    names = ["sample", "truth_index", "prediction_index"]
    listed = [tuple(row) for row in found[names].to_numpy().tolist()]
    assert sorted(listed) == sorted(expected)
    assert [key(mistake) for mistake in listed] == sorted(map(key, expected))
    assert found["epochs"].tolist() == [len(expected[one]) for one in listed]
    assert set(found["of_epochs"]) == {5}
    assert found.attrs["found"] == len(expected)
    assert found.attrs["title"].startswith(f"run, epochs 2 to 6, {split}: ")
    selected = {"split": split, "truth": "cat", "prediction": "dog"}
    pair = worst_mistakes(Results(out), **selected, order=order)
    is_pair = (found["truth"] == "cat") & (found["prediction"] == "dog")
    assert records(pair) == records(found[is_pair].head(10))


def test_the_surest_mistakes_are_the_default_of_a_pair_on_train_alone(made):
    out = made()
    for split in ("test", "train"):
        write_predictions(out, [0, 0], [1, 1], path=["a", None], split=split)
    pair = {"truth": "cat", "prediction": "dog"}
    (first, _) = records(worst_mistakes(Results(out), split="train", **pair))
    assert (first["epochs"], first["of_epochs"], first["path"]) == (1, 1, "a")
    for other in (
        pair,
        {"split": "train", "truth": "cat"},
        {"split": "train", "epoch": 0} | pair,
        {"split": "train", "order": "reasonable"} | pair,
    ):
        assert "epochs" not in worst_mistakes(Results(out), **other)
    with raises("options-conflict"):
        worst_mistakes(Results(out), epoch=0, order="surest")
