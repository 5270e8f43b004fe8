"""The inert pickle reader: the same plain data as `pickle`, nothing executed,
everything bounded.
"""

import os
import pickle
import subprocess
import sys
import textwrap
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.checkpoint_files import saved_pickle
from helpers.errors import raises
from hypothesis import given, settings
from hypothesis import strategies as st

from dsi_cli.checkpoints.formats.torch_save import storage_of
from dsi_cli.checkpoints.pickle.machine import read_pickle
from dsi_cli.checkpoints.pickle.objects import PickledGlobal, PickledObject
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import UnreadableError

PROTOCOLS = range(6)
KEYS = st.one_of(
    st.text(max_size=20),
    st.integers(-(2**59), 2**59),
    st.binary(max_size=20),
    st.booleans(),
    st.none(),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False),
    st.text(max_size=40),
    st.binary(max_size=40),
    st.sets(KEYS, max_size=4),
    st.frozensets(KEYS, max_size=4),
)
PLAIN = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.dictionaries(KEYS, inner, max_size=5),
        st.dictionaries(KEYS, inner, max_size=5).map(OrderedDict),
    ),
    max_leaves=25,
)


def read(data: bytes) -> object:
    return read_pickle(data)[0]


def _kinds(value: object) -> object:
    """Return the types within a value, for which ``==`` does not ask (True equals 1,
    and 1 equals 1.0).
    """
    if isinstance(value, dict):
        return {key: _kinds(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [_kinds(inner) for inner in value]
    return "set" if isinstance(value, set | frozenset) else type(value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(value=PLAIN)
@settings(max_examples=30, deadline=None)
def test_read_pickle_of_plain_data_equals_pickle_loads(protocol, value):
    data = pickle.dumps(value, protocol)
    found, end = read_pickle(data)
    assert found == pickle.loads(data) == value
    assert _kinds(found) == _kinds(value)
    assert end == len(data)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_read_pickle_of_shared_and_recursive_parts_keeps_identity(protocol):
    inner: list[object] = [1]
    inner.append(inner)
    found = read(pickle.dumps([inner, inner], protocol))
    assert found[0] is found[1]
    assert found[0][1] is found[0]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_read_pickle_of_known_containers_returns_plain_ones(protocol):
    assert read(pickle.dumps(defaultdict(int, a=1), protocol)) == {"a": 1}
    assert read(pickle.dumps(OrderedDict(b=2), protocol)) == {"b": 2}
    assert list(read(pickle.dumps(torch.Size((3, 4)), protocol))) == [3, 4]


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize(
    "kind", ["float64", "float32", "float16", "int64", "int32", "uint8", "bool"]
)
def test_read_pickle_of_numpy_scalars_returns_numbers(protocol, kind):
    value = np.dtype(kind).type(1)
    found = read(pickle.dumps(value, protocol))
    assert found == value.item()
    assert type(found) is type(value.item())


def test_read_pickle_of_encoded_bytes_stays_within_the_budget():
    data = bytes(range(256)) * 40_000
    assert read(pickle.dumps(data, 2)) == data


def test_read_pickle_of_a_state_dict_returns_tensor_records(state_dict):
    found, _ = read_pickle(saved_pickle(state_dict), persistent_load=storage_of)
    assert list(found) == list(state_dict)
    for name, tensor in found.items():
        assert isinstance(tensor, Tensor)
        assert tensor.shape == tuple(state_dict[name].shape)
        assert tensor.strides == state_dict[name].stride()
        assert tensor.dtype == "float32"
        assert tensor.storage.size == state_dict[name].untyped_storage().nbytes() // 4


def test_read_pickle_of_an_optimizer_and_parameters_returns_them():
    layer = torch.nn.Linear(7, 5)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(2, 7)).sum().backward()
    optimizer.step()
    tree = {
        "model": dict(layer.named_parameters()),
        "optimizer": optimizer.state_dict(),
        "module": layer,
    }
    found, _ = read_pickle(saved_pickle(tree), persistent_load=storage_of)
    assert found["model"]["weight"].shape == (5, 7)
    assert found["optimizer"]["param_groups"][0]["lr"] == 1e-3
    assert found["optimizer"]["state"][0]["exp_avg"].shape == (5, 7)
    assert found["module"].callee == PickledGlobal("torch.nn.modules.linear", "Linear")
    assert found["module"].state["_parameters"]["bias"].shape == (5,)


def test_read_pickle_of_a_call_returns_an_inert_object():
    found = read(b"cno.such.module\nThing\n(K\x01tR}X\x01\x00\x00\x00aK\x02sb.")
    assert isinstance(found, PickledObject)
    assert (found.callee, found.args, found.state) == (
        PickledGlobal("no.such.module", "Thing"),
        (1,),
        {"a": 2},
    )
    assert "no.such.module" not in sys.modules


MARK = "touch PWNED"


class _ByReduce:
    def __reduce__(self):
        return os.system, (MARK,)


EXECUTING = {
    "reduce": pickle.dumps(_ByReduce(), 2),
    "reduce-stack-global": pickle.dumps(_ByReduce(), 4),
    "reduce-in-a-dict": pickle.dumps({"epoch": 3, "model": {"x": _ByReduce()}}, 4),
    "inst": f"(S'{MARK}'\nios\nsystem\n.".encode(),
    "obj": f"(cos\nsystem\nS'{MARK}'\no.".encode(),
    "newobj": f"\x80\x02cbuiltins\ntuple\n(cbuiltins\nmap\n(cos\nsystem\n(S'{MARK}'\nlt\x81t\x81.".encode(
        "latin-1"
    ),
    "newobj-ex": (
        f"cbuiltins\ntuple\n(cbuiltins\nmap\n(cos\nsystem\n(S'{MARK}'\nlt}}\x92t}}\x92.".encode(
            "latin-1"
        )
    ),
    "getattr-gadget": (
        f"cbuiltins\ngetattr\n(cbuiltins\n__import__\n(S'os'\ntRS'system'\ntR(S'{MARK}'\ntR.".encode()
    ),
    "eval": (
        f'cbuiltins\neval\n(X\x2c\x00\x00\x00__import__("os").system("{MARK}")      tR.'.encode()
    ),
    "build-setstate": (
        f"c__main__\nVictim\n)R}}S'__setstate__'\ncos\nsystem\nsbS'{MARK}'\nb.".encode()
    ),
    "from-type": (
        f"ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\nN(S'{MARK}'\ntNtR.".encode()
    ),
}
_HARNESS = """
import os, pickle, sys
from dsi_cli.checkpoints.pickle.machine import read_pickle
from dsi_cli.checkpoints.trainers import plain_data, state_dicts
class Victim: pass
for name in os.listdir():
    os.chdir(name)
    data = open("data.pkl", "rb").read()
    if sys.argv[1] == "plain":
        try:
            pickle.loads(data)
        except Exception:
            pass
    else:
        found, _ = read_pickle(data)
        state_dicts(found), plain_data(found)
        assert "torch" not in sys.modules
    os.chdir("..")
"""


@pytest.fixture(scope="module")
def executed(tmp_path_factory) -> dict[str, set[str]]:
    """Return the exploits that leave their mark if Python (plain) or dsi (inert) reads
    them, each in a process of its own.
    """
    found = {}
    for way in ("plain", "inert"):
        folder = tmp_path_factory.mktemp(way)
        for name, data in EXECUTING.items():
            (folder / name).mkdir()
            (folder / name / "data.pkl").write_bytes(data)
        where = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        subprocess.run(
            [sys.executable, "-c", _HARNESS, way], cwd=folder, check=True, env=where
        )
        found[way] = {
            one.name for one in folder.iterdir() if len(list(one.iterdir())) > 1
        }
    return found


@pytest.mark.parametrize("name", EXECUTING)
def test_read_pickle_of_an_exploit_executes_nothing(name, executed):
    assert name in executed["plain"], (
        "the attack does not work: the test proves nothing"
    )
    assert name not in executed["inert"]


def _text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def _calls(packed: bytes, times: int) -> bytes:
    """Return a pickle that unpacks a storage within it again and again."""
    whole = packed + b"N.N." + _PACKED + bytes(8)
    call = (
        b"ctorch.storage\n_load_from_bytes\nq\x000B"
        + len(whole).to_bytes(4, "little")
        + whole
        + b"q\x010"
    )
    return call + b"h\x00h\x01\x85R0" * times + b"N."


def _called_again(callee: bytes, arguments: bytes) -> bytes:
    """Return a pickle that calls one function with one tuple of arguments again and
    again.
    """
    return (
        callee + b"q\x000" + arguments + b"q\x010" + b"h\x00h\x01R0" * 400_000 + b"N."
    )


def _names(letter: str, count: int) -> bytes:
    """Return a dict of many names without values, for the memo."""
    return (
        b"}q\x00("
        + b"".join(_text(f"{letter}{n}") + b"N" for n in range(count))
        + b"u0"
    )


_PACKED = b"(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nK\x00tQ.]."
"""A storage of nothing, and the list of its key, as a legacy file has them."""
HUGE = (2**31 - 1).to_bytes(4, "little")
ATTACKS = {
    "long-binput": lambda: b"\x80\x02Nr" + HUGE + b".",
    "textual-put": lambda: b"Np99999999999999999999\n.",
    "textual-put-endless": lambda: b"Np" + b"9" * 60_000 + b"\n.",
    "empty-sets": lambda: b"\x80\x04(" + b"\x8f" * 10_000_000 + b"l.",
    "empty-dicts": lambda: b"(" + b"}" * 10_000_000 + b"l.",
    "empty-lists": lambda: b"(" + b"]" * 10_000_000 + b"l.",
    "empty-tuples": lambda: b"(" + b")" * 10_000_000 + b"l.",
    "marks": lambda: b"(" * 10_000_000 + b".",
    "dups": lambda: b"N" + b"2" * 10_000_000 + b".",
    "memo": lambda: b"\x80\x04N" + b"\x94" * 10_000_000 + b".",
    "tower-as-key": lambda: b"}N" + b"2\x86" * 60 + b"Ns.",
    "tower-in-a-set": lambda: b"\x80\x04\x8f(N" + b"2\x86" * 60 + b"\x90.",
    "tower-in-a-frozenset": lambda: b"\x80\x04(N" + b"2\x86" * 60 + b"\x91.",
    "tower-as-callable": lambda: b"N" + b"2\x86" * 60 + b")R.",
    "tower-behind-from-type": (
        lambda: (
            b"ctorch._tensor\n_rebuild_from_type_v2\nN" + b"2\x86" * 60 + b"N)\x87R."
        )
    ),
    "tower-as-a-numpy-dtype": lambda: (
        b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nN"
        + b"2\x86" * 60
        + b"\x85RC\x08abcdefgh\x86R."
    ),
    "list-that-holds-itself-twice": (
        lambda: (
            b"]q\x00"
            + b"".join(b"]q%c(h%ch%ce" % (n + 1, n, n) for n in range(60))
            + b"."
        )
    ),
    "deep-lists": lambda: b"]" * 1_000_000 + b"a" * 999_999 + b".",
    "deep-tuples": lambda: b")" + b"\x85" * 2_000_000 + b".",
    "deep-stubs": lambda: b"cx\ny\n0N" + b"cx\ny\nN\x86" * 200_000 + b".",
    "deep-from-type": lambda: (
        b"ctorch._tensor\n_rebuild_from_type_v2\nq\x00"
        + b"h\x00N" * 5_000
        + b")"
        + b"\x87" * 5_000
        + b"R."
    ),
    "huge-long4": lambda: b"\x8b" + HUGE + b"\x01" * 1000 + b".",
    "big-long4": (
        lambda: b"\x8b" + (5_000_000).to_bytes(4, "little") + b"\x7f" * 5_000_000 + b"."
    ),
    "long-text-integer": lambda: b"I" + b"7" * 5_000_000 + b"\n.",
    "endless-line": lambda: b"S'" + b"a" * 10_000_000,
    "endless-global": lambda: b"c" + b"a" * 10_000_000,
    "huge-string": lambda: b"\x80\x04\x8d" + b"\xff" * 8 + b"abc.",
    "colliding-integers": lambda: (
        b"}("
        + b"".join(
            b"\x8a" + bytes([len(k)]) + k + b"N"
            for k in (
                (n * (2**61 - 1)).to_bytes(11, "little", signed=True)
                for n in range(1, 200_000)
            )
        )
        + b"u."
    ),
    "equal-long-keys": lambda: (
        b"}q\x00"
        + _text("k" * 8_000_000)
        + b"q\x010"
        + _text("k" * 8_000_000)
        + b"q\x020("
        + b"h\x01Nh\x02N" * 300_000
        + b"u."
    ),
    "ordered-dict-of-a-shared-list": lambda: _called_again(
        b"ccollections\nOrderedDict\n", b"](" + b"(NNt" * 200_000 + b"e\x85"
    ),
    "set-of-a-shared-list": lambda: _called_again(
        b"cbuiltins\nset\n", b"](" + b"N" * 1_000_000 + b"e\x85"
    ),
    "shared-arguments": lambda: _called_again(
        b"ctorch\nSize\n", b"(" + b"N" * 1_000_000 + b"t"
    ),
    "encode-a-shared-text": lambda: _called_again(
        b"c_codecs\nencode\n", _text("k" * 20_000_000) + b"\x85"
    ),
    "scalar-of-a-shared-text": lambda: _called_again(
        b"cnumpy.core.multiarray\nscalar\n", b"N" + _text("k" * 20_000_000) + b"\x86"
    ),
    "rebuild-through-a-shared-list": lambda: (
        b"ccollections\nOrderedDict\nq\x000ctorch._tensor\n_rebuild_from_type\nq\x020]("
        + b"(NNt" * 200_000
        + b"e\x85q\x010h\x00Nh\x01\x87q\x030"
        + b"h\x02h\x03R0" * 400_000
        + b"N."
    ),
    "list-of-itself-many-times": (
        lambda: b"]q\x00(" + b"h\x00" * 2000 + b"e}q\x01" + _text("args") + b"h\x00s."
    ),
    "stubs-of-one-state": (
        lambda: b"](" + _names("k", 100_000) + b"cx\ny\n)Rh\x00b" * 100_000 + b"e."
    ),
    "dict-of-stubs-of-one-state": lambda: (
        _names("k", 50_000)
        + b"}("
        + b"".join(_text(f"k{n}") + b"cx\ny\n)Rh\x00b" for n in range(50_000))
        + b"u."
    ),
    "modules-of-one-child": lambda: (
        _names("p", 50_000)
        + b"cx\ny\n)R}("
        + _text("_modules")
        + b"}"
        + _text("_parameters")
        + b"h\x00ubq\x010}("
        + b"".join(
            _text(f"m{n}")
            + b"cx\ny\n)R}("
            + _text("_modules")
            + b"}"
            + _text("c")
            + b"h\x01sub"
            for n in range(20_000)
        )
        + b"u."
    ),
    "module-of-a-million-children": lambda: (
        b"cx\ny\n)R}("
        + _text("_modules")
        + b"}"
        + _text("a" * 1000)
        + b"cx\ny\n)R}("
        + _text("_modules")
        + b"}("
        + b"".join(_text(f"{n:x}") + b"N" for n in range(900_000))
        + b"uubsub."
    ),
    "packed-within-packed": lambda: _calls(_calls(_calls(b"N.", 60), 70), 400_000),
    "wrapper-of-a-shared-state": lambda: _called_again(
        b"ctorch._tensor\n_rebuild_from_type_v2\n",
        b"(ctorch._utils\n_rebuild_wrapper_subclass\ncx\ny\n(cx\ny\nctorch\nfloat32\n)t("
        + b"N" * 1_000_000
        + b"tt",
    ),
}
_BOUND = textwrap.dedent("""
    import resource, sys
    from dsi_cli.checkpoints.trainers import plain_data, state_dicts
    from dsi_cli.checkpoints.pickle.machine import read_pickle
    from dsi_cli.errors import UnreadableError
    def peak():
        # Not ru_maxrss, which begins at what the parent process had.
        return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) >> 10
    data = open(sys.argv[1], "rb").read()
    base = peak()
    resource.setrlimit(resource.RLIMIT_AS, (1_200_000_000, 1_200_000_000))
    resource.setrlimit(resource.RLIMIT_CPU, (15, 15))
    try:
        found, _ = read_pickle(data)
    except UnreadableError:
        print("refused")
    else:
        state_dicts(found), plain_data(found)
        del found
        print("read")
    more = peak() - base
    assert more < 300, f"{more} MiB"
    """)
READ = {
    "long-binput",
    "textual-put",
    "tower-as-key",
    "tower-in-a-set",
    "tower-in-a-frozenset",
    "tower-as-callable",
    "tower-behind-from-type",
    "tower-as-a-numpy-dtype",
    "list-that-holds-itself-twice",
    "deep-stubs",
    "deep-from-type",
    "deep-tuples",
    "colliding-integers",
    "equal-long-keys",
    "list-of-itself-many-times",
    "stubs-of-one-state",
    "dict-of-stubs-of-one-state",
    "modules-of-one-child",
    "module-of-a-million-children",
}
"""The attacks that end as harmless data; all others are refused."""


IN_EVERY_RUN = 5
"""Attacks in ``make test``; ``make test-all`` has the others."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (at >= IN_EVERY_RUN))
        for at, name in enumerate(ATTACKS)
    ],
)
def test_read_pickle_of_a_bomb_ends_within_the_budget(name, tmp_path):
    path = tmp_path / "data.pkl"
    path.write_bytes(ATTACKS[name]())
    where = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "OPENBLAS_NUM_THREADS": "1",
    }
    ended = subprocess.run(
        [sys.executable, "-c", _BOUND, path],
        capture_output=True,
        text=True,
        env=where,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout.split()[0] == ("read" if name in READ else "refused")


@pytest.fixture(scope="module")
def real_pickle() -> bytes:
    layer = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 3)
    )
    return saved_pickle(
        {
            "epoch": 1,
            "state_dict": layer.state_dict(),
            "best": np.float64(0.5),
            "net": layer,
        }
    )


def test_read_pickle_cut_anywhere_raises(real_pickle):
    assert read_pickle(real_pickle, persistent_load=storage_of)[1] == len(real_pickle)
    for cut in range(0, len(real_pickle), 5):  # instructions have other lengths
        with pytest.raises(UnreadableError):
            read_pickle(real_pickle[:cut], persistent_load=storage_of)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xff.", "unknown-opcode"),
        (b"\x80\x09N.", "unknown-protocol"),
        (b"00000000000000000000.", "damaged-pickle"),
        (b"I" + b"1" * 100 + b"\n.", "integer-too-long"),
        (b"S'" + b"a" * 70_000, "damaged-pickle"),
        (b"NQ.", "persistent-id"),
        (b"h\x05" + b"N" * 20 + b".", "damaged-pickle"),
        (b"NNa" + b"N" * 20 + b".", "damaged-pickle"),
        (b"X\x01\x00\x00\x00\xff" + b"N" * 20 + b".", "damaged-pickle"),
        (b"", "pickle-exhausted"),
        (b"X\x09\x00\x00\x00abc", "pickle-exhausted"),
        (b"S'abc", "pickle-exhausted"),
    ],
)
def test_read_pickle_of_damaged_bytes_raises_the_code(data, code):
    with raises(code, UnreadableError):
        read_pickle(data)


@pytest.mark.parametrize(
    "pid",
    [
        b"N",
        b"(S'storage'\nNNNNt",
        b"(S'storage'\nNS'0'\nNI-1\nt",
        b"(S'other'\nNS'0'\nNI1\nt",
    ],
)
def test_storage_of_other_references_raises_damaged_storage(pid):
    with raises("damaged-storage", UnreadableError):
        read_pickle(pid + b"Q.", persistent_load=storage_of)
