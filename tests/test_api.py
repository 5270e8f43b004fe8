"""The functions that a notebook calls."""

import inspect
import re

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import oracles
from helpers.errors import raises
from helpers.outputs import RUNS
from numpy.testing import assert_allclose, assert_array_equal

import dsi_cli
from dsi_cli.errors import CheckpointError, UsageError


@pytest.fixture(scope="module")
def run(analysed):
    return dsi_cli.open_results(analysed.out)


def test_all_names_are_there_and_nothing_else():
    for name in dsi_cli.__all__:
        assert callable(getattr(dsi_cli, name)) or name == "__version__", name
    assert set(dir(dsi_cli)) == {*dsi_cli.__all__, "__version__"}
    with pytest.raises(
        AttributeError, match=r"^module 'dsi_cli' has no attribute 'analyse'$"
    ):
        _ = dsi_cli.analyse


def test_a_run_says_what_it_holds(run, analysed):
    assert run.names == list(RUNS)
    assert run.epochs("collapsed") == list(range(16))
    inner = ", ".join(f"{name} ({len(run.epochs(name))} epochs)" for name in RUNS)
    assert repr(run) == f"Results({str(analysed.out)!r}: {inner})"


def test_tables_are_frames_with_whole_numbers_whole(run):
    for frame, columns in (
        (
            run.curves,
            ("epoch", "epochs_completed", "step", "classes_used", "samples_used"),
        ),
        (
            run.checkpoints,
            (
                "epoch",
                "epochs_completed",
                "step",
                "bytes",
                "classes",
                "features",
                "modified_ns",
            ),
        ),
        (run.classes, ("class_index", "display_order")),
    ):
        assert {str(frame[column].dtype) for column in columns} == {"Int64"}
    assert (len(run.checkpoints), len(run.classes)) == (94, 310)
    assert run.curves["value"].dtype == np.float64
    assert run.checkpoints["step"].isna().all()
    for name, classes in run.classes.groupby("run"):
        count = 10 if name == "garments" else 100
        assert (
            sorted(classes["class_index"])
            == sorted(classes["display_order"])
            == list(range(count))
        )


@pytest.mark.parametrize("name", RUNS)
def test_a_csm_is_square_labelled_and_exact(name, run, four_runs):
    labels = (four_runs / name / "classes.txt").read_text(encoding="utf-8").splitlines()
    for kind in ("ncsm", "scsm"):
        csm = run.csm(kind, run=name)
        assert list(csm.index) == list(csm.columns) == labels
        values = csm.to_numpy()
        assert values.dtype == np.float32
        assert_array_equal(values, values.T)
        assert_array_equal(np.diagonal(values), 1)
    last = run.epochs(name)[-1]
    assert_array_equal(run.csm(run=name), run.csm("ncsm", epoch=last, run=name))
    assert not np.array_equal(run.csm(run=name), run.csm(run=name, epoch=0))


def test_sorted_is_by_falling_similarity_the_class_itself_first(run):
    name = "garments"
    for kind in ("ncsm", "scsm"):
        found, csm = run.sorted(kind, run=name), run.csm(kind, run=name).to_numpy()
        assert list(found.index) == list(run.csm(run=name).index)
        assert found.columns.name == "rank"
        assert_array_equal(found[0], range(10))
        for i, row in enumerate(found.to_numpy()):
            assert list(row[1:]) == sorted(
                set(range(10)) - {i}, key=lambda j, i=i: (-csm[i, j], j)
            )


def test_read_head_of_a_file(four_runs, tmp_path):
    path = four_runs / "cifar100-vit" / "epoch_030.pt"
    expected = (
        torch.load(path, map_location="cpu", weights_only=True)["state_dict"][
            "head.weight"
        ]
        .float()
        .numpy()
    )
    for found in (
        dsi_cli.read_head(path),
        dsi_cli.read_head(str(path), head="head.weight"),
    ):
        assert_array_equal(found, expected, strict=True)  # of the same dtype, too


