"""Containers beside the usual files: what the real libraries write is read exactly,
what is lacking or damaged is said.
"""

import json
import pickle
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as dcp
from helpers.checkpoint_files import only
from numpy.testing import assert_array_equal
from torch import nn

from dsi_cli.checkpoints.checkpoint_reader import scan_checkpoint
from dsi_cli.checkpoints.discovery import CheckpointFile, discover
from fuzz.makers import write_zero3

CLASSES, WIDTH = 5, 8


class Net(nn.Module):
    """A small classifier."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, WIDTH, 3)
        self.fc = nn.Linear(WIDTH, CLASSES)

    def forward(self, images):
        return self.fc(torch.relu(self.conv(images)).mean((2, 3)))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture
def weight(net):
    return net.fc.weight.detach().numpy().copy()


def assert_head(
    file: CheckpointFile,
    weight: np.ndarray,
    name: str = "fc.weight",
    kind: str | None = None,
) -> None:
    scanned = scan_checkpoint(file)
    assert scanned.record.status == "ok", scanned.record.reason
    assert_array_equal(scanned.weight, weight)
    assert scanned.record.head == name
    assert kind is None or scanned.record.format == kind


def refused(file: CheckpointFile) -> str:
    record = scan_checkpoint(file).record
    assert record.status in ("failed", "pending")
    return record.reason


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("how", ["pickle", "torch"])
def test_numpy_arrays_in_a_pickle(how, protocol, order, weight, tmp_path):
    tree = {
        "model": {
            "conv.weight": np.ones((8, 3, 3, 3)),
            "fc.weight": np.array(weight, order=order),
        },
        "epoch": 1,
    }
    if how == "pickle":
        (tmp_path / "epoch_1.pkl").write_bytes(pickle.dumps(tree, protocol))
    else:
        torch.save(tree, tmp_path / "epoch_1.pt", pickle_protocol=protocol)
    assert_head(only(tmp_path), weight)


def test_pickled_arrays_of_jax(weight, tmp_path):
    from jax.numpy import asarray

    tree = {
        "params": {"head": {"kernel": asarray(weight.T), "bias": asarray(weight[:, 0])}}
    }
    (tmp_path / "epoch_1.pkl").write_bytes(pickle.dumps(tree))
    assert_head(only(tmp_path), weight, "kernel", kind="pickle")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_archive_of_arrays(save, order, weight, tmp_path):
    with (tmp_path / "epoch_1.npz").open("wb") as file:
        save(
            file,
            **{
                "conv.weight": np.ones((8, 3, 3, 3)),
                "fc.weight": np.array(weight, order=order),
                "names": "abc",
            },
        )
    assert_head(only(tmp_path), weight, kind="npz")


def test_an_archive_of_flax_names(weight, tmp_path):
    head = {
        "params/head/kernel": weight.T,
        "params/head/bias": weight[:, 0],
        "opt/mu/head/kernel": weight.T,
    }
    np.savez(tmp_path / "epoch_1.npz", **head, step=7)
    assert_head(only(tmp_path), weight, "params.head.kernel")
    assert scan_checkpoint(only(tmp_path)).record.step == 7


def test_a_list_of_data_is_no_checkpoint(tmp_path):
    images, features = np.ones((20, 8, 8, 3)), np.ones((30, 5))
    np.savez(tmp_path / "images.npz", images, np.ones(20), images[:7], np.ones(7))
    np.savez(tmp_path / "features.npz", features, np.ones((30, 3)), np.arange(3))
    np.savez(tmp_path / "outputs.npz", features, features, features[0])
    assert discover([tmp_path]) == []


@pytest.mark.parametrize("made", ["scripted", "traced"])
def test_torchscript_archive_is_read(made, net, weight, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = (
            torch.jit.script(net)
            if made == "scripted"
            else torch.jit.trace(net, torch.zeros(1, 3, 8, 8))
        )
        torch.jit.save(code, tmp_path / "epoch_1.pt")
    assert_head(only(tmp_path), weight, kind="torchscript")


def test_exported_program_of_newer_and_older_torch_is_read(net, weight, tmp_path):
    torch.export.save(
        torch.export.export(net, (torch.zeros(1, 3, 8, 8),)), tmp_path / "epoch_1.pt2"
    )
    assert_head(only(tmp_path), weight, kind="torch-export")
    torch.save(net.state_dict(), tmp_path / "inner.bin")
    with zipfile.ZipFile(tmp_path / "epoch_1.pt2", "w") as archive:
        archive.writestr("serialized_exported_program.json", "{}")
        archive.write(tmp_path / "inner.bin", "serialized_state_dict.pt")
    (tmp_path / "inner.bin").unlink()
    assert_head(only(tmp_path), weight, kind="torch-export")


@pytest.mark.parametrize("dtype", [torch.qint8, torch.quint8])
@pytest.mark.parametrize(
    ("per_channel", "is_sharded"), [(False, False), (True, False), (True, True)]
)
def test_quantised_weights_are_read_as_the_numbers_they_mean(
    dtype, per_channel, is_sharded, weight, tmp_path
):
    values = torch.from_numpy(weight)
    if per_channel:
        zero = torch.full((CLASSES,), 3)
        quantised = torch.quantize_per_channel(
            values, torch.linspace(0.004, 0.01, CLASSES), zero, 0, dtype
        )
    else:
        quantised = torch.quantize_per_tensor(values, 0.01, 7, dtype)
    name = "pytorch_model-00001-of-00001.bin" if is_sharded else "epoch_1.pt"
    torch.save({"fc.weight": quantised}, tmp_path / name)
    if is_sharded:
        index = {"metadata": {}, "weight_map": {"fc.weight": name}}
        (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    scanned = scan_checkpoint(only(tmp_path))
    np.testing.assert_allclose(
        scanned.weight, quantised.dequantize().numpy(), rtol=1e-6, atol=1e-7
    )
    assert scanned.record.dtype == str(dtype).removeprefix("torch.")


@pytest.fixture
def distributed(net, tmp_path):
    adam = torch.optim.Adam(net.parameters())
    net(torch.zeros(1, 3, 8, 8)).sum().backward()
    adam.step()
    state = {"app": {"model": net.state_dict(), "optim": adam.state_dict()}, "epoch": 3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save(state, checkpoint_id=tmp_path / "run" / "step-40", no_dist=True)
    return tmp_path / "run" / "step-40"


def test_distributed_checkpoint_is_read(net, distributed):
    weight = net.fc.weight.detach().numpy()
    (run,) = discover([distributed.parent])
    (found,) = run.checkpoints
    assert (run.name, found.checkpoint_path) == ("run", distributed)
    assert found.bytes > weight.nbytes
    assert_head(found, weight, "app.model.fc.weight", "torch-distributed")
    assert scan_checkpoint(found).record.step == 40
    assert_head(only(distributed), weight, "app.model.fc.weight")


def test_distributed_checkpoint_with_a_part_in_a_link_out_of_its_folder_is_refused(
    distributed,
):
    (part,) = distributed.glob("*.distcp")
    private = distributed.parent.parent / "private"
    part.rename(private)
    part.symlink_to(private)
    assert f"{part.name!r} is a link to a file outside its folder" in refused(
        only(distributed)
    )


def changed(folder: Path, change) -> CheckpointFile:
    """Return a distributed checkpoint whose metadata were changed; by torch's own
    classes.
    """
    path = folder / ".metadata"
    metadata = pickle.loads(path.read_bytes())
    change(metadata)
    path.write_bytes(pickle.dumps(metadata))
    return only(folder)


def first(metadata):
    return next(
        index for index in metadata.storage_data if index.fqn == "app.model.fc.weight"
    )


def elsewhere(metadata):
    object.__setattr__(
        metadata.storage_data[first(metadata)], "relative_path", "../__0_0.distcp"
    )


def enormous(metadata):
    object.__setattr__(
        metadata.state_dict_metadata["app.model.fc.weight"],
        "size",
        torch.Size((1 << 21, 1 << 20)),
    )


def outside(metadata):
    index = first(metadata)
    held = metadata.storage_data.pop(index)
    metadata.storage_data[type(index)(index.fqn, torch.Size((3, 0)), 0)] = held


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (elsewhere, "refers to a file outside its own folder: '../__0_0.distcp'"),
        (enormous, r"more bytes than its parts"),
        (outside, "a part of a tensor lies outside it"),
    ],
)
def test_distributed_metadata_that_is_wrong_is_refused(change, message, distributed):
    assert message in refused(changed(distributed, change))


def test_parts_of_many_ranks_are_put_together(weight, tmp_path):
    from torch.distributed.checkpoint import metadata as dcp_metadata
    from torch.distributed.checkpoint.filesystem import _StorageInfo

    folder = tmp_path / "run" / "step_7"
    folder.mkdir(parents=True)
    storage, chunks = {}, []
    for rank, (begin, end) in enumerate([(3, 5), (0, 3)]):
        torch.save(
            torch.from_numpy(weight[begin:end].copy()), folder / f"__{rank}_0.distcp"
        )
        place = torch.Size((begin, 0))
        chunks.append(
            dcp_metadata.ChunkStorageMetadata(place, torch.Size((end - begin, WIDTH)))
        )
        size = (folder / f"__{rank}_0.distcp").stat().st_size
        storage[dcp_metadata.MetadataIndex("fc.weight", place, rank)] = _StorageInfo(
            f"__{rank}_0.distcp", 0, size
        )
    tensor = dcp_metadata.TensorStorageMetadata(
        dcp_metadata.TensorProperties(torch.float32),
        torch.Size((CLASSES, WIDTH)),
        chunks,
    )
    metadata = dcp_metadata.Metadata({"fc.weight": tensor}, storage_data=storage)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    assert_head(only(folder), weight)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("ranks", [1, 3, 7])
def test_zero_3_is_put_together_from_its_ranks(ranks, groups, net, weight, tmp_path):
    folder = tmp_path / "run" / "global_step12"
    folder.mkdir(parents=True)
    write_zero3(folder, dict(net.named_parameters()), ranks, groups)
    found = only(tmp_path / "run")
    assert_head(found, weight, kind="deepspeed")
    record = scan_checkpoint(found).record
    assert (record.epoch, record.step, record.trainer) == (2, 12, "deepspeed")


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (
            "zero_pp_rank_1_mp_rank_00_optim_states.pt",
            "some are missing: zero_pp_rank_1_mp_rank_00_optim_states.pt",
        ),
        (
            "zero_pp_rank_2_mp_rank_00_optim_states.pt",
            "found the optimiser states of 2 ranks, but 3 wrote the checkpoint",
        ),
        ("zero_pp_rank_*_optim_states.pt", "some are missing: 0 files"),
    ],
)
def test_zero_3_without_a_rank_is_refused(gone, message, net, tmp_path):
    folder = tmp_path / "run" / "global_step12"
    folder.mkdir(parents=True)
    write_zero3(folder, dict(net.named_parameters()), 3)
    for path in (tmp_path / "run" / "global_step12").glob(gone):
        path.unlink()
    assert message in refused(only(tmp_path / "run"))


def test_a_model_split_over_ranks_is_not_taken_in_part(net, tmp_path):
    for rank in (0, 1):
        (tmp_path / "run" / "epoch_1").mkdir(parents=True, exist_ok=True)
        torch.save(
            {"module": net.state_dict()},
            tmp_path / "run" / "epoch_1" / f"mp_rank_0{rank}_model_states.pt",
        )
    assert "tensor parallelism" in refused(only(tmp_path / "run"))


@pytest.mark.parametrize(
    ("folder", "place", "epoch", "step"),
    [
        (
            "epoch=3-step=80.ckpt/checkpoint",
            "epoch=3-step=80.ckpt",
            3,
            80,
        ),  # Lightning's strategy
        (
            "checkpoint-500/global_step500",
            "checkpoint-500",
            2,
            500,
        ),  # Hugging Face's Trainer
        ("tag_of_mine", "tag_of_mine", None, None),
    ],
)
def test_deepspeed_in_other_trainers_folders_is_read(
    folder, place, epoch, step, net, weight, tmp_path
):
    (tmp_path / "run" / folder).mkdir(parents=True)
    torch.save(
        {"module": net.state_dict(), "ds_version": "1"},
        tmp_path / "run" / folder / "mp_rank_00_model_states.pt",
    )
    if place == "checkpoint-500":
        (tmp_path / "run" / place / "trainer_state.json").write_text(
            '{"epoch": 2.0, "global_step": 500}'
        )
    (run,) = discover([tmp_path / "run"])
    (found,) = run.checkpoints
    assert (run.name, found.checkpoint_path.name) == ("run", place)
    assert_head(found, weight)
    record = scan_checkpoint(found).record
    assert (record.epoch, record.step) == (epoch, step)


@pytest.fixture
def ranks():
    """Let this process be the first of two, as far as DTensors are concerned."""
    from torch import distributed
    from torch.distributed.device_mesh import init_device_mesh
    from torch.testing._internal.distributed.fake_pg import FakeStore

    distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    yield init_device_mesh("cpu", (2,))
    distributed.destroy_process_group()


def test_the_rows_of_one_rank_are_not_taken_for_all(ranks, net, tmp_path):
    from torch.distributed.tensor import Shard, distribute_tensor

    parts = {
        name: distribute_tensor(one, ranks, [Shard(0)])
        for name, one in net.state_dict().items()
    }
    torch.save({"state_dict": parts, "epoch": 1}, tmp_path / "rank0.pt")
    reason = (
        "it holds the part of one rank alone, (3, 8) of (5, 8): gather the state dict"
        " before saving it"
    )
    assert refused(only(tmp_path)) == reason


def test_a_replicated_tensor_is_read(ranks, net, weight, tmp_path):
    from torch.distributed.tensor import Replicate, distribute_tensor

    whole = {
        name: distribute_tensor(one, ranks, [Replicate()])
        for name, one in net.state_dict().items()
    }
    torch.save({"state_dict": whole, "epoch": 1}, tmp_path / "rank0.pt")
    assert_head(only(tmp_path), weight)


def test_fsdp_folders_of_accelerate_are_read(distributed, net):
    step = distributed.parent / "checkpoint_3"
    step.mkdir()
    distributed.rename(step / "pytorch_model_fsdp_0")
    shutil.copytree(step / "pytorch_model_fsdp_0", step / "optimizer_0")
    found = only(step.parent)
    assert found.checkpoint_path == step
    assert_head(found, net.fc.weight.detach().numpy(), "app.model.fc.weight")
    assert scan_checkpoint(found).record.epoch == 3
    shutil.copytree(step / "pytorch_model_fsdp_0", step / "pytorch_model_fsdp_1")
    (run,) = discover([step.parent])
    assert [one.checkpoint_path.name for one in run.checkpoints] == [
        "pytorch_model_fsdp_0",
        "pytorch_model_fsdp_1",
    ]


def saved(tmp_path: Path, rows: int, name: str, **others: object) -> CheckpointFile:
    """Return a checkpoint whose classifier's rows are numbered."""
    head = torch.arange(1.0, rows + 1)[:, None].repeat(1, 3)
    torch.save(
        {"state_dict": {**others.pop("beside", {}), name: head}, **others},
        tmp_path / "epoch_1.pth",
    )
    return only(tmp_path)


