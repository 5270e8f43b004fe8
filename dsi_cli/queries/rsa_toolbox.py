"""The matrices of a run as an object of rsatoolbox, for representational similarity
analysis (rsatoolbox.readthedocs.io).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dsi_cli.errors import UsageError
from dsi_cli.queries.matrices import epoch_matrix, matrix_frames, reference_matrix
from dsi_cli.queries.run_classes import class_rows
from dsi_cli.store.results import Results


def to_rsatoolbox(results: Results, run: str | None, kind: str | None) -> Any:
    """Return the matrices of a run as RDMs; `Results.to_rsatoolbox` describes the
    parameters.
    """
    try:
        from rsatoolbox.rdm import RDMs  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise UsageError(
            "rsatoolbox is not installed",
            hint="pip install 'dsi-cli[rsa]'",
            code="missing-package",
            package="rsatoolbox",
        ) from None
    name = results.run_name(run)
    if kind == "scsm":
        reference = reference_matrix(results, name)
        csms, epochs = ([] if reference is None else [reference]), [-1]
    else:
        frames = matrix_frames(results, name, kind)
        epochs = [] if frames is None else list(frames.epochs)
        csms = [
            epoch_matrix(results, frames, epoch)
            for epoch in epochs
            if frames is not None
        ]
    if not csms:
        message = f"{name} has no matrix of the kind {kind or 'ncsm'}"
        raise UsageError(message, code="no-matrix", run=name)
    dissimilarities = 1.0 - np.array(csms, dtype=np.float64)
    dissimilarities = (dissimilarities + dissimilarities.transpose(0, 2, 1)) / 2
    for one in dissimilarities:
        np.fill_diagonal(one, 0.0)
    classes = class_rows(results, name)
    patterns = {
        column: classes[column].astype(object).tolist() for column in ("name", "wnid")
    }
    return RDMs(
        dissimilarities,
        dissimilarity_measure="1 - similarity",
        descriptors={"run": name, "kind": kind or "ncsm"},
        rdm_descriptors={"epoch": epochs},
        pattern_descriptors=patterns,
    )
