"""Runs of Weights & Biases: the versions of their artifacts, from the server or from
the folder of an offline run.

An offline run's file is in LevelDB's log format behind seven bytes, one protocol buffer
per record. W&B has no public reader.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from dsi_cli.errors import UnreachableError, UsageError
from dsi_cli.remote import urls
from dsi_cli.remote.artifacts import ArtifactFileSystem
from dsi_cli.remote.locations import WANDB, Scalars, TrackedRun, Version
from dsi_cli.remote.remote_path import path_for_url

_OTHER_TYPES = re.compile(
    r"wandb-.*|code|dataset|job|run_table"
)  # types of artifacts that hold no checkpoints
_AUTOMATIC_ALIAS = re.compile(r"v\d+|latest|best")
_TIMEOUT_S = 30
_BLOCK, _FILE_HEADER, _RECORD_HEADER, _LAST_PARTS = 32768, 7, 7, (1, 4)


class WandbFileSystem(ArtifactFileSystem):
    """The artifacts of a run: ``wandb://ENTITY/PROJECT/RUN/NAME:VERSION/PATH``."""

    protocol = WANDB

    def __init__(self, **options: Any) -> None:
        import wandb

        super().__init__(**options)
        self.api = wandb.Api(timeout=_TIMEOUT_S)

    def list_folder(self, path: str) -> list[dict[str, Any]]:
        """Return the files and folders in a version of an artifact."""
        artifact, within = self._artifact(path)
        entries: dict[str, dict[str, Any]] = {}
        for file, entry in artifact.manifest.entries.items():
            if within and not file.startswith(f"{within}/"):
                continue
            name, slash, _ = file.removeprefix(
                f"{within}/" if within else ""
            ).partition("/")
            entries[name] = {"name": f"{path}/{name}", "size": 0, "type": "directory"}
            if not slash:
                entries[name] |= {
                    "size": entry.size or 0,
                    "type": "file",
                    "checksum": entry.digest,
                }
        return list(entries.values())

    def download(self, path: str, folder: Path) -> Path:
        """Download a file of an artifact, without a copy in W&B's cache."""
        artifact, file = self._artifact(path)
        return Path(
            artifact.get_entry(file).download(root=str(folder), skip_cache=True)
        )

    def _artifact(self, path: str) -> tuple[Any, str]:
        entity, project, _, name, *within = path.split("/")
        return self.api.artifact(f"{entity}/{project}/{name}"), "/".join(within)


def find_runs(name: str) -> list[TrackedRun]:
    """Return the run ``ENTITY/PROJECT/RUN``, or the offline run in a folder; errors as
    `find_tracked_runs`.
    """
    if Path(name).is_dir() and list(Path(name).glob("run-*.wandb")):
        return [_offline_run(Path(name).resolve())]
    import wandb

    name = name.replace("/runs/", "/").strip("/")
    if name.count("/") != 2:
        message = (
            f"wandb:{name} is not a run; expected wandb:ENTITY/PROJECT/RUN, or"
            " wandb:FOLDER of an offline run"
        )
        raise UsageError(message, code="no-such-path", path=f"wandb:{name}")
    try:
        run = wandb.Api(timeout=_TIMEOUT_S).run(name)
        artifacts = [
            artifact
            for artifact in run.logged_artifacts()
            if not _OTHER_TYPES.fullmatch(artifact.type)
        ]
    except (wandb.errors.Error, OSError, ValueError) as error:
        reason = urls.clean_message(str(error))
        if re.search(r"not f(i|ou)nd|404", reason, re.IGNORECASE):
            raise UsageError(
                f"W&B has no run {name}: {reason}",
                code="no-such-path",
                path=f"wandb:{name}",
            ) from None
        if isinstance(error, wandb.errors.UsageError):
            reason = "run wandb login or set WANDB_API_KEY"
        raise UnreachableError(f"W&B does not list {name}: {reason}") from None
    folder = path_for_url(f"wandb://{name}")
    artifacts.sort(
        key=lambda artifact: (
            artifact.name.rpartition(":")[0],
            int(artifact.version.removeprefix("v")),
        )
    )
    versions = [
        Version(folder / artifact.name, _text(artifact.metadata, artifact.aliases))
        for artifact in artifacts
    ]
    run_name = run.name or name.rpartition("/")[2]
    return [
        TrackedRun(
            "W&B",
            run_name,
            folder,
            partial(_read_scalars, run.scan_history),
            tuple(versions),
        )
    ]


def _text(metadata: Any, aliases: Collection[str]) -> str:
    """Return the text that may state the epoch of a version: the file's name when
    Lightning logged it, else the user's aliases.
    """
    name = (metadata or {}).get("original_filename")
    if name:
        return str(name)
    return " ".join(alias for alias in aliases if not _AUTOMATIC_ALIAS.fullmatch(alias))


def _read_scalars(
    history: Callable[[], Iterable[dict[str, Any]]], names: Collection[str]
) -> Scalars:
    import wandb

    scalars: Scalars = {}
    try:
        for row in history():
            for key, value in row.items():
                if key.lower() in names and isinstance(value, int | float):
                    scalars.setdefault(key.lower(), {})[int(row["_step"])] = float(
                        value
                    )
    except (wandb.errors.Error, ValueError) as error:
        raise OSError(urls.clean_message(str(error))) from None
    return scalars


def _offline_history(file: Path) -> Iterator[dict[str, Any]]:
    for record in _records(file):
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            yield {
                item.key or "/".join(item.nested_key): json.loads(item.value_json)
                for item in items
            }


def _offline_run(folder: Path) -> TrackedRun:
    """Return the run in the folder of an offline run: its artifacts in W&B's staging
    folder, else its saved files.
    """
    file, *_ = folder.glob("run-*.wandb")
    name, versions = folder.name, []
    for record in _records(file):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            name = record.run.display_name or record.run.run_id or name
        elif kind == "artifact" and not _OTHER_TYPES.fullmatch(record.artifact.type):
            metadata = json.loads(record.artifact.metadata or "{}")
            for content in record.artifact.manifest.contents:
                path = Path(content.local_path)
                text = _text(metadata, record.artifact.aliases) or content.path
                error = None if path.is_file() else FileNotFoundError(str(path))
                versions.append(Version(path, text, error, Path(content.path).name))
    history = partial(_offline_history, file)
    return TrackedRun(
        "W&B", name, folder / "files", partial(_read_scalars, history), tuple(versions)
    )


def _records(path: Path) -> Iterator[Any]:
    """Yield the complete records of a file."""
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record

    data, begin, part = path.read_bytes(), _FILE_HEADER, b""
    while begin + _RECORD_HEADER <= len(data):
        left = _BLOCK - begin % _BLOCK
        if left < _RECORD_HEADER:
            begin += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, begin)
        begin += _RECORD_HEADER
        part += data[begin : begin + length]
        begin += length
        if kind in _LAST_PARTS:
            try:
                yield Record.FromString(part)
            except DecodeError:  # a file that was cut off
                return
            part = b""
