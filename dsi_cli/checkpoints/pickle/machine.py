"""An inert pickle reader: it builds plain data and stand-ins, and cannot run anything.

A pickle is a program for a small stack machine. Python's own reader runs no code either if its ``find_class`` is
overridden, but it is not bounded: nine bytes can make it take gigabytes. So this is the machine itself, written out:

- a global is a `PickledGlobal` (two strings), a call or an object is a `PickledObject` (what was called, with what, and its state);
- a short literal list of harmless constructors gives plain data instead: ordered dicts, sets, sizes, NumPy scalars, and
  torch's tensor rebuilders, which give `Tensor` records;
- every step is charged to a budget of memory (`BUDGET`), the memo is a dict, dict keys and set members are plain scalars
  (others are dropped with their values), integers are short;
- the result may hold cycles and shared parts: whoever walks it remembers by identity.

Source of the opcodes: Python's ``pickletools`` module.
"""

from __future__ import annotations

import gc
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dsi_cli.checkpoints.pickle.objects import (
    FLAT,
    GROUPS,
    HARMLESS,
    TEXTS,
    PickledGlobal,
    PickledObject,
    is_key,
    storage_of,
)
from dsi_cli.checkpoints.tensors import Storage
from dsi_cli.errors import UnreadableError

BUDGET = 200_000_000
"""Bytes that one pickle may come to in memory, by a generous count."""
_SMALL, _REMEMBERED, _BIG = 64, 128, 256
_PACKED, _PACKED_HEAD = 1 << 15, 2048
"""What a storage within the pickle is charged, since a small pickle is read for it; and how long that may be."""
_LONG = 4096
"""Bytes from which on a value is not copied."""
_LONGEST_INTEGER = 64
_LONGEST_LINE = 1 << 16


class ExhaustedError(UnreadableError):
    """The pickle goes on beyond the bytes at hand."""


def read_pickle(
    data: bytes, start: int = 0, *, persistent: Callable[[Any], Any] | None = None, is_packed: bool = False
) -> tuple[Any, int]:
    r"""Return what the pickle at ``start`` describes, as inert data, and where it ends.

    Parameters
    ----------
    data : bytes
        May go on behind the pickle.
    persistent : callable, optional
        Turns a persistent id (inert data) into the object that it stands for; without it a pickle with such ids is refused.

    is_packed : bool
        Whether it stands within a pickle itself: in it no further one is read.

    Raises
    ------
    ExhaustedError
        The data ends before the pickle does.
    UnreadableError
        The bytes are no pickle, or one that asks for more than a checkpoint can need.

    Examples
    --------
    >>> read_pickle(b"cos\nsystem\n(X\x02\x00\x00\x00lstR.")[0].of
    PickledGlobal(module='os', name='system')
    """
    machine = _Machine(data, start, persistent, is_packed=is_packed)
    try:
        with _without_collection():
            return machine.run(), machine.at
    except (IndexError, struct.error):
        if machine.at >= len(data) - 9:
            raise ExhaustedError("the pickle breaks off") from None
        raise UnreadableError("the pickle is damaged: an instruction finds too little on the stack") from None
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise UnreadableError(f"the pickle is damaged ({type(error).__name__})") from None


