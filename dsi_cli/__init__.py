"""Deep Similarity Inspector: which classes a classifier treats as similar, epoch by
epoch, and whether WordNet agrees.

The Python API, whose names are loaded on first use::

    analyze            checkpoints -> tables in a folder; returns `Results`
    open_results       the `Results` of a folder: .curves, .checkpoints, .classes,
                       .csm(...), .sorted(...), .show_report()
    diff               two checkpoints or runs -> which classes moved, and which pairs
                       became more or less similar
    log_curves         the curves of a folder -> TensorBoard, Weights & Biases or MLflow
    read_head          one checkpoint -> its classifier's weight (classes, features),
                       without executing code
    wordnet_csm        labels -> WordNet's path similarity, a labelled float64 DataFrame
    weight_similarity  classifier weight -> NCSM, on plain arrays
    alignments, sai    two CSMs -> how similar they are, with the chance level
    mean_wsi, max_wsi, min_wsi  NCSM -> how similar its classes are
    confusion_similarity, idm   confusion counts -> CCSM; with a CSM: how similar
                                confused classes are
    reliability        confusion counts -> how much of the CCSM is more than noise
    head_geometry      classifier weight -> rank and neural collapse (NC2)
    template_similarity  sums of features by class -> TNCSM
    Evaluation         for `analyze`: predictions, or data and the model
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dsi_cli.version import __version__

if TYPE_CHECKING:
    from dsi_cli.analysis.options import Evaluation, Options
    from dsi_cli.api import (
        Results,
        analyze,
        diff,
        log_curves,
        open_results,
        open_run,
        read_head,
        wordnet_csm,
    )
    from dsi_cli.metrics.alignment import Alignment, alignments, sai
    from dsi_cli.metrics.head_geometry import head_geometry
    from dsi_cli.metrics.idm import idm
    from dsi_cli.metrics.split_half import reliability
    from dsi_cli.metrics.wsi import max_wsi, mean_wsi, min_wsi
    from dsi_cli.similarity import (
        centred_weight_similarity,
        confusion_similarity,
        mean_row_ratio,
        template_similarity,
        weight_similarity,
    )

_NAMES = {
    "dsi_cli.api": (
        "Results analyze diff log_curves open_results open_run read_head wordnet_csm"
    ),
    "dsi_cli.analysis.options": "Evaluation Options",
    "dsi_cli.metrics.alignment": "Alignment alignments sai",
    "dsi_cli.metrics.head_geometry": "head_geometry",
    "dsi_cli.metrics.idm": "idm",
    "dsi_cli.metrics.split_half": "reliability",
    "dsi_cli.metrics.wsi": "max_wsi mean_wsi min_wsi",
    "dsi_cli.similarity": (
        "centred_weight_similarity confusion_similarity mean_row_ratio"
        " template_similarity weight_similarity"
    ),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = [
    "Alignment",
    "Evaluation",
    "Options",
    "Results",
    "__version__",
    "alignments",
    "analyze",
    "centred_weight_similarity",
    "confusion_similarity",
    "diff",
    "head_geometry",
    "idm",
    "log_curves",
    "max_wsi",
    "mean_row_ratio",
    "mean_wsi",
    "min_wsi",
    "open_results",
    "open_run",
    "read_head",
    "reliability",
    "sai",
    "template_similarity",
    "weight_similarity",
    "wordnet_csm",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
