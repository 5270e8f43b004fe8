"""A Hugging Face Hub on this machine: repositories with commits, tags and branches, as
far as huggingface_hub needs it.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

TOKEN = "hf_" + "SesameOpenSesameOpen1234"
Files = dict[str, bytes]
_KINDS = "revision|tree|paths-info|commits|refs|resolve"
_ADDRESS = re.compile(
    rf"/(?:api/models/)?([^/]+/[^/]+?)(?:/({_KINDS})(?:/([^/]+))?(?:/(.+))?)?"
)


@dataclass
class Commit:
    id: str
    title: str
    files: Files


@dataclass
class Repository:
    """A repository; each commit holds all its files."""

    commits: list[Commit] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    is_private: bool = False

    def commit(
        self, title: str, files: dict[str, bytes | None], tag: str | None = None
    ) -> str:
        """Change some files (None removes one) on the branch main; return the
        commit.
        """
        before = self.commits[-1].files if self.commits else {}
        merged = {
            name: data for name, data in (before | files).items() if data is not None
        }
        digest = hashlib.sha1(f"{len(self.commits)} {title}".encode()).hexdigest()
        self.commits.append(Commit(digest, title, merged))
        self.branches["main"] = digest
        if tag is not None:
            self.tags[tag] = digest
        return digest

    def at(self, revision: str) -> Commit | None:
        found = self.tags.get(revision) or self.branches.get(revision) or revision
        return next((commit for commit in self.commits if commit.id == found), None)


@dataclass
class Hub:
    """The server, and the requests that it answered.

    Attributes
    ----------
    requests : (method, path, bytes of the answer), in order
    fails : given a method and a path, the status of a refusal or None
    """

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    fails: Callable[[str, str], int | None] = lambda _method, _path: None
    page: int = 8
    """The number of commits in one answer."""

    def begin(self) -> None:
        self.repositories.clear()
        self.requests.clear()
        self.fails = lambda _method, _path: None

    def of(self, text: str) -> list[int]:
        """Return the bytes of the answers to GET requests whose path has a text."""
        return [
            size
            for method, path, size in self.requests
            if method == "GET" and text in path
        ]


def _entry(path: str, data: bytes) -> dict[str, Any]:
    oid = hashlib.sha1(data).hexdigest()
    entry = {"type": "file", "path": path, "size": len(data), "oid": oid}
    if path.endswith((".safetensors", ".bin", ".pt")):
        entry["lfs"] = {
            "oid": hashlib.sha256(data).hexdigest(),
            "size": len(data),
            "pointerSize": 130,
        }
    return entry


def _tree(files: Files, folder: str, *, recursive: bool) -> list[dict[str, Any]]:
    top = f"{folder}/" if folder else ""
    entries: dict[str, dict[str, Any]] = {}
    for path, data in files.items():
        if not path.startswith(top):
            continue
        *parts, _ = path.removeprefix(top).split("/")
        for depth in range(1, len(parts) + 1 if recursive else min(1, len(parts)) + 1):
            name = top + "/".join(parts[:depth])
            entries[name] = {
                "type": "directory",
                "path": name,
                "size": 0,
                "oid": hashlib.sha1(name.encode()).hexdigest(),
            }
        if recursive or not parts:
            entries[path] = _entry(path, data)
    return [entries[name] for name in sorted(entries)]


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

        def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
            hub.requests.append((self.command, unquote(self.path), len(body)))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def reply_json(self, value: Any, **headers: str) -> None:
            self.reply(
                200,
                json.dumps(value).encode(),
                Content_Type="application/json",
                **headers,
            )

        def error(self, status: int, code: str = "") -> None:
            self.reply(status, X_Error_Code=code, X_Error_Message=code or "refused")

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            address = urlsplit(self.path)
            status = hub.fails(self.command, unquote(self.path))
            if status is not None:
                self.error(status)
                return
            match = _ADDRESS.fullmatch(address.path)
            repository = match and hub.repositories.get(match[1])
            if not match or not repository:
                self.error(
                    404 if self.headers.get("Authorization") else 401, "RepoNotFound"
                )
                return
            if (
                repository.is_private
                and self.headers.get("Authorization") != f"Bearer {TOKEN}"
            ):
                self.error(401, "RepoNotFound")
                return
            kind, revision, path = (
                match[2],
                unquote(match[3] or "main"),
                unquote(match[4] or ""),
            )
            if kind == "refs":
                refs = {
                    "branches": ("heads", repository.branches),
                    "tags": ("tags", repository.tags),
                }
                about = {"converts": []}
                for name, (part, known) in refs.items():
                    items = known.items()
                    about[name] = [
                        {"name": ref, "ref": f"refs/{part}/{ref}", "targetCommit": one}
                        for ref, one in items
                    ]
                self.reply_json(about)
                return
            commit = repository.at(revision)
            if commit is None:
                self.error(404, "RevisionNotFound")
            elif kind in (None, "revision"):
                about = {
                    "_id": "1",
                    "id": match[1],
                    "sha": commit.id,
                    "siblings": [],
                    "tags": [],
                    "private": False,
                }
                self.reply_json(about | {"downloads": 0, "likes": 0})
            elif kind == "commits":
                history = repository.commits[: repository.commits.index(commit) + 1][
                    ::-1
                ]
                number = int(parse_qs(address.query).get("p", ["0"])[0])
                shared = {
                    "message": "",
                    "date": "2024-05-01T12:00:00.000Z",
                    "authors": [{"user": "me"}],
                }
                on_page = history[number * hub.page : (number + 1) * hub.page]
                items = [shared | {"id": one.id, "title": one.title} for one in on_page]
                more = (number + 1) * hub.page < len(history)
                link = (
                    {"Link": f'<{hub.url}{address.path}?p={number + 1}>; rel="next"'}
                    if more
                    else {}
                )
                self.reply_json(items, **link)
            elif kind == "tree":
                entries = _tree(
                    commit.files,
                    path,
                    recursive=parse_qs(address.query).get("recursive") == ["true"],
                )
                if path and not entries:
                    self.error(404, "EntryNotFound")
                else:
                    self.reply_json(entries)
            elif kind == "paths-info":
                wanted = (
                    parse_qs(body.decode()).get("paths") or json.loads(body)["paths"]
                )
                self.reply_json(
                    [
                        _entry(name, commit.files[name])
                        for name in wanted
                        if name in commit.files
                    ]
                )
            elif path not in commit.files:
                self.error(404, "EntryNotFound")
            else:
                data = commit.files[path]
                headers = {
                    "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
                    "X-Repo-Commit": commit.id,
                    "Accept-Ranges": "bytes",
                }
                wanted_range = re.fullmatch(
                    r"bytes=(\d+)-(\d+)", self.headers.get("Range") or ""
                )
                if wanted_range:
                    first, last = (
                        int(wanted_range[1]),
                        min(int(wanted_range[2]), len(data) - 1),
                    )
                    headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
                    self.reply(206, data[first : last + 1], **headers)
                else:
                    self.reply(200, data, **headers)

    return Handler


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Yield an empty hub; the environment then says what a user's would."""
    pytest.importorskip("huggingface_hub", reason="the client of the hub")
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