def test_read_head_says_what_is_wrong(make_run, tmp_path):
    run = make_run(epochs=3)
    (tmp_path / "empty").mkdir()
    for path, message in (
        (run, f"{run} holds 3 checkpoints; give read_head one of them"),
        (
            tmp_path / "empty",
            f"{tmp_path}/empty holds 0 checkpoints; give read_head one of them",
        ),
        (
            run / "epoch_7.pt",
            f"no such file or folder: {run}/epoch_7.pt; try {run}/epoch_2.pt",
        ),
    ):
        with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
            dsi_cli.read_head(path)
    path = run / "epoch_0.pt"
    message = (
        f"{path}: no tensor is named fc2.weight; the best candidates are fc.weight"
        " (8, 8)"
    )
    with pytest.raises(CheckpointError, match=f"^{re.escape(message)}$"):
        dsi_cli.read_head(path, head="fc2.weight")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("checkpoints", value) for value in (None, 5, [None], torch.nn.Linear(1, 2))),
        *(("epochs", value) for value in (5, np.int64(5), [0, 5])),
        *(
            ("permutations", 1.5),
            ("draws", "10"),
            ("quantiles", ["a"]),
            ("references", [np.eye(3)]),
            ("ema", "yes"),
        ),
        *(
            ("evaluation", "preds.csv"),
            ("predictions", np.zeros(3)),
            ("test", [1]),
            ("model", torch.nn.Linear(1, 2)),
        ),
    ],
)
def test_a_value_of_another_type_is_an_error_that_names_the_argument(
    option, value, tmp_path
):
    with raises("wrong-type", UsageError, field=option):
        if option in inspect.signature(dsi_cli.analyze).parameters:
            dsi_cli.analyze(
                **{"checkpoints": tmp_path, "out": tmp_path / "out", option: value}
            )
        dsi_cli.Evaluation(**{option: value})
    with raises("labels-list", count=2):
        dsi_cli.analyze(tmp_path, labels=["cat", "dog"], out=tmp_path / "out")


