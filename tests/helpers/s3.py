"""A real S3 server (moto's) on this machine, and what was asked of it."""

from collections.abc import Callable, Iterator
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
    status : what requests are answered with from now on; None for what was asked
    refuses : given a method and a path, whether a request is answered with 503
    """

    server: Any
    url: str
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    status: str | None = None
    refuses: Callable[[str, str], bool] = lambda _method, _path: False

    def begin(self) -> None:
        """Empty the bucket, and forget what was asked."""
        self.status, self.refuses = None, lambda _method, _path: False
        for key in self.keys():
            _client().delete_object(Bucket=BUCKET, Key=key)
        forget_connections()
        self.requests.clear()

    def put(self, key: str, data: bytes) -> None:
        _client().put_object(Bucket=BUCKET, Key=key, Body=data)

    def delete(self, key: str) -> None:
        _client().delete_object(Bucket=BUCKET, Key=key)

    def put_folder(self, folder: Any, key: str) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(
                    f"{key}/{path.relative_to(folder).as_posix()}", path.read_bytes()
                )

    def keys(self, prefix: str = "") -> dict[str, int]:
        pages = (
            _client()
            .get_paginator("list_objects_v2")
            .paginate(Bucket=BUCKET, Prefix=prefix)
        )
        return {
            one["Key"]: one["Size"]
            for page in pages
            for one in page.get("Contents", [])
        }

    def get(self, key: str) -> bytes:
        return _client().get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def of(self, method: str, key: str) -> list[int]:
        """Return the bytes of the answers to requests of one kind for one object."""
        return [
            size
            for asked, path, size in self.requests
            if asked == method and path == f"/{BUCKET}/{key}"
        ]


def forget_connections() -> None:
    """Let the next call read the environment anew, as another process would."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()


def _client() -> Any:
    import boto3

    return boto3.client("s3")


def _counted(s3: S3, app: Any) -> Any:
    def counting(environ: dict[str, Any], start: Any) -> Any:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        status = "503 Slow Down" if s3.refuses(method, path) else s3.status
        if status is not None:
            # left unread, it would break the connection
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start(status, [("Content-Length", "0")])
            return [b""]
        body = b"".join(app(environ, start))
        s3.requests.append((method, path, len(body)))
        return [body]

    return counting


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """Yield a server with one empty bucket; the environment then says what a user's
    would.
    """
    pytest.importorskip("s3fs", reason="needs s3fs")
    pytest.importorskip("moto.server", reason="needs moto[server]")
    import logging

    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)

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
    forget_connections()
    boto3.setup_default_session()
    _client().create_bucket(Bucket=BUCKET)
    s3.requests.clear()
    try:
        yield s3
    finally:
        server.stop()
        forget_connections()