def rows_kept(file: CheckpointFile, labels: int | None = None) -> list[int]:
    return scan_checkpoint(file, classes=labels).weight[:, 0].astype(int).tolist()


RPN = {"rpn.head.conv.0.0.weight": torch.zeros(8, 8, 3, 3)}
D2 = {"proposal_generator.rpn_head.conv.weight": torch.zeros(8, 8, 3, 3)}
RCNN = "roi_heads.box_predictor.cls_score.weight"


def test_the_background_is_first_for_torchvision_and_last_for_detectron2(tmp_path):
    assert rows_kept(saved(tmp_path, 4, RCNN, beside=RPN)) == [2, 3, 4]
    assert rows_kept(saved(tmp_path, 4, RCNN, beside=D2)) == [1, 2, 3]


@pytest.mark.parametrize(
    "name",
    ["class_embed.weight", "class_labels_classifier.weight", "bbox_head.fc_cls.weight"],
)
def test_labels_tell_of_a_detectors_extra_row(name, tmp_path):
    assert rows_kept(saved(tmp_path, 4, name), labels=3) == [1, 2, 3]
    assert rows_kept(saved(tmp_path, 4, name), labels=4) == [1, 2, 3, 4]
    assert rows_kept(saved(tmp_path, 4, name)) == [1, 2, 3, 4]


def test_the_metadata_of_mmengine_tell_of_it(tmp_path):
    meta = {
        "mmengine_version": "0.10",
        "dataset_meta": {"classes": ("a", "b", "c")},
        "epoch": 1,
    }
    assert rows_kept(saved(tmp_path, 4, "bbox_head.fc_cls.weight", meta=meta)) == [
        1,
        2,
        3,
    ]
    assert rows_kept(saved(tmp_path, 3, "head.fc.weight", meta=meta)) == [1, 2, 3]
