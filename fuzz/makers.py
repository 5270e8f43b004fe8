"""Small real files, each written by the library that it belongs to; ``python -m
fuzz.makers FOLDER`` makes them.

Run in a process of its own: the libraries' memory and modules are not the fuzzer's.
What a maker's library lacks is a line.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Maker(NamedTuple):
    """One way to write checkpoints."""

    format: str
    name: str
    make: Callable[[Path], object]
    """Writes one file, or the files of one checkpoint that is a folder, into an empty
    folder.
    """


def _weights() -> dict[str, Any]:
    import torch

    generator = torch.Generator().manual_seed(0)
    shapes = {
        "conv.weight": (4, 3, 3, 3),
        "norm.weight": (4,),
        "fc.weight": (5, 8),
        "fc.bias": (5,),
    }
    return {
        name: torch.randn(*shape, generator=generator) for name, shape in shapes.items()
    }


def _arrays() -> dict[str, Any]:
    return {name: tensor.numpy() for name, tensor in _weights().items()}


def _network() -> Any:
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 5)
    )


def _training() -> dict[str, Any]:
    """Return what a training loop saves: weights, optimiser, options, NumPy scalars."""
    import torch

    network = _network()
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(2, 6)).sum().backward()
    optimizer.step()
    options = argparse.Namespace(
        lr=1e-3, model="mlp", classes=["a", "b", "c", "d", "e"]
    )
    state = {
        "state_dict": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "args": options,
    }
    return state | {
        "epoch": 3,
        "best_acc": np.float64(0.5),
        "state_dict_ema": network.state_dict(),
    }


def _zip(folder: Path) -> None:
    import torch

    torch.save(_training(), folder / "epoch_3.pt")


def _zip_views(folder: Path) -> None:
    """Write views of one flat storage, in types of 16 and 8 bits."""
    import torch

    flat = torch.arange(400, dtype=torch.float32)
    tree = {
        "body.weight": flat[:80].view(8, 10).t(),
        "fc.weight": flat[100:160].view(6, 10),
        "fc.bias": flat[90:96],
    }
    halves = {
        f"half.{name}": tensor.to(torch.bfloat16) for name, tensor in tree.items()
    }
    torch.save(
        {"model": tree, "ema": halves, "small": flat.to(torch.float8_e5m2)},
        folder / "views.pt",
    )


def _legacy(folder: Path) -> None:
    import torch

    torch.save(
        _training(), folder / "epoch_3.pth", _use_new_zipfile_serialization=False
    )


def _legacy_weights(folder: Path) -> None:
    import torch

    torch.save(_weights(), folder / "weights.pth", _use_new_zipfile_serialization=False)


def _module(folder: Path) -> None:
    import torch

    torch.save({"epoch": 2, "model": _network()}, folder / "model.pt")


def _safetensors(folder: Path) -> None:
    from safetensors.torch import save_file

    save_file(
        _weights(), folder / "model.safetensors", metadata={"epoch": "3", "loss": "0.5"}
    )


def _sharded(folder: Path) -> None:
    from safetensors.torch import save_file

    names = {}
    for number, (name, tensor) in enumerate(_weights().items(), 1):
        names[name] = f"model-{number:05}-of-00004.safetensors"
        save_file({name: tensor}, folder / names[name])
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": names})
    )


def _torch_sharded(folder: Path) -> None:
    """Write the shards of transformers before 5."""
    import torch

    names = {}
    for number, (name, tensor) in enumerate(_weights().items(), 1):
        names[name] = f"pytorch_model-{number:05}-of-00004.bin"
        torch.save({name: tensor}, folder / names[name])
    (folder / "pytorch_model.bin.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": names})
    )


def _step_folder(folder: Path) -> None:
    """Write a Hugging Face step: the model, its config, and the trainer's state."""
    _safetensors(folder)
    (folder / "config.json").write_text(
        json.dumps({"id2label": {str(n): f"class {n}" for n in range(5)}})
    )
    log = [
        {"epoch": 1.0, "loss": 1.5, "step": 5},
        {"epoch": 2.0, "loss": 1.0, "step": 10},
    ]
    (folder / "trainer_state.json").write_text(
        json.dumps({"epoch": 2.0, "global_step": 10, "log_history": log})
    )


def _pickled_arrays(folder: Path) -> None:
    (folder / "weights.pkl").write_bytes(
        pickle.dumps({"epoch": 3, "state": _arrays()}, 2)
    )


def _pickled_arrays_framed(folder: Path) -> None:
    (folder / "weights.pkl").write_bytes(
        pickle.dumps({"epoch": 3, "state": _arrays()}, 4)
    )


def _pickled_tensors(folder: Path) -> None:
    (folder / "weights.pkl").write_bytes(pickle.dumps(_weights(), 4))


def _npz(folder: Path) -> None:
    np.savez(folder / "weights.npz", **_arrays())


def _npz_deflated(folder: Path) -> None:
    np.savez_compressed(folder / "weights.npz", epoch=3, **_arrays())


def _hdf5(folder: Path) -> None:
    import h5py

    with h5py.File(folder / "weights.h5", "w") as file:
        for name, array in _arrays().items():
            file[name.replace(".", "/")] = array.T
        file.create_dataset(
            "packed",
            data=np.zeros((64, 64), "f4"),
            chunks=(16, 16),
            compression="gzip",
            shuffle=True,
        )
        file.attrs["layer_names"] = [b"conv", b"fc"]


