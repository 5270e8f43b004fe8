"""Describe one checkpoint as a record, and read the weight of its classifier head, or
all weights of its model.

Any error in a file becomes a record with a reason, so that no file can end the
analysis.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints import (
    epochs,
    head_weight,
    layers,
    trainers,
    training_logs,
)
from dsi_cli.checkpoints.discovery import CheckpointFile, printable
from dsi_cli.checkpoints.file_access import read_json_or_none
from dsi_cli.checkpoints.formats import (
    WHOLE_FOLDERS,
    CheckpointContent,
    OpenFiles,
    open_content,
)
from dsi_cli.checkpoints.head_candidates import DETECTOR, HeadCandidate, rank_candidates
from dsi_cli.checkpoints.head_choice import choose_head, usable_state_dicts
from dsi_cli.checkpoints.head_names import confirms_classifier
from dsi_cli.checkpoints.records import FAILED, PENDING, SKIPPED, Record
from dsi_cli.checkpoints.tensors import Tensor, itemsize
from dsi_cli.checkpoints.trainers import NestedStateDict
from dsi_cli.errors import (
    BackboneError,
    CheckpointError,
    NoHeadError,
    PendingError,
    UnreadableError,
    listed,
)
from dsi_cli.remote.locations import Place

_log = logging.getLogger(__name__)

FRESH_SECONDS = 3600
"""An incomplete file is ``pending`` if it was modified within this time. Otherwise
nobody is writing it, and it is ``failed``.
"""
# the matrix of more classes has more values than a Parquet list column can count
MAX_CLASSES = 46_340
MAX_NAME_LENGTH = 4096
"""The maximum number of characters in the head's name, which is stored in a table. No
network has longer names.
"""
# the maximum length of the reason why a checkpoint is not used
MAX_REASON_CHARACTERS = 4000
_RCNN = re.compile(r"roi_heads\.box_predictor\.cls_score\.")
"""The name of the head in torchvision and Detectron2, where it always has a row for the
background.
"""
_OTHER_PART = re.compile(
    r"(?<![a-z])(backbone|decoder|embedder|embedding_model|encoder|projector|trunk)(?![a-z])",
    re.I,
)
"""Names of files that hold a part of a network without its head, as
pytorch-metric-learning saves them (``embedder_1.pth``).
"""
_MAX_EXTRA_BYTES, _MAX_FILE_MULTIPLE = 32 << 20, 3
"""The weights may have 32 MiB more than three times the size of the file, because tied
weights are stored once.
"""
HEADLESS = "no classifier, so the class templates of labelled data take its place"
NO_NETWORK = "the state of an optimiser, scheduler or criterion, without a network"
"""The reason of a file that is skipped because it holds no network; its code is
``no-network``.
"""
_FILE_ERRORS = (
    CheckpointError,
    RecursionError,
    MemoryError,
    OSError,
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
)
"""The errors that a damaged or hostile file may cause."""


@dataclass(frozen=True)
class HeadOptions:
    """The user's options for the classifier head."""

    head: str | None = None  # the name of the head's weight; None to find it
    ema: bool = False  # True for averaged weights instead of raw ones
    keep_extra: bool = False  # True to keep rows for no object or background

    @property
    def role(self) -> str:
        """The role of the wanted weights: ``raw`` or ``ema``."""
        return trainers.EMA if self.ema else trainers.RAW


@dataclass(frozen=True)
class ScanResult:
    """The record of a checkpoint, and its classifier's weight."""

    record: Record
    # ``(classes, features)``; None if the record is not ``ok``
    weight: NDArray[np.float32] | None = None
    # ``(classes,)``; None if the classifier has no bias, or if it is unknown
    bias: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class StateDict:
    """The weights of a model."""

    arrays: dict[str, NDArray[Any]]
    head: str | None  # the name of the classifier's weight, if it was found


