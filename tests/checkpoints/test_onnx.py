"""ONNX models: weights of torch's exporters by their own names, every way to store
elements, and what lies in a file.
"""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from helpers.checkpoint_files import formats_of, read_all
from helpers.errors import raises
from helpers.memory_limits import scanned
from numpy.testing import assert_array_equal
from onnx.helper import make_node

from dsi_cli.checkpoints.checkpoint_reader import (
    read_metadata,
    require_file,
    scan_checkpoint,
)
from dsi_cli.checkpoints.discovery import discover
from dsi_cli.checkpoints.formats import OpenFiles, open_content
from dsi_cli.checkpoints.head_weight import weight_hash as fingerprint
from dsi_cli.errors import PendingError, UnreadableError
from dsi_cli.labels.index_maps import from_metadata

helper, numpy_helper, TensorProto = onnx.helper, onnx.numpy_helper, onnx.TensorProto


class Tokens(torch.nn.Module):
    """A body and a head on (batch, tokens, features): products, not Gemm."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.blocks = torch.nn.ModuleList([torch.nn.Linear(7, 7)])
        self.head = torch.nn.Linear(7, 4, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.blocks[0](x)))


class Pixels(torch.nn.Module):
    """A head that is a convolution; a norm that exporters fold into the convolution
    before it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 7, 3, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(7)
        self.head = torch.nn.Conv2d(7, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.bn1(self.conv1(x)))).mean((2, 3))


MODELS = {
    "gemm": (Tokens, (2, 7)),
    "gemm-without-bias": (lambda: Tokens(bias=False), (2, 7)),
    "product": (Tokens, (2, 3, 7)),
    "product-without-bias": (lambda: Tokens(bias=False), (2, 3, 7)),
    "convolution": (Pixels, (1, 3, 8, 8)),
}


def export(
    model: torch.nn.Module,
    shape: tuple[int, ...],
    path: Path,
    *,
    new: bool,
    **options: object,
) -> None:
    if new:
        options.setdefault("verbose", False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(), (torch.randn(shape),), path, dynamo=new, **options
        )


def save(
    initialisers: list, nodes: list, path: Path, output: str = "y", **options: object
) -> Path:
    """Write a model from ``x`` to an output by onnx itself."""
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in ("x", output)
    ]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], initialisers)
    onnx.save_model(helper.make_model(graph, producer_name="me"), path, **options)
    return path


@pytest.fixture
def small(tmp_path) -> Path:
    """Return a model with a head and little else."""
    weight = numpy_helper.from_array(
        np.arange(12, dtype=np.float32).reshape(3, 4), "fc.weight"
    )
    bias = numpy_helper.from_array(np.ones(3, np.float32), "fc.bias")
    gemm = make_node("Gemm", ["x", "fc.weight", "fc.bias"], ["y"], transB=1)
    return save([weight, bias], [gemm], tmp_path / "x.onnx")


@pytest.mark.parametrize(
    "new", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["old", "new"]
)
@pytest.mark.parametrize("name", MODELS)
def test_an_exported_head_is_read_by_its_own_name(name, new, tmp_path):
    make, shape = MODELS[name]
    model = make()
    export(model, shape, tmp_path / "m.onnx", new=new)
    found = read_all(tmp_path / "m.onnx")
    for weight in [
        key
        for key, value in model.state_dict().items()
        if key.endswith("weight") and value.ndim == 2
    ]:
        assert_array_equal(
            found[weight], model.state_dict()[weight].numpy(), err_msg=weight
        )
    scanned = scan_checkpoint(require_file(tmp_path / "m.onnx"))
    assert scanned.record.head == "head.weight"
    assert scanned.record.fingerprint == fingerprint(
        model.head.weight.detach().numpy().reshape(4, 7)
    )


WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4)
"""(outputs, inputs)."""


def turned(operator: str, **attributes: int) -> tuple[np.ndarray, list]:
    return WEIGHT.T, [make_node(operator, ["x", "W"], ["y"], **attributes)]


