"""What the verbs say of a run of more classes than a matrix is stored of."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.analysed_runs import Command
from helpers.errors import raises
from helpers.outputs import ANIMALS, heads, save_head
from numpy.testing import assert_allclose, assert_array_equal

from dsi_cli import similarity
from dsi_cli.analysis import report_file
from dsi_cli.analysis.analyze import analyze
from dsi_cli.errors import UsageError
from dsi_cli.queries.neighbors import closest_pairs, nearest
from dsi_cli.similarity import weight_similarity
from dsi_cli.store.results import Results

LARGEST = 6
"""Classes of which a matrix is stored, here."""


@pytest.fixture(scope="module")
def weights() -> list[np.ndarray]:
    """Return the classifiers of a run's two epochs."""
    return [weight.numpy() for weight in heads(2)]


@pytest.fixture(scope="module")
def out(weights: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output of a run of eight classes with predictions, where six are the
    most that a matrix is stored of.
    """
    folder = tmp_path_factory.mktemp("vast")
    import torch

    for epoch, weight in enumerate(weights):
        save_head(
            folder / "run" / f"epoch_{epoch}.pt", torch.from_numpy(weight), epoch=epoch
        )
    (folder / "run" / "classes.txt").write_text("\n".join(ANIMALS) + "\n")
    np.save(folder / "run" / "targets.npy", np.arange(16) % 8)
    np.save(
        folder / "run" / "preds.npy", np.stack([np.arange(16) % 7, np.arange(16) % 8])
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(similarity, "MAX_DENSE_CLASSES", LARGEST)
        analyze([folder / "run"], folder / "out")
    return folder / "out"


@pytest.fixture(autouse=True)
def _largest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "MAX_DENSE_CLASSES", LARGEST)


def test_parts_of_the_matrix_are_made_from_the_classifier(
    out: Path, weights: list[np.ndarray]
) -> None:
    expected = weight_similarity(weights[1])
    part = Results(out).csm(
        "ncsm", epoch=1, rows=["dog", 4], classes=["cat", "bee", "dog"]
    )
    assert (list(part.index), list(part.columns)) == (
        ["dog", "bird"],
        ["cat", "bee", "dog"],
    )
    assert_allclose(part, expected[np.ix_([1, 4], [0, 7, 1])], atol=1e-6)
    assert part.loc["dog", "dog"] == 1.0
    ranked = Results(out).sorted("ncsm", epoch=1, rows=[3])
    assert_array_equal(
        ranked.to_numpy()[0],
        [3, *(k for k in np.argsort(-expected[3], kind="stable") if k != 3)],
    )


def test_a_whole_matrix_is_refused_and_the_message_says_how_to_ask_for_a_part(
    out: Path,
) -> None:
    with pytest.raises(
        UsageError,
        match=(
            r"^the ncsm of 8 classes is not stored, .* dsi export --rows 0:100;"
            r" neighbors/ holds"
        ),
    ):
        Results(out).csm("ncsm")
    with pytest.raises(
        UsageError, match=r"^no class 'yak': expected a name, or an index from 0 to 7$"
    ):
        Results(out).csm("ncsm", rows=["yak"])
    with pytest.raises(
        UsageError,
        match="the reference matrix of 8 classes is not stored; dsi wordnet LABELS",
    ):
        Results(out).csm("scsm")
    with pytest.raises(
        UsageError, match=r"^no neighbors of the tncsm of epoch 1 in run 'run'"
    ):
        Results(out).neighbors("tncsm")


def test_neighbours_and_pairs_are_those_of_the_whole_matrix(
    out: Path, weights: list[np.ndarray]
) -> None:
    expected = weight_similarity(weights[1]).astype(float)
    listing = nearest(Results(out), "dog", most=3)
    order = [k for k in np.argsort(-expected[1]) if k != 1]
    assert listing["class_index"].tolist() == order[:3]
    assert listing.attrs["found"] == 7
    assert "WordNet similarities are not available" in listing.attrs["legend"]
    first, second = np.triu_indices(8, 1)
    best = np.argsort(-expected[first, second])[:5]
    pairs = closest_pairs(Results(out), most=5)
    assert pairs["first_index"].tolist() == first[best].tolist()
    assert pairs["second_index"].tolist() == second[best].tolist()
    with raises("too-many-pairs", classes=8, stored=7):
        closest_pairs(Results(out), most=8)


def test_the_report_is_made_and_says_what_it_lacks(out: Path) -> None:
    page = report_file.write_report(out).read_text()
    assert "The matrices have too many classes to be stored." in page
    assert len(page) < 500_000


def test_every_verb_says_plainly_what_it_cannot_do(
    out: Path, tmp_path: Path, dsi: Command
) -> None:
    needs = "needs whole matrices, which are not stored for more than 4,096 classes"
    assert (
        dsi("export", out, "--rows", "0:2", "--classes", "cat,dog").out.splitlines()[0]
        == "class,cat,dog"
    )
    refused = dsi("export", out)
    assert (refused.code, refused.out) == (2, "")
    assert "dsi export --rows" in refused.err
    both = dsi("export", out, "--sorted", "--rows", "0:2", "--classes", "1")
    assert (both.code, "leave out --classes" in both.err) == (2, True)
    assert (
        "leave out --rows"
        in dsi("export", out, "--table", "curves", "--rows", "0:2").err
    )
    assert (
        json.loads(dsi("neighbors", out, "--class", "dog", "--json").out)["vast"]
        is True
    )
    assert dsi("neighbors", out, "--class", "dog", "--over-epochs").code == 0
    mistakes = dsi("mistakes", out)
    assert (
        mistakes.code,
        needs in mistakes.err,
        dsi("plot", out, "-o", tmp_path / "figures").code,
    ) == (2, True, 0)
    assert (tmp_path / "figures" / "wsi.png").is_file()
    heatmaps = dsi("plot", out, "heatmaps", "-o", tmp_path / "figures")
    assert (heatmaps.code, needs in heatmaps.err) == (2, True)


def test_runs_are_compared_by_their_curves(
    out: Path, tmp_path: Path, dsi: Command
) -> None:
    import shutil

    shutil.copytree(out, tmp_path / "other")
    compared = dsi("compare", out, tmp_path / "other", "--json")
    assert compared.code == 0, compared.err
    assert "too many classes for its matrix to be stored" in compared.out