def _keras(folder: Path) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    layers = [keras.layers.Input((6,)), keras.layers.Dense(8), keras.layers.Dense(5)]
    keras.Sequential(layers).save(folder / "model.keras")


def _onnx(folder: Path) -> None:
    import onnx

    made = onnx.helper
    tensors = [
        onnx.numpy_helper.from_array(array, name) for name, array in _arrays().items()
    ]
    floats = onnx.TensorProto.FLOAT
    node = made.make_node("Gemm", ["x", "fc.weight", "fc.bias"], ["y"], transB=1)
    inputs, outputs = (
        [made.make_tensor_value_info(name, floats, [1, size])]
        for name, size in (("x", 8), ("y", 5))
    )
    onnx.save(
        made.make_model(made.make_graph([node], "net", inputs, outputs, tensors)),
        folder / "model.onnx",
    )


def _msgpack(folder: Path) -> None:
    from flax import serialization

    tree = {
        "params": {
            "Dense_0": {
                "kernel": _arrays()["fc.weight"].T,
                "bias": _arrays()["fc.bias"],
            }
        },
        "step": 10,
    }
    (folder / "checkpoint_10.msgpack").write_bytes(
        serialization.msgpack_serialize(tree)
    )


def _torchscript(folder: Path) -> None:
    import torch

    torch.jit.trace(_network(), torch.ones(1, 6)).save(str(folder / "model.pt"))


def _pt2(folder: Path) -> None:
    import torch

    torch.export.save(
        torch.export.export(_network(), (torch.ones(1, 6),)), folder / "model.pt2"
    )


def _distributed(folder: Path) -> None:
    import torch.distributed.checkpoint as dcp

    dcp.save({"model": _weights(), "epoch": 3}, checkpoint_id=folder, no_dist=True)


def write_zero3(
    folder: Path, weights: dict[str, Any], ranks: int = 2, groups: int = 1
) -> None:
    """Write ZeRO-3's files as DeepSpeed lays them out: each rank an equal share of
    every parameter, in flat groups.

    DeepSpeed itself is not used, since its installation needs a compiler.
    """
    import torch

    shares: list[list[Any]] = [[] for _ in range(ranks)]
    for tensor in weights.values():
        size = -(-tensor.numel() // ranks)
        padded = torch.zeros(size * ranks)
        padded[: tensor.numel()] = tensor.reshape(-1)
        for rank in range(ranks):
            shares[rank].append(padded[rank * size : (rank + 1) * size])
    for rank in range(ranks):
        model = {
            "module": {name: torch.empty(0) for name in weights},
            "param_shapes": [{name: tensor.shape for name, tensor in weights.items()}],
            "ds_version": "0.19.8",
            "global_steps": 12,
            "epoch": 2,
        }
        torch.save(model, folder / f"zero_pp_rank_{rank}_mp_rank_00_model_states.pt")
        flat = torch.cat(shares[rank])
        optimizer = {
            "fp32_flat_groups": list(flat.chunk(groups)),
            "partition_count": ranks,
            "zero_stage": 3,
        }
        torch.save(
            {"optimizer_state_dict": optimizer},
            folder / f"zero_pp_rank_{rank}_mp_rank_00_optim_states.pt",
        )


def _deepspeed(folder: Path) -> None:
    write_zero3(folder, _weights())


def _orbax(folder: Path) -> None:
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(
            folder / "1",
            {"params": {"kernel": _arrays()["fc.weight"].T}, "step": np.int64(1)},
        )


MAKERS = (
    Maker("torch-zip", "training", _zip),
    Maker("torch-zip", "views", _zip_views),
    Maker("torch-zip", "module", _module),
    Maker("torch-legacy", "training", _legacy),
    Maker("torch-legacy", "weights", _legacy_weights),
    Maker("safetensors", "single", _safetensors),
    Maker("safetensors-sharded", "sharded", _sharded),
    Maker("torch-sharded", "sharded", _torch_sharded),
    Maker("step-folder", "checkpoint-10", _step_folder),
    Maker("pickle", "arrays-2", _pickled_arrays),
    Maker("pickle", "arrays-4", _pickled_arrays_framed),
    Maker("pickle", "tensors", _pickled_tensors),
    Maker("npz", "stored", _npz),
    Maker("npz", "deflated", _npz_deflated),
    Maker("hdf5", "weights", _hdf5),
    Maker("keras", "model", _keras),
    Maker("onnx", "model", _onnx),
    Maker("msgpack", "flax", _msgpack),
    Maker("torchscript", "traced", _torchscript),
    Maker("torch-export", "exported", _pt2),
    Maker("torch-distributed", "step-3", _distributed),
    Maker("deepspeed", "zero-3", _deepspeed),
    Maker("orbax", "step", _orbax),
)


def make_all(folder: Path) -> list[str]:
    """Write the makers' files to ``folder/FORMAT/NAME/``; return a line for each that
    was not made.
    """
    lines = []
    for maker in MAKERS:
        place = folder / maker.format / maker.name
        place.mkdir(parents=True)
        try:
            maker.make(place)
        except Exception as error:  # noqa: BLE001 - whatever a library has against it, the others are made
            lines.append(
                f"no {maker.format} seed {maker.name!r}: {type(error).__name__}:"
                f" {str(error).partition(chr(10))[0][:200]}"
            )
    return lines


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print("\n".join(make_all(Path(sys.argv[1]))))
