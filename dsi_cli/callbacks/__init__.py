"""Curves during a training: SAI, WSI and, with validation data, NIDM and WIDM for each
epoch.

- ``tracker``: `Tracker` computes a dict of floats from a model or a weight; a custom
  training loop needs nothing else
- ``lightning``: `LightningCallback`, based on the tracker
- ``huggingface``: `HuggingFaceCallback`, based on the tracker
- ``keras``: `KerasCallback`, based on the tracker
- ``counting``: computes confusion counts from validation data without disturbing the
  training

The classes are imported on first use. Invalid input (no classifier, a wrong number of
labels) raises an error before the first epoch. A later failure causes one warning and
never ends a training.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsi_cli.callbacks.huggingface import HuggingFaceCallback
    from dsi_cli.callbacks.keras import KerasCallback
    from dsi_cli.callbacks.lightning import LightningCallback
    from dsi_cli.callbacks.tracker import Tracker

_MODULES = {
    "Tracker": "dsi_cli.callbacks.tracker",
    "LightningCallback": "dsi_cli.callbacks.lightning",
    "HuggingFaceCallback": "dsi_cli.callbacks.huggingface",
    "KerasCallback": "dsi_cli.callbacks.keras",
}

__all__ = ["HuggingFaceCallback", "KerasCallback", "LightningCallback", "Tracker"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
