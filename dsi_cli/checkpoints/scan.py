"""One checkpoint -> its record, and the classifier's weight if it has one.

Everything that can be wrong with a file ends as a record with a reason: nothing that lies in a folder ends a run.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints import background_rows, epochs, head, head_weight, layers, lora, trainers, training_logs
from dsi_cli.checkpoints.candidates import HeadCandidate, rank_candidates
from dsi_cli.checkpoints.discovery import CheckpointFile, printable
from dsi_cli.checkpoints.formats import WHOLE_FOLDERS, CheckpointContent, open_content
from dsi_cli.checkpoints.graph_output import add_graph_evidence
from dsi_cli.checkpoints.io import bounded_json
from dsi_cli.checkpoints.io.source import RandomAccessFile
from dsi_cli.checkpoints.records import FAILED, PENDING, SKIPPED, Record
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import (
    AmbiguousHeadError,
    BackboneError,
    CheckpointError,
    ClassCountError,
    NoHeadError,
    PendingError,
    UnreadableError,
)
from dsi_cli.remote.locations import Place

_log = logging.getLogger(__name__)

FRESH_SECONDS = 3600
"""A file that breaks off is ``pending`` if it was written to within this time, else ``failed``: nobody is writing it."""
MAX_CLASSES = 46_340
"""A matrix of more classes has more values than a Parquet list column can count."""
_MAX_JSON_BYTES = 16 << 20
MAX_NAME_LENGTH = 4096
"""Characters of the head's name, which is stored in a table; no network has such names."""
_CLASS_NAME_KEYS = ("class_to_idx", "classes", "class_names")
"""Keys under which training loops save the names of the classes next to the weights."""


@dataclass(frozen=True)
class HeadOptions:
    """What a person may decide about the head."""

    head: str | None = None
    """The tensor's name."""
    ema: bool = False
    """Averaged weights instead of raw ones."""
    keep_extra: bool = False
    """Keep rows for no object or background."""


@dataclass(frozen=True)
class ScanResult:
    """A checkpoint that was looked at."""

    record: Record
    weight: NDArray[np.float32] | None = None
    """``(classes, features)``; None where the record is not ``ok``."""
    file: CheckpointFile | None = None
    """Where it lies; for one of several epochs in a file, the place of that epoch alone."""
    problem: str | None = None
    """`NO_HEAD` or `WRONG_COUNT` if the weights can be read but not the head; None otherwise."""


NO_HEAD, WRONG_COUNT = "no head", "wrong count"
"""Why a checkpoint has no head: none or several were found, or none with the number of classes that was given."""
HEADLESS = "no classifier: the class templates of labelled data take its place"
NO_NETWORK = "the state of an optimiser, scheduler or criterion, without a network"
"""The reason of a file that is skipped since it holds no network."""
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
"""What a damaged or hostile file may raise; the run goes on."""


class _ScanRequest(NamedTuple):
    """What to look for in each checkpoint: the parameters of `scan_checkpoint`."""

    choice: HeadOptions
    classes: int | None
    with_fingerprint: bool
    may_lack_head: bool


def scan_checkpoint(
    file: CheckpointFile,
    choice: HeadOptions = HeadOptions(),
    classes: int | None = None,
    *,
    with_fingerprint: bool = True,
    may_lack_head: bool = False,
) -> ScanResult:
    """Return the record of one checkpoint and its classifier's weight.

    Parameters
    ----------
    file : where the checkpoint lies
    choice : the head asked for, averaged or raw weights, extra rows
    classes : the number of classes if labels tell it: a matrix with another number of rows is not the head
    with_fingerprint : whether to hash the weights, which nobody needs who only wants them
    may_lack_head : whether weights without a classifier are usable: the record then has neither head nor fingerprint
    """
    return _scan(file, _ScanRequest(choice, classes, with_fingerprint, may_lack_head), is_split=False)[0]


def scan_each(
    file: CheckpointFile, choice: HeadOptions = HeadOptions(), classes: int | None = None, *, may_lack_head: bool = False
) -> list[ScanResult]:
    """Return what `scan_checkpoint` returns, for each checkpoint that a file holds: one, or several epochs (`layouts.entries`)."""
    return _scan(file, _ScanRequest(choice, classes, True, may_lack_head), is_split=True)


def open_checkpoint(file: CheckpointFile, stack: ExitStack) -> tuple[str, CheckpointContent, list[RandomAccessFile]]:
    """Return what `open_content` returns, for one of several epochs in a file with the contents of that epoch alone.

    Raises
    ------
    CheckpointError
        The file cannot be read, or no longer holds that epoch.
    """
    kind, content, sources = open_content(file.path, stack)
    if file.entry is None:
        return kind, content, sources
    tree = next((entry.tree for entry in trainers.saved_epochs(content.tree) if entry.label == file.entry), None)
    if tree is None:
        raise UnreadableError(f"changed while it was read: it no longer holds the epoch {file.entry}")
    return kind, replace(content, tree=tree), sources


