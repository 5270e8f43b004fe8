"""A real S3 server for the tests of this folder, empty at the beginning of each, and
the memory of fsspec.
"""

from collections.abc import Iterator

import pytest
from helpers.s3 import S3, serving


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    with pytest.MonkeyPatch.context() as environment, serving(environment) as s3:
        yield s3


@pytest.fixture
def s3(s3_server: S3) -> S3:
    s3_server.begin()
    return s3_server


@pytest.fixture
def memory() -> Iterator:
    import fsspec

    found = fsspec.filesystem("memory")
    yield found
    found.store.clear()
    found.pseudo_dirs[:] = [""]
