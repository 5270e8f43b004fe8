"""Reconstruct the layers of a network from the names and shapes of its parameters.

A state dict does not contain the computation of a network, but its parameters show a
good part of it. Each layer has an input width and an output width. Layers are stored in
the order in which the network's code registered them. A layer most likely feeds a later
layer whose input width equals its output width.

This module groups parameters into layers, finds the parts of a factorised weight
(pruning, weight norm, spectral norm), and traces which layer feeds which.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations
from math import prod
from typing import NamedTuple, TypeAlias

from dsi_cli.checkpoints.tensors import FLOATS, Tensor
from dsi_cli.checkpoints.trainers import NestedStateDict

PRUNED, WEIGHT_NORM, SPECTRAL_NORM, PLAIN = (
    "pruned",
    "weight norm",
    "spectral norm",
    "plain",
)

_WRAPPERS = frozenset(
    {
        "module",
        "_orig_mod",
        "_forward_module",
        "_fsdp_wrapped_module",
        "base_model",
        "params",
    }
    | {"model", "net", "network", "timm_model", "student", "functional", "sequential"}
)
"""The first parts of a path that only show that a model is wrapped."""
IN_LOSS = re.compile(
    r"loss|criterion|margin|metric_fc|arc_?face|cos_?face|(^|\.)arc($|\.)|proxy",
    re.IGNORECASE,
)
"""Names of modules and keys that hold the weights of a loss."""
_CLASS_VECTORS = re.compile(r"^(W|weights?|proxies|prototypes?|class_\w+)$")
"""Names of a model's parameters that hold a vector for each class."""
_RECURRENT = re.compile(r"weight_hh_l(\d+)(_reverse)?")
_TRAINED_COPY = re.compile(r"\.modules_to_save\.[^.]+")
_LORA_FACTOR = re.compile(r"\.(lora_[AB])(?:\.[^.]+)?\.weight$|\.(lora_[AB])$")
_LORA_EXTRA = re.compile(r"\.lora_(?:embedding_[AB]|magnitude_vector)(?=\.|$)")
_PART = re.compile(
    r"lora_|weight_|bias|intercept|([a-z]+_)?b\d*$"
    r"|(exp_avg|exp_avg_sq|max_exp_avg_sq|exp_inf|momentum_buffer|square_avg|grad_avg|acc_delta)$"
)
"""Names of parts of a weight, of biases, and of the state of torch's optimisers, which
some files store next to the parameters.
"""
_ADAPTED = (
    "is changed by an adapter (LoRA); merge it before saving, with merge_and_unload of"
    " peft"
)
_PARAMETRISED = "parametrizations.weight."
_MAX_DIMENSIONS = 8
_MAX_FACTORS = 8
# layers of one width that are compared with a layer; hostile files have many thousands
_MAX_CONSUMERS = 256
_IMAGE_CHANNELS = 4
# the dtypes that pack the weight of a quantised layer
_PACKED = (
    "int32",
    "int8",
    "uint8",
)


@dataclass(frozen=True)
class Factors:
    """The tensors from which the effective weight of a layer is computed."""

    kind: str = PLAIN
    """One of `PLAIN`, `PRUNED` (weight times mask), `WEIGHT_NORM` (directions times
    lengths) and `SPECTRAL_NORM` (weight divided by its largest singular value).
    """
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    """The further tensors by their role: ``mask``; ``lengths``; ``left`` and ``right``
    singular vector.
    """


class StoredWeight(NamedTuple):
    """The parameter of a module that is its weight, or the main part of it."""

    parameter: str  # the name of the parameter in the module
    factors: Factors = Factors()
    refusal: str | None = (
        None  # the reason why the effective weight cannot be computed, if there is one
    )


