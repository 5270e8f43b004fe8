"""The axis of the classes: given by a graph or a format, or shown by the layers around
a weight; and heads in several parts.
"""

import os
import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.testing import assert_allclose

from dsi_cli.checkpoints.checkpoint_reader import (
    HeadOptions,
    ScanResult,
    read_state_dict,
    require_file,
    scan_checkpoint,
)

RANDOM = np.random.default_rng(0)


def scanned(path: Path, classes: int | None = None, **options: str) -> ScanResult:
    return scan_checkpoint(require_file(path), HeadOptions(**options), classes)


def pickled(contents: object, path: Path) -> Path:
    path.write_bytes(pickle.dumps(contents, protocol=4))
    return path


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("widths", [(8, 6, 4), (6, 6, 6)])
def test_scan_onnx_kernel_has_the_rows_of_the_graph(widths, is_turned, tmp_path):
    first, last = (
        RANDOM.normal(size=shape).astype("f4")
        for shape in ((widths[1], widths[0]), (widths[2], widths[1]))
    )
    names = ("dense/kernel:0", "logits/kernel:0")
    stored = [
        onnx.numpy_helper.from_array(w if is_turned else w.T.copy(), n)
        for w, n in zip((first, last), names, strict=True)
    ]
    operator, attributes = ("Gemm", {"transB": 1}) if is_turned else ("MatMul", {})
    nodes = [onnx.helper.make_node(operator, ["x", names[0]], ["h"], **attributes)]
    nodes.append(onnx.helper.make_node(operator, ["h", names[1]], ["y"], **attributes))
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in "xy"
    ]
    onnx.save_model(
        onnx.helper.make_model(
            onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)
        ),
        tmp_path / "x.onnx",
    )
    assert_allclose(scanned(tmp_path / "x.onnx").weight, last)


def test_scan_square_kernel_of_keras_is_turned_once(tmp_path):
    os.environ["KERAS_BACKEND"] = "torch"
    keras = pytest.importorskip("keras", minversion="3.0")
    layers = [
        keras.layers.Dense(16),
        keras.layers.Dense(10),
        keras.layers.Dense(10, name="predictions"),
    ]
    model = keras.Sequential([keras.Input((20,)), *layers])
    model.save(tmp_path / "x.h5")
    assert_allclose(scanned(tmp_path / "x.h5").weight, layers[-1].get_weights()[0].T)


@pytest.mark.parametrize("classes", [10, 32, 64])
def test_scan_paddle_linear_without_bias_has_columns_for_classes(classes, tmp_path):
    weight = RANDOM.normal(size=(64, classes)).astype("f4")
    state = {
        "conv1.weight": np.ones((32, 3, 3, 3), "f4"),
        "conv2.weight": np.ones((64, 32, 3, 3), "f4"),
        "fc.weight": weight,
    }
    path = pickled(
        {**state, "StructuredToParameterName@@": {name: name for name in state}},
        tmp_path / "x.pdparams",
    )
    assert_allclose(scanned(path).weight, weight.T)


@pytest.mark.parametrize("features", [20, 6])
def test_scan_linear_model_of_scikit_learn_is_coef(features, tmp_path):
    linear_model = pytest.importorskip("sklearn.linear_model")
    data, labels = RANDOM.normal(size=(60, features)), np.arange(60) % 6
    model = linear_model.LogisticRegression(max_iter=5).fit(data, labels)
    found = scanned(pickled({"model": model}, tmp_path / "x.pkl"))
    assert found.record.head == "coef_"
    assert_allclose(found.weight, model.coef_, rtol=1e-6)


@pytest.mark.parametrize("hidden", [(16,), (6, 6)])
def test_scan_mlp_of_scikit_learn_is_its_last_layer(hidden, tmp_path):
    networks = pytest.importorskip("sklearn.neural_network")
    data, labels = RANDOM.normal(size=(60, 20)), np.arange(60) % 6
    model = networks.MLPClassifier(hidden, max_iter=2).fit(data, labels)
    assert_allclose(
        scanned(pickled(model, tmp_path / "x.pkl")).weight,
        model.coefs_[-1].T,
        rtol=1e-6,
    )


def test_scan_clusters_of_scikit_learn_are_no_head(tmp_path):
    cluster = pytest.importorskip("sklearn.cluster")
    model = cluster.KMeans(6, n_init=1).fit(RANDOM.normal(size=(60, 20)))
    found = scanned(pickled(model, tmp_path / "x.pkl"), 6)
    assert (found.record.code, found.weight) == ("backbone", None)


@pytest.mark.parametrize("shape", [(10, 64), (64, 10), (6, 6)])
def test_scan_coef_and_intercept_of_npz_have_a_row_for_each_class(shape, tmp_path):
    coefficients = RANDOM.normal(size=shape)
    np.savez(tmp_path / "x.npz", coef=coefficients, intercept=np.zeros(shape[0]))
    assert_allclose(scanned(tmp_path / "x.npz").weight, coefficients, rtol=1e-6)


