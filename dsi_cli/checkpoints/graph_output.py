"""Use a model's graph, in files that have one (ONNX, Keras), to find the layers that compute the outputs of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dsi_cli.checkpoints.candidates import NO_OUTPUT, SINGLE_ROW, UNCLEAR_SIDE, CandidateReason, HeadCandidate

_COMPUTES_OUTPUT = "computes an output of the model, as its graph says"
_NO_OUTPUT = CandidateReason(NO_OUTPUT, "computes no output of the model, as its graph says")


def add_graph_evidence(candidates: Sequence[HeadCandidate], outputs: Sequence[str] | None) -> list[HeadCandidate]:
    """Return the candidates with the evidence of the graph; candidates that compute an output come first.

    A layer that computes no output is hidden. If a single candidate computes an output, the graph overrules the evidence of its
    position and name. The candidates are unchanged if none of them computes an output.

    Parameters
    ----------
    candidates : the candidates of one model, as ranked by `dsi_cli.checkpoints.candidates.rank_candidates`
    outputs : the names of the weights that compute outputs; None if the file has no graph
    """
    chosen = [candidate for candidate in candidates if candidate.layer.name in (outputs or ())]
    if not chosen:
        return list(candidates)
    others = [
        replace(candidate, hidden=(*candidate.hidden, _NO_OUTPUT)) for candidate in candidates if candidate not in chosen
    ]
    if len(chosen) == 1:
        doubts = tuple(doubt for doubt in chosen[0].doubts if doubt.kind in (SINGLE_ROW, UNCLEAR_SIDE))
        chosen = [replace(chosen[0], hidden=(), doubts=doubts, support=(*chosen[0].support, _COMPUTES_OUTPUT))]
    return [*chosen, *others]
