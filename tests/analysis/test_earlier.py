"""A repeated call keeps what an earlier call said about classes and heads, until
another is said.
"""

import shutil

import numpy as np
import pytest
from helpers.outputs import ANIMALS, assert_same_output, heads, save_head, tables

QUICK = ("--no-report",)
OTHERS = ("crane", "heron", "stork", "duck", "goose", "swan", "hawk", "owl")


@pytest.fixture
def lists(tmp_path):
    """Return the paths of two label lists."""
    paths = tmp_path / "animals.txt", tmp_path / "birds.txt"
    for path, names in zip(paths, (ANIMALS, OTHERS), strict=True):
        path.write_text("\n".join(names), encoding="utf-8")
    return paths


@pytest.fixture
def call(dsi, tmp_path):
    """Return a function that analyses runs into ``out`` and returns what was printed;
    it must succeed.
    """

    def called(*arguments, out="out", code=0):
        ended = dsi("analyze", *arguments, "-o", tmp_path / out, *QUICK)
        assert ended.code == code, ended.err
        return ended.err

    return called


def names(tmp_path, run="run", out="out"):
    frame = tables(tmp_path / out)["classes"].query("run == @run")
    return tuple(frame["name"]) if frame["name"].notna().all() else None


def test_labels_hold_until_others_are_given(
    call, make_run, lists, tmp_path, monkeypatch
):
    run = make_run(labels=None)
    monkeypatch.chdir(tmp_path)
    call(run, "--labels", "animals.txt")
    monkeypatch.chdir("/")
    assert (
        f"labels from the earlier call: {tmp_path.relative_to('/')}/animals.txt"
        in call(run).splitlines()
    )
    call(run, "--labels", lists[0], out="fresh")
    assert_same_output(tmp_path / "out", tmp_path / "fresh")
    save_head(run / "epoch_9.pt", heads(1, seed=5)[0], epoch=9)
    call(run)
    curves = tables(tmp_path / "out")["curves"].query(
        "metric == 'sai' and of == 'ncsm,scsm' and variant == 'cosine'"
    )
    assert curves["value"].notna().all()
    assert 9 in set(curves["epoch"])
    assert "earlier call: " not in call(run, "--labels", lists[1]).replace(
        "known from an earlier call", ""
    )
    assert names(tmp_path) == OTHERS
    call(run)
    assert names(tmp_path) == OTHERS


def test_labels_none_removes_labels_from_all_tables(call, make_run, lists, tmp_path):
    run = make_run(labels=None)
    call(run, "--labels", lists[0])
    call(run, "--labels", "none")
    assert names(tmp_path) is None
    call(run, out="fresh")
    assert_same_output(tmp_path / "out", tmp_path / "fresh")
    assert not (tmp_path / "out" / "alignment_by_class.parquet").exists()
    assert "earlier call:" not in call(run)
    assert names(tmp_path) is None


def test_a_selection_of_epochs_holds_for_one_call_and_loses_no_names(
    call, make_run, lists, tmp_path
):
    run = make_run(labels=None)
    call(run, "--labels", lists[0])
    call(run, "--epochs", "1:2")
    assert set(tables(tmp_path / "out")["curves"]["epoch"]) == {1, 2}
    assert names(tmp_path) == ANIMALS
    call(run)
    call(run, "--labels", lists[0], out="fresh")
    assert_same_output(tmp_path / "out", tmp_path / "fresh")


def test_settings_of_classes_and_heads_hold_in_later_calls(
    call, make_run, lists, tmp_path
):
    run = make_run(labels=None)
    mapped, tree, matrix = (
        tmp_path / "map.csv",
        tmp_path / "tree.csv",
        tmp_path / "own.npy",
    )
    mapped.write_text("name,synset\ncat,big_cat.n.01\n", encoding="utf-8")
    tree.write_text(
        "child,parent\n"
        + "".join(
            f"{name},{'pet' if k < 4 else 'wild'}\n" for k, name in enumerate(ANIMALS)
        )
        + "pet,thing\nwild,thing\n"
    )
    np.save(matrix, np.corrcoef(np.random.default_rng(0).normal(size=(8, 20))))
    options = (
        "--labels",
        lists[0],
        "--map",
        mapped,
        "--taxonomy",
        tree,
        "--reference",
        "wup",
        "--reference",
        matrix,
    )
    printed = call(run, *options, "--head", "fc.weight")
    assert "earlier call: " not in printed
    lines = call(run).splitlines()
    for line in ("labels", "mapping", "taxonomy", "references", "head"):
        assert any(
            one.startswith(f"{line} from the earlier call: ") for one in lines
        ), line
    call(run, *options, "--head", "fc.weight", out="fresh")
    assert_same_output(tmp_path / "out", tmp_path / "fresh")
    tree.unlink()
    printed = call(run, code=2)
    end = "no longer exists\nhint: give --taxonomy FILE, or --taxonomy none to remove it\n"
    assert printed == f"error: {tree}, the --taxonomy of the earlier call, {end}"
    call(
        run,
        "--taxonomy",
        "none",
        "--reference",
        "none",
        "--head",
        "none",
        "--map",
        "none",
        "--pos",
        "none",
    )
    call(run, "--labels", lists[0], out="plain")
    assert_same_output(tmp_path / "out", tmp_path / "plain")


def test_head_of_a_call_that_could_use_no_checkpoint_is_not_kept(call, make_run):
    run = make_run(epochs=2)
    assert "no tensor is named wrong" in call(run, "--head", "wrong", code=3)
    assert "head from the earlier call" not in call(run)


def test_runs_keep_their_own_labels(call, make_run, lists, tmp_path):
    one, two, three = (
        make_run(f"runs/{name}", labels=None, seed=seed)
        for seed, name in enumerate("abc")
    )
    (three / "classes.txt").write_text("\n".join(OTHERS), encoding="utf-8")
    call(one, "--labels", lists[0])
    for _ in range(3):
        # those that are new take them if they have none of their own
        call(one, two, three)
        assert (names(tmp_path, "a"), names(tmp_path, "b"), names(tmp_path, "c")) == (
            ANIMALS,
            ANIMALS,
            OTHERS,
        )
    (three / "classes.txt").unlink()
    call(three)
    assert names(tmp_path, "c") is None
    call(two, "--labels", lists[1])
    assert names(tmp_path, "a") == ANIMALS
    printed = call(one, two, code=2)
    assert printed.startswith(
        "error: earlier calls gave the runs 'a' and 'b' different --labels ("
    )
    assert printed.endswith(
        ")\nhint: give --labels again, or analyse one run at a time\n"
    )
    call(one)
    assert names(tmp_path, "a") == ANIMALS


def test_predictions_of_an_earlier_call_come_before_what_lies_beside(
    call, make_run, tmp_path
):
    run = make_run()
    drawn = np.random.default_rng(0)
    targets = drawn.integers(0, 8, 100)
    given = tmp_path / "given"
    given.mkdir()
    np.save(given / "targets.npy", targets)
    np.save(given / "preds.npy", np.tile(targets, (4, 1)))
    call(run, "--predictions", given / "preds.npy")
    np.save(run / "targets.npy", targets)
    np.save(run / "preds.npy", drawn.integers(0, 8, (4, 100)))
    shutil.rmtree(given)
    call(run)
    accuracy = tables(tmp_path / "out")["curves"].query("metric == 'accuracy'")["value"]
    assert (accuracy == 1).all()
    call(run, "--predictions", "none")
    accuracy = tables(tmp_path / "out")["curves"].query("metric == 'accuracy'")["value"]
    assert (accuracy < 1).all()
