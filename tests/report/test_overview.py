"""The text of the first screen agrees with the tables, and warnings name each cause
once.
"""

from dataclasses import replace

import numpy as np
import pytest

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.figures.curves import curve_rows
from dsi_cli.queries import quantities
from dsi_cli.queries.comparison.compare import compare
from dsi_cli.queries.findings import Point, headline
from dsi_cli.report import overview, page_data
from dsi_cli.store.results import Results
from dsi_cli.tracking.points import points_of_results


@pytest.fixture
def run(make_run, tmp_path):
    folder = make_run(
        labels=("cat", "dog", "qzx", "frog", "bird", "lion", "whale", "bee")
    )
    (folder / "epoch_9.pt").write_bytes(b"no checkpoint")
    predictions = np.tile(np.arange(40) % 8, (4, 1))
    predictions[:3, :3] = 5
    np.save(folder / "preds.npy", predictions)
    np.save(folder / "targets.npy", np.arange(40) % 8)
    analyze([folder], tmp_path / "out", Options(draws=0))
    return Results(tmp_path / "out")


def test_analysed_line_counts_runs_checkpoints_classes_and_samples(run, analysed):
    said = (
        "1 run · 4 checkpoints · epochs 0 to 3 · 8 classes, 1 class without a synset ·"
        " 40 test samples"
    )
    assert overview.analysed_line(run, overview.all_findings(run)) == said
    said = (
        "4 runs · 16 to 31 checkpoints · epochs 0 to 30 · 10 to 100 classes, all in"
        " WordNet · 10,000 test"
    )
    assert overview.analysed_line(
        analysed.run, overview.all_findings(analysed.run)
    ).startswith(said)


def test_tiles_have_the_values_of_the_quantities_at_every_epoch(analysed):
    tiles = overview.tiles(overview.all_findings(analysed.run))
    names = ("agreement", "max_wsi", "nidm", "widm")
    run = "cifar100-vit"
    for tile, name in zip(tiles, names, strict=True):
        curve = quantities.curve(analysed.run[run], name)
        index = analysed.run.names.index(run)
        (row,) = (row for row in tile["rows"] if row["run"] == index)
        text = quantities.quantity(name).text
        assert [(point["epoch"], point["value"]) for point in row["points"]] == [
            (epoch, text(value))
            for epoch, value in zip(curve["epoch"], curve["value"], strict=True)
        ]


def test_tile_has_the_verdict_the_interval_and_a_yardstick(analysed):
    tile = overview.tiles(overview.all_findings(analysed.run))[0]
    points = {analysed.run.names[row["run"]]: row["points"][-1] for row in tile["rows"]}
    vit = quantities.curve(analysed.run["cifar100-vit"], "agreement").iloc[-1]
    shown = points["cifar100-vit"]
    assert shown["verdict"] == "above chance"
    assert shown["interval"] == f"{vit['low']:.2f} to {vit['high']:.2f}"
    assert points["collapsed"]["verdict"] == "within chance"
    assert [text for _, text in tile["yardstick"]][-1] == "0.94 best possible"


def test_note_is_the_point_that_the_headline_names(analysed):
    found = overview.all_findings(analysed.run)
    note = overview.note(found)
    share, peak = note["text"][1].split(" of its peak, ")
    assert f"{note['label']} rose fastest, to {share} of its peak" in headline(found)
    curve = quantities.curve(analysed.run[note["label"]], "agreement")
    assert peak == f"{curve['value'].max():.2f}"


def test_tiles_without_labels_or_predictions_give_the_reason(make_results):
    results = Results(make_results(labels=None))
    tiles = overview.tiles(overview.all_findings(results))
    assert page_data.page_data(results).runs[0]["reference"] is None
    assert "8 classes without names" in overview.analysed_line(
        results, overview.all_findings(results)
    )
    assert [bool(tile["reason"]) for tile in tiles] == [True, False, True, True]
    assert (tiles[0]["reason"], tiles[2]["reason"][:24]) == (
        "The classes have no names.",
        "There are no predictions",
    )


def test_tiles_have_no_point_at_an_epoch_without_mistakes(run):
    (found,) = overview.all_findings(run)
    agreement, _, nidm, _ = overview.tiles([found])
    assert [point["epoch"] for point in nidm["rows"][0]["points"]] == [0, 1, 2]
    assert ": chance " in nidm["scale"]
    assert nidm["covers"].startswith("95 % CI over these mistakes, not classes")
    assert agreement["covers"].startswith("95 % CI over other classes like these")
    assert " to " in agreement["rows"][0]["points"][0]["interval"]
    # mistakes without ranks, as with two classes
    unranked = {key: trend for key, trend in found.trends.items() if key[0] != "nidm"}
    assert (
        overview.tiles([replace(found, trends=unranked)])[2]["reason"]
        == "dsi has no value; the warnings give the reason."
    )


def test_best_epochs_by_accuracy_and_loss_equal_the_curves_table(analysed):
    screen = overview.overview(analysed.run, overview.all_findings(analysed.run))
    heading, *rows = screen["best"]
    assert heading == ["run", "highest accuracy", "lowest loss"]
    curves = analysed.run.curves_of("cifar100-cnn")
    cells = dict(
        zip(heading, next(row for row in rows if row[0] == "cifar100-cnn"), strict=True)
    )
    accuracy = curves.query("metric == 'accuracy' and split == 'test'").set_index(
        "epoch"
    )["value"]
    loss = curves.query("metric == 'loss' and split == 'test'").set_index("epoch")[
        "value"
    ]
    assert (
        cells["highest accuracy"]
        == f"{100 * accuracy.max():.1f} % at epoch {accuracy.idxmax()}"
    )
    assert cells["lowest loss"] == f"{loss.min():.3f} at epoch {loss.idxmin()}"


