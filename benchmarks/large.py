"""One epoch of 1,000 classes of width 2,048: within a whole analysis, part by part, and
compared with SciPy and scikit-image.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks import by_hand, interpolated, timing
from benchmarks.rows import Row, seconds, skipped
from benchmarks.scratch import Setup

PART = "large"
LABELS, FEATURES = "imagenet1k", 2048
WEIGHTS_ALONE, WITH_ANSWERS, OVER_PLAIN = 0.8, 1.6, 3.0
EPOCHS = (4, 12)
"""The numbers of epochs of two analyses; the difference of their times is that of the
epochs alone.
"""


def measure(setup: Setup) -> list[Row]:
    """Return the rows of this part."""
    labels, features = ("cifar100", 64) if setup.quick else (LABELS, FEATURES)
    few, many = (1, 3) if setup.quick else EPOCHS
    run = interpolated.write(setup.folder / f"large-{labels}", labels, many, features)
    weights = [_weight(path) for path in sorted(run.glob("*.safetensors"))]
    alone = _epoch(setup, run, labels, (few, many), with_answers=False)
    answers = _epoch(setup, run, labels, (few, many), with_answers=True)
    size = f"{weights[0].shape[0]:,} classes, width {features:,}"
    rows = [
        Row(
            PART,
            f"an epoch of an analysis, {size}: NCSM, WSI, SAI(NCSM, SCSM) with its nulls, Parquet",
            seconds(alone),
            f"{many} epochs less {few}",
            None,
            f"below {WEIGHTS_ALONE:g} s",
            alone < WEIGHTS_ALONE,
        ),
        Row(
            PART,
            "the same with predictions on a test set: three pairs, two IDMs",
            seconds(answers),
            f"{many} epochs less {few}",
            None,
            f"below {WITH_ANSWERS:g} s",
            answers < WITH_ANSWERS,
        ),
    ]
    return [
        *rows,
        _plain_row(setup, weights, labels, alone),
        *_part_rows(setup, weights[-1], labels),
        _floor_row(weights[-1]),
    ]


def _weight(path: Path) -> NDArray[np.float32]:
    from dsi_cli import read_head

    weight: NDArray[np.float32] = np.asarray(read_head(path))
    return weight


def _epoch(
    setup: Setup, run: Path, labels: str, epochs: tuple[int, int], *, with_answers: bool
) -> float:
    """Return the seconds of one more epoch in an analysis of many, on all cores."""
    from dsi_cli.analysis.analyze import analyze
    from dsi_cli.analysis.options import Options

    few, many = epochs
    took: dict[int, list[float]] = {few: [], many: []}
    for _ in range(setup.rounds(3)):
        for number, found in took.items():
            folder, out = (
                _part_of(
                    run, setup.folder / "large-run", number, with_answers=with_answers
                ),
                setup.folder / "out",
            )
            shutil.rmtree(out, ignore_errors=True)
            began = time.perf_counter()
            analyze([folder], out, Options(labels=labels))
            found.append(time.perf_counter() - began)
    return (median(took[many]) - median(took[few])) / (many - few)


def _part_of(run: Path, folder: Path, epochs: int, *, with_answers: bool) -> Path:
    """Return a new folder with the first epochs of a run."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in sorted(run.glob("*.safetensors"))[:epochs]:
        os.link(path, folder / path.name)
    if with_answers:
        np.save(folder / "preds.npy", np.load(run / "preds.npy")[:epochs])
        shutil.copy(run / "targets.npy", folder)
    return folder


def _plain_row(
    setup: Setup, weights: list[NDArray[np.float32]], labels: str, ours: float
) -> Row:
    """Return the row of the same figures put together from SciPy, scikit-learn and
    scikit-image, an epoch a core.
    """
    what = (
        "an epoch of weights alone, beside the plain composition of SciPy, scikit-learn"
        " and scikit-image"
    )
    missing = [
        name for name in ("scipy", "skimage", "sklearn") if find_spec(name) is None
    ]
    if missing:
        return skipped(
            PART,
            what,
            f"{', '.join(missing)} not installed",
            f"at least {OVER_PLAIN:g}x",
        )
    from dsi_cli import wordnet_csm

    semantic, path = wordnet_csm(labels).to_numpy(np.float32), setup.folder / "plain"
    kept = np.flatnonzero(~np.isnan(np.diagonal(semantic)))
    semantic = np.asarray(semantic[np.ix_(kept, kept)])
    cores = (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )
    chosen = [weight[kept] for weight in weights[-2 * cores :]]
    took = []
    for _ in range(setup.rounds(3)):
        began = time.perf_counter()
        with threadpool_limits(limits=1), ThreadPoolExecutor(cores) as pool:
            list(
                pool.map(
                    lambda pair: plain(
                        pair[1], semantic, path.with_suffix(f".{pair[0]}")
                    ),
                    enumerate(chosen),
                )
            )
        took.append((time.perf_counter() - began) / len(chosen))
    theirs = median(took)
    beside = f"plain, {cores} at a time: {seconds(theirs)}"
    required = f"at least {OVER_PLAIN:g}x"
    return Row(
        PART,
        what,
        seconds(ours),
        beside,
        theirs / ours,
        required,
        theirs / ours >= OVER_PLAIN,
    )


