"""Folders that hold several networks or several trainings: a run of each, never one
merged run.
"""

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.utils.prune
from helpers import errors

from dsi_cli.analysis.scan import scan_paths
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions
from dsi_cli.checkpoints.discovery import TrainingRun
from dsi_cli.checkpoints.records import Record
from dsi_cli.checkpoints.training_runs import (
    Training,
    has_grown_from,
    join_growing,
    split_training_runs,
)


def save(path, *, seed=0, hidden=8, classes=5, training=None, **contents):
    """Save a small network as a user would, within a dict if it says more than the
    weights.

    Networks of one training have related heads; without it, their heads are unrelated.
    """
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Linear(12, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, classes)
    )
    if training is not None:
        first = torch.randn(
            classes, hidden, generator=torch.Generator().manual_seed(training)
        )
        model[2].weight.data = first + 0.1 * model[2].weight.data
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {"model": model.state_dict(), **contents} if contents else model.state_dict(),
        path,
    )
    return path


def runs_of(folder, names=None):
    """Return, by run, the epoch of each file that is used."""
    return {
        run.name: {
            record.path.removeprefix(f"{run.folder}/"): record.epoch
            for record in records
            if record.status == "ok"
        }
        for run, records in scan_paths([folder], HeadOptions(), names=names)
    }


@pytest.mark.parametrize("other", [{"hidden": 9}, {"classes": 6}])
def test_split_different_networks_are_runs_of_their_own_and_a_pretrained_one_leaves_the_folders_name(
    other, tmp_path
):
    for epoch in (1, 2):
        save(tmp_path / f"run/small_{epoch}.pt", seed=epoch, training=0)
        save(tmp_path / f"run/large_{epoch}.pt", seed=epoch, training=1, **other)
    assert runs_of(tmp_path) == {
        f"run/{n}": {f"{n}_1.pt": 1, f"{n}_2.pt": 2} for n in ("small", "large")
    }
    for name, classes in (("epoch_1", 5), ("epoch_2", 5), ("imagenet", 1000)):
        save(tmp_path / f"pretrained/run/{name}.pt", classes=classes)
    assert runs_of(tmp_path / "pretrained") == {
        "run": {"epoch_1.pt": 1, "epoch_2.pt": 2},
        "run/imagenet": {"imagenet.pt": None},
    }


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_split_pruned_and_normalised_weights_are_of_the_same_network(tmp_path):
    (tmp_path / "run").mkdir()
    norms = torch.nn.utils.parametrizations.weight_norm, torch.nn.utils.weight_norm
    for epoch, change in enumerate((None, *norms), start=1):
        torch.manual_seed(epoch)
        model = torch.nn.Sequential(
            torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 5)
        )
        if change is not None:
            change(model[0])
        torch.save(model.state_dict(), tmp_path / f"run/epoch_{epoch}.pt")
    torch.nn.utils.prune.l1_unstructured(model[2], "weight", 0.5)
    torch.save(model.state_dict(), tmp_path / "run/epoch_4.pt")
    assert list(runs_of(tmp_path)) == ["run"]


