"""What trainers wrote: state dicts with their roles, the trainer, plain metadata, the
head to the last bit, epochs and steps.
"""

import argparse
from pathlib import PurePosixPath

import pytest
import torch
from helpers.checkpoint_files import saved_pickle
from helpers.trainers import TRAINERS
from numpy.testing import assert_array_equal

from dsi_cli.checkpoints.checkpoint_reader import (
    HeadOptions,
    read_state_dict,
    require_file,
    scan_checkpoint,
)
from dsi_cli.checkpoints.discovery import discover
from dsi_cli.checkpoints.epochs import epochs_completed
from dsi_cli.checkpoints.formats.torch_save import storage_of
from dsi_cli.checkpoints.pickle.machine import read_pickle
from dsi_cli.checkpoints.tensors import Storage, contiguous
from dsi_cli.checkpoints.trainers import (
    EMA,
    PLAIN,
    RAW,
    plain_data,
    state_dicts,
    trainer_of,
)

WEIGHT = contiguous("float32", (3, 4), Storage("0", "float32", 12))
SD = {"fc.weight": WEIGHT}


def inert(tree: object) -> object:
    """Return a tree as it comes back from torch.save through the inert reader."""
    return read_pickle(saved_pickle(tree), persistent_load=storage_of)[0]


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (SD, [((), RAW)]),
        ({"state_dict": SD, "epoch": 3}, [(("state_dict",), RAW)]),
        (
            {"model": SD, "model_ema": {**SD, "n_averaged": WEIGHT}},
            [(("model",), RAW), (("model_ema",), EMA)],
        ),
        (
            {"state_dict": SD, "state_dict_ema": dict(SD)},
            [(("state_dict",), RAW), (("state_dict_ema",), EMA)],
        ),
        ({"ema": SD}, [(("ema",), EMA)]),
        ({"a": {"b": {"c": SD}}}, [(("a", "b", "c"), RAW)]),
        (
            {
                "model": SD,
                "optimizer": {"state": {0: {"exp_avg": WEIGHT}}},
                "lr_scheduler": dict(SD),
            },
            [(("model",), RAW)],
        ),
        ({"model": SD, "same": SD}, [(("model",), RAW)]),
        *(({"epoch": 3}, []), ([SD], [(("0",), RAW)])),
        (
            (SD, {"state": {}, "param_groups": [], "fc.weight": WEIGHT}, 3),
            [(("0",), RAW)],
        ),
        ({"n_averaged": WEIGHT, "module.fc.weight": WEIGHT}, [((), EMA)]),
        (None, []),
    ],
)
def test_state_dicts_are_found_wherever_they_lie(tree, expected):
    assert [(found.path, found.role) for found in state_dicts(tree)] == expected


def test_averaged_copies_inside_one_state_dict_are_told_apart():
    found = state_dicts(
        {"state_dict": {"model.fc.weight": WEIGHT, "ema_model.fc.weight": WEIGHT}}
    )
    assert [(one.role, list(one.tensors)) for one in found] == [
        (RAW, ["model.fc.weight"]),
        (EMA, ["ema_model.fc.weight"]),
    ]


SWAPPED = [
    ({"pytorch-lightning_version": "2"}, "current_model_state"),
    ({"meta": {"mmengine_version": "0"}}, "ema_state_dict"),
]


@pytest.mark.parametrize(("mark", "raw"), SWAPPED)
def test_averages_that_were_swapped_in_are_averages(mark, raw):
    found = state_dicts({"state_dict": SD, raw: dict(SD), **mark})
    assert {one.path[0]: one.role for one in found} == {"state_dict": EMA, raw: RAW}


@pytest.mark.parametrize(
    ("tree", "name", "counts_from"),
    [
        ({"pytorch-lightning_version": "2", "state_dict": SD}, "lightning", 0),
        ({"meta": {"mmengine_version": "0.10"}, "state_dict": SD}, "mmengine", 1),
        ({"train_args": {}, "ema": None, "updates": 3}, "ultralytics", 0),
        ({"trainer": {"epoch_length": 3, "iteration": 9}, "model": SD}, "ignite", 1),
        ({"state_dict": SD, "arch": "vit", "version": 2, "epoch": 0}, "timm", 0),
        (
            {
                "model": SD,
                "optimizer": {},
                "lr_scheduler": {},
                "args": None,
                "epoch": 0,
            },
            "torchvision",
            0,
        ),
        ({"model": SD, "opt": {"state": [], "hypers": []}}, "fastai", 0),
        *((tree, PLAIN, None) for tree in (SD, None, {"model": SD, "epoch": 3})),
        *(
            ({"model": SD, "opt": opt}, PLAIN, None)
            for opt in ({"state": {}}, argparse.Namespace())
        ),
    ],
)
def test_trainer_of_contents_is_recognised(tree, name, counts_from):
    found = trainer_of(tree)
    assert (found.name, found.counts_from) == (name, counts_from)


def test_plain_data_holds_only_plain_values():
    tree = inert(
        {
            "args": argparse.Namespace(
                model="resnet18", classes=["a", "b"], out=PurePosixPath("x")
            ),
            "model": {"fc.weight": torch.ones(2, 3)},
            "optimizer": {"lr": 1},
            "kind": torch.float32,
            "nested": {"a": {"b": {"c": {"d": {"e": 1}}}}},
        }
    )
    found = plain_data(tree)
    assert found["args"]["model"] == "resnet18"
    assert found["args"]["classes"] == ["a", "b"]
    assert found["model"] == {"fc.weight": None}
    assert found["kind"] is None
    assert "optimizer" not in found
    assert found["nested"] == {"a": {"b": {"c": {"d": None}}}}


@pytest.mark.parametrize("trainer", [write.__name__ for write in TRAINERS])
def test_a_trainers_checkpoints_are_read_with_head_epoch_and_step(
    trainer, trainers_files
):
    folder, expected = trainers_files.folder / trainer, trainers_files.expected[trainer]
    (run,) = discover([folder])
    found = {
        one.checkpoint_path.relative_to(folder).as_posix(): one
        for one in run.checkpoints
    }
    assert set(found) == {one.path for one in expected}
    for one in expected:
        scanned = scan_checkpoint(found[one.path])
        record = scanned.record
        assert record.status == "ok", record.reason
        assert_array_equal(scanned.weight, one.weight)
        assert (record.classes, record.features) == one.weight.shape
        assert (record.epoch, record.step) == (one.epoch, one.step)
        assert epochs_completed(record.epoch, record.counts_from) == one.completed


@pytest.mark.parametrize(
    ("which", "key", "ema"),
    [
        ("timm_run", "state_dict", False),
        ("timm_run", "state_dict_ema", True),
        ("torchvision_run", "model", False),
    ],
)
def test_raw_and_averaged_weights_of_real_trainers(which, key, ema, request):
    path = request.getfixturevalue(which).files[1]
    wanted = {
        name: one
        for name, one in torch.load(path, weights_only=False)[key].items()
        if isinstance(one, torch.Tensor)
    }
    found = read_state_dict(require_file(path), HeadOptions(ema=ema))
    assert found.head in wanted
    assert found.arrays.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert_array_equal(found.arrays[name], tensor.numpy(), err_msg=name)
