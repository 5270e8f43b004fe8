"""The inert objects that the pickle reader builds instead of the ones that a pickle
names.

A global becomes a `PickledGlobal` (two strings) and an object a `PickledObject`. Only
the calls in the short literal list `HARMLESS` return plain data. Nothing is looked up
or imported.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

from dsi_cli.checkpoints.tensors import (
    DTYPES_BY_CODE,
    PartReader,
    Quantiser,
    Storage,
    Tensor,
    are_sizes,
    contiguous,
)
from dsi_cli.errors import UnreadableError

_SEQUENCES = (list, tuple)
# the maximum length of a dict key: two long keys that are equal would be compared at
# every use
_MAX_KEY_LENGTH = 4096


class PickledGlobal(NamedTuple):
    """A class or function that the pickle names; it is never looked up."""

    module: str
    name: str


class PickledObject:
    """An inert record in place of an object: the callable, its arguments and the state.

    ``items`` holds the elements that were appended or set one by one. The class has no
    ``__repr__``, because the text could be enormous.
    """

    __slots__ = ("args", "callee", "items", "state")

    def __init__(self, callee: Any, args: Any, state: Any = None) -> None:
        self.callee = callee
        self.args = args
        self.state = state
        self.items: list[Any] | None = None


def is_key(value: Any) -> bool:
    """Return whether a value may be a dict key: its hash is quick to compute and cannot
    be made to collide.

    A `PickledObject` is hashed by its identity.
    """
    if isinstance(value, str | bytes):
        return len(value) <= _MAX_KEY_LENGTH
    if isinstance(value, int):
        return -(1 << 60) < value < 1 << 60
    return value is None or isinstance(value, float | PickledObject)


def _strided(
    storage: Any = None,
    offset: Any = None,
    shape: Any = None,
    strides: Any = None,
    *_rest: Any,
) -> Any:
    if (
        not isinstance(storage, Storage)
        or not isinstance(offset, int)
        or not (are_sizes(shape) and are_sizes(strides))
    ):
        return None
    return Tensor(storage.dtype, shape, strides, offset, storage)


def _strided_v3(*args: Any) -> Any:
    tensor = _strided(*args)
    if tensor is None or len(args) < 7 or not isinstance(args[6], PickledGlobal):
        return None
    return tensor._replace(dtype=args[6].name)


def _quantised(*args: Any) -> Any:
    tensor = _strided(*args)
    if tensor is None or not tensor.dtype.startswith(("qint", "quint")):
        return None
    if len(args) < 5 or not isinstance(args[4], tuple) or len(args[4]) < 3:
        return None
    scheme, scale, zero, *axis = args[4]
    kind = scheme.name if isinstance(scheme, PickledGlobal) else ""
    if (
        kind == "per_tensor_affine"
        and isinstance(scale, float)
        and isinstance(zero, int)
    ):
        return tensor._replace(quantiser=Quantiser(scale, zero))
    if (
        kind == "per_channel_affine"
        and isinstance(scale, Tensor)
        and isinstance(zero, Tensor)
        and type(axis[0]) is int
    ):
        return tensor._replace(quantiser=Quantiser(scale, zero, axis[0]))
    return None


def array_of(value: PickledObject) -> Tensor | None:
    """Return the array of NumPy or JAX that an inert object represents, or None if it
    represents something else.
    """
    callee, state = value.callee, value.state
    if callee == _JAX_ARRAY and isinstance(value.args, tuple) and len(value.args) == 4:
        # JAX stores the parts of a NumPy array as arguments.
        callee, _, state, _ = value.args
    if (
        not isinstance(callee, PickledGlobal)
        or callee not in _ARRAYS
        or not isinstance(state, tuple)
        or len(state) != 5
    ):
        return None
    _, shape, dtype, is_fortran, data = state
    return _array(data, dtype, shape, "F" if is_fortran else "C")


def _array(
    data: Any = None,
    dtype: Any = None,
    shape: Any = None,
    order: Any = "C",
    *_rest: Any,
) -> Tensor | None:
    """Return the array of these parts, which are the arguments of an array in pickle
    protocol 5.
    """
    code, is_big_endian = dtype_of(dtype)
    name = DTYPES_BY_CODE.get(code)
    if (
        name is None
        or is_big_endian
        or not are_sizes(shape)
        or not isinstance(data, bytes | memoryview)
    ):
        return None
    storage = Storage("", name, len(data) // int(code[1:]), PartReader(read_part, data))
    return contiguous(name, shape, storage, is_fortran=order == "F")


def read_part(data: bytes | memoryview, start: int, size: int) -> bytes | memoryview:
    """Return bytes of a storage inside a pickle; raise `UnreadableError` if it is
    shorter.
    """
    if start + size > len(data):
        raise UnreadableError(
            f"an array has {len(data)} bytes, {start + size} are needed",
            code="array-too-short",
        )
    return data[start : start + size]


def dtype_of(value: Any) -> tuple[str, bool]:
    """Return the code of a pickled NumPy dtype, such as ``f4`` (an empty text if it has
    none), and whether it is big-endian.
    """
    if (
        not isinstance(value, PickledObject)
        or not isinstance(value.args, tuple)
        or not value.args
    ):
        return "", False
    code = value.args[0] if isinstance(value.args[0], str) else ""
    return code, isinstance(value.state, tuple) and value.state[1:2] == (">",)


def _first(first: Any = None, *_rest: Any) -> Any:
    return first


def _from_type(
    callee: Any = None,
    _type: Any = None,
    args: Any = None,
    state: Any = None,
    *_rest: Any,
) -> Any:
    if not isinstance(callee, PickledGlobal):
        return None
    if callee == PickledGlobal(
        "torch._utils", "_rebuild_wrapper_subclass"
    ) and isinstance(args, tuple):
        return _unwrap_tensor(args, state)
    maker = HARMLESS.get(callee)
    value = maker(*args) if maker in CHEAP and isinstance(args, tuple) else None
    return PickledObject(callee, args) if value is None else value


def _unwrap_tensor(args: tuple[Any, ...], state: Any) -> Any:
    """Return the tensor inside a wrapper type, such as a DTensor with all rows, or a
    tensor that states why it is not read.
    """
    kind, dtype, shape = (*args, None, None, None)[:3]
    if (
        not isinstance(kind, PickledGlobal)
        or not isinstance(dtype, PickledGlobal)
        or not are_sizes(shape)
    ):
        return None
    parts = state if isinstance(state, tuple) else (state,)
    local = next(
        (
            part["_local_tensor"]
            for part in parts
            if isinstance(part, dict) and "_local_tensor" in part
        ),
        None,
    )
    if isinstance(local, Tensor) and local.shape == shape:
        return local
    lacking = f"dsi does not read weights of the type {kind.name[:40]}"
    if isinstance(local, Tensor):
        lacking = (
            f"it holds the part of one rank alone, {local.shape} of {shape}: gather the"
            " state dict before saving it"
        )

    def refuse(_start: int, _size: int) -> bytes:
        raise UnreadableError(lacking)

    return contiguous(dtype.name, shape, Storage("", dtype.name, prod(shape), refuse))


def _ordered_dict(pairs: Any = (), *_rest: Any) -> Any:
    if not isinstance(pairs, _SEQUENCES) or not all(
        isinstance(pair, _SEQUENCES) and len(pair) == 2 for pair in pairs
    ):
        return None
    return {key: value for key, value in pairs if is_key(key)}


def _set(items: Any = (), *_rest: Any) -> Any:
    return set(filter(is_key, items)) if isinstance(items, list | tuple | set) else None


def _numpy_scalar(dtype: Any = None, data: Any = None, *_rest: Any) -> Any:
    if isinstance(data, str):
        data = data[:16].encode("latin-1", "replace")
    code, _ = dtype_of(dtype)
    if (
        code not in DTYPES_BY_CODE
        or not isinstance(data, bytes)
        or len(data) != int(code[1:])
    ):
        return None
    return np.frombuffer(data, f"<{code}").item()


def _encoded(text: Any = None, *_rest: Any) -> Any:
    return text.encode("latin-1", "replace") if isinstance(text, str) else None


_ARRAYS = frozenset(
    PickledGlobal(f"numpy.{core}.multiarray", "_reconstruct")
    for core in ("core", "_core")
)
_JAX_ARRAY = PickledGlobal("jax._src.array", "_reconstruct_array")
HARMLESS: dict[PickledGlobal, Callable[..., Any]] = {
    PickledGlobal("collections", "OrderedDict"): _ordered_dict,
    PickledGlobal("collections", "defaultdict"): lambda *_factory: {},
    PickledGlobal("builtins", "dict"): _ordered_dict,
    **{
        PickledGlobal(module, name): _set
        for module in ("builtins", "__builtin__")
        for name in ("set", "frozenset")
    },
    **{
        PickledGlobal(module, "bytes"): lambda *args: None if args else b""
        for module in ("builtins", "__builtin__")
    },
    PickledGlobal("torch", "Size"): _first,
    PickledGlobal("_codecs", "encode"): _encoded,
    **{
        PickledGlobal(f"numpy.{core}.multiarray", "scalar"): _numpy_scalar
        for core in ("core", "_core")
    },
    **{
        PickledGlobal(f"numpy.{core}.numeric", "_frombuffer"): _array
        for core in ("core", "_core")
    },
    PickledGlobal("torch._utils", "_rebuild_tensor"): _strided,
    PickledGlobal("torch._utils", "_rebuild_tensor_v2"): _strided,
    PickledGlobal("torch._utils", "_rebuild_tensor_v3"): _strided_v3,
    PickledGlobal("torch._utils", "_rebuild_qtensor"): _quantised,
    PickledGlobal("torch._utils", "_rebuild_parameter"): _first,
    PickledGlobal("torch._utils", "_rebuild_parameter_with_state"): _first,
    PickledGlobal("torch._tensor", "_rebuild_from_type"): _from_type,
    PickledGlobal("torch._tensor", "_rebuild_from_type_v2"): _from_type,
}
"""The names whose calls return plain data; if a maker returns None, the call becomes a
`PickledObject`.
"""
# the makers that visit only a few numbers, whatever their arguments are
CHEAP = frozenset({_strided, _strided_v3, _first})

_STORAGE_DTYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
}


def storage_of(pid: Any) -> Storage:
    """Return the storage for a persistent id of ``torch.save``: ``('storage', type,
    key, location, size, ...)``.
    """
    if (
        not isinstance(pid, tuple)
        or len(pid) < 5
        or pid[0] != "storage"
        or not isinstance(pid[2], str)
    ):
        raise UnreadableError(
            "a reference to data outside the pickle that is not a storage",
            code="damaged-storage",
        )
    kind = pid[1].name if isinstance(pid[1], PickledGlobal) else ""
    if not isinstance(pid[4], int) or pid[4] < 0:
        raise UnreadableError("a storage without a size", code="damaged-storage")
    return Storage(pid[2], _STORAGE_DTYPES.get(kind, kind), pid[4])
