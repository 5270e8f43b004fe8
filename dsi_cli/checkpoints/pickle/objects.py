"""The inert objects that the pickle reader builds instead of the ones that a pickle names.

A global becomes a `PickledGlobal` (two strings) and an object a `PickledObject`. Only the calls in the short literal list
`HARMLESS` return plain data. Nothing is looked up or imported.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from dsi_cli.checkpoints.tensors import QUANTISED, Quantiser, Storage, Tensor, contiguous
from dsi_cli.errors import UnreadableError

TEXTS, GROUPS = (str, bytes), (list, tuple, set)
_LISTS = (list, tuple)
_LONGEST_KEY = 4096
"""Characters: two long keys that are equal would be compared anew at every use."""


class PickledGlobal(NamedTuple):
    """A name that the pickle mentions: a class or function that is never looked up."""

    module: str
    name: str


class PickledObject:
    """What would have been an object: the callable, its arguments, and the state that it was given.

    ``items`` holds what was appended or set item by item. No ``__repr__``: the parts may be enormous when shown.
    """

    __slots__ = ("args", "items", "of", "state")

    def __init__(self, of: Any, args: Any) -> None:
        self.of = of
        self.args = args
        self.state: Any = None
        self.items: list[Any] | None = None


def is_key(value: Any) -> bool:
    """Return whether a value may be a dict key: hashing it is quick, and many such cannot be made to collide.

    A `PickledObject` is one by its identity.
    """
    if isinstance(value, TEXTS):
        return len(value) <= _LONGEST_KEY
    if isinstance(value, int):
        return -(1 << 60) < value < 1 << 60
    return value is None or isinstance(value, float | PickledObject)


def qualified_name(of: Any, args: Any) -> Any:
    """Return what calling ``of`` with ``args`` stands for: plain data for the few names in `HARMLESS`, else a `PickledObject`."""
    if isinstance(of, PickledGlobal) and isinstance(args, tuple):
        maker = HARMLESS.get(of)
        if maker is not None:
            made = maker(*args)
            if made is not None:
                return made
    return PickledObject(of, args)


def _strided(storage: Any = None, offset: Any = None, shape: Any = None, strides: Any = None, *_rest: Any) -> Any:
    if not isinstance(storage, Storage) or not isinstance(offset, int) or not (_are_sizes(shape) and _are_sizes(strides)):
        return None
    return Tensor(storage.dtype, shape, strides, offset, storage)


_MOST_DIMENSIONS = 32
_INTEGERS = frozenset({int})


def _are_sizes(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) <= _MOST_DIMENSIONS and _INTEGERS.issuperset(map(type, value))


def _strided_v3(
    storage: Any, offset: Any, shape: Any, strides: Any, _grad: Any, _hooks: Any, dtype: Any, *_rest: Any
) -> Any:
    found = _strided(storage, offset, shape, strides)
    return found._replace(dtype=dtype.name) if found is not None and isinstance(dtype, PickledGlobal) else None


def _quantised(
    storage: Any = None, offset: Any = None, shape: Any = None, strides: Any = None, how: Any = None, *_rest: Any
) -> Any:
    found = _strided(storage, offset, shape, strides)
    if found is None or found.dtype not in QUANTISED or not isinstance(how, tuple) or len(how) < 3:
        return None
    scheme, scale, zero, *axis = how
    kind = scheme.name if isinstance(scheme, PickledGlobal) else ""
    if kind == "per_tensor_affine" and isinstance(scale, float) and isinstance(zero, int):
        return found._replace(quantiser=Quantiser(scale, zero))
    if kind == "per_channel_affine" and isinstance(scale, Tensor) and isinstance(zero, Tensor) and type(axis[0]) is int:
        return found._replace(quantiser=Quantiser(scale, zero, axis[0]))
    return None


def _buffer(data: Any = None, dtype: Any = None, shape: Any = None, order: Any = "C", *_rest: Any) -> Any:
    """Return the array of pickle protocol 5, whose bytes stand within the pickle."""
    return _array(shape, dtype, data, is_fortran=order == "F")


def array_of(stub: PickledObject) -> Tensor | None:
    """Return the NumPy array that a stand-in is for, None where it is for something else."""
    if (
        not isinstance(stub.of, PickledGlobal)
        or stub.of not in _ARRAYS
        or not isinstance(stub.state, tuple)
        or len(stub.state) != 5
    ):
        return None
    _, shape, dtype, is_fortran, data = stub.state
    found: Tensor | None = _array(shape, dtype, data, is_fortran=bool(is_fortran))
    return found


def _array(shape: Any, dtype: Any, data: Any, *, is_fortran: bool) -> Any:
    code = dtype.args[0] if isinstance(dtype, PickledObject) and isinstance(dtype.args, tuple) and dtype.args else None
    name = _ARRAY_DTYPES.get(code) if isinstance(code, str) else None
    big_endian = isinstance(dtype, PickledObject) and isinstance(dtype.state, tuple) and dtype.state[1:2] == (">",)
    if name is None or big_endian or not _are_sizes(shape) or not isinstance(data, bytes | memoryview):
        return None
    storage = Storage("", name, len(data) // int(code[1:]) if isinstance(code, str) else 0, data)
    found = contiguous(name, shape[::-1] if is_fortran else shape, storage)
    return found.transposed if is_fortran else found


def _first(first: Any = None, *_rest: Any) -> Any:
    return first


def _from_type(of: Any = None, _type: Any = None, args: Any = None, state: Any = None, *_rest: Any) -> Any:
    if not isinstance(of, PickledGlobal):
        return None
    if of == PickledGlobal("torch._utils", "_rebuild_wrapper_subclass") and isinstance(args, tuple):
        return _wrapped(args, state)
    return qualified_name(of, args) if HARMLESS.get(of) in FLAT else PickledObject(of, args)


def _wrapped(args: tuple[Any, ...], state: Any) -> Any:
    """Return the tensor within one of another type: a DTensor's rows, where these are all; else one that says what it lacks."""
    kind, dtype, shape = (*args, None, None, None)[:3]
    if not isinstance(kind, PickledGlobal) or not isinstance(dtype, PickledGlobal) or not _are_sizes(shape):
        return None
    held = [part for part in (state if isinstance(state, tuple) else (state,)) if isinstance(part, dict)]
    local = next((part["_local_tensor"] for part in held if "_local_tensor" in part), None)
    if isinstance(local, Tensor) and local.shape == shape:
        return local
    lacking = f"its weights are of the type {kind.name[:40]}, which is not read"
    if isinstance(local, Tensor):
        lacking = f"it holds the part of one rank alone, {local.shape} of {shape}: gather the state dict before saving it"
    return contiguous(dtype.name, shape, Storage("", dtype.name, 0, lacking=lacking))