LAYOUTS = {
    # one training
    "epoch_{1,2,3}": "1 2 3",
    "step_{1,2,3}": "1 2 3",
    "net_{1,2,3,4}": "1 2 3 4",
    "resnet18_{0,1,2}": "0 1 2",
    "fold0_best_ep1 fold0_best_ep2 init": "1 2",
    "seed1_1 seed1_2 init": "1 2",
    "epoch_1 epoch_2 epoch_3_acc0.91 best_epoch_3": "1 2 3",
    "ep0/vit_16 ep3/vit_16": "0 3",
    # a run for each training
    "run{A,B}_epoch_{1,2}": "1 2 | 1 2",
    "{sgd,adam}_{1,2}": "1 2 | 1 2",
    "{a,b}{1,2}": "1 2 | 1 2",
    "seed{1,2}_{1,2}": "1 2 | 1 2",
    "epoch_{1,2}_{plain,mixup}": "1 2 | 1 2",
    "exp{1,2}_epoch_{1,2}": "1 2 | 1 2",
    "client_{0,1}_round_{1,2}": "1 2 | 1 2",
    "lr{0.1,0.01}_wd0.1_epoch{1,2}": "1 2 | 1 2",
    "wd_{0.1,0.01}_{1,2}": "1 2 | 1 2",
    "epoch0_C1 epoch0_C2 epoch1_C1 epoch1_C2": "0 1 | 0 1",
    "best_fold0_epoch7 best_fold1_epoch4": "7 | 4",
    "epoch_0 epoch_2 ema-epoch_1": "0 2 | 1",
    "ep0/n_0 ep0/n_1 ep3/n_0 ep3/n_1": "0 3 | 0 3",
    "step9/c1 step9/c2 step18/c1 step18/c2": "1 2 | 1 2",
    "wb/{a,b}:v{0,1}/m": "0 1 | 0 1",
    # a run for each file, without an epoch
    "head-{mnist,svhn}": "- | -",
    "fold{1,2,3}_best": "- | - | -",
    "{client_,cv,fold-,seed4,worker,width}{1,2}": " | ".join("-" * 12),
    "net_lr1e-1 net_lr1e-2": "- | -",
    "{a,b,c}_best": "- | - | -",
    "a b": "- | -",
    "1/net 2/net": "- | -",
    # asked
    "m_{1,2}_{1,2}": "",
    "last_{0,1}": "",
    "net_e1_s100 net_e1_s200": "",
    "m_2026-12-0{1,2}": "",
    "170600000{0,1}": "",
    "m_{1,2,3}of3": "",
    "model checkpoint": "",
    "epoch_0.5 epoch_1.5": "",
}
"""Files by their names, with the epochs of the used files of each run."""


def expand(text):
    """Return the names in a text, with each of the words in braces."""
    names = []
    for pattern in text.split():
        parts = [part.split(",") for part in re.split(r"[{}]", pattern)]
        names += map("".join, itertools.product(*parts))
    return names


def epochs_in(text):
    """Return the epochs of each run in a text, sorted."""
    runs = [run.split() for run in text.split("|")] if text else []
    return sorted([None if one == "-" else int(one) for one in run] for run in runs)


@pytest.mark.parametrize(("names", "expected"), LAYOUTS.items())
def test_split_gives_each_training_a_run_or_asks(names, expected, tmp_path):
    for seed, name in enumerate(expand(names)):
        save(tmp_path / f"run/{name}.pt", seed=seed, training=0)
    found = [list(files.values()) for files in runs_of(tmp_path).values()]
    key = str if any(None in epochs for epochs in found) else None
    assert sorted(filter(None, found), key=key) == sorted(epochs_in(expected), key=key)


@pytest.mark.parametrize("name", ["model_{}", "net{}", "w_1234{}"])
def test_split_unrelated_heads_of_numbered_files_ask(name, tmp_path):
    for seed in (1, 2, 3):
        save(tmp_path / f"run/{name.format(seed)}.pt", seed=seed, hidden=32)
    save(tmp_path / "run/best.pt", seed=1, hidden=32)
    ((run, records),) = scan_paths([tmp_path], HeadOptions())
    assert {record.code for record in records} == {"open-names"}
    for field in ("{run}", "{epoch}"):
        pattern = name.replace("1234", "").format(field)
        assert f"--names '{pattern}.pt'" in run.question
    found = runs_of(tmp_path / "run", names=f"{name.format('{epoch}')}.pt")
    assert list(found) == ["run"]
    found = runs_of(tmp_path, names=f"{name.format('{run}')}.pt")
    assert [list(files.values()) for files in found.values()] == [[None]] * 3


@pytest.mark.parametrize("name", ["epoch_{}", "e{}", "step_{}", "iter{}"])
def test_split_unrelated_heads_are_a_training_if_the_names_state_epochs_or_steps(
    name, tmp_path
):
    for number in (1, 2, 3):
        save(tmp_path / f"run/{name.format(number)}.pt", seed=number, hidden=32)
    assert [list(files.values()) for files in runs_of(tmp_path).values()] == [[1, 2, 3]]


def test_split_first_of_several_heads_may_be_unrelated(tmp_path):
    for number, training in enumerate((9, 0, 0)):
        save(tmp_path / f"run/net_{number}.pt", seed=number, training=training)
    assert [list(files.values()) for files in runs_of(tmp_path).values()] == [[0, 1, 2]]