def scan_checkpoint(
    file: CheckpointFile,
    options: HeadOptions = HeadOptions(),
    classes: int | None = None,
    *,
    may_lack_head: bool = False,
) -> ScanResult:
    """Return the record of one checkpoint and its classifier's weight.

    Parameters
    ----------
    file : the checkpoint.
    options : the user's options for the head.
    classes : the number of classes if labels state it; a matrix with another number of
        rows is not the head.
    may_lack_head : whether weights without a classifier are usable; the record then has
        neither head nor fingerprint.
    """
    record = _new_record(file)
    with OpenFiles() as files:
        try:
            content = open_content(file.path, files)
            record = replace(record, format=content.format)
            record = _describe(record, file, content.tree)
            try:
                result = _scan_head(record, file, content, options, classes)
            except BackboneError:
                if not may_lack_head:
                    raise
                record = replace(record, weights_used=options.role, reason=HEADLESS)
                result = ScanResult(record)
            for source in files.sources:
                source.require_unchanged()
        except _FILE_ERRORS as error:
            return ScanResult(_with_error(record, file, error))
    return result


def _new_record(file: CheckpointFile) -> Record:
    return Record(
        file.run,
        file.display_path,
        bytes=file.bytes,
        modified_ns=file.modified_ns,
    )


def _with_error(record: Record, file: CheckpointFile, error: BaseException) -> Record:
    # The name may state the epoch if the contents were not read.
    if record.trainer is None:
        record = _with_epoch(record, {}, file)
    status = FAILED
    if isinstance(error, CheckpointError):
        age = time.time() - record.modified_ns / 1e9
        if isinstance(error, PendingError) and age < FRESH_SECONDS:
            status = PENDING
        # A hostile file may have names of any length.
        reason = printable(str(error))[:MAX_REASON_CHARACTERS]
        code = error.code
    elif isinstance(error, RecursionError | MemoryError):
        reason = f"asks for too much ({type(error).__name__})"
        code = "too-much"
    else:
        _log.debug("%s could not be read", record.path, exc_info=error)
        reason = f"cannot be read ({type(error).__name__})"
        code = "unreadable"
    return replace(record, status=status, reason=reason, code=code)


def read_metadata(file: CheckpointFile) -> Any:
    """Return a checkpoint's metadata, such as class names, as plain data; None if it
    cannot be read.
    """
    try:
        with OpenFiles() as files:
            content = open_content(file.path, files)
            return [
                trainers.plain_data(content.tree),
                _sibling_json(file, "config.json"),
            ]
    except CheckpointError:
        return None


def explain_head_choice(
    file: CheckpointFile, options: HeadOptions, classes: int | None = None
) -> tuple[str, list[HeadCandidate]]:
    """Return a sentence with the chosen head or the reason against all candidates, and
    the candidates, the most plausible first.

    Raise `CheckpointError` if the file cannot be read, or holds no weights.
    """
    with OpenFiles() as files:
        content = open_content(file.path, files)
        stated = _stated_classes(file, content.tree)
        expected = classes if stated is None else stated
        groups = trainers.state_dicts(content.tree)
        candidates = rank_candidates(
            usable_state_dicts(groups, options.role), expected, content.outputs
        )
        try:
            chosen = choose_head(
                groups,
                options.role,
                options.head,
                expected,
                content.outputs,
                with_background=stated is not None,
            )
        except CheckpointError as error:
            return str(error), candidates
    return f"the head is {chosen.name} {chosen.tensor.shape}", candidates


def list_tensors(path: Place) -> list[tuple[str, Tensor, str]]:
    """Return the name, the description and the role (``raw`` or ``ema``) of each tensor
    in a file.

    Raise `CheckpointError` if the file cannot be read.
    """
    with OpenFiles() as files:
        groups = trainers.state_dicts(open_content(path, files).tree)
        return [
            (name, tensor, group.role)
            for group in groups
            for name, tensor in group.tensors.items()
        ]


def _sibling_json(file: CheckpointFile, name: str) -> Any:
    """Return a JSON file next to the checkpoint as plain data; None if it is
    unusable.
    """
    return read_json_or_none(file.metadata_folder / name)