@contextmanager
def _without_collection() -> Iterator[None]:
    """Hold the cycle collector still: thousands of new objects would set it off again and again, and none is garbage."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Machine:
    __slots__ = ("at", "budget", "data", "is_packed", "marks", "memo", "persistent", "stack")

    def __init__(self, data: bytes, start: int, persistent: Callable[[Any], Any] | None, *, is_packed: bool) -> None:
        self.is_packed = is_packed
        self.data = data
        self.at = start
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.budget = BUDGET

    def run(self) -> Any:
        """Return what the pickle describes; the three commonest instructions, half of all steps, are written out here."""
        data, table, memo, long = self.data, _HANDLERS, self.memo, _U4.unpack_from
        while (code := data[self.at]) != _STOP:
            self.at += 1
            if code == _LONG_PUT:
                memo[long(data, self.at)[0]] = self.stack[-1]
                self.at += 4
                self.budget -= _REMEMBERED
            elif code == _BYTE_GET:
                self.stack.append(memo[data[self.at]])
                self.at += 1
                self.budget -= _SMALL
            elif code == _BYTE:
                self.stack.append(data[self.at])
                self.at += 1
                self.budget -= _SMALL
            else:
                table[code](self)
            if self.budget < 0:
                self.charge(0)
        self.at += 1
        return self.stack.pop()

    def push(self, value: Any, cost: int = _SMALL) -> None:
        self.budget -= cost
        self.stack.append(value)

    def charge(self, cost: int) -> None:
        """Pay before something large is made; what is small lowers the budget itself, and `run` looks after each step."""
        self.budget -= cost
        if self.budget < 0:
            raise UnreadableError(f"the pickle would take more than {BUDGET // 1_000_000} MB of memory")

    def take(self, size: int) -> bytes:
        end = self.at + size
        if size < 0 or end > len(self.data):
            self.at = len(self.data)
            raise ExhaustedError("the pickle breaks off inside a value")
        found = self.data[self.at : end]
        self.at = end
        return found

    def view(self, size: int) -> memoryview:
        """Return bytes as a part of the pickle's own, which costs no memory."""
        self.at += size
        if self.at > len(self.data):
            self.at = len(self.data)
            raise ExhaustedError("the pickle breaks off inside a value")
        return memoryview(self.data)[self.at - size : self.at]

    def number(self, layout: struct.Struct) -> Any:
        value = layout.unpack_from(self.data, self.at)[0]
        self.at += layout.size
        return value

    def line(self) -> bytes:
        end = self.data.find(b"\n", self.at, self.at + _LONGEST_LINE)
        if end < 0:
            if len(self.data) - self.at < _LONGEST_LINE:
                self.at = len(self.data)
                raise ExhaustedError("the pickle breaks off inside a line")
            raise UnreadableError("the pickle holds an endless line")
        found = self.data[self.at : end]
        self.at = end + 1
        return found

    def pop_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.marks.pop()
        return items


_Handler = Callable[[_Machine], None]
_PACKED_STORAGE = PickledGlobal("torch.storage", "_load_from_bytes")
_STOP, _BYTE, _BYTE_GET, _LONG_PUT = b".Khr"
_U1, _U2, _U4, _U8, _I4 = (struct.Struct(layout) for layout in ("<B", "<H", "<I", "<Q", "<i"))
_F8 = struct.Struct(">d")


# A checkpoint's pickle is some twenty thousand steps, nearly all of a dozen kinds: these make no calls within the machine.


def _unknown(m: _Machine) -> None:
    raise UnreadableError(f"no pickle of a checkpoint: instruction {m.data[m.at - 1]:#04x} at byte {m.at - 1}")


def _proto(m: _Machine) -> None:
    m.charge(_SMALL)
    if m.number(_U1) > 5:
        raise UnreadableError("a pickle of an unknown protocol")


def _frame(m: _Machine) -> None:
    m.charge(_SMALL)
    m.take(8)


def _constant(value: Any) -> _Handler:
    def handler(m: _Machine) -> None:
        m.budget -= _SMALL
        m.stack.append(value)

    return handler


def _numeral(layout: struct.Struct) -> _Handler:
    unpack, width = layout.unpack_from, layout.size

    def handler(m: _Machine) -> None:
        m.budget -= _SMALL
        m.stack += unpack(m.data, m.at)
        m.at += width

    return handler


def _text_integer(m: _Machine) -> None:
    text = m.line().rstrip(b"L")
    m.push({b"00": False, b"01": True}[text] if text in (b"00", b"01") else _integer(text))


def _integer(text: bytes) -> int:
    if len(text) > _LONGEST_INTEGER:
        raise UnreadableError("the pickle holds an integer of absurd length")
    return int(text)


def _long(layout: struct.Struct) -> _Handler:
    def handler(m: _Machine) -> None:
        size = m.number(layout)
        if size > _LONGEST_INTEGER:
            raise UnreadableError("the pickle holds an integer of absurd length")
        m.push(int.from_bytes(m.take(size), "little", signed=True))

    return handler


def _text_float(m: _Machine) -> None:
    m.push(float(m.line()[:_LONGEST_INTEGER]))


def _bytes(layout: struct.Struct) -> _Handler:
    def handler(m: _Machine) -> None:
        size = m.number(layout)
        if size < _LONG:
            m.push(m.take(size), size + _SMALL)
        else:
            m.push(m.view(size))

    return handler


