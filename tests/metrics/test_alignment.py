"""SAI: the value, its ceiling, and what is null for which reason."""

from dataclasses import asdict
from itertools import product

import numpy as np
import pandas as pd
import pytest
from helpers import oracles
from helpers.errors import raises
from numpy.testing import assert_allclose

import dsi_cli.metrics as metrics
from dsi_cli.metrics import DEFAULT_MEASURES
from dsi_cli.metrics.alignment import Alignment, MatrixPair, alignments, sai
from dsi_cli.metrics.prepared_matrix import PreparedMatrix
from dsi_cli.metrics.split_half import reliability
from dsi_cli.metrics.wsi import mean_wsi
from dsi_cli.similarity import confusion_similarity

KINDS = ("symmetric", "asymmetric", "tied", "tied-symmetric")
ALL = metrics.MEASURES
NUMBERS = ("value", "null_mean", "null_std", "z", "excess", "ceiling", "p_value")
TOLERANCE = {"rtol": 1e-6, "atol": 1e-6}


def near_identical(
    alignments: dict[str, Alignment], expected: dict[str, Alignment], rtol: float = 1e-9
) -> None:
    for name, entry in expected.items():
        for field in NUMBERS:
            theirs, ours = getattr(entry, field), getattr(alignments[name], field)
            assert (ours is None) == (theirs is None), (name, field)
            if theirs is not None:
                assert_allclose(
                    ours, theirs, rtol=rtol, atol=1e-12, err_msg=f"{name} {field}"
                )


def test_measures_table_equals_that_of_the_oracles():
    assert (ALL, set(oracles.DISTANCES)) == (oracles.MEASURES, metrics.DISTANCES)
    assert set(metrics.DEFAULT_MEASURES) <= set(ALL)


@pytest.mark.parametrize("measure", oracles.VALUE_MEASURES)
@pytest.mark.parametrize("classes", [4, 13, 40])
@pytest.mark.parametrize("kind", KINDS)
def test_value_and_ceiling_equal_the_oracle(make_pair, kind, classes, measure):
    a, b = make_pair(kind, classes)
    found = alignments(a, b, [measure], draws=0)[measure]
    assert_allclose(found.value, oracles.sai(a, b, measure), **TOLERANCE)
    assert_allclose(found.ceiling, oracles.ceiling(a, b, measure), **TOLERANCE)
    assert (found.measure, found.classes_used) == (measure, classes)


@pytest.mark.parametrize("classes", [12, 13, 137, 138, 139, 140, 267])
@pytest.mark.parametrize("kind", ["symmetric", "asymmetric"])
def test_ssim_equals_scikit_image_in_display_order(make_pair, kind, classes):
    a, b = make_pair(kind, classes)
    order = np.random.default_rng(1).permutation(classes)
    assert_allclose(sai(a, b, "ssim"), oracles.sai(a, b, "ssim"), **TOLERANCE)
    shown = np.ix_(order, order)
    assert_allclose(
        sai(a, b, "ssim", order=order.tolist()),
        oracles.sai(a[shown], b[shown], "ssim"),
        **TOLERANCE,
    )


@pytest.mark.parametrize("kind", ["symmetric", "asymmetric", "tied"])
@pytest.mark.parametrize("classes", [6, 15])
def test_permuting_the_classes_of_both_changes_ssim_alone(make_pair, kind, classes):
    a, b = make_pair(kind, classes)
    order = np.random.default_rng(4).permutation(classes)
    shown = np.ix_(order, order)
    found, expected = (
        alignments(a[shown], b[shown], ALL, permutations=0),
        alignments(a, b, ALL, permutations=0),
    )
    ssim = expected.pop("ssim").value
    near_identical(found, expected)
    assert ssim is None or found["ssim"].value != pytest.approx(ssim, abs=1e-3)


@pytest.mark.parametrize("kind", ["symmetric", "asymmetric"])
def test_the_diagonal_plays_no_part(make_pair, kind):
    a, b = make_pair(kind, 14)
    other = a.copy()
    np.fill_diagonal(other, np.linspace(0, 3, 14))
    assert alignments(other, b, ALL) == alignments(a, b, ALL)
    scaled = PreparedMatrix(other).all_pairs.scaled
    square = scaled.layout.square(scaled.deviations + scaled.mean)
    assert_allclose(square, oracles.scaled_square(a), atol=1e-12)


