"""Fixtures of the checkpoint reader's tests: the zoo's archives unpacked, and small files written by the real libraries."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dsi_cli.checkpoints.records import Record
from dsi_cli.checkpoints.scan import Choice, require_file, scan


def _unpacked(archive: Path, folder: Path) -> Path:
    """Return the folder; by the tar command, which takes links, pipes and names that are no UTF-8 as they are."""
    if not archive.is_file() or shutil.which("tar") is None:
        pytest.skip(f"needs {archive.name} and tar")
    subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
    return folder


@pytest.fixture(scope="session")
def corpus(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with one folder a case, written by real trainers."""
    return _unpacked(shared / "zoo" / "corpus.tar.gz", tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def hostile(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with one folder a case of damaged and malicious files."""
    return _unpacked(shared / "zoo" / "hostile.tar.gz", tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="session")
def truth(shared: Path) -> dict[str, dict[str, dict]]:
    """Return what each file of both archives holds."""
    return json.loads((shared / "zoo" / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture
def state_dict() -> dict[str, torch.Tensor]:
    """Return a small convolutional classifier's weights: 5 classes, 7 features."""
    generator = torch.Generator().manual_seed(0)
    return {
        "conv.weight": torch.randn(4, 3, 3, 3, generator=generator),
        "fc.weight": torch.randn(5, 7, generator=generator),
        "fc.bias": torch.randn(5, generator=generator),
    }


@pytest.fixture
def record_of() -> Callable[..., Record]:
    """Return the function that scans one file."""

    def scanned(path: Path, **choice: object) -> Record:
        return scan(require_file(path), Choice(**choice)).record

    return scanned