class Layer(NamedTuple):
    """A layer of a network."""

    name: str  # the name of its weight in the state dict
    path: tuple[str, ...]  # the keys that lead to the state dict
    role: str  # ``raw`` or ``ema``
    # the parts of the layer's path, without the names of wrappers
    module: tuple[str, ...]
    # the stored weight with its first axis as the output, if the layer has a known
    # weight
    weight: Tensor | None
    width_in: int  # the width of its input; 0 if it is not known
    width_out: int  # the width of its output; 0 if it is not known
    position: int  # the index of the layer in the order of the file
    kind: str
    """``matrix`` (linear layer or 1x1 convolution), ``raw`` (a parameter of the model
    itself), ``stack`` (such a parameter with three axes), ``norm`` or ``other``.
    """
    has_bias: bool = False
    bias: tuple[Tensor, ...] = ()
    """The tensors whose product is its bias: one, or for a pruned bias also the mask;
    empty if the bias is unknown.
    """
    factors: Factors = Factors()  # the parts of its effective weight
    refusal: str | None = (
        None  # the reason why its weight cannot be used, if there is one
    )
    is_transposed: bool = False  # True if the file stores the outputs as columns

    @property
    def tensor(self) -> Tensor:
        """The weight of a layer that has one."""
        assert self.weight is not None
        return self.weight

    @property
    def full_name(self) -> str:
        """The keys and the name of the weight, which distinguish two models in one
        file.
        """
        return ".".join((*self.path, self.name))

    @property
    def is_in_loss(self) -> bool:
        """Return whether a module around it, or a key that leads to it, has the name of
        a loss.
        """
        return any(map(IN_LOSS.search, (*self.path, *self.module[:-1])))


def layers_of(groups: Sequence[NestedStateDict]) -> list[Layer]:
    """Return the layers of all state dicts, in the order in which they are stored."""
    modules = [module for group in groups for module in _modules(group)]
    times = Counter(tuple(module.parameters) for module in modules)
    layers: list[Layer] = []
    for module in modules:
        module = module._replace(position=len(layers))
        readers = (_recurrent, _attention, _linear_or_convolution, _norm)
        layer = next(
            (found for read in readers if (found := read(module)) is not None), None
        )
        # The matrices next to the packed weight of a quantised layer are its scales.
        is_packed = module.path and any(
            it.dtype in _PACKED and len(it.shape) > 1
            for it in module.parameters.values()
        )
        if layer is not None:
            layers.append(layer)
        elif not is_packed:
            layers += _own_parameters(module, times[tuple(module.parameters)] > 1)
    # Parts of a weight are only combined by rows.
    refusal = (
        "has a column for each output and is stored in parts, which dsi does not put"
        " together"
    )
    return [
        (
            layer._replace(refusal=refusal)
            if layer.is_transposed and layer.factors.kind != PLAIN
            else layer
        )
        for layer in _orient_square_weights(layers)
    ]


def _orient_square_weights(layers: list[Layer]) -> list[Layer]:
    """Return the layers with square weights transposed or refused, if other layers
    store their outputs as columns.
    """
    linear = [layer for layer in layers if layer.kind == "matrix" and layer.has_bias]
    transposed = [
        layer.is_transposed for layer in linear if layer.width_in != layer.width_out
    ]
    if not any(transposed):
        return layers
    unknown = [
        layer
        for layer in linear
        if not (layer.is_transposed or layer.tensor.has_output_rows)
    ]
    square = {layer.position for layer in unknown if layer.width_in == layer.width_out}
    oriented = []
    for layer in layers:
        if layer.position in square:
            if all(transposed):
                layer = layer._replace(
                    weight=layer.tensor.transposed, is_transposed=True
                )
            else:
                refusal = (
                    "is square, and other layers of this file store their outputs both"
                    " as rows and as columns"
                )
                layer = layer._replace(refusal=refusal)
        oriented.append(layer)
    return oriented


def is_registration_order(tensors: Iterable[str]) -> bool:
    """Return whether names are in the order of the network's code, and not sorted as in
    safetensors and JAX.

    A layer registers its weight before its bias, and sorting reverses that.

    >>> is_registration_order(["fc.weight", "fc.bias"]), is_registration_order(["fc.bias", "fc.weight"])
    (True, False)
    """
    first: dict[str, str] = {}
    for name in tensors:
        module, _, parameter = name.rpartition(".")
        first.setdefault(module, parameter)
    first_parameters = set(first.values())
    return "bias" not in first_parameters or bool(
        first_parameters & {"weight", "kernel"}
    )


def is_sorted_by_name(groups: Sequence[NestedStateDict]) -> bool:
    """Return whether a file is sorted by name, so that its first layer need not be that
    of the network.
    """
    names = [list(group.tensors) for group in groups]
    return names == [sorted(part) for part in names] and "bias" in {
        name.rpartition(".")[2] for name in chain(*names)
    }


def is_matrix(tensor: Tensor) -> bool:
    """Return whether a tensor is a matrix, or the weight of a 1x1 convolution."""
    shape = tensor.shape
    return (
        2 <= len(shape) <= _MAX_DIMENSIONS
        and min(shape) >= 1
        and all(size == 1 for size in shape[2:])
    )


