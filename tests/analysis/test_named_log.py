"""A training log that is named wins over what lies beside the checkpoints, and counts for all runs."""

from __future__ import annotations

from helpers.analysed_runs import Command, MakeRun

from dsi_cli.store.results import Results

pytest_plugins = ("helpers.analysed_runs",)


def test_a_named_log_wins_and_counts_for_all_runs(make_run: MakeRun, dsi: Command, tmp_path):
    runs = [make_run("a"), make_run("b")]
    (runs[0] / "log.csv").write_text("epoch,test_loss\n0,9\n1,9\n2,9\n3,9\n")
    (tmp_path / "mine.csv").write_text("epoch,test_loss\n0,4\n1,3\n2,2\n3,1\n")
    assert dsi("analyze", *runs, "-o", tmp_path / "out", "--log", tmp_path / "mine.csv", "--draws", 0).code == 0
    curves = Results(tmp_path / "out").curves
    for name in ("a", "b"):
        rows = curves[(curves["run"] == name) & (curves["metric"] == "loss")].sort_values("epoch")
        assert rows["value"].tolist() == [4.0, 3.0, 2.0, 1.0]


def test_a_named_log_that_cannot_be_read_is_wrong_usage(make_run: MakeRun, dsi: Command, tmp_path):
    ended = dsi("analyze", make_run("a"), "-o", tmp_path / "out", "--log", tmp_path / "none.csv")
    assert ended.code == 2
    assert "no log" in ended.err
