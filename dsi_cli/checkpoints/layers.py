"""The layers of a network, read from the names and shapes of its parameters.

A state dict does not say how a network computes its output, but its parameters tell a good part of it. Each layer has a width
that goes in and a width that comes out, layers are stored in the order in which the network's code registered them, and a layer
whose output width equals the input width of a later one most likely feeds it. This module groups parameters into layers, puts
the parts of a factorised weight together (pruning, weight norm, spectral norm, LoRA), and traces which layer feeds which.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import prod
from typing import NamedTuple

from dsi_cli.checkpoints.tensors import FLOATS, Tensor
from dsi_cli.checkpoints.trainers import NestedStateDict

PRUNED, WEIGHT_NORM, SPECTRAL_NORM, LORA, PLAIN = "pruned", "weight norm", "spectral norm", "LoRA", "plain"
WINDOW = "window"
"""A convolution of k x k whose outputs are averaged over all positions, as a head that the user names."""

_WRAPPERS = frozenset(
    {"module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "base_model", "params"}
    | {"model", "net", "network", "timm_model", "student", "functional", "sequential"}
)
"""First parts of a path that only say that a model is wrapped."""
IN_LOSS = re.compile(r"loss|criterion|margin|metric_fc|arc_?face|cos_?face|(^|\.)arc($|\.)|proxy", re.IGNORECASE)
"""Names of modules and keys that hold the weights of a loss."""
_CLASS_VECTORS = re.compile(r"^(W|weights?|proxies|prototypes?|class_\w+)$")
"""Names of parameters of a model that hold a vector for each class."""
_RECURRENT = re.compile(r"weight_hh_l(\d+)(_reverse)?")
_TRAINED_COPY = re.compile(r"\.modules_to_save\.[^.]+")
_LORA_FACTOR = re.compile(r"\.(lora_[AB])(?:\.[^.]+)?\.weight$|\.(lora_[AB])$")
_LORA_EXTRA = re.compile(r"\.lora_(?:embedding_[AB]|magnitude_vector)(?=\.|$)")
_BUFFERS = frozenset({"running_mean", "running_var", "num_batches_tracked"})
_OPTIMIZER_STATE = frozenset(
    {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg", "grad_avg", "acc_delta"}
)
"""What torch's optimisers keep for each parameter, where a file without groups holds it next to the parameters."""
_ADAPTED = "is changed by an adapter (LoRA) of a kind that dsi does not put together"
_ORIGINAL = "parametrizations.weight.original"
_MAX_DIMENSIONS = 8


@dataclass(frozen=True)
class Factors:
    """How the effective weight of a layer follows from the tensors that are stored.

    Attributes
    ----------
    kind : one of `PLAIN`, `PRUNED` (weight times mask), `WEIGHT_NORM` (directions times lengths), `SPECTRAL_NORM` (weight divided
        by its largest singular value) and `LORA` (weight plus a scaled product of two thin matrices)
    tensors : the further tensors by their role: ``mask``; ``lengths``; ``left`` and ``right`` singular vector; ``down`` and ``up``
    """

    kind: str = PLAIN
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


class Layer(NamedTuple):
    """A layer of a network.

    Attributes
    ----------
    name : the name of its weight in the state dict
    path : the keys that lead to the state dict
    role : ``raw`` or ``ema``, which of the weights of a checkpoint these are
    module : the parts of the layer's own path, without the names of wrappers
    weight : the stored weight with its first axis as the output, if the layer has one that is known
    width_in, width_out : the widths of input and output; 0 where they are not known
    position : where the layer stands in the order of the file
    kind : ``matrix`` (linear layer or 1x1 convolution), ``raw`` (a parameter of the model itself), ``norm`` or ``other``
    has_bias : whether it has a bias with a value for each output
    factors : how its effective weight is put together
    refusal : why its weight cannot be used, if it cannot
    is_turned : whether the file stores the outputs as columns
    """

    name: str
    path: tuple[str, ...]
    role: str
    module: tuple[str, ...]
    weight: Tensor | None
    width_in: int
    width_out: int
    position: int
    kind: str
    has_bias: bool = False
    factors: Factors = Factors()
    refusal: str | None = None
    is_transposed: bool = False

    @property
    def full_name(self) -> str:
        """The name of the weight with the keys that lead to it, which tells two models in one file apart."""
        return ".".join((*self.path, self.name))