def _modules(group: NestedStateDict) -> list[_Module]:
    """Return the modules of a state dict in the order of the file, without those of
    adapters.
    """
    trained = {
        _TRAINED_COPY.sub("", name)
        for name in group.tensors
        if ".modules_to_save." in name
    }
    adapted = {name.partition(".lora")[0] for name in group.tensors if ".lora" in name}
    modules: dict[str, _Module] = {}
    for name, tensor in group.tensors.items():
        short = _TRAINED_COPY.sub("", name) if trained else name
        if short == name and (".original_module." in name or name in trained):
            continue  # PEFT keeps the weights before training next to the trained copy
        path, parameter = _split_name(short)
        if path not in modules:
            is_adapted = path in adapted or path.rpartition(".")[0] in adapted
            # Leave out the names of wrappers at the beginning of the path.
            parts = path.split(".") if path else []
            while len(parts) > 1 and parts[0] in _WRAPPERS:
                del parts[0]
            modules[path] = _Module(group, tuple(parts), {}, {}, 0, is_adapted)
        modules[path].names.setdefault(parameter, name)
        modules[path].parameters.setdefault(parameter, tensor)
    _move_biases(modules)
    return [module for path, module in modules.items() if "lora" not in path.split(".")]


def _move_biases(modules: Mapping[str, _Module]) -> None:
    """Give the only layer of a module the bias that the module adds to its output
    (graph convolutions, FM).
    """
    inner: dict[str, list[_Module]] = {}
    for path, module in modules.items():
        inner.setdefault(path.rpartition(".")[0], []).append(module)
    for path, module in modules.items():
        if not path or list(module.parameters) != ["bias"]:
            continue
        layers = inner.get(path, [])
        if len(layers) == 1 and list(layers[0].parameters) == ["weight"]:
            layers[0].parameters["bias"] = module.parameters["bias"]
            layers[0].names["bias"] = module.names["bias"]


def _split_name(name: str) -> tuple[str, str]:
    """Return the path of a parameter's module, and the parameter's name in it; JAX and
    Keras may separate them by slashes.
    """
    if "." not in name:
        name = name.removesuffix(":0").replace("/", ".")
    if "parametrizations." in name:
        module, _, parameter = name.rpartition("parametrizations.")
        return module.removesuffix("."), f"parametrizations.{parameter}"
    if "lora_" in name:
        factor = _LORA_FACTOR.search(name) or _LORA_EXTRA.search(name)
        if factor is not None:
            return name[: factor.start()], factor.group(0).split(".")[1]
    module, _, parameter = name.rpartition(".")
    suffix = "._packed_params" if parameter == "_packed_params" else ".base_layer"
    return module.removesuffix(suffix), parameter


_Named: TypeAlias = tuple[str, Tensor]
"""A parameter with its name in the module."""


class _Module(NamedTuple):
    """The parameters of one module of a network."""

    group: NestedStateDict
    path: tuple[str, ...]  # the module's path, without the names of wrappers
    names: dict[str, str]  # ``{name in the module: name in the state dict}``
    parameters: dict[str, Tensor]  # the parameters by their names in the module
    position: int
    is_adapted: bool = False

    def layer(self, parameter: str, kind: str, width_in: int, width_out: int) -> Layer:
        """Return the layer of this module, named by one of its parameters."""
        group = self.group
        name = self.names[parameter]
        layer = Layer(
            name,
            group.path,
            group.role,
            self.path,
            None,
            width_in,
            width_out,
            self.position,
            kind,
        )
        return layer._replace(refusal=_ADAPTED) if self.is_adapted else layer


def _recurrent(module: _Module) -> Layer | None:
    """Return an RNN, LSTM or GRU, whose output is the hidden state of its last layer,
    in both directions if it has two.
    """
    name = max(
        (name for name in module.parameters if _RECURRENT.fullmatch(name)), default=None
    )
    if name is None or len(module.parameters[name].shape) != 2:
        return None
    width_out = module.parameters[name].shape[1]
    if any(parameter.endswith("_reverse") for parameter in module.parameters):
        width_out *= 2
    first = module.parameters.get("weight_ih_l0", module.parameters[name])
    return module.layer(name, "other", first.shape[-1], width_out)


def _attention(module: _Module) -> Layer | None:
    """Return torch's multi-head attention, whose input and output have the same
    width.
    """
    projection = module.parameters.get("in_proj_weight")
    if projection is None or len(projection.shape) != 2:
        return None
    return module.layer(
        "in_proj_weight", "other", projection.shape[1], projection.shape[1]
    )


