"""A real S3 server for the tests of this folder, empty at the beginning of each, and the memory of fsspec."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3 import S3, serving


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    with pytest.MonkeyPatch.context() as environment, serving(environment) as s3:
        yield s3


@pytest.fixture
def s3(s3_server: S3) -> S3:
    s3_server.begin()
    return s3_server


@pytest.fixture(scope="session")
def corpus_copy(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive, folder = shared / "zoo" / "corpus.tar.gz", tmp_path_factory.mktemp("zoo") / "top"
    if not archive.is_file() or shutil.which("tar") is None:
        pytest.skip(f"needs {archive.name} and tar")
    folder.mkdir()
    subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
    return folder


@pytest.fixture
def memory() -> Iterator:
    import fsspec

    found = fsspec.filesystem("memory")
    yield found
    found.store.clear()
    found.pseudo_dirs[:] = [""]
