"""The geometry of class vectors in the tables: norms, biases and drift per class,
indices per checkpoint.
"""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import oracles
from helpers.outputs import assert_same_output, heads, noticed, refuse_scans
from numpy.testing import assert_allclose

import dsi_cli
from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.tables import geometry
from dsi_cli.errors import NothingToAnalyseError
from dsi_cli.similarity import MAX_DENSE_CLASSES

QUICK = Options(draws=0, permutations=0)


def save(path, weight, bias=None, **tensors):
    """Save the state dict of a network of two layers, whose last one is the
    classifier.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {"body.weight": torch.ones(weight.shape[1], 3), "fc.weight": weight}
    torch.save(state | ({} if bias is None else {"fc.bias": bias}) | tensors, path)


def write_run(folder, epochs=4, classes=8, *, seed=0):
    """Write a run with biases, and return its weights and biases."""
    weights = heads(epochs, classes, features=12, seed=seed)
    biases = [torch.linspace(-1, 1, classes) * epoch for epoch in range(epochs)]
    for epoch, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        save(folder / f"epoch_{epoch}.pt", weight, bias)
    return weights, biases


def angle(first, second):
    """Return the angle of two vectors in degrees, by the definition."""
    cosine = (
        float(first @ second) / (float(first @ first) * float(second @ second)) ** 0.5
    )
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def column(results, name, epoch):
    rows = results.geometry
    return rows[rows["epoch"] == epoch].sort_values("class_index")[name].to_numpy()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the results of a run of four epochs, its weights and its biases; do not
    write to the folder.
    """
    folder = tmp_path_factory.mktemp("geometry")
    weights, biases = write_run(folder / "run")
    analyze([folder / "run"], folder / "out", QUICK)
    return dsi_cli.open_results(folder / "out"), weights, biases


def test_analyze_writes_norm_bias_and_drift_of_each_class(made):
    results, weights, biases = made
    assert len(results.geometry) == 4 * 8
    for epoch, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        rows = weight.double().numpy()
        assert_allclose(column(results, "norm", epoch), np.linalg.norm(rows, axis=1))
        assert_allclose(
            column(results, "centred_norm", epoch),
            np.linalg.norm(rows - rows.mean(axis=0), axis=1),
        )
        assert_allclose(column(results, "bias", epoch), bias.numpy())
        last = weights[-1].double().numpy()
        assert_allclose(
            results.angle_last()[epoch],
            list(map(angle, rows, last)),
            atol=1e-5,
        )
        if epoch:
            before = weights[epoch - 1].double().numpy()
            assert_allclose(
                column(results, "angle_previous", epoch),
                list(map(angle, rows, before)),
                atol=1e-5,
            )
    assert np.isnan(column(results, "angle_previous", 0)).all()
    assert not results.angle_last()[3].any()


def test_analyze_curves_equal_the_oracle_with_chance_levels(made):
    results, weights, _ = made
    curves = results.curves.query("of == 'weight'")
    assert len(curves) == 4 * 8
    assert curves[["null_mean", "null_std"]].notna().all(axis=None)
    for epoch, weight in enumerate(weights):
        expected = oracles.head_geometry(weight.numpy())
        rows = curves[curves["epoch"] == epoch].set_index(["metric", "variant"])[
            "value"
        ]
        found = {
            "effective_rank": rows["effective_rank", "raw"],
            "centred_effective_rank": rows["effective_rank", "centred"],
            "stable_rank": rows["stable_rank", "raw"],
            "norm_variation": rows["nc2_norms", "raw"],
            "centred_norm_variation": rows["nc2_norms", "centred"],
            "angle_deviation": rows["nc2_angles", "deviation"],
            "angle_spread": rows["nc2_angles", "spread"],
        }
        for name, value in found.items():
            assert value == pytest.approx(expected[name], rel=1e-6), name


