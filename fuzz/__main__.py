"""``python -m fuzz``: mutate real files, give them to the reader under limits, print a
table; 1 if anything was found.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

# before NumPy is loaded: a thread's stack counts as memory asked for
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from fuzz import campaign, findings, report, seeds
from fuzz.guard import Limits
from fuzz.inputs import Input, Inputs

SCRATCH = "DSI_FUZZ_SCRATCH"
_MOST_SAVED = 100


def main(arguments: Sequence[str]) -> int:
    """Run a campaign or replay a finding; return 1 if there are findings."""
    asked = _asked(arguments)
    limits = Limits(asked.seconds, asked.megabytes)
    if asked.replay is not None:
        return _replayed(asked.replay, limits)
    with tempfile.TemporaryDirectory(prefix="dsi-fuzz-seeds-") as temporary:
        given = asked.scratch or os.environ.get(SCRATCH)
        scratch = Path(given).resolve() if given else Path(temporary)
        scratch.mkdir(parents=True, exist_ok=True)
        files, missing = seeds.load(scratch, seeds.shared_corpus())
    print("\n".join(missing), file=sys.stderr) if missing else None
    digest = seeds.digest(files)
    try:
        inputs = Inputs(files, asked.seed, asked.only)
    except ValueError as error:
        print(f"fuzz: {error}", file=sys.stderr)
        return 2
    unchanged = (
        Input(-1, one.format, one.name, one.files, (), one.is_folder) for one in files
    )
    outcome = campaign.run(
        inputs.make,
        range(asked.first, asked.first + asked.inputs),
        workers=asked.workers,
        limits=limits,
        warm_up=lambda: iter(unchanged),
        progress=(
            _progress(asked.inputs)
            if sys.stderr.isatty()
            else lambda _done, _findings: None
        ),
    )
    print(
        f"Seed {asked.seed}, {len(files)} files ({digest}), limits {limits.seconds:g} s"
        f" and {limits.megabytes} MB an input.\n"
    )
    print(report.table(outcome))
    for verdict in outcome.findings[:_MOST_SAVED]:
        print(
            "saved:"
            f" {findings.save(asked.findings, inputs.make(verdict.number), verdict, asked.seed, digest)}"
        )
    return 1 if outcome.findings else 0


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument(
        "--inputs", type=int, default=20_000, help="how many; 20000 by default"
    )
    parser.add_argument(
        "--first", type=int, default=0, help="the number of the first one"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        help="processes; one a core by default",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="FORMAT",
        help="files of this format; repeatable",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        help=(
            "an input's time limit; it is looked at twice, and the child process that"
            " runs other libraries ends after 20 s"
        ),
    )
    parser.add_argument(
        "--megabytes", type=int, default=300, help="an input's memory limit"
    )
    parser.add_argument(
        "--scratch",
        help=(
            "a folder for the files that are mutated, kept for the next time (or"
            f" {SCRATCH})"
        ),
    )
    parser.add_argument(
        "--findings",
        type=Path,
        default=Path("fuzz-findings"),
        help="where findings are saved",
    )
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="one saved finding, instead"
    )
    asked = parser.parse_args(arguments)
    if asked.inputs < 1 or asked.workers < 1:
        parser.error("at least one input and one worker")
    return asked


def _replayed(path: Path, limits: Limits) -> int:
    one = findings.load(path)
    outcome = campaign.run(
        lambda _number: one,
        range(one.number, one.number + 1),
        limits=limits,
        warm_up=lambda: iter([one]),
    )
    print(
        "\n".join(
            [f"{one.format}, from {one.source}:", *(f"  {what}" for what in one.trace)]
        )
    )
    print(report.table(outcome))
    return 1 if outcome.findings else 0


def _progress(total: int) -> campaign.Progress:
    began = time.monotonic()

    def told(done: int, found: int) -> None:
        rate = done / max(time.monotonic() - began, 1e-9)
        end = "\n" if done >= total else ""
        print(
            f"\r{done:,} of {total:,} inputs, {rate:,.0f} a second, {found} findings ",
            end=end,
            file=sys.stderr,
            flush=True,
        )

    return told


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