def _scan(file: CheckpointFile, request: _ScanRequest, *, is_split: bool) -> list[ScanResult]:
    with ExitStack() as stack:
        try:
            kind, content, sources = open_content(file.path, stack)
            held = trainers.saved_epochs(content.tree) if is_split or file.entry is not None else []
        except _FILE_ERRORS as error:
            return [ScanResult(_with_problem(_begun(file), file, error), file=file)]
        parts = [entry for entry in held if file.entry in (None, entry.label)]
        if not parts:
            return [_scan_content(file, None, kind, content, sources, request)]
        return [
            _scan_content(
                replace(file, entry=entry.label), entry, kind, replace(content, tree=entry.tree), sources, request
            )
            for entry in parts
        ]


def _scan_content(
    file: CheckpointFile,
    entry: trainers.SavedEpoch | None,
    kind: str,
    content: CheckpointContent,
    sources: Sequence[RandomAccessFile],
    request: _ScanRequest,
) -> ScanResult:
    """Return one checkpoint whose file is open."""
    record = replace(_begun(file), format=kind)
    try:
        record = _described(record, file, content.tree, entry)
        try:
            scanned = _with_head(record, file, content, request)
        except BackboneError:
            if not request.may_lack_head:
                raise
            role = trainers.EMA if request.choice.ema else trainers.RAW
            scanned = ScanResult(replace(record, weights_used=role, reason=HEADLESS))
        _require_unchanged(sources)
        return replace(scanned, file=file)
    except _FILE_ERRORS as error:
        return ScanResult(_with_problem(record, file, error), file=file, problem=_problem_of_head(error))


def _problem_of_head(error: BaseException) -> str | None:
    if isinstance(error, ClassCountError):
        return WRONG_COUNT
    return NO_HEAD if isinstance(error, NoHeadError | AmbiguousHeadError) else None


def _begun(file: CheckpointFile) -> Record:
    """Return the record of a checkpoint with what is known before it is opened."""
    return Record(file.run, file.display_path, bytes=file.bytes, modified_ns=file.modified_ns, entry=file.entry)


def _names(file: CheckpointFile) -> tuple[str, ...]:
    """Return the names that may say the epoch: that of the file, then that of its step folder if it has one."""
    if file.entry is not None:
        return ("",)
    file_name = "" if file.path.name in WHOLE_FOLDERS else file.path.name
    return (file_name, file.step_folder.name) if file.step_folder else (file_name,)


def _with_problem(record: Record, file: CheckpointFile, error: BaseException) -> Record:
    """Return the record of a checkpoint that cannot be used, with the reason, and the epoch of its name if it was not described."""
    if record.trainer is None:
        record = replace(record, **_moment({}, _names(file)))
    if isinstance(error, PendingError):
        is_fresh = time.time() - record.modified_ns / 1e9 < FRESH_SECONDS
        return replace(record, status=PENDING if is_fresh else FAILED, reason=str(error))
    if isinstance(error, CheckpointError):
        return replace(record, status=FAILED, reason=str(error))
    if isinstance(error, RecursionError | MemoryError):
        return replace(record, status=FAILED, reason=f"asks for too much ({type(error).__name__})")
    _log.debug("%s could not be read", record.path, exc_info=error)
    return replace(record, status=FAILED, reason=f"cannot be read ({type(error).__name__})")


def _require_unchanged(sources: Sequence[RandomAccessFile]) -> None:
    for source in sources:
        source.require_unchanged()


def read_metadata(file: CheckpointFile) -> Any:
    """Return what a checkpoint says beside its weights as plain data (class names among it); None if it cannot be read."""
    try:
        with ExitStack() as stack:
            _, content, _ = open_checkpoint(file, stack)
            return [trainers.plain_data(content.tree), find_sibling_json(file, "config.json")]
    except CheckpointError:
        return None


def explain_head_choice(
    file: CheckpointFile, choice: HeadOptions, classes: int | None = None
) -> tuple[str, list[HeadCandidate]]:
    """Return which head is taken, or why none is, and every candidate with its evidence, the most plausible first.

    Raises
    ------
    CheckpointError
        The file cannot be read, or holds no weights.
    """
    with ExitStack() as stack:
        _, content, _ = open_checkpoint(file, stack)
        told = _classes_told(file, content.tree)
        expected = told if told is not None else classes
        groups = _groups(content)
        ranked = rank_candidates(head.usable_state_dicts(groups, trainers.EMA if choice.ema else trainers.RAW), expected)
        candidates = add_graph_evidence(ranked, content.outputs)
        try:
            picked = _pick(groups, choice, expected, with_background=told is not None, outputs=content.outputs)
        except (NoHeadError, AmbiguousHeadError) as error:
            return str(error), candidates
    return f"the head is {picked.name} {picked.tensor.shape}", candidates


