"""HDF5: what h5py writes is read as h5py reads it, bit for bit; what is damaged or lies is refused, within bounds."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from bounded import scanned
from counting import calls
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dsi_cli.checkpoints.formats.hdf5.file import File, Group
from dsi_cli.checkpoints.formats.hdf5.groups import links
from dsi_cli.checkpoints.formats.hdf5.headers import Message, read_header
from dsi_cli.checkpoints.formats.hdf5.messages import (
    LAYOUT,
    LINK_INFO,
    Layout,
    attribute_of,
    filters_of,
    kind_of,
    layout_of,
    link_of,
    shape_of,
)
from dsi_cli.checkpoints.formats.hdf5.ranges import Ranges, damage_named
from dsi_cli.checkpoints.scan import require_file, scan
from dsi_cli.checkpoints.source import Source
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import CheckpointError, PendingError, UnreadableError

h5py = pytest.importorskip("h5py")

LIBVERS = ["earliest", ("v108", "v108"), "latest"]
DTYPES = ["f2", "f4", "f8", ">f2", ">f4", ">f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i4", ">u8"]


def values(dtype: str, shape: tuple[int, ...] = (5, 7)) -> np.ndarray:
    return (np.arange(np.prod(shape)).reshape(shape) * 3 - 7).astype(np.dtype(dtype))


def flat(group: Group, prefix: str = "") -> dict[str, Tensor]:
    """Return the arrays of a group by path."""
    found = {}
    for name, node in group.members.items():
        found |= flat(node, f"{prefix}{name}/") if isinstance(node, Group) else {f"{prefix}{name}": node}
    return found


def read_all(path: Path) -> dict[str, np.ndarray]:
    with Source(path) as source:
        file = File(source)
        return {name: file.read(one) for name, one in flat(file.root).items()}


def require_same(path: Path) -> int:
    """Check all arrays of a file against h5py's own reading; return how many there are."""
    found = read_all(path)
    with h5py.File(path) as file:
        wanted = {}
        file.visititems(lambda name, one: wanted.update({name: one[()]}) if isinstance(one, h5py.Dataset) else None)
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        assert_array_equal(found[name], array, err_msg=name)
        assert found[name].size == 0 or found[name].dtype == array.dtype.newbyteorder("=")
    return len(wanted)


# What h5py writes.


@pytest.mark.parametrize("libver", LIBVERS)
def test_every_type_is_read_exactly(libver, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w", libver=libver) as file:
        for dtype in DTYPES:
            file.create_group(dtype.replace(">", "big"))["x"] = values(dtype)
        special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-7])
        file.create_group("special")["x"] = special
    if libver == "earliest":
        assert require_same(tmp_path / "x.h5") == len(DTYPES) + 1
    else:
        with pytest.raises(UnreadableError, match=r"many names in the form of libver='latest'"):
            read_all(tmp_path / "x.h5")


