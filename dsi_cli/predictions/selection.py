"""Which of a file's sheets are a run's, and which of its epochs each belongs to."""

from __future__ import annotations

from collections.abc import Sequence

from dsi_cli.errors import UsageError
from dsi_cli.predictions.sheets import Answers, Sheet


def of_run(sheets: Sequence[Sheet], run: str | None, name: str) -> list[Sheet]:
    """Return the sheets of a run; those that do not say theirs belong to any.

    Raises
    ------
    UsageError
        Sheets say their run, and none is this one; or there are several and none is asked for.
    """
    runs = sorted({sheet.run for sheet in sheets if sheet.run is not None})
    few = ", ".join(ascii(known) for known in runs[:6]) + (", ..." if len(runs) > 6 else "")
    if run is None and len(runs) > 1:
        raise UsageError(f"{name}: expected the predictions of one run, found {few}; name the run, or keep its rows alone")
    found = [sheet for sheet in sheets if run is None or sheet.run in (None, run)]
    if not found:
        raise UsageError(
            f"{name}: expected rows of the run {run!a}, found only {few}; correct the column 'run', or drop it"
        )
    return found


def placed(sheets: Sequence[Sheet], epochs: Sequence[int], name: str, run: str | None = None) -> dict[int, Sheet]:
    """Return the sheets by the run's epochs, in the run's order.

    Sheets that do not say their epoch are the run's epochs in order.

    Raises
    ------
    UsageError
        Their number is not that of the epochs; or they say their epochs, and none is the run's, or one comes twice.
    """
    if sheets[0].epoch is None:
        if len(sheets) != len(epochs):
            raise UsageError(_wrong_number(sheets, len(epochs), name, _called(run)))
        return dict(zip(epochs, sheets, strict=True))
    by_epoch: dict[int, Sheet] = {}
    for sheet in sheets:
        assert sheet.epoch is not None
        if sheet.epoch in by_epoch:
            both = f"{by_epoch[sheet.epoch].where} and {sheet.where}"
            raise UsageError(f"{name}: expected epoch {sheet.epoch} once, found it in {both}; keep one of them")
        by_epoch[sheet.epoch] = sheet
    found = {epoch: by_epoch[epoch] for epoch in epochs if epoch in by_epoch}
    if not found:
        raise UsageError(
            f"{name}: expected epochs of {_called(run)} ({few(epochs)}), found {few(list(by_epoch))}, none in common; "
            "number the epochs as the run does"
        )
    return found


def _called(run: str | None) -> str:
    return "the run" if run is None else f"run {run!r}"


def _wrong_number(sheets: Sequence[Sheet], epochs: int, name: str, run: str) -> str:
    content = sheets[0].content
    is_array = name.lower().endswith((".npy", ".npz")) or (isinstance(content, Answers) and content.rows is None)
    if is_array:
        rows = f"{len(sheets)} row" + "s" * (len(sheets) > 1)
        remedy = "give one row an epoch in the run's order, or give an NPZ with `epochs`"
    else:
        rows, remedy = "no epochs", "add a column 'epoch', or give a folder with the epoch in each file's name"
    return f"{name} has {rows}, {run} has {epochs} epoch{'s' * (epochs != 1)}: {remedy}"


def few(epochs: Sequence[int]) -> str:
    """Return epochs for a message, the first of many.

    Examples
    --------
    >>> few([0, 5])
    '0, 5'
    """
    return ", ".join(map(str, epochs[:6])) + (", ..." if len(epochs) > 6 else "")