def _linear_or_convolution(module: _Module) -> Layer | None:
    stored = _find_weight(module.parameters)
    if stored is None:
        return None
    parameter, factors, refusal = stored
    weight = module.parameters[parameter]
    if len(weight.shape) < 2:
        return None
    # The bias shows that a matrix has a column for each output (graph convolutions,
    # GPT-2).
    bias_shape = (
        module.parameters["bias"].shape if "bias" in module.parameters else None
    )
    has_output_columns = (
        len(weight.shape) == 2 and bias_shape == weight.shape[1:] != weight.shape[:1]
    )
    is_transposed = (
        parameter == "kernel" or has_output_columns
    ) and not weight.has_output_rows
    if is_transposed:
        weight = weight.transposed
    if weight.dtype not in FLOATS:
        refusal = f"has {weight.dtype} elements, which dsi does not read"
    kind = "matrix" if is_matrix(weight) else "other"
    layer = module.layer(parameter, kind, *_widths(weight, bias_shape))
    refusal = refusal or layer.refusal
    has_bias = "bias" in module.parameters or "bias_orig" in module.parameters
    bias_names = (
        ("bias",) if "bias" in module.parameters else ("bias_orig", "bias_mask")
    )
    bias = (
        tuple(module.parameters[name] for name in bias_names)
        if module.parameters.keys() >= set(bias_names)
        else ()
    )
    layer = layer._replace(has_bias=has_bias, bias=bias)
    return layer._replace(
        weight=weight, factors=factors, refusal=refusal, is_transposed=is_transposed
    )


def _widths(weight: Tensor, bias_shape: tuple[int, ...] | None) -> tuple[int, int]:
    """Return the input width and the output width of a weight, whose first axis usually
    is the output.
    """
    width_out, width_in = weight.shape[:2]
    if is_matrix(weight):
        return width_in, width_out
    if width_in == 1:  # a depthwise convolution has as many inputs as outputs
        return width_out, width_out
    # A transposed convolution has a bias for each column.
    return (
        (width_out, width_in)
        if bias_shape == (width_in,) != (width_out,)
        else (width_in, width_out)
    )


def _norm(module: _Module) -> Layer | None:
    """Return a normalisation, which has a vector of scales or of running means."""
    names = ("weight", "gamma", "scale", "running_mean")
    name = next((name for name in names if name in module.parameters), None)
    if (
        name is None
        or len(module.parameters[name].shape) != 1
        or IN_LOSS.search(".".join(module.path))
    ):
        return None
    width = module.parameters[name].shape[0]
    return module.layer(name, "norm", width, width) if width > 1 else None


def _own_parameters(module: _Module, is_repeated: bool) -> list[Layer]:
    """Return the matrices that are parameters of the model itself (``prototypes``), or
    its layers written by hand (``W1, b1``).

    Layers written by hand have as many vectors as weights, and the i-th vector is the
    bias of the i-th weight. A single pair of a weight and a vector is such a layer if
    the names are repeated in another module, or the vector has the name of a bias.
    """
    weights, biases = _weights_and_biases(module.parameters)
    if _are_written_by_hand(weights, biases, is_repeated):
        pairs = enumerate(zip(weights, biases, strict=True), module.position)
        found = [
            _linear_or_convolution(_written_by_hand(module, position, *pair))
            for position, pair in pairs
        ]
        return [layer for layer in found if layer is not None]
    layers: list[Layer] = []
    for name, tensor in weights:
        is_convolution = len(tensor.shape) == 4 and is_matrix(tensor)
        is_raw = (len(tensor.shape) == 2 or is_convolution) and min(
            tensor.shape[:2]
        ) > 1
        if (is_raw or len(tensor.shape) == 3) and tensor.dtype in FLOATS:
            layer = module.layer(name, "raw" if is_raw else "stack", 0, 0)
            position = module.position + len(layers)
            layers.append(
                layer._replace(
                    module=(*module.path, name), weight=tensor, position=position
                )
            )
    return layers


def _weights_and_biases(
    parameters: Mapping[str, Tensor],
) -> tuple[list[_Named], list[_Named]]:
    """Return the parameters that may be the weights of layers written by hand, and
    those that may be their biases.
    """
    weights = [
        (name, it)
        for name, it in parameters.items()
        if len(it.shape) >= 2 and not _PART.match(name)
    ]
    biases = [
        (name, it)
        for name, it in parameters.items()
        if len(it.shape) == 1 or _is_bias_in_matrix(name, it)
    ]
    # Only the names distinguish a bias from other vectors, such as losses.
    if len(weights) != len(biases):
        biases = [(name, it) for name, it in biases if _PART.match(name)]
    # The coefficients of a linear model of scikit-learn have a row for each class.
    coefficients = [(name, it) for name, it in weights if name in ("coef", "coef_")]
    return (coefficients if len(biases) == 1 == len(coefficients) else weights), biases


