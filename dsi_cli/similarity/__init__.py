"""The class similarity matrices (CSMs), computed from arrays.

``weights``    the NCSM, from the classifier's weights
``confusion``  the CCSM, from the mistakes on a split
``templates``  the TNCSM, from the mean features of a split

A CSM is a ``(C, C)`` float32 array of raw values, which are not scaled. NaN marks classes that the matrix lacks. The rows of an
NCSM can also be computed on demand (`dsi_cli.similarity.weights.Cosines`).
"""

from __future__ import annotations

MAX_DENSE_CLASSES = 4096
"""The maximum number of classes for which a whole matrix is stored, or computed by default."""