def layers_of(groups: Sequence[NestedStateDict]) -> list[Layer]:
    """Return the layers of all state dicts, in the order in which they are stored."""
    found: list[Layer] = []
    for group in groups:
        adapted = {name.partition(".lora")[0] for name in group.tensors if ".lora" in name}
        for module, parameters in _modules(group.tensors).items():
            names = {parameter: name for parameter, (name, _) in parameters.items()}
            held = {parameter: tensor for parameter, (_, tensor) in parameters.items()}
            layer = _layer(_Module(group, _unwrapped(module), names, held, len(found)))
            if layer is None or "lora" in module.split("."):
                continue
            if {module, module.rpartition(".")[0]} & adapted and layer.factors.kind != LORA and layer.weight is not None:
                layer = layer._replace(refusal=layer.refusal or _ADAPTED)
            found.append(layer)
    return [_without_turned_parts(layer) for layer in _with_known_sides(found)]


def _without_turned_parts(layer: Layer) -> Layer:
    """Return a layer, refused if its outputs are columns and its weight is stored in parts, which are put together by rows only."""
    if layer.is_transposed and layer.factors.kind != PLAIN:
        return layer._replace(
            refusal="has a column for each output and is stored in parts, which dsi does not put together"
        )
    return layer


def _with_known_sides(layers: list[Layer]) -> list[Layer]:
    """Return the layers with square weights turned or refused, if other layers of the network store their outputs as columns."""
    turned = [
        layer.is_transposed
        for layer in layers
        if layer.kind == "matrix" and layer.has_bias and layer.width_in != layer.width_out
    ]
    if not any(turned):
        return layers
    return [_square_side(layer, turn=all(turned)) for layer in layers]


def _square_side(layer: Layer, *, turn: bool) -> Layer:
    if layer.kind != "matrix" or not layer.has_bias or layer.width_in != layer.width_out or layer.weight is None:
        return layer
    if turn:
        return layer._replace(weight=layer.weight.transposed, is_transposed=True)
    return layer._replace(
        refusal="is square, and other layers of this file store their outputs both as rows and as columns"
    )


def is_registration_order(tensors: Iterable[str]) -> bool:
    """Return whether names are in the order of the network's code, and not sorted as safetensors and JAX store them.

    A layer registers its weight before its bias, and sorting turns them round.

    >>> is_registration_order(["fc.weight", "fc.bias"]), is_registration_order(["fc.bias", "fc.weight"])
    (True, False)
    """
    first: dict[str, str] = {}
    for name in tensors:
        module, _, parameter = name.rpartition(".")
        first.setdefault(module, parameter)
    parameters = set(first.values())
    return "bias" not in parameters or bool(parameters & {"weight", "kernel"})


def is_matrix(tensor: Tensor) -> bool:
    """Return whether a tensor is a matrix, or the weight of a 1x1 convolution."""
    shape = tensor.shape
    return 2 <= len(shape) <= _MAX_DIMENSIONS and min(shape) >= 1 and all(size == 1 for size in shape[2:])


def _modules(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, tuple[str, Tensor]]]:
    """Return the parameters of each layer: under the layer's path, each parameter's name in the layer and in the state dict."""
    trained = {_TRAINED_COPY.sub("", name) for name in tensors if ".modules_to_save." in name}
    modules: dict[str, dict[str, tuple[str, Tensor]]] = {}
    for name, tensor in tensors.items():
        short = _TRAINED_COPY.sub("", name) if trained else name
        if short == name and (".original_module." in name or name in trained):
            continue  # PEFT keeps the weights before training next to the trained copy
        module, parameter = _split(short)
        modules.setdefault(module, {}).setdefault(parameter, (name, tensor))
    return modules


