"""Two real training runs on CIFAR-100, shipped with the package: a small CNN and a tiny
ViT, 31 checkpoints each.

Only what an analysis needs: the classifiers' weights (safetensors), the training logs,
the class names, and the test set's predictions and targets. ``scripts/make_demo.py``
made them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path


@contextmanager
def runs_folder() -> Iterator[Path]:
    """Yield the folder that holds the two runs; unpacked for the time where the package
    is a zip file.
    """
    with as_file(files("dsi_cli.demo") / "runs") as folder:
        yield folder