CONTENTS = {
    "epoch_1:5 epoch_2:5": "1 2",
    "step_100:5 step_200:5": "5 5",
    "model_1:5 model_2:5": "",
    "own/my_run_0:0 own/my_run_1:1": "0 1",
    "sgd-0:0 sgd-1:1 adam-0:0 adam-1:1": "0 1 | 0 1",
    "net_0:9 net_1:8": "",
    "sgd:90 adam:90": "90 | 90",
    "epoch_1:1 epoch_2:2 best:2": "1 2",
    "epoch_1:1 epoch_2:2 pretrained:300": "1 2 | 300",
    "checkpoint_3:1 checkpoint_6:2": "",
    "best:3 best_loss:4": "3 4",
}
"""Files with the epochs in their contents, and the epochs of each run."""


@pytest.mark.parametrize(("files", "expected"), CONTENTS.items())
def test_split_contents_state_the_epochs(files, expected, tmp_path):
    for seed, text in enumerate(files.split()):
        name, epoch = text.split(":")
        path = tmp_path / f"run/{name}.pt"
        save(path, seed=seed if name != "best" else 1, training=0, epoch=int(epoch))
    found = [list(files.values()) for files in runs_of(tmp_path).values()]
    assert sorted(filter(None, found)) == epochs_in(expected)


@pytest.mark.parametrize(
    ("files", "trainings", "option"),
    [
        ("a.pt:1 b.pt:2", [0, 0], "--names '*.pt'"),
        ("a.pt:1 b.pth:2 c.pt:3", [0, 0, 0], "--names '*'"),
        ("a.pt:1 b.pt:2", [0, 1], None),
        ("a.pt:1 b.pt:1", [0, 0], None),
        ("a.pt:1 a_ema.pt:2", [0, 0], None),
        ("a_1.pt:1 a_2.pt:2", [0, 0], None),
    ],
)
def test_split_single_checkpoints_of_related_heads_gives_a_fact_with_the_option(
    files, trainings, option, tmp_path
):
    for seed, text in enumerate(files.split()):
        name, epoch = text.split(":")
        training = trainings[seed]
        path = tmp_path / f"run/{name}"
        save(path, seed=seed, hidden=32, training=training, epoch=int(epoch))
    runs = scan_paths([tmp_path], HeadOptions())
    facts = [one for run, _ in runs for one in run.facts]
    assert [one.fields["option"] for one in facts] == ([option] if option else [])
    if option:
        pattern = option.split("'")[1]
        (epochs,) = runs_of(tmp_path, names=pattern).values()
        assert list(epochs.values()) == [*range(1, len(trainings) + 1)]


def test_split_folds_in_contents_are_apart(tmp_path):
    for fold in (0, 1):
        save(tmp_path / f"cv/best_{fold}.pt", seed=fold, epoch=9 + fold, fold=fold)
    assert len(runs_of(tmp_path, names="best_{}.pt")) == 2


def test_names_pattern_gives_runs_epochs_and_steps_and_leaves_others_out(tmp_path):
    for seed in (1, 2):
        for epoch in (1, 2):
            save(tmp_path / f"run/m_{seed}_{epoch}.pt", seed=9 * seed + epoch)
    save(tmp_path / "run/other.pt", seed=0)
    scanned = scan_paths([tmp_path / "run"], HeadOptions(), names="m_{seed}_{epoch}.pt")
    expected = {
        f"run/seed{seed}": [(1, "name pattern"), (2, "name pattern")] for seed in (1, 2)
    }
    assert {
        run.name: [(one.epoch, one.epoch_source) for one in records]
        for run, records in scanned
    } == expected
    (left_out,) = scanned[0][0].facts
    assert (left_out.code, left_out.fields["others"]) == ("names-do-not-fit", 1)


def test_names_pattern_over_folders_joins_numbered_folders_and_dates(tmp_path):
    for number in (1, 2):
        save(tmp_path / f"ckpts/a/{number}/model.pt", seed=number)
        save(tmp_path / f"ckpts/b/{number}/model.pt", seed=5 + number)
        save(tmp_path / f"dates/m_2026-12-0{number}.pt", seed=9 + number)
    found = runs_of(tmp_path / "ckpts", names="{run}/{epoch}/model.pt")
    assert {name: list(files.values()) for name, files in found.items()} == {
        "ckpts/a": [1, 2],
        "ckpts/b": [1, 2],
    }
    found = runs_of(tmp_path / "dates", names="m_{step}.pt")
    assert found == {"dates": {"m_2026-12-01.pt": 1, "m_2026-12-02.pt": 2}}