def _split(name: str) -> tuple[str, str]:
    """Return the layer that a parameter belongs to, and which of its parameters it is."""
    if "parametrizations." in name:
        layer, _, parameter = name.rpartition("parametrizations.")
        return layer.removesuffix("."), f"parametrizations.{parameter}"
    factor = _LORA_FACTOR.search(name) or _LORA_EXTRA.search(name) if "lora_" in name else None
    if factor is not None:
        return name[: factor.start()], factor.group(0).split(".")[1]
    parent, _, last = name.rpartition(".")
    if last == "_packed_params":
        return parent.removesuffix("._packed_params"), last
    return parent.removesuffix(".base_layer"), last


class _Module(NamedTuple):
    """The parameters of one module of a network."""

    group: NestedStateDict
    parts: tuple[str, ...]
    """The module's path, without the names of wrappers."""
    names: dict[str, str]
    """The name of each parameter in the state dict, by its name in the module."""
    held: dict[str, Tensor]
    """The parameters, by their names in the module."""
    position: int

    def layer(self, parameter: str, kind: str, width_in: int, width_out: int) -> Layer:
        """Return the layer that this module is, named by one of its parameters."""
        path, role = self.group.path, self.group.role
        return Layer(self.names[parameter], path, role, self.parts, None, width_in, width_out, self.position, kind)


def _layer(module: _Module) -> Layer | None:
    """Return the layer that a module is; None if it is none (a buffer, a scalar)."""
    for read in (_recurrent, _attention, _linear_or_convolution, _norm, _raw):
        layer = read(module)
        if layer is not None:
            return layer
    return None


def _recurrent(module: _Module) -> Layer | None:
    """Return an RNN, LSTM or GRU, whose output is the hidden state of its last layer, in both directions if it has two."""
    name = max((name for name in module.held if _RECURRENT.fullmatch(name)), default=None)
    if name is None or len(module.held[name].shape) != 2:
        return None
    directions = 2 if any(one.endswith("_reverse") for one in module.held) else 1
    first = module.held.get("weight_ih_l0", module.held[name])
    return module.layer(name, "other", first.shape[-1], module.held[name].shape[1] * directions)


def _attention(module: _Module) -> Layer | None:
    """Return torch's multi-head attention, whose input and output have the same width."""
    joined = module.held.get("in_proj_weight")
    if joined is None or len(joined.shape) != 2:
        return None
    return module.layer("in_proj_weight", "other", joined.shape[1], joined.shape[1])


def _linear_or_convolution(module: _Module) -> Layer | None:
    """Return a layer that multiplies by a weight."""
    found = _weight(module.held)
    if found is None:
        return None
    parameter, factors, refusal = found
    stored = module.held[parameter]
    if len(stored.shape) < 2:
        return None
    is_turned = parameter == "kernel" or _bias_is_along_columns(stored, module.held.get("bias"))
    weight = stored.transposed if is_turned else stored
    if weight.dtype not in FLOATS:
        refusal = f"has {weight.dtype} elements, which dsi does not read"
    kind = "matrix" if is_matrix(weight) else "other"
    is_depthwise = kind == "other" and weight.shape[1] == 1
    layer = module.layer(parameter, kind, weight.shape[0] if is_depthwise else weight.shape[1], weight.shape[0])
    has_bias = "bias" in module.held or "bias_orig" in module.held
    return layer._replace(weight=weight, has_bias=has_bias, factors=factors, refusal=refusal, is_transposed=is_turned)


def _norm(module: _Module) -> Layer | None:
    """Return a normalisation, which has a vector of scales or of running means."""
    name = next((name for name in ("weight", "gamma", "scale", "running_mean") if name in module.held), None)
    if name is None or len(module.held[name].shape) != 1 or IN_LOSS.search(".".join(module.parts)):
        return None
    width = module.held[name].shape[0]
    return module.layer(name, "norm", width, width) if width > 1 else None


