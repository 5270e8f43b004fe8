"""The summaries of matrices are made once for each version of their files."""

import os

from dsi_cli.report import matrix_summaries
from dsi_cli.report.matrix_summaries import Summaries
from dsi_cli.store import layout


def test_summaries_are_made_again_only_for_files_that_changed(tmp_path):
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    made = []

    def get_all():
        summaries = Summaries(tmp_path)
        for file in files:
            found = summaries.get([file], 8, lambda name=file.name: make(name))
            assert found == {"name": file.name}
        summaries.save()
        return [made.pop(0) for _ in list(made)]

    def make(name):
        made.append(name)
        return {"name": name}

    for file in files:
        file.write_bytes(b"1")
    assert get_all() == ["a.parquet", "b.parquet"]
    assert get_all() == []
    os.utime(files[1], ns=(1, 1))
    assert get_all() == ["b.parquet"]
    (tmp_path / layout.CACHE / matrix_summaries.FILE).write_bytes(b"{")
    assert get_all() == ["a.parquet", "b.parquet"]


def test_summaries_of_another_version_are_made_again(tmp_path, monkeypatch):
    file = tmp_path / "a.parquet"
    file.write_bytes(b"1")
    summaries = Summaries(tmp_path)
    summaries.get([file], 8, lambda: {"value": 1})
    summaries.save()
    assert Summaries(tmp_path).get([file], 8, dict) == {"value": 1}
    assert Summaries(tmp_path).get([file], 9, lambda: {"value": 2}) == {"value": 2}
    monkeypatch.setattr(matrix_summaries, "__version__", "0")
    assert Summaries(tmp_path).get([file], 8, lambda: {"value": 3}) == {"value": 3}
