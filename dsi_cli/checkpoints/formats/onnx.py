"""ONNX: a protocol buffer whose graph holds nodes and, as initialisers, the weights. Only the initialisers are of interest.

The nodes say how a weight is meant: exporters fold a transposition into the stored matrix and lose its name on the way
(`dsi_cli.checkpoints.formats.onnx_graph`). Every matrix that a ``Gemm`` or ``MatMul`` multiplies by is given as (outputs,
inputs), as a view. Elements may lie in the file as they are, as packed varints, or in a file beside it (external data).
Source of the field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from dsi_cli.checkpoints.formats import Content
from dsi_cli.checkpoints.formats.onnx_graph import Use, uses
from dsi_cli.checkpoints.formats.protobuf import BYTES, LONGEST_TEXT, Field, Wire, unpacked
from dsi_cli.checkpoints.source import Source
from dsi_cli.checkpoints.tensors import NUMPY_DTYPES, Storage, Tensor, contiguous, decode, itemsize, span
from dsi_cli.errors import PendingError, UnreadableError
from dsi_cli.remote.places import Place

METADATA = "__metadata__"
_LONGEST_METADATA = 1 << 20
"""Bytes of one text; class names of ImageNet-22k take 500 kB."""
_MOST_METADATA = 16 << 20
_MOST_DIMENSIONS = 32
_NEEDS_OPSETS = 3
"""The version of the format since which a model names its operator sets, which stand behind the graph."""
_IR_VERSION, _PRODUCER, _GRAPH, _OPSETS, _METADATA_PROPS = 1, 2, 7, 8, 14
_NODE, _INITIALISER = 1, 5
_DIMS, _DATA_TYPE, _NAME, _RAW, _EXTERNAL, _LOCATION = 1, 2, 8, 9, 13, 14
_FLOATS, _INT32S, _INT64S, _DOUBLES, _UINT64S = 4, 5, 7, 10, 11
_DTYPES = {
    1: ("float32", _FLOATS),
    2: ("uint8", _INT32S),
    3: ("int8", _INT32S),
    4: ("uint16", _INT32S),
    5: ("int16", _INT32S),
    6: ("int32", _INT32S),
    7: ("int64", _INT64S),
    8: ("string", 0),
    9: ("bool", _INT32S),
    10: ("float16", _INT32S),
    11: ("float64", _DOUBLES),
    12: ("uint32", _UINT64S),
    13: ("uint64", _UINT64S),
    14: ("complex64", _FLOATS),
    15: ("complex128", _DOUBLES),
    16: ("bfloat16", _INT32S),
    17: ("float8_e4m3fn", _INT32S),
    18: ("float8_e4m3fnuz", _INT32S),
    19: ("float8_e5m2", _INT32S),
    20: ("float8_e5m2fnuz", _INT32S),
    21: ("uint4", 0),
    22: ("int4", 0),
    23: ("float4_e2m1", 0),
}
"""The number of an element type: its name, and the field that holds such elements where they are not raw bytes."""
_VARINTS = (_INT32S, _INT64S, _UINT64S)
_TENSOR_FIELDS = {_DIMS, _DATA_TYPE, _NAME, _RAW, _EXTERNAL, _LOCATION, _FLOATS, _DOUBLES, *_VARINTS}
_IS_EXTERNAL = 1
_KEY, _VALUE = 1, 2


class _Place(NamedTuple):
    """Where the elements of an initialiser lie."""

    begin: int
    size: int
    is_packed: bool = False
    """Whether they are varints."""
    file: Place | None = None
    """The file beside the model, where they are not in it."""


class _Model(NamedTuple):
    graph: Field
    metadata: dict[str, str]


def open_content(source: Source) -> Content:
    """Return the content of a model: its initialisers in the order in which nodes take them, and ``__metadata__`` (text).

    Errors as for `dsi_cli.checkpoints.formats.open_content`.
    """
    wire = Wire(source)
    model = _model(wire)
    nodes: list[Field] = []
    found: dict[str, Tensor] = {}
    places: dict[str, _Place] = {}
    for field in wire.fields(model.graph.begin, model.graph.end):
        if field.number == _NODE:
            nodes.append(field)
        elif field.number == _INITIALISER:
            name, tensor, place = _initialiser(wire, field, str(len(places)), source.path.parent)
            if name in found:
                raise UnreadableError(f"two initialisers are named {name[:80]!r}")
            found[name], places[tensor.storage.key] = tensor, place
    _require_files(places.values())
    tree: dict[str, Any] = _named(found, uses(wire, nodes, found))

    def read(tensor: Tensor) -> NDArray[Any]:
        start, size = span(tensor)
        return decode(tensor, _elements(source, places[tensor.storage.key], tensor.storage, start, size))

    return Content({**tree, METADATA: model.metadata} if model.metadata else tree, read)


def _model(wire: Wire) -> _Model:
    parts = wire.grouped(0, wire.size, {_IR_VERSION, _PRODUCER, _GRAPH, _OPSETS, _METADATA_PROPS})
    graphs = [field for field in parts[_GRAPH] if field.wire == BYTES]
    if len(graphs) > 1:
        raise UnreadableError(f"the model has {len(graphs)} graphs")
    if not graphs:
        raise PendingError("breaks off before its graph")
    if not parts[_OPSETS] and any(field.value >= _NEEDS_OPSETS for field in parts[_IR_VERSION]):
        raise PendingError("breaks off behind its graph")
    metadata: dict[str, str] = {}
    for field in parts[_PRODUCER]:
        metadata["producer_name"] = wire.text(field)
    if sum(field.end - field.begin for field in parts[_METADATA_PROPS]) > _MOST_METADATA:
        raise UnreadableError(f"more than {_MOST_METADATA} bytes of metadata")
    for field in parts[_METADATA_PROPS]:
        metadata.setdefault(*_entry(wire, field, _LONGEST_METADATA))
    return _Model(graphs[0], metadata)


def _entry(wire: Wire, field: Field, longest: int) -> tuple[str, str]:
    """Return the key and the value of a pair of texts; a value longer than ``longest`` is left empty."""
    parts = wire.grouped(field.begin, field.end, (_KEY, _VALUE))
    key = [wire.text(part) for part in parts[_KEY][-1:]]
    value = [wire.text(part, longest) for part in parts[_VALUE][-1:] if part.end - part.begin <= longest]
    return "".join(key), "".join(value)


def _initialiser(wire: Wire, field: Field, key: str, folder: Place) -> tuple[str, Tensor, _Place]:
    """Return the name of an initialiser, what it is, and where its elements lie."""
    parts = wire.grouped(field.begin, field.end, _TENSOR_FIELDS)
    name = "".join(wire.text(part) for part in parts[_NAME][-1:])
    dims = [size for part in parts[_DIMS][: _MOST_DIMENSIONS + 1] for size in wire.numbers(part)]
    if len(dims) > _MOST_DIMENSIONS or not all(0 <= size < 1 << 63 for size in dims):
        raise UnreadableError(f"{name[:80]!r} has no possible shape")
    number = parts[_DATA_TYPE][-1].value if parts[_DATA_TYPE] else 0
    dtype, typed = _DTYPES.get(number, (f"type {number}", 0))
    tensor = contiguous(dtype, tuple(dims), Storage(key, dtype, prod(dims)))
    if dtype not in NUMPY_DTYPES:
        return name, tensor, _Place(0, 0)
    size = prod(dims) * itemsize(dtype)
    is_external = any(part.value == _IS_EXTERNAL for part in parts[_LOCATION])
    entries = dict(_entry(wire, part, LONGEST_TEXT) for part in parts[_EXTERNAL]) if is_external else {}
    place = _outside(entries, folder, size) if is_external else _inside(parts[_RAW] or parts[typed])
    if place.size < prod(dims) if place.is_packed else place.size != size:
        raise UnreadableError(f"{name[:80]!r} has {place.size} bytes, which do not fit the {size} of its shape")
    return name, tensor, place


def _inside(data: list[Field]) -> _Place:
    """Return the elements in the model: raw bytes, or numbers of their type in a row."""
    if len(data) > 1 or any(field.wire != BYTES for field in data):
        raise UnreadableError("elements in several parts are not read")
    return _Place(data[0].begin, data[0].end - data[0].begin, data[0].number in _VARINTS) if data else _Place(0, 0)


def _outside(external: dict[str, str], folder: Place, size: int) -> _Place:
    """Return the elements in a file beside the model; ``size`` is what they take where their entry does not say it."""
    location = external.get("location", "")
    if location.startswith("./"):
        location = location.removeprefix("./")
    if not location or Path(location).name != location or location == ".." or {"\\", "\0"} & set(location):
        raise UnreadableError(f"external data outside the model's own folder: {location[:80]!r}")
    numbers = [external.get(key) or default for key, default in (("offset", "0"), ("length", str(size)))]
    if not all(number.isascii() and number.isdigit() and len(number) < 20 for number in numbers):
        raise UnreadableError(f"external data in {location[:80]!r} has no possible offset or length")
    return _Place(int(numbers[0]), int(numbers[1]), file=folder / location)


def _require_files(places: Iterable[_Place]) -> None:
    """Raise where a file of external data is not there, or ends too early."""
    sizes: dict[Place, int] = {}
    for place in places:
        if place.file is None:
            continue
        if place.file not in sizes:
            sizes[place.file] = _size(place.file)
        if place.begin + place.size > sizes[place.file]:
            raise PendingError(f"external data {place.file.name[:80]!r} ends at byte {sizes[place.file]}, too early")


def _size(path: Place) -> int:
    if len(path.name.encode()) > 255 or not path.exists():
        raise PendingError(f"external data {path.name[:80]!r} is not there")
    with Source(path) as source:
        return source.size


def _named(found: dict[str, Tensor], how: dict[str, Use]) -> dict[str, Tensor]:
    """Return the initialisers as nodes use them: in that order, by readable names, matrices as (outputs, inputs)."""
    tree: dict[str, Tensor] = {}
    for name in sorted(found, key=lambda name: how[name].place):
        tensor, use = found[name], how[name]
        if use.is_transposed and len(tensor.shape) == 2:
            tensor = tensor.turned
        tree[name if use.name in found or use.name in tree else use.name] = tensor
    return tree


def _elements(source: Source, place: _Place, storage: Storage, start: int, size: int) -> memoryview:
    if place.is_packed:
        packed = source.memory_at(place.begin, place.size)
        return unpacked(packed, storage.size, itemsize(storage.dtype))[start : start + size]
    if place.file is None:
        return source.memory_at(place.begin + start, size)
    with Source(place.file) as beside:
        return beside.memory_at(place.begin + start, size)
