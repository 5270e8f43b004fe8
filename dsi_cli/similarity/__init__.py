"""The class similarity matrices (CSMs), from arrays alone.

``weights``    the NCSM: from the classifier's weights
``confusion``  the CCSM: from the mistakes on a split
``templates``  the TNCSM: from the mean features of a split

A CSM is ``(C, C)``, stored as float32, raw (nothing scaled); NaN marks a class that the matrix does not have. The rows of an NCSM
can also be made on demand (`dsi_cli.similarity.weights.Cosines`).
"""

from __future__ import annotations

MAX_DENSE_CLASSES = 4096
"""The most classes of which a whole matrix is stored, or made without being asked for."""
