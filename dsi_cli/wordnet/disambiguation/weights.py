"""The weights of the features that choose a sense: one for labels alone, and one for labels within a list.

The weights for nouns are fitted by ``python -m benchmarks.sense_weights``, which prints this table. For lack of verb lists to
fit on, verbs use the weights of nouns except for a few that were set by hand. `dsi_cli.wordnet.disambiguation.features`
defines the features; ``docs/senses.md`` gives the accuracy on labels that the weights were not fitted on.
"""

from __future__ import annotations

NOUN_WEIGHTS: dict[str, tuple[float, float]] = {
    "rank": (-0.09, -0.06),
    "share": (0.46, 0.42),
    "instance": (-0.70, -0.50),
    "own name": (1.95, 1.86),
    "words": (-0.31, -0.30),
    "size": (0.19, 0.36),
    "leaf": (-0.77, -0.51),
    "depth": (1.44, 0.23),
    "parts": (0.18, 0.41),
    "derived": (0.43, 0.37),
    "plural": (-1.19, -0.94),
    "names": (3.35, 2.86),
    "context": (2.19, 1.82),
    "context in gloss": (0.85, 0.83),
    "labels in gloss": (0.13, 0.03),
    "animal": (2.33, 0.52),
    "artifact": (2.35, -0.14),
    "body": (-2.04, -0.50),
    "food": (1.75, 0.48),
    "place": (-0.57, -0.11),
    "object": (0.03, 0.00),
    "person": (-0.81, -0.08),
    "plant": (-0.55, -0.11),
    "substance": (-0.85, -0.14),
    "abstract": (-1.60, -0.05),
    "near 0.5": (0.00, -0.38),
    "near 8": (0.00, 0.63),
    "near tenth": (0.00, 0.54),
    "can share": (0.00, 0.24),
    "same kind": (0.00, 0.45),
    "same synset": (0.00, -3.03),
    "above others": (0.00, -2.91),
    "below others": (0.00, -2.59),
}

VERB_WEIGHTS: dict[str, tuple[float, float]] = NOUN_WEIGHTS | {
    "rank": (0.8, 0.8),
    "share": (0.8, 0.8),
    "own name": (0.6, 0.6),
    "words": (0.0, 0.0),
    "size": (0.1, 0.1),
    "leaf": (0.0, 0.0),
    "depth": (0.0, 0.0),
    "derived": (0.2, 0.2),
    "abstract": (-1.0, -1.0),
    "near 0.5": (0.0, 0.0),
    "near 8": (0.0, 0.3),
    "near tenth": (0.0, 0.3),
    "can share": (0.0, 0.0),
    "same synset": (0.0, -0.5),
    "above others": (0.0, 0.0),
    "below others": (0.0, 0.0),
}
"""For verbs, the first sense counts more and the shape of the taxonomy less: lists of actions have *jump* and *high jump*."""