def _raw(module: _Module) -> Layer | None:
    """Return a matrix that is a parameter of the model itself (``W``, ``prototypes``), and not a part of something."""
    for parameter, tensor in module.held.items():
        is_part = parameter in _BUFFERS | _OPTIMIZER_STATE or parameter.startswith(("lora_", "weight", "bias"))
        if not is_part and len(tensor.shape) == 2 and min(tensor.shape) > 1 and tensor.dtype in FLOATS:
            layer = module.layer(parameter, "raw", 0, 0)
            return layer._replace(module=(*module.parts, parameter), weight=tensor)
    return None


def _bias_is_along_columns(weight: Tensor, bias: Tensor | None) -> bool:
    """Return whether a bias shows that a matrix has a column for each output (graph convolutions, GPT-2)."""
    return bias is not None and len(weight.shape) == 2 and bias.shape == weight.shape[1:] != weight.shape[:1]


def _weight(tensors: Mapping[str, Tensor]) -> tuple[str, Factors, str | None] | None:
    """Return which parameter is the layer's weight, how the effective weight follows from it, and why it cannot be used."""
    parametrised = [name for name in tensors if name.startswith("parametrizations.weight.")]
    if parametrised:
        return _parametrised(tensors, parametrised)
    if "weight_orig" in tensors:
        return _pruned_or_spectral(tensors)
    if "weight_v" in tensors and len(tensors["weight_v"].shape) >= 2:
        if "weight_g" in tensors:
            return "weight_v", Factors(WEIGHT_NORM, {"lengths": tensors["weight_g"]}), None
        return "weight_v", Factors(), "holds only the directions of the rows, and their lengths (weight_g) are missing"
    if "_packed_params" in tensors:
        return "_packed_params", Factors(), None
    plain = next((name for name in ("weight", "kernel") if name in tensors and len(tensors[name].shape) >= 2), None)
    return None if plain is None else _plain(plain, tensors)


def _pruned_or_spectral(tensors: Mapping[str, Tensor]) -> tuple[str, Factors, str | None]:
    if "weight_mask" in tensors:
        return "weight_orig", Factors(PRUNED, {"mask": tensors["weight_mask"]}), None
    if "weight_u" in tensors:
        return _spectral("weight_orig", tensors, "weight_u", "weight_v")
    return "weight_orig", Factors(), "is only a part of the weight, and the mask that belongs to it is missing"


def _plain(weight: str, tensors: Mapping[str, Tensor]) -> tuple[str, Factors, str | None]:
    """Return a weight that is stored as it is, unless an adapter or a scale next to it changes it."""
    scale = _scale_of_rows(weight, tensors)
    if scale is not None:
        return weight, Factors(), f"is scaled by the parameter {scale!r} next to it, in a way that the file does not tell"
    if "lora_A" in tensors and "lora_B" in tensors and "lora_magnitude_vector" not in tensors:
        return weight, Factors(LORA, {"down": tensors["lora_A"], "up": tensors["lora_B"]}), None
    is_adapted = any(name.startswith("lora_") for name in tensors)
    return weight, Factors(), _ADAPTED if is_adapted else None


def _scale_of_rows(weight: str, tensors: Mapping[str, Tensor]) -> str | None:
    """Return the parameter that scales each row of a weight (weight standardisation has a gain); None if there is none."""
    tensor = tensors[weight]
    rows = tensor.shape[-1 if weight == "kernel" else 0]
    for name, other in tensors.items():
        if not name.startswith(("bias", "weight", "kernel")) and rows > 1 and prod(other.shape) == rows == other.shape[0]:
            return name
    return None


