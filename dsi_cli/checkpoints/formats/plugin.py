"""The formats of plug-ins (`dsi_cli.plugins`), whose functions ``read`` run in the child
process.
"""

from __future__ import annotations

from dsi_cli.checkpoints.child_process.client import open_isolated
from dsi_cli.checkpoints.file_access import RandomAccessFile
from dsi_cli.checkpoints.formats import CheckpointContent, plugin_format


def open_content(source: RandomAccessFile) -> CheckpointContent:
    """Return the content of a file that begins like one of a plug-in; errors as
    `formats.open_content`.
    """
    format_ = plugin_format(source.head(16))
    assert format_ is not None
    return open_isolated("plugin", source.size, source.read_at, name=format_.name)
