"""Find the checkpoints that do not fit the order of a run: the same head at several
epochs or steps, and a head whose angle to the last one is out of order.

A published history may hold a checkpoint twice, or under the number of another one. The
angle to the last head falls while training converges, so a rise shows a place to look
at. It is no proof: a large learning rate or a restart makes the angle rise, too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints
from dsi_cli.checkpoints.records import Record
from dsi_cli.facts import Fact, fact
from dsi_cli.metrics.head_geometry import angles

Weight = NDArray[np.float32]
WeightOf = Callable[[Record], Weight | None]


def history_facts(run: RunCheckpoints, weight_of: WeightOf) -> list[Fact]:
    """Return a fact for each head that occurs at several epochs or steps, and one for
    all checkpoints at which the angle to the last head rises.

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
