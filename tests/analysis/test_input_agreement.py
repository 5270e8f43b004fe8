"""Inputs that contradict one another, through the whole analysis: they come first, and
nothing is concluded from what is distrusted.
"""

import json

import numpy as np
import pytest
from helpers.trained_heads import CLASSES, EPOCHS, trained, write

from dsi_cli import Evaluation, analyze
from dsi_cli.analysis.tables.input_agreement import distrusted, shift
from dsi_cli.queries.findings import headline, run_findings

TRAINING = trained()
SHUFFLED = np.random.default_rng(1).permutation(CLASSES)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a folder with the checkpoints of the training, and nothing else."""
    return write(tmp_path_factory.mktemp("trained") / "ckpts" / "run", TRAINING.heads)


@pytest.fixture
def given(tmp_path):
    """Return ``given(labels=, targets=, predictions=, order=)``, which writes a label
    file and predictions in these orders, and returns them as options of a command.
    """

    def write_inputs(labels=None, targets=None, predictions=None, epochs=EPOCHS):
        same = np.arange(CLASSES)
        labels, targets, predictions = (
            same if order is None else order for order in (labels, targets, predictions)
        )
        names = [TRAINING.names[index] for index in labels]
        (tmp_path / "labels.txt").write_text("\n".join(names))
        np.savez(
            tmp_path / "predictions.npz",
            predictions=predictions[np.stack(TRAINING.predictions)],
            targets=targets[TRAINING.targets],
            epochs=np.array(epochs),
        )
        files = (tmp_path / "labels.txt", tmp_path / "predictions.npz")
        return ["--labels", files[0], "--predictions", files[1]]

    return write_inputs


def contradictions(results, run="run"):
    facts = results.facts
    rows = facts[facts["fields"].str.contains('"distrusted"')]
    return rows["code"].tolist()


def analysed(dsi, run, out, *options):
    ended = dsi("analyze", run, "-o", out, "--json", "--no-report", *options)
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def first_fact(document):
    """Return the code of the first fact and what it distrusts; None without one."""
    assert next(iter(document)) == "facts"
    first = next(iter(document["facts"]), {"code": None, "fields": {}})
    return first["code"], first["fields"].get("distrusted")


@pytest.mark.parametrize(
    ("orders", "code", "inputs"),
    [
        ({"labels": SHUFFLED}, "labels-contradict-head", ["labels"]),
        (
            {"targets": SHUFFLED, "predictions": SHUFFLED},
            "predictions-contradict-head",
            ["predictions:test"],
        ),
        ({"targets": SHUFFLED}, "targets-in-another-order", ["predictions:test"]),
        ({"predictions": SHUFFLED}, "targets-in-another-order", ["predictions:test"]),
        (
            {"epochs": (0, *EPOCHS[:-1])},
            "predictions-of-other-heads",
            ["predictions:test"],
        ),
        ({}, None, None),
    ],
)
def test_analyze_of_inputs_in_another_order_says_so_first(
    run, given, dsi, tmp_path, orders, code, inputs
):
    out = tmp_path / "out"
    if "epochs" in orders:  # the epoch that the run lacks was left out
        options = given()
        stored = dict(np.load(options[-1]))
        stored["predictions"] = stored["predictions"][1:]
        stored["epochs"] = stored["epochs"][:-1]
        np.savez(options[-1], **stored)
    else:
        options = given(**orders)
    document = analysed(dsi, run, out, *options)
    found = first_fact(document)
    assert found == (code, inputs) or (code is None and found[1] is None)
    assert distrusted(out, "run") == frozenset(inputs or ())
    # a later call that finds nothing new says it again
    assert first_fact(analysed(dsi, run, out)) == found


def test_analyze_of_labels_in_another_order_names_the_order_that_fits(
    run, given, dsi, tmp_path
):
    reverse = np.arange(CLASSES)[::-1]
    document = analysed(dsi, run, tmp_path / "out", *given(labels=reverse))
    fields = document["facts"][0]["fields"]
    assert document["facts"][0]["code"] == "labels-in-another-order"
    assert fields["order"] == "reversed order"
    assert fields["better"] > 0.3 > fields["given"]
    assert fields["better_z"] > 6


def test_analyze_of_labels_in_another_order_names_the_file_that_fits(
    given, dsi, tmp_path
):
    folder = write(tmp_path / "run", TRAINING.heads)
    (folder / "classes.txt").write_text("\n".join(TRAINING.names))
    document = analysed(dsi, folder, tmp_path / "out", *given(labels=SHUFFLED))
    first = document["facts"][0]
    assert first["code"] == "labels-in-order-of-file"
    assert first["command"].endswith(f"--labels {folder / 'classes.txt'}")
    assert (
        first_fact(
            analysed(
                dsi,
                *first["command"].split()[2:3],
                tmp_path / "out",
                "--labels",
                folder / "classes.txt",
            )
        )[1]
        is None
    )


def test_analyze_of_predictions_by_the_names_of_shuffled_labels_distrusts_both(
    run, given, dsi, tmp_path
):
    labels, _ = given(labels=SHUFFLED)[1::2]
    rows = ["epoch,sample,target,prediction"]
    for epoch in EPOCHS[-2:]:
        predictions = TRAINING.predictions[epoch - 1]
        rows += [
            f"{epoch},{sample},{TRAINING.names[truth]},{TRAINING.names[prediction]}"
            for sample, (truth, prediction) in enumerate(
                zip(TRAINING.targets, predictions, strict=True)
            )
        ]
    (tmp_path / "predictions.csv").write_text("\n".join(rows))
    out = tmp_path / "out"
    options = ["--labels", labels, "--predictions", tmp_path / "predictions.csv"]
    code, inputs = first_fact(analysed(dsi, run, out, *options))
    assert code.startswith("labels-")
    assert inputs == ["labels", "predictions:test"]


def test_analyze_of_a_log_contradicts_labels_predictions_and_epochs(
    run, given, dsi, tmp_path
):
    rows = [f"{e},{a:.4f}" for e, a in zip(EPOCHS, TRAINING.accuracies, strict=True)]
    log = tmp_path / "log.csv"
    log.write_text("\n".join(["epoch,test_acc", *rows]))
    # the head learned, but the labels do not fit
    labels = given(labels=SHUFFLED)[:2]
    document = analysed(dsi, run, tmp_path / "a", *labels, "--log", log)
    assert first_fact(document) == ("labels-contradict-log", ["labels"])

    # the predictions are those of the epoch before
    options = given()
    stored = dict(np.load(options[-1]))
    np.savez(
        options[-1],
        predictions=stored["predictions"][:-1],
        targets=stored["targets"],
        epochs=stored["epochs"][1:],
    )
    document = analysed(dsi, run, tmp_path / "b", *options, "--log", log)
    expected = ("predictions-of-other-epochs", ["predictions:test"])
    assert first_fact(document) == expected
    assert document["facts"][0]["fields"]["example"] == 3
    assert document["facts"][0]["fields"]["example_meant"] == 2

    # the predictions are of something else
    log.write_text("\n".join(["epoch,test_acc", *(f"{e},0.9" for e in EPOCHS)]))
    document = analysed(dsi, run, tmp_path / "c", *given(), "--log", log)
    expected = ("predictions-contradict-log", ["predictions:test"])
    assert first_fact(document) == expected


def test_findings_draw_nothing_from_distrusted_inputs(run, given, tmp_path):
    labels, predictions = map(str, given(labels=SHUFFLED)[1::2])
    out = tmp_path / "out"
    evaluation = Evaluation(predictions=predictions)
    with pytest.warns(UserWarning, match="LABELS"):
        results = analyze(run, out, labels=labels, evaluation=evaluation, report=False)
    assert {"agreement", "widm"}.isdisjoint(results.findings()["quantity"])
    assert {"accuracy", "nidm"} <= {*results.findings()["quantity"]}
    found = run_findings(out, "run")
    assert (found.agreement, found.phases, found.no_phases) == (None, (), None)
    assert "labels" in headline([found])

    given(targets=SHUFFLED)
    right = tmp_path / "right.txt"
    right.write_text("\n".join(TRAINING.names))
    with pytest.warns(UserWarning, match="PREDICTIONS"):
        results = analyze(
            run, out, labels=str(right), evaluation=evaluation, report=False
        )
    quantities = {*results.findings()["quantity"]}
    assert "agreement" in quantities
    assert {"accuracy", "nidm", "widm", "mistakes"}.isdisjoint(quantities)


def test_report_and_screen_begin_with_contradictions(run, given, dsi, tmp_path):
    out = tmp_path / "out"
    ended = dsi("analyze", run, "-o", out, *given(labels=SHUFFLED))
    assert ended.err.startswith("error: ")
    assert f"dsi analyze {run} -o {out} --labels LABELS" in ended.err.splitlines()[2]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert 0 < page.index('id="contradictions"') < page.index('id="overview-title"')
    quiet = dsi("analyze", run, "-o", out, "--quiet")
    assert quiet.err.startswith("error: ")


def test_shift_needs_epochs_whose_accuracy_differs():
    flat = np.full(8, 0.4)
    assert shift(flat, flat) is None
    assert shift(flat + 0.2, flat) is None


def test_compare_draws_no_verdict_from_inputs_that_contradict_one_another(
    run, given, dsi, tmp_path
):
    (tmp_path / "right.txt").write_text("\n".join(TRAINING.names))
    analysed(dsi, run, tmp_path / "right", "--labels", tmp_path / "right.txt")
    analysed(dsi, run, tmp_path / "wrong", *given(labels=SHUFFLED))
    ended = dsi("compare", tmp_path / "right", tmp_path / "wrong", "--json")
    document = json.loads(ended.out)
    assert document["preferred"] is None
    assert "contradict one another" in document["recommendation"]
    assert "--labels LABELS" in document["notes"][0]
