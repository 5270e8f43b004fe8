"""The files that are measured, made once and kept for later runs where a scratch folder
is given.

``python -m benchmarks.scratch FOLDER full|quick`` makes the large checkpoint in a
separate process, so that its memory is not the measuring one's.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import timing


class Setup(NamedTuple):
    """The options of a run of the benchmarks."""

    folder: Path
    """For files that are measured and outputs that are thrown away."""
    nltk_data: Path | None
    quick: bool
    """Tiny files and few rounds: a test that everything runs, not a measurement."""
    shared: Path | None = None
    """The folder of data outside the repository, if ``DSI_SHARED`` names it."""

    def rounds(self, full: int) -> int:
        """Return how often a measurement is repeated."""
        return 1 if self.quick else full


class Large(NamedTuple):
    """One checkpoint with Adam's state in three containers."""

    zip: Path
    legacy: Path
    safetensors: Path


def large(setup: Setup) -> Large:
    """Return the large checkpoint; made if it is not there."""
    size = "quick" if setup.quick else "full"
    found = Large(
        *(
            setup.folder / f"{size}.{suffix}"
            for suffix in ("pth", "legacy.pth", "safetensors")
        )
    )
    if not all(path.exists() for path in found):
        timing.run(
            [sys.executable, "-m", "benchmarks.scratch", str(setup.folder), size]
        )
    return found


def small_run(
    folder: Path, checkpoints: int, classes: int = 10, width: int = 64
) -> Path:
    """Return a folder with a run of small safetensors checkpoints whose heads drift
    from one epoch to the next.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    head = rng.normal(size=(classes, width)).astype("<f4")
    for epoch in range(checkpoints):
        head = (head + 0.1 * rng.normal(size=head.shape)).astype("<f4")
        entry = {
            "dtype": "F32",
            "shape": list(head.shape),
            "data_offsets": [0, head.nbytes],
        }
        header = json.dumps(
            {"__metadata__": {"epoch": str(epoch)}, "fc.weight": entry}
        ).encode()
        (folder / f"epoch_{epoch:03}.safetensors").write_bytes(
            struct.pack("<Q", len(header)) + header + head.tobytes()
        )
    return folder


def _make(folder: Path, size: str) -> None:
    """Write one model with Adam's state after a step in three containers."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = _vit() if size == "full" else _tiny()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    state, adam = model.state_dict(), optimizer.state_dict()
    checkpoint = {
        "epoch": 5,
        "arch": "vit_base_patch16_224",
        "state_dict": state,
        "optimizer": adam,
    }
    names = [name for name, _ in model.named_parameters()]
    flat = dict(state)
    for index, moments in adam["state"].items():
        flat |= {
            f"optimizer.{names[index]}.{kind}": moments[kind]
            for kind in ("exp_avg", "exp_avg_sq")
        }
    torch.save(checkpoint, folder / f"{size}.pth")
    torch.save(
        checkpoint, folder / f"{size}.legacy.pth", _use_new_zipfile_serialization=False
    )
    save_file(flat, folder / f"{size}.safetensors")


def _vit() -> Any:
    try:
        import timm
    except ImportError:
        from torchvision.models import vit_b_16

        model = vit_b_16()
        model.head = model.heads.head
        del model.heads
        return model
    return timm.create_model("vit_base_patch16_224", num_classes=1000)


def _tiny() -> Any:
    import torch

    model = torch.nn.Sequential()
    model.add_module("body", torch.nn.Linear(64, 32))
    model.add_module("head", torch.nn.Linear(32, 10))
    return model


if __name__ == "__main__":
    _make(Path(sys.argv[1]), sys.argv[2])
