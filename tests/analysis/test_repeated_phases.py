"""The names of declines of repeated trainings in the phases table."""

import numpy as np
import pandas as pd
import pytest
from helpers.table_comparison import write_run

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.tables import repeated_phases
from dsi_cli.queries.comparison import reliability
from dsi_cli.queries.comparison.reliability import SeedReliability
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import PHASES

COLUMNS = {"change": -0.1, "low": -0.2, "high": -0.05}


@pytest.fixture
def out(tmp_path):
    """Return results of two seeds and another run, each with a decline."""
    runs = [write_run(tmp_path / name) for name in ("a_seed0", "a_seed1", "b")]
    out = tmp_path / "out"
    analyze(runs, out, Options(measures=("pearson",)))
    rows = [
        {"run": run.name, "curve": "agreement ncsm,scsm", "phase": "refinement"}
        for run in runs
    ]
    table = parquet.from_rows(PHASES, rows)
    layout.write_runs(out, PHASES, [run.name for run in runs], table)
    return out


def found(*, falls):
    """Return a reliability whose corrected agreement falls, does not, or is unknown."""
    rows = []
    if falls is not None:
        row = {"group": "a", "quantity": "corrected", "falls": falls}
        rows.append(row | COLUMNS)
    seeds = SeedReliability({}, {"a": ["a_seed0", "a_seed1"]})
    seeds.__dict__["changes"] = pd.DataFrame(
        rows, columns=["group", "quantity", "falls", *COLUMNS]
    )
    return seeds


@pytest.mark.parametrize(
    ("falls", "name", "reason"),
    [
        (True, "refinement", None),
        (False, "decline", "does not decline (-0.100 [-0.200, -0.050])"),
        (None, "decline", "unknown"),
    ],
)
def test_decline_of_seeds_is_a_refinement_only_if_the_corrected_agreement_falls(
    out, monkeypatch, falls, name, reason
):
    monkeypatch.setattr(
        reliability, "results_reliability", lambda *_: found(falls=falls)
    )
    repeated_phases.name_declines(out)
    rows = layout.read_table(out, PHASES).to_pylist()
    by_run = {row["run"]: row for row in rows}
    assert by_run["b"]["phase"] == "refinement", "it has no repetition"
    for run in ("a_seed0", "a_seed1"):
        assert by_run[run]["phase"] == name
        assert (reason or "") in (by_run[run]["reason"] or "")
    # Later calls may find another result, and change nothing if it is the same.
    assert not repeated_phases.name_declines(out)
    monkeypatch.setattr(
        reliability, "results_reliability", lambda *_: found(falls=True)
    )
    assert repeated_phases.name_declines(out) == (name == "decline")
    rows = layout.read_table(out, PHASES).to_pylist()
    assert {row["phase"] for row in rows} == {"refinement"}


def test_phases_without_a_decline_stay(tmp_path):
    run, out = write_run(tmp_path / "a_seed0"), tmp_path / "out"
    analyze([run], out, Options(measures=("pearson",)))
    assert np.all(pd.read_parquet(out / "phases.parquet")["phase"].isna())
    assert not repeated_phases.name_declines(out)