WAYS = {
    "matmul": turned("MatMul"),
    "gemm": turned("Gemm"),
    "gemm-trans": (WEIGHT, [make_node("Gemm", ["x", "W"], ["y"], transB=1)]),
    "transpose": (
        WEIGHT,
        [make_node("Transpose", ["W"], ["t"]), make_node("MatMul", ["x", "t"], ["y"])],
    ),
    "transpose-perm": (
        WEIGHT,
        [
            make_node("Transpose", ["W"], ["t"], perm=[1, 0]),
            make_node("MatMul", ["x", "t"], ["y"]),
        ],
    ),
    "transpose-none": (
        WEIGHT.T,
        [
            make_node("Transpose", ["W"], ["t"], perm=[0, 1]),
            make_node("MatMul", ["x", "t"], ["y"]),
        ],
    ),
    "twice": (
        WEIGHT.T,
        [
            make_node("Transpose", ["W"], ["t"]),
            make_node("Cast", ["t"], ["c"], to=1),
            make_node("Gemm", ["x", "c"], ["y"], transB=1),
        ],
    ),
    "from-the-left": (WEIGHT, [make_node("MatMul", ["W", "x"], ["y"])]),
    "gemm-from-the-left": (WEIGHT.T, [make_node("Gemm", ["W", "x"], ["y"], transA=1)]),
    "not-a-product": (WEIGHT, [make_node("Gather", ["W", "x"], ["y"])]),
    "not-used": (WEIGHT, [make_node("Relu", ["x"], ["y"])]),
}


@pytest.mark.parametrize("name", WAYS)
def test_a_matrix_is_given_as_outputs_by_inputs(name, tmp_path):
    stored, nodes = WAYS[name]
    save(
        [numpy_helper.from_array(np.ascontiguousarray(stored), "W")],
        nodes,
        tmp_path / "x.onnx",
    )
    assert_array_equal(read_all(tmp_path / "x.onnx")["W"], WEIGHT)


def product(
    name: str, weight: str, bias: str | None = None, scopes: str | None = None
) -> list:
    node = make_node("MatMul", ["x", weight], ["y" if bias is None else "p"], name=name)
    if scopes is not None:
        node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=scopes)
    return [node] if bias is None else [node, make_node("Add", [bias, "p"], ["y"])]


@pytest.mark.parametrize(
    ("nodes", "weight", "expected"),
    [
        (product("/head/MatMul", "onnx::MatMul_12"), "onnx::MatMul_12", "head.weight"),
        (product("/model/fc/MatMul_3", "val_12"), "val_12", "model.fc.weight"),
        (
            product("/layers/layers.1/layers.1.0/lin/MatMul", "123"),
            "123",
            "layers.1.0.lin.weight",
        ),
        (
            product("/wrong/MatMul", "onnx::MatMul_12", "head.bias"),
            "onnx::MatMul_12",
            "head.weight",
        ),
        (
            product("node_3", "val_3", None, "['', 'net', 'net.fc', 'linear_1']"),
            "val_3",
            "net.fc.weight",
        ),
        (product("node_3", "val_3", None, "['', 'linear_1']"), "val_3", "val_3"),
        (product("node_3", "val_3", None, "nonsense"), "val_3", "val_3"),
        (product("/MatMul", "onnx::MatMul_12"), "onnx::MatMul_12", "onnx::MatMul_12"),
        (product("/head/MatMul", "proj"), "proj", "proj"),
        (product("/head/MatMul", "fc.weight", "other.bias"), "fc.weight", "fc.weight"),
        (
            product("m/predictions/MatMul", "m/predictions/MatMul/ReadVariableOp:0"),
            "m/predictions/MatMul/ReadVariableOp:0",
            "m.predictions.weight",
        ),
    ],
)
def test_a_made_up_name_gives_way_where_the_nodes_tell(
    nodes, weight, expected, tmp_path
):
    biases = [
        numpy_helper.from_array(np.zeros(3, np.float32), name)
        for name in ("head.bias", "other.bias")
    ]
    save(
        [numpy_helper.from_array(WEIGHT.T.copy(), weight), *biases],
        nodes,
        tmp_path / "x.onnx",
    )
    assert_array_equal(read_all(tmp_path / "x.onnx")[expected], WEIGHT)