def _string(layout: struct.Struct) -> _Handler:
    unpack, width = layout.unpack_from, layout.size

    def handler(m: _Machine) -> None:
        size = unpack(m.data, m.at)[0]
        m.at += width
        m.budget -= 4 * size + _SMALL
        m.stack.append(m.take(size).decode("utf-8", "surrogatepass"))

    return handler


def _latin(layout: struct.Struct) -> _Handler:
    def handler(m: _Machine) -> None:
        size = m.number(layout)
        m.push(m.take(size).decode("latin-1"), size + _SMALL)

    return handler


def _text_string(m: _Machine) -> None:
    m.push(m.line().strip(b"'\"").decode("latin-1"))


def _text_unicode(m: _Machine) -> None:
    m.push(m.line().decode("raw-unicode-escape"))


def _mark(m: _Machine) -> None:
    m.budget -= _SMALL
    m.marks.append(m.stack)
    m.stack = []


def _pop(m: _Machine) -> None:
    m.charge(_SMALL)
    if m.stack:
        m.stack.pop()
    else:
        m.pop_mark()


def _pop_mark(m: _Machine) -> None:
    m.charge(_SMALL)
    m.pop_mark()


def _dup(m: _Machine) -> None:
    m.push(m.stack[-1])


def _new(make: Callable[[], Any]) -> _Handler:
    return lambda m: m.push(make(), _BIG)


def _tuple(count: int) -> _Handler:
    def handler(m: _Machine) -> None:
        stack = m.stack
        if len(stack) < count:
            raise IndexError
        m.budget -= _SMALL
        stack[-count:] = (tuple(stack[-count:]),)

    return handler


def _marked_tuple(m: _Machine) -> None:
    items = m.pop_mark()
    m.push(tuple(items), 8 * len(items) + _SMALL)


def _marked_list(m: _Machine) -> None:
    items = m.pop_mark()
    m.push(items, 8 * len(items) + _SMALL)


def _marked_dict(m: _Machine) -> None:
    items = m.pop_mark()
    m.push({}, _BIG)
    _set_items(m, items)


def _marked_set(m: _Machine) -> None:
    items = m.pop_mark()
    m.push({item for item in items if is_key(item)}, _BIG + 64 * len(items))


def _append(m: _Machine) -> None:
    _extend(m, [m.stack.pop()])


def _appends(m: _Machine) -> None:
    _extend(m, m.pop_mark())


def _extend(m: _Machine, items: list[Any]) -> None:
    target = m.stack[-1]
    if isinstance(target, PickledObject):
        target.items = target.items or []
        target = target.items
    if isinstance(target, set):
        target.update(item for item in items if is_key(item))
    elif isinstance(target, list):
        target.extend(items)
    else:
        raise TypeError


def _set_item(m: _Machine) -> None:
    value, key = m.stack.pop(), m.stack.pop()
    _set_items(m, [key, value])


def _set_items_marked(m: _Machine) -> None:
    _set_items(m, m.pop_mark())


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


def _text_put(m: _Machine) -> None:
    index = _integer(m.line())
    m.budget -= _REMEMBERED
    m.memo[index] = m.stack[-1]


def _byte_put(m: _Machine) -> None:
    index = m.data[m.at]
    m.at += 1
    m.budget -= _REMEMBERED
    m.memo[index] = m.stack[-1]


def _memoize(m: _Machine) -> None:
    m.budget -= _REMEMBERED
    m.memo[len(m.memo)] = m.stack[-1]


def _get(layout: struct.Struct) -> _Handler:
    unpack, width = layout.unpack_from, layout.size

    def handler(m: _Machine) -> None:
        m.budget -= _SMALL
        m.stack.append(m.memo[unpack(m.data, m.at)[0]])
        m.at += width

    return handler


def _text_get(m: _Machine) -> None:
    m.push(m.memo[_integer(m.line())])


def _global(m: _Machine) -> None:
    module, name = m.line(), m.line()
    m.push(PickledGlobal(module.decode("utf-8"), name.decode("utf-8")))


def _stack_global(m: _Machine) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise TypeError
    m.push(PickledGlobal(module, name))


def _reduce(m: _Machine) -> None:
    args, of = m.stack.pop(), m.stack.pop()
    maker = HARMLESS.get(of) if isinstance(of, PickledGlobal) and isinstance(args, tuple) else None
    if maker in FLAT:
        m.budget -= _BIG + 8 * len(args)
    elif maker is not None:
        m.charge(_cost(args))
    elif of == _PACKED_STORAGE and not m.is_packed and isinstance(args, tuple) and len(args) == 1:
        m.charge(_PACKED)
        m.stack.append(_unpacked(args[0]))
        return
    else:
        m.charge(_BIG)
        m.stack.append(PickledObject(of, args))
        return
    made = maker(*args)
    m.stack.append(PickledObject(of, args) if made is None else made)


