"""Keras: what Keras 3 saves is read as the model has it; names and order are the
model's own.
"""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.checkpoint_files import repacked
from numpy.testing import assert_array_equal

from dsi_cli.checkpoints.checkpoint_reader import (
    HeadOptions,
    ScanResult,
    require_file,
    scan_checkpoint,
)
from dsi_cli.checkpoints.formats import CheckpointContent, OpenFiles, open_content
from dsi_cli.checkpoints.tensors import Tensor

h5py = pytest.importorskip("h5py")

# Keras' own, with torch
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)

KINDS = ["x.keras", "x.weights.h5", "x.h5"]


@pytest.fixture(scope="module")
def keras():
    """Return Keras, which computes with torch here."""
    os.environ["KERAS_BACKEND"] = "torch"
    module = pytest.importorskip("keras", minversion="3.0")
    if module.backend.backend() != "torch":
        pytest.skip("Keras was imported with another backend than torch")
    return module


def save(model: object, path: Path) -> Path:
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    else:
        model.save(path)
    return path


def content_of(path: Path) -> tuple[str, CheckpointContent, dict[str, np.ndarray]]:
    with OpenFiles() as files:
        content = open_content(path, files)
        return (
            content.format,
            content,
            {
                name: one.read()
                for name, one in content.tree.items()
                if isinstance(one, Tensor)
            },
        )


def scanned(path: Path, **choice: object) -> ScanResult:
    return scan_checkpoint(require_file(path), HeadOptions(**choice))


def sequential(keras):
    layers = keras.layers
    body = [
        layers.Rescaling(1 / 255),
        layers.Conv2D(4, 3),
        layers.BatchNormalization(),
        layers.GlobalAveragePooling2D(),
    ]
    return keras.Sequential([keras.Input((8, 8, 3)), *body, layers.Dense(5)])


def functional(keras):
    """Return a model with a normalisation in front and twelve hidden layers: counts of
    two digits, which sort wrongly as text.
    """
    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    x = layers.Normalization()(inputs)
    x = layers.Flatten()(layers.Conv2D(4, 3)(x))
    for _ in range(12):
        x = layers.Dense(6, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(5)(x))


def nested(keras):
    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))
    body = keras.Model(inputs, layers.Dense(7)(x), name="body")
    outer = keras.Input((8, 8, 3))
    x = layers.Dense(6, activation="relu")(body(outer))
    return keras.Model(outer, layers.Dense(5)(x))


MODELS = [sequential, functional, nested]


@pytest.mark.parametrize("build", MODELS)
def test_scan_of_a_saved_model_finds_the_last_dense_layer_and_every_parameter_in_order(
    build, keras, tmp_path
):
    model = build(keras)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    for file in KINDS:
        path = save(model, tmp_path / file)
        result = scanned(path)
        assert result.record.reason is None
        assert_array_equal(result.weight, model.layers[-1].get_weights()[0].T)
        assert (
            result.record.classes,
            result.record.trainer,
            result.record.counts_from,
        ) == (5, "keras", 1)
        assert result.record.format == ("keras" if file == "x.keras" else "hdf5")
        # The optimiser's variables are left out. Only a configuration tells the order
        # of layers of different classes.
        _, content, found = content_of(path)
        assert "keras_version" in content.tree["__metadata__"]
        left = list(found.values())
        for wanted in model.get_weights():
            left.pop(
                next(
                    at
                    for at, one in enumerate(left)
                    if one.shape == wanted.shape and np.array_equal(one, wanted)
                )
            )
        assert left == []
        if file != "x.weights.h5" and build is not nested:
            in_order = [
                array for layer in model.layers for array in layer.get_weights()
            ]
            assert all(
                np.array_equal(one, wanted)
                for one, wanted in zip(found.values(), in_order, strict=True)
            )