DTYPES = [
    "FLOAT",
    "DOUBLE",
    "FLOAT16",
    "BFLOAT16",
    "FLOAT8E4M3FN",
    "FLOAT8E5M2",
    "FLOAT8E4M3FNUZ",
    "FLOAT8E5M2FNUZ",
]
WHOLE = [
    "INT8",
    "UINT8",
    "INT16",
    "UINT16",
    "INT32",
    "UINT32",
    "INT64",
    "UINT64",
    "BOOL",
]


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
@pytest.mark.parametrize("dtype", DTYPES + WHOLE)
def test_every_dtype_is_read_as_onnx_reads_it(dtype, raw, tmp_path):
    kind = getattr(TensorProto, dtype)
    signs = 1 if dtype.startswith("U") else -1
    values = (
        np.array([[0, 1, 2, 100], [0.5, signs * 3, signs * 64, 0.0625]])
        if dtype in DTYPES
        else np.array([[0, 1, 7, 100]] * 2)
    )
    values = values.astype(np.float32 if dtype in DTYPES else np.int64) * (
        1 if dtype in DTYPES else [1, 1, 1, signs]
    )
    stored = values.astype(helper.tensor_dtype_to_np_dtype(kind))
    given = helper.make_tensor(
        "x",
        kind,
        (2, 4),
        stored.tobytes() if raw else stored.flatten().tolist(),
        raw=raw,
    )
    found = read_all(save([given], [], tmp_path / "m.onnx"))["x"]
    theirs = numpy_helper.to_array(given)
    assert_array_equal(
        found,
        (
            theirs.astype(np.float32)
            if "FLOAT8" in dtype or dtype == "BFLOAT16"
            else theirs
        ),
    )


def test_elements_of_other_kinds_are_listed_but_not_read(tmp_path):
    given = [
        helper.make_tensor("s", TensorProto.STRING, (2,), [b"a", b"b"]),
        helper.make_tensor("i", TensorProto.INT4, (2,), [1, 2]),
    ]
    with OpenFiles() as files:
        content = open_content(save(given, [], tmp_path / "m.onnx"), files)
        assert [content.tree[name].dtype for name in "si"] == ["string", "int4"]
        with raises("unsupported-dtype", UnreadableError):
            content.tree["i"].read()


def save_outside(
    path: Path, location: str = "w.bin", change: Callable[[object], None] | None = None
) -> Path:
    weights = [
        numpy_helper.from_array(WEIGHT, "fc.weight"),
        numpy_helper.from_array(WEIGHT + 1, "other"),
    ]
    save(
        weights,
        [make_node("Gemm", ["x", "fc.weight"], ["y"], transB=1)],
        path,
        save_as_external_data=True,
        location=location,
        size_threshold=0,
    )
    if change is not None:
        model = onnx.load(path, load_external_data=False)
        change(model.graph.initializer[0])
        path.write_bytes(model.SerializeToString())
    return path


def test_external_data_is_read_or_pending(tmp_path):
    path = save_outside(tmp_path / "x.onnx")
    found = read_all(path)
    assert_array_equal(found["fc.weight"], WEIGHT)
    assert_array_equal(found["other"], WEIGHT + 1)
    data = (tmp_path / "w.bin").read_bytes()
    (tmp_path / "w.bin").write_bytes(data[:-1])
    with raises("cut-off", PendingError):
        read_all(path)
    (tmp_path / "w.bin").unlink()
    with raises("missing-part", PendingError, name="w.bin"):
        read_all(path)


def test_external_data_in_a_link_out_of_the_folder_is_refused(tmp_path):
    folder = tmp_path / "downloaded"
    folder.mkdir()
    path = save_outside(folder / "x.onnx")
    (folder / "w.bin").rename(tmp_path / "private")
    (folder / "w.bin").symlink_to("../private")
    with raises("outside-folder", UnreadableError, name="w.bin"):
        read_all(path)


