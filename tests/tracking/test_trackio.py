"""Trackio's local store, read back by Trackio itself."""

import pytest

from dsi_cli import log_curves
from dsi_cli.errors import OutputError

pytest.importorskip("trackio", reason="reads Trackio's store back")


@pytest.fixture(autouse=True)
def _store(tmp_path, monkeypatch):
    """Use a store of its own, and none of the user's settings."""
    from trackio import utils

    store = tmp_path / "store"
    monkeypatch.setenv("TRACKIO_DIR", str(store))
    for module in _modules_with_the_store():
        monkeypatch.setattr(module, "TRACKIO_DIR", store)
    monkeypatch.setattr(utils, "TRACKIO_DIR", store)
    for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)


def _modules_with_the_store():
    import sys

    return [
        module
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] == "trackio" and hasattr(module, "TRACKIO_DIR")
    ]


def logged_runs(project="dsi"):
    """Return the values of each run by name, then by epoch."""
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    found = {}
    for run in trackio.Api().runs(project):
        assert run.name not in found, "no run twice"
        values = found[run.name] = {}
        for row in SQLiteStorage.get_logs(project, run.name, run_id=run.id):
            for key in row.keys() - {"step", "timestamp"}:
                assert row["step"] not in values.setdefault(key, {}), "no epoch twice"
                values[key][row["step"]] = row[key]
    return found


def renamed(points):
    return {
        name.replace("step", "optimiser_step") if name == "step" else name: values
        for name, values in points.items()
    }


def test_trackio_has_what_the_tables_hold_and_again_no_point_twice(out, expected, grow):
    logged = log_curves(out, "trackio")
    assert (logged.to, logged.place, logged.runs) == ("trackio", "project dsi", 2)
    assert logged.next_step == "trackio show --project dsi"
    for run in ("cnn", "vit=1"):
        assert logged_runs()[run] == renamed(expected(out, run))
    grow(out)
    log_curves(out, "trackio", run="cnn")
    again = logged_runs()
    assert again["cnn"] == renamed(expected(out, "cnn"))
    assert set(again["cnn"]["dsi/accuracy"]) == {0, 1, 2, 3}
    assert set(again["vit=1"]["dsi/accuracy"]) == {0, 1, 2}


def test_trackio_prints_nothing_on_stdout(out, dsi):
    ended = dsi("export", out, "--log-to", "trackio:other", "--run", "cnn")
    assert ended.code == 0
    assert ended.out.startswith("trackio: project other (1 run,")
    assert ended.out.count("\n") == 1


def test_trackio_that_cannot_be_written_is_an_output_error(out, tmp_path):
    (tmp_path / "store").write_text("a file")
    with pytest.raises(OutputError, match="Trackio did not take the curves"):
        log_curves(out, "trackio")
