"""Label files of all kinds: those that `dsi_cli.labels.files` reads as text, and pickled label encoders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dsi_cli.checkpoints import encoders
from dsi_cli.checkpoints.discovery import LABEL_ENCODER
from dsi_cli.errors import UnreadableError, UsageError
from dsi_cli.labels import files, numbering
from dsi_cli.labels.index_maps import read_names
from dsi_cli.labels.label_list import LabelList
from dsi_cli.labels.presets import recognise
from dsi_cli.remote.locations import Place

PICKLES = (".pkl", ".pickle")
EXPECTED = "a pickled LabelEncoder of scikit-learn, list of names or index map"


def read(spec: str) -> LabelList:
    """Return the labels that an option names: those of a file, or a preset; parameters and errors as `files.read`."""
    return _pickled(Path(spec)) if Path(spec).suffix.lower() in PICKLES else files.read_labels_or_preset(spec)


def read_labels(path: Place) -> LabelList:
    """Return the labels of a file; errors as `files.read_labels`."""
    return _pickled(path) if path.suffix.lower() in PICKLES else files.read_labels(path)


def find_beside(folder: Place) -> Place | None:
    """Return the label file in a folder, as `files.find_beside`, else the label encoder in it; None where there is none."""
    encoder = folder / LABEL_ENCODER
    return files.find_label_file(folder) or (encoder if encoder.is_file() else None)


def _pickled(path: Place) -> LabelList:
    data = files.read_bytes(path, EXPECTED)
    try:
        found = read_names(encoders.read_class_names(data))
    except (UnreadableError, ValueError) as error:
        reason = str(error).removeprefix("found ")
        raise UsageError(f"{path}: expected {EXPECTED}, found {reason}; write the names into a text file") from None
    source = path.name + numbering.numbering_note(found.first, len(found.names))
    return replace(recognise(found.names, source, found.wnids), path=str(path))
