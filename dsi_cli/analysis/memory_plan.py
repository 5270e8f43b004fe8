"""Plan whether the matrices of a run are compared whole or in blocks of rows, by the number of classes and the free memory.

With more than `dsi_cli.similarity.MAX_DENSE_CLASSES` classes, matrices are neither made nor stored whole: `heads/` contains the
heads, `neighbors/` the nearest classes. With fewer classes, matrices are stored, and compared in blocks only if there is not
enough memory to compare them whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from dsi_cli import similarity
from dsi_cli.analysis.options import Options
from dsi_cli.engines import local, resources
from dsi_cli.metrics.blockwise import blocks
from dsi_cli.metrics.blockwise.blocks import BlockWalk

DENSE_WITHOUT_BUDGET = 256
"""The number of classes up to which matrices are compared whole on every machine."""
BYTES_PER_VALUE = 220
"""The memory that comparing two whole matrices takes per value of one matrix, measured and rounded up."""


@dataclass(frozen=True)
class MemoryPlan:
    """The plan for making and comparing the matrices of a run."""

    is_vast: bool
    """True if there are too many classes for stored matrices."""
    walk: BlockWalk | None
    """The iteration over blocks of rows; None if matrices are compared whole."""
    threads: int | None = None
    """The number of threads that compare whole matrices, one epoch each; None for one per core."""


def make_plan(classes: int, options: Options) -> MemoryPlan:
    """Return the plan for a run with this number of classes."""
    is_vast = classes > similarity.MAX_DENSE_CLASSES
    if classes <= DENSE_WITHOUT_BUDGET:
        return MemoryPlan(is_vast, None)
    free = resources.free_memory()
    budget = options.memory if options.memory is not None else free // 2
    cores = resources.usable_cores()
    needed = classes**2 * BYTES_PER_VALUE
    if not is_vast and needed <= (options.memory if options.memory is not None else free):
        return MemoryPlan(is_vast, None, min(max(budget // needed, 1), cores))
    reason = blocks.TOO_MANY_CLASSES if is_vast else blocks.SHORT_OF_MEMORY
    return MemoryPlan(is_vast, BlockWalk(blocks.rows_within(budget, classes, cores), local.map_in_order, reason))
