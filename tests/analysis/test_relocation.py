"""Stored files move with the epochs of their checkpoints, and none takes the place of another."""

import os

import numpy as np
import pytest

from dsi_cli.analysis.classifiers import earlier_output
from dsi_cli.analysis.classifiers.earlier_output import relocate
from dsi_cli.checkpoints.records import Record
from dsi_cli.store import parquet
from dsi_cli.store.schema import CSMS


@pytest.fixture
def store(tmp_path):
    """Return a function that writes the matrix of a checkpoint, filled with one value, under an epoch's name."""

    def write(epoch, value):
        record = Record("run", f"{value}.pt", epoch=epoch)
        matrix = np.full((2, 2), value, dtype=np.float32)
        table = parquet.from_matrix(CSMS, matrix, record.key_columns | {"kind": "ncsm"}, {"class_index": range(2)})
        path = tmp_path / "csms" / f"{epoch}.parquet"
        parquet.write(table, path, {"record": {"path": record.path}}, tmp_path / ".tmp")
        return path

    return write


def contents(folder):
    """Return the checkpoint, the value and the epoch in each file, by its name."""
    rows = {path.name: parquet.read(path).to_pylist()[0] for path in folder.glob("*.parquet")}
    return {
        name: (parquet.options_of(folder / name)["record"]["path"], row["similarity"][0], row["epoch"])
        for name, row in rows.items()
    }


def test_files_that_swap_their_epochs_keep_their_contents(store, tmp_path, monkeypatch):
    one, two = store(1, 10), store(2, 20)
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    moves = [(one, two, Record("run", "10.pt", epoch=2)), (two, one, Record("run", "20.pt", epoch=1))]
    assert set(relocate(moves, tmp_path / ".tmp")) == {one, two}
    assert contents(one.parent) == {"1.parquet": ("20.pt", 20, 1), "2.parquet": ("10.pt", 10, 2)}
    assert len(synced) == 2, "their checkpoints may be gone"


def test_a_file_left_by_a_killed_move_is_not_overwritten_by_a_later_one(store, tmp_path, monkeypatch):
    one = store(1, 10)
    with monkeypatch.context() as patched:
        patched.setattr(earlier_output.parquet, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            relocate([(one, one.with_name("2.parquet"), Record("run", "10.pt", epoch=2))], tmp_path / ".tmp")
    (left,) = one.parent.glob("*.parquet")
    store(1, 20)
    moves = [
        (one, one.with_name("2.parquet"), Record("run", "20.pt", epoch=2)),
        (left, one.with_name("3.parquet"), Record("run", "10.pt", epoch=3)),
    ]
    relocate(moves, tmp_path / ".tmp")
    assert contents(one.parent) == {"2.parquet": ("20.pt", 20, 2), "3.parquet": ("10.pt", 10, 3)}