@pytest.mark.parametrize("lacking_b", [[], [7], [5, 13]])
def test_lacking_classes_are_dropped_from_both(make_pair, lacking_b):
    a, b = make_pair("asymmetric", 16)
    kept = np.setdiff1d(np.arange(16), [2, 5, *lacking_b])
    order = np.random.default_rng(5).permutation(16)
    a_holed, b_holed = a.copy(), b.copy()
    a_holed[[2, 5]] = a_holed[:, [2, 5]] = np.nan
    b_holed[lacking_b] = b_holed[:, lacking_b] = np.nan
    order_of_kept = [int(np.flatnonzero(kept == k)[0]) for k in order if k in kept]
    shown = np.ix_(kept, kept)
    expected = alignments(a[shown], b[shown], ALL, order=order_of_kept, permutations=7)
    assert alignments(a_holed, b_holed, ALL, order=order, permutations=7) == expected
    assert expected["ssim"].value is not None
    assert expected["cosine"].classes_used == len(kept)


@pytest.mark.parametrize("classes", [0, 1, 2, 3])
def test_alignments_of_too_few_classes_have_the_reason(make_pair, classes):
    a, b = make_pair("asymmetric", 6)
    a[classes:] = a[:, classes:] = np.nan
    found = alignments(a, b, ALL, permutations=5)
    assert [entry.measure for entry in found.values()] == list(ALL)
    for entry in found.values():
        reason = f"{classes} classes in both matrices; an alignment needs 4 or more"
        assert entry == Alignment(entry.measure, classes_used=classes, reason=reason)


@pytest.mark.parametrize("other", ["a", "b", "both"])
@pytest.mark.parametrize("level", [0.0, 0.25, -0.1])
def test_a_constant_matrix_has_no_scale(make_pair, other, level):
    a, b = make_pair("asymmetric", 6)
    flat = np.where(np.eye(6) > 0, 1.0, level)
    a, b = (flat if other != "a" else a), (flat if other != "b" else b)
    for name, entry in alignments(a, b, ALL).items():
        reason = (
            "constant matrix: all off-diagonal values are the same, so there is no"
            " scale"
        )
        assert entry == Alignment(name, classes_used=6, reason=reason)
    assert sai(a, b) is None


def test_a_spread_within_rounding_is_constant():
    noise = np.random.default_rng(6).random((8, 8))
    flat = (0.7 + 1e-7 * noise).astype(np.float32)
    np.fill_diagonal(flat, 1.0)
    assert np.ptp(flat[~np.eye(8, dtype=bool)]) > 0
    assert sai(flat, noise) is sai(np.zeros((8, 8)), noise) is None
    for factor, spread in (
        (-1, 4.9e-7),
        (1, 4.9e-7),
        (1, 5.1e-7),
        (0.1, 5.1e-7),
        (-1, 5.1e-7),
    ):
        matrix = PreparedMatrix(
            factor * np.where(np.eye(8) > 0, 1.0, 0.7 + spread * (noise > 0.5))
        )
        assert matrix.is_constant == (spread < 5e-7)


def test_reasons_up_to_256_classes_and_above(make_pair):
    a, b = make_pair("asymmetric", 14)
    shipped = ("cosine", "ssim", "mae", "mse", "pearson", "spearman")
    shipped += ("kendall", "kendall_a")
    found = alignments(a, b, shipped)
    chance, deviation = (
        "the chance level of this measure needs",
        "the deviation of this measure's chance level needs",
    )
    extremes = "it depends on the extremes of the matrix"
    assert {name: entry.reason for name, entry in found.items()} == {
        "cosine": None,
        "ssim": (
            "ssim has no ceiling: it depends on the order of classes; an interval of"
            " ssim needs draws in Python"
        ),
        "mae": f"{deviation} --permutations; no interval for mae: {extremes}",
        "mse": f"no interval for mse: {extremes}",
        "pearson": None,
        "spearman": None,
        **{
            name: f"{chance} --permutations; no interval for {name}"
            for name in ("kendall", "kendall_a")
        },
    }
    lacking = {
        name: {field for field, value in asdict(entry).items() if value is None}
        for name, entry in found.items()
    }
    assert lacking == {
        "cosine": {"reason"},
        "ssim": {"ceiling", "low", "high"},
        "mae": {"null_std", "z", "p_value", "low", "high"},
        "mse": {"low", "high"},
        "pearson": {"reason"},
        "spearman": {"reason"},
        **{
            key: {"null_mean", "null_std", "z", "excess", "p_value", "low", "high"}
            for key in ("kendall", "kendall_a")
        },
    }
    a, b = make_pair("symmetric", 257)
    found = alignments(a, b, ["cosine", "ssim"])
    assert None not in (found["cosine"].low, found["cosine"].z)
    entry = found["ssim"]
    assert (entry.null_mean, entry.null_std, entry.z, entry.excess, entry.low) == (
        None,
    ) * 5
    assert entry.reason.endswith(
        "the chance level of this measure needs --permutations; an interval of ssim"
        " needs draws in Python"
    )
    assert alignments(a, b, ["ssim"], permutations=2)["ssim"].z is not None


