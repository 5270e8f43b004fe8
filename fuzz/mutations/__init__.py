"""What is done to a real file: literal tables of functions ``(data, dice) -> data``,
one table a structure.

``plain``    any bytes: bits, pieces, interesting integers
``zips``     the records of a zip archive, and archives that are whole again around
             changed entries
``pickles``  the instructions of pickles
``headers``  JSON texts, alone or as the header of a safetensors file; the header of an
             .npy array
``records``  the length-prefixed records of protobuf (ONNX), msgpack and HDF5

`mutate` looks at the bytes, not at a name, so that an entry of an archive is changed by
its own structure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from fuzz.mutations import headers, pickles, plain, records, zips

Mutation = Callable[[bytes, Random], bytes]
Table = tuple[tuple[str, Mutation], ...]

STRUCTURES: tuple[tuple[str, Callable[[bytes], bool], Table], ...] = (
    ("zip", zips.is_one, zips.MUTATIONS),
    ("safetensors", headers.is_safetensors, headers.SAFETENSORS),
    ("pickle", pickles.is_one, pickles.MUTATIONS),
    ("json", headers.is_json, headers.JSON),
    ("npy", headers.is_npy, headers.NPY),
    ("hdf5", records.is_hdf5, records.HDF5),
    ("records", lambda data: bool(data), records.LENGTHS),
)
"""The first that fits is a file's structure (a header's length may look like a pickle's
beginning).
"""
_STRUCTURED = 0.75
"""How often a change follows the structure; else it is one of plain bytes."""
_CROSSED = 0.03
_DEEPEST = 3


def mutate(
    data: bytes, dice: Random, others: Sequence[bytes], depth: int = 0
) -> tuple[bytes, str]:
    """Return changed bytes and the name of the change; ``others`` are files that a
    piece may come from.
    """
    if others and dice.random() < _CROSSED:
        return plain.cross(data, dice.choice(others), dice), "plain.cross"
    name, _, table = next(
        structure for structure in STRUCTURES if structure[1](data or b"\0")
    )
    if dice.random() >= _STRUCTURED or not data:
        name, table = "plain", plain.MUTATIONS
    if name == "zip" and depth < _DEEPEST and dice.random() < 0.5:
        return _inside(data, dice, others, depth)
    what, change = dice.choice(table)
    return change(data, dice), f"{name}.{what}"


def _inside(
    data: bytes, dice: Random, others: Sequence[bytes], depth: int
) -> tuple[bytes, str]:
    """Return an archive that is whole again around one changed entry: the pickle or
    header more often than the numbers.
    """
    entries = zips.parse(data)
    if not entries:
        return zips.change_field(data, dice), "zip.change-field"
    telling = [entry for entry in entries if zips.tells(entry.name)]
    entry = dice.choice(telling if telling and dice.random() < 0.8 else entries)
    changed, name = mutate(entry.data, dice, others, depth + 1)
    new = [one._replace(data=changed) if one is entry else one for one in entries]
    return zips.write(new), f"zip({entry.name.rpartition('/')[2][:20]}).{name}"