def _describe(record: Record, file: CheckpointFile, tree: Any) -> Record:
    """Return the record with trainer, epoch, step and logged values, which do not
    depend on the head.
    """
    trainer = trainers.trainer_of(tree)
    record = replace(
        record,
        trainer=trainer.name,
        counts_from=trainer.counts_from,
        scalars=training_logs.scalars_of(tree),
    )
    record = _with_epoch(record, tree, file)
    fold = trainers.as_dict(tree).get("fold")
    if type(fold) is int:
        record = replace(record, fold=f"fold{fold}")
    if file.step_folder is not None:
        record = _with_hugging_face_state(record, file, file.step_folder.name)
    is_plain = trainer.name == trainers.PLAIN and record.epoch == 0
    if is_plain and _is_before_training(trainers.as_dict(tree)):
        return replace(record, counts_from=1)
    return record


def _is_before_training(contents: dict[str, Any]) -> bool:
    """Return whether epoch 0 was written before training: its optimiser has no state,
    or its loss is null.
    """
    stored = contents.get("optimizer", contents.get("optimizer_state_dict"))
    optimizer = trainers.as_dict(stored)
    groups = optimizer.get("param_groups")
    if optimizer.get("state") == {} and isinstance(groups, list):
        # SGD without momentum never has a state, so its absence is not evidence.
        for group in groups:
            if isinstance(group, dict) and group.get("momentum", 1) != 0:
                return True
    metadata = trainers.as_dict(contents.get("__metadata__"))
    return any(
        contents.get(name, 0) is None or metadata.get(name) == "null"
        for name in ("train_loss", "loss")
    )


def _with_epoch(
    record: Record, tree: Any, file: CheckpointFile | None = None
) -> Record:
    """Return the record with epoch and step of its contents or of the file's name, or
    else of the revision's commit or name.
    """
    file_names = [""]
    if file is not None and file.moment is None:
        file_names = ["" if file.path.name in WHOLE_FOLDERS else file.path.name]
        if file.step_folder is not None:
            file_names.append(file.step_folder.name)
    epoch, source, step, _ = epochs.epoch_and_step(tree, file_names)
    if file is not None and file.moment is not None:
        step = file.moment.step if step is None else step
        if epoch is None and file.moment.source is not None:
            epoch, source = file.moment.epoch, file.moment.source
    return replace(record, epoch=epoch, epoch_source=source, step=step)


def _with_hugging_face_state(
    record: Record, file: CheckpointFile, folder_name: str
) -> Record:
    """Return the record with epoch and step from the metadata of a Hugging Face folder,
    if it is one.
    """
    if file.moment is None or file.moment.has_state:
        state = _sibling_json(file, "trainer_state.json")
    else:
        state = None
    if isinstance(state, dict):
        stated = _with_epoch(
            replace(record, trainer=trainers.HUGGING_FACE, counts_from=1), state
        )
        if stated.epoch is not None or file.moment is None:
            return stated
    # Before the Trainer has written its state, the number of the folder is the step.
    if _sibling_json(file, "config.json") is None:
        return record
    record = replace(record, trainer=trainers.HUGGING_FACE)
    step = re.fullmatch(r"checkpoint-(\d{1,12})", folder_name)
    if file.moment is None and step is not None:
        return replace(record, epoch=None, epoch_source=None, step=int(step[1]))
    return record


