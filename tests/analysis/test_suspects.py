"""The table of suspects: what an analysis finds in trainings with planted faults."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.outputs import save_head
from pandas.testing import assert_frame_equal

from dsi_cli import Results, analyze, open_results, wordnet_csm
from dsi_cli.analysis.tables import suspects
from dsi_cli.errors import UsageError
from dsi_cli.labels.presets import load_preset
from dsi_cli.metrics.suspects import Suspect
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import SUSPECTS

SWAPPED, DUPLICATE, DEAD = (10, 95), (48, 83), 50
SEEDS, EPOCHS = 2, 3


def weights(seed):
    """Return heads ``(100, 256)`` of three epochs, of which the first is untrained."""
    generator = np.random.default_rng(seed)
    reference = wordnet_csm("cifar100").to_numpy()
    start = generator.normal(size=(100, 256))
    trained = np.linalg.cholesky(reference + 0.01 * np.eye(100)) @ start
    trained[DUPLICATE[1]] = trained[DUPLICATE[0]] + 0.2 * generator.normal(size=256)
    trained[DEAD] *= 0.05
    noise = 0.1 * generator.normal(size=(100, 256))
    return [generator.normal(size=(100, 256)), trained + noise, trained]


def names():
    names = list(load_preset("cifar100").names)
    first, second = SWAPPED
    names[first], names[second] = names[second], names[first]
    return names


def write_runs(folder):
    for seed in range(SEEDS):
        run = folder / f"seed{seed}"
        for epoch, weight in enumerate(weights(seed)):
            path = run / f"epoch_{epoch}.pt"
            save_head(path, torch.tensor(weight, dtype=torch.float32), epoch=epoch)
        (run / "classes.txt").write_text("\n".join(names()) + "\n")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return write_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def results(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("suspects") / "out"
    return analyze(runs, out, report=False)


def row_of(results: Results, kind: str):
    rows = results.suspects()
    (row,) = rows[rows["kind"] == kind].to_dict("records")
    return row


def test_suspects_have_the_columns_of_the_schema(results):
    assert list(results.suspects().columns) == [c.name for c in SUSPECTS.columns]
    assert results.suspects()["q_value"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("kind", "members"),
    [("wrong-label", SWAPPED), ("duplicate", DUPLICATE)],
)
def test_suspects_of_a_pair_name_both_classes(results, kind, members):
    row = row_of(results, kind)
    assert {row["class_index"], row["other_index"]} == set(members)
    assert set(row["members"]) == set(members)
    for name in (names()[member] for member in members):
        assert name in row["evidence"]
        assert name in row["next_step"]
    assert {row["name"], row["other_name"]} == {names()[member] for member in members}


def test_suspects_of_a_dead_class_have_no_other_class(results):
    row = row_of(results, "dead-class")
    assert row["class_index"] == DEAD
    assert pd.isna(row["other_name"])
    assert row["score"] < 0.5


def test_suspects_count_trained_epochs_and_runs(results):
    for kind in ("wrong-label", "duplicate", "dead-class"):
        row = row_of(results, kind)
        assert (row["epochs"], row["of_epochs"], row["seeds"]) == (2, 2, SEEDS)
        where = f"(2 of 2 runs, 2 of 2 epochs of {row['run']})."
        assert row["evidence"].endswith(where)


def test_words_of_one_sided_confusions_give_both_shares_and_the_command(results):
    pool = suspects.Pool([suspects.RunEvidence(results.path, "seed0")])
    _, network = pool.late["seed0"]
    counts = np.diag(np.full(100, 75.0))
    counts[4, 1], counts[1, 4] = 25.0, 0.0
    network = replace(network, counts={"train": counts})
    suspect = Suspect("mislabelled-images", (4, 1), 25.0, 0.01, split="train")
    evidence, next_step = pool.words(suspect, network, [4, 1])
    first, last = names()[4], names()[1]
    assert evidence == (
        f"25 % of {first} (train) are predicted as {last}, and 0 % of {last} as {first}"
    )
    command = f"dsi mistakes OUT --split train --truth {first} --prediction {last}"
    assert command in next_step


def test_suspects_without_changes_are_not_written_again(results, runs):
    assert not suspects.write(results.path)
    before = (results.path / SUSPECTS.path).stat().st_mtime_ns
    analyze(runs, results.path, report=False)
    assert (results.path / SUSPECTS.path).stat().st_mtime_ns == before


def test_suspects_of_later_calls_are_those_of_one_call(runs, results, tmp_path):
    analyze(runs / "seed0", tmp_path / "out", report=False)
    analyze(runs / "seed1", tmp_path / "out", report=False)
    again = open_results(tmp_path / "out").suspects()
    assert_frame_equal(again, results.suspects())


def test_suspects_of_an_old_results_folder_say_what_to_run(results, tmp_path):
    copy = tmp_path / "out"
    copy.mkdir()
    for path in results.path.glob("*.parquet"):
        if path.name != SUSPECTS.path:
            (copy / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UsageError, match="older version"):
        open_results(copy).suspects()


def reasons(out: Path):
    return layout.earlier_options(out, SUSPECTS)["reasons"]


def test_suspects_of_few_classes_or_no_labels_say_what_is_not_sought(tmp_path):
    generator = torch.Generator().manual_seed(0)
    for run, classes in (("few", 10), ("nameless", 40)):
        for epoch in range(2):
            weight = torch.randn(classes, 16, generator=generator)
            save_head(
                tmp_path / "runs" / run / f"epoch_{epoch}.pt", weight, epoch=epoch
            )
    results = analyze(tmp_path / "runs", tmp_path / "out", report=False)
    assert reasons(tmp_path / "out") == {
        "few": "few-classes",
        "nameless": "no-reference",
    }
    assert len(parquet.read(results.path / SUSPECTS.path)) == 0


def test_suspects_of_a_run_that_has_not_learned_are_not_sought(tmp_path):
    generator = torch.Generator().manual_seed(1)
    for epoch in range(3):
        weight = torch.randn(100, 16, generator=generator)
        weight[DUPLICATE[1]] = weight[DUPLICATE[0]]
        save_head(tmp_path / "run" / f"epoch_{epoch}.pt", weight, epoch=epoch)
    (tmp_path / "run" / "classes.txt").write_text("\n".join(names()) + "\n")
    results = analyze(tmp_path / "run", tmp_path / "out", report=False)
    assert list(reasons(tmp_path / "out").values()) == ["within-chance"]
    assert len(results.suspects()) == 0
