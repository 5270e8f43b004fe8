"""Epoch and step in the contents of checkpoints."""

import pytest

from dsi_cli.checkpoints.epochs import EpochAndStep, epoch_and_step, epochs_completed


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


@pytest.mark.parametrize(
    ("epoch", "counts_from", "expected"),
    [(0, 0, 1), (4, 1, 4), (0, 1, 0), (3, None, None), (None, 0, None), (-1, 0, None)],
)
def test_finished_epochs_are_given_where_the_convention_is_known(
    epoch, counts_from, expected
):
    assert epochs_completed(epoch, counts_from) == expected
