"""DeepSpeed's folders: complete model states, or ZeRO-3 states that are spread over the
optimiser states of all ranks.

Under ZeRO-3, each rank holds an equal share of every parameter, one after another in
flat float32 groups. The last share is padded. The model states hold names and shapes.
To read a tensor, dsi reads only its share from each rank.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from math import prod

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.file_access import find_sibling
from dsi_cli.checkpoints.file_names import natural_key
from dsi_cli.checkpoints.formats import CheckpointContent, OpenFiles, open_source
from dsi_cli.checkpoints.tensors import (
    PartReader,
    Storage,
    Tensor,
    are_sizes,
    contiguous,
)
from dsi_cli.checkpoints.trainers import as_dict
from dsi_cli.errors import UnreadableError, count
from dsi_cli.remote.locations import Place

_MAX_RANKS = 4096
_FIRST_ZERO3_FILE = "zero_pp_rank_0_mp_rank_00_model_states.pt"


def open_folder(states: Place, files: OpenFiles) -> CheckpointContent:
    """Return the content of the folder with this first file of model states; errors as
    `formats.open_content`.
    """
    if (
        states.name.startswith("mp_rank_00")
        and (states.parent / "mp_rank_01_model_states.pt").exists()
    ):
        message = (
            "the model is split over ranks (tensor parallelism), which dsi does not"
            " merge"
        )
        raise UnreadableError(message, code="tensor-parallel")
    content = open_source(files.open(states))
    if states.name == _FIRST_ZERO3_FILE:
        groups = as_dict(content.tree).get("param_shapes")
    else:
        groups = None
    shapes: dict[str, tuple[int, ...]] = {}
    for group in groups if isinstance(groups, list) else []:
        for name, shape in as_dict(group).items():
            if not isinstance(name, str) or not are_sizes(shape):
                raise UnreadableError(
                    "the shapes of the parameters are damaged", code="damaged-shapes"
                )
            shapes[name] = shape
    if not shapes:
        return content
    ranks = _open_ranks(states, files)
    # Find the offset of each parameter's share in the flat groups of a rank.
    shares = {name: -(-prod(shape) // len(ranks)) for name, shape in shapes.items()}
    offsets = dict(zip(shares, accumulate(shares.values(), initial=0), strict=False))
    total = sum(shares.values())
    # Tensors that are not sharded are read from the model states.
    module = {
        name: tensor
        for name, tensor in as_dict(content.tree.get("module")).items()
        if name not in shapes
    }

    def read(name: str, start: int, size: int) -> memoryview:
        elements = prod(shapes[name])
        if 4 * elements > sum(source.size for source in files.sources):
            message = (
                f"{name} has {4 * elements} bytes, which is more than the files hold"
            )
            raise UnreadableError(message, code="tensor-too-large")
        parts = [
            _read_share(groups, offsets[name], shares[name], total) for groups in ranks
        ]
        return (
            np.concatenate(parts)
            .astype("<f4")
            .view(np.uint8)
            .data[start : start + size]
        )

    for name, shape in shapes.items():
        module[name] = contiguous(
            "float32",
            shape,
            Storage(name, "float32", prod(shape), PartReader(read, name)),
        )
    return replace(content, tree={**content.tree, "module": module})


def _open_ranks(states: Place, files: OpenFiles) -> list[list[Tensor]]:
    """Return the flat groups in the optimiser states of each rank."""
    names = sorted(
        (
            path.name
            for path in states.parent.glob("zero_pp_rank_*_mp_rank_00_optim_states.pt")
        ),
        key=natural_key,
    )
    expected = [
        f"zero_pp_rank_{rank}_mp_rank_00_optim_states.pt" for rank in range(len(names))
    ]
    if names != expected or not 0 < len(names) <= _MAX_RANKS:
        missing = next(
            (
                name
                for name, other in zip(expected, names, strict=True)
                if name != other
            ),
            f"{len(names)} files",
        )
        message = (
            "each rank holds a share of the weights in its optimiser states, but some"
            f" are missing: {missing}"
        )
        raise UnreadableError(message, code="missing-ranks")
    ranks = []
    for name in names:
        tree = open_source(files.open(find_sibling(states, name, "file"))).tree
        state = as_dict(as_dict(tree).get("optimizer_state_dict"))
        groups, writers = state.get("fp32_flat_groups"), state.get("partition_count")
        if (
            not isinstance(groups, list)
            or not groups
            or not all(isinstance(group, Tensor) for group in groups)
        ):
            raise UnreadableError(
                f"{name} has no flat groups of weights", code="damaged-groups"
            )
        if type(writers) is int and writers != len(names):
            message = (
                f"found the optimiser states of {count(len(names), 'rank')}, but"
                f" {writers} wrote the checkpoint"
            )
            raise UnreadableError(message, code="missing-ranks")
        ranks.append(groups)
    return ranks


def _read_share(
    groups: list[Tensor], begin: int, size: int, total: int
) -> NDArray[np.float32]:
    """Return ``size`` elements of a rank's concatenated flat groups, from ``begin``
    on.
    """
    if any(
        len(group.shape) != 1 or group.strides != (1,) or group.dtype != "float32"
        for group in groups
    ):
        raise UnreadableError(
            "the flat groups of weights are not flat float32", code="damaged-groups"
        )
    if sum(group.shape[0] for group in groups) < total:
        message = (
            "the flat groups are shorter than the parameters: some are frozen or stored"
            " elsewhere"
        )
        raise UnreadableError(message, code="damaged-groups")
    parts: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)]
    offset = 0
    for group in groups:
        first, last = max(begin, offset), min(begin + size, offset + group.shape[0])
        if first < last:
            piece = group._replace(
                shape=(last - first,), offset=group.offset + first - offset
            )
            parts.append(piece.read())
        offset += group.shape[0]
    return np.concatenate(parts)
