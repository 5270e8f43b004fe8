"""The findings equal the tables, and the headline states only what they support."""

from dataclasses import replace

import pytest
from helpers.outputs import ANIMALS

from dsi_cli.queries import quantities
from dsi_cli.queries.findings import (
    Point,
    RunFindings,
    Trend,
    findings,
    headline,
    run_findings,
)
from dsi_cli.queries.records import records


@pytest.fixture(scope="module")
def found(analysed):
    return {run: run_findings(analysed.out, run) for run in analysed.run.names}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("agreement", None),
        ("max_wsi", None),
        ("accuracy", "test"),
        ("nidm", "test"),
        ("widm", "test"),
    ],
)
def test_findings_equal_the_last_and_the_highest_rows_of_the_curves(
    analysed, name, split
):
    table = findings(analysed.run)
    assert table.attrs["headline"] == headline(
        [run_findings(analysed.out, run) for run in analysed.run.names]
    )
    for run in analysed.run.names:
        (row,) = records(table[(table["run"] == run) & (table["quantity"] == name)])
        curve = quantities.curve(analysed.run[run], name, split)
        last = records(curve)[-1]
        assert row["split"] == split
        for column in ("epoch", "value", "low", "high", "z", "p_value"):
            assert row[column] == last[column]
        above = curve[(curve["z"] >= 3) & ~(curve["low"] <= curve["chance"])]
        known = above if len(above) else curve
        assert row["peak"] == known["value"].max()
        assert row["peak_epoch"] == known["epoch"][known["value"].idxmax()]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("agreement", None),
        ("max_wsi", None),
        ("accuracy", "test"),
        ("loss", "test"),
        ("mistakes", "test"),
        ("nidm", "test"),
        ("widm", "test"),
    ],
)
def test_trends_equal_the_curves_of_the_quantities(analysed, found, name, split):
    for run in ("cifar100-cnn", "cifar100-vit"):
        curve = quantities.curve(analysed.run[run], name, "test")
        trend = found[run].trends[name, split]
        assert [point.epoch for point in trend.points] == curve["epoch"].tolist()
        assert [point.value for point in trend.points] == curve["value"].tolist()
        last = curve.iloc[-1]
        if trend.last.low is not None:
            assert (trend.last.low, trend.last.z) == (last["low"], last["z"])


def test_mistakes_are_the_wrong_share_of_the_samples(found):
    run = found["cifar100-vit"]
    wrong = run.trends["mistakes", "test"].last
    assert wrong.value == pytest.approx((1 - run.accuracy.last.value) * wrong.samples)


def test_phases_equal_the_phases_table(analysed, found):
    phases = analysed.run.phases.query(
        "run == 'cifar100-cnn' and curve == 'agreement ncsm,scsm'"
    ).set_index("phase")
    findings = found["cifar100-cnn"]
    assert [phase["phase"] for phase in findings.phases] == ["surge", "stabilisation"]
    assert findings.phases[1]["gain"] == phases["gain"]["stabilisation"]
    assert (findings.t90.value, findings.t90.high) == tuple(
        phases.loc["t90", ["last_epoch", "high"]]
    )
    assert found["collapsed"].phases == ()
    assert "within chance" in found["collapsed"].no_phases


def test_headline_of_real_runs(found):
    both = headline([found["cifar100-cnn"], found["cifar100-vit"]])
    assert (
        both == "Both networks learned WordNet-like structure early, by epochs 3 to 6:"
        " cifar100-cnn rose fastest, to 73 % of its peak agreement after epoch 1, at"
        " 18 % accuracy."
    )
    collapsed = headline([found["collapsed"]])
    assert collapsed.startswith(
        "collapsed shows no WordNet-like structure: the agreement is not reliably above"
        " chance (z at most"
    )
    mixed = headline([found["cifar100-cnn"], found["collapsed"]])
    assert mixed.startswith(
        "cifar100-cnn learned WordNet-like structure early: it had 73 %"
    )
    assert mixed.endswith("The agreement of collapsed stayed within chance.")


