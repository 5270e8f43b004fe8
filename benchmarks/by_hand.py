"""The way by hand: what a notebook does for the same curves with the usual libraries,
values alone.

Load each checkpoint, scikit-learn's cosine similarity, a double loop over NLTK's
``path_similarity``, scikit-image's SSIM, SciPy's rank correlation. No chance level, no
interval, no ceiling, no WSI, no tables.

``python -m benchmarks.by_hand RUNS LABELS`` prints JSON: run -> epoch -> measure ->
value. ``NLTK_DATA`` must be set.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def main(runs: Path, labels: Path) -> dict[str, dict[int, dict[str, float]]]:
    """Return the alignment of each checkpoint's classes with WordNet."""
    from safetensors.numpy import load_file
    from sklearn.metrics.pairwise import cosine_similarity

    semantic = off_diagonal(
        wordnet_similarity(
            [line.split("\t")[2] for line in labels.read_text().splitlines()]
        )
    )
    found: dict[str, dict[int, dict[str, float]]] = {}
    for path in sorted(runs.rglob("*.safetensors")):
        (weight,) = (tensor for tensor in load_file(path).values() if tensor.ndim == 2)
        learned = off_diagonal(cosine_similarity(weight).astype(np.float64))
        found.setdefault(path.parent.name, {})[int(path.stem.rpartition("_")[2])] = (
            alignment(learned, semantic)
        )
    return found


def wordnet_similarity(names: list[str]) -> Any:
    """Return the path similarity of synsets, pair by pair."""
    from nltk.corpus import wordnet

    synsets = [wordnet.synset(name) for name in names]
    matrix = np.eye(len(names))
    for i, a in enumerate(synsets):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = a.path_similarity(synsets[j])
    return matrix


def off_diagonal(matrix: Any) -> Any:
    """Return a matrix without its diagonal, scaled to [0, 1]."""
    size = len(matrix)
    values = matrix[~np.eye(size, dtype=bool)].reshape(size, size - 1)
    return (values - values.min()) / (values.max() - values.min())


def alignment(a: Any, b: Any) -> dict[str, float]:
    """Return six measures of two scaled matrices without diagonal."""
    from scipy.stats import pearsonr, spearmanr
    from skimage.metrics import structural_similarity

    x, y = a.ravel(), b.ravel()
    window = {
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
        "data_range": 1.0,
    }
    return {
        "cosine": float(x @ y / np.sqrt((x @ x) * (y @ y))),
        "ssim": float(structural_similarity(a, b, **window)),
        "mae": float(np.abs(x - y).mean()),
        "mse": float(((x - y) ** 2).mean()),
        "pearson": float(pearsonr(x, y)[0]),
        "spearman": float(spearmanr(x, y)[0]),
    }


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
        off_diagonal(csm.astype(np.float64)),
        off_diagonal(semantic.astype(np.float64)),
    )
    found |= alignment(x, y)
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


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
