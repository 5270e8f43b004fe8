"""Epoch and step, from contents and from names."""

import pytest

from dsi_cli.checkpoints import epochs
from dsi_cli.checkpoints.epochs import (
    EpochAndStep,
    epoch_and_step,
    epochs_completed,
    is_step_folder,
    natural_key,
    parse,
)

NAMES = {
    (0, None): ["model_epoch_0.pth"],
    (1, None): [
        "checkpoint_0001.pth.tar",
        "e1.pt",
        "epoch=01-val_loss=2.29.ckpt",
        "w_01.weights.h5",
        "model_01.keras",
    ],
    (3, None): [
        "ckpt.3.pth.tar",
        "w-epoch=3.ckpt",
        "resnet18_epochs90_lr0.1_epoch_3.pth",
    ],
    (3, 80): ["epoch=03-step=80.ckpt"],
    (4, None): ["resnet50_epoch_4_top1_76.1.pth", "epoch_4\nnewline.pth"],
    (5, None): ["epoch 5 with spaces.pth"],
    (6, None): ["épöch_6_日本.pth"],
    (7, None): ["epoch_7.pth", "epoch-07.ckpt", "20240131-235959_e07_v2_acc0.93.pth"],
    (12, None): ["modelepoch12.pth", "model_12.pth", "12.pth", "resnet18_lr1e-3_12.pt"],
    (15, None): ["epoch_15"],
    (None, 12): ["global_step12.pt"],
    (None, 500): ["step_500.pt"],
    (None, 1000): ["iter_1000.pth"],
    (None, None): [
        *(
            "resnet50_8xb32_in1k.pth",
            "model_best.pth.tar",
            "checkpoint_1_2.pt",
            "20240131.pt",
            "acc=0.93.pth",
        ),
        *("model_v2.pth", "seed3_fold_1.pth", "resnet18-0f9e8d7c.pth", ""),
    ],
}
"""File names by the epoch and the step that they state."""


@pytest.mark.parametrize(
    ("name", "expected"),
    [(name, stated) for stated, names in NAMES.items() for name in names],
)
def test_a_name_states_epoch_and_step_or_neither(name, expected):
    assert (parse(name).stated_epoch, parse(name).step) == expected


@pytest.mark.parametrize(
    ("tree", "epoch", "step"),
    [
        *(
            ({"epoch": 3}, 3, None),
            ({"epoch": 3.0, "global_step": 80}, 3, 80),
            ({"epoch": 0, "step": 0}, 0, 0),
        ),
        *(
            ({"meta": {"epoch": 2, "iter": 6}}, 2, 6),
            ({"meta": {"epoch": 0, "iter": 2000}}, None, 2000),
        ),
        ({"epoch": 2, "iter": 6}, 2, 6),
        ({"trainer": {"iteration": 9, "epoch_length": 3, "max_epochs": 5}}, 3, 9),
        ({"trainer": {"iteration": 9, "epoch_length": 0}}, None, 9),
        *(
            ({"current_epoch": 4}, 4, None),
            ({"__metadata__": {"epoch": "5", "step": "70"}}, 5, 70),
        ),
        *(
            (tree, None, None)
            for tree in (
                {"epoch": "3"},
                {"epoch": True},
                {"epoch": float("nan")},
                None,
                ({}, 3, 40),
            )
        ),
        *(
            (tree, None, None)
            for tree in (
                {"__metadata__": {"epoch": "five"}},
                {"meta": 3, "trainer": []},
            )
        ),
    ],
)
def test_contents_state_epoch_and_step(tree, epoch, step):
    assert epoch_and_step(tree, ("model.pth",)) == EpochAndStep(
        epoch, "contents" if epoch is not None else None, step
    )


