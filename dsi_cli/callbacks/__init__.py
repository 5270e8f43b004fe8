"""The curves while training still runs: SAI, WSI and, with validation data, NIDM and WIDM, an epoch at a time.

``tracker``      `Tracker`: a model or a weight -> a dict of floats; all that a loop of one's own needs
``lightning``    `LightningCallback`, over the tracker
``huggingface``  `HuggingFaceCallback`, over the tracker
``live``         a live model's weights as the reader of checkpoints sees a file
``counting``     a pass over validation data -> confusion counts, training undisturbed

Names are loaded on first use. What cannot be right (no classifier, another number of labels) is raised before the first
epoch; what fails later is warned of once, and never ends a training.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsi_cli.callbacks.huggingface import HuggingFaceCallback
    from dsi_cli.callbacks.lightning import LightningCallback
    from dsi_cli.callbacks.tracker import Tracker

_HOMES = {
    "Tracker": "dsi_cli.callbacks.tracker",
    "LightningCallback": "dsi_cli.callbacks.lightning",
    "HuggingFaceCallback": "dsi_cli.callbacks.huggingface",
}

__all__ = ["HuggingFaceCallback", "LightningCallback", "Tracker"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
