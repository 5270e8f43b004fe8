"""Find the checkpoints that do not fit the order of a run: the same head at several
epochs or steps, a head whose angle to the last one is out of order, and the head of
another training.

A published history may hold a checkpoint twice, or under the number of another one. The
angle to the last head falls while training converges, so a rise shows a place to look
at. It is no proof: a large learning rate or a restart makes the angle rise, too.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints
from dsi_cli.checkpoints.discovery import printable
from dsi_cli.checkpoints.records import Record
from dsi_cli.facts import Fact, fact
from dsi_cli.metrics.head_geometry import (
    angles,
    correlation_z,
    is_of_other_training,
)
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.queries.facts import BREAK
from dsi_cli.store import layout

Weight = NDArray[np.float32]
WeightOf = Callable[[Record], Weight | None]


def history_facts(run: RunCheckpoints, weight_of: WeightOf) -> list[Fact]:
    """Return a fact for each head that occurs at several epochs or steps, one for all
    breaks between trainings, and one for all checkpoints at which the angle to the last
    head rises.

    Parameters
    ----------
    run : a run with resolved epochs and duplicates.
    weight_of : returns the head of a checkpoint ``(C, d)``; None if it has none.
    """
    same: dict[str, list[str]] = {}
    for record in run.usable:
        if record.fingerprint is not None:
            same.setdefault(record.fingerprint, []).append(record.name)
    facts = [
        fact("heads-repeated", checkpoints=names)
        for names in same.values()
        if len(names) > 1
    ]
    facts += break_facts(run, weight_of)
    rises = []
    found = _angles_to_last(run, weight_of)
    # The angle after the last one is 0.
    following = [angle for _, angle in found[2:]] + [0.0]
    for (low, before), (high, angle), later in zip(
        found, found[1:], following, strict=False
    ):
        if angle > before and later > before:
            rises.append(f"{low.name} ({before:.2f}° before {angle:.2f}°)")
        elif angle > before:
            rises.append(f"{high.name} ({angle:.2f}° after {before:.2f}°)")
    if rises:
        facts.append(fact("angle-rises", checkpoints=rises, last=run.usable[-1].name))
    return facts


def break_facts(
    run: RunCheckpoints, weight_of: WeightOf, out: str = layout.DEFAULT
) -> list[Fact]:
    """Return a fact about all pairs of successive checkpoints of which the second one is
    of another training; none without any.

    ``out`` is the folder of the results, for the command that splits the run.
    """
    breaks = []
    for before, after in pairwise(run.usable):
        weights = weight_of(before), weight_of(after)
        if weights[0] is None or weights[1] is None:
            continue
        if is_of_other_training(weights[0], weights[1]):
            breaks.append((before, after))
    if not breaks:
        return []
    names = [[before.name, after.name] for before, after in breaks]
    epochs = [after.epoch_number for _, after in breaks]
    command = _split_command(run, breaks, weight_of, out)
    return [fact(BREAK, epochs=epochs, breaks=names, command=command)]


def _split_command(
    run: RunCheckpoints,
    breaks: Sequence[tuple[Record, Record]],
    weight_of: WeightOf,
    out: str,
) -> str:
    """Return the commands that analyse two trainings of a run, each by itself: by their
    epochs if one follows the other, and else by their files.
    """
    folder = printable(str(run.training.folder))
    if len(breaks) == 1:
        ((before, after),) = breaks
        parts = [
            [folder, "--epochs", f":{before.epoch_number}"],
            [folder, "--epochs", f"{after.epoch_number}:"],
        ]
    else:
        first = weight_of(breaks[0][0])
        of_first: list[str] = []
        of_others: list[str] = []
        for record in run.usable:
            weight = weight_of(record)
            if first is None or weight is None or weight.shape != first.shape:
                continue
            is_of_first = (correlation_z(first, weight) or 0.0) >= MIN_Z
            (of_first if is_of_first else of_others).append(record.path)
        parts = [of_first, of_others]
    commands = [
        shlex.join(["dsi", "analyze", *part, "-o", f"{out}-{place}"])
        for place, part in enumerate(parts, start=1)
    ]
    return " && ".join(commands)


def _angles_to_last(
    run: RunCheckpoints, weight_of: WeightOf
) -> list[tuple[Record, float]]:
    """Return the mean angle over the classes in degrees, in [0, 180], of each earlier
    head to the last one; heads of another width are left out.
    """
    if len(run.usable) < 3:
        return []
    *earlier, last = run.usable
    last_weight = weight_of(last)
    found: list[tuple[Record, float]] = []
    if last_weight is None:
        return found
    for record in earlier:
        weight = weight_of(record)
        if weight is None:
            continue
        by_class = angles(weight, last_weight)
        if np.isfinite(by_class).any():
            found.append((record, float(np.nanmean(by_class))))
    return found