def test_paths_numbers_of_numpy_and_texts_of_the_command_line_are_converted(
    make_run, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    run, matrix = make_run(), tmp_path / "own.npy"
    np.save(matrix, np.eye(8))
    options = {
        "references": [matrix],
        "quantiles": np.float32(0.5),
        "draws": np.int64(0),
        "memory": "1GB",
        "log_to": None,
    }
    found = dsi_cli.analyze(f"~/{run.relative_to(tmp_path)}", "~/out", **options)
    assert (found.path, dsi_cli.open_results("~/out").names) == (
        tmp_path / "out",
        [run.name],
    )
    difference = dsi_cli.diff("~/out", run=None, epoch=(np.int64(0), "3"))
    assert difference.headline == dsi_cli.diff("~/out", epoch=[0, 3]).headline
    table = found.difference(epoch=[0, 3])
    assert table.attrs["headline"] == difference.headline
    assert table["name"].tolist() == difference.moved["name"].tolist()
    assert dsi_cli.diff(found.path, found.path, epoch=np.int64(1)).headline.startswith(
        "The two heads are the same"
    )
    evaluation = dsi_cli.Evaluation(
        predictions=matrix,
        model_arguments={"depth": 4},
        model="m",
        train="t",
        mean=np.ones(3),
    )
    assert (evaluation.predictions, evaluation.model_arguments) == (
        str(matrix),
        (("depth", 4),),
    )
    assert evaluation.mean == (1.0, 1.0, 1.0)


def test_wordnet_csm_of_a_list():
    found = dsi_cli.wordnet_csm(["dog", "cat.n.01", "n02958343", "qzx"])
    assert (
        list(found.index)
        == list(found.columns)
        == ["dog", "cat.n.01", "n02958343", "qzx"]
    )
    assert (found.index.name, found.dtypes.unique()) == ("class", [np.float64])
    assert found.loc["dog", "cat.n.01"] == 0.2
    assert found.loc["qzx"].isna().all()
    assert_array_equal(np.diagonal(found)[:3], 1)
    pd.testing.assert_frame_equal(
        dsi_cli.wordnet_csm(("dog", "cat")),
        dsi_cli.wordnet_csm(np.array(["dog", "cat"])),
    )
    for labels in (None, [1, 2], ["dog", None]):
        with raises("wrong-type", UsageError, field="labels"):
            dsi_cli.wordnet_csm(labels)


def test_the_metrics_on_plain_arrays_lists_and_frames(real_heads):
    weight = real_heads["garments"][15]
    ncsm, reference = (
        dsi_cli.weight_similarity(weight),
        dsi_cli.wordnet_csm("fashion-mnist").to_numpy(),
    )
    assert_allclose(ncsm, oracles.ncsm(weight), rtol=0, atol=1e-6)
    assert_allclose(
        dsi_cli.centred_weight_similarity(weight.tolist()),
        oracles.ncsm_centred(weight),
        rtol=0,
        atol=1e-6,
    )
    assert_allclose(dsi_cli.mean_row_ratio(weight), oracles.mean_row(weight), rtol=1e-6)
    assert_allclose(
        dsi_cli.sai(ncsm, reference), oracles.sai(ncsm, reference, "cosine"), rtol=1e-6
    )
    assert isinstance(
        dsi_cli.alignments(ncsm, reference, ["cosine"])["cosine"], dsi_cli.Alignment
    )
    for variant, function in (
        ("mean", dsi_cli.mean_wsi),
        ("max", dsi_cli.max_wsi),
        ("min", dsi_cli.min_wsi),
    ):
        assert_allclose(
            function(pd.DataFrame(ncsm)), oracles.wsi(ncsm, variant), rtol=1e-6
        )
    counts = pd.DataFrame(np.full((10, 10), 3))
    assert (
        dsi_cli.reliability(counts).classes_used
        == dsi_cli.idm(counts, reference)["all"].classes_used
        == 10
    )
    assert dsi_cli.confusion_similarity(counts).shape == (10, 10)


def test_a_report_or_tracker_that_fails_and_a_warning_of_the_command_are_warnings(
    make_run, tmp_path
):
    pytest.importorskip("tensorboard")
    (out := tmp_path / "out").joinpath("report.html").mkdir(parents=True)
    (tmp_path / "file").touch()
    trackers = (f"tensorboard:{tmp_path}/file/logs", f"tensorboard:{tmp_path}/logs")
    folder = make_run()
    for name, shape in (
        ("preds.npy", (9, 2)),
        ("targets.npy", 2),
    ):  # the run has fewer epochs
        np.save(folder / name, np.zeros(shape, dtype=int))
    with pytest.warns(
        UserWarning, match=f"^the tables in {out} are complete, but "
    ) as warned:
        run = dsi_cli.analyze(
            folder, out, draws=0, measures="pearson", quantiles=0.9, log_to=trackers
        )
    assert run.epochs() == [0, 1, 2, 3]
    texts = (
        "preds.npy next to the checkpoints",
        f"{out}/report.html could not be written",
        f"{tmp_path}/file/logs",
    )
    assert all(
        text in str(one.message) for text, one in zip(texts, warned, strict=True)
    )
    assert list((tmp_path / "logs").rglob("events.out.tfevents.*")), (
        "the second tracker has the curves"
    )


def test_results_of_one_run_have_the_same_attributes(analysed):
    results = dsi_cli.open_results(analysed.out)
    name = results.names[-1]
    one = results[name]
    assert (list(results), list(one)) == (results.names, [name])
    pd.testing.assert_frame_equal(
        one.curves, results.curves[results.curves["run"] == name].reset_index(drop=True)
    )
    pd.testing.assert_frame_equal(one.csm("ncsm"), results.csm("ncsm", run=name))
    assert set(one.checkpoints["run"]) == set(one.phases["run"]) == {name}
    with pytest.raises(UsageError, match="no run 'gone'"):
        results["gone"]
    assert dsi_cli.open_run is dsi_cli.open_results
