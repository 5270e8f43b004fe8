"""The worked cases of the documentation print what the page shows."""

import shutil
from importlib.resources import files

from test_docs import ROOT, follow


def test_the_worked_cases_print_what_the_page_shows(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("DATA", str(shared / "data"))
    shutil.copytree(
        str(files("dsi_cli.demo") / "runs" / "cifar100-cnn"), tmp_path / "ckpts"
    )
    follow(ROOT / "docs/gallery.md", tmp_path, shell="bash")
