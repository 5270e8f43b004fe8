"""Whether the matrices of a run are compared whole or by blocks of rows, which depends on the number of classes and on memory.

Above `dsi_cli.similarity.MAX_DENSE_CLASSES` classes matrices are neither made nor stored whole: `heads/` holds the classifier,
`neighbors/` the nearest classes. Up to that many, matrices are stored, and are compared by blocks only if there is not enough
memory to compare them whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from dsi_cli import similarity
from dsi_cli.analysis.options import Options
from dsi_cli.engines import local, resources
from dsi_cli.metrics.blockwise import blocks
from dsi_cli.metrics.blockwise.blocks import BlockWalk

DENSE_WITHOUT_BUDGET = 256
"""Classes that are few enough for any machine; for these intervals and relabellings are sampled without being asked for."""
BYTES_A_VALUE = 220
"""What comparing two whole matrices takes, per value of one: measured, and rounded up."""


@dataclass(frozen=True)
class MemoryPlan:
    """How one run's matrices are made and compared."""

    is_vast: bool
    """More classes than a matrix is stored of."""
    walk: BlockWalk | None
    """How matrices are gone through by blocks; None: whole."""
    threads: int | None = None
    """How many threads compare whole matrices, one epoch each; None for one per core."""


def make_plan(classes: int, options: Options) -> MemoryPlan:
    """Return the plan for a run of so many classes."""
    is_vast = classes > similarity.MAX_DENSE_CLASSES
    if classes <= DENSE_WITHOUT_BUDGET:
        return MemoryPlan(is_vast, None)
    free = resources.free_memory()
    budget = options.memory if options.memory is not None else free // 2
    cores = resources.usable_cores()
    needed = classes**2 * BYTES_A_VALUE
    if not is_vast and needed <= (options.memory if options.memory is not None else free):
        return MemoryPlan(is_vast, None, min(max(budget // needed, 1), cores))
    lacking = blocks.TOO_MANY_CLASSES if is_vast else blocks.SHORT_OF_MEMORY
    return MemoryPlan(is_vast, BlockWalk(blocks.rows_within(budget, classes, cores), local.map_in_order, lacking))