def test_a_model_of_ones_own_class_goes_by_its_attributes(keras, tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.body = [keras.layers.Dense(6), keras.layers.Dense(7)]
            self.head = keras.layers.Dense(5)

        def call(self, x):
            for layer in self.body:
                x = layer(x)
            return self.head(x)

    model = Own()
    model(np.zeros((1, 4), "float32"))
    path = save(model, tmp_path / "x.weights.h5")
    assert {"body.dense.kernel", "body.dense_1.kernel", "head.kernel"} <= set(
        content_of(path)[2]
    )
    assert_array_equal(scanned(path).weight, model.head.get_weights()[0].T)


def keras_2(
    path: Path, top: str = "", layers: int = 12, split: bool = False
) -> np.ndarray:
    """Write a file as Keras 2 and tf.keras do, by their own layout; return the last
    kernel.
    """
    generator = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        group = file.create_group(top) if top else file
        names = [
            "input_1",
            *(f"dense_{number}" for number in range(1, layers + 1)),
            "softmax",
        ]
        encoded = [name.encode() for name in names]
        if split:
            group.attrs["layer_names0"], group.attrs["layer_names1"] = (
                encoded[:5],
                encoded[5:],
            )
        else:
            group.attrs["layer_names"] = encoded
        group.attrs["backend"] = b"tensorflow"
        group.attrs["keras_version"] = b"2.15.0"
        for name in sorted(names):
            inner = group.create_group(name)
            weights = (
                [f"{name}/kernel:0", f"{name}/bias:0"]
                if name.startswith("dense")
                else []
            )
            inner.attrs["weight_names"] = [one.encode() for one in weights]
            for weight in weights:
                width = 3 if name == f"dense_{layers}" else 4
                inner[weight] = generator.normal(
                    size=(4, width) if "kernel" in weight else (width,)
                ).astype("f4")
        if top:
            file.create_group("optimizer_weights")["Adam/iteration:0"] = 3
        return group[f"dense_{layers}/dense_{layers}/kernel:0"][()]


@pytest.mark.parametrize("top", ["", "model_weights"])
@pytest.mark.parametrize("split", [False, True])
def test_scan_of_keras_2_files_finds_the_head(top, split, tmp_path):
    last = keras_2(tmp_path / "x.h5", top, split=split)
    _, content, found = content_of(tmp_path / "x.h5")
    assert list(found) == [
        f"dense_{number}.{one}" for number in range(1, 13) for one in ("kernel", "bias")
    ]
    assert "keras_version" in content.tree["__metadata__"]
    result = scanned(tmp_path / "x.h5")
    assert result.record.trainer == "keras"
    assert_array_equal(result.weight, last.T)


@pytest.fixture(scope="module")
def saved(keras, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("keras") / "x.keras"
    sequential(keras).save(path)
    return path


def test_scan_of_a_deflated_archive_finds_the_same_head(saved, tmp_path):
    deflated = repacked(saved, tmp_path / "x.keras", compression=zipfile.ZIP_DEFLATED)
    assert_array_equal(scanned(deflated).weight, scanned(saved).weight)


@pytest.mark.parametrize(
    "config",
    [
        None,
        b"",
        b"{",
        b"[" * 100_000,
        b"[]",
        b'{"config": {"layers": [3, {"class_name": 4}]}}',
    ],
)
def test_a_damaged_configuration_costs_the_order_alone(config, saved, tmp_path):
    found = scanned(
        repacked(
            saved,
            tmp_path / "x.keras",
            {"config.json": config, "metadata.json": config},
        )
    )
    assert_array_equal(found.weight, scanned(saved).weight)


@pytest.mark.parametrize("file", ["x.keras", "x.h5"])
@pytest.mark.parametrize("is_nested", [False, True])
def test_the_layer_that_computes_the_output_is_the_head_whatever_it_is_called(
    is_nested, file, keras, tmp_path
):
    layers = keras.layers
    inputs = keras.Input((6,))
    x = layers.Dense(7, activation="relu", name="body")(inputs)
    hidden = layers.Dense(5, name="query")(x)
    output = layers.Activation("softmax")(hidden)
    model = keras.Model(inputs, output)
    if is_nested:
        outer = keras.Input((6,))
        model = keras.Model(outer, model(outer))
    found = scanned(save(model, tmp_path / file))
    assert found.record.head.endswith("query.kernel")
    assert found.weight.shape == (5, 7)
