"""One checkpoint to its record: status, reasons, extra rows, how the run counts; and
all its weights as torch loads them.
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.checkpoint_files import only
from numpy.testing import assert_array_equal
from safetensors.torch import save_file

from dsi_cli.checkpoints import checkpoint_reader
from dsi_cli.checkpoints.checkpoint_reader import (
    MAX_REASON_CHARACTERS,
    HeadOptions,
    require_file,
    scan_checkpoint,
)
from dsi_cli.checkpoints.head_weight import weight_hash as fingerprint
from dsi_cli.checkpoints.records import Record


def test_scan_record_has_all_fields(state_dict, tmp_path):
    path = tmp_path / "run" / "epoch_3.pth"
    path.parent.mkdir()
    torch.save(
        {
            "model": state_dict,
            "epoch": 3,
            "global_step": torch.tensor(40),
            "train_loss": 1.5,
        },
        path,
    )
    found = scan_checkpoint(only(tmp_path))
    weight = state_dict["fc.weight"].numpy()
    assert_array_equal(found.weight, weight)
    assert replace(found.record, network=None) == Record(
        run="run",
        path=str(path),
        epoch=3,
        epoch_source="contents",
        step=40,
        format="torch-zip",
        trainer="plain",
        bytes=path.stat().st_size,
        head="fc.weight",
        weights_used="raw",
        classes=5,
        features=7,
        extra_classes=0,
        dtype="float32",
        fingerprint=hashlib.sha256(weight.tobytes()).hexdigest(),
        status="ok",
        modified_ns=path.stat().st_mtime_ns,
        scalars={"train_loss": 1.5},
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_the_fingerprint_is_of_float32(state_dict, dtype, tmp_path, record_of):
    torch.save(
        {name: tensor.to(dtype) for name, tensor in state_dict.items()},
        tmp_path / "x.pt",
    )
    record = record_of(tmp_path / "x.pt")
    assert record.fingerprint == fingerprint(
        state_dict["fc.weight"].to(dtype).float().numpy()
    )
    assert record.dtype == str(dtype).removeprefix("torch.")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"<html>" * 10, "other-content"),
        (b"version https://git-lfs\n", "other-content"),
        (b"Oops" * 9, "unknown-container"),
    ],
)
def test_a_file_of_another_content_is_failed_at_once(
    content, code, tmp_path, record_of
):
    (tmp_path / "x.pt").write_bytes(content)
    assert (record_of(tmp_path / "x.pt").status, record_of(tmp_path / "x.pt").code) == (
        "failed",
        code,
    )


def test_scan_of_a_long_tensor_name_has_a_short_reason(tmp_path, record_of):
    save_file(
        {name * 5000: torch.ones(5, 8) for name in "ab"}, tmp_path / "model.safetensors"
    )
    record = record_of(tmp_path / "model.safetensors")
    assert (record.status, len(record.reason)) == ("failed", MAX_REASON_CHARACTERS)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), 1e300], ids=str
)
def test_weights_that_are_not_finite_in_float32_are_named(value, tmp_path, record_of):
    weight = torch.ones(9, 4, dtype=torch.float64)
    weight[[1, 3], 2] = value
    torch.save({"fc.weight": weight}, tmp_path / "x.pt")
    record = record_of(tmp_path / "x.pt")
    assert (record.status, record.code) == ("failed", "not-finite")
    assert record.reason == "NaN or infinite weights in class 1, 3 of 9"
    weight[:, 0] = value
    torch.save({"fc.weight": weight}, tmp_path / "x.pt")
    assert (
        record_of(tmp_path / "x.pt").reason
        == "NaN or infinite weights in class 0, 1, 2, 3, 4 and 4 more of 9"
    )


def hugging_face(folder: Path, rows: int, config: dict) -> None:
    folder.mkdir(parents=True)
    weight = torch.arange(rows * 4, dtype=torch.float32).view(rows, 4)
    save_file(
        {"classifier.weight": weight, "classifier.bias": torch.zeros(rows)},
        folder / "model.safetensors",
    )
    (folder / "config.json").write_text(json.dumps(config))


LABELS = {str(n): f"c{n}" for n in range(3)}


@pytest.mark.parametrize(
    ("rows", "keep", "extra", "read"),
    [(3, False, 0, [0, 1, 2]), (4, False, 1, [0, 1, 2]), (4, True, 1, [0, 1, 2, 3])],
)
def test_a_row_for_no_object_is_left_out_where_the_config_tells(
    rows, keep, extra, read, tmp_path
):
    hugging_face(tmp_path / "checkpoint-5", rows, {"id2label": LABELS})
    found = scan_checkpoint(only(tmp_path), HeadOptions(keep_extra=keep))
    assert (found.record.classes, found.record.extra_classes) == (len(read), extra)
    assert_array_equal(found.weight[:, 0], [4.0 * n for n in read])
    whole = np.arange(rows * 4, dtype=np.float32).reshape(rows, 4)
    assert found.record.fingerprint == fingerprint(whole), (
        "the fingerprint is of all rows"
    )


def test_a_head_with_other_rows_than_the_config_tells_is_refused(tmp_path):
    hugging_face(tmp_path / "checkpoint-5", 6, {"id2label": LABELS})
    record = scan_checkpoint(only(tmp_path)).record
    assert record.status == "failed"
    assert record.code == "class-count"


@pytest.mark.parametrize(
    "config", [{"num_labels": 3}, {"num_classes": 3}, {"id2label": LABELS}]
)
def test_the_config_decides_between_heads(config, tmp_path):
    folder = tmp_path / "checkpoint-5"
    folder.mkdir()
    save_file(
        {"a.head.weight": torch.ones(7, 4), "b.head.weight": torch.ones(3, 4)},
        folder / "model.safetensors",
    )
    (folder / "config.json").write_text(json.dumps(config))
    assert scan_checkpoint(only(tmp_path)).record.head == "b.head.weight"


def sgd(momentum: float = 0.0) -> dict:
    return torch.optim.SGD(
        torch.nn.Linear(4, 3).parameters(), lr=0.1, momentum=momentum
    ).state_dict()


def adam() -> dict:
    return torch.optim.Adam(torch.nn.Linear(4, 3).parameters()).state_dict()


@pytest.mark.parametrize(
    ("tree", "counts_from"),
    [
        ({"epoch": 0, "optimizer": adam}, 1),
        ({"epoch": 0, "optimizer_state_dict": lambda: sgd(momentum=0.9)}, 1),
        ({"epoch": 0, "train_loss": None}, 1),
        ({"epoch": 0, "loss": None}, 1),
        ({"epoch": 0, "optimizer": sgd}, None),
        ({"epoch": 0, "train_loss": 2.5}, None),
        ({"epoch": 1, "optimizer": adam}, None),
        ({"epoch": 0, "optimizer": {"state": {}, "param_groups": []}}, None),
        ({"epoch": 0, "optimizer": {"state": {}, "param_groups": 3}}, None),
        ({"epoch": 0}, None),
    ],
)
def test_scan_counts_from_follows_the_contents(
    tree, counts_from, state_dict, tmp_path, record_of
):
    contents = {
        name: value() if callable(value) else value for name, value in tree.items()
    }
    torch.save({**contents, "model": state_dict}, tmp_path / "x.pt")
    assert record_of(tmp_path / "x.pt").counts_from == counts_from


def test_two_models_of_one_name_are_told_apart_by_their_keys(tmp_path):
    torch.save(
        {
            "a": {"fc.weight": torch.ones(3, 4)},
            "b": {"fc.weight": 2 * torch.ones(3, 4)},
        },
        tmp_path / "epoch_1.pt",
    )
    assert scan_checkpoint(only(tmp_path)).record.code == "ambiguous-head"
    assert (
        scan_checkpoint(only(tmp_path), HeadOptions(head="b.fc.weight")).weight[0, 0]
        == 2
    )


def test_a_matrix_with_a_column_for_each_class_is_turned(tmp_path):
    torch.save(
        {"loss": {"weight": torch.arange(40.0).reshape(8, 5)}}, tmp_path / "epoch_1.pt"
    )
    found = scan_checkpoint(only(tmp_path), HeadOptions(head="loss.weight"), classes=5)
    assert_array_equal(found.weight, np.arange(40.0).reshape(8, 5).T)
    assert (found.record.classes, found.record.features) == (5, 8)


def assert_read(found, wanted):
    # torch warns of others
    assert all(array.flags.writeable for array in found.arrays.values())
    assert set(found.arrays) == {
        name for name, value in wanted.items() if isinstance(value, torch.Tensor)
    }
    for name, array in found.arrays.items():
        tensor = wanted[name]
        assert_array_equal(
            array,
            (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy(),
            err_msg=name,
        )


def read_state_dict(path, *, classes=None, **choice):
    return checkpoint_reader.read_state_dict(
        require_file(path), HeadOptions(**choice), classes
    )


def test_every_tensor_is_read(state_dict, tmp_path):
    more = {
        "steps": torch.tensor(3),
        "half": torch.randn(2, 3).half(),
        "brain": torch.randn(2).bfloat16(),
    }
    tensors = {
        **state_dict,
        **more,
        "flag": torch.tensor([True, False]),
        "double": torch.randn(1).double(),
    }
    torch.save(tensors, tmp_path / "zip.pt")
    torch.save(tensors, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    save_file(tensors, tmp_path / "net.safetensors")
    for path in tmp_path.iterdir():
        found = read_state_dict(path)
        assert found.head == "fc.weight"
        assert_read(found, tensors)


def test_a_whole_module_is_read_by_its_state_dicts_names_without_buffers_that_are_not_saved(
    tmp_path,
):
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.Flatten(),
        torch.nn.Linear(4, 3),
    )
    module[0].register_buffer("grid", torch.ones(2), persistent=False)
    torch.save(module, tmp_path / "module.pt")
    found = read_state_dict(tmp_path / "module.pt")
    assert found.head == "3.weight"
    assert_read(found, module.state_dict())


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("embedder_1.pt", "weight"),
        ("embedding_model.ckpt", "1.weight"),
        ("classifier_1.pt", None),
    ],
)
def test_a_part_of_a_network_has_the_name_of_its_file(name, head, tmp_path):
    layer = torch.nn.Linear(8, 5)
    part = (
        torch.nn.Sequential(torch.nn.Linear(9, 8), layer)
        if head == "1.weight"
        else layer
    )
    torch.save(part.state_dict(), tmp_path / name)
    for wanted, is_right in ((None, head is None), (head, True)):
        record = scan_checkpoint(
            require_file(tmp_path / name), HeadOptions(wanted)
        ).record
        assert (record.status == "ok") == (record.reason is None) == is_right
