"""Label files of all kinds: those that `dsi_cli.labels.files` reads as text, and
pickled label encoders.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dsi_cli.checkpoints.folders import LABEL_ENCODER
from dsi_cli.checkpoints.formats import plain_pickle
from dsi_cli.errors import UnreadableError, UsageError
from dsi_cli.labels import files, numbering
from dsi_cli.labels.index_maps import read_names
from dsi_cli.labels.label_list import LabelList
from dsi_cli.labels.presets import recognise
from dsi_cli.remote.locations import Place

PICKLE_SUFFIXES = (".pkl", ".pickle")
EXPECTED_CONTENT = "a pickled LabelEncoder of scikit-learn, list of names or index map"


def read_labels_option(option: str) -> LabelList:
    """Return the labels of a file or a preset, which the user named in an option; raise
    the errors of `files.read`.
    """
    if Path(option).suffix.lower() in PICKLE_SUFFIXES:
        return _read_label_encoder(Path(option))
    return files.read_labels_or_preset(option)


def read_label_file(path: Place) -> LabelList:
    """Return the labels of a file; raise the errors of `files.read_labels`."""
    return (
        _read_label_encoder(path)
        if path.suffix.lower() in PICKLE_SUFFIXES
        else files.read_labels(path)
    )


def find_label_files(folder: Place) -> Iterator[Place]:
    """Yield the label files in a folder in the order of their importance, and the label
    encoder.
    """
    yield from files.find_label_files(folder)
    encoder = folder / LABEL_ENCODER
    if encoder.is_file():
        yield encoder


def _read_label_encoder(path: Place) -> LabelList:
    data = files.read_bytes(path, EXPECTED_CONTENT)
    try:
        labels = read_names(plain_pickle.read_class_names(data))
    except (UnreadableError, ValueError) as error:
        reason = str(error).removeprefix("found ")
        message = f"{path}: expected {EXPECTED_CONTENT}, found {reason}"
        raise UsageError(
            message,
            hint="write the names into a text file",
            code="invalid-label-encoder",
            path=str(path),
        ) from None
    source = path.name + numbering.numbering_note(labels.first, len(labels.names))
    return replace(recognise(labels.names, source, labels.wnids), path=str(path))