def _scan_head(
    record: Record,
    file: CheckpointFile,
    content: CheckpointContent,
    options: HeadOptions,
    classes: int | None,
) -> ScanResult:
    """Return the record with the head, and the head's weight."""
    stated = _stated_classes(file, content.tree)
    expected = classes if stated is None else stated
    groups = trainers.state_dicts(content.tree)
    if trainers.is_training_state(content.tree, groups, file.path.name):
        return ScanResult(
            replace(record, status=SKIPPED, reason=NO_NETWORK, code="no-network")
        )
    # Find the head and compute its effective weight.
    chosen = choose_head(
        groups,
        options.role,
        options.head,
        expected,
        content.outputs,
        with_background=stated is not None,
    )
    if options.head is None:
        _refuse_other_part(file, chosen)
    _require_short_name(chosen.name)
    rows = head_weight.head_rows(chosen)
    bias = head_weight.head_bias(chosen, len(rows))
    fingerprint = head_weight.fingerprint(chosen, rows)
    # Identify the network by the state dict of the head.
    tensors = _state_dict_of(chosen, groups)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    network = trainers.network_id(shapes)
    class_rows = _class_rows(chosen.name, len(rows), list(tensors), stated, classes)
    has_extra = class_rows != slice(None)
    if not options.keep_extra:
        rows = rows[class_rows]
        bias = None if bias is None else bias[class_rows]
    is_confirmed = (
        expected is not None or options.head is not None or confirms_classifier(chosen)
    )
    record = replace(
        record,
        head=printable(chosen.name),
        weights_used=chosen.role,
        dtype=chosen.tensor.dtype,
        classes=len(rows),
        features=rows.shape[1],
        extra_classes=int(has_extra),
        fingerprint=fingerprint,
        network=network,
        is_confirmed=is_confirmed,
        reason="; ".join(content.notes) or None,
    )
    problem = _problem_of(rows)
    if problem is None:
        return ScanResult(record, rows, bias)
    reason, code = problem
    return ScanResult(
        replace(record, status=FAILED, reason=reason, code=code), bias=bias
    )


def _require_short_name(name: str) -> None:
    """Raise `UnreadableError` if the name of a head is too long for a table."""
    if len(name) > MAX_NAME_LENGTH:
        raise UnreadableError(
            f"the name of the head has {len(name):,} characters, more than"
            f" {MAX_NAME_LENGTH:,}",
            code="long-head-name",
        )


def _problem_of(rows: NDArray[np.float32]) -> tuple[str, str] | None:
    """Return the reason why the rows of a head cannot be compared, and its code; None
    if they can.
    """
    if len(rows) > MAX_CLASSES:
        reason = f"{len(rows)} rows; dsi compares up to {MAX_CLASSES}"
        return reason, "too-many-classes"
    if len(rows) < 2:
        return "one row; similarity needs two classes or more", "one-class"
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        shown = listed([str(row) for row in bad], 5)
        reason = f"NaN or infinite weights in class {shown} of {len(rows)}"
        return reason, "not-finite"
    return None


def _refuse_other_part(file: CheckpointFile, chosen: layers.Layer) -> None:
    """Raise `BackboneError` if the name of a file says that it holds another part of
    the network.

    Names may mislead, so this counts only for a layer that was saved alone, and for
    SpeechBrain's ``embedding_model``.
    """
    part = _OTHER_PART.search(file.path.name)
    is_alone = not chosen.path and chosen.name in ("weight", "kernel")
    if part is not None and (is_alone or part[1].lower() == "embedding_model"):
        layer = f"{chosen.name} {chosen.tensor.shape}"
        message = (
            f"no classifier: {layer} is part of the {part[1]}, as the name of the file"
            " says;"
        )
        raise BackboneError(f"{message} if it is the head, add --head {chosen.name}")


def _class_rows(
    head_name: str,
    rows: int,
    names: Sequence[str],
    stated: int | None,
    labels: int | None,
) -> slice:
    """Return the rows of a head that are classes; one row may be the background or "no
    object".
    """
    # A label list counts only for a detector. For other heads, a list that is one label
    # short is probably a mistake.
    is_rcnn = _RCNN.search(head_name) is not None
    if stated is not None:
        has_background = rows == stated + 1
    else:
        has_background = is_rcnn or (
            DETECTOR.search(head_name) is not None
            and labels is not None
            and rows == labels + 1
        )
    if not has_background:
        return slice(None)
    # torchvision's R-CNNs store the background first. DETR and its relatives,
    # Detectron2 and MMDetection store it last.
    is_torchvision = is_rcnn and not any(
        "proposal_generator." in name for name in names
    )
    return slice(1, None) if is_torchvision else slice(-1)