def test_names_pattern_has_precedence_over_contents_and_a_note_says_so(tmp_path):
    for epoch in (1, 2):
        contents = {"pytorch-lightning_version": "2.5.0", "epoch": epoch - 1}
        save(tmp_path / f"run/m_{epoch}.pt", seed=epoch, **contents)
    scanned = scan_paths([tmp_path / "run"], HeadOptions(), names="m_{epoch}.pt")
    ((run, records),) = scanned
    assert [(one.epoch, one.epochs_completed) for one in records] == [(1, 1), (2, 2)]
    (differing,) = run.facts
    assert (differing.code, differing.fields["files"]) == (
        "names-differ-from-contents",
        2,
    )
    # Without {epoch}, the contents count.
    found = runs_of(tmp_path, names="m_{run}.pt")
    assert [list(files.values()) for files in found.values()] == [[0], [1]]


def test_names_pattern_that_fits_nothing_is_an_error_with_an_example(tmp_path):
    save(tmp_path / "run/m_1_10.pt")
    with errors.raises("names-fit-nothing", example="m_{run}_{epoch}.pt"):
        scan_paths([tmp_path], HeadOptions(), names="x_{epoch}.pt")


def test_split_fractions_of_epochs_are_refused_and_negative_numbers_are_read(tmp_path):
    for number, name in enumerate(("epoch_0.5", "epoch_1.0", "epoch_-1")):
        save(tmp_path / f"run/{name}.pt", seed=number, training=0)
    save(tmp_path / "run/mid.pt", seed=9, training=0, epoch=2.5)
    assert runs_of(tmp_path) == {"run": {"epoch_-1.pt": -1, "epoch_1.0.pt": 1}}
    ((_, records),) = scan_paths([tmp_path], HeadOptions())
    refused = {one.name: one.code for one in records if one.status == "failed"}
    assert refused == dict.fromkeys(("epoch_0.5.pt", "mid.pt"), "fraction-of-epoch")


def test_split_copies_go_with_the_training_whose_weights_they_have(tmp_path):
    for seed, label in enumerate(("runA", "runB")):
        for epoch in (1, 2):
            save(tmp_path / f"ckpts/{label}_epoch_{epoch}.pt", seed=10 * seed + epoch)
    save(tmp_path / "ckpts/best.pt", seed=12)
    save(tmp_path / "ckpts/runA_last.pt", seed=2)
    found = {
        record.name: (run.name, record.status)
        for run, records in scan_paths([tmp_path], HeadOptions())
        for record in records
    }
    assert found["best.pt"] == ("ckpts/runB", "skipped")
    assert found["runA_last.pt"] == ("ckpts/runA", "skipped")


@pytest.mark.parametrize("folder", ["beans", "vit-b16-beans"])
def test_split_the_best_model_that_hugging_face_loads_at_the_end_is_a_copy(
    folder, tmp_path
):
    for seed, place, epoch in (
        (1, "checkpoint-10", 1),
        (2, "checkpoint-20", 2),
        (1, ".", 2),
    ):
        path = save(tmp_path / folder / place / "pytorch_model.bin", seed=seed)
        path.with_name("config.json").write_text("{}")
        path.with_name("trainer_state.json").write_text(
            f'{{"epoch": {epoch}.0, "global_step": {epoch * 10}}}'
        )
    assert runs_of(tmp_path) == {folder: {"checkpoint-10": 1, "checkpoint-20": 2}}


def test_split_backbone_of_a_classifier_in_another_file_of_its_epoch_is_not_used(
    tmp_path,
):
    for epoch in (1, 2, 3):
        save(tmp_path / f"run/features_epoch_{epoch}.pt", seed=epoch, classes=7)
    for epoch in (1, 2):
        torch.save(
            {"fc.weight": torch.ones(5, 7) * torch.arange(5)[:, None] + epoch},
            tmp_path / f"run/clf_{epoch}.pt",
        )
    assert runs_of(tmp_path) == {
        "run/features": {"features_epoch_3.pt": 3},
        "run/clf": {"clf_1.pt": 1, "clf_2.pt": 2},
    }


