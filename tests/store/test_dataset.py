"""The tables of many runs as one dataset: readers that filter by run and epoch leave
the rest unread.

The proof: all that a reader need not touch is overwritten with garbage first.
"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from helpers.outputs import heads, save_head

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.store import parquet
from dsi_cli.store.schema import CURVES

RUNS = ("a/seed1", "a/seed2", "b/seed1")


def by_pyarrow(files: str, run: str, epoch: int) -> pd.DataFrame:
    asked = (ds.field("run") == run) & (ds.field("epoch") == epoch)
    top, _, pattern = files.partition("/**")
    return (
        ds.dataset(top if pattern else files, format="parquet")
        .to_table(filter=asked)
        .to_pandas()
    )


def by_polars(files: str, run: str, epoch: int) -> pd.DataFrame:
    polars = pytest.importorskip("polars")
    asked = (polars.col("run") == run) & (polars.col("epoch") == epoch)
    found = polars.scan_parquet(files).filter(asked).collect()
    return pd.DataFrame(found.to_dict(as_series=False))


def by_duckdb(files: str, run: str, epoch: int) -> pd.DataFrame:
    duckdb = pytest.importorskip("duckdb")
    asked = "SELECT * FROM read_parquet(?) WHERE run = ? AND epoch = ?"
    return duckdb.execute(asked, [files, run, epoch]).df()


READERS = (by_pyarrow, by_polars, by_duckdb)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("many")
    for seed, run in enumerate(RUNS):
        for epoch, weight in enumerate(heads(3, seed=seed)):
            save_head(top / run / f"epoch_{epoch}.pt", weight, epoch=epoch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "_MIN_GROUP_ROWS", 1)
        analyze([top / "a", top / "b"], top / "out", Options(draws=0))
    return top / "out"


def garble(path: Path, is_needed: Callable[[dict], bool]) -> int:
    """Overwrite the row groups of a file that are not needed, by the statistics of
    their columns; return how many are.
    """
    described, data, kept = (
        pq.ParquetFile(path).metadata,
        bytearray(path.read_bytes()),
        0,
    )
    for group in range(described.num_row_groups):
        columns = [
            described.row_group(group).column(k) for k in range(described.num_columns)
        ]
        ranges = {
            one.path_in_schema: (one.statistics.min, one.statistics.max)
            for one in columns
            if one.statistics
        }
        if is_needed(ranges):
            kept += 1
            continue
        for one in columns:
            pages = [one.dictionary_page_offset, one.data_page_offset]
            begin = min(page for page in pages if page is not None)
            data[begin : begin + one.total_compressed_size] = (
                b"\xff" * one.total_compressed_size
            )
    path.write_bytes(data)
    return kept


def copied(output: Path, to: Path) -> Path:
    for path in output.rglob("*.parquet"):
        target = to / path.relative_to(output)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return to


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_matrices_of_one_run_and_epoch_are_read_without_the_rest(
    reader, output, tmp_path
):
    out = copied(output, tmp_path / "out")
    files = sorted((out / "csms").rglob("*.parquet"))
    kept = [
        garble(path, lambda has: (has["run"][0], has["epoch"][0]) == ("seed2", 2))
        for path in files
    ]
    assert sorted(kept) == [0] * 8 + [1]
    found = reader(f"{out}/csms/**/*.parquet", "seed2", 2)
    whole = pd.read_parquet(output / "csms/seed2/ncsm/2.parquet")
    assert [list(row) for row in found["similarity"]] == [
        list(row) for row in whole["similarity"]
    ]


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@pytest.mark.parametrize("table", ["curves", "checkpoints"])
def test_a_run_in_a_table_at_the_top_is_read_without_the_others(
    table, reader, output, tmp_path
):
    out = copied(output, tmp_path / "out")
    assert (
        garble(
            out / f"{table}.parquet", lambda has: has["run"] == ("b/seed1", "b/seed1")
        )
        == 1
    )
    whole = pd.read_parquet(output / f"{table}.parquet")
    expected = whole[(whole["run"] == "b/seed1") & (whole["epoch"] == 1)]
    found = reader(f"{out}/{table}.parquet", "b/seed1", 1)
    assert len(found) == len(expected) > 0
    column = "value" if table == "curves" else "fingerprint"
    assert sorted(found[column].dropna()) == sorted(expected[column].dropna())


def test_row_groups_end_with_runs_and_are_not_small(tmp_path):
    rows = [
        {"run": f"run{k:02}", "epoch": epoch} for k in range(30) for epoch in range(100)
    ]
    parts = list(parquet.by_run(parquet.from_rows(CURVES, rows)))
    assert [len(part) for part in parts] == [1000, 1000, 1000]
    assert [part["run"][0].as_py() for part in parts] == ["run00", "run10", "run20"]
    assert [len(part) for part in parquet.by_run(parquet.from_rows(CURVES, []))] == [0]
