"""A whole ``dsi analyze``: cold, repeated, compared with the way by hand; and one epoch
of more classes.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import by_hand, timing
from benchmarks.rows import Row, seconds, skipped
from benchmarks.scratch import Setup, small_run
from benchmarks.wordnet import nltk_wordnet

PART = "analysis"
LABELS = "cifar100"
_LIBRARIES = ("nltk", "safetensors", "scipy", "skimage", "sklearn")
_WIDTH = 512


def measure(setup: Setup) -> list[Row]:
    """Return the rows of this part."""
    with _runs(setup) as runs:
        return [*_demo_rows(setup, runs), *_classes_rows(setup)]


@contextmanager
def _runs(setup: Setup) -> Iterator[Path]:
    """Yield the demo's runs; in quick mode one of two small checkpoints."""
    from dsi_cli.demo import runs_folder

    if setup.quick:
        yield small_run(setup.folder / "demo" / "small", 2, classes=100).parent
        return
    with runs_folder() as folder:
        yield folder


def _fresh(setup: Setup) -> Path:
    """Return the path of an output folder that does not exist."""
    out = setup.folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    return out


def _demo_rows(setup: Setup, runs: Path) -> list[Row]:
    command = timing.dsi(
        "analyze", str(runs), "--labels", LABELS, "-o", str(setup.folder / "out")
    )
    bare = [*command, "--permutations", "0"]
    reason = _why_not_by_hand(setup)
    cold, plain, again, hand, said = [], [], [], [], ""
    for _ in range(setup.rounds(3)):
        _fresh(setup)
        cold.append(timing.run(command).seconds)
        done = timing.run([*command, "--json"])
        again.append(done.seconds)
        curves = _values(setup.folder / "out")
        _fresh(setup)
        plain.append(timing.run(bare).seconds)
        if not reason:
            labels = Path(str(_package_file("labels/data"))) / f"{LABELS}.tsv"
            one = timing.run(
                [sys.executable, "-m", "benchmarks.by_hand", str(runs), str(labels)]
            )
            hand.append(one.seconds)
            said = one.said
    count = sum(1 for _ in runs.rglob("*.safetensors"))
    what = f"`dsi analyze`, {count} checkpoints of 100 classes, whole command"
    heads = sum(run["read"] for run in json.loads(done.said)["runs"])
    repeated = Row(
        PART,
        f"the same again: heads read: {heads}",
        seconds(median(again)),
        f"cold: {seconds(median(cold))}",
        median(cold) / median(again),
        "0 heads",
        heads == 0,
    )
    if reason:
        return [skipped(PART, f"{what}, beside the way by hand", reason), repeated]
    _require_same(json.loads(said), curves)
    beside = f"by hand, values alone: {seconds(median(hand))}"
    return [
        Row(
            PART,
            f"{what}, as it comes",
            seconds(median(cold)),
            beside,
            median(hand) / median(cold),
        ),
        Row(
            PART,
            f"{what}, `--permutations 0`",
            seconds(median(plain)),
            beside,
            median(hand) / median(plain),
        ),
        repeated,
    ]


def _why_not_by_hand(setup: Setup) -> str:
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed"
    wn = nltk_wordnet(setup.nltk_data)
    return wn if isinstance(wn, str) else ""


def _package_file(name: str) -> Path:
    import dsi_cli

    return Path(str(dsi_cli.__file__)).parent / name


def _values(out: Path) -> dict[tuple[str, int, str], float]:
    """Return an output's alignments with WordNet by run, epoch and measure."""
    from dsi_cli import open_run

    curves = open_run(out).curves
    kept = curves[(curves["metric"] == "sai") & (curves["of"] == "ncsm,scsm")]
    return {
        (run, epoch, name): value
        for run, epoch, name, value in kept[["run", "epoch", "variant", "value"]].values
    }


