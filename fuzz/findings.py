"""A finding on disk: a folder with the input's files under ``input/``, and
``finding.json``, which a replay starts from.
"""

from __future__ import annotations

import json
from pathlib import Path

from fuzz.guard import Verdict
from fuzz.inputs import Input

DESCRIPTION = "finding.json"


def save(folder: Path, one: Input, verdict: Verdict, seed: int, digest: str) -> Path:
    """Write a finding; return its description's path."""
    assert verdict.problem is not None
    place = folder / f"{seed}-{one.number}-{verdict.problem.kind}"
    for name, data in one.files:
        path = place / "input" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    told = {
        "seed": seed,
        "number": one.number,
        "seeds": digest,
        "format": one.format,
        "source": one.source,
        "trace": one.trace,
        "is_folder": one.is_folder,
        "files": [name for name, _ in one.files],
        "kind": verdict.problem.kind,
        "detail": verdict.problem.detail,
        "seconds": round(verdict.seconds, 3),
        "peak": verdict.peak,
    }
    place.mkdir(parents=True, exist_ok=True)
    (place / DESCRIPTION).write_text(
        json.dumps(told, indent=1) + "\n", encoding="utf-8"
    )
    return place / DESCRIPTION


def load(path: Path) -> Input:
    """Return the input of a finding, by its folder or its description."""
    place = path if path.is_dir() else path.parent
    told = json.loads((place / DESCRIPTION).read_text(encoding="utf-8"))
    files = tuple(
        (name, (place / "input" / name).read_bytes()) for name in told["files"]
    )
    return Input(
        told["number"],
        told["format"],
        told["source"],
        files,
        tuple(told["trace"]),
        told["is_folder"],
    )