@pytest.mark.parametrize(
    "location", ["../w.bin", "..", "", "a\\w.bin", ".//etc/passwd"]
)
def test_external_data_outside_the_folder_is_refused(location, tmp_path):
    path = save_outside(
        tmp_path / "x.onnx",
        change=lambda one: setattr(one.external_data[0], "value", location),
    )
    with raises("outside-folder", UnreadableError):
        read_all(path)


@pytest.mark.parametrize(
    ("key", "value", "error", "code"),
    [
        ("offset", "-4", UnreadableError, "damaged-external-data"),
        ("offset", "1e3", UnreadableError, "damaged-external-data"),
        ("offset", "9" * 19, PendingError, "cut-off"),
        ("offset", "9" * 30, UnreadableError, "damaged-external-data"),
        ("length", "47", UnreadableError, "size-mismatch"),
        ("location", "x" * 300, PendingError, "missing-part"),
    ],
)
def test_open_content_of_wrong_external_data_raises_the_code(
    key, value, error, code, tmp_path
):
    def change(one: object) -> None:
        next(entry for entry in one.external_data if entry.key == key).value = value

    with raises(code, error):
        read_all(save_outside(tmp_path / "x.onnx", change=change))


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def raw_model(graph: bytes) -> bytes:
    return b"\x08\x08\x12\x02me" + field(7, graph) + field(8, b"\x10\x0d")


def tensor(*dims: int, dtype: int = 1, data: bytes = field(9, b"abcd")) -> bytes:
    return field(
        5,
        b"".join(b"\x08" + varint(size) for size in dims)
        + b"\x10"
        + varint(dtype)
        + field(8, b"w")
        + data,
    )


