"""A safe pickle reader: it builds plain data and inert objects, and cannot execute
anything.

A pickle is a program for a small stack machine. Python's own reader also runs no code
if its ``find_class`` is overridden. But its memory is unbounded: nine bytes can make it
take gigabytes. This module therefore implements the machine itself:

- A global becomes a `PickledGlobal` (two strings). A call or an object becomes a
  `PickledObject`: callable, arguments, state.
- A short literal list of harmless constructors returns plain data: ordered dicts, sets,
  sizes and NumPy scalars. Torch's functions that rebuild tensors return `Tensor`
  records.
- Every step is charged to a memory budget (`MEMORY_BUDGET_BYTES`). The memo is a dict,
  and integers are short.
- Dict keys and set members are plain scalars; others are dropped together with their
  values.
- The result may hold cycles and shared parts, so code that walks it must remember
  visited objects by identity.

Source of the opcodes: Python's ``pickletools`` module.
"""

from __future__ import annotations

import gc
import struct
from collections.abc import Callable
from typing import Any

from dsi_cli.checkpoints.pickle.objects import (
    CHEAP,
    HARMLESS,
    PickledGlobal,
    PickledObject,
    is_key,
    read_part,
    storage_of,
)
from dsi_cli.checkpoints.tensors import PartReader, Storage
from dsi_cli.errors import UnreadableError

MEMORY_BUDGET_BYTES = 200_000_000
"""The maximum memory for the contents of one pickle; the cost of each value is rounded
up generously.
"""
_STEP_COST, _MEMO_COST, _ITEM_COST, _OBJECT_COST = 64, 64, 8, 192
"""The cost of each step, and the additional cost of a memo entry, of an item and of an
object.
"""
_NESTED_STORAGE_COST, _MAX_NESTED_HEAD_BYTES = 1 << 15, 2048
"""The budget cost of a storage that is pickled inside the pickle, and the maximum
length of its header.
"""
# the size from which on bytes are returned as a view and not copied
_MIN_VIEW_BYTES = 4096
_MAX_INTEGER_BYTES = 64
_MAX_LINE_BYTES = 1 << 16


class ExhaustedError(UnreadableError):
    """The pickle is longer than the bytes that were passed."""

    code = "pickle-exhausted"


def read_pickle(
    data: bytes,
    start: int = 0,
    *,
    persistent_load: Callable[[Any], Any] | None = None,
    is_nested: bool = False,
) -> tuple[Any, int]:
    r"""Return the contents of the pickle at ``start`` as inert data, and the offset of
    its end.

    Raise `ExhaustedError` if the data ends before the pickle does. Raise
    `UnreadableError` if the bytes are not a pickle, or the pickle requests more than a
    checkpoint can need.

    Parameters
    ----------
    data : the pickle; further bytes may follow it.
    start : the offset of the pickle.
    persistent_load : returns the object for a persistent id (inert data). Without it, a
        pickle with such ids is refused.
    is_nested : whether the pickle is stored inside another one. No further pickle
        inside it is read.

    >>> read_pickle(b"cos\nsystem\n(X\x02\x00\x00\x00lstR.")[0].callee
    PickledGlobal(module='os', name='system')
    """
    machine = _Machine(data, start, persistent_load, is_nested=is_nested)
    # Thousands of new objects would start the garbage collector repeatedly, although
    # none is garbage.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return machine.run(), machine.position
    except (IndexError, struct.error):
        if machine.position >= len(data) - 9:
            raise ExhaustedError("the pickle breaks off") from None
        message = "the pickle is damaged: an instruction finds too little on the stack"
        raise UnreadableError(message, code="damaged-pickle") from None
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise UnreadableError(
            f"the pickle is damaged ({type(error).__name__})", code="damaged-pickle"
        ) from None
    finally:
        if was_enabled:
            gc.enable()


