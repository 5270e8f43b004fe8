"""Find rows of a head that are not classes, but the background or "no object".

The evidence is a number of classes in a config or in the metadata. A label list that the user gave counts only if the head's
name is that of a detector. For other heads, a list that is one label short is probably a mistake. torchvision's R-CNNs store the
background first. DETR and its relatives, Detectron2 and MMDetection store it, or "no object", last.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

_RCNN = re.compile(r"roi_heads\.box_predictor\.cls_score\.")
"""The name of the head in torchvision and Detectron2, where it always has a row for the background."""
DETECTOR = re.compile(r"class_labels_classifier|class_predictor|class_embed|fc_cls|cls_score|box_predictor")


class BackgroundRows(NamedTuple):
    """The rows of a head that are not classes."""

    number: int
    """0 or 1."""
    is_first: bool
    """True if the row is the first one, False if it is the last one."""


def background_rows(
    name: str, rows: int, names: Collection[str], stated_classes: int | None, labels: int | None
) -> BackgroundRows:
    """Return the rows of a head that are not classes.

    Parameters
    ----------
    name : the name of the head's weight
    rows : the number of rows of the head
    names : the names of all tensors of the model
    stated_classes : the number of classes in the checkpoint's metadata, if it is stated
    labels : the number of labels that the user gave
    """
    is_rcnn = _RCNN.search(name) is not None
    is_torchvision = is_rcnn and not any("proposal_generator." in tensor_name for tensor_name in names)
    if stated_classes is not None:
        has_background = rows == stated_classes + 1
    else:
        has_background = is_rcnn or (DETECTOR.search(name) is not None and labels is not None and rows == labels + 1)
    return BackgroundRows(int(has_background), is_torchvision)