def list_tensors(path: Place) -> list[tuple[str, Tensor, str]]:
    """Return every tensor of a file: its name, what it is, and whether it is among ``raw`` or ``ema`` weights.

    Raises
    ------
    CheckpointError
        The file cannot be read.
    """
    with ExitStack() as stack:
        _, content, _ = open_content(path, stack)
        groups = trainers.state_dicts(content.tree, trainers.trainer_of(content.tree).name)
        return [(name, tensor, group.role) for group in groups for name, tensor in group.tensors.items()]


def find_sibling_json(file: CheckpointFile, name: str) -> Any:
    """Return a JSON file of the checkpoint's step folder, or of its run where it has none, as plain data; None without it."""
    path = (file.step_folder or file.folder) / name
    try:
        if not path.is_file() or path.stat().st_size > _MAX_JSON_BYTES:
            return None
        return bounded_json.parse_json(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _moment(tree: Any, names: tuple[str, ...]) -> dict[str, Any]:
    when = epochs.epoch_and_step(tree, names)
    return {"epoch": when.epoch, "epoch_source": when.source, "step": when.step}


def _described(record: Record, file: CheckpointFile, tree: Any, entry: trainers.SavedEpoch | None) -> Record:
    """Return the record with what the contents say beside the weights: known even where no head is found."""
    trainer = trainers.trainer_of(tree)
    record = replace(record, trainer=trainer.name, counts_from=trainer.counts_from, scalars=training_logs.scalars_of(tree))
    record = replace(record, **_moment(tree, _names(file)))
    if entry is not None and record.epoch is None:
        source = epochs.CONTENTS if entry.is_numbered else epochs.ORDER
        record = replace(record, epoch=entry.epoch, epoch_source=source)
    record = _with_state_beside(record, file)
    if trainer.name == trainers.PLAIN and record.epoch == 0 and _is_before_training(tree):
        record = replace(record, counts_from=1)
    return record


def _with_head(record: Record, file: CheckpointFile, content: CheckpointContent, request: _ScanRequest) -> ScanResult:
    told = _classes_told(file, content.tree)
    expected = told if told is not None else request.classes
    groups = _groups(content)
    if trainers.is_training_state(content.tree, groups, file.path.name):
        return ScanResult(replace(record, status=SKIPPED, reason=NO_NETWORK))
    try:
        picked = _pick(groups, request.choice, expected, with_background=told is not None, outputs=content.outputs)
        if len(picked.name) > MAX_NAME_LENGTH:
            raise UnreadableError(
                f"the name of the head has {len(picked.name):,} characters, more than {MAX_NAME_LENGTH:,}"
            )
        config = find_sibling_json(file, lora.CONFIG_FILE) if picked.factors.kind == layers.LORA else None
        rows = head_weight.head_rows(content, picked, config)
        hashed = head_weight.fingerprint(content, picked, rows) if request.with_fingerprint else None
    except NoHeadError:
        if not lora.is_adapter(file.path):
            raise
        picked, rows = _of_adapter(file, content, request.choice, expected)
        hashed = head_weight.weight_hash(rows) if request.with_fingerprint else None
        content.notes.append("an adapter: the classifier is that of its base model")
    record = replace(record, head=printable(picked.name), weights_used=picked.role, dtype=picked.tensor.dtype)
    record = replace(record, features=rows.shape[1], fingerprint=hashed, reason="; ".join(content.notes) or None)
    tensors = [group.tensors for group in groups if group.path == picked.path]
    names = [name for group in tensors for name in group]
    of_head = next((group for group in tensors if picked.name in group), None)
    record = replace(record, network=None if of_head is None else trainers.network_id(of_head))
    extra = background_rows.background_rows(picked.name, len(rows), names, told, request.classes)
    return _usable(record, rows, extra, request.choice)


def _pick(
    groups: list[trainers.NestedStateDict],
    choice: HeadOptions,
    classes: int | None,
    *,
    with_background: bool = False,
    outputs: Sequence[str] | None = None,
) -> head.Head:
    role = trainers.EMA if choice.ema else trainers.RAW
    return head.choose_head(
        groups, role, wanted=choice.head, classes=classes, with_background=with_background, outputs=outputs
    )


def _groups(content: CheckpointContent) -> list[trainers.NestedStateDict]:
    return trainers.state_dicts(content.tree, trainers.trainer_of(content.tree).name)


def _of_adapter(
    file: CheckpointFile, content: CheckpointContent, choice: HeadOptions, classes: int | None
) -> tuple[head.Head, NDArray[np.float32]]:
    """Return the classifier of the model that an adapter belongs to, with the adapter's change."""
    config = find_sibling_json(file, lora.CONFIG_FILE)
    with ExitStack() as stack:
        base = lora.open_base_model(file.path, config, stack)
        picked = _pick(_groups(base), choice, classes)
        rows = head_weight.head_rows(base, picked)
    change = lora.lora_change(content.tree, picked.name, config)
    return picked, rows if change is None else lora.apply_change(rows, change, content.read)


def _usable(
    record: Record, rows: NDArray[np.float32], extra: background_rows.BackgroundRows, choice: HeadOptions
) -> ScanResult:
    """Return the scanned checkpoint with extra rows left out and the weights checked."""
    record = replace(record, extra_classes=extra.number)
    if extra.number and not choice.keep_extra:
        rows = rows[extra.number :] if extra.is_first else rows[: -extra.number]
    record = replace(record, classes=len(rows))
    if len(rows) > MAX_CLASSES:
        return ScanResult(
            replace(record, status=FAILED, reason=f"{len(rows)} rows: more than {MAX_CLASSES} are not compared")
        )
    if len(rows) < 2:
        return ScanResult(replace(record, status=FAILED, reason="one row: similarity needs two classes or more"))
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        named = ", ".join(map(str, bad[:5])) + (f" and {bad.size - 5} more" if bad.size > 5 else "")
        return ScanResult(replace(record, status=FAILED, reason=f"NaN or infinite weights in class {named} of {len(rows)}"))
    return ScanResult(record, rows)


def _with_state_beside(record: Record, file: CheckpointFile) -> Record:
    """Return the record with what a Hugging Face folder says in ``trainer_state.json``."""
    if file.step_folder is None:
        return record
    state = find_sibling_json(file, "trainer_state.json")
    if not isinstance(state, dict):
        return _without_state(record, file)
    when = epochs.epoch_and_step(state, ("",))
    return replace(
        record, trainer=trainers.HUGGING_FACE, counts_from=1, epoch=when.epoch, step=when.step, epoch_source=when.source
    )


def _without_state(record: Record, file: CheckpointFile) -> Record:
    """Return the record of a Hugging Face folder that has no ``trainer_state.json`` (yet): its number is a step."""
    if file.step_folder is None or find_sibling_json(file, "config.json") is None:
        return record
    step = re.fullmatch(r"checkpoint-(\d{1,12})", file.step_folder.name)
    record = replace(record, trainer=trainers.HUGGING_FACE)
    return replace(record, epoch=None, epoch_source=None, step=int(step[1])) if step else record


def _is_before_training(tree: Any) -> bool:
    """Return whether epoch 0 was written before training: a loss that is there but null, or an optimiser without state."""
    if not isinstance(tree, dict):
        return False
    optimizer = tree.get("optimizer", tree.get("optimizer_state_dict"))
    groups = optimizer.get("param_groups") if isinstance(optimizer, dict) and optimizer.get("state") == {} else None
    # SGD without momentum never has a state: its absence is no evidence.
    keeps_state = isinstance(groups, list) and any(isinstance(g, dict) and g.get("momentum", 1) != 0 for g in groups)
    meta = tree.get("__metadata__")
    texts = meta if isinstance(meta, dict) else {}
    losses = ("train_loss", "loss")
    return keeps_state or any((name in tree and tree[name] is None) or texts.get(name) == "null" for name in losses)


def _classes_told(file: CheckpointFile, tree: Any) -> int | None:
    """Return the number of classes that the checkpoint's metadata, MMEngine's or a Hugging Face config states."""
    meta = tree.get("meta") if isinstance(tree, dict) else None
    data = meta.get("dataset_meta") if isinstance(meta, dict) else None
    listed = data.get("classes", data.get("CLASSES")) if isinstance(data, dict) else None
    if isinstance(listed, list | tuple) and len(listed) > 1:
        return len(listed)
    for key in _CLASS_NAME_KEYS if isinstance(tree, dict) else ():
        names = tree.get(key)
        are_texts = (
            isinstance(names, dict | list | tuple) and len(names) > 1 and all(isinstance(name, str) for name in names)
        )
        if are_texts:
            return len(names)
    config = find_sibling_json(file, "config.json") if file.step_folder is not None else None
    names = config.get("id2label") if isinstance(config, dict) else None
    if isinstance(names, dict) and names:
        return len(names)
    number = config.get("num_labels", config.get("num_classes")) if isinstance(config, dict) else None
    return number if type(number) is int and number > 1 else None


def require_file(path: Place) -> CheckpointFile:
    """Return one file as something to scan, without looking for a run around it.

    Raises
    ------
    UnreadableError
        There is no such file.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror or error}") from None
    return CheckpointFile(path.parent.name, path.parent, path, None, found.st_size, found.st_mtime_ns)