class _Machine:
    __slots__ = (
        "budget",
        "data",
        "is_nested",
        "marks",
        "memo",
        "persistent_load",
        "position",
        "stack",
    )

    def __init__(
        self,
        data: bytes,
        start: int,
        persistent_load: Callable[[Any], Any] | None,
        *,
        is_nested: bool,
    ) -> None:
        self.is_nested = is_nested
        self.data = data
        self.position = start
        self.persistent_load = persistent_load
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.budget = MEMORY_BUDGET_BYTES

    def run(self) -> Any:
        """Return the object that the instructions build.

        The five most frequent instructions are two thirds of those in a checkpoint.
        They are written out here, because calls would take most of their time.
        """
        data, memo = self.data, self.memo
        while (code := data[self.position]) != _STOP:
            self.position += 1
            self.budget -= _STEP_COST
            if code == _LONG_BINPUT:
                index = _U4.unpack_from(data, self.position)[0]
                self.position += _U4.size
                self.budget -= _MEMO_COST
                memo[index] = self.stack[-1]
            elif code == _BINGET:
                self.stack.append(memo[data[self.position]])
                self.position += 1
            elif code == _BININT1:
                self.stack.append(data[self.position])
                self.position += 1
            elif code == _MARK:
                self.marks.append(self.stack)
                self.stack = []
            elif code == _TUPLE:
                items = self.pop_mark()
                self.push(tuple(items), _ITEM_COST * len(items))
            else:
                _HANDLERS[code](self)
            if self.budget < 0:
                self.charge(0)
        self.position += 1
        return self.stack.pop()

    def push(self, value: Any, cost: int = 0) -> None:
        self.budget -= cost
        self.stack.append(value)

    def put(self, index: int) -> None:
        self.budget -= _MEMO_COST
        self.memo[index] = self.stack[-1]

    def charge(self, cost: int) -> None:
        """Charge the cost of a large value before it is made.

        Handlers of small values lower the budget directly, because `run` checks it
        after each step.
        """
        self.budget -= cost
        if self.budget < 0:
            message = (
                f"the pickle would take more than {MEMORY_BUDGET_BYTES // 1_000_000} MB"
                " of memory"
            )
            raise UnreadableError(message, code="pickle-too-large")

    def view(self, size: int) -> memoryview:
        """Return a view of the pickle's next bytes, which takes no memory."""
        begin = self.position
        self.position += size
        if self.position > len(self.data):
            self.position = len(self.data)
            raise ExhaustedError("the pickle breaks off inside a value")
        return memoryview(self.data)[begin : self.position]

    def number(self, layout: struct.Struct) -> Any:
        value = layout.unpack_from(self.data, self.position)[0]
        self.position += layout.size
        return value

    def line(self) -> bytes:
        end = self.data.find(b"\n", self.position, self.position + _MAX_LINE_BYTES)
        if end < 0:
            if len(self.data) - self.position < _MAX_LINE_BYTES:
                self.position = len(self.data)
                raise ExhaustedError("the pickle breaks off inside a line")
            raise UnreadableError(
                "the pickle holds a line that is too long", code="damaged-pickle"
            )
        taken = self.data[self.position : end]
        self.position = end + 1
        return taken

    def global_in_lines(self) -> PickledGlobal:
        module, name = self.line(), self.line()
        return PickledGlobal(module.decode("utf-8"), name.decode("utf-8"))

    def pop_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.marks.pop()
        return items


_Handler = Callable[[_Machine], object]
_NESTED_STORAGE = PickledGlobal("torch.storage", "_load_from_bytes")
_STOP, _MARK, _TUPLE = ord("."), ord("("), ord("t")
_BININT1, _BINGET, _LONG_BINPUT = ord("K"), ord("h"), ord("r")
_U1, _U2, _U4, _U8, _I4 = (
    struct.Struct(layout) for layout in ("<B", "<H", "<I", "<Q", "<i")
)
_F8 = struct.Struct(">d")


def _unknown(m: _Machine) -> None:
    message = (
        f"not a pickle of a checkpoint: instruction {m.data[m.position - 1]:#04x} at"
        f" byte {m.position - 1}"
    )
    raise UnreadableError(message, code="unknown-opcode")


def _protocol(m: _Machine) -> None:
    if m.number(_U1) > 5:
        raise UnreadableError(
            "a pickle of an unknown protocol", code="unknown-protocol"
        )


def _text_integer(m: _Machine) -> None:
    text = m.line().rstrip(b"L")
    m.push(text == b"01" if text in (b"00", b"01") else _integer(text))