def _unpacked(data: Any) -> Any:
    """Return the storage that ``pickle.dump`` of a tensor packs into bytes: a whole legacy file of ``torch.save``."""
    if not isinstance(data, bytes | memoryview):
        raise TypeError
    head, at, found = bytes(data[:_PACKED_HEAD]), 0, None
    for _ in range(5):  # magic number, protocol, system, the storage, its key
        value, at = read_pickle(head, at, persistent=storage_of, is_packed=True)
        found = value if isinstance(value, Storage) else found
    if found is None or len(data) < at + 8 or int.from_bytes(data[at : at + 8], "little") != found.size:
        raise UnreadableError("a storage within the pickle is damaged")
    return found._replace(data=data[at + 8 :])


def _new_object_with_names(m: _Machine) -> None:
    names, args, of = m.stack.pop(), m.stack.pop(), m.stack.pop()
    made = PickledObject(of, args)
    made.state = names
    m.push(made, _BIG)


def _instance(m: _Machine) -> None:
    module, name = m.line(), m.line()
    m.push(PickledObject(PickledGlobal(module.decode("utf-8"), name.decode("utf-8")), tuple(m.pop_mark())), _BIG)


def _object(m: _Machine) -> None:
    items = m.pop_mark()
    m.push(PickledObject(items[0], tuple(items[1:])), _BIG)


def _build(m: _Machine) -> None:
    m.charge(_SMALL)
    state = m.stack.pop()
    if isinstance(m.stack[-1], PickledObject):
        m.stack[-1].state = state


def _persistent_id(m: _Machine) -> None:
    if m.persistent is None:
        raise UnreadableError("the pickle refers to data outside itself")
    m.push(m.persistent(m.stack.pop()))


def _cost(args: tuple[Any, ...]) -> int:
    """Return what a harmless call is charged, before it is made: by what it goes through, however often that is shared."""
    cost = _BIG + 8 * len(args)
    for one in args:
        if isinstance(one, GROUPS):
            cost += 64 * len(one)
        elif isinstance(one, TEXTS):
            cost += len(one)
    return cost


_BY_CODE: dict[str, _Handler] = {
    "\x80": _proto,
    "\x95": _frame,
    "(": _mark,
    "0": _pop,
    "1": _pop_mark,
    "2": _dup,
    "N": _constant(None),
    "\x88": _constant(True),
    "\x89": _constant(False),
    "I": _text_integer,
    "L": _text_integer,
    "M": _numeral(_U2),
    "J": _numeral(_I4),
    "\x8a": _long(_U1),
    "\x8b": _long(_U4),
    "F": _text_float,
    "G": _numeral(_F8),
    "S": _text_string,
    "T": _latin(_U4),
    "U": _latin(_U1),
    "V": _text_unicode,
    "X": _string(_U4),
    "\x8c": _string(_U1),
    "\x8d": _string(_U8),
    "B": _bytes(_U4),
    "C": _bytes(_U1),
    "\x8e": _bytes(_U8),
    "\x96": _bytes(_U8),
    ")": _new(tuple),
    "]": _new(list),
    "}": _new(dict),
    "\x8f": _new(set),
    "\x85": _tuple(1),
    "\x86": _tuple(2),
    "\x87": _tuple(3),
    "t": _marked_tuple,
    "l": _marked_list,
    "d": _marked_dict,
    "\x91": _marked_set,
    "a": _append,
    "e": _appends,
    "\x90": _appends,
    "s": _set_item,
    "u": _set_items_marked,
    "p": _text_put,
    "q": _byte_put,
    "\x94": _memoize,
    "g": _text_get,
    "j": _get(_U4),
    "c": _global,
    "\x93": _stack_global,
    "R": _reduce,
    "\x81": _reduce,  # NEWOBJ
    "\x92": _new_object_with_names,
    "i": _instance,
    "o": _object,
    "b": _build,
    "Q": _persistent_id,
}
_HANDLERS: list[_Handler] = [_BY_CODE.get(chr(code), _unknown) for code in range(256)]