@pytest.mark.parametrize(
    "shapes",
    [
        ((5, 5), (6, 6)),
        ((5, 4), (5, 4)),
        ((5,), (5,)),
        ((5, 5, 5), (5, 5, 5)),
        ((), ()),
    ],
)
def test_alignments_of_matrices_that_are_not_square_or_differ_in_size_raises(shapes):
    with raises("not-square", shapes=shapes):
        alignments(np.ones(shapes[0]), np.ones(shapes[1]))
    frame = pd.DataFrame(np.eye(4), list("abcd"), list("abcd"))
    for pair in [
        (frame, frame.iloc[::-1, ::-1]),
        (frame.iloc[:3, :3], frame.iloc[1:, 1:]),
        (frame, frame.iloc[::-1]),
    ]:
        with raises("class-order"):
            alignments(*pair)
    repeated = pd.DataFrame(np.eye(4), ["a", "b", "b", "c"], ["a", "b", "b (2)", "c"])
    alignments(repeated, pd.DataFrame(np.eye(4), list("abBc"), list("abBc")))
    # d is never predicted, and e has no sample
    cross_table = pd.crosstab(np.array(list("abcd")), np.array(list("abce")))
    for function, other in product(
        (mean_wsi, confusion_similarity, reliability), (frame.iloc[::-1], cross_table)
    ):
        with raises("class-order"):
            function(other)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("side", [0, 1])
def test_alignments_of_values_that_are_not_finite_raises(make_pair, bad, side):
    pair = make_pair("symmetric", 6)
    pair[side][1, 2] = bad
    with raises("csm-not-finite"):
        alignments(*pair)


@pytest.mark.parametrize(
    ("options", "code", "fields"),
    [
        ({"which": ["cosine", "rmse"]}, "unknown-measure", {"measure": "rmse"}),
        *(
            ({name: -1}, "negative-count", {name: -1})
            for name in ("permutations", "draws")
        ),
        *(
            ({"order": order}, "not-a-permutation", {"classes": 6})
            for order in ([0, 1, 2], [0, 1, 2, 3, 4, 4])
        ),
        *(
            ({"order": order}, "not-a-permutation", {"classes": 6})
            for order in ([1, 2, 3, 4, 5, 6], [[0, 1, 2, 3, 4, 5]])
        ),
    ],
)
def test_alignments_with_an_invalid_option_raises(make_pair, options, code, fields):
    with raises(code, **fields):
        alignments(*make_pair("symmetric", 6), **options)


@pytest.mark.parametrize("kind", ["symmetric", "asymmetric"])
def test_alignments_with_a_prepared_matrix_equal_those_with_a_fresh_one(
    make_pair, kind
):
    (a, b), (other, _) = make_pair(kind, 14), make_pair("asymmetric", 14)
    order = np.random.default_rng(0).permutation(14)
    prepared = PreparedMatrix(b)
    for first in (a, other, a):
        options = (DEFAULT_MEASURES, 5, 1, 0)
        with_prepared = MatrixPair(PreparedMatrix(first), prepared, order).alignments(
            *options
        )
        assert with_prepared == MatrixPair(
            PreparedMatrix(first), PreparedMatrix(b), order
        ).alignments(*options)
