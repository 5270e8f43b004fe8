"""Find the axis of the classes in weights that may be stored transposed.

Some authors store the weight of a last layer with a column for each class (LDAM,
MagFace, SphereFace). The axis that takes the output of the layer before is the input.
If both axes could take one, the layer gets no widths, so that its side is unclear.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Sequence
from typing import TypeAlias

from dsi_cli.checkpoints.connections import consumers, unused_layers
from dsi_cli.checkpoints.head_names import is_named, other_name
from dsi_cli.checkpoints.layers import IN_LOSS, PLAIN, Layer, is_linear, stem

_Ends: TypeAlias = "dict[int, list[tuple[int, int]]]"
"""The input's width and the position of some layers, by the width of their output."""


def orient(
    layers: Sequence[Layer],
    classes: int | None,
    *,
    is_sorted: bool,
    may_be_table: bool = True,
) -> list[Layer]:
    """Return the layers with the widths of raw parameters and of weights without a
    bias, if evidence shows the axis of the output.

    A parameter called ``weight`` may be a lookup table, unless the user names it as the
    head.
    """
    oriented = _orient_weights(layers, classes, is_sorted=is_sorted)
    widths = {layer.width_out for layer in oriented if layer.kind != "raw"}
    ends = ends_by_width(unused_layers(oriented, consumers(oriented, ordered=True)))
    for layer in oriented:
        if layer.kind == "raw":
            oriented[layer.position] = _orient_parameter(
                layer, widths, ends, classes, may_be_table
            )
    return oriented


def block_of(layer: Layer) -> tuple[object, ...] | None:
    """Return the pattern of a layer's path in a numbered block (``blocks.#.mlp.fc2``);
    None outside such blocks.
    """
    parts = [re.sub(r"\d+", "#", part) for part in layer.module[:-1]]
    if not any("#" in part for part in parts):
        return None
    return *layer.path, *parts, *layer.module[-1:], layer.kind


def ends_by_width(unused: Sequence[Layer], *, is_sorted: bool = False) -> _Ends:
    """Return the layers whose output no other layer takes, by its width: at most two
    for each width, with different inputs.

    The width of the input is -1 for a convolution of images, and the position is -1 in
    a file sorted by name.
    """
    ends: _Ends = {}
    for layer in unused:
        is_image = layer.weight is not None and len(layer.weight.shape) > 3
        width_in = -1 if is_image else layer.width_in
        position = -1 if is_sorted else layer.position
        same = ends.setdefault(layer.width_out, [])
        if len(same) < 2 and all(width_in != width for width, _ in same):
            same.append((width_in, position))
    return ends


def unused_sides(rows: int, columns: int, ends: _Ends) -> set[int]:
    """Return those of the two sizes of a matrix with which it could take the output of
    a layer whose output no other layer takes.

    A square matrix, or a second matrix of the layer's own shape (prototypes, a running
    mean), does not take its output.
    """
    sides = set()
    for side, other in ((rows, columns), (columns, rows)):
        inputs = [width_in for width_in, _ in ends.get(side, ())]
        if rows != columns and any(width_in != other for width_in in inputs):
            sides.add(side)
    return sides


def _orient_weights(
    layers: Sequence[Layer], classes: int | None, *, is_sorted: bool
) -> list[Layer]:
    """Return the layers, with the last weights without a bias oriented."""
    consumer = consumers(layers, ordered=True)
    fed = set(consumer.values())
    without_bias = [layer for layer in layers if _may_have_class_columns(layer)]
    last = [layer for layer in without_bias if layer.position not in consumer]
    has_rows = _show_rows(without_bias, fed | consumer.keys())
    all_ends = ends_by_width(unused_layers(layers, consumer), is_sorted=is_sorted)
    ends = _ends_without(last, layers, is_sorted=is_sorted)
    norms = _widths_of_norms(layers) if is_sorted else set()
    times = Counter(map(block_of, layers))
    oriented = list(layers)
    for layer in last:
        position = layer.position
        is_repeated = block_of(layer) is not None and times[block_of(layer)] > 1
        before = layers[position - 1] if position and not is_sorted else None
        if len(layers) == 1 and _may_be_margin(layer, classes):
            oriented[position] = _without_sides(layer)
        elif layer.is_in_loss or (is_repeated and position not in fed):
            if _may_take_rows(layer, before, all_ends):
                oriented[position] = _without_sides(layer)
        elif is_repeated or _is_usual_square(layer, before, has_rows):
            continue
        elif _may_take_rows(layer, before, ends):
            oriented[position] = _turned(layer, ends, norms)
    return oriented


def _show_rows(without_bias: Sequence[Layer], linked: Container[int]) -> bool:
    """Return whether a weight without a bias shows that its outputs are its rows.

    A square weight has the orientation of the other weights without a bias, which the
    layers before or after them show.
    """
    return any(
        it.position in linked and it.width_in != it.width_out for it in without_bias
    )


def _widths_of_norms(layers: Sequence[Layer]) -> set[int]:
    return {layer.width_out for layer in layers if layer.kind == "norm"}


def _ends_without(
    left_out: Sequence[Layer], layers: Sequence[Layer], *, is_sorted: bool
) -> _Ends:
    """Return the layers whose output no other layer takes, if some layers are left
    out.
    """
    others = list(layers)
    for layer in left_out:
        others[layer.position] = layer._replace(kind="norm")
    consumer = consumers(others, ordered=True)
    return ends_by_width(unused_layers(others, consumer), is_sorted=is_sorted)


