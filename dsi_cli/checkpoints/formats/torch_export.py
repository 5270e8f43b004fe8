"""``torch.export.save``: a zip archive with a file a weight and a JSON list of them; before PyTorch 2.8, with a state dict inside.

The program, which is in the archive as well, is not looked at.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from dsi_cli.checkpoints.formats import CheckpointContent, open_source
from dsi_cli.checkpoints.formats.safetensors import read_json
from dsi_cli.checkpoints.formats.zip_archive import Archive
from dsi_cli.checkpoints.tensors import Storage, Tensor, decode, span
from dsi_cli.errors import UnreadableError

_LARGEST_LIST = 25_000_000
_STATE_DICT = "serialized_state_dict.pt"
_LIST = "data/weights/model_weights_config.json"
_DTYPES = (
    *("", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"),
    *("", "complex64", "complex128", "bool", "bfloat16"),
)
"""By the numbers of torch.export's schema."""


def open_content(archive: Archive) -> CheckpointContent:
    """Return the content of a ``.pt2``; errors as for `dsi_cli.checkpoints.formats.open_content`."""
    older = next((name for name in archive.sizes if name.rpartition("/")[2] == _STATE_DICT), None)
    if older is not None:
        return open_source(archive.window(older))[1]
    listed = next((name for name in archive.sizes if name == _LIST or name.endswith(f"/{_LIST}")), None)
    if listed is None:
        raise UnreadableError("an archive of torch.export without a list of weights")
    config = read_json(archive.whole(listed, _LARGEST_LIST))
    weights = config.get("config") if isinstance(config, dict) else None
    if not isinstance(weights, dict):
        raise UnreadableError("the list of weights is damaged")
    folder = listed.rpartition("/")[0]
    tree = {name: tensor for name, entry in weights.items() if (tensor := _tensor(entry, folder, archive)) is not None}

    def read(tensor: Tensor) -> NDArray[Any]:
        start, size = span(tensor)
        return decode(tensor, archive.part(tensor.storage.key, start, size))

    return CheckpointContent(tree, read, archive.notes)


def _tensor(entry: Any, folder: str, archive: Archive) -> Tensor | None:
    """Return the weight that an entry of the list describes, None where it is stored in a way that is not read."""
    meta = entry.get("tensor_meta") if isinstance(entry, dict) else None
    if not isinstance(meta, dict) or entry.get("use_pickle"):
        return None
    path, code = f"{folder}/{entry.get('path_name')}", meta.get("dtype")
    dtype = _DTYPES[code] if isinstance(code, int) and 0 <= code < len(_DTYPES) else ""
    shape, strides, offset = (
        _numbers(meta.get("sizes")),
        _numbers(meta.get("strides")),
        _numbers([meta.get("storage_offset")]),
    )
    if path not in archive.sizes or not dtype or shape is None or strides is None or not offset:
        return None
    return Tensor(dtype, shape, strides, offset[0], Storage(path, "", archive.sizes[path]))


def _numbers(values: Any) -> tuple[int, ...] | None:
    """Return integers, which the list writes as ``{"as_int": 3}``; None where one is none."""
    if not isinstance(values, list):
        return None
    found = [value.get("as_int") if isinstance(value, dict) else None for value in values]
    whole = tuple(number for number in found if type(number) is int)
    return whole if len(whole) == len(found) else None
