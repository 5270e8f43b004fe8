"""The evidence of a model's graph, in files that have one (ONNX, Keras): which layers compute the outputs of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dsi_cli.checkpoints.candidates import NO_OUTPUT, SINGLE_ROW, UNCLEAR_SIDE, CandidateReason, HeadCandidate

_COMPUTES = "computes an output of the model, as its graph says"
_DOES_NOT = CandidateReason(NO_OUTPUT, "computes no output of the model, as its graph says")


def add_graph_evidence(candidates: Sequence[HeadCandidate], outputs: Sequence[str] | None) -> list[HeadCandidate]:
    """Return the candidates with the evidence of the graph, those that compute an output first.

    A layer that computes no output is hidden. If a single candidate computes an output, the graph overrules what its place and name
    suggest. The result is that of `dsi_cli.checkpoints.candidates.rank_candidates` if no candidate computes an output.

    Parameters
    ----------
    candidates : of one model
    outputs : the names of the weights that compute outputs; None if the file does not tell
    """
    chosen = [one for one in candidates if one.layer.name in (outputs or ())]
    if not chosen:
        return list(candidates)
    others = [replace(one, hidden=(*one.hidden, _DOES_NOT)) for one in candidates if one not in chosen]
    if len(chosen) > 1:
        return [*chosen, *others]
    doubts = tuple(one for one in chosen[0].doubts if one.kind in (SINGLE_ROW, UNCLEAR_SIDE))
    sure = replace(chosen[0], hidden=(), doubts=doubts, support=(*chosen[0].support, _COMPUTES))
    return [sure, *others]