def test_analyze_spectrum_equals_the_oracle_with_chance_levels(made):
    results, weights, _ = made
    spectrum = results.spectrum
    for epoch, weight in enumerate(weights):
        rows, expected = (
            spectrum[spectrum["epoch"] == epoch],
            oracles.spectrum(weight.numpy()),
        )
        assert rows["index"].tolist() == [1, 2, 3, 4, 5, 6, 7]
        assert_allclose(rows["singular_value"], expected, rtol=1e-6)
        assert_allclose(rows["cumulative_share"], np.cumsum(rows["share"]))
        assert rows["null_mean"].sum() == pytest.approx(1)
        assert rows["classes_used"].eq(8).all()


def test_analyze_equal_class_vectors_have_no_spectrum(tmp_path):
    weights = heads(2, features=12)
    save(tmp_path / "run" / "epoch_0.pt", weights[0])
    save(tmp_path / "run" / "epoch_1.pt", torch.ones_like(weights[1]))
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    assert dsi_cli.open_results(tmp_path / "out").spectrum[
        "epoch"
    ].unique().tolist() == [0]


def test_analyze_checkpoints_that_are_gone_keep_their_geometry(tmp_path):
    write_run(tmp_path / "run")
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    before = dsi_cli.open_results(tmp_path / "out").geometry
    for epoch in (0, 1):
        (tmp_path / "run" / f"epoch_{epoch}.pt").unlink()
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    pd.testing.assert_frame_equal(
        dsi_cli.open_results(tmp_path / "out").geometry, before
    )


@pytest.mark.parametrize("table", ["geometry.parquet", "spectrum.parquet"])
def test_analyze_lost_table_is_made_from_stored_heads(table, tmp_path, monkeypatch):
    write_run(tmp_path / "run")
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    refuse_scans(monkeypatch, tmp_path / "run")
    data = (tmp_path / "out" / table).read_bytes()
    (tmp_path / "out" / table).unlink()
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    assert_same_output(tmp_path / "out", tmp_path / "copy")
    # its options are whole
    (tmp_path / "out" / table).write_bytes(b"PAR1" + bytes(400) + data[404:])
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    assert_same_output(tmp_path / "out", tmp_path / "copy")


def test_analyze_one_checkpoint_more_computes_the_rows_of_two(tmp_path, monkeypatch):
    write_run(tmp_path / "run", epochs=5)
    late = tmp_path / "run" / "epoch_2.pt"
    late.rename(tmp_path / "late")
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    (tmp_path / "late").rename(late)

    computed, rows_of_head = [], geometry.rows_of_head
    monkeypatch.setattr(
        geometry,
        "rows_of_head",
        lambda *inputs: computed.append(inputs) or rows_of_head(*inputs),
    )
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    assert len(computed) == 2  # the new one, and the one after it
    analyze([tmp_path / "run"], tmp_path / "fresh", QUICK)
    assert_same_output(tmp_path / "out", tmp_path / "fresh")


def test_analyze_end_between_the_two_tables_of_curves_makes_them_again(tmp_path):
    """The options of both tables must agree; otherwise rows of different settings could
    meet.
    """
    write_run(tmp_path / "run")
    for name, options in (("out", QUICK), ("other", replace(QUICK, quantiles=(0.8,)))):
        analyze([tmp_path / "run"], tmp_path / name, options)
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    shutil.copy(tmp_path / "other" / "extra_curves.parquet", tmp_path / "out")
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    assert_same_output(tmp_path / "out", tmp_path / "copy")


def test_analyze_curves_beyond_the_paper_have_a_table_of_their_own(made):
    results, *_ = made
    main, extra = (
        set(pd.read_parquet(results.path / f"{name}.parquet")["metric"])
        for name in ("curves", "extra_curves")
    )
    assert main == {"wsi", "mean_row", "sai"}
    assert extra == {"effective_rank", "stable_rank", "nc2_norms", "nc2_angles"}
    assert set(results.curves["metric"]) == main | extra


def test_analyze_zero_class_has_a_norm_of_zero_and_no_angle(tmp_path):
    weights = heads(2, features=12)
    weights[1][3] = 0
    for epoch, weight in enumerate(weights):
        save(tmp_path / "run" / f"epoch_{epoch}.pt", weight)
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    results = dsi_cli.open_results(tmp_path / "out")
    assert column(results, "norm", 1)[3] == 0
    assert np.isnan(
        [column(results, "angle_previous", 1)[3], results.angle_last()[0][3]]
    ).all()
    assert np.isnan(column(results, "bias", 0)).all()


