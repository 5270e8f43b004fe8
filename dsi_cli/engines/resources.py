"""What of the machine this process may use: cores, and memory that is free, a container's limits counted."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_UNKNOWN = 2 << 30
_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""Files that hold a container's limit and what it uses, in cgroups' second and first version."""


def usable_cores() -> int:
    """Return the cores that this process may use; macOS does not say which, so all of them there."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int:
    """Return the bytes that are free, or could be made so, a container's limit counted; 2 GiB where the system does not say."""
    return min(_of_machine(), _of_container(_LIMITS))


def _of_machine() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, OSError, ValueError):  # Windows has no `os.sysconf`
        return _UNKNOWN


def _of_container(limits: tuple[tuple[str, str], ...]) -> int:
    """Return what is left of the container's limit; more than any machine has where there is none.

    What the container uses counts files that are only kept at hand, so that less may be returned than there is.
    """
    for limit, used in limits:
        with suppress(OSError, ValueError):  # no such version of cgroups; `max` where there is no limit
            return max(int(Path(limit).read_text()) - int(Path(used).read_text()), 0)
    return 1 << 62