def _written_by_hand(
    module: _Module, position: int, named_weight: _Named, named_bias: _Named
) -> _Module:
    """Return a weight and its bias as a module of their own; the bias shows which axis
    of the weight is the output.
    """
    (name, weight), (bias_name, bias) = named_weight, named_bias
    is_kernel = (
        name.startswith("coefs_")
        or bias.shape[-1:] == weight.shape[-1:] != weight.shape[:1]
    )
    has_row_or_column = len(bias.shape) == 2
    if has_row_or_column:  # a column of biases is added to W @ x, and a row to x @ W
        is_kernel = bias.shape[0] == 1
        bias = bias._replace(shape=(max(bias.shape),), strides=(max(bias.strides),))
    if name in ("coef", "coef_") or (has_row_or_column and not is_kernel):
        weight = weight._replace(has_output_rows=True)
    key = "kernel" if is_kernel else "weight"
    names = {key: module.names[name], "bias": module.names[bias_name]}
    return _Module(
        module.group, (*module.path, name), names, {key: weight, "bias": bias}, position
    )


def _is_bias_in_matrix(name: str, tensor: Tensor) -> bool:
    """Return whether a matrix of a single row or column has the name of a bias, as in
    networks written with NumPy.
    """
    return (
        len(tensor.shape) == 2
        and min(tensor.shape) == 1
        and _PART.match(name) is not None
    )


def _are_written_by_hand(
    weights: Sequence[_Named], biases: Sequence[_Named], is_repeated: bool
) -> bool:
    """Return whether the i-th vector is the bias of the i-th weight; parameters as in
    `_own_parameters`.
    """
    # A stack of a single matrix scores attention (GATv2).
    if not 0 < len(weights) == len(biases) or any(
        len(it.shape) == 3 and it.shape[0] == 1 for _, it in weights
    ):
        return False
    pairs = list(zip(weights, biases, strict=True))
    # A square weight and a vector do not show which axis is the output.
    known = [
        (name, bias_name)
        for (name, weight), (bias_name, bias) in pairs
        if name.startswith("coef") or len(set(weight.shape)) > 1 or len(bias.shape) == 2
    ]
    has_bias_name = any(_PART.match(bias_name) for _, bias_name in known)
    is_clear = is_repeated or has_bias_name or (len(weights) > 1 and bool(known))
    return is_clear and all(
        max(bias.shape) in (weight.shape[0], weight.shape[-1])
        for (_, weight), (_, bias) in pairs
    )


def _find_weight(tensors: Mapping[str, Tensor]) -> StoredWeight | None:
    """Return the weight among the parameters of a module; None if it has none."""
    parts = {
        name.removeprefix(_PARAMETRISED)
        for name in tensors
        if name.startswith(_PARAMETRISED)
    }
    if parts:
        return _parametrised(tensors, parts)
    if "weight_orig" in tensors:
        if "weight_mask" in tensors:
            return StoredWeight(
                "weight_orig", Factors(PRUNED, {"mask": tensors["weight_mask"]})
            )
        if "weight_u" in tensors:
            return _spectral("weight_orig", tensors, "weight_u", "weight_v")
        refusal = (
            "is only a part of the weight, and the mask that belongs to it is missing"
        )
        return StoredWeight("weight_orig", refusal=refusal)
    if "weight_v" in tensors and len(tensors["weight_v"].shape) >= 2:
        if "weight_g" in tensors:
            return StoredWeight(
                "weight_v", Factors(WEIGHT_NORM, {"lengths": tensors["weight_g"]})
            )
        refusal = (
            "holds only the directions of the rows, and their lengths (weight_g) are"
            " missing"
        )
        return StoredWeight("weight_v", refusal=refusal)
    if "_packed_params" in tensors:
        return StoredWeight("_packed_params")
    for name in ("weight", "kernel"):
        if name in tensors and len(tensors[name].shape) >= 2:
            return _masked(name, tensors) or _plain_or_adapted(name, tensors)
    return None


