"""An MLflow store, read back by MLflow's own client."""

import pytest

from dsi_cli import log_curves
from dsi_cli.errors import OutputError

pytest.importorskip("sqlalchemy", reason="MLflow's local store needs it")


@pytest.fixture
def client(mlflow_store, request, monkeypatch):
    """Return a client, with an experiment of the test's own as the default."""
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return MlflowClient(tracking_uri=mlflow_store)


def logged_runs(client, name):
    """Return of each MLflow run by name: its id, and its values by name, then by
    epoch.
    """
    found = {}
    for run in client.search_runs([client.get_experiment_by_name(name).experiment_id]):
        values = {}
        for key in run.data.metrics:
            history = client.get_metric_history(run.info.run_id, key)
            assert len({one.step for one in history}) == len(history), "no step twice"
            values[key] = {one.step: one.value for one in history}
        assert run.info.run_name not in found, "no run twice"
        assert run.info.status == "FINISHED"
        found[run.info.run_name] = (run.info.run_id, values)
    return found


def test_mlflow_has_what_the_tables_hold_and_again_no_point_twice(
    out, mlflow_store, client, expected_plain, grow, runs, request
):
    name = request.node.name
    logged = log_curves(out, f"mlflow:{mlflow_store}")
    assert (logged.to, logged.place, logged.runs) == (
        "mlflow",
        f"{mlflow_store}, experiment {name}",
        2,
    )
    assert logged.next_step == f"mlflow ui --backend-store-uri {mlflow_store}"
    first = logged_runs(client, name)
    assert {run: values for run, (_, values) in first.items()} == {
        run: expected_plain(out, run) for run in ("cnn", "vit=1")
    }
    assert (
        log_curves(out, f"mlflow:{mlflow_store}").points,
        logged_runs(client, name),
    ) == (logged.points, first)
    grow(out)
    log_curves(out, f"mlflow:{mlflow_store}", run="cnn")
    grown = logged_runs(client, name)
    assert grown["cnn"] == (first["cnn"][0], expected_plain(out, "cnn"))
    assert (grown["vit=1"], set(grown["cnn"][1]["dsi/accuracy"])) == (
        first["vit=1"],
        {0, 1, 2, 3},
    )
    (point,) = [
        one
        for one in client.get_metric_history(grown["cnn"][0], "dsi/accuracy")
        if one.step == 2
    ]
    assert point.timestamp == pytest.approx(
        (runs / "cnn/epoch_2.pt").stat().st_mtime * 1000, abs=1
    )


def test_a_changed_value_makes_a_new_run_and_the_old_one_can_be_had_back(
    out, mlflow_store, client, change, request, monkeypatch
):
    from mlflow.entities import ViewType

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    log_curves(out, "mlflow", run="cnn")
    first, _ = logged_runs(client, request.node.name)["cnn"]
    value = change(out)
    log_curves(out, "mlflow", run="cnn")
    second, values = logged_runs(client, request.node.name)["cnn"]
    assert values["dsi/accuracy"][1] == value
    assert second != first
    experiment = client.get_experiment_by_name(request.node.name).experiment_id
    assert [
        run.info.run_id
        for run in client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)
    ] == [first]


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (
            "gopher://ann:secret@host/x",
            r"^MLflow did not take the curves: .*unsupported URI 'gopher://host/x'",
        ),
        (
            "sqlite:////dev/null/mlflow.db",
            r"^MLflow did not take the curves: .*File exists: '/dev/null'$",
        ),
    ],
)
def test_a_store_that_cannot_be_is_one_line(out, mlflow_store, place, told):
    with pytest.raises(OutputError, match=told) as raised:
        log_curves(out, f"mlflow:{place}")
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)
