"""A real S3 server (moto's) on this machine, and what was asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

BUCKET = "lab"


@dataclass
class S3:
    """The server, and the requests that it answered.

    Attributes
    ----------
    requests : (method, path, bytes of the answer), in order
    status : what each request is answered with from now on; None for what was asked
    """

    server: Any
    url: str
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    status: str | None = None

    def put(self, key: str, data: bytes) -> None:
        import boto3

        boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=data)

    def put_folder(self, folder: Any, key: str) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(f"{key}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def keys(self, prefix: str = "") -> dict[str, int]:
        import boto3

        pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {one["Key"]: one["Size"] for page in pages for one in page.get("Contents", [])}

    def of(self, method: str, key: str) -> list[int]:
        """Return the bytes of the answers to requests of one kind for one object."""
        return [size for asked, path, size in self.requests if asked == method and path == f"/{BUCKET}/{key}"]

    def stop(self) -> None:
        self.server.stop()


def _counted(s3: S3, app: Any) -> Any:
    def counting(environ: dict[str, Any], start: Any) -> Any:
        if s3.status is not None:
            start(s3.status, [("Content-Length", "0")])
            return [b""]
        body = b"".join(app(environ, start))
        s3.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], len(body)))
        return [body]

    return counting


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """Yield a server with one empty bucket; the environment then says what a user's would."""
    pytest.importorskip("s3fs", reason="needs s3fs")
    pytest.importorskip("moto.server", reason="needs moto[server]")
    import boto3
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    s3 = S3(server, f"http://{host}:{port}")
    server._server.app = _counted(s3, server._server.app)
    for name, value in {
        "AWS_ENDPOINT_URL": s3.url,
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "sesame-open",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    boto3.setup_default_session()
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    s3.requests.clear()
    try:
        yield s3
    finally:
        import requests

        if server._thread is not None and server._thread.is_alive():
            s3.status = None
            requests.post(f"{s3.url}/moto-api/reset", timeout=10)
            server.stop()
        s3fs.S3FileSystem.clear_instance_cache()
