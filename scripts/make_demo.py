"""Make the demo runs out of full training runs: python scripts/make_demo.py RUNS.

RUNS holds the folders ``cifar100-cnn`` and ``cifar100-vit`` with ``epoch_NNN.pt``,
``log.csv``, ``classes.txt``, ``preds.npy`` and ``targets.npy``. Of each checkpoint the
classifier's weight is kept, in float32 as it is stored.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from dsi_cli import read_head

RUNS = ("cifar100-cnn", "cifar100-vit")
KEPT = ("log.csv", "classes.txt")
HEADS = {"cifar100-cnn": "fc.weight", "cifar100-vit": "head.weight"}


def main(source: Path, target: Path) -> None:
    """Write the demo runs under ``target``."""
    for run in RUNS:
        folder = target / run
        folder.mkdir(parents=True, exist_ok=True)
        for checkpoint in sorted((source / run).glob("epoch_*.pt")):
            epoch = int(checkpoint.stem.removeprefix("epoch_"))
            weight = read_head(checkpoint)
            save_file(
                {HEADS[run]: weight},
                folder / f"epoch_{epoch:03}.safetensors",
                metadata={"epoch": str(epoch)},
            )
        for name in KEPT:
            shutil.copyfile(source / run / name, folder / name)
        for name in ("preds.npy", "targets.npy"):
            values = np.load(source / run / name, allow_pickle=False)
            np.save(folder / name, values.astype(np.uint8), allow_pickle=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).resolve().parents[1] / "dsi_cli/demo/runs")