def plain(
    weight: NDArray[np.float32], semantic: NDArray[Any], path: Path
) -> dict[str, float]:
    """Return an epoch's figures by the usual libraries' calls, and write its matrix: no
    interval, no table.
    """
    import pyarrow as pa
    from pyarrow import parquet
    from scipy.stats import rankdata
    from sklearn.metrics.pairwise import cosine_similarity

    csm = cosine_similarity(weight)
    parquet.write_table(
        pa.table({str(at): column for at, column in enumerate(csm.T)}),
        path,
        compression="zstd",
    )
    rows = csm[~np.eye(len(csm), dtype=bool)].reshape(len(csm), -1).astype(np.float64)
    high, low = (
        np.quantile(rows, share, axis=1, keepdims=True) for share in (0.95, 0.05)
    )
    found = {
        "max": float(np.nanmean(np.where(rows >= high, rows, np.nan))),
        "min": float(np.nanmean(np.where(rows <= low, rows, np.nan))),
    }
    x, y = (
        by_hand.off_diagonal(csm.astype(np.float64)),
        by_hand.off_diagonal(semantic.astype(np.float64)),
    )
    found |= by_hand.alignment(x, y)
    for name, first, second in (
        ("values", x, y),
        ("ranks", rankdata(x).reshape(x.shape), rankdata(y).reshape(y.shape)),
    ):
        a, b = np.sort(first.ravel()), np.sort(second.ravel())
        found[f"ceiling of {name}"] = float(np.corrcoef(a, b)[0, 1])
        found[f"null of {name}"] = _moments(first) * _moments(second)
    below, sums = (
        np.searchsorted(np.sort(y.ravel()), x.ravel()),
        np.concatenate([[0.0], np.cumsum(np.sort(y.ravel()))]),
    )
    found["null of mae"] = float(
        (x.ravel() * (2 * below - y.size) + sums[-1] - 2 * sums[below]).mean() / y.size
    )
    return found


def _moments(values: NDArray[np.float64]) -> float:
    """Return a number made of the sums that Mantel's second moment needs of one
    matrix.
    """
    size = len(values)
    square = np.zeros((size, size))
    square[~np.eye(size, dtype=bool)] = (values - values.mean()).ravel()
    rows, columns = square.sum(axis=1), square.sum(axis=0)
    return float(
        (square**2).sum()
        + (square * square.T).sum()
        + (rows**2).sum()
        + (columns**2).sum()
        + (rows * columns).sum()
    )


def _part_rows(setup: Setup, weight: NDArray[np.float32], labels: str) -> list[Row]:
    """Return what each part of an epoch costs in one thread."""
    with threadpool_limits(limits=1):
        found = timing.turns(_parts(setup, weight, labels), setup.rounds(5))
    return [
        Row(PART, f"one thread: {name}", seconds(took)) for name, took in found.items()
    ]


def _parts(
    setup: Setup, weight: NDArray[np.float32], labels: str
) -> Mapping[str, Callable[[], Any]]:
    from dsi_cli import wordnet_csm
    from dsi_cli.metrics import DEFAULT_MEASURES, class_alignment, idm, wsi
    from dsi_cli.metrics.alignment import MatrixPair
    from dsi_cli.metrics.measures import off_diagonal
    from dsi_cli.metrics.prepared_matrix import PreparedMatrix
    from dsi_cli.similarity import weight_similarity
    from dsi_cli.store import parquet
    from dsi_cli.store.schema import CSMS

    semantic = wordnet_csm(labels).to_numpy(np.float32)
    kept = np.flatnonzero(~np.isnan(np.diagonal(semantic)))
    csm, own = weight_similarity(weight), weight_similarity(weight[kept])
    side, order = PreparedMatrix(semantic[np.ix_(kept, kept)]), np.arange(len(kept))
    counts = np.random.default_rng(0).poisson(0.05, csm.shape) + 9 * np.eye(
        len(csm), dtype=np.int64
    )
    path = setup.folder / "csm.parquet"

    def sai(*measures: str) -> Any:
        return MatrixPair(PreparedMatrix(own), side, order).alignments(
            measures, None, None, 0
        )

    def store() -> None:
        table = parquet.from_matrix(
            CSMS, csm, {"run": "a", "kind": "ncsm"}, {"class_index": range(len(csm))}
        )
        parquet.write(table, path, {}, path.parent)

    return {
        "NCSM": lambda: weight_similarity(weight),
        "WSI": lambda: [wsi.mean_wsi(csm), wsi.max_wsi(csm), wsi.min_wsi(csm)],
        "SAI, all measures with nulls": lambda: sai(*DEFAULT_MEASURES),
        "SAI, cosine, mse, pearson (sums and Mantel's moments)": lambda: sai(
            "cosine", "mse", "pearson"
        ),
        "SAI, mae": lambda: sai("mae"),
        "SAI, spearman": lambda: sai("spearman"),
        "SAI, ssim": lambda: sai("ssim"),
        "alignment by class": lambda: class_alignment.align_rows(
            off_diagonal(own), off_diagonal(side.matrix)
        ),
        "IDM of one matrix": lambda: idm.idm(counts, csm),
        "Parquet, flushed to the disk": store,
    }


def _floor_row(weight: NDArray[np.float32]) -> Row:
    """Return what the NCSM's products must cost at the rate of a large product on this
    machine.
    """
    from dsi_cli.similarity import weight_similarity

    square = np.random.default_rng(0).random((2000, 2000), dtype=np.float32)
    with threadpool_limits(limits=1):
        found = timing.turns(
            {
                "ours": lambda: weight_similarity(weight),
                "large": lambda: square @ square,
            },
            5,
        )
    rate = 2 * len(square) ** 3 / found["large"]
    floor = 2 * len(weight) ** 2 * weight.shape[1] / rate
    beside = (
        f"floor: {seconds(floor)} at the {rate / 1e9:.0f} GFLOP/s of a product of 2,000"
        " x 2,000"
    )
    return Row(
        PART,
        "the NCSM, times its products alone, one thread",
        seconds(found["ours"]),
        beside,
        found["ours"] / floor,
    )
