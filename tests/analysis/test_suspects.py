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
from dsi_cli.store import layout
from dsi_cli.store.schema import SPLITS, SUSPECTS
from dsi_cli.suspect_kinds import GRADES, KINDS, ORDINARY, STRONG

SWAPPED, DUPLICATE, DEAD = (10, 95), (48, 83), 50
SEEDS, EPOCHS = 2, 5  # the first two epochs have not learned anything
TWINS, MOVED, UNPREDICTED = (2, 3), (7, 1), 5
SIZES = {
    "duplicate": (2,),
    "mislabelled-images": (2,),
    "shortcut": (3,),
    "wrong-label": (1, 2),
    "wrong-sense": (1,),
    "dead-class": (1,),
}
"""The numbers of members of each kind."""


def weights(seed):
    """Return heads ``(100, 256)`` of all epochs."""
    generator = np.random.default_rng(seed)
    reference = wordnet_csm("cifar100").to_numpy()
    start = generator.normal(size=(100, 256))
    trained = np.linalg.cholesky(reference + 0.01 * np.eye(100)) @ start
    trained[DUPLICATE[1]] = trained[DUPLICATE[0]] + 0.2 * generator.normal(size=256)
    trained[DEAD] *= 0.05
    untrained = generator.normal(size=(2, 100, 256))
    noise = 0.1 * generator.normal(size=(EPOCHS - 2, 100, 256))
    return [*untrained, *(trained + noise)]


def names():
    names = list(load_preset("cifar100").names)
    first, second = SWAPPED
    names[first], names[second] = names[second], names[first]
    return names


def write_run(run, heads, labels):
    for epoch, weight in enumerate(heads):
        path = run / f"epoch_{epoch}.pt"
        save_head(path, torch.tensor(weight, dtype=torch.float32), epoch=epoch)
    (run / "classes.txt").write_text("\n".join(labels) + "\n")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for seed in range(SEEDS):
        write_run(folder / f"seed{seed}", weights(seed), names())
    return folder