def _parametrised(tensors: Mapping[str, Tensor], names: Sequence[str]) -> tuple[str, Factors, str | None] | None:
    """Return the weight of a layer that uses `torch.nn.utils.parametrize`."""
    prefix = "parametrizations.weight."
    others = {name.removeprefix(prefix) for name in names}
    if others == {"original0", "original1"}:
        lengths = tensors[f"{_ORIGINAL}0"]
        return f"{_ORIGINAL}1", Factors(WEIGHT_NORM, {"lengths": lengths}), None
    main = next((name for name in (_ORIGINAL, f"{_ORIGINAL}1", f"{_ORIGINAL}0") if name in tensors), None)
    if main is None:
        return None
    if others == {"original", "0._u", "0._v"}:
        return _spectral(main, tensors, f"{prefix}0._u", f"{prefix}0._v")
    return main, Factors(), "is only the input of a parametrisation, whose function is not stored in the file"


def _spectral(main: str, tensors: Mapping[str, Tensor], left: str, right: str) -> tuple[str, Factors, str | None]:
    if right not in tensors:
        return main, Factors(), "is only a part of the weight, and its singular vectors are missing"
    return main, Factors(SPECTRAL_NORM, {"left": tensors[left], "right": tensors[right]}), None


def _unwrapped(module: str) -> tuple[str, ...]:
    """Return the parts of a layer's path without the names of wrappers at its beginning."""
    parts = module.split(".") if module else []
    while len(parts) > 1 and parts[0] in _WRAPPERS:
        parts = parts[1:]
    return tuple(parts)


def consumers(layers: Sequence[Layer], *, ordered: bool) -> dict[int, int]:
    """Return which layer takes the output of which, as positions: the consumer of each layer that has one.

    Parameters
    ----------
    layers : in the order in which they are stored
    ordered : whether that is the order in which the network's code registered them. Then a layer is fed by the last one before it
        whose output has the width of its input; else, by any other layer with such an output.
    """
    return dict(_edges(layers)) if ordered else dict(_edges_without_order(layers))


def _edges(layers: Sequence[Layer]) -> Iterator[tuple[int, int]]:
    producers: dict[int, int] = {}
    unused: list[Layer] = []
    starved: list[Layer] = []
    consumed: set[int] = set()
    for layer in layers:
        if not _computes(layer):
            continue
        fed_by = [producers[layer.width_in]] if layer.width_in in producers else _parts_of_input(layer, unused)
        for position in fed_by:
            consumed.add(position)
            yield position, layer.position
        if not fed_by and layer.kind == "matrix" and layer.has_bias:
            starved.append(layer)
        unused = [one for one in unused if one.position not in fed_by][-5:]
        if layer.width_out:
            producers[layer.width_out] = layer.position
            unused.append(layer)
    for layer in starved:  # registered before the layer that feeds it
        later = [one for one in unused if one.position > layer.position and one.width_out == layer.width_in]
        if later and layer.position not in consumed:
            yield later[-1].position, layer.position


def _computes(layer: Layer) -> bool:
    """Return whether a layer turns an input of one width into an output of another."""
    if layer.kind == "raw":
        return layer.width_out > 0 and _CLASS_VECTORS.match(layer.module[-1]) is not None
    return layer.kind != "norm" and layer.width_out > 0


def _parts_of_input(layer: Layer, unused: Sequence[Layer]) -> list[int]:
    """Return the layers whose outputs make a layer's input: several, concatenated; or the one before, flattened."""
    width = layer.width_in
    for count in range(2, len(unused) + 1):
        for parts in combinations(unused, count):
            if sum(part.width_out for part in parts) == width:
                return [part.position for part in parts]
    before = unused[-1] if unused else None
    is_linear = layer.weight is not None and len(layer.weight.shape) == 2
    is_map = before is not None and (before.weight is None or len(before.weight.shape) > 2)
    if before is not None and is_linear and is_map and before.width_out > 1 and width % before.width_out == 0:
        return [before.position]
    return []


def _edges_without_order(layers: Sequence[Layer]) -> Iterator[tuple[int, int]]:
    takers: dict[int, list[Layer]] = {}
    for layer in layers:
        if _computes(layer):
            takers.setdefault(layer.width_in, []).append(layer)
    for layer in layers:
        if not _computes(layer):
            continue
        taker = next((one for one in takers.get(layer.width_out, ()) if one.position != layer.position), None)
        if taker is not None:
            yield layer.position, taker.position
