"""When the report is written, when not, and that nothing which goes wrong there harms
the tables.
"""

import os

import numpy as np
import pytest
from helpers.outputs import heads, save_head, write_counts, write_predictions

from dsi_cli.analysis import report_file
from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options


@pytest.fixture
def summary(make_run, tmp_path):
    return analyze([make_run()], tmp_path / "out", Options(draws=0))


def test_report_is_written_again_only_if_tables_changed(summary, tmp_path):
    out, told = tmp_path / "out", []
    path = report_file.write_report(out, progress=lambda *event: told.append(event))
    assert path == out / "report.html"
    assert told[-1] == (report_file.STAGE, 2, 2)
    first = path.stat()
    report_file.write_report(out)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (
        first.st_mtime_ns,
        first.st_ino,
    )
    save_head(tmp_path / "run" / "epoch_4.pt", heads(5)[4], epoch=4)
    analyze([tmp_path / "run"], out, Options(draws=0))
    report_file.write_report(out)
    assert path.stat().st_ino != first.st_ino
    assert "5 checkpoints · epochs 0 to 4" in path.read_text(encoding="utf-8")


def test_report_of_another_version_is_written_again(summary, tmp_path, monkeypatch):
    path = report_file.write_report(tmp_path / "out")
    before = path.stat().st_ino
    monkeypatch.setattr(report_file, "__version__", "99")
    assert report_file.write_report(tmp_path / "out").stat().st_ino != before


def test_report_of_a_damaged_matrix_has_the_reason(summary, tmp_path):
    (tmp_path / "out" / "csms" / "run" / "ncsm" / "1.parquet").write_bytes(b"damaged")
    report_file.add_report(summary)
    assert "1.parquet cannot be read" in summary.report_problem


def test_report_with_a_pipe_as_image_does_not_wait(summary, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    paths = [
        str(tmp_path / "pipe"),
        f"{tmp_path}/pipe#1",
        f"{tmp_path}/pipe/x.png",
        "/dev/zero",
        "a\0b",
    ]
    write_predictions(
        tmp_path / "out", [0, 1, 2, 3, 4], [1, 2, 3, 4, 5], path=paths, epoch=3
    )
    write_counts(tmp_path / "out", np.eye(8, k=1, dtype=int), epoch=3)
    page = report_file.write_report(tmp_path / "out").read_text(encoding="utf-8")
    assert '"sample":4' in page
    assert "data:image" not in page


def test_watch_writes_the_report_in_a_tenth_of_the_time(summary, monkeypatch):
    now, written = [0.0], []

    def add(_summary, _progress):
        written.append(now[0])
        now[0] += 10.0

    monkeypatch.setattr(report_file, "add_report", add)
    paced = report_file.ThrottledReport(lambda: now[0])
    for now[0] in (0.0, 20.0, 99.0, 100.0, 150.0, 201.0):
        paced.add(summary)
    assert written == [0.0, 100.0, 201.0]