@pytest.mark.parametrize(
    ("tree", "names", "expected"),
    [
        ({"epoch": 9}, ("epoch_6.pth",), EpochAndStep(9, "contents", None)),
        ({}, ("epoch_6.pth",), EpochAndStep(6, "file name")),
        ({}, ("model.bin", "epoch_2"), EpochAndStep(2, "folder name")),
        (
            {},
            ("model.safetensors", "checkpoint-500"),
            EpochAndStep(500, "folder name", None),
        ),
        ({}, ("model.safetensors", "step-500"), EpochAndStep(None, None, 500)),
        ({"epoch": -1}, ("best.pt",), EpochAndStep(None, None, None)),
        ({"epoch": -1}, ("model_neg.pth",), EpochAndStep(-1, "contents", None)),
        ({"global_step": 7}, ("epoch=1-step=8.ckpt",), EpochAndStep(1, "file name", 7)),
        (
            {"epoch": 4, "pytorch-lightning_version": "1.5.10"},
            ("epoch=3.ckpt",),
            EpochAndStep(3, "contents"),
        ),
        (
            {"epoch": 4, "pytorch-lightning_version": "1.10.0"},
            ("last.ckpt",),
            EpochAndStep(4, "contents"),
        ),
    ],
)
def test_contents_count_before_names_and_files_before_folders(tree, names, expected):
    assert epoch_and_step(tree, names) == expected


def test_step_folders_are_told_from_runs():
    assert all(
        map(
            is_step_folder,
            (
                "checkpoint-500",
                "global_step12",
                "checkpoint_0",
                "CKPT+2024-05-01+10-00-00+00",
            ),
        )
    )
    assert not any(map(is_step_folder, ("run_3", "checkpoints")))


@pytest.mark.parametrize(
    ("epoch", "counts_from", "expected"),
    [(0, 0, 1), (4, 1, 4), (0, 1, 0), (3, None, None), (None, 0, None), (-1, 0, None)],
)
def test_finished_epochs_are_given_where_the_convention_is_known(
    epoch, counts_from, expected
):
    assert epochs_completed(epoch, counts_from) == expected


def test_numbers_within_names_sort_as_numbers():
    ordered = ["9", "10", "a", "e1", "e2", "e10", "e" + "1" * 40, "²"]
    assert sorted(sorted(ordered), key=natural_key) == ordered


@pytest.mark.parametrize(
    ("kind", "pattern", "numbers"),
    [
        *(
            ("epoch", "model{}.pt", [1, 2, 10]),
            ("epoch", "net{}", [1, 2]),
            ("epoch", "weights{}", [1, 2]),
        ),
        *(
            ("epoch", "m{}.keras", [1, 2]),
            ("epoch", "ckpt_{:06d}.pt", [5, 10]),
            ("epoch", "a_ep90_{}.pt", [10, 20]),
        ),
        *(
            ("epoch", "cifar10_resnet18_{}.pth", [3, 4, 5]),
            ("epoch", "20240131_{}_acc0.9.pt", [1, 2]),
        ),
        *(
            ("epoch", "vit_b_16-{}.safetensors", [7, 8]),
            ("epoch", "checkpoint-{}.pth", [100, 200, 400]),
        ),
        *(
            ("step", "iter_{}.pt", [1, 2]),
            ("step", "step-{}", [1, 2]),
            ("step", "model_{:07d}.pth", [4999, 9999]),
        ),
        *(
            ("step", "net{}.pt", [30_000, 60_000]),
            ("step", "ckpt_{}.pt", [12_500, 25_000]),
        ),
        ("step", "ckpt{}.pt", [500, 1000, 1500]),
    ],
)
def test_numbers_in_names_the_one_number_that_differs_is_the_epoch_or_a_step(
    kind, pattern, numbers
):
    found = epochs.numbers_in_names([pattern.format(number) for number in numbers])
    assert found == [epochs.NameNumbers(**{kind: number}) for number in numbers]


@pytest.mark.parametrize(
    "names",
    [
        *(
            "seed1.pt seed2.pt",
            "net_20240131.pt net_20240201.pt",
            "1706000000.pt 1706000100.pt",
            "a_1_20.pt a_2_30.pt",
        ),
        *(
            "a.pt b.pt",
            "m1.pt epochs9.pt",
            "net_0.91.pt net_0.92.pt",
            "last_1.pt last_2.pt",
            "ep90_1 ep90_2 ep90_best",
        ),
    ],
)
def test_numbers_in_names_leaves_other_numbers_alone(names):
    assert set(epochs.numbers_in_names(names.split())) == {epochs.NameNumbers()}