def _integer(text: bytes) -> int:
    _require_short(len(text))
    return int(text)


def _require_short(size: int) -> None:
    if size > _MAX_INTEGER_BYTES:
        raise UnreadableError(
            "the pickle holds an integer that is too long", code="integer-too-long"
        )


def _long(m: _Machine, layout: struct.Struct) -> None:
    size = m.number(layout)
    _require_short(size)
    m.push(int.from_bytes(m.view(size), "little", signed=True))


def _bytes(m: _Machine, layout: struct.Struct) -> None:
    size = m.number(layout)
    if size < _MIN_VIEW_BYTES:
        m.push(bytes(m.view(size)), size)
    else:
        m.push(m.view(size))


def _string(
    m: _Machine, layout: struct.Struct, encoding: str = "utf-8", character_cost: int = 4
) -> None:
    size = m.number(layout)
    m.push(str(m.view(size), encoding, "surrogatepass"), character_cost * size)


def _pop(m: _Machine) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.pop_mark()


def _tuple(m: _Machine, count: int) -> None:
    if len(m.stack) < count:
        raise IndexError
    m.stack[-count:] = (tuple(m.stack[-count:]),)


def _marked(
    m: _Machine, make: Callable[[list[Any]], Any], cost: int, item_cost: int
) -> None:
    items = m.pop_mark()
    m.push(make(items), cost + item_cost * len(items))


def _marked_dict(m: _Machine) -> None:
    items = m.pop_mark()
    m.push({}, _OBJECT_COST)
    _set_items(m, items)


def _object(m: _Machine, callee: Any, *args: Any) -> None:
    m.push(PickledObject(callee, args), _OBJECT_COST)


def _extend(m: _Machine, items: list[Any]) -> None:
    target = m.stack[-1]
    if isinstance(target, PickledObject):
        target.items = target.items or []
        target = target.items
    if isinstance(target, set):
        target.update(filter(is_key, items))
    elif isinstance(target, list):
        target.extend(items)
    else:
        raise TypeError


def _set_items(m: _Machine, items: list[Any]) -> None:
    target = m.stack[-1]
    m.charge(32 * len(items))
    if isinstance(target, PickledObject):
        target.items = target.items or []
        target.items.extend(zip(items[::2], items[1::2], strict=True))
        return
    if not isinstance(target, dict):
        raise TypeError
    for key, value in zip(items[::2], items[1::2], strict=True):
        if is_key(key):
            target[key] = value


def _stack_global(m: _Machine) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise TypeError
    m.push(PickledGlobal(module, name))


def _reduce(m: _Machine) -> None:
    args, callee = m.stack.pop(), m.stack.pop()
    maker, cost = None, _OBJECT_COST
    if isinstance(callee, PickledGlobal) and isinstance(args, tuple):
        maker = HARMLESS.get(callee)
        if callee == _NESTED_STORAGE and not m.is_nested and len(args) == 1:
            maker, cost = _read_nested_storage, _NESTED_STORAGE_COST
        elif maker is not None:
            cost += 8 * len(args)
            if maker not in CHEAP:  # shared elements count each time they are visited
                for argument in args:
                    if isinstance(argument, list | tuple | set):
                        cost += 64 * len(argument)
                    elif isinstance(argument, str | bytes):
                        cost += len(argument)
    m.charge(cost)
    value = None if maker is None else maker(*args)
    m.stack.append(PickledObject(callee, args) if value is None else value)


def _read_nested_storage(data: Any) -> Any:
    """Return the storage that ``pickle.dump`` of a tensor packs into bytes, as a
    complete legacy file of ``torch.save``.
    """
    if not isinstance(data, bytes | memoryview):
        raise TypeError
    head, end, storage = bytes(data[:_MAX_NESTED_HEAD_BYTES]), 0, None
    for _ in range(5):  # magic number, protocol, system, the storage, its key
        value, end = read_pickle(head, end, persistent_load=storage_of, is_nested=True)
        if isinstance(value, Storage):
            storage = value
    if (
        storage is None
        or len(data) < end + 8
        or int.from_bytes(data[end : end + 8], "little") != storage.size
    ):
        raise UnreadableError(
            "a storage within the pickle is damaged", code="damaged-storage"
        )
    return storage._replace(read=PartReader(read_part, data[end + 8 :]))