def test_analyze_epoch_with_nan_weights_is_left_out(tmp_path):
    weights, _ = write_run(tmp_path / "run", epochs=3)
    save(tmp_path / "run" / "epoch_1.pt", weights[1] * float("nan"), torch.zeros(8))
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    results = dsi_cli.open_results(tmp_path / "out")
    assert results.geometry["epoch"].unique().tolist() == [0, 2]
    first, last = weights[0].double().numpy(), weights[2].double().numpy()
    assert_allclose(
        column(results, "angle_previous", 2), list(map(angle, last, first)), atol=1e-5
    )


def test_analyze_many_classes_have_geometry_without_mean_deviation_of_angles(tmp_path):
    weight = torch.randn(
        MAX_DENSE_CLASSES + 4, 3, generator=torch.Generator().manual_seed(0)
    )
    save(tmp_path / "run" / "epoch_0.pt", weight, torch.ones(len(weight)))
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    results = dsi_cli.open_results(tmp_path / "out")
    assert len(results.geometry) == len(weight)
    assert results.geometry["bias"].eq(1).all()
    values = results.curves.query("of == 'weight'").set_index(["metric", "variant"])
    assert pd.isna(values["value"]["nc2_angles", "deviation"])
    assert values["reason"]["nc2_angles", "deviation"]
    assert values["value"]["nc2_angles", "spread"] > 0


WEIGHT = heads(1, features=12)[0]
BIAS = torch.arange(8.0)
MASK = torch.tensor([0.0, 1.0] * 4)
BIASES = {
    "none": ({}, None),
    "plain": ({"fc.bias": BIAS}, BIAS),
    "half precision": ({"fc.bias": BIAS.half()}, BIAS),
    "of another length": ({"fc.bias": torch.ones(5)}, None),
    "integers": ({"fc.bias": torch.arange(8)}, None),
    "NaN": ({"fc.bias": BIAS * float("nan")}, None),
    "of another layer": ({"body.bias": torch.ones(8)}, None),
    "pruned": ({"fc.bias_orig": BIAS, "fc.bias_mask": MASK}, BIAS * MASK),
    "without its mask": ({"fc.bias_orig": BIAS}, None),
}


@pytest.mark.parametrize(("tensors", "expected"), BIASES.values(), ids=BIASES)
def test_analyze_reads_only_a_bias_of_the_head(tensors, expected, tmp_path):
    save(tmp_path / "run" / "epoch_0.pt", WEIGHT, **tensors)
    analyze(
        [tmp_path / "run"],
        tmp_path / "out",
        Options(draws=0, permutations=0, head="fc"),
    )
    found = column(dsi_cli.open_results(tmp_path / "out"), "bias", 0).astype(float)
    assert_allclose(found, np.full(8, np.nan) if expected is None else expected.numpy())


def test_analyze_bias_loses_the_row_of_the_background(tmp_path):
    weight = torch.randn(9, 6, generator=torch.Generator().manual_seed(0))
    save(
        tmp_path / "run" / "epoch_0.pt",
        weight,
        torch.arange(9.0),
        class_names=[f"class {i}" for i in range(8)],
    )
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    results = dsi_cli.open_results(tmp_path / "out")
    assert (
        results.checkpoints["extra_classes"].tolist(),
        len(column(results, "bias", 0)),
    ) == ([1], 8)


def test_analyze_unrelated_heads_of_one_run_give_a_warning(tmp_path):
    for epoch in range(3):
        head = torch.randn(8, 64, generator=torch.Generator().manual_seed(epoch))
        save(tmp_path / "epochs" / f"epoch_{epoch}.pt", head)
        save(tmp_path / "folds" / f"model_{epoch}.pt", head)
    found = noticed(analyze([tmp_path / "epochs"], tmp_path / "out", QUICK))
    assert found["heads-unrelated"]["angle"] >= 80
    with pytest.raises(NothingToAnalyseError, match="are unrelated") as caught:
        analyze([tmp_path / "folds"], tmp_path / "apart", QUICK)
    assert "--names 'model_{epoch}.pt'" in str(caught.value)
