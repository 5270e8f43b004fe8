"""Folders that hold several networks or several trainings: a run of each, never one
merged run.
"""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.utils.prune

from dsi_cli.analysis.scan import scan_paths
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions
from dsi_cli.checkpoints.discovery import TrainingRun
from dsi_cli.checkpoints.records import Record
from dsi_cli.checkpoints.training_runs import (
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


def runs_of(folder):
    """Return, by run, the epoch of each file that is used."""
    return {
        run.name: {
            record.path.removeprefix(f"{run.folder}/"): record.epoch
            for record in records
            if record.status == "ok"
        }
        for run, records in scan_paths([folder], HeadOptions())
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


@pytest.mark.parametrize(
    ("pattern", "labels"),
    [
        *(
            ("run{}_epoch_{}.pt", "AB"),
            ("{}_{}.pt", ["sgd", "adam"]),
            ("{}{}.pt", "ab"),
            ("seed{}_{}.pt", "12"),
        ),
        *(
            ("epoch_{1}_{0}.pt", ["plain", "mixup"]),
            ("exp{}_epoch_{}.pt", "12"),
            ("client_{}_round_{}.pt", "01"),
        ),
        *(
            (f"lr{sign}{{}}_wd{sign}0.1_epoch{{}}.pt", ["0.1", "0.01"])
            for sign in ("", "_", "=")
        ),
        *(("wd_{}_{}.pt", ["0.1", "0.01"]), ("head-{}.pt", ["mnist", "svhn"])),
    ],
)
@pytest.mark.parametrize("epochs", [(1, 2, 3), (1,)])
def test_split_several_trainings_are_a_run_each(pattern, labels, epochs, tmp_path):
    for seed, label in enumerate(labels):
        for epoch in epochs:
            save(
                tmp_path / "ckpts" / pattern.format(label, epoch),
                seed=10 * seed + epoch,
                training=seed,
            )
    found = runs_of(tmp_path)
    assert len(found) == 2
    epochs = (
        epochs
        if "{}_" in pattern or "epoch" in pattern or "{}{}" in pattern
        else epochs[:1]
    )
    assert all(
        name.startswith("ckpts/") and len(files) == len(epochs)
        for name, files in found.items()
    )
    assert len(epochs) == 1 or all(
        list(files.values()) == list(epochs) for files in found.values()
    )


def test_split_numbers_and_the_order_of_names_count_epochs_if_heads_are_related(
    tmp_path,
):
    names = {
        "net{}": "1234",
        "{}": "01",
        "ckpt_{}": "123",
        "resnet18_{}": "0123",
        "{}/net": "0123",
        "m_2026-12-0{}": "12",
    }
    for training, (name, numbers) in enumerate(names.items()):
        for number in numbers:
            # The first head may be unrelated, because training begins with it.
            seed = 99 if number == "0" and len(numbers) > 2 else training
            save(
                tmp_path / f"r{training}" / f"{name.format(number)}.pt",
                seed=int(number),
                training=seed,
            )
    found = [list(files.values()) for files in runs_of(tmp_path).values()]
    assert found == [
        [1, 2, 3, 4],
        [0, 1],
        [1, 2, 3],
        [0, 1, 2, 3],
        [0, 1, 2, 3],
        [1, 2],
    ]


@pytest.mark.parametrize(
    "names",
    [
        *(
            "model_0 model_1 model_2",
            "net1 net2",
            "m_1of3 m_2of3 m_3of3",
            "0/net 1/net 2/net",
            "w12345 w54321",
        ),
        *(
            "a b",
            "model checkpoint",
            "net_lr1e-1 net_lr1e-2",
            "net_2026-11-01 net_2026-12-01",
            "1706000000 1706009999",
        ),
    ],
)
def test_split_unrelated_heads_are_trainings_if_only_numbers_or_names_order_them(
    names, tmp_path
):
    for seed, name in enumerate(names.split()):
        save(tmp_path / f"run/{name}.pt", seed=seed, hidden=32)
    assert [list(files.values()) for files in runs_of(tmp_path).values()] == [
        [None]
    ] * len(names.split())


def test_split_copy_goes_with_the_training_whose_weights_it_has_if_numbers_name_trainings(
    tmp_path,
):
    for seed, name in enumerate(("model_0", "model_1", "model_2")):
        save(tmp_path / f"run/{name}.pt", seed=seed, hidden=32)
    save(tmp_path / "run/best.pt", seed=1, hidden=32)
    statuses = {
        record.path.rpartition("/")[2]: (run.name, record.status)
        for run, records in scan_paths([tmp_path], HeadOptions())
        for record in records
    }
    assert statuses["best.pt"] == (statuses["model_1.pt"][0], "skipped")
    assert len({run for run, _ in statuses.values()}) == 3


@pytest.mark.parametrize("name", ["epoch_{}", "e{}", "step_{}", "iter{}"])
def test_split_unrelated_heads_are_a_training_if_the_names_state_epochs_or_steps(
    name, tmp_path
):
    for number in (1, 2, 3):
        save(tmp_path / f"run/{name.format(number)}.pt", seed=number, hidden=32)
    assert [list(files.values()) for files in runs_of(tmp_path).values()] == [[1, 2, 3]]


@pytest.mark.parametrize(
    "name", ["client_{}", "cv{}", "fold-{}", "seed4{}", "worker{}", "width{}"]
)
def test_split_numbers_of_folds_clients_and_widths_are_no_epochs_even_if_heads_are_related(
    name, tmp_path
):
    for number in (1, 2, 3):
        save(tmp_path / f"run/{name.format(number)}.pt", seed=number, training=0)
    assert [list(files.values()) for files in runs_of(tmp_path).values()] == [
        [None]
    ] * 3


@pytest.mark.parametrize("stated", [5, 0])
def test_split_names_count_if_the_contents_state_one_epoch(stated, tmp_path):
    """As PyTorch's tutorial saves: the epoch in the contents is a constant."""
    for number in (1, 2, 3):
        save(tmp_path / f"run/model_{number}.pt", seed=number, training=0, epoch=stated)
        save(
            tmp_path / f"steps/step_{number}00.pt",
            seed=number,
            training=0,
            epoch=stated,
        )
        save(
            tmp_path / f"folds/model_{number}.pt", seed=number, hidden=32, epoch=stated
        )
    save(tmp_path / "run/best.pt", seed=3, training=0, epoch=stated)
    found = runs_of(tmp_path)
    assert found.pop("run") == {f"model_{number}.pt": number for number in (1, 2, 3)}
    assert found.pop("steps") == {f"step_{number}00.pt": stated for number in (1, 2, 3)}
    assert [list(files.values()) for files in found.values()] == [[stated]] * 3


def test_split_fractions_of_epochs_are_refused_and_negative_numbers_are_read(tmp_path):
    for number, name in enumerate(
        ("epoch_0.5", "epoch_1.0", "epoch_1.5", "epoch_-1", "epoch=-2")
    ):
        save(tmp_path / f"run/{name}.pt", seed=number, training=0)
    save(tmp_path / "run/mid.pt", seed=9, training=0, epoch=2.5)
    assert runs_of(tmp_path) == {
        "run": {"epoch_-1.pt": -1, "epoch_1.0.pt": 1, "epoch=-2.pt": -2}
    }
    ((_, records),) = scan_paths([tmp_path], HeadOptions())
    refused = {
        record.path.rpartition("/")[2]: record
        for record in records
        if record.status == "failed"
    }
    assert sorted(refused) == ["epoch_0.5.pt", "epoch_1.5.pt", "mid.pt"]
    assert {record.code for record in refused.values()} == {"fraction-of-epoch"}
    assert refused["mid.pt"].reason.startswith(
        "states the epoch 2.5, and dsi numbers epochs by whole numbers"
    )


def test_split_dates_and_times_are_an_order(tmp_path):
    dates = (
        "28-01-2026 30-01-2026 02-02-2026",
        "Jan31_10-20-30 Feb01_10-20-30",
        "1706000000 1706000100 1706000200",
    )
    dates += ("09-30-00 10-30-00 11-30-00", "2026-01-31T10:20:30 2026-02-01T00:00:00")
    for number, names in enumerate(dates):
        for seed, name in enumerate(names.split()):
            save(tmp_path / f"r{number}/model_{name}.pt", seed=seed, training=0)
    found = runs_of(tmp_path)
    expected = {f"r{number}": names.split() for number, names in enumerate(dates)}
    assert {run: sorted(files.values()) for run, files in found.items()} == {
        run: list(range(1, len(names) + 1)) for run, names in expected.items()
    }
    for run, names in expected.items():
        assert [found[run][f"model_{name}.pt"] for name in names] == list(
            range(1, len(names) + 1)
        )


def test_split_copies_go_with_the_training_whose_weights_they_have(tmp_path):
    for seed, label in enumerate(("runA", "runB")):
        for epoch in (1, 2):
            save(tmp_path / f"ckpts/{label}_epoch_{epoch}.pt", seed=10 * seed + epoch)
    save(tmp_path / "ckpts/best.pt", seed=12)
    save(tmp_path / "ckpts/runA_last.pt", seed=2)
    scanned = list(scan_paths([tmp_path], HeadOptions()))
    names = {run.name: [one.path.name for one in run.checkpoints] for run, _ in scanned}
    runs = (
        ["runA_epoch_1.pt", "runA_epoch_2.pt", "runA_last.pt"],
        ["best.pt", "runB_epoch_1.pt", "runB_epoch_2.pt"],
    )
    assert names == dict(zip(("ckpts/runA", "ckpts/runB"), runs, strict=True))
    skipped = [
        record.path
        for _, records in scanned
        for record in records
        if record.status == "skipped"
    ]
    assert sorted(path.rpartition("/")[2] for path in skipped) == [
        "best.pt",
        "runA_last.pt",
    ]


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


def test_split_saves_within_an_epoch_are_one_training(tmp_path):
    for seed, name in enumerate(("e1_s100", "e1_s200", "e2_s300", "e2_s400")):
        save(tmp_path / f"run/net_{name}.pt", seed=seed)
    ((run, records),) = scan_paths([tmp_path], HeadOptions())
    assert run.name == "run"
    moments = [
        (record.epoch, record.step) for record in records if record.status == "ok"
    ]
    assert moments == [(1, 100), (1, 200), (2, 300), (2, 400)]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        *(
            ("best_fold0_epoch7 best_fold1_epoch4", [[7], [4]]),
            ("epoch_0 epoch_2 ema-epoch_1", [[0, 2], [1]]),
        ),
        ("epoch0_C1 epoch0_C2 epoch1_C1 epoch1_C2", [[0, 1], [0, 1]]),
        ("a_warmup_epoch_1 b_main_epoch_2 epoch_3_acc0.91 best_epoch_3", [[1, 2, 3]]),
        *(
            (" ".join(map(name.format, "123")), [[None]] * 3)
            for name in ("fold{}_best", "run{}_last")
        ),
        *(
            ("last_0 last_1", [[None], [None]]),
            ("latest_5 latest_10", [[5, 10]]),
            ("a_best b_best c_best", [[None]] * 3),
        ),
        *(
            ("seed1_1 seed1_2 init", [[1, 2]]),
            ("fold0_best_ep1 fold0_best_ep2 init", [[1, 2]]),
        ),
        *(
            ("ep0/vit_16 ep3/vit_16", [[0, 3]]),
            ("ep0/n_0 ep0/n_1 ep3/n_0 ep3/n_1", [[0, 3], [0, 3]]),
        ),
        *(
            ("step9/c1 step9/c2 step18/c1 step18/c2", [[1, 2], [1, 2]]),
            ("CKPT+26-1-2+31/m CKPT+26-1-2+42/m", [[1, 2]]),
        ),
        *(
            (" ".join(map(name.format, "0011", "0101")), [[]])
            for name in ("ckpt_{}/n_{}", "ckpt_{}/n_{}_9")
        ),
    ],
)
def test_split_folds_averages_and_networks_are_apart_whatever_their_epochs(
    names, expected, tmp_path
):
    for seed, name in enumerate(names.split()):
        save(tmp_path / f"run/{name}.pt", seed=seed, training=0)
    assert [list(files.values()) for files in runs_of(tmp_path).values()] == expected