@pytest.mark.parametrize("has_columns", [False, True])
@pytest.mark.parametrize("bias", ["vector", "matrix"])
def test_scan_network_of_numpy_finds_the_last_weight(bias, has_columns, tmp_path):
    arrays = {}
    for number, (width, following) in enumerate(
        [(30, 20), (20, 10), (10, 10)], start=1
    ):
        arrays[f"W{number}"] = RANDOM.normal(
            size=(width, following) if has_columns else (following, width)
        )
        shape = (1, following) if has_columns else (following, 1)
        arrays[f"b{number}"] = np.zeros(shape if bias == "matrix" else following)
    expected = arrays["W3"].T if has_columns else arrays["W3"]
    np.savez(tmp_path / "x.npz", **arrays, losses=np.zeros(5))
    assert_allclose(scanned(tmp_path / "x.npz").weight, expected, rtol=1e-6)
    weights, biases = (
        [arrays[f"{letter}{number}"] for number in (1, 2, 3)] for letter in "Wb"
    )
    path = pickled({"weights": weights, "biases": biases}, tmp_path / "x.pkl")
    assert_allclose(scanned(path).weight, expected, rtol=1e-6)


def test_scan_square_weights_of_numpy_asks(tmp_path):
    np.savez(
        tmp_path / "x.npz", W1=np.eye(8), b1=np.zeros(8), W2=np.eye(8), b2=np.zeros(8)
    )
    assert scanned(tmp_path / "x.npz", 8).record.code == "backbone"


def parts_of_a_head() -> dict[str, torch.Tensor]:
    return {
        "conv.weight": torch.ones(8, 3, 3, 3),
        "fc.fc1.weight": torch.randn(5, 8),
        "fc.fc2.weight": torch.randn(2, 8),
    }


def test_scan_head_in_parts_joins_their_rows(tmp_path):
    state = parts_of_a_head()
    torch.save(state, tmp_path / "x.pt")
    found = scanned(tmp_path / "x.pt", 7, head="fc.fc1.weight, fc.fc2")
    assert (found.record.head, found.record.classes) == (
        "fc.fc1.weight,fc.fc2.weight",
        7,
    )
    assert_allclose(
        found.weight, torch.cat([state["fc.fc1.weight"], state["fc.fc2.weight"]])
    )
    stored = read_state_dict(
        require_file(tmp_path / "x.pt"), HeadOptions("fc.fc1,fc.fc2")
    )
    assert (set(stored.arrays), stored.head) == (set(state), None)


def test_scan_parts_of_other_widths_are_refused(tmp_path):
    torch.save(
        {**parts_of_a_head(), "other.weight": torch.ones(3, 9)}, tmp_path / "x.pt"
    )
    assert scanned(tmp_path / "x.pt", head="fc.fc1,other").record.code == "misfit-parts"


def test_scan_several_rows_for_each_class_says_so(tmp_path):
    torch.save(
        {
            "conv.weight": torch.ones(8, 3, 3, 3),
            "fc.weight": torch.ones(30, 8),
            "fc.bias": torch.ones(30),
        },
        tmp_path / "x.pt",
    )
    found = scanned(tmp_path / "x.pt", 10).record
    assert found.code == "class-count"
    assert "fc.weight has 3 rows for each class" in (found.reason or "")


def test_the_example_is_the_candidate_with_the_name_of_a_classifier(tmp_path):
    state = {"conv.weight": torch.ones(8, 3, 3, 3)}
    for name in ("classifier", "other"):
        state |= {f"{name}.weight": torch.randn(10, 8), f"{name}.bias": torch.ones(10)}
    torch.save(state, tmp_path / "x.pt")
    assert (scanned(tmp_path / "x.pt").record.reason or "").endswith(
        "for example with --head classifier.weight"
    )


@pytest.mark.parametrize("shape", [(4, 3, 3, 3), (1, 5, 4), (0, 5), (5, 0), (0, 0)])
@pytest.mark.parametrize("name", ["a", "a.weight"])
def test_scan_head_after_tensors_without_sides_or_values(name, shape, tmp_path):
    weights = {
        name: torch.zeros(shape),
        f"b{name}": torch.zeros(shape),
        "fc.weight": torch.randn(3, 2),
    }
    torch.save(weights, tmp_path / "epoch_1.pt")
    assert scanned(tmp_path / "epoch_1.pt", head="fc.weight").record.head == "fc.weight"


def test_scan_npz_of_arrays_without_values_is_no_network(tmp_path):
    arrays = [np.zeros((3, 3, 8, 0)), np.zeros(0), np.zeros((4, 5)), np.zeros(5)]
    np.savez(tmp_path / "epoch_1.npz", *arrays)
    assert scanned(tmp_path / "epoch_1.npz").record.status == "failed"
