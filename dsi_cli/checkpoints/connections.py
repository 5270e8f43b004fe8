"""Find out which layer of a network takes the output of which.

A state dict does not contain the computation of a network. But layers are stored in the
order in which the network's code registered them, and a layer most likely feeds a later
layer whose input width equals its output width.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from dsi_cli.checkpoints.layers import Layer, is_linear, stem

_CLASS_VECTORS = re.compile(r"^(W|weights?|proxies|prototypes?|class_\w+)$")
"""Names of a model's parameters that hold a vector for each class."""
# layers of one width that are compared with a layer; hostile files have many thousands
_MAX_CONSUMERS = 256
_MAX_UNUSED = 6  # the last layers whose outputs a later layer may join
_IMAGE_CHANNELS = 4


def consumers(layers: Sequence[Layer], *, ordered: bool) -> dict[int, int]:
    """Return ``{position of a layer: position of the layer that takes its output}``.

    With ``ordered``, the layers are in the order in which the network's code registered
    them. A layer then takes the output of the last layer before it whose output width
    equals its input width. Otherwise it may take the output of any other such layer,
    but not that of a layer with the same name and a higher number (``fc2`` and
    ``fc3``).
    """
    if ordered:
        return dict(_edges(layers))
    computing = [layer for layer in layers if _computes(layer)]
    by_input: dict[int, list[Layer]] = {}
    numbers: dict[int, list[int]] = {}
    stems: dict[int, tuple[str, ...]] = {}
    for layer in computing:
        by_input.setdefault(layer.width_in, []).append(layer)
        digits = re.findall(r"\d{1,9}", ".".join(layer.module))
        numbers[layer.position] = [int(number) for number in digits]
        stems[layer.position] = stem(layer)
    found = {}
    for layer in computing:
        own = layer.position
        for taker in by_input.get(layer.width_out, ())[:_MAX_CONSUMERS]:
            other = taker.position
            is_earlier = (
                stems[own] == stems[other]
                and len(numbers[own]) == len(numbers[other])
                and numbers[other] <= numbers[own]
            )
            if not is_earlier and not _is_image_after_scores(layer, taker):
                found[own] = other
                break
    return found


def unused_layers(layers: Sequence[Layer], consumer: Mapping[int, int]) -> list[Layer]:
    """Return the layers whose output no other layer takes."""
    return [
        layer
        for layer in layers
        if layer.kind in ("matrix", "other") and layer.position not in consumer
    ]


def _edges(layers: Sequence[Layer]) -> Iterator[tuple[int, int]]:
    """Yield the positions of a layer and of its consumer, given the order of the
    network's code.
    """
    producers: dict[int, Layer] = {}
    unused: list[Layer] = []
    without_input: list[Layer] = []
    consumed: set[int] = set()
    for layer in _own_parameters_last(layers):
        if not _computes(layer):
            continue
        inputs = _inputs_of(layer, producers.get(layer.width_in), unused)
        for position in inputs:
            consumed.add(position)
            yield position, layer.position
        if not inputs and layer.kind == "matrix" and layer.has_bias:
            without_input.append(layer)
        unused = [earlier for earlier in unused if earlier.position not in inputs]
        unused = [*unused, layer][-_MAX_UNUSED:]
        producers[layer.width_out] = layer
    # A layer may be registered before the layer that feeds it.
    for layer in without_input:
        later = [it.position for it in unused if it.width_out == layer.width_in]
        if layer.position not in consumed and later and later[-1] > layer.position:
            yield later[-1], layer.position


def _own_parameters_last(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers with a module's own parameters, which come first in a state
    dict, after those of its submodules.
    """
    last_in: dict[tuple[object, ...], int] = {}
    for layer in layers:
        for length in range(len(layer.module)):
            last_in[(layer.path, *layer.module[:length])] = layer.position

    def sort_key(layer: Layer) -> tuple[int, bool, int]:
        parts = layer.module[:-1] if layer.kind == "raw" else layer.module
        owner = (layer.path, *parts)
        end = last_in.get(owner, layer.position)
        return end, owner in last_in, layer.position

    return sorted(layers, key=sort_key)


def _computes(layer: Layer) -> bool:
    """Return whether a layer converts an input of one width into an output of
    another.
    """
    if layer.kind == "norm" or layer.width_out == 0:
        return False
    return layer.kind != "raw" or _CLASS_VECTORS.match(layer.module[-1]) is not None


def _inputs_of(
    layer: Layer, producer: Layer | None, unused: Sequence[Layer]
) -> list[int]:
    """Return the positions of the layers whose outputs a layer takes; the producer is
    the last layer with the right width.
    """
    if producer is not None and not _is_image_after_scores(producer, layer):
        # A layer with a single output scores one branch, as in attention.
        if layer.width_out == 1:
            return [producer.position]
        return [producer.position, *_parallel_to(producer, unused)]
    inputs = _inputs_of_other_width(layer, unused)
    found = [it.position for it in inputs]
    for part in inputs:
        found += _parallel_to(part, unused)
    return list(dict.fromkeys(found))


def _parallel_to(layer: Layer, unused: Sequence[Layer]) -> list[int]:
    """Return the positions of the layers that run in parallel to a layer: the levels of
    a pyramid, or a mean and a variance.
    """
    positions = []
    for other in unused:
        if other.position == layer.position or other.width_out != layer.width_out:
            continue
        is_alike = other.width_in == layer.width_in or stem(other) == stem(layer)
        if is_alike and other.module[:-1] == layer.module[:-1]:
            positions.append(other.position)
    return positions


def _inputs_of_other_width(layer: Layer, unused: Sequence[Layer]) -> list[Layer]:
    """Return several layers whose concatenated outputs are a layer's input, or one that
    is flattened.
    """
    width = layer.width_in
    given = [it for it in unused if not _is_image_after_scores(it, layer)]
    for count in range(2, len(given) + 1):
        for parts in combinations(given, count):
            if sum(part.width_out for part in parts) == width:
                return list(parts)
    if not given:
        return []
    before = given[-1]
    # A linear layer may take the flattened output of a convolution.
    is_flattened = is_linear(layer) and not is_linear(before)
    if is_flattened and before.width_out > 1 and width % before.width_out == 0:
        return [before]
    return []


def _is_image_after_scores(producer: Layer, consumer: Layer) -> bool:
    """Return whether a classifier of a few classes would feed the first convolution of
    a network, which takes an image.
    """
    if producer.kind != "matrix" or consumer.kind != "other" or consumer.weight is None:
        return False
    return 1 < consumer.weight.shape[1] == consumer.width_in <= _IMAGE_CHANNELS