def _build(m: _Machine) -> None:
    state = m.stack.pop()
    if isinstance(m.stack[-1], PickledObject):
        m.stack[-1].state = state


def _persistent_id(m: _Machine) -> None:
    if m.persistent_load is None:
        raise UnreadableError(
            "the pickle refers to data outside itself", code="persistent-id"
        )
    m.push(m.persistent_load(m.stack.pop()))


_BY_CODE: dict[str, _Handler] = {
    "\x80": _protocol,
    "\x95": lambda m: m.view(8),
    "0": _pop,
    "1": _Machine.pop_mark,
    "2": lambda m: m.push(m.stack[-1]),
    "N": lambda m: m.stack.append(None),
    "\x88": lambda m: m.stack.append(True),
    "\x89": lambda m: m.stack.append(False),
    "I": _text_integer,
    "L": _text_integer,
    "M": lambda m: m.push(m.number(_U2)),
    "J": lambda m: m.push(m.number(_I4)),
    "\x8a": lambda m: _long(m, _U1),
    "\x8b": lambda m: _long(m, _U4),
    "F": lambda m: m.push(float(m.line()[:_MAX_INTEGER_BYTES])),
    "G": lambda m: m.push(m.number(_F8)),
    "S": lambda m: m.push(m.line().strip(b"'\"").decode("latin-1")),
    "T": lambda m: _string(m, _U4, "latin-1", 1),
    "U": lambda m: _string(m, _U1, "latin-1", 1),
    "V": lambda m: m.push(m.line().decode("raw-unicode-escape")),
    "X": lambda m: _string(m, _U4),
    "\x8c": lambda m: _string(m, _U1),
    "\x8d": lambda m: _string(m, _U8),
    "B": lambda m: _bytes(m, _U4),
    "C": lambda m: _bytes(m, _U1),
    "\x8e": lambda m: _bytes(m, _U8),
    "\x96": lambda m: _bytes(m, _U8),
    ")": lambda m: m.push((), _OBJECT_COST),
    "]": lambda m: m.push([], _OBJECT_COST),
    "}": lambda m: m.push({}, _OBJECT_COST),
    "\x8f": lambda m: m.push(set(), _OBJECT_COST),
    "\x85": lambda m: _tuple(m, 1),
    "\x86": lambda m: _tuple(m, 2),
    "\x87": lambda m: _tuple(m, 3),
    "l": lambda m: _marked(m, list, 0, _ITEM_COST),
    "d": _marked_dict,
    "\x91": lambda m: _marked(
        m, lambda items: set(filter(is_key, items)), _OBJECT_COST, 64
    ),
    "a": lambda m: _extend(m, [m.stack.pop()]),
    "e": lambda m: _extend(m, m.pop_mark()),
    "\x90": lambda m: _extend(m, m.pop_mark()),
    "s": lambda m: _set_items(m, [m.stack.pop(-2), m.stack.pop()]),
    "u": lambda m: _set_items(m, m.pop_mark()),
    "p": lambda m: m.put(_integer(m.line())),
    "q": lambda m: m.put(m.number(_U1)),
    "\x94": lambda m: m.put(len(m.memo)),
    "g": lambda m: m.push(m.memo[_integer(m.line())]),
    "j": lambda m: m.stack.append(m.memo[m.number(_U4)]),
    "c": lambda m: m.push(m.global_in_lines()),
    "\x93": _stack_global,
    "R": _reduce,
    "\x81": _reduce,  # NEWOBJ
    "\x92": lambda m: m.push(
        PickledObject(state=m.stack.pop(), args=m.stack.pop(), callee=m.stack.pop()),
        _OBJECT_COST,
    ),
    "i": lambda m: _object(m, m.global_in_lines(), *m.pop_mark()),
    "o": lambda m: _object(m, *m.pop_mark()),
    "b": _build,
    "Q": _persistent_id,
}
_HANDLERS: list[_Handler] = [_BY_CODE.get(chr(code), _unknown) for code in range(256)]
