"""Find the classifier head by the name that the user gives with ``--head``."""

from __future__ import annotations

from collections.abc import Sequence

from dsi_cli.checkpoints.head_candidates import rank_candidates
from dsi_cli.checkpoints.layers import (
    PLAIN,
    Layer,
    is_matrix,
    is_sorted_by_name,
    layers_of,
)
from dsi_cli.checkpoints.orientation import orient
from dsi_cli.checkpoints.tensors import FLOATS, Tensor, join_rows
from dsi_cli.checkpoints.trainers import NestedStateDict
from dsi_cli.errors import AmbiguousHeadError, NoHeadError

MAX_LISTED = 5


def find_named_head(
    groups: Sequence[NestedStateDict], head_name: str, classes: int | None
) -> Layer:
    """Return the layer with a name; the names of several parts have commas between
    them.

    Raise `AmbiguousHeadError` if several tensors have the name, and `NoHeadError` if
    none has it, or the tensor cannot be a head.
    """
    names = [name.strip() for name in head_name.split(",")]
    if len(names) > 1:
        return _join([_find_one(groups, name, None) for name in names])
    return _find_one(groups, head_name, classes)


def _find_one(
    groups: Sequence[NestedStateDict], head_name: str, classes: int | None
) -> Layer:
    is_sorted = is_sorted_by_name(groups)
    layers = orient(layers_of(groups), classes, is_sorted=is_sorted, may_be_table=False)
    matches = [it for it in layers if it.weight is not None and _is(it, head_name)]
    if not matches:
        # Any other matrix may be the head, such as the mean of a Bayesian layer.
        matches = [
            layer
            for layer in plain_matrices(groups)
            if f".{layer.full_name}".endswith(f".{head_name}")
        ]
    exact = [it for it in matches if head_name in (it.name, it.full_name)]
    matches = exact or matches
    if not matches:
        raise _no_such_head(groups, head_name, classes)
    if len(matches) > 1:
        names = sorted(layer.full_name for layer in matches)
        listed = ", ".join(names[:MAX_LISTED])
        raise AmbiguousHeadError(
            f"the name {head_name} fits {len(names)} tensors ({listed})",
            hint="give the whole name of one",
            code="ambiguous-head-name",
            head=head_name,
            candidates=tuple(names),
        )
    return _as_head(matches[0], classes)


def _as_head(layer: Layer, classes: int | None) -> Layer:
    """Return a layer as the head; raise `NoHeadError` if its weight cannot be used."""
    weight = layer.tensor
    if layer.refusal is not None:
        raise refused(layer, layer.name)
    if not is_matrix(weight) or weight.dtype not in FLOATS:
        raise _not_a_matrix(layer.name, weight)
    if len(weight.shape) == 2 and not weight.has_output_rows:
        rows, columns = weight.shape
        if columns == classes != rows:
            return layer._replace(weight=weight.transposed)
    return layer


def refused(layer: Layer, name: str) -> NoHeadError:
    """Return the error for a layer whose effective weight cannot be computed."""
    return NoHeadError(
        f"{name} {layer.refusal}",
        code="unusable-head",
        head=name,
        shape=layer.tensor.shape,
    )


def _join(parts: Sequence[Layer]) -> Layer:
    """Return a head that is stored in several parts, whose rows follow one another."""
    name = ",".join(part.name for part in parts)
    features = {part.tensor.shape[1:] for part in parts}
    if len(features) > 1 or any(part.factors.kind != PLAIN for part in parts):
        shapes = ", ".join(str(part.tensor.shape) for part in parts)
        raise NoHeadError(
            f"{name} of the shapes {shapes} cannot be the parts of one classifier; give"
            " plain weights of one width",
            code="misfit-parts",
            head=name,
        )
    weight = join_rows([part.tensor for part in parts])
    biases = [
        part.bias[0]
        for part in parts
        if len(part.bias) == 1 and len(part.bias[0].shape) == 1
    ]
    bias = (join_rows(biases),) if len(biases) == len(parts) else ()
    return parts[0]._replace(
        name=name, weight=weight, width_out=weight.shape[0], bias=bias
    )


def _is(layer: Layer, head_name: str) -> bool:
    """Return whether a text is the name of a layer or of its weight, or the end of such
    a name.
    """
    parent = layer.name.rpartition(".")[0].partition(".parametrizations")[0]
    parent = parent.removesuffix("._packed_params").removesuffix(".base_layer")
    stored_module = ".".join((*layer.path, parent))
    names = [layer.full_name]
    for module in (stored_module, ".".join(layer.module)):
        names += [module, f"{module}.weight"]
    return any(f".{name}".endswith(f".{head_name}") for name in names)


def plain_matrices(groups: Sequence[NestedStateDict]) -> list[Layer]:
    """Return every matrix of the state dicts with two rows and columns or more, except
    for those of LoRA.
    """
    layers = []
    for group in groups:
        for name, tensor in group.tensors.items():
            if not is_matrix(tensor) or tensor.dtype not in FLOATS:
                continue
            if min(tensor.shape[:2]) > 1 and "lora" not in name:
                layer = Layer(name, group.path, group.role, (), tensor, 0, 0, 0, "raw")
                layers.append(layer)
    return layers


def _no_such_head(
    groups: Sequence[NestedStateDict], head_name: str, classes: int | None
) -> NoHeadError:
    for group in groups:
        for tensor_name, tensor in group.tensors.items():
            name = ".".join((*group.path, tensor_name))
            if f".{name}".endswith(f".{head_name}"):
                return _not_a_matrix(name, tensor)
    candidates = rank_candidates(groups, classes)[:MAX_LISTED]
    titles = tuple(candidate.title for candidate in candidates)
    message = f"no tensor is named {head_name}"
    if titles:
        message += f"; the best candidates are {', '.join(titles)}"
    else:
        message += ", and there is no matrix in this file"
    return NoHeadError(message, code="no-such-head", head=head_name, candidates=titles)


def _not_a_matrix(name: str, tensor: Tensor) -> NoHeadError:
    return NoHeadError(
        f"{name} is {tensor.dtype} of shape {tensor.shape}; a classifier head is a"
        " floating-point matrix of (classes, features)",
        code="head-not-matrix",
        head=name,
        shape=tensor.shape,
        dtype=tensor.dtype,
    )