def _may_have_class_columns(layer: Layer) -> bool:
    """Return whether a layer is a plain matrix without a bias, which could be stored
    transposed.
    """
    is_plain = layer.kind == "matrix" and layer.factors.kind == PLAIN
    if not is_plain or layer.has_bias or layer.is_transposed or not is_linear(layer):
        return False
    return not layer.tensor.has_output_rows and other_name(layer) is None


def _is_usual_square(layer: Layer, before: Layer | None, has_rows: bool) -> bool:
    """Return whether a weight without a bias is square, and other layers or its name
    show that its outputs are its rows.
    """
    if layer.width_in != layer.width_out:
        return False
    if before is not None and is_linear(before) and stem(before) == stem(layer):
        return True
    return has_rows or is_named(layer) or layer.module[-1:] == ("fc",)


def _takers(layer: Layer, side: int, other: int, ends: _Ends) -> bool:
    """Return whether an earlier layer gives an output of the width of one side.

    A second matrix of the same shape is parallel and gives no input.
    """
    return any(
        (side == other or width_in != other) and position < layer.position
        for width_in, position in ends.get(side, ())
    )


def _may_take_rows(layer: Layer, before: Layer | None, ends: _Ends) -> bool:
    """Return whether a weight without a bias may take the output of a layer before it
    with its rows.

    The layer ``before`` it is None in a file sorted by name.
    """
    rows, columns = layer.width_out, layer.width_in
    if 0 in (rows, columns) or not _takers(layer, rows, columns, ends):
        return False
    # The columns may be a multiple of the width of their input, if a convolution is
    # flattened or outputs are joined. A layer whose sides are not known has width 0.
    if before is None or before.width_out in (0, 1, rows):
        return True
    # Another head may come before.
    is_parallel = before.width_out < before.width_in == rows
    return is_parallel or columns % before.width_out != 0


def _turned(layer: Layer, ends: _Ends, norms: set[int]) -> Layer:
    """Return a weight that takes the output of a layer with its rows, with its classes
    as rows, or without sides if its columns may take one, too.

    In a file sorted by name, a normalisation with the width of the columns may come
    before it (DenseNet).
    """
    rows, columns = layer.width_out, layer.width_in
    may_be_input = _takers(layer, columns, rows, ends) or columns in norms
    if may_be_input or columns % rows == 0:
        return _without_sides(layer)
    return layer._replace(
        weight=layer.tensor.transposed,
        is_transposed=True,
        width_in=rows,
        width_out=columns,
    )


def _without_sides(layer: Layer) -> Layer:
    """Return a weight as a parameter whose input and output are not known."""
    module = (*layer.module, "weight")
    return layer._replace(kind="raw", module=module, width_in=0, width_out=0)


def _may_be_margin(layer: Layer, classes: int | None) -> bool:
    """Return whether a weight that was saved alone may be a margin, whose embedding
    often has a power of two as its width.
    """
    is_embedding = layer.width_out >= 128 and layer.width_out.bit_count() == 1
    has_classes = layer.width_in == classes or layer.width_in.bit_count() > 1
    return is_embedding and has_classes


def _orient_parameter(
    layer: Layer, widths: set[int], ends: _Ends, classes: int | None, may_be_table: bool
) -> Layer:
    """Return a raw parameter with its classes as rows, if the number of classes or the
    widths of other layers show them.
    """
    weight = layer.tensor
    rows, columns = weight.shape[:2]
    # The outputs of a 1x1 convolution are its rows.
    if len(weight.shape) > 2 or weight.has_output_rows:
        return layer._replace(width_out=rows, width_in=columns)
    turned = layer._replace(weight=weight.transposed, width_in=rows, width_out=columns)
    name = layer.module[-1]
    if name == "fc":
        refusal = (
            "holds several centres for each class (SoftTriple), so no single row is a"
            " class"
        )
        return turned._replace(refusal=refusal)
    has_columns = _has_class_columns(layer, widths, ends, classes, may_be_table)
    if has_columns is None:
        return layer
    if has_columns:
        return turned
    return layer._replace(width_out=rows, width_in=columns)


def _has_class_columns(
    layer: Layer, widths: set[int], ends: _Ends, classes: int | None, may_be_table: bool
) -> bool | None:
    """Return whether a raw parameter has a column for each class, or None if nothing
    shows it.

    The number of classes is the strongest evidence, then the axis that takes the output
    of a layer, then the name.
    """
    rows, columns = layer.tensor.shape
    if classes in (rows, columns) and rows != columns:
        return columns == classes
    # In pytorch-metric-learning, proxies have a row for each class, and the W of a loss
    # has a column.
    name = layer.module[-1]
    by_name = False if name == "proxies" else None
    if name == "W" and layer.is_in_loss:
        by_name = True
    inputs = {rows, columns} & widths
    if len(inputs) == 2 or rows == columns or name == "weight":
        inputs = unused_sides(rows, columns, ends)
    # A table of as many rows as classes looks like the weight of a margin.
    if name == "weight" and may_be_table:
        inputs = set()
    if len(inputs) != 1:
        return by_name
    by_input = rows in inputs
    is_contradiction = by_name is not None and by_name != by_input
    if is_contradiction and any(map(IN_LOSS.search, (*layer.path, *layer.module[:-1]))):
        return None
    return by_input
