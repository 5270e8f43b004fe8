"""DeepSpeed's folders: model states, whole, or under ZeRO-3 spread over the optimiser states of all ranks.

Under ZeRO-3 each rank holds an equal share of every parameter, the last one filled up, one after another in flat float32 groups;
the model states tell names and shapes. What is read of each rank is its share of the tensor asked for.
"""

from __future__ import annotations

from contextlib import ExitStack
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.epochs import natural_key
from dsi_cli.checkpoints.formats import CheckpointContent, open_source
from dsi_cli.checkpoints.io.source import RandomAccessFile, find_sibling
from dsi_cli.checkpoints.tensors import Storage, Tensor, contiguous, span, view_of
from dsi_cli.errors import UnreadableError, count
from dsi_cli.remote.locations import Place

_MOST_RANKS = 4096
_FIRST = "zero_pp_rank_0_mp_rank_00_model_states.pt"


def open_folder(states: Place, stack: ExitStack, sources: list[RandomAccessFile]) -> CheckpointContent:
    """Return the content of a folder, by its first file of model states; errors as `dsi_cli.checkpoints.formats.open_content`."""
    if states.name.startswith("mp_rank_00") and (states.parent / "mp_rank_01_model_states.pt").exists():
        raise UnreadableError("the model is split over ranks (tensor parallelism), which is not put together")
    sources.append(stack.enter_context(RandomAccessFile(states)))
    _, content = open_source(sources[-1])
    shapes = _shapes(content.tree) if states.name == _FIRST else {}
    if not shapes:
        return content
    held = content.tree["module"] if isinstance(content.tree.get("module"), dict) else {}
    ranks = _ranks(states, stack, sources)
    begins, total = _begins(shapes, len(ranks))
    module = {name: tensor for name, tensor in held.items() if name not in shapes}
    module |= {
        name: contiguous("float32", shape, Storage(f"zero:{name}", "float32", prod(shape)))
        for name, shape in shapes.items()
    }

    def read(tensor: Tensor) -> NDArray[Any]:
        key = tensor.storage.key
        if not key.startswith("zero:"):
            return content.read(tensor)
        size = prod(shapes[key[5:]])
        if 4 * size > sum(source.size for source in sources):
            raise UnreadableError(f"{key[5:]} has {4 * size} bytes, which is more than the files hold")
        share = -(-size // len(ranks))
        parts = [_share(one, groups, begins[key[5:]], share, total) for one, groups in ranks]
        return view_of(tensor, np.concatenate(parts)[:size])

    return CheckpointContent({**content.tree, "module": module}, read, content.notes)


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the parameters in their order, those of all groups."""
    groups = tree.get("param_shapes") if isinstance(tree, dict) else None
    found: dict[str, tuple[int, ...]] = {}
    for group in groups if isinstance(groups, list) else ():
        for name, shape in group.items() if isinstance(group, dict) else ():
            whole = (
                isinstance(shape, tuple) and len(shape) <= 32 and all(type(n) is int and 0 <= n < 1 << 48 for n in shape)
            )
            if not isinstance(name, str) or not whole:
                raise UnreadableError("the shapes of the parameters are damaged")
            found[name] = shape
    return found


def _ranks(
    states: Place, stack: ExitStack, sources: list[RandomAccessFile]
) -> list[tuple[CheckpointContent, list[Tensor]]]:
    """Return the optimiser states of each rank and the flat groups in them, all of one length."""
    names = sorted((path.name for path in states.parent.glob("zero_pp_rank_*_mp_rank_00_optim_states.pt")), key=natural_key)
    wanted = [f"zero_pp_rank_{rank}_mp_rank_00_optim_states.pt" for rank in range(len(names))]
    if names != wanted or not 0 < len(names) <= _MOST_RANKS:
        gone = next((name for name, other in zip(wanted, names, strict=True) if name != other), f"{len(names)} files")
        raise UnreadableError(
            f"each rank holds a share of the weights in its optimiser states, and they are not all there: {gone}"
        )
    found = []
    for name in names:
        sources.append(stack.enter_context(RandomAccessFile(find_sibling(states, name, "file"))))
        _, content = open_source(sources[-1])
        state = content.tree.get("optimizer_state_dict") if isinstance(content.tree, dict) else None
        state = state if isinstance(state, dict) else {}
        groups, writers = state.get("fp32_flat_groups"), state.get("partition_count")
        if not isinstance(groups, list) or not groups or not all(isinstance(one, Tensor) for one in groups):
            raise UnreadableError(f"{name} has no flat groups of weights")
        if type(writers) is int and writers != len(names):
            raise UnreadableError(
                f"found the optimiser states of {count(len(names), 'rank')}, {writers} wrote the checkpoint"
            )
        found.append((content, groups))
    return found


def _begins(shapes: dict[str, tuple[int, ...]], ranks: int) -> tuple[dict[str, int], int]:
    """Return where each parameter's share begins in a rank's flat groups, and the length of all."""
    begins, at = {}, 0
    for name, shape in shapes.items():
        begins[name] = at
        at += -(-prod(shape) // ranks)
    return begins, at


def _share(content: CheckpointContent, groups: list[Tensor], begin: int, size: int, total: int) -> NDArray[np.float32]:
    """Return elements of a rank's flat groups, one behind another."""
    if any(len(group.shape) != 1 or group.strides != (1,) or group.dtype != "float32" for group in groups):
        raise UnreadableError("the flat groups of weights are not flat float32")
    if sum(group.shape[0] for group in groups) < total:
        raise UnreadableError("the flat groups are shorter than the parameters: some are frozen or kept elsewhere")
    parts, at = [], 0
    for group in groups:
        first, last = max(begin, at), min(begin + size, at + group.shape[0])
        if first < last:
            piece = group._replace(shape=(last - first,), offset=group.offset + first - at)
            span(piece)
            parts.append(content.read(piece))
        at += group.shape[0]
    whole: NDArray[np.float32] = np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)
    return whole
