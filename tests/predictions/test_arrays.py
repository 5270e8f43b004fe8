"""NPY and NPZ: whatever lies in a file, it is read inertly or refused in one line."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dsi_cli.errors import UsageError
from dsi_cli.predictions import arrays
from dsi_cli.predictions.arrays import load


def npy(header: str, data: bytes = b"") -> bytes:
    body = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body + data


def described(descr: str = "'<i8'", shape: str = "(2,)", order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}"


def of(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(6, dtype=">u2"),
        np.array(["cat", "aquarium"]),
        np.array(3),
        np.zeros((0, 4)),
    ],
)
def test_arrays_are_numpys(save, array):
    assert_array_equal(load(save("a.npy", array))[""], array)
    assert_array_equal(load(save("a.npz", {"X": array}))["x"], array)


def test_a_compressed_archive_is_read(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(10_000, dtype=int))
    assert_array_equal(load(tmp_path / "a.npz")["a"], np.zeros(10_000))


class Bomb:
    """Unpickling one fails the test."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found an empty file"),
        (b"cat\n", r"expected a NumPy array, found none \(.*magic.*\); write it again with numpy.save"),
        (b"\x93NUMPY", "expected a NumPy array, found none"),
        (b"\x93NUMPY\x03\x00\x01\x00\x00\x00\n", "found none .version"),
        (pickle.dumps([1, 2]), "expected a NumPy array, found none"),
        (of(np.arange(9))[:-1], r"expected 72 bytes for an array of shape \(9,\), found a truncated file \(71 bytes\)"),
        (of(np.arange(9))[:40], "expected a NumPy array, found none"),
        (of(np.arange(9)) + of(np.arange(9)), "found more than one array"),
        (of(np.array([Bomb()], dtype=object)), "found Python objects, which are never unpickled"),
        (of(np.zeros(2, dtype=[("a", "i4")])), "expected an array of plain numbers or text, found type"),
        (of(np.zeros(2, dtype="M8[s]")), "expected an array of plain numbers or text, found type datetime64"),
        (npy(described(shape=f"({10**15},)")), "found a truncated file"),
        (npy(described("'<U0'", f"({10**15},)")), "expected an array of plain numbers or text"),
        (npy(described(shape="(-1, 2)")), "found type int64 and shape"),
        (npy(described(shape="(True,)")), "found type int64 and shape|found none"),
        (npy(described("('<i4', (1000000000,))")), "found none .invalid shape"),
        (npy("-" * 5000 + "1"), "found none"),
        (npy("(" * 5000), "found none"),
        (npy("{"), "found none"),
        (npy("7"), "found none"),
        (npy("{'descr': 1, 'fortran_order': 2, 'shape': 3}"), "found none"),
        (b"PK\x03\x04" + bytes(100), "expected an NPZ file, found a damaged one"),
    ],
)
def test_what_is_no_plain_array_is_refused(save, content, message):
    with pytest.raises(UsageError, match=message) as caught:
        load(save("a.npy", content))
    assert "\n" not in str(caught.value)


def zipped(members, compression=zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members:
            # Without the time of day: the bytes are a test's name, which every process that collects it must see alike.
            timeless = zipfile.ZipInfo(name)
            with warnings.catch_warnings(action="ignore"):  # of a name that comes twice
                archive.writestr(timeless, content, compression)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            zipped([("a.npy", of(np.array([Bomb()], dtype=object)))]),
            "array 'a': expected an array of plain numbers or text",
        ),
        (zipped([("a.npy", of(np.arange(9))[:-1])]), "array 'a': expected 72 bytes"),
        (zipped([("a.npy", b"")]), "array 'a': expected a NumPy array, found an empty file"),
        (zipped([("a.npy", of(np.arange(9)))] * 2), "expected each array once, found two named 'a'"),
        (zipped([("a.npy", of(np.arange(9)))])[:-30], "found a damaged one"),
        (zipped([("a.npy", of(np.arange(9)))], 0).replace(b"\x08" + bytes(7), bytes(8)), "found a damaged one .Bad CRC-32"),
    ],
)
def test_what_is_no_plain_archive_is_refused(save, content, message):
    with pytest.raises(UsageError, match=message) as caught:
        load(save("a.npz", content))
    assert "\n" not in str(caught.value)


def test_an_archive_that_unpacks_to_too_much_is_refused(save, monkeypatch):
    path = save("a.npz", zipped([("a.npy", of(np.zeros(10_000)))]))
    monkeypatch.setattr(arrays, "LARGEST", 1000)
    with pytest.raises(UsageError, match="found more; split the file"):
        load(path)


WHOLE = [of(np.arange(20)), zipped([("predictions.npy", of(np.arange(20)))])]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sampled_from(WHOLE), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6), st.integers(0, 400)
)
def test_a_damaged_file_is_read_or_refused_in_one_line(save, whole, changes, cut):
    damaged = bytearray(whole)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    try:
        load(save("a.npz", bytes(damaged[: cut or None])))
    except UsageError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