def test_warnings_name_unused_checkpoints_and_labels(run):
    # nothing on the severity, which only the last epoch lacks
    found = overview.result_messages(run)
    assert [message.code for message in found] == [
        "checkpoints-failed",
        "labels-unresolved",
        "predictions-of-usable-epochs",
    ]
    assert found[0].text.startswith("epoch_9.pt cannot be used: ")
    assert found[1].text.startswith("dsi leaves 1 label out of the comparison")
    empty = run.curves.query("epoch == 3 and value.isna() and variant != 'ssim'")
    assert set(empty["reason"]) == {"no mistake"}, "one cause is one warning"


def test_missing_labels_are_one_warning_with_a_command(make_run, tmp_path):
    folder = make_run(labels=None)
    np.save(folder / "preds.npy", np.tile(np.arange(40) % 8, (4, 1)))
    np.save(folder / "targets.npy", np.arange(40) % 7)
    analyze([folder], tmp_path / "out", Options(draws=0))
    results = Results(tmp_path / "out")
    warning, left_out = overview.overview(results, overview.all_findings(results))[
        "warnings"
    ]
    assert left_out.text.startswith(
        "5 of 33 mistakes are predictions of classes without samples, "
    )
    assert (warning.code, warning.command) == ("no-labels", "dsi labels --presets")


def test_explanations_without_an_agreement_do_not_mention_it(make_run, tmp_path):
    # As with --measure spearman, which has phases but no agreement
    analyze([make_run(epochs=4)], tmp_path / "out", Options(draws=0))
    results = Results(tmp_path / "out")
    (found,) = overview.all_findings(results)
    early = replace(found, trends={}, t90=Point(1, 1.0, high=1.0))
    assert early.is_early
    page = overview.overview(results, [early])
    assert not [
        text for text in (*page["shown"], *page["not_shown"]) if "agreement" in text
    ]
    assert "A higher agreement" in str(overview.overview(results, [found])["not_shown"])


def test_results_with_one_other_measure_name_and_show_it_everywhere(make_run, tmp_path):
    runs = [make_run(name, epochs=2, seed=seed) for seed, name in enumerate("ab")]
    out = tmp_path / "out"
    analyze(runs, out, Options(draws=0, measures=("cosine",)))
    results = Results(out)
    findings = overview.all_findings(results)
    page = overview.overview(results, findings)
    assert page["measured"] == "excess_cosine"
    assert page["headline"].startswith("The Cosine SAI (excess) of ")
    assert page["tiles"][0]["scale"].startswith("Cosine SAI (excess): ")
    (pair,) = page["differences"]
    titles = {line["title"] for line in pair["lines"]}
    assert "Cosine SAI (excess)" in titles
    assert "Agreement" not in titles
    axes = curve_rows(results, "agreement", results.names)["axis"]
    assert set(axes) == {"Cosine SAI (excess): 0 chance, 1 same"}
    assert compare([out]).measures == ["cosine"]
    logged = points_of_results(results)[0].epochs[-1].values
    assert next(iter(logged)) == "dsi/excess_cosine"


def test_differences_are_paired_at_the_last_epochs_with_what_they_cover(analysed):
    names = ("cifar100-cnn", "cifar100-vit")
    found = [run for run in overview.all_findings(analysed.run) if run.run in names]
    (pair,) = overview.differences(analysed.run, found)
    assert pair["title"] == "cifar100-cnn less cifar100-vit, epoch 30"
    lines = {line["title"]: line for line in pair["lines"]}
    for name, factor in (
        ("agreement", 1),
        ("max_wsi", 1),
        ("nidm", 100),
        ("widm", 100),
    ):
        first, second = (
            quantities.curve(analysed.run[run], name)["value"].iloc[-1] for run in names
        )
        line = lines[quantities.quantity(name).title]
        texts = line["value"].removesuffix(" points"), *line["interval"].split(" to ")
        value, low, high = (float(text.replace("−", "-")) for text in texts)
        assert value == pytest.approx(factor * (first - second), abs=0.06)
        assert (low + high) / 2 == pytest.approx(
            value, abs=0.11 if factor > 1 else 2e-3
        )
        assert line["verdict"] == ("includes 0" if low <= 0 <= high else "excludes 0")
        kind = "classes" if factor == 1 else "test images"
        assert line["covers"] == f"over {kind}"
    # the difference of the agreement is more precise than the two agreements
    low, high = lines["Agreement"]["interval"].split(" to ")
    assert float(high) - float(low) < 0.1
    assert overview.differences(analysed.run, found * 2) == []


def test_differences_of_networks_with_other_classes_are_missing(analysed):
    found = overview.all_findings(analysed.run)
    other = [run for run in found if run.classes != 100][:1]
    first = [run for run in found if run.run == "cifar100-cnn"]
    assert other
    assert overview.differences(analysed.run, [*first, *other]) == []
