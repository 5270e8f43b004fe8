"""Runs that are compared in blocks of rows: equal tables, and heads and nearest classes
instead of matrices of many classes.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.outputs import heads, save_head
from numpy.testing import assert_allclose

from dsi_cli import similarity
from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.metrics import blockwise
from dsi_cli.metrics.measures import similarity_ranks
from dsi_cli.similarity import weight_similarity
from dsi_cli.store.results import Results

NAMES = (
    "cat",
    "dog",
    "horse",
    "frog",
    "bee",
    "lion",
    "whale",
    "trout",
    "eagle",
    "ant",
    "oak",
    "rose",
    "car",
    "truck",
    "boat",
    "chair",
    "table",
    "xyzzy",
    "lamp",
    "cup",
)
OPTIONS = Options(draws=20, permutations=3, centred=True, references=("path", "wup"))
BLOCKWISE_MEASURES = ("cosine", "mse", "pearson", "pearson_corrected")
"""The measures of a SAI that can be computed in blocks of rows."""
DENSE_COLUMNS = ["ceiling", "low", "high", "p_value", "reason"]
"""The columns that these measures lack in blocks of rows, and the reason."""
KEY = ["run", "epoch", "step", "metric", "of", "reference", "split", "variant"]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of three epochs with predictions and labels, one of which is unknown
    to WordNet.
    """
    folder = tmp_path_factory.mktemp("runs") / "run"
    rng = np.random.default_rng(0)
    for epoch, weight in enumerate(heads(3, len(NAMES), 16)):
        save_head(folder / f"epoch_{epoch}.pt", weight, epoch=epoch)
    (folder / "classes.txt").write_text("\n".join(NAMES) + "\n")
    targets = np.repeat(np.arange(len(NAMES)), 6)
    np.save(folder / "targets.npy", targets)
    wrong = rng.integers(0, len(NAMES), (3, len(targets)))
    np.save(
        folder / "preds.npy",
        np.where(rng.random((3, len(targets))) < 0.6, targets, wrong),
    )
    return folder


@pytest.fixture(scope="module")
def whole(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output of an ordinary analysis."""
    out = tmp_path_factory.mktemp("whole") / "out"
    analyze([run_folder], out, OPTIONS)
    return out


def curves_of(out: Path) -> pd.DataFrame:
    """Return the curves, indexed by their key columns."""
    return pd.read_parquet(out / "curves.parquet").set_index(KEY).sort_index()


def require_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Make sure that two tables hold the same numbers, to 1e-6; p-values in blocks are
    those of the normal approximation.
    """
    assert found.index.equals(expected.index)
    for name in expected.columns:
        if not pd.api.types.is_numeric_dtype(expected[name]):
            assert (found[name].fillna("") == expected[name].fillna("")).all(), name
        else:
            atol = 0.1 if name == "p_value" else 1e-6
            assert_allclose(
                found[name].astype(float),
                expected[name].astype(float),
                rtol=1e-6,
                atol=atol,
                err_msg=name,
            )


def require_sums(found: pd.DataFrame, expected: pd.DataFrame, reason: str) -> None:
    """Make sure that curves in blocks of rows match those of dense matrices, or are
    null with the reason.
    """
    assert found.index.equals(expected.index)
    is_sai = found.index.get_level_values("metric") == "sai"
    by_rows = found.index.get_level_values("variant").isin(BLOCKWISE_MEASURES)
    require_same(found[~is_sai], expected[~is_sai])
    require_same(
        found[is_sai & by_rows].drop(columns=DENSE_COLUMNS),
        expected[is_sai & by_rows].drop(columns=DENSE_COLUMNS),
    )
    assert expected[is_sai & by_rows]["p_value"].notna().any()
    assert found[is_sai & by_rows]["p_value"].isna().all()
    without = found[is_sai & ~by_rows]
    assert {"ssim", "mae", "spearman"} <= set(without.index.get_level_values("variant"))
    assert without["value"].isna().all()
    assert without["reason"].str.endswith(reason).all()


@pytest.fixture
def vast(run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the output of a run with more classes than `MAX_DENSE_CLASSES`."""
    monkeypatch.setattr(similarity, "MAX_DENSE_CLASSES", 12)
    monkeypatch.setattr(blockwise, "MAX_BLOCK_ROWS", 7)
    analyze([run_folder], tmp_path / "out", OPTIONS)
    return tmp_path / "out"


def test_analyze_above_the_dense_limit_writes_heads_and_neighbors(
    vast: Path, whole: Path
) -> None:
    assert not (vast / "csms").exists()
    assert not (vast / "references").exists()
    head = pd.read_parquet(vast / "heads" / "run" / "weight" / "2.parquet")
    weight = np.stack(head["weight"].to_list())
    expected = Results(whole).csm("ncsm", epoch=2).to_numpy()
    assert_allclose(weight_similarity(weight), expected, atol=1e-6)
    near = pd.read_parquet(vast / "neighbors")
    assert set(near["kind"]) == {"ncsm", "ncsm_centred"}
    one = near[(near["kind"] == "ncsm") & (near["epoch"] == 2)]
    assert len(one) == len(NAMES) * (len(NAMES) - 1)
    ranks = similarity_ranks(expected)
    assert_allclose(
        one["similarity"], expected[one["class_index"], one["neighbor"]], atol=1e-6
    )
    assert_allclose(one["rank"], ranks[one["class_index"], one["neighbor"]])


def test_metrics_above_the_dense_limit_match_dense_matrices(
    vast: Path, whole: Path
) -> None:
    found, expected = curves_of(vast), curves_of(whole)
    metrics = set(found[found["value"].notna()].index.get_level_values("metric"))
    assert {"sai", "wsi", "idm", "mean_row", "accuracy", "mistakes"} <= metrics
    is_left_out = (
        found["reason"].fillna("").str.contains("left out above 4,096 classes")
    )
    assert set(found[is_left_out].index.get_level_values("metric")) == {
        "reliability",
        "sai",
        "severity",
        "superclass_accuracy",
    }
    found = found[~is_left_out]
    require_sums(
        found,
        expected.loc[found.index],
        "needs whole matrices, which are not made above 4,096 classes",
    )


def test_analyze_again_above_the_dense_limit_replaces_only_a_lost_file(
    vast: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted(
        path
        for name in ("heads", "neighbors")
        for path in (vast / name).rglob("*.parquet")
    )
    assert len(files) == 3 * 3
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}
    summary = analyze([run_folder], vast, OPTIONS)
    assert (summary.runs[0].read, summary.runs[0].reused) == (0, 3)
    assert {
        path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files
    } == before
    lost = vast / "neighbors" / "run" / "ncsm" / "1.parquet"
    lost.unlink()
    curves = (vast / "curves.parquet").read_bytes()
    assert (analyze([run_folder], vast, OPTIONS).runs[0].reused, lost.read_bytes()) == (
        3,
        before[lost][1],
    )
    assert (vast / "curves.parquet").read_bytes() == curves