def test_split_best_files_of_trainings_or_folds_are_apart_whatever_their_epochs(
    tmp_path,
):
    for epoch, name in enumerate(
        (
            "dg/art_best",
            "dg/photo_best",
            "one/best_loss",
            "one/best_ece",
            "one/net18_last",
        )
    ):
        save(tmp_path / f"{name}.pt", seed=epoch, epoch=epoch)
    rising = dict.fromkeys(
        (
            "own/my_run_{}",
            "ab/sgd-{}",
            "ab/adam-{}",
            "num/{}/net",
            "wb/a:v{}/m",
            "wb/b:v{}/m",
        ),
        range(2),
    )
    cases = rising | dict.fromkeys(
        ("seeds/{}/net", "same/{}/net", "{}/best", "epoch9/x{}/best"), ""
    )
    cases |= {"kaggle/net_{}": (9, 8), "top/net_{}": (9, 8), "trials/{}/net": (9, 9)}
    for seed, (name, stated) in enumerate(cases.items()):
        for fold in (0, 1):
            path, contents = (
                tmp_path / f"{name.format(fold)}.pt",
                ({"epoch": stated[fold]} if stated else {}),
            )
            save(
                path,
                seed=seed * 9 + fold * (name[:3] not in ("top", "sam")),
                **contents,
            )
    torch.save({"state": {}, "param_groups": []}, tmp_path / "num/0/optimizer.pt")
    for fold in (0, 1):
        save(tmp_path / f"cv/best_{fold}.pt", seed=fold, epoch=9 + fold, fold=fold)
    apart = (
        "0 1 ab/adam ab/sgd cv/0 cv/1 dg/art dg/photo kaggle/net_0 kaggle/net_1 seeds/0"
        " seeds/1 trials/0 trials/1 x0 x1"
    )
    assert sorted(runs_of(tmp_path)) == sorted(
        [*apart.split(), "num", "one", "own", "same", "top", "wb/a_m", "wb/b_m"]
    )


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
    read = (
        (lambda one: heads[one.epoch])
        if heads
        else (lambda one: head(40)[: one.classes])
    )
    return [
        [one.path for one in training]
        for training in join_growing([list(training) for training in trainings], read)
    ]


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
    parts = [
        Record("run", f"{'ab'[n // 20]}.pt", classes=n, features=16, head="fc.weight")
        for n in (10, 20)
    ]
    assert (
        len(
            join_growing(
                [[part] for part in parts], lambda one: head(40)[: one.classes]
            )
        )
        == 2
    )
    assert len(join_growing([[record(0, 10)], [record(1, 20)]], lambda _: None)) == 2