@pytest.fixture(scope="module")
def results(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("suspects") / "out"
    return analyze(runs, out, report=False)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Results of ten classes that WordNet does not know, with test and training
    predictions of four epochs.
    """
    run = tmp_path_factory.mktemp("small") / "run"
    generator = np.random.default_rng(0)
    heads = generator.normal(size=(1, 10, 40)) + np.zeros((4, 1, 1))
    heads[:, TWINS[1]] = heads[:, TWINS[0]] + 0.3 * heads[:, 0]
    write_run(run, heads, [f"thing {index}" for index in range(10)])
    targets = np.repeat(np.arange(10), 40)
    for suffix in ("", "_train"):
        predicted = np.where(
            generator.random(400) < 0.2, generator.integers(0, 10, 400), targets
        )
        is_twin = np.isin(targets, TWINS)
        predicted[is_twin] = generator.choice(TWINS, is_twin.sum())
        if suffix:
            predicted[np.flatnonzero(targets == MOVED[0])[:16]] = MOVED[1]
        predicted[predicted == UNPREDICTED] = UNPREDICTED + 1
        np.save(run / f"preds{suffix}.npy", np.tile(predicted, (4, 1)))
        np.save(run / f"targets{suffix}.npy", targets)
    return analyze(run, run.parent / "out", report=False)


def first_of(results: Results, kind: str):
    """Return the first suspect of a kind."""
    rows = results.suspects()
    (row,) = rows[(rows["kind"] == kind) & (rows["rank"] == 1)].to_dict("records")
    return row


def reasons(out: Path):
    return layout.earlier_options(out, SUSPECTS)["reasons"]


def test_suspects_have_the_columns_of_the_schema_and_ranks_for_each_kind(results):
    rows = results.suspects()
    assert list(rows.columns) == [column.name for column in SUSPECTS.columns]
    for _, of_kind in rows.groupby("kind"):
        assert sorted(of_kind["rank"]) == list(range(1, len(of_kind) + 1))
    assert set(rows["grade"]) <= set(GRADES)


def test_suspects_that_are_ordinary_come_last(results):
    is_ordinary = results.suspects()["grade"] == ORDINARY
    assert is_ordinary.is_monotonic_increasing
    assert 0 < is_ordinary.sum() < len(is_ordinary)


@pytest.mark.parametrize(
    ("kind", "members"), [("wrong-label", SWAPPED), ("duplicate", DUPLICATE)]
)
def test_suspects_of_a_pair_name_both_classes(results, kind, members):
    row = first_of(results, kind)
    assert row["grade"] == STRONG
    assert {row["class_index"], row["other_index"]} == set(members)
    assert set(row["members"]) == set(members)
    for name in (names()[member] for member in members):
        assert name in row["evidence"]
        assert name in row["next_step"]
    assert {row["name"], row["other_name"]} == {names()[member] for member in members}


def test_suspects_of_a_dead_class_have_its_length_and_no_other_class(results):
    row = first_of(results, "dead-class")
    assert (row["class_index"], row["source"], row["grade"]) == (
        DEAD,
        "weights",
        STRONG,
    )
    assert pd.isna(row["other_name"])
    assert pd.isna(row["effect_low"])
    assert row["effect"] < 0.5, "the length in relation to the median"


def test_suspects_of_other_kinds_do_not_concern_dead_classes(results):
    rows = results.suspects()
    others = rows[rows["kind"] != "dead-class"]
    assert DEAD not in set(np.concatenate(others["members"].tolist()))


def test_suspects_stand_since_the_first_epoch_that_shows_them(results):
    for kind in ("wrong-label", "duplicate"):
        row = first_of(results, kind)
        assert list(row["epoch_ranks"]) == [0, 1, 1, 1]
        assert list(row["tested_epochs"]) == [1, 2, 3, 4]
        assert (row["since_epoch"], row["seeds"]) == (2, SEEDS)
        assert (row["epochs"], row["of_epochs"]) == (3, 4)
    rows = results.suspects()
    ordinary = rows[rows["grade"] == ORDINARY]
    assert ordinary["since_epoch"].isna().any()


def test_suspects_of_pooled_runs_have_one_row(results):
    rows = results.suspects()
    members = rows["kind"] + rows["members"].map(sorted).map(str)
    assert members.is_unique
    assert set(rows["run"]) <= {"seed0", "seed1"}


@pytest.mark.parametrize(
    ("kind", "source"), [(kind, source) for kind in KINDS for source in kind.measured]
)
def test_words_of_every_kind_and_source_name_the_classes(results, kind, source):
    pool = suspects.Pool([suspects.RunEvidence(results.path, "seed0")])
    counts = np.diag(np.full(100, 75.0)) + 0.25
    network = replace(pool.late["seed0"], counts=dict.fromkeys(SPLITS, counts))
    fit = 0 if kind.name == "wrong-sense" else None
    first = 4 if fit is None else int(network.senses.owners[fit])
    for size in SIZES[kind.name]:
        suspect = Suspect(kind.name, source, (first, 1, 9)[:size], 5.0, fit=fit)
        effect = suspects.EFFECTS[kind.name](suspect, network)
        evidence, next_step = pool.words(suspect, effect)
        assert names()[first] in evidence
        assert "{" not in evidence + next_step
        assert effect.get("low", effect["effect"]) <= effect["effect"]
        assert effect.get("high", effect["effect"]) >= effect["effect"]


def test_senses_of_names_are_not_the_synsets_of_other_classes(tmp_path):
    """Such classes may be the same."""
    labels = list(load_preset("cifar100").names)
    labels[:2] = "tub", "bathtub"
    write_run(tmp_path / "run", weights(0)[-1:], labels)
    results = analyze(tmp_path / "run", tmp_path / "out", report=False)
    classes = results.rows_of("classes", "run")
    run = suspects.RunEvidence(results.path, "run")
    assert 0 in run.senses.owners
    assert not set(run.senses.synsets) & set(classes["synset"])
    others = set(np.concatenate(classes["candidates"].dropna().tolist()))
    assert others & set(classes["synset"]) - set(run.senses.synsets)


def test_suspects_of_ten_unknown_classes_are_those_of_their_predictions(small):
    duplicate, dead = first_of(small, "duplicate"), first_of(small, "dead-class")
    assert set(duplicate["members"]) == set(TWINS)
    assert (duplicate["source"], duplicate["grade"]) == ("test", STRONG)
    assert duplicate["effect_low"] < 0.5 < duplicate["effect_high"]
    assert "all of 45 pairs" in duplicate["evidence"]
    assert (dead["class_index"], dead["source"]) == (UNPREDICTED, "test")
    assert (dead["grade"], dead["effect"]) == (STRONG, 0)
    assert reasons(small.path) == {"run": ["no-reference"]}
    assert {"wrong-label", "wrong-sense"}.isdisjoint(small.suspects()["kind"])


def test_suspects_of_training_predictions_name_the_images(small):
    row = first_of(small, "mislabelled-images")
    assert (tuple(row["members"]), row["source"]) == (MOVED, "train")
    assert row["grade"] == STRONG
    assert 0.4 <= row["effect"] < 0.5
    assert row["effect_low"] < row["effect"] < row["effect_high"]
    command = "dsi mistakes OUT --split train --truth 'thing 7' --prediction 'thing 1'"
    assert command in row["next_step"]


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


def test_suspects_of_few_classes_or_no_training_say_what_is_not_sought(tmp_path):
    generator = np.random.default_rng(1)
    few = generator.normal(size=(2, 7, 16))
    untrained = generator.normal(size=(2, 100, 64))
    untrained[:, DUPLICATE[1]] = untrained[:, DUPLICATE[0]]
    write_run(tmp_path / "runs" / "few", few, names()[:7])
    write_run(tmp_path / "runs" / "untrained", untrained, names())
    results = analyze(tmp_path / "runs", tmp_path / "out", report=False)
    assert reasons(tmp_path / "out") == {
        "few": ["few-classes"],
        "untrained": ["within-chance"],
    }
    rows = results.suspects()
    assert set(rows["kind"]) == {"dead-class"}
    assert set(rows["run"]) == {"few"}