def _masked(weight: str, tensors: Mapping[str, Tensor]) -> StoredWeight | None:
    """Return a weight with the mask next to it, with which layers written by hand
    multiply it (SNIP, SynFlow); None without one.
    """
    mask = next((name for name in (f"{weight}_mask", "mask") if name in tensors), None)
    if mask is None or tensors[mask].shape != tensors[weight].shape:
        return None
    # A further scale, threshold or adapter next to the weight is a reason to refuse it.
    others = {name: tensor for name, tensor in tensors.items() if name != mask}
    return _plain_or_adapted(weight, others)._replace(
        factors=Factors(PRUNED, {"mask": tensors[mask]})
    )


def _plain_or_adapted(weight: str, tensors: Mapping[str, Tensor]) -> StoredWeight:
    """Return a weight that is stored directly; an adapter or a scale may change it."""
    # A parameter may scale each row (the gain of weight standardisation).
    rows = tensors[weight].shape[-1 if weight == "kernel" else 0]
    for name, tensor in tensors.items():
        is_other = not (
            name.startswith(("bias", "weight", "kernel")) or _PART.match(name)
        )
        is_scale = rows > 1 and prod(tensor.shape) == rows == tensor.shape[0]
        # A threshold sets the smaller elements to 0 (STR).
        if is_other and any(
            (
                is_scale,
                tensor.shape == tensors[weight].shape,
                "threshold" in name.lower(),
            )
        ):
            refusal = (
                f"is scaled by the parameter {name!r} next to it, in a way that the"
                " file does not contain"
            )
            return StoredWeight(weight, refusal=refusal)
    # Two thin matrices are a low-rank adapter, or the factors of the members of an
    # ensemble (BatchEnsemble).
    others = [
        (name, tensor.shape)
        for name, tensor in tensors.items()
        if name != weight and not _PART.match(name)
    ]
    for (name, one), (other, two) in combinations(others[:_MAX_FACTORS], 2):
        rest = Counter((*one, *two)) - Counter(tensors[weight].shape)
        if (
            len(one) == len(two) == 2 == sum(rest.values())
            and len(rest) == 1
            and 1 not in rest
        ):
            names = f"{name!r} and {other!r}"
            refusal = (
                f"is changed by the parameters {names} next to it, in a way that the"
                " file does not contain"
            )
            return StoredWeight(weight, refusal=refusal)
    is_adapted = any(name.startswith("lora_") for name in tensors)
    return StoredWeight(weight, refusal=_ADAPTED if is_adapted else None)


def _parametrised(
    tensors: Mapping[str, Tensor], parts: set[str]
) -> StoredWeight | None:
    """Return the weight of a layer that uses `torch.nn.utils.parametrize`, which stores
    it in these parts.
    """
    if parts == {"original0", "original1"}:
        lengths = tensors[f"{_PARAMETRISED}original0"]
        return StoredWeight(
            f"{_PARAMETRISED}original1", Factors(WEIGHT_NORM, {"lengths": lengths})
        )
    if parts == {"original", "0._u", "0._v"}:
        return _spectral(
            f"{_PARAMETRISED}original",
            tensors,
            f"{_PARAMETRISED}0._u",
            f"{_PARAMETRISED}0._v",
        )
    refusal = (
        "is only the input of a parametrisation, whose function is not stored in the"
        " file"
    )
    for main in ("original", "original1", "original0"):
        if main in parts:
            return StoredWeight(f"{_PARAMETRISED}{main}", refusal=refusal)
    return None


def _spectral(
    weight: str, tensors: Mapping[str, Tensor], left: str, right: str
) -> StoredWeight:
    """Return a weight with spectral norm; `left` and `right` are the names of its
    singular vectors.
    """
    if right not in tensors:
        return StoredWeight(
            weight,
            refusal=(
                "is only a part of the weight, and its singular vectors are missing"
            ),
        )
    return StoredWeight(
        weight, Factors(SPECTRAL_NORM, {"left": tensors[left], "right": tensors[right]})
    )


def is_linear(layer: Layer) -> bool:
    """Return whether a layer has a weight with two axes, unlike a convolution."""
    return layer.weight is not None and len(layer.weight.shape) == 2


def are_siblings(one: Layer, other: Layer) -> bool:
    """Return whether two layers are stored in the same module."""
    return (one.path, one.module[:-1]) == (other.path, other.module[:-1])


def stem(layer: Layer) -> tuple[str, ...]:
    """Return the parts of a layer's path without their numbers."""
    return tuple(re.sub(r"\d+", "", part) for part in layer.module)