@pytest.mark.parametrize(
    ("labels", "options", "start"),
    [
        (
            None,
            {},
            "The classes have no names, so dsi cannot compare them with WordNet.",
        ),
        (
            ANIMALS,
            {"measures": ("cosine",)},
            "The Cosine SAI (excess) with WordNet is 0.06 at the last epoch (0 is",
        ),
        (
            ("one", "two", "three", "four", "five", "six", "seven", "eight"),
            {},
            "The agreement with WordNet is unknown (all off",
        ),
    ],
)
def test_headline_without_agreement_gives_the_reason(
    make_results, labels, options, start
):
    assert headline(
        [run_findings(make_results(labels=labels, **options), "run")]
    ).startswith(start)


def made(
    *values: float, z: float = 30.0, low_by: float = 0.05, trends=None, **fields
) -> RunFindings:
    """Return the findings of a run with an agreement of these values from epoch 0
    on, and further curves.
    """
    points = tuple(
        Point(epoch, value, value - low_by, value + low_by, 0.0, 0.01, z)
        for epoch, value in enumerate(values)
    )
    epochs = tuple(range(len(values)))
    curves = {("agreement", None): Trend(points)} | (trends or {})
    return replace(RunFindings("a", epochs, 100, "WordNet", curves), **fields)


def test_headline_states_no_early_structure_without_a_t90_in_the_first_half():
    late, early = (
        headline([made(0, 0.1, 0.2, 0.3, 0.4, t90=Point(0, t, t - 0.1, t + 0.1))])
        for t in (3.0, 1.0)
    )
    assert late.startswith(
        "a learned WordNet-like structure: its agreement is 0.40 at epoch 4"
    )
    assert early.startswith("a learned WordNet-like structure early: its agreement is")
    assert headline([made(0, 0.4, 0.02)]).endswith(
        " At the last epoch, the agreement of a is uncertain."
    )


@pytest.mark.parametrize(
    ("value", "low", "high", "size"),
    [
        (0.1, 0.001, 0.19, "weak"),
        (0.19, 0.15, 0.23, "weak"),
        (0.5, 0.03, 0.8, "uncertain"),
        (0.02, 0.01, 0.03, "weak"),
    ],
)
def test_headline_of_a_small_or_imprecise_agreement_states_it_plainly(
    value, low, high, size
):
    agreement = Trend(
        (
            Point(0, 0.0, -0.1, 0.1, 0.0, 0.01, 0.0),
            Point(1, value, low, high, 0.0, 0.01, 4.0),
        )
    )
    accuracy = Trend((Point(1, 0.1),))
    curves = {("agreement", None): agreement, ("accuracy", "test"): accuracy}
    network = made(0.0, 0.0, trends=curves)
    said = (
        f"above chance, but {size}: {value:.2f} at epoch 1 (0 is chance, 1 is the same,"
        f" 95 % CI {low:.2f} to {high:.2f})."
    )
    text = headline([network])
    assert text.startswith(
        f"The agreement of a with WordNet is {said} Its accuracy reached 10 %."
    )
    assert ("in another order" in text) == (high < 0.1), (
        "a tiny agreement may be due to the order of labels"
    )
    both = headline([made(0.0, 0.4, run="b"), network])
    assert both.startswith(
        "b learned WordNet-like structure: its agreement is 0.40 at epoch 1"
    )
    assert both.endswith(f"The agreement of a with WordNet is {said}")


def test_headline_needs_an_agreement_of_0_2_whose_interval_excludes_0_1():
    for value, low_by, is_clear in (
        (0.2, 0.1, True),
        (0.199, 0.05, False),
        (0.25, 0.16, False),
    ):
        assert (
            "learned WordNet-like structure"
            in headline([made(0.0, value, low_by=low_by)])
        ) == is_clear
    without_interval = Trend((Point(0, 0.2, z=9.0), Point(1, 0.3, z=9.0)))
    network = made(0.0, 0.0, trends={("agreement", None): without_interval})
    assert headline([network]).startswith("a learned WordNet-like structure")


def test_headline_of_several_weak_networks_gives_the_highest():
    weak = [made(0.0, value, run=name) for name, value in (("a", 0.12), ("b", 0.15))]
    text = headline(weak)
    assert text.startswith(
        "The agreement of a and b with WordNet is above chance, but weak: the highest"
        " is that of b, 0.15 at"
    )
    wide = made(0.0, 0.3, low_by=0.25, run="c")
    assert headline([*weak, wide]).startswith(
        "The agreement of 3 networks with WordNet is above chance, but weak or"
        " uncertain"
    )
    within = made(0.0, 0.1, z=0.0, run="d")
    assert headline([weak[0], within]).endswith(
        "The agreement of d stayed within chance."
    )