@pytest.mark.parametrize("libver", LIBVERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_type_in_each_version_of_the_format(libver, dtype, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w", libver=libver) as file:
        file["a/b/x"] = values(dtype)
        file["a/scalar"] = values(dtype)[1, 1]
        file["a/none"] = np.zeros((0, 4), dtype)
    assert require_same(tmp_path / "x.h5") == 3


@pytest.mark.parametrize("libver", LIBVERS)
def test_compact_and_null_arrays(libver, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w", libver=libver) as file:
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((5, 7))
        one = h5py.h5d.create(file.id, b"compact", h5py.h5t.IEEE_F32LE, space, compact)
        one.write(h5py.h5s.ALL, h5py.h5s.ALL, values("f4"))
        file["null"] = h5py.Empty("f4")
    found = read_all(tmp_path / "x.h5")
    assert_array_equal(found["compact"], values("f4"))
    assert found["null"].shape == (0,)


CHUNKED = {
    "plain": {},
    "deflated": {"compression": "gzip"},
    "shuffled": {"compression": "gzip", "shuffle": True},
    "checked": {"fletcher32": True},
    "all": {"compression": 9, "shuffle": True, "fletcher32": True},
}


@pytest.mark.parametrize("kind", CHUNKED)
@pytest.mark.parametrize("dtype", ["f4", ">f8", "f2"])
def test_chunks_are_put_together(kind, dtype, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("even", data=values(dtype, (12, 8)), chunks=(4, 4), **CHUNKED[kind])
        file.create_dataset("edges", data=values(dtype, (11, 7, 5)), chunks=(4, 3, 5), **CHUNKED[kind])
        file.create_dataset("many", data=values(dtype, (500, 9)), chunks=(1, 4), **CHUNKED[kind])
        file.create_dataset("one", data=values(dtype, (9,)), chunks=(9,), **CHUNKED[kind])
    assert require_same(tmp_path / "x.h5") == 4


@pytest.mark.parametrize("kind", CHUNKED)
def test_a_single_chunk_of_the_newest_form(kind, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as file:
        file.create_dataset("x", data=values("f4"), chunks=(5, 7), **CHUNKED[kind])
    assert require_same(tmp_path / "x.h5") == 1


def test_several_chunks_of_the_newest_form_are_named_as_not_read(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as file:
        file.create_dataset("x", data=values("f4"), chunks=(2, 7))
    with pytest.raises(UnreadableError, match="chunks that are listed in the form of libver='latest'"):
        read_all(tmp_path / "x.h5")


def test_an_unknown_filter_is_named(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=values("f4"), compression="lzf")
    with pytest.raises(UnreadableError, match="compressed by HDF5's filter 32000, which is not read"):
        read_all(tmp_path / "x.h5")


def test_chunks_that_were_never_written_are_named(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", (8, 8), "f4", chunks=(4, 4))[:4] = 1
    with pytest.raises(UnreadableError, match="2 of 4 chunks were never written"):
        read_all(tmp_path / "x.h5")


def test_an_array_that_was_never_written_is_named(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", (8, 8), "f4")
    with pytest.raises(UnreadableError, match="never written, or lie in another file"):
        read_all(tmp_path / "x.h5")


def test_many_groups_in_a_deep_tree_of_names(tmp_path):
    """3000 names take B-trees of three levels, and several blocks of an object's header for the attributes."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for number in range(3000):
            file.create_group(f"group_{number:05d}").attrs["n"] = "x" * (number % 50)
        for number in range(40):
            file["group_00007"].attrs[f"name_{number}"] = f"value {number}"
        file["group_00007/x"] = values("f4")
    with Source(tmp_path / "x.h5") as source:
        file = File(source)
        assert list(file.root.members) == sorted(f"group_{number:05d}" for number in range(3000))
        seventh = file.root.members["group_00007"]
        assert file.text(seventh, "name_39") == ["value 39"]
        assert_array_equal(file.read(seventh.members["x"]), values("f4"))


@pytest.mark.parametrize("libver", LIBVERS)
def test_texts_of_every_kind(libver, tmp_path):
    texts = {
        "python": "größe",
        "bytes": b"plain",
        "fixed": np.bytes_("fixed"),
        "list": [b"conv2d", b"dense", b"dense_1"],
        "objects": ["a", "longer text", ""],
        "array": np.array([b"x", b"yy"], dtype="S8"),
    }
    with h5py.File(tmp_path / "x.h5", "w", libver=libver) as file:
        for name, text in texts.items():
            file.attrs[name] = text
        file.attrs["number"] = 3
    with Source(tmp_path / "x.h5") as source:
        file = File(source)
        for name, text in texts.items():
            listed = list(text) if isinstance(text, list | np.ndarray) else [text]
            wanted = [one.decode() if isinstance(one, bytes) else one for one in listed]
            assert file.text(file.root, name) == wanted
        assert file.text(file.root, "number") == []
        assert file.text(file.root, "missing") == []


def test_a_text_longer_than_a_header_can_be(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["long"] = "y" * 1_000_000
    with Source(tmp_path / "x.h5") as source:
        file = File(source)
        assert file.text(file.root, "long") == ["y" * 1_000_000]


def test_bfloat16_stands_as_two_bytes_without_meaning(tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = values("f4").astype(ml_dtypes.bfloat16)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = array
    assert_array_equal(read_all(tmp_path / "x.h5")["x"], values("f4"))


def test_elements_that_are_no_numbers_do_not_hide_the_others(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["words"] = np.array(["a", "b"], dtype=h5py.string_dtype())
        file["pairs"] = np.zeros(3, dtype=[("a", "f4"), ("b", "i8")])
        file["complex"] = np.zeros(3, dtype="c8")
        file["kind"] = np.dtype("f4")
        file.create_dataset("typed", (2,), dtype=file["kind"])
        file["x"] = values("f4")
    with Source(tmp_path / "x.h5") as source:
        file = File(source)
        assert set(file.root.members) == {"words", "pairs", "complex", "kind", "typed", "x"}
        assert_array_equal(file.read(file.root.members["x"]), values("f4"))
        for name in ("words", "pairs", "typed"):
            with pytest.raises(UnreadableError, match=r"elements of type '.+' are not read"):
                file.read(file.root.members[name])


def test_links_that_are_no_hard_ones_are_passed_over(tmp_path):
    for libver in LIBVERS:
        with h5py.File(tmp_path / "x.h5", "w", libver=libver) as file:
            file["x"] = values("f4")
            file["again"] = file["x"]
            file["soft"] = h5py.SoftLink("/x")
            file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/x")
        assert set(read_all(tmp_path / "x.h5")) >= {"x", "again"}
        assert not {"soft", "elsewhere"} & set(read_all(tmp_path / "x.h5"))


def test_names_in_the_order_of_their_making_where_the_file_has_it(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w", track_order=True) as file:
        for name in ("z", "a", "m"):
            file[name] = values("f4")
    assert list(read_all(tmp_path / "x.h5")) == ["z", "a", "m"]


@pytest.mark.parametrize(
    ("body", "layout"),
    [
        (struct.pack("<BBB5xQII", 1, 2, 1, 800, 5, 7), Layout(140, 800)),
        (struct.pack("<BBB5xQIII", 1, 3, 2, 800, 2, 3, 4), Layout(0, 800, chunk=(2, 3))),
        (struct.pack("<BBB5xIII", 2, 2, 0, 5, 7, 140) + b"x" * 140, Layout(140, held=b"x" * 140)),
    ],
)
def test_layouts_of_old_libraries(body, layout):
    """Versions 1 and 2 (before HDF5 1.6.3), which h5py does not write any more."""
    assert layout_of(body, (5, 7), 4) == layout


# Little is asked for.


def test_little_of_a_large_file_is_asked_for(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["body"] = np.zeros(5_000_000, "f4")
        file["head"] = values("f4")
        file["optimizer/moments"] = np.zeros(5_000_000, "f4")
    with Source(tmp_path / "x.h5") as source:
        file = File(source, passed_over=frozenset({"optimizer"}))
        assert_array_equal(file.read(file.root.members["head"]), values("f4"))
        assert set(file.root.members) == {"body", "head"}
        assert source.size > 40_000_000
        assert source.asked < 5_000


# Damage and lies.


@pytest.fixture
def written(tmp_path) -> Path:
    """Return a file with all that is read: groups, attributes of both kinds, three layouts."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = '{"class_name": "Sequential"}'
        file.attrs["layer_names"] = [b"dense", b"dense_1"]
        for number in range(12):
            file[f"layers/dense_{number}/vars/0"] = values("f4", (3, 4))
            file[f"layers/dense_{number}/vars/1"] = values("f4", (4,))
        file.create_dataset("chunked", data=values("f4", (9, 7)), chunks=(4, 4), compression="gzip", shuffle=True)
    return path


def test_a_file_cut_anywhere_is_pending(written):
    data = written.read_bytes()
    for cut in sorted({*range(8, len(data), 97), *range(8, 200), len(data) - 1}):
        written.write_bytes(data[:cut])
        with pytest.raises(PendingError, match=r"ends at byte|breaks off"):
            read_all(written)


def test_a_file_that_is_open_for_writing_is_pending(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as file:
        file["x"] = values("f4")
        file.flush()
        data = (tmp_path / "x.h5").read_bytes()
    (tmp_path / "copy.h5").write_bytes(data)
    with pytest.raises(PendingError, match=r"marked as open for writing|ends at byte"):
        read_all(tmp_path / "copy.h5")


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@given(edits=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=6))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_bytes_are_read_or_a_checkpoint_error(libver, tmp_path, edits):
    path, kept = tmp_path / "x.h5", tmp_path / f"{libver}.kept"
    if not kept.exists():
        with h5py.File(kept, "w", libver=libver) as file:
            file.attrs["layer_names"] = [b"dense"]
            file.attrs["model_config"] = "{}"
            file["layers/dense/vars/0"] = values("f4")
            file.create_dataset("c", data=values("f4"), chunks=(5, 7), compression="gzip", shuffle=True)
    data = bytearray(kept.read_bytes())
    full = [at for at, byte in enumerate(data) if byte]
    for place, value in edits:
        # Most of a small file is empty: three quarters of the edits go to what says something.
        data[full[place % len(full)] if place % 4 else place % len(data)] = value
    path.write_bytes(data)
    with suppress(CheckpointError):
        assert all(isinstance(array, np.ndarray) for array in read_all(path).values())
    record = scan(require_file(path)).record
    assert record.status in ("ok", "failed", "pending")
    assert "cannot be read (" not in (record.reason or "")


def patched(path: Path, at: int, new: bytes) -> Path:
    data = bytearray(path.read_bytes())
    data[at : at + len(new)] = new
    path.write_bytes(data)
    return path


def test_a_group_that_holds_itself_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/b"] = values("f4")
        file["a/itself"] = file["a"]
    with pytest.raises(UnreadableError, match="is reached in two ways"):
        read_all(tmp_path / "x.h5")


def test_a_header_that_continues_in_itself_is_refused():
    block = struct.pack("<HHB3xQQ", 0x10, 16, 0, 16, 24)
    header = struct.pack("<BxHIIxxxx", 1, 9, 1, 24) + block
    with pytest.raises(UnreadableError, match="is reached in two ways"):
        read_header(Ranges(_Memory(header)), 0)


class _Memory:
    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def read_at(self, offset: int, size: int) -> bytes:
        return self.data[offset : offset + size]

    def memory_at(self, offset: int, size: int) -> memoryview:
        return memoryview(bytearray(self.read_at(offset, size)))


def _offset_of(path: Path, name: str) -> int:
    with h5py.File(path) as file:
        return h5py.h5o.get_info(file[name].id).addr


def test_a_lying_shape_is_refused_before_anything_is_read(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["x"] = values("f4")
    data = path.read_bytes()
    shape = struct.pack("<2Q", 5, 7)
    at = data.index(shape)
    patched(path, at, struct.pack("<2Q", 1 << 40, 7))
    with pytest.raises(UnreadableError, match="does not fit its storage of 140 bytes"):
        read_all(path)


def test_a_lying_size_is_refused_before_anything_is_read(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["x"] = values("f4")
        offset = file["x"].id.get_offset()
    data = path.read_bytes()
    at = data.index(struct.pack("<QQ", offset, 140))
    patched(path, at, struct.pack("<QQ", 1 << 50, 140))
    with pytest.raises(UnreadableError, match="damaged: it points to byte 1125899906842764"):
        read_all(path)


def test_chunks_of_absurd_size_are_refused(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (1 << 20, 1 << 20), "f4", chunks=(1 << 10, 1 << 10), compression="gzip")[:1, :1] = 1
    with pytest.raises(UnreadableError, match="up to 20000 chunks and 64 MB are read"):
        read_all(path)


def test_a_deflated_bomb_stays_within_bounds(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.zeros((4000, 4000), "f4"), chunks=(4000, 4000), compression="gzip")
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    assert read_all(path)["x"].shape == (4000, 4000)
    assert tracemalloc.get_traced_memory()[1] < 250_000_000
    tracemalloc.stop()


BEGINS = {
    "version": (8, b"\x09", "an HDF5 superblock of version 9; up to 3 are read"),
    "widths": (13, b"\x04", "addresses that are not 8 bytes"),
    "base": (24, b"\x08", "counted from its begin"),
    "root": (64, b"\x01", "no object of HDF5 stands at byte|breaks off|damaged"),
    "signature": (0, b"\x88", "does not begin with the signature"),
}


@pytest.mark.parametrize("name", BEGINS)
def test_a_damaged_beginning_says_what_is_wrong(name, written):
    at, new, message = BEGINS[name]
    with pytest.raises(UnreadableError, match=message):
        read_all(patched(written, at, new))


def test_messages_that_lie():
    with pytest.raises(UnreadableError, match="an array of 200 dimensions"):
        shape_of(bytes([1, 200, 0, 0]))
    with pytest.raises(UnreadableError, match=r"put together from other files \(virtual\)"):
        layout_of(bytes([3, 3]), (), 4)
    with pytest.raises(UnreadableError, match="layout of version 9"):
        layout_of(bytes([9, 3]), (), 4)
    for decode in (link_of, filters_of, attribute_of, shape_of, kind_of, lambda body: layout_of(body, (), 4)):
        with pytest.raises(UnreadableError, match="one of its HDF5 records breaks off"), damage_named():
            decode(b"")
    dense = Message(LINK_INFO, False, struct.pack("<BBQQ", 0, 0, 500, 600))
    with pytest.raises(UnreadableError, match="dense links"):
        list(links(Ranges(_Memory(b"")), [dense]))
    assert not list(links(Ranges(_Memory(b"")), [Message(LAYOUT, False, b"")]))


def hostile_header(count: int) -> bytes:
    """Return a root group of 10 MB: nothing but messages without a body."""
    messages = struct.pack("<HHB3x", 0x0D, 0, 0) * count
    header = struct.pack("<BBHIIxxxx", 1, 0, 65535, 1, 24)
    block = struct.pack("<HHB3xQQ", 0x10, 16, 0, 136, len(messages))
    end = 136 + len(messages)
    begin = (
        b"\x89HDF\r\n\x1a\n"
        + struct.pack("<8B", 0, 0, 0, 0, 0, 8, 8, 0)
        + struct.pack("<HHI4Q", 4, 16, 0, 0, 2**64 - 1, end, 2**64 - 1)
    )
    return begin + struct.pack("<QQII16x", 0, 96, 0, 0) + header + block + messages


def test_a_header_of_nothing_but_messages_is_read_as_far_as_its_count(tmp_path):
    path = tmp_path / "x.h5"
    path.write_bytes(hostile_header(1_250_000))
    assert read_all(path) == {}
    assert calls(read_all, path) < 20 * 65_535, "it says itself that it has 65,535 messages"


def test_a_file_of_too_many_names_is_refused(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        one = file.create_dataset("x", data=values("f4"))
        for number in range(60_000):
            file[f"n{number}"] = one
    assert path.stat().st_size < 10_000_000
    with pytest.raises(UnreadableError, match=r"more than 50000 names|in more than 32 MB"):
        read_all(path)


def test_groups_in_groups_have_a_bound(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["/".join("g" * 40) + "/x"] = values("f4")
    with pytest.raises(UnreadableError, match="groups in groups 32 deep"):
        read_all(tmp_path / "x.h5")


@pytest.mark.parametrize("options", [{"compression": "gzip"}, {"chunks": (3, 4)}, {"chunks": (12, 12), "maxshape": (None, None)},
    {"compression": "gzip", "shuffle": True, "chunks": (4, 4), "maxshape": (None, None)}, {}])  # fmt: skip
@pytest.mark.parametrize("dtype", ["f4", ">f8"])
def test_a_kernel_is_turned_however_it_is_stored(dtype, options, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", data=values(dtype, (9, 5)), **options)
        file["layers/dense/vars/1"] = values(dtype, (5,))
    found = scan(require_file(tmp_path / "x.h5"))
    assert found.record.reason is None
    with h5py.File(tmp_path / "x.h5") as file:
        assert_array_equal(found.weight, file["layers/dense/vars/0"][()].T)


def test_a_compact_kernel_is_turned(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        group = file.create_group("layers/dense/vars")
        one = h5py.h5d.create(group.id, b"0", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((9, 5)), compact)
        one.write(h5py.h5s.ALL, h5py.h5s.ALL, values("f4", (9, 5)))
    assert_array_equal(scan(require_file(tmp_path / "x.h5")).weight, values("f4", (9, 5)).T)


def test_an_array_in_chunks_is_read_again_and_in_part(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=values("f4"), chunks=(2, 3))
    with Source(tmp_path / "x.h5") as source:
        file = File(source)
        whole = file.root.members["x"]
        for _ in range(2):
            assert_array_equal(file.read(whole), values("f4"))
        assert_array_equal(file.read(whole._replace(shape=(5,), strides=(7,), offset=2)), values("f4")[:, 2])


# Little that asks for much.


def chunks_of_one_stream(path: Path, size: int, count: int, width: int, real: int | None = None) -> Path:
    """Write chunks of one dataset and then let the entries of all of them name the first one's bytes."""
    stream = zlib.compress(bytes(width * 4)) + bytes(size)
    with h5py.File(path, "w") as file:
        made = file.create_dataset("layers/dense/vars/0", (count, width), "f4", chunks=(1, width), compression="gzip")
        made.id.write_direct_chunk((0, 0), stream)
        first = made.id.get_chunk_info(0)
        for row in range(1, count):
            made.id.write_direct_chunk((row, 0), b"x" * 20)
        places = {made.id.get_chunk_info_by_coord((row, 0)).byte_offset for row in range(1, count)}
    data = bytearray(path.read_bytes())
    at = data.find(b"TREE\1")
    while at >= 0:
        if data[at + 5] == 0:
            for entry in range(int.from_bytes(data[at + 6 : at + 8], "little")):
                key = at + 24 + entry * 40
                if int.from_bytes(data[key + 32 : key + 40], "little") in places:
                    data[key : key + 4] = (real or first.size).to_bytes(4, "little")
                    data[key + 32 : key + 40] = first.byte_offset.to_bytes(8, "little")
        at = data.find(b"TREE\1", at + 1)
    path.write_bytes(data)
    return path


@pytest.mark.slow
def test_chunks_that_all_name_one_stream_are_not_all_read(tmp_path):
    path = chunks_of_one_stream(tmp_path / "x.h5", 7_000_000, 19_000, 2)
    assert "a chunk of 8 bytes that takes 70000" in scanned(path)[1]
    path = chunks_of_one_stream(tmp_path / "y.h5", 1000, 19_000, 2)
    assert "the chunks of an array have more bytes than the file" in scanned(path)[1]


def test_a_filter_many_times_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((4000, 4000))
        for _ in range(30):
            made.set_shuffle()
        made.set_deflate(9)
        group = file.create_group("layers/dense/vars")
        one = h5py.h5d.create(group.id, b"0", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((4000, 4000)), made)
        one.write(h5py.h5s.ALL, h5py.h5s.ALL, np.zeros((4000, 4000), "f4"))
    assert "through one filter twice" in scanned(tmp_path / "x.h5")[1]


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "V2"])
def test_the_largest_array_in_one_chunk_stays_within_bounds(dtype, tmp_path):
    side = 2890 if dtype == "f8" else 4090
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", data=np.zeros((side, side), dtype), chunks=(side, side),
                            compression="gzip", shuffle=True)  # fmt: skip
    assert scanned(tmp_path / "x.h5")[0] == "ok"


def test_names_that_share_their_letters_are_counted(tmp_path):
    """Fifty thousand names of a thousand letters out of one heap of fifty thousand."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        for number in range(40_000):
            file[f"{number:05d}"] = file["00000"] if number else values("f4")
    data = bytearray(path.read_bytes())
    text = b"1a" * 30_000
    heap = len(data)
    data += text + b"\0"
    data = data.replace(struct.pack("<Q", len(path.read_bytes())), struct.pack("<Q", len(data)))
    at = data.find(b"HEAP")
    data[at + 8 : at + 16], data[at + 24 : at + 32] = struct.pack("<Q", len(text) + 1), struct.pack("<Q", heap)
    at, place = data.find(b"SNOD"), 0
    while at >= 0:
        for entry in range(int.from_bytes(data[at + 6 : at + 8], "little")):
            struct.pack_into("<Q", data, at + 8 + 40 * entry, len(text) - 2 - place % 1000)
            place += 1
        at = data.find(b"SNOD", at + 4)
    path.write_bytes(data)
    assert "more than 32 MB" in scanned(path)[1]


def test_a_long_name_of_a_layer_is_not_repeated_by_what_lies_below(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_group("layers/dense/vars").attrs["name"] = "y" * 4_000_000
        for number in range(2500):
            file.create_group(f"layers/dense/g{number}")
        file["layers/dense/vars/0"] = values("f4")
    assert "a parameter with a name of 4000008 letters" in scanned(tmp_path / "x.h5")[1]


def test_shapes_that_cannot_be_are_refused():
    with pytest.raises(UnreadableError, match="cannot be"):
        shape_of(struct.pack("<BBBB3Q", 2, 3, 0, 1, 1 << 40, 1 << 40, 0))
