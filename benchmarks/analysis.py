"""A whole ``dsi analyze``: cold, repeated, compared with the way by hand; and one epoch
of more classes.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
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
OVER_HAND = 1 / 0.8
"""The required ratio of the way by hand to the whole command on the demo."""
OF_EPOCH = {
    (100, "six values by hand"): 1 / 1.2,
    (1000, "plain composition"): 5.0,
}
"""The required ratio of another way to ours for one epoch, by its number of classes."""


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
            f"at least {OVER_HAND:g}x",
            median(hand) / median(cold) >= OVER_HAND,
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
    """Return the processor time of one epoch of more and more classes, part by part,
    compared with the same values by hand and with the plain composition.
    """
    missing = _missing_for_values()
    rows = []
    for classes in (20, 40) if setup.quick else (100, 300, 1000):
        parts = _epoch_parts(setup, classes)
        others = {} if missing else _other_ways(setup, classes)
        with threadpool_limits(limits=1):
            found = timing.turns(
                parts | others, setup.rounds(9), clock=time.process_time
            )
        size = f"one epoch of {classes:,} classes, width {_WIDTH}, one thread"
        few = {name: found[name] for name in ("NCSM", "SAI", "Parquet")}
        whole = {name: found[name] for name in parts}
        for way, what, ours in (
            ("six values by hand", "NCSM, SAI with chance level, Parquet", few),
            ("plain composition", "all values", whole),
        ):
            total = sum(ours.values())
            each = ", ".join(f"{name} {seconds(took)}" for name, took in ours.items())
            beside = f"not measured: {missing}"
            ratio = None
            if not missing:
                beside = f"{way}: {seconds(found[way])}"
                ratio = found[way] / total
            least, required, holds = OF_EPOCH.get((classes, way)), "", None
            if least is not None:
                required = f"at least {least:.3g}x"
                holds = None if ratio is None else ratio >= least
            shown = f"{seconds(total)} ({each})"
            what = f"{size}: {what}"
            rows.append(Row(PART, what, shown, beside, ratio, required, holds))
    return rows


def _semantic_and_weight(classes: int) -> tuple[Any, Any]:
    """Return the WordNet similarity of classes, and weights that agree with it."""
    from dsi_cli import wordnet_csm

    labels = "cifar100" if classes <= 100 else "imagenet1k"
    semantic = wordnet_csm(labels).to_numpy(np.float32)
    kept = np.flatnonzero(~np.isnan(np.diagonal(semantic)))[:classes]
    semantic = np.asarray(semantic[np.ix_(kept, kept)])
    noise, shared = np.random.default_rng(0).normal(size=(2, len(kept), _WIDTH))
    root = np.linalg.cholesky(semantic + 0.3 * np.eye(len(kept)))
    return semantic, (noise + root @ shared).astype(np.float32)


def _epoch_parts(setup: Setup, classes: int) -> dict[str, Callable[[], Any]]:
    """Return the parts of an epoch of an analysis, in their order."""
    from dsi_cli import weight_similarity
    from dsi_cli.analysis.tables.geometry import head_rows
    from dsi_cli.metrics import DEFAULT_MEASURES, WSI_QUANTILE
    from dsi_cli.metrics.alignment import MatrixPair
    from dsi_cli.metrics.blockwise import BlockWalk, DenseRows, block_statistics
    from dsi_cli.metrics.prepared_matrix import PreparedMatrix
    from dsi_cli.store import parquet
    from dsi_cli.store.schema import CSMS

    semantic, weight = _semantic_and_weight(classes)
    csm = weight_similarity(weight)
    reference = PreparedMatrix(semantic)  # an analysis prepares it once for all epochs
    # an analysis writes new files
    paths = (setup.folder / f"csm-{classes}-{number}.parquet" for number in count())

    def store() -> None:
        path = next(paths)
        table = parquet.from_matrix(
            CSMS, csm, {"run": "a", "kind": "ncsm"}, {"class_index": range(len(csm))}
        )
        # as the matrix of an epoch
        parquet.write(table, path, {}, path.parent, is_durable=False)

    pair = MatrixPair(PreparedMatrix(csm), reference, np.arange(len(csm)))

    def align() -> None:
        nonlocal pair
        pair = MatrixPair(PreparedMatrix(csm), reference, np.arange(len(csm)))
        pair.alignments(DEFAULT_MEASURES, None, None, 0)

    return {
        "NCSM": lambda: weight_similarity(weight),
        "SAI": align,
        "by class": lambda: pair.class_agreement(),
        "WSI": lambda: block_statistics(DenseRows(csm), BlockWalk(), [WSI_QUANTILE]),
        "geometry": lambda: head_rows(weight),
        "Parquet": store,
    }


def _other_ways(setup: Setup, classes: int) -> dict[str, Callable[[], Any]]:
    semantic, weight = _semantic_and_weight(classes)
    path = setup.folder / "plain.parquet"
    return {
        "six values by hand": lambda: _by_hand(weight, semantic),
        "plain composition": lambda: by_hand.plain(weight, semantic, path),
    }


def _missing_for_values() -> str:
    missing = [
        name for name in ("scipy", "skimage", "sklearn") if find_spec(name) is None
    ]
    return f"not measured: {', '.join(missing)} not installed" if missing else ""


def _by_hand(weight: Any, scsm: Any) -> dict[str, float]:
    from sklearn.metrics.pairwise import cosine_similarity

    a = by_hand.off_diagonal(cosine_similarity(weight).astype(np.float64))
    return by_hand.alignment(a, by_hand.off_diagonal(scsm.astype(np.float64)))