def test_headline_of_a_lost_agreement_gives_its_state_at_the_last_epoch():
    assert headline([made(0, 0.4, 0.1, low_by=0.06)]).endswith(
        " At the last epoch, the agreement of a is weak."
    )
    assert headline([made(0, 0.4, 0.3)]).count("At the last epoch") == 0


@pytest.mark.parametrize(("std", "reach"), [(0.2, "0.60"), (0.5, "1.00")])
def test_headline_of_few_classes_within_chance_gives_the_reach_of_chance(std, reach):
    agreement = Trend((Point(0, 0.1, -0.2, 0.4, 0.0, std, 0.5),))
    text = headline([made(0.1, classes=5, trends={("agreement", None): agreement})])
    assert text.endswith(
        "not reliably above chance (z at most 0.5). With 5 classes, chance alone can"
        f" reach {reach}."
    )


@pytest.mark.parametrize(
    ("std", "z", "asks"), [(0.01, 1.0, True), (0.01, 30.0, False), (0.2, 1.0, False)]
)
def test_headline_of_mistakes_that_never_follow_the_similarity_asks_for_the_order_of_predictions(
    std, z, asks
):
    nidm = Trend((Point(0, 0.51, 0.5, 0.52, 0.49, std, z),))
    curves = {("mistakes", "test"): nidm, ("nidm", "test"): nidm}
    text = headline([made(0.0, 0.4, trends=curves)])
    assert (
        "The mistakes of a do not follow the network's own similarity, so check" in text
    ) == asks


@pytest.mark.parametrize(
    ("accuracy", "asks"), [(None, True), (0.64, True), (0.01, False)]
)
def test_headline_of_a_trained_network_within_chance_asks_for_the_order_of_the_labels(
    accuracy, asks
):
    points = (Point(0, 0.0, -0.1, 0.1, 0.0, 0.02, 0.5),)
    curves = {("agreement", None): Trend(points)}
    if accuracy is not None:
        curves["accuracy", "test"] = Trend((Point(0, accuracy),))
    text = headline([made(0.0, trends=curves)])
    assert text.endswith("would give the same result, so check them.") == asks
    assert headline([made(0.02, low_by=0.01)]).endswith(
        "would give the same result, so check them."
    )


@pytest.mark.parametrize(
    ("p_value", "lucky", "others", "start"),
    [
        (0.002, 1, 0, "a "),
        (0.002, 1, 59, "None of the 60 "),
        (0.002, 60, 0, "All 60 "),
        (1e-9, 1, 59, "a "),
    ],
)
def test_headline_is_corrected_for_the_number_of_epochs_and_runs(
    p_value, lucky, others, start
):
    points = (
        Point(0, 0.4, 0.1, 0.7, 0.0, 0.1, 0.0, 0.5),
        Point(1, 0.4, 0.1, 0.7, 0.0, 0.1, 4.0, p_value),
    )
    assert headline(
        [made(0.0, trends={("agreement", None): Trend(points)})] * lucky
        + [made(0.0, z=0.0, run="b")] * others
    ).startswith(start)


def test_value_is_above_chance_only_if_z_and_interval_agree():
    point = Point(0, 0.4, 0.1, 0.7, 0.0, 0.1, 4.0)
    assert point.is_above_chance
    assert replace(point, low=None, high=None).is_above_chance
    assert not any(
        replace(point, **changed).is_above_chance
        for changed in ({"low": -0.1}, {"z": 2.9}, {"z": None})
    )


@pytest.mark.parametrize(
    ("z", "low", "verdict"),
    [
        (2.9, 0.1, "within chance"),
        (-2.9, None, "within chance"),
        (3.1, 0.1, "above chance"),
        (3.1, None, "above chance"),
        (3.1, -0.1, "uncertain"),
        (-3.1, None, "below chance"),
    ],
)
def test_verdict_by_z_and_interval_names_the_side_of_chance(z, low, verdict):
    assert Point(0, 0.2, low=low, chance=0.0, z=z).verdict == verdict
