"""Files that ask for much, lead elsewhere or change meanwhile: each ends as one record,
soon and in little memory.
"""

import os
from pathlib import Path

import pytest
import torch
from helpers.errors import raises
from helpers.memory_limits import scanned
from helpers.outputs import heads, save_head
from safetensors.torch import save

from dsi_cli.checkpoints import checkpoint_reader
from dsi_cli.checkpoints.checkpoint_reader import (
    HeadOptions,
    require_file,
    scan_checkpoint,
)
from dsi_cli.checkpoints.file_access import RandomAccessFile, parse_json
from dsi_cli.checkpoints.formats import torch_save
from dsi_cli.checkpoints.formats.zip_archive import Archive
from dsi_cli.errors import UnreadableError
from fuzz.mutations import zips

SIZE = 9_900_000
"""Bytes: what is guaranteed of memory is guaranteed of files of less than 10 MB."""


def filled(begin: bytes, unit: bytes, end: bytes) -> bytes:
    return begin + unit * ((SIZE - len(begin) - len(end) - 8) // len(unit)) + end


def safetensors(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header


def entries_of(tree: object, tmp_path: Path) -> list[zips.Entry]:
    torch.save(tree, tmp_path / "made.pt")
    return zips.parse((tmp_path / "made.pt").read_bytes())


def deflated(tree: object, tmp_path: Path) -> bytes:
    return zips.write(
        [one._replace(method=zips.DEFLATED) for one in entries_of(tree, tmp_path)]
    )


def with_pickle(pickle: bytes, tmp_path: Path) -> bytes:
    made = entries_of({"fc.weight": torch.ones(4, 4)}, tmp_path)
    changed = [
        (
            one._replace(method=zips.DEFLATED, data=pickle)
            if one.name.endswith("data.pkl")
            else one
        )
        for one in made
    ]
    return zips.write(changed)


def zeros(rows: int, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    return {
        "fc.weight": torch.zeros(rows, 1000).to(dtype),
        "fc.bias": torch.zeros(rows),
    }


ATTACKS = {
    "json-of-dicts": lambda _: safetensors(filled(b'{"a":[', b"{},", b"0]}")),
    "json-of-lists-in-lists": lambda _: safetensors(
        filled(b'{"a":[', b"[[]],", b"0]}")
    ),
    "json-of-wide-characters": lambda _: safetensors(
        filled('{"a":["\U0001f600",'.encode(), b'{"":0},', b"0]}")
    ),
    "json-of-keys": lambda _: safetensors(
        b"{" + b",".join(b'"%x":{}' % n for n in range(900_000)) + b"}"
    ),
    "json-nested": lambda _: safetensors(filled(b'{"a":', b"[", b"")),
    "index-of-dicts": lambda _: filled(b'{"weight_map":[', b"{},", b"0]}"),
    "inflates-to-160-mb": lambda place: deflated(zeros(40_000), place),
    "inflates-to-40-mb-of-8-bits": lambda place: deflated(
        zeros(40_000, torch.float8_e5m2), place
    ),
    "pickle-inflates-to-60-mb": lambda place: with_pickle(
        b"\x80\x02" + b"N0" * (30 << 20) + b"N.", place
    ),
    "pickle-inflates-to-60-mb-of-dicts": lambda place: with_pickle(
        b"\x80\x02(" + b"}" * (60 << 20) + b"l.", place
    ),
    "pickle-of-tuples-in-tuples": lambda place: with_pickle(
        b"\x80\x02)" + b"\x85" * 3_000_000 + b".", place
    ),
    "many-entries": lambda place: zips.write(
        entries_of({"fc.weight": torch.ones(4, 4)}, place)
        + [zips.Entry(f"x/data/x{n:x}", b"") for n in range(65_000)]
    ),
    "many-square-layers": lambda _: save(
        {f"l.{n}.weight": torch.zeros(2, 2) for n in range(20_000)}
    ),
    "no-single-head": lambda _: save(
        {
            f"l{n // 2}.{'weight' if n % 2 else 'bias'}": torch.zeros(2, *[3] * (n % 2))
            for n in range(20_000)
        }
    ),
    "legacy-without-end": (
        lambda _: (
            b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02K\x01."
            + b"N0" * (SIZE // 2 - 20)
        )
    ),
}
NAMES = {"index-of-dicts": "model.safetensors.index.json"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_a_file_that_asks_for_much_ends_soon_and_small(name, tmp_path):
    path = tmp_path / NAMES.get(name, "x.pt")
    path.write_bytes(ATTACKS[name](tmp_path))
    status, _ = scanned(path)
    assert status in (("ok",) if name.startswith("many") else ("failed", "pending"))


def test_parse_json_with_too_many_values_is_refused():
    assert parse_json(b"[" + b"0," * 900_000 + b"0]")[-1] == 0
    with raises("damaged-json", UnreadableError):
        parse_json(b"[" + b"0," * 1_000_000 + b"0]")


def test_a_deflated_entry_may_be_a_few_times_its_size(tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(
        deflated(
            {"fc.weight": torch.randn(40, 1000), "fc.bias": torch.zeros(40)}, tmp_path
        )
    )
    assert scan_checkpoint(require_file(path)).record.status == "ok"
    path.write_bytes(deflated(zeros(40_000), tmp_path))
    with RandomAccessFile(path) as source:
        content = torch_save.open_content(Archive(source))
        with raises("entry-too-large", UnreadableError):
            content.tree["fc.weight"].read()


def test_weights_that_share_one_storage_many_times_are_not_all_read(tmp_path):
    shared = torch.zeros(1000, 1000)
    torch.save({f"layer{n}.weight": shared for n in range(200)}, tmp_path / "x.pt")
    assert (tmp_path / "x.pt").stat().st_size < 10_000_000
    with raises("tensors-exceed-file", UnreadableError, size=800_000_000):
        checkpoint_reader.read_state_dict(
            require_file(tmp_path / "x.pt"), HeadOptions()
        )


class _Changed(RandomAccessFile):
    """A source whose file changes after a number of bytes was read."""

    change, after = staticmethod(os.fspath), 0  # at first it changes nothing

    def memory_at(self, offset, size):
        if self.bytes_read + size >= self.after and not getattr(
            self, "was_changed", False
        ):
            self.was_changed = True
            self.change(self.path)
        return super().memory_at(offset, size)


def _replaced(path):
    save_head(path.with_name("other"), heads(2)[1], epoch=1)
    path.with_name("other").replace(path)


CHANGES = {
    "cut": lambda path: os.truncate(path, 40),
    "emptied": lambda path: os.truncate(path, 0),
    "garbled": lambda path: path.write_bytes(b"\xff" * path.stat().st_size),
    "grown": lambda path: os.truncate(path, path.stat().st_size + 5000),
    "replaced": _replaced,
    "removed": Path.unlink,
}
WRITERS = {
    "zip": lambda tree, path: torch.save(tree, path),
    "legacy": lambda tree, path: torch.save(
        tree, path, _use_new_zipfile_serialization=False
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_that_changes_while_it_is_read_is_one_record(
    kind, change, tmp_path, monkeypatch
):
    """Whatever happens at whatever byte: the right weight, or a reason."""
    path = tmp_path / "x.pt"
    tree = {
        "state_dict": {"fc.weight": heads(1)[0], "fc.bias": torch.zeros(8)},
        "epoch": 0,
    }
    monkeypatch.setattr("dsi_cli.checkpoints.formats.RandomAccessFile", _Changed)
    WRITERS[kind](tree, path)
    right = scan_checkpoint(require_file(path))
    asked = path.stat().st_size + 200
    monkeypatch.setattr(_Changed, "change", staticmethod(CHANGES[change]))
    statuses = set()
    for after in range(0, asked, 90):
        WRITERS[kind](tree, path)
        monkeypatch.setattr(_Changed, "after", after)
        found = scan_checkpoint(require_file(path))
        statuses.add(found.record.status)
        if (
            found.record.status == "ok"
            and change != "garbled"
            and not found.record.reason
        ):
            assert found.record.fingerprint == right.record.fingerprint
        assert found.record.status == "ok" or found.record.reason
    assert statuses <= {"ok", "failed", "pending"}
    assert change not in ("cut", "emptied") or statuses - {"ok"}, (
        "the change came in time to matter"
    )


def test_an_output_holds_nothing_outside_itself(dsi, tmp_path):
    """Names of runs and tensors that look like paths stay names."""
    run = tmp_path / "..." / "%2e%2e"
    save_head(run / "epoch_0.pt", heads(1)[0], epoch=0)
    save_head(run / "epoch_1.pt", heads(2)[1], epoch=1)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    out = tmp_path / "out"
    assert dsi("analyze", run, "-o", out, "--no-report").code == 0
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert new
    assert all(path.is_relative_to(out) for path in new)