LIES = {
    "no-graph": (
        b"\x08\x08\x12\x02me" + field(8, b"\x10\x0d"),
        PendingError,
        "cut-off",
    ),
    "endless": (raw_model(b"\xff" * 20), UnreadableError, "damaged"),
    "shape": (raw_model(tensor(2)), UnreadableError, "damaged"),
    "huge": (raw_model(tensor(1 << 62, 4)), UnreadableError, "impossible-shape"),
    "same-name": (raw_model(tensor(1) * 2), UnreadableError, "duplicate-name"),
    "long-name": (
        raw_model(field(5, field(8, b"x" * 5000))),
        UnreadableError,
        "names-too-long",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lying_model_is_refused(name, tmp_path):
    data, error, code = LIES[name]
    (tmp_path / "x.onnx").write_bytes(data.replace(b"\x3a\x00", b"\x3a\x03\x12\x01g"))
    with raises(code, error):
        read_all(tmp_path / "x.onnx")


def test_a_model_that_onnx_could_not_write_is_refused_unread(small):
    os.truncate(small, 1 << 31)
    with raises("model-too-large", UnreadableError):
        read_all(small)


def test_models_are_recognised_and_others_are_not(small, tmp_path):
    assert formats_of(small.read_bytes()[:16]) == ["onnx"]
    assert formats_of(raw_model(tensor(1))[:16]) == ["onnx"]
    # no producer
    assert formats_of(b"\x08\x03" + raw_model(tensor(1))[6:][:14]) == ["onnx"]
    others = [
        b"\x08",
        b"\x08\x08",
        b"\x08\x01\x12\xa9\x8f\x04\x0a\xb0\x10\x0a",
        b"\x08\x04\x12\x10\x0a\x05image",
    ]
    others += [b"\x08 text, of a kind", bytes(16)]
    assert [formats_of(head) for head in others] == [[]] * len(others)
    (tmp_path / "model_without_suffix").write_bytes(small.read_bytes())
    assert len(discover([tmp_path])[0].checkpoints) == 2


def node(operator: bytes, inputs: list[bytes], output: bytes) -> bytes:
    return field(
        1,
        b"".join(field(1, one) for one in inputs)
        + field(2, output)
        + field(4, operator),
    )


def weights(count: int, bias: bytes) -> bytes:
    """Return as many weights, each with a Gemm that adds one bias, whose name is
    long.
    """
    made = [
        field(
            5, b"\x08\x01\x08\x01\x10\x01" + field(8, b"val_%d" % n) + field(9, b"abcd")
        )
        for n in range(count)
    ]
    used = [node(b"Gemm", [b"x", b"val_%d" % n, b"b"], b"y") for n in range(count)]
    first = field(5, b"\x08\x01\x10\x01" + field(8, bias) + field(9, b"abcd"))
    return raw_model(
        first + b"".join(made) + node(b"Identity", [bias], b"b") + b"".join(used)
    )


def numbers(count: int) -> bytes:
    """Return a Gemm with as many numbers in its attributes."""
    parts = field(1, b"transB") + field(8, b"\1" * 600) * (count // 600)
    gemm = (
        field(1, b"x")
        + field(1, b"w")
        + field(2, b"y")
        + field(4, b"Gemm")
        + field(5, parts)
    )
    return raw_model(tensor(1) + field(1, gemm))


COSTLY = {
    "one-long-bias": (
        lambda: weights(23_000, "\U0001f600".encode() + b"b" * 4080 + b".bias"),
        "names of up to 1024 letters",
    ),
    "numbers": (lambda: numbers(9_600_000), "no classifier among 1 tensors"),
    "dims": (
        lambda: raw_model(
            b"".join(
                field(5, field(1, (b"\xff" * 8 + b"\x7f") * 32) + field(8, b"%d" % n))
                for n in range(31_000)
            )
        ),
        "no possible shape",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COSTLY)
def test_a_model_that_asks_for_much_ends_soon_and_small(name, tmp_path):
    make, message = COSTLY[name]
    (tmp_path / "x.onnx").write_bytes(make())
    assert message in scanned(tmp_path / "x.onnx")[1]


BODY, HEAD = np.ones((8, 4), np.float32), np.arange(24, dtype=np.float32).reshape(3, 8)
AFTER = {
    "nothing": [],
    "softmax": [("Softmax", ["h"])],
    "temperature": [("Div", ["h", "t"]), ("Softmax", ["h1"])],
    "shift-and-reshape": [
        ("Add", ["t", "h"]),
        ("Reshape", ["h1", "shape"]),
        ("Identity", ["h2"]),
    ],
}


@pytest.mark.parametrize("name", AFTER)
def test_the_layer_that_computes_the_output_is_the_head_whatever_it_is_called(
    name, tmp_path
):
    nodes = [
        make_node("Gemm", ["x", "query.weight"], ["h"], transB=1),
        make_node("MatMul", ["x", "classifier.weight"], ["unused"]),
    ]
    last = "h"
    for place, (operator, inputs) in enumerate(AFTER[name], start=1):
        last = f"h{place}"
        nodes.append(make_node(operator, inputs, [last]))
    weights = {
        "query.weight": HEAD,
        "classifier.weight": BODY.T.copy(),
        "t": np.float32(2),
        "shape": np.array([-1, 3]),
    }
    given = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    found = scan_checkpoint(require_file(save(given, nodes, tmp_path / "x.onnx", last)))
    assert found.record.head == "query.weight"
    assert_array_equal(found.weight, HEAD)


def test_weights_in_constant_nodes_count(tmp_path):
    nodes = [
        make_node(
            "Constant",
            [],
            ["/head/Constant_output_0"],
            value=numpy_helper.from_array(HEAD.T.copy()),
        ),
        make_node(
            "MatMul", ["x", "/head/Constant_output_0"], ["y"], name="/head/MatMul"
        ),
    ]
    found = scan_checkpoint(require_file(save([], nodes, tmp_path / "x.onnx")))
    assert found.record.head == "head.weight"
    assert_array_equal(found.weight, HEAD)


def test_names_as_ultralytics_writes_them_are_labels(small):
    model = onnx.load(small)
    helper.set_model_props(
        model, {"names": "{0: 'tench', 1: 'goldfish', 2: \"great white shark\"}"}
    )
    onnx.save_model(model, small)
    (labels,) = (
        found
        for part in read_metadata(require_file(small))
        if (found := from_metadata(part)) is not None
    )
    assert labels.names == ("tench", "goldfish", "great white shark")