def _ordered_dict(pairs: Any = (), *_rest: Any) -> Any:
    if not pairs and isinstance(pairs, _LISTS):
        return {}
    if not isinstance(pairs, _LISTS) or not all(isinstance(p, _LISTS) and len(p) == 2 for p in pairs):
        return None
    return {key: value for key, value in pairs if is_key(key)}


def _default_dict(*_factory: Any) -> Any:
    return {}


def _set(items: Any = (), *_rest: Any) -> Any:
    return {item for item in items if is_key(item)} if isinstance(items, GROUPS) else None


def _numpy_scalar(dtype: Any = None, data: Any = None, *_rest: Any) -> Any:
    if isinstance(data, str):
        data = data[:16].encode("latin-1", "replace")
    code = dtype.args[0] if isinstance(dtype, PickledObject) and isinstance(dtype.args, tuple) and dtype.args else None
    layout = _SCALARS.get(code) if isinstance(code, str) else None
    if layout is None or not isinstance(data, bytes) or len(data) != struct.calcsize(layout):
        return None
    return struct.unpack(layout, data)[0]


def _encoded(text: Any = None, *_rest: Any) -> Any:
    return text.encode("latin-1", "replace") if isinstance(text, str) else None


def _empty_bytes(*args: Any) -> Any:
    return None if args else b""


_ARRAY_DTYPES = {
    "f8": "float64",
    "f4": "float32",
    "f2": "float16",
    "i8": "int64",
    "i4": "int32",
    "i2": "int16",
    "i1": "int8",
    "u1": "uint8",
    "b1": "bool",
}
_ARRAYS = frozenset(
    {PickledGlobal("numpy.core.multiarray", "_reconstruct"), PickledGlobal("numpy._core.multiarray", "_reconstruct")}
)

_SCALARS = {
    "f8": "<d",
    "f4": "<f",
    "f2": "<e",
    "i8": "<q",
    "i4": "<i",
    "i2": "<h",
    "i1": "<b",
    "u8": "<Q",
    "u4": "<I",
    "u1": "<B",
    "b1": "<?",
}

HARMLESS: dict[PickledGlobal, Callable[..., Any]] = {
    PickledGlobal("collections", "OrderedDict"): _ordered_dict,
    PickledGlobal("collections", "defaultdict"): _default_dict,
    PickledGlobal("builtins", "dict"): _ordered_dict,
    PickledGlobal("builtins", "set"): _set,
    PickledGlobal("__builtin__", "set"): _set,
    PickledGlobal("builtins", "frozenset"): _set,
    PickledGlobal("__builtin__", "frozenset"): _set,
    PickledGlobal("builtins", "bytes"): _empty_bytes,
    PickledGlobal("__builtin__", "bytes"): _empty_bytes,
    PickledGlobal("torch", "Size"): _first,
    PickledGlobal("_codecs", "encode"): _encoded,
    PickledGlobal("numpy.core.multiarray", "scalar"): _numpy_scalar,
    PickledGlobal("numpy._core.multiarray", "scalar"): _numpy_scalar,
    PickledGlobal("torch._utils", "_rebuild_tensor"): _strided,
    PickledGlobal("torch._utils", "_rebuild_tensor_v2"): _strided,
    PickledGlobal("torch._utils", "_rebuild_tensor_v3"): _strided_v3,
    PickledGlobal("torch._utils", "_rebuild_qtensor"): _quantised,
    PickledGlobal("numpy.core.numeric", "_frombuffer"): _buffer,
    PickledGlobal("numpy._core.numeric", "_frombuffer"): _buffer,
    PickledGlobal("torch._utils", "_rebuild_parameter"): _first,
    PickledGlobal("torch._utils", "_rebuild_parameter_with_state"): _first,
    PickledGlobal("torch._tensor", "_rebuild_from_type"): _from_type,
    PickledGlobal("torch._tensor", "_rebuild_from_type_v2"): _from_type,
}
"""The names whose calls give plain data; a maker that returns None leaves the call a `PickledObject`."""
FLAT = frozenset({_strided, _strided_v3, _first})
"""The makers that look at no more than a few numbers, whatever they are given."""

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
    """Return the storage that a persistent id of ``torch.save`` names: ``('storage', type, key, location, size, ...)``."""
    if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or not isinstance(pid[2], str):
        raise UnreadableError("a reference to data outside the pickle that is no storage")
    kind = pid[1].name if isinstance(pid[1], PickledGlobal) else ""
    if not isinstance(pid[4], int) or pid[4] < 0:
        raise UnreadableError("a storage without a size")
    return Storage(pid[2], _STORAGE_DTYPES.get(kind, kind), pid[4])
