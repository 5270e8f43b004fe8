"""Rows of Parquet: any order, any thread, bounded memory."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsi_cli.evaluation import rows as module
from dsi_cli.evaluation.rows import BATCH, Rows

SIZES = (3, 0, 500, BATCH, BATCH + 1)


@pytest.fixture
def files(tmp_path):
    start, paths = 0, []
    for number, size in enumerate(SIZES):
        cells = [str(row).encode() * 50 for row in range(start, start + size)]
        pq.write_table(
            pa.table({"x": cells or pa.array([], pa.binary())}), tmp_path / f"{number}.parquet", row_group_size=150
        )
        paths.append(tmp_path / f"{number}.parquet")
        start += size
    return paths


def test_counts_are_the_files(files):
    rows = Rows(files, "x")
    assert rows.counts == list(SIZES)
    assert len(rows) == sum(SIZES)


@pytest.mark.parametrize("order", ["ascending", "descending", "shuffled"])
@pytest.mark.parametrize("kept", [0, 10_000, 2**26])
def test_rows_come_in_any_order(files, monkeypatch, order, kept):
    monkeypatch.setattr(module, "KEPT", kept)
    rows = Rows(files, "x")
    numbers = list(range(len(rows)))
    numbers = {"ascending": numbers, "descending": numbers[::-1], "shuffled": random.Random(0).sample(numbers, 200)}[order]
    assert [rows[number] for number in numbers] == [str(number).encode() * 50 for number in numbers]


def test_threads_may_ask_at_once(files, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 0)
    rows = Rows(files, "x")
    numbers = list(range(len(rows)))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(rows.__getitem__, numbers)) == [str(number).encode() * 50 for number in numbers]


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_one_large_row_group_is_not_read_at_once(tmp_path, monkeypatch, compression):
    monkeypatch.setattr(module, "KEPT", 2**20)
    path = tmp_path / "a.parquet"
    generator = random.Random(0)
    cells = [generator.randbytes(10_000) for _ in range(8000)]
    pq.write_table(pa.table({"x": cells}), path, compression=compression)
    assert pq.read_metadata(path).num_row_groups == 1
    rows, before = Rows([path], "x"), pa.total_allocated_bytes()
    most = 0
    for number in range(0, 8000, 50):
        assert rows[number] == cells[number]
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < 30e6  # of 80; a page is 10