def head(classes, features=16, seed=0):
    return (
        np.random.default_rng(seed)
        .standard_normal((classes, features))
        .astype(np.float32)
    )


def record(epoch, classes, name="fc.weight", features=16, **fields):
    shape = {"classes": classes, "features": features, "head": name}
    return Record(
        "run",
        f"epoch_{epoch}.pt",
        epoch=epoch,
        epoch_source="contents",
        **shape,
        **fields,
    )


def joined(*trainings, heads=None):
    """Return the paths of the trainings after joining; all heads are the first rows of
    one head unless they are given.
    """

    def read(one):
        return head(40)[: one.classes] if heads is None else heads[one.epoch]

    parts = [Training("", list(records)) for records in trainings]
    return [[one.path for one in part.records] for part in join_growing(parts, read)]


def test_split_does_not_compare_each_record_with_all_others(tmp_path, monkeypatch):
    records = [
        Record("run", f"run/epoch_{epoch}.pt", epoch, classes=5, fingerprint=str(epoch))
        for epoch in range(9)
    ]
    monkeypatch.setattr(
        Record, "__eq__", lambda *_: pytest.fail("two records are compared")
    )
    assert len(split_training_runs(TrainingRun("run", tmp_path, ()), records)) == 1


def test_has_grown_from_older_rows_with_noise_but_not_from_another_network_or_order_of_rows():
    wide = head(20, features=64)
    for classes, noise in itertools.product((2, 3, 10), (0.0, 0.5)):
        assert has_grown_from(
            wide, wide[:classes] + noise * head(classes, features=64, seed=1)
        )
    for seed in range(20):
        # a direction that all rows share does not count
        wide, shared = (
            head(20, seed=seed),
            5 * head(1),
        )
        assert not any(
            has_grown_from(wide, head(classes, seed=seed + 100))
            for classes in (2, 3, 5, 10, 19)
        )
        assert not has_grown_from(wide + shared, head(10, seed=seed + 100) + shared)
        assert not has_grown_from(wide, wide[:10][::-1])
        assert not has_grown_from(wide, np.zeros((10, 16), dtype=np.float32))


def test_join_growing_joins_each_step_of_a_head():
    parts = [record(0, 10), record(1, 10)], [record(2, 20)], [record(3, 40)]
    assert joined(*parts) == [["epoch_0.pt", "epoch_1.pt", "epoch_2.pt", "epoch_3.pt"]]
    assert joined(*reversed(parts)) == joined(*parts)


SEPARATE = {
    "shrinking": ([record(0, 20)], [record(1, 10)]),
    "the same epoch": ([record(0, 10), record(2, 10)], [record(1, 20)]),
    "another name": ([record(0, 10)], [record(1, 20, "head.weight")]),
    "another width": ([record(0, 10)], [record(1, 20, features=8)]),
    "averaged weights": ([record(0, 10)], [record(1, 20, weights_used="ema")]),
    "two trainings of one width": ([record(0, 10)], [record(1, 20)], [record(2, 20)]),
    "without a classifier": ([record(0, None, None)], [record(1, None, None)]),
}


@pytest.mark.parametrize("parts", SEPARATE.values(), ids=SEPARATE)
def test_join_growing_leaves_other_trainings_apart(parts):
    assert sorted(joined(*parts)) == sorted(
        [[one.path for one in part] for part in parts]
    )


def test_join_growing_unrelated_or_unreadable_head_or_missing_epochs_begin_a_training():
    heads = {
        0: head(10),
        1: np.vstack([head(10), head(10, seed=1)]),
        2: head(30, seed=2),
    }
    found = joined([record(0, 10)], [record(1, 20)], [record(2, 30)], heads=heads)
    assert found == [["epoch_0.pt", "epoch_1.pt"], ["epoch_2.pt"]]
    undated = [replace(record(0, classes), epoch=None) for classes in (10, 20)]
    assert len(joined(*([one] for one in undated))) == 2
    heads = {0: None, 1: None}
    assert len(joined([record(0, 10)], [record(1, 20)], heads=heads)) == 2
