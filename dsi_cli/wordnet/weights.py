"""The weights of the choice of senses: for each kind of evidence one for labels alone and one for a list's.

What the names mean is said in `dsi_cli.wordnet.evidence`. Fitted by ``python -m benchmarks.sense_weights``, which prints
this table; ``docs/senses.md`` says how right they are on labels that they were not fitted on.
"""

from __future__ import annotations

WEIGHTS: dict[str, tuple[float, float]] = {
    "rank": (-0.10, -0.03),
    "share": (0.48, 0.42),
    "instance": (-0.51, -0.24),
    "own name": (1.95, 1.81),
    "words": (-0.28, -0.29),
    "size": (0.18, 0.34),
    "leaf": (-0.78, -0.54),
    "depth": (1.38, 0.16),
    "parts": (0.23, 0.44),
    "derived": (0.35, 0.26),
    "plural": (-0.87, -0.73),
    "names": (2.65, 2.24),
    "context": (1.83, 1.56),
    "context in gloss": (0.95, 0.87),
    "labels in gloss": (0.10, -0.01),
    "animal": (2.07, 0.37),
    "artifact": (2.04, -0.31),
    "body": (-1.53, -0.36),
    "food": (1.62, 0.55),
    "place": (-0.50, -0.09),
    "object": (-0.10, -0.08),
    "person": (-0.85, -0.08),
    "plant": (-0.51, 0.17),
    "substance": (-0.61, -0.11),
    "abstract": (-1.58, -0.15),
    "near 0.5": (0.00, -0.35),
    "near 8": (0.00, 0.60),
    "near tenth": (0.00, 0.55),
    "same kind": (0.00, 0.46),
    "same synset": (0.00, -2.38),
    "above others": (0.00, -2.53),
    "below others": (0.00, -1.75),
}
