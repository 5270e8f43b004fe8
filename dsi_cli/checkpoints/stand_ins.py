"""What an inert pickle reader builds in place of what a pickle asks for.

A global is a `Global` (two strings), an object is a `Stub`; the calls in `HARMLESS`, a short literal list, give plain data.
Nothing is looked up or imported.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from dsi_cli.checkpoints.tensors import Storage, Tensor

TEXTS, GROUPS = (str, bytes), (list, tuple, set)
_LISTS = (list, tuple)
_LONGEST_KEY = 4096
"""Characters: two long keys that are equal would be compared anew at every use."""


class Global(NamedTuple):
    """A name that the pickle mentions: a class or function that is never looked up."""

    module: str
    name: str


class Stub:
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
    """Return whether a value may be a dict key: hashing it is quick, and many such cannot be made to collide."""
    if isinstance(value, TEXTS):
        return len(value) <= _LONGEST_KEY
    if isinstance(value, int):
        return -(1 << 60) < value < 1 << 60
    return value is None or isinstance(value, float)


def called(of: Any, args: Any) -> Any:
    """Return what calling ``of`` with ``args`` stands for: plain data for the few names in `HARMLESS`, else a `Stub`."""
    if isinstance(of, Global) and isinstance(args, tuple):
        maker = HARMLESS.get(of)
        if maker is not None:
            made = maker(*args)
            if made is not None:
                return made
    return Stub(of, args)


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
    return found._replace(dtype=dtype.name) if found is not None and isinstance(dtype, Global) else None


def _first(first: Any = None, *_rest: Any) -> Any:
    return first


def _from_type(of: Any = None, _type: Any = None, args: Any = None, *_rest: Any) -> Any:
    return called(of, args) if isinstance(of, Global) and HARMLESS.get(of) in _QUICK else Stub(of, args)


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
    code = dtype.args[0] if isinstance(dtype, Stub) and isinstance(dtype.args, tuple) and dtype.args else None
    layout = _SCALARS.get(code) if isinstance(code, str) else None
    if layout is None or not isinstance(data, bytes) or len(data) != struct.calcsize(layout):
        return None
    return struct.unpack(layout, data)[0]


def _encoded(text: Any = None, *_rest: Any) -> Any:
    return text.encode("latin-1", "replace") if isinstance(text, str) else None


def _empty_bytes(*args: Any) -> Any:
    return None if args else b""


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

HARMLESS: dict[Global, Callable[..., Any]] = {
    Global("collections", "OrderedDict"): _ordered_dict,
    Global("collections", "defaultdict"): _default_dict,
    Global("builtins", "dict"): _ordered_dict,
    Global("builtins", "set"): _set,
    Global("__builtin__", "set"): _set,
    Global("builtins", "frozenset"): _set,
    Global("__builtin__", "frozenset"): _set,
    Global("builtins", "bytes"): _empty_bytes,
    Global("__builtin__", "bytes"): _empty_bytes,
    Global("torch", "Size"): _first,
    Global("_codecs", "encode"): _encoded,
    Global("numpy.core.multiarray", "scalar"): _numpy_scalar,
    Global("numpy._core.multiarray", "scalar"): _numpy_scalar,
    Global("torch._utils", "_rebuild_tensor"): _strided,
    Global("torch._utils", "_rebuild_tensor_v2"): _strided,
    Global("torch._utils", "_rebuild_tensor_v3"): _strided_v3,
    Global("torch._utils", "_rebuild_parameter"): _first,
    Global("torch._utils", "_rebuild_parameter_with_state"): _first,
    Global("torch._tensor", "_rebuild_from_type"): _from_type,
    Global("torch._tensor", "_rebuild_from_type_v2"): _from_type,
}
"""The names whose calls give plain data; a maker that returns None leaves the call a `Stub`."""
_QUICK = (_strided, _strided_v3, _first)
