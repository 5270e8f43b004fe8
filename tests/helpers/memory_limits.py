"""A hostile file given to all that reads checkpoints, in a process with the limits that
are promised (docs/security.md).
"""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

_LIMITED = textwrap.dedent("""
    import resource, sys
    from contextlib import nullcontext
    from pathlib import Path
    from dsi_cli.checkpoints import checkpoint_reader
    from dsi_cli.checkpoints.formats import jax, keras, onnx, safetensors, torch_save
    from dsi_cli.checkpoints.child_process import client
    from dsi_cli.checkpoints.checkpoint_reader import HeadOptions, list_tensors, read_metadata, require_file, scan_checkpoint
    from dsi_cli.errors import CheckpointError
    import pyarrow
    def peak():
        return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) >> 10
    base = peak()
    client._Child._counting = lambda *_: nullcontext()  # only processor time counts, since a busy machine takes longer
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
    found = require_file(Path(sys.argv[1]))
    record = scan_checkpoint(found).record
    reads = [(list_tensors, found.path), (read_metadata, found), (checkpoint_reader.read_state_dict, found, HeadOptions())]
    for read, *arguments in reads:
        try:
            read(*arguments)
        except CheckpointError:
            pass
    more = peak() - base
    print(record.status, record.reason, f"{more} MiB, {resource.getrusage(resource.RUSAGE_SELF).ru_utime:.1f} s", sep="|")
    assert more < 300, f"{more} MiB"
    """)


def scanned(path: Path) -> tuple[str, str]:
    """Return status and reason of a file of less than 10 MB; fails where reading it
    takes more than is promised.
    """
    assert path.stat().st_size < 10_000_000
    where = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "OPENBLAS_NUM_THREADS": "1",
    }
    ended = subprocess.run(
        [sys.executable, "-c", _LIMITED, path],
        capture_output=True,
        text=True,
        env=where,
        check=False,
    )
    assert ended.returncode == 0, (
        f"{ended.returncode}: {ended.stdout}{ended.stderr[-2000:]}"
    )
    status, reason, took = ended.stdout.strip().split("|")
    print(took)
    return status, reason
