"""``python -m benchmarks``: measure, print the tables, and write them into
``benchmarks/results/performance.md``.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.rows import Row, skipped, tables, write
from benchmarks.scratch import Setup
from benchmarks.timing import CORE_TYPE

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = "DSI_BENCH_SCRATCH"
PARTS = (
    ("startup", "What a command costs before it does anything"),
    ("wordnet", "WordNet"),
    ("heads", "The classifier out of a large checkpoint"),
    ("analysis", "A whole analysis"),
    ("many", "Hundreds of checkpoints"),
    ("large", "One epoch of 1,000 classes of width 2,048"),
    ("compare", "A comparison of many runs"),
    ("growth", "Growth with the number of checkpoints and of classes"),
    ("vast", "Classes too many for a matrix to be stored"),
    ("evaluation", "Running a model on a test set at ten checkpoints"),
    ("report", "The report and the figures"),
    ("callbacks", "The curves of a training while it runs"),
)


def main(arguments: Sequence[str]) -> int:
    """Run the parts; return 0 if every requirement that was measured holds, else 1."""
    asked = _asked(arguments)
    with tempfile.TemporaryDirectory(prefix="dsi-bench-") as temporary:
        given = asked.scratch or os.environ.get(SCRATCH)
        folder = Path(given).resolve() if given else Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        setup = Setup(folder, _nltk_data(asked.nltk_data), asked.quick, _shared())
        rows = [
            row
            for part, _ in PARTS
            if part in asked.parts
            for row in _measured(part, setup)
        ]
        text = f"{_where()}\n\n{tables(rows, PARTS)}"
    print(text)
    if asked.page is not None:
        write(asked.page, text)
    return 1 if any(row.holds is False for row in rows) and not asked.quick else 0


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    names = [part for part, _ in PARTS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"out of {', '.join(names)}; all if none is named",
    )
    parser.add_argument(
        "--page",
        type=Path,
        help="the page to write; benchmarks/results/performance.md for all parts",
    )
    parser.add_argument(
        "--scratch",
        help=f"a folder for the large files, kept for the next time (or {SCRATCH})",
    )
    parser.add_argument(
        "--nltk-data",
        type=Path,
        help="NLTK's data folder with corpora/wordnet (or NLTK_DATA)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="tiny files, few rounds: only a test that all parts run",
    )
    asked = parser.parse_args(arguments)
    unknown = sorted(set(asked.parts) - set(names))
    if unknown:
        parser.error(f"unknown part {unknown[0]!r}: expected {', '.join(names)}")
    if not asked.parts and asked.page is None and not asked.quick:
        asked.page = ROOT / "benchmarks" / "results" / "performance.md"
    asked.parts = asked.parts or names
    return asked


def _measured(part: str, setup: Setup) -> list[Row]:
    from importlib import import_module

    print(f"measuring: {part}", file=sys.stderr)
    began = time.monotonic()
    try:
        rows: list[Row] = import_module(f"benchmarks.{part}").measure(setup)
    except (ImportError, OSError, RuntimeError) as error:
        rows = [
            skipped(
                part,
                part,
                f"{type(error).__name__}: {str(error).splitlines()[-1][:200]}",
            )
        ]
    print(f"  {time.monotonic() - began:.0f} s", file=sys.stderr)
    return rows


def _shared() -> Path | None:
    """Return the folder of data outside the repository that ``DSI_SHARED`` names; None
    if the variable is not set.
    """
    return (
        Path(os.environ["DSI_SHARED"]).absolute()
        if os.environ.get("DSI_SHARED")
        else None
    )


def _nltk_data(given: Path | None) -> Path | None:
    """Return the folder of NLTK's data: the given one, or that of ``NLTK_DATA``, or
    that of the shared data.
    """
    named = Path(os.environ["NLTK_DATA"]) if os.environ.get("NLTK_DATA") else None
    shared = _shared()
    found = [given, named, shared / "wordnet" / "nltk_data" if shared else None]
    return next((path for path in found if path is not None and path.is_dir()), None)


def _where() -> str:
    """Return when and on what the figures were measured."""
    libraries = (
        "torch",
        "numpy",
        "scipy",
        "pyarrow",
        "nltk",
        "scikit-learn",
        "scikit-image",
        "safetensors",
    )
    versions = ", ".join(f"{name} {_version(name)}" for name in libraries)
    busy = (
        f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    )
    if hasattr(os, "nice") and os.nice(0):
        busy += f", nice {os.nice(0)}"
    day = datetime.now(UTC).date().isoformat()
    return (
        f"Measured {day} by `python -m benchmarks` on {_processor()}, {os.cpu_count()}"
        f" cores{busy}, {platform.system()}. Python {platform.python_version()},"
        f" {versions}, dsi {_version('dsi-cli')}."
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    if CORE_TYPE in os.environ:
        del os.environ[CORE_TYPE]
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]])
    sys.exit(main(sys.argv[1:]))
