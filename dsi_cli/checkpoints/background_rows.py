"""Rows of a head that are no class, but the background or "no object": how many there are, and at which end.

A number of classes in a config or in the metadata is evidence for such a row. A label list that the user gave is evidence only if
the head's name is that of a detector, since elsewhere a list that is one short is a mistake. The R-CNNs of torchvision have the
background first; DETR and its relatives, Detectron2 and MMDetection have it, or "no object", last.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

_RCNN = re.compile(r"roi_heads\.box_predictor\.cls_score\.")
"""torchvision's and Detectron2's name for it: either always has a row for the background."""
DETECTOR = re.compile(r"class_labels_classifier|class_predictor|class_embed|fc_cls|cls_score|box_predictor")


class BackgroundRows(NamedTuple):
    """Rows that are no class: 0 or 1, and whether it is the first row."""

    number: int
    is_first: bool


def background_rows(name: str, rows: int, names: Collection[str], told: int | None, labels: int | None) -> BackgroundRows:
    """Return the rows of a head that are no class.

    Parameters
    ----------
    name : the head's
    rows : of the head
    names : of all the model's tensors
    told : the number of classes that the checkpoint, or a file beside it, states
    labels : the number of labels that a person gave
    """
    is_rcnn = _RCNN.search(name) is not None
    is_torchvision = is_rcnn and not any("proposal_generator." in one for one in names)
    if told is not None:
        count = int(rows == told + 1)
    else:
        count = int(is_rcnn or (DETECTOR.search(name) is not None and labels is not None and rows == labels + 1))
    return BackgroundRows(count, is_torchvision)