def _require_same(
    hand: dict[str, dict[str, dict[str, float]]],
    ours: dict[tuple[str, int, str], float],
) -> None:
    """Raise unless both ways have the same values; by hand, ``ssim`` has another order
    of classes.
    """
    for run, epochs in hand.items():
        for epoch, measures in epochs.items():
            for name, value in measures.items():
                if name != "ssim" and abs(ours[run, int(epoch), name] - value) > 1e-5:
                    raise AssertionError(
                        f"{run}, epoch {epoch}, {name}: {ours[run, int(epoch), name]}"
                        f" and by hand {value}"
                    )


def _classes_rows(setup: Setup) -> list[Row]:
    """Return the time of one epoch of more and more classes, part by part, and of the
    same values by hand.
    """
    from dsi_cli import weight_similarity, wordnet_csm
    from dsi_cli.metrics import DEFAULT_MEASURES
    from dsi_cli.metrics.alignment import MAX_DEFAULT_CLASSES, MatrixPair
    from dsi_cli.metrics.prepared_matrix import PreparedMatrix
    from dsi_cli.store import parquet
    from dsi_cli.store.schema import CSMS

    semantic = wordnet_csm("imagenet1k").to_numpy(np.float32)
    rows = []
    for classes in (20, 40) if setup.quick else (100, 300, 1000):
        weight = (
            np.random.default_rng(0).normal(size=(classes, _WIDTH)).astype(np.float32)
        )
        csm, scsm = weight_similarity(weight), semantic[:classes, :classes]
        reference = PreparedMatrix(scsm)  # an analysis prepares it once for all epochs
        # an analysis writes new files
        paths = (setup.folder / f"csm-{classes}-{number}.parquet" for number in count())

        def store(csm: Any = csm, paths: Iterator[Path] = paths) -> None:
            path = next(paths)
            table = parquet.from_matrix(
                CSMS,
                csm,
                {"run": "a", "kind": "ncsm"},
                {"class_index": range(len(csm))},
            )
            # as the matrix of an epoch
            parquet.write(table, path, {}, path.parent, is_durable=False)

        parts = {
            "NCSM": lambda weight=weight: weight_similarity(weight),
            "SAI": (
                lambda csm=csm, reference=reference: MatrixPair(
                    PreparedMatrix(csm), reference, np.arange(len(csm))
                ).alignments(DEFAULT_MEASURES, None, None, 0)
            ),
            "Parquet": store,
        }
        hand = (
            {}
            if _missing_for_values()
            else {"hand": lambda weight=weight, scsm=scsm: _by_hand(weight, scsm)}
        )
        with threadpool_limits(limits=1):
            found = timing.turns(parts | hand, setup.rounds(3))
        beside = (
            f"NCSM and six values by hand: {seconds(found['hand'])}"
            if hand
            else _missing_for_values()
        )
        whole = sum(found[name] for name in parts)
        ours = (
            f"{seconds(whole)}"
            f" ({', '.join(f'{name} {seconds(found[name])}' for name in parts)})"
        )
        interval = " and interval" if classes <= MAX_DEFAULT_CLASSES else ""
        what = (
            f"one epoch of {classes:,} classes, width {_WIDTH}, one thread: NCSM, SAI"
            f" with chance level{interval}, Parquet"
        )
        rows.append(
            Row(PART, what, ours, beside, found["hand"] / whole if hand else None)
        )
    return rows


def _missing_for_values() -> str:
    missing = [
        name for name in ("scipy", "skimage", "sklearn") if find_spec(name) is None
    ]
    return f"not measured: {', '.join(missing)} not installed" if missing else ""


def _by_hand(weight: Any, scsm: Any) -> dict[str, float]:
    from sklearn.metrics.pairwise import cosine_similarity

    a = by_hand.off_diagonal(cosine_similarity(weight).astype(np.float64))
    return by_hand.alignment(a, by_hand.off_diagonal(scsm.astype(np.float64)))