def _stated_classes(file: CheckpointFile, tree: Any) -> int | None:
    """Return the number of classes in the checkpoint's metadata or in a Hugging Face
    config; None if it is not stated.
    """
    # MMEngine
    contents = trainers.as_dict(tree)
    dataset = trainers.as_dict(
        trainers.as_dict(contents.get("meta")).get("dataset_meta")
    )
    classes = dataset.get("classes", dataset.get("CLASSES"))
    if isinstance(classes, list | tuple) and len(classes) > 1:
        return len(classes)
    # Custom training loops
    for key in ("class_to_idx", "classes", "class_names"):
        names = contents.get(key)
        if (
            isinstance(names, dict | list | tuple)
            and len(names) > 1
            and all(isinstance(name, str) for name in names)
        ):
            return len(names)
    # Hugging Face and timm
    if file.step_folder is None:
        return None
    config = trainers.as_dict(_sibling_json(file, "config.json"))
    if trainers.as_dict(config.get("id2label")):
        return len(config["id2label"])
    number = config.get("num_labels", config.get("num_classes"))
    return number if type(number) is int and number > 1 else None


def require_file(path: Place) -> CheckpointFile:
    """Return one file as a checkpoint to scan, without looking for its run.

    Raise `UnreadableError` if the file does not exist (``no-such-file``).
    """
    try:
        status = path.stat()
    except OSError as error:
        raise UnreadableError(
            f"{path}: {error.strerror or error}", code="no-such-file", path=str(path)
        ) from None
    return CheckpointFile(
        path.parent.name, path.parent, path, None, status.st_size, status.st_mtime_ns
    )


def read_state_dict(
    file: CheckpointFile, options: HeadOptions, classes: int | None = None
) -> StateDict:
    """Return all weights of a checkpoint's model; parameters as for `scan_checkpoint`.

    They are the state dict in which the classifier was found, or the largest one if the
    file has no classifier. Raise `CheckpointError` if the file cannot be read, or holds
    no weights.
    """
    with OpenFiles() as files:
        content = open_content(file.path, files)
        tensors, head_name = _choose_state_dict(content, options, classes)
        # Refuse views of one storage that would take far more memory than the file.
        size = sum(
            prod(tensor.shape) * itemsize(tensor.dtype) for tensor in tensors.values()
        )
        file_size = max(file.bytes, sum(source.size for source in files.sources))
        if size > _MAX_EXTRA_BYTES + _MAX_FILE_MULTIPLE * file_size:
            message = (
                f"its tensors have {size} bytes, which is more than the file"
                f" ({file_size}) can hold"
            )
            raise UnreadableError(
                message, code="tensors-exceed-file", size=size, file_size=file_size
            )
        return StateDict(
            {name: tensor.read() for name, tensor in tensors.items()}, head_name
        )


def state_dict_tensors(
    file: CheckpointFile, options: HeadOptions, classes: int | None = None
) -> dict[str, Tensor]:
    """Return the tensors of these weights without reading their values; parameters and
    errors as for `read_state_dict`.
    """
    with OpenFiles() as files:
        return _choose_state_dict(open_content(file.path, files), options, classes)[0]


def _choose_state_dict(
    content: CheckpointContent, options: HeadOptions, classes: int | None
) -> tuple[dict[str, Tensor], str | None]:
    """Return the tensors of the state dict with the head, and the head's name if it was
    found.
    """
    groups = trainers.state_dicts(content.tree)
    try:
        chosen = choose_head(
            groups, options.role, options.head, classes, content.outputs
        )
    except NoHeadError:
        usable = [group for group in groups if group.role == options.role] or groups
        if not usable or options.head is not None:
            raise
        return max(usable, key=lambda group: len(group.tensors)).tensors, None
    tensors = _state_dict_of(chosen, groups)
    # A head in several parts is no single tensor.
    return tensors, chosen.name if chosen.name in tensors else None


def _state_dict_of(
    head: layers.Layer, groups: Sequence[NestedStateDict]
) -> dict[str, Tensor]:
    """Return the state dict in which a head was found."""
    first = head.name.partition(",")[0]
    return next(
        group.tensors
        for group in groups
        if group.path == head.path and first in group.tensors
    )
