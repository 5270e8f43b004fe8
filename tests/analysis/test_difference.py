"""``dsi diff`` in Python: two epochs, copies in other dtypes, pruned copies,
independent networks, and inputs that do not fit.
"""

import json
import re
import shutil
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from helpers.errors import raises
from safetensors.numpy import load_file, save_file

import dsi_cli
from dsi_cli.errors import CheckpointError, DsiError, NothingToAnalyseError, UsageError
from dsi_cli.report import comparison_page
from dsi_cli.store.schema import DIFF_TABLES

RUNS = files("dsi_cli.demo") / "runs"
CNN = RUNS / "cifar100-cnn"
LAST = CNN / "epoch_030.safetensors"
PRUNED = {"bear": 3, "leopard": 42, "tiger": 88}


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a head to a checkpoint."""

    def write_head(weight, name="model.safetensors", **metadata):
        save_file(
            {"fc.weight": np.ascontiguousarray(weight)},
            tmp_path / name,
            metadata or None,
        )
        return tmp_path / name

    return write_head


def last_head():
    return load_file(LAST)["fc.weight"]


def angle(one, other):
    return np.degrees(
        np.arccos(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    )


def test_diff_of_two_epochs_has_angles_and_their_usual_variation():
    found = dsi_cli.diff(CNN / "epoch_001.safetensors", CNN / "epoch_020.safetensors")
    assert (len(found.moved), found.reason_no_angles, found.notes) == (100, None, [])
    assert repr(found).endswith(f": {found.headline})")
    assert found.variation == "neighbouring checkpoints of epochs 15–20"
    assert (
        found.headline
        == "The median angle is 58°, 13 times one usual epoch (4.39° between"
        " neighbouring checkpoints of epochs 15–20). All 100 classes moved beyond"
        " rounding."
    )
    heads = [
        dsi_cli.read_head(CNN / f"epoch_{epoch:03}.safetensors").astype(float)
        for epoch in (1, 20, *range(15, 21))
    ]
    row = found.classes.set_index("name").loc["seal"]
    index = row["class_index"]
    assert row["angle"] == pytest.approx(angle(heads[0][index], heads[1][index]))
    assert row["norm_change"] == pytest.approx(
        np.linalg.norm(heads[1][index]) / np.linalg.norm(heads[0][index]) - 1
    )
    usual = [angle(heads[k][index], heads[k + 1][index]) for k in range(2, 7)]
    assert row["angle_variation"] == pytest.approx(np.median(usual))

    before, after = (dsi_cli.weight_similarity(head) for head in heads[:2])
    pair = found.pairs.iloc[0]
    change = (after - before)[np.triu_indices(100, 1)]
    assert abs(pair["similarity_change"]) == pytest.approx(
        np.abs(change).max(), abs=1e-6
    )
    assert len(found.pairs) == 4950
    near = [
        set(np.argsort(-(one - 2 * np.eye(100))[index])[:5]) for one in (before, after)
    ]
    assert set(row["gained"]) == {found.names[k] for k in near[1] - near[0]}
    assert set(row["lost"]) == {found.names[k] for k in near[0] - near[1]}

    group = found.groups.set_index("group").loc["reptile.n.01"]
    inside = found.classes.index[found.classes["group"] == "reptile.n.01"]
    square = (after - before)[np.ix_(inside, inside)]
    assert group["within_change"] == pytest.approx(
        square[np.triu_indices(len(inside), 1)].mean(), abs=1e-6
    )
    assert group["classes"] == len(inside) == 5


@pytest.mark.parametrize(
    ("first", "second", "kept", "step"),
    [
        (
            29,
            30,
            range(31),
            (
                "less than one usual epoch (0.498° between neighbouring checkpoints of"
                " epochs 24–29)"
            ),
        ),
        (28, 30, range(0, 31, 2), "less than one usual step of 2 epochs ("),
        (1, 30, (1, 2, 5, 10, 30), "times one usual step between checkpoints ("),
    ],
)
def test_diff_headline_compares_with_one_usual_step_of_the_checkpoints(
    tmp_path, first, second, kept, step
):
    for epoch in kept:
        shutil.copy(CNN / f"epoch_{epoch:03}.safetensors", tmp_path)
    found = dsi_cli.diff(
        tmp_path / f"epoch_{first:03}.safetensors",
        tmp_path / f"epoch_{second:03}.safetensors",
    )
    assert step in found.headline
    assert found.headline.endswith(" All 100 classes moved beyond rounding.")


def test_diff_of_folders_and_results_equals_that_of_files(tmp_path):
    by_file = dsi_cli.diff(CNN / "epoch_001.safetensors", CNN / "epoch_020.safetensors")
    by_folder = dsi_cli.diff(CNN, epoch=[1, 20])
    dsi_cli.analyze(
        CNN, tmp_path / "out", epochs="0:21", measures=["mae"], report=False
    )
    by_results = dsi_cli.diff(tmp_path / "out", epoch=[1, 20])
    for found in (by_folder, by_results):
        pd.testing.assert_frame_equal(found.classes, by_file.classes)
        # similarities are of single precision, and the number of threads may differ
        pd.testing.assert_frame_equal(found.pairs, by_file.pairs, atol=1e-6)
        assert found.first.title == "cifar100-cnn, epoch 1"
    mixed = dsi_cli.diff(
        tmp_path / "out", CNN / "epoch_020.safetensors", epoch=1, labels="cifar100"
    )
    assert "no effect" in mixed.notes[0]
    pd.testing.assert_frame_equal(mixed.pairs, by_file.pairs, atol=1e-6)

    shutil.rmtree(tmp_path / "out" / "heads")
    with raises("no-head", UsageError, run="cifar100-cnn", epoch=1):
        dsi_cli.diff(tmp_path / "out", epoch=[1, 20])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_diff_of_a_copy_in_another_dtype_is_rounding(write, dtype):
    found = dsi_cli.diff(LAST, write(last_head().astype(dtype)))
    assert found.summary["nothing_moved"]
    assert found.summary["pairs_beyond_rounding"] == 0
    said = (
        "Nothing moved beyond rounding"
        if dtype == "float16"
        else "The two heads are the same"
    )
    assert found.headline.startswith(said)
    assert (found.classes["angle"] <= found.classes["angle_rounding"]).all()
    comparison_page.render_difference(found)


def test_diff_of_a_pruned_copy_names_the_moved_classes(write, tmp_path):
    weight = last_head()
    for index in PRUNED.values():
        weight[index][np.abs(weight[index]) < 0.05] = 0
    found = dsi_cli.diff(LAST, write(weight))
    assert set(found.moved["name"]) == set(PRUNED)
    assert (
        found.headline
        == "The median angle of those that moved is 6.68°, 17 times one usual epoch"
        " (0.4° between neighbouring checkpoints of epochs 25–30). 3 of 100 classes"
        f" moved beyond rounding: {', '.join(found.moved['name'])}."
    )
    assert found.moved["beyond_variation"].all()
    assert (found.moved["zeroed"] > 50).all()
    pairs = found.pairs[found.pairs["beyond_rounding"]]
    assert pairs[["first_name", "second_name"]].isin(list(PRUNED)).any(axis=1).all()
    assert len(pairs) == 3 * 97 + 3
    assert found.groups.set_index("group").loc["carnivore.n.01", "moved"] == 3

    paths = found.save_tables(tmp_path / "out")
    for path, table, frame in zip(
        paths, DIFF_TABLES, (found.classes, found.pairs, found.groups), strict=True
    ):
        stored = pd.read_parquet(path)
        assert (path.name, list(stored.columns)) == (
            table.path,
            [column.name for column in table.columns],
        )
        assert len(stored) == len(frame)
    assert pd.read_parquet(paths[0])["angle"].to_numpy() == pytest.approx(
        found.classes["angle"], nan_ok=True
    )
    page = comparison_page.save(
        comparison_page.render_difference(found), tmp_path / "page.html"
    ).read_text()
    assert all(
        name in page
        for name in (
            *PRUNED,
            "B minus A",
            "angle (°)",
            "The 3 classes that moved beyond rounding; usual",
        )
    )


def test_diff_zero_class_vector_has_moved(write):
    weight = last_head()
    weight[7] = 0
    found = dsi_cli.diff(LAST, write(weight))
    (row,) = found.moved.itertuples()
    assert (row.name, row.norm_change, row.gained, len(row.lost), row.zeroed) == (
        "beetle",
        -1,
        [],
        5,
        320,
    )
    assert np.isnan(row.angle)
    assert row.beyond_variation


def test_diff_of_two_files_has_no_usual_variation(write):
    weight = np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32)
    found = dsi_cli.diff(
        write(weight, "base.safetensors"), write(weight * 2, "tuned.safetensors")
    )
    assert (found.variation, found.names) == (None, list("01234567"))
    assert (
        found.headline == "The median angle is 0°. All 8 classes moved beyond rounding."
    )
    assert (
        found.classes[["angle_variation", "similarity_variation"]].isna().all(axis=None)
    )
    assert found.classes["beyond_variation"].isna().all()
    assert found.classes["norm_change"].tolist() == [1] * 8
    assert (len(found.moved), found.pairs["beyond_rounding"].sum()) == (8, 0)
    assert found.groups.empty


def test_diff_of_a_folder_without_epochs_names_no_epoch(write, tmp_path):
    weight = np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32)
    (tmp_path / "run").mkdir()
    write(weight, "run/network.safetensors")
    write(weight, "run/best.safetensors")
    found = dsi_cli.diff(tmp_path / "run", write(weight * 2))
    assert (found.first.title, found.second.title) == ("run", "model.safetensors")
    assert found.variation is None


def test_diff_of_independent_networks_has_similarities_only(write):
    rng = np.random.default_rng(5)
    first, second = (rng.normal(size=(20, 32)).astype(np.float32) for _ in range(2))
    found = dsi_cli.diff(write(first, "a.safetensors"), write(second, "b.safetensors"))
    assert "independently trained" in found.reason_no_angles
    assert abs(found.correlation_z) < 3
    assert found.classes[["angle", "norm_change"]].isna().all(axis=None)
    assert len(found.moved) == 20
    assert "differ by more than rounding" in found.headline
    seeds = [
        write(rng.normal(size=(20, 32)).astype(np.float32), f"net_{seed}.safetensors")
        for seed in range(4)
    ]
    assert dsi_cli.diff(seeds[0], seeds[3]).variation is None, (
        "numbers of seeds are not epochs"
    )
    other_width = dsi_cli.diff(CNN, RUNS / "cifar100-vit")
    assert (
        other_width.reason_no_angles
        == "the heads have 320 and 64 features, so only similarities are compared"
    )
    json.dumps(other_width.summary)
    assert [
        title in comparison_page.render_difference(other_width)
        for title in ("angle (", "usual<")
    ] == [False, True]


def test_diff_with_a_group_uses_the_variation_of_repetitions(write, tmp_path):
    rng = np.random.default_rng(2)
    base = rng.normal(size=(12, 24))
    for seed in range(3):
        (tmp_path / f"cnn_seed{seed}").mkdir()
        weight = (base + 0.3 * rng.normal(size=base.shape)) @ np.linalg.qr(
            rng.normal(size=(24, 24))
        )[0]
        write(
            weight.astype(np.float32), f"cnn_seed{seed}/epoch_1.safetensors", epoch="1"
        )
        write(
            (1.1 * weight + base).astype(np.float32),
            f"cnn_seed{seed}/epoch_2.safetensors",
            epoch="2",
        )
    runs = [tmp_path / f"cnn_seed{seed}" for seed in range(3)]
    dsi_cli.analyze(runs, tmp_path / "out", draws=0, report=False)
    found = dsi_cli.diff(tmp_path / "out", run=["cnn_seed0", "cnn_seed1"], group="seed")
    assert found.variation == "3 repetitions of cnn"
    assert found.classes["similarity_variation"].notna().all()
    assert found.classes["angle_variation"].isna().all()
    found = dsi_cli.diff(
        tmp_path / "out", run=["cnn_seed0"], epoch=[1, 2], group="seed"
    )
    assert found.reason_no_angles is None
    assert re.search(
        r"times the usual difference \(0\.\d+ between 3 repetitions of cnn\)\. All 12"
        r" classes moved",
        found.headline,
    )
    with raises("no-repetitions", UsageError):
        dsi_cli.diff(runs[0], runs[1], group="seed")
    with raises("no-repetitions", UsageError):
        dsi_cli.diff(tmp_path / "out", run=["cnn_seed0", "cnn_seed1"], group="(.*)")


def test_diff_of_classes_with_wordnet_ids_names_them(write, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "classes.txt").write_text(
        "n02084071\nn02121620\nn01639765\nn01503061\n", encoding="utf-8"
    )
    for epoch in (1, 2):
        write(
            np.random.default_rng(epoch).normal(size=(4, 8)),
            f"run/epoch_{epoch}.safetensors",
            epoch=str(epoch),
        )
    dsi_cli.analyze(tmp_path / "run", tmp_path / "out", draws=0, report=False)
    assert [
        dsi_cli.diff(tmp_path / place, epoch=[1, 2]).names[0]
        for place in ("run", "out")
    ] == ["dog (n02084071)"] * 2


def test_diff_inputs_that_do_not_fit_are_refused(write, tmp_path):
    weight = last_head()
    (tmp_path / "broken.safetensors").write_bytes(b"not a checkpoint")
    (tmp_path / "labels").mkdir()
    labelled = tmp_path / "labels" / "m.safetensors"
    save_file({"fc.weight": weight}, labelled)
    names = (CNN / "classes.txt").read_text().split()
    (tmp_path / "labels" / "classes.txt").write_text("\n".join(["ape", *names[1:]]))
    (tmp_path / "empty").mkdir()
    two = write(weight[:2], "two.safetensors")
    cases = [
        (
            (LAST, write(weight[:40], "forty.safetensors")),
            {},
            "different-classes",
            UsageError,
        ),
        ((two, two), {}, "too-few-classes", UsageError),
        ((LAST, labelled), {}, "different-labels", UsageError),
        ((LAST, tmp_path / "none.safetensors"), {}, "no-such-path", UsageError),
        ((LAST, tmp_path / "broken.safetensors"), {}, "checkpoint", CheckpointError),
        ((LAST, tmp_path / "empty"), {}, "no-checkpoints", NothingToAnalyseError),
        ((LAST,), {}, "one-side", UsageError),
        ((LAST, LAST), {"epoch": [1, 2, 3]}, "too-many-values", UsageError),
        ((CNN,), {"epoch": [1, 99]}, "unknown-epoch", UsageError),
        ((LAST, RUNS), {}, "ambiguous-run", UsageError),
        ((LAST, RUNS), {"run": "x"}, "unknown-run", UsageError),
        ((LAST, LAST), {"labels": "cifar10"}, None, DsiError),
        ((LAST, LAST), {"labels": "nothing.txt"}, None, UsageError),
        ((LAST, LAST), {"head": "nothing"}, "checkpoint", CheckpointError),
    ]
    for paths, options, code, kind in cases:
        with pytest.raises(kind) as caught:
            dsi_cli.diff(*paths, **options)
        assert code in (None, caught.value.code), (paths, str(caught.value))
    assert dsi_cli.diff(LAST, labelled, labels="cifar100").summary["nothing_moved"]
    one = write(weight[:1], "one.safetensors")
    with pytest.raises(DsiError):
        dsi_cli.diff(one, one)
