"""The cores and the free memory that this process may use, including the limits of a container."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_DEFAULT_FREE_BYTES = 2 << 30
_MEMORY_FILES = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""The files with a container's memory limit and usage, for the second and the first version of cgroups."""


def usable_cores() -> int:
    """Return the number of cores that this process may use; all cores on macOS, which does not report it."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int:
    """Return the available memory in bytes within the limit of a container; 2 GiB if the system does not report it.

    The usage of a container includes cached files, so that the result may be too small.
    """
    free = _free_on_machine()
    for limit, usage in _MEMORY_FILES:
        with suppress(OSError, ValueError):  # this version of cgroups is not in use, or the limit is `max`
            return min(free, max(int(Path(limit).read_text()) - int(Path(usage).read_text()), 0))
    return free


def _free_on_machine() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, OSError, ValueError):  # Windows has no `os.sysconf`
        return _DEFAULT_FREE_BYTES
