"""Whether the matrices of a run are made whole, or by blocks of rows: a matter of how many classes there are and of memory.

Above `LARGEST_WHOLE` classes matrices are neither made nor stored whole: `heads/` holds the classifier, `neighbors/` the nearest
classes. Below, matrices are stored, but compared by blocks where that would otherwise take more memory than there is for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from dsi_cli.engines import local, machine
from dsi_cli.metrics.blocked import walk
from dsi_cli.metrics.blocked.walk import Walk
from dsi_cli.pipeline.options import Options
from dsi_cli.similarity import blocks

ALWAYS_WHOLE = 256
"""Classes that are few enough for any machine; for these intervals and relabellings are sampled without being asked for."""
BYTES_A_VALUE = 220
"""What comparing two whole matrices takes, per value of one: measured, and rounded up."""


@dataclass(frozen=True)
class Plan:
    """How one run's matrices are made and compared."""

    is_vast: bool
    """More classes than a matrix is stored of."""
    walk: Walk | None
    """How matrices are gone through by blocks; None: whole."""
    threads: int | None = None
    """That compare whole matrices, an epoch each; None: they are so small that an epoch is Python's work for the most part."""


def of(classes: int, options: Options) -> Plan:
    """Return the plan for a run of so many classes."""
    is_vast = classes > blocks.LARGEST_WHOLE
    if classes <= ALWAYS_WHOLE:
        return Plan(is_vast, None)
    budget = options.memory if options.memory is not None else machine.free_memory() // 2
    cores = machine.usable_cores()
    fit = budget // (classes**2 * BYTES_A_VALUE)
    if not is_vast and fit:
        return Plan(is_vast, None, min(fit, cores))

    def each(function: Any, jobs: Iterable[Any]) -> Iterator[Any]:
        return local.map_in_order(function, jobs)

    return Plan(is_vast, Walk(walk.rows_within(budget, classes, cores), each))
