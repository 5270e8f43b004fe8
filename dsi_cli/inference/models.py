"""Build models from specifications, and load the weights of a checkpoint into them.

A specification is ``timm:NAME``, ``torchvision:NAME``, ``transformers:FOLDER`` (with a
``config.json``) or ``file.py:FUNCTION``. Nothing is downloaded.

The classifier weight of a network with an image and a text tower (CLIP, SigLIP) is the
text embeddings of the class names. Each name becomes ``a photo of a NAME``. An image's
logits are its cosines with the normalised embeddings, times the scale that the network
learned (Radford et al. 2021, arXiv 2103.00020).
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray

from dsi_cli.checkpoints.checkpoint_reader import StateDict
from dsi_cli.errors import UnreadableError, UsageError, first_line, listed, wrong
from dsi_cli.inference import user_code
from dsi_cli.inference.evaluator import full_precision
from dsi_cli.inference.preprocess import Preprocessing, from_processor

PROMPT = "a photo of a {}."
EXPECTED = "timm:NAME, torchvision:NAME, transformers:FOLDER or file.py:FUNCTION"
_CLASS_NAMES = ("num_classes", "n_classes", "nclasses", "num_labels", "classes")
_CHANNEL_NAMES = ("in_chans", "in_channels", "in_ch", "num_channels", "channels")
_INNER = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
_SHOWN = 4
# the last part of the name of a module's own value, which is rarely a tensor
_EXTRA_STATE = "_extra_state"
_UNNEEDED = ("num_batches_tracked", _EXTRA_STATE)
"""The last part of names that old checkpoints lack, and that matter only to a training.
"""
_PARTS_OF_WEIGHT = re.compile(
    r"\.(weight|weight_orig|weight_v|parametrizations\.weight\.original1?)$"
)


class ZeroShot(torch.nn.Module):
    """A network that returns an image's logits, or its features without class names or
    a tokenizer.

    ``tokens`` is the input of the text tower with one row per class; None to return
    features.
    """

    def __init__(
        self, towers: torch.nn.Module, tokens: dict[str, torch.Tensor] | None
    ) -> None:
        super().__init__()
        self.towers = towers
        self.tokens = tokens
        self.head: torch.nn.Linear | None = None

    def embed_text(self) -> NDArray[np.float32] | None:
        """Compute and return the text embeddings ``(C, d)`` with the current weights;
        None without names.
        """
        if self.tokens is None:
            return None
        towers: Any = self.towers
        device = next(towers.parameters()).device
        with torch.inference_mode(), full_precision():
            embedded = _pool(
                towers.get_text_features(
                    **{name: ids.to(device) for name, ids in self.tokens.items()}
                )
            )
            weight = torch.nn.functional.normalize(embedded.float(), dim=1).clone()
        self.head = torch.nn.Linear(
            weight.shape[1], len(weight), bias=False, device=device
        )
        self.head.weight = torch.nn.Parameter(weight, requires_grad=False)
        return weight.cpu().numpy()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits ``(batch, classes)``; without class names, features ``(batch,
        d)``.
        """
        towers: Any = self.towers
        features = torch.nn.functional.normalize(
            _pool(towers.get_image_features(pixel_values=images)), dim=1
        )
        if self.head is None:
            return features
        return self.head(features) * towers.logit_scale.exp()


def _pool(outputs: Any) -> torch.Tensor:
    return outputs if isinstance(outputs, torch.Tensor) else outputs.pooler_output


def tokenize_names(
    folder: Path, names: Sequence[str] | None, length: int | None = None
) -> dict[str, torch.Tensor] | None:
    """Return the class names as inputs of the text tower; None without names, or
    without a tokenizer in the folder.

    All texts are padded to ``length`` tokens, or without it to the longest text.
    """
    if names is None or not any(
        (folder / name).is_file()
        for name in ("tokenizer.json", "vocab.json", "spiece.model")
    ):
        return None
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False
    )
    texts = [
        PROMPT.format(name.split(",")[0].replace("_", " ").strip()) for name in names
    ]
    padding = "max_length" if length is not None else True
    inputs = tokenizer(
        texts, padding=padding, max_length=length, truncation=True, return_tensors="pt"
    )
    return {
        name: inputs[name] for name in ("input_ids", "attention_mask") if name in inputs
    }


@dataclass(frozen=True)
class ModelSpec:
    """The requirements for a model."""

    # the number of rows of the classifier; None without a classifier
    classes: int | None
    channels: int
    size: tuple[int, int] | None = None
    # the user's arguments for the model's function
    arguments: Mapping[str, Any] = field(default_factory=dict)
    # the names of the classes, for a network with a text tower
    names: Sequence[str] | None = None


@dataclass(frozen=True)
class BuiltModel:
    """A model without the weights of a checkpoint."""

    model: torch.nn.Module
    # the preprocessing of its library
    usual: Preprocessing = field(default_factory=Preprocessing)
    # the model with its text tower as the classifier, instead of ``model``
    zero_shot: ZeroShot | None = None


def build_model(spec: str, requirements: ModelSpec) -> BuiltModel:
    """Return the model of a specification; raise `UsageError` if the specification is
    unknown, or the model cannot be built.
    """
    kind, _, name = spec.partition(":")
    maker = _MAKERS.get(kind)
    if not (maker and name) and not user_code.is_function(spec):
        raise UsageError(
            f"--model takes {EXPECTED}; found {spec!r}",
            code="unknown-model-format",
            spec=spec,
        )
    try:
        if maker:
            built = maker(name, requirements)
        else:
            built = _from_function(spec, requirements)
        (built.zero_shot or built.model).eval().float()  # the type of the images
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 (a library may raise anything)
        message = (
            f"--model {spec} could not be built: {type(error).__name__}:"
            f" {first_line(error)}"
        )
        raise UsageError(message, code="model-not-built", spec=spec) from None
    return built


def _similar(name: str, known: Sequence[str]) -> str:
    similar = get_close_matches(name, known, 3, 0.7)
    return f"; it has {', '.join(similar)}" if similar else ""


def _timm(name: str, spec: ModelSpec) -> BuiltModel:
    import timm

    if not timm.is_model(name):
        raise UsageError(
            f"timm has no model {name!r}{_similar(name, timm.list_models())}",
            code="unknown-model",
            name=name,
        )
    options: dict[str, Any] = {
        "num_classes": spec.classes or 0,
        "in_chans": spec.channels,
        **spec.arguments,
    }
    model = None
    if spec.size is not None and "img_size" not in options:
        with suppress(TypeError):  # a model of any image size
            model = timm.create_model(
                name, pretrained=False, img_size=spec.size, **options
            )
    model = model or timm.create_model(name, pretrained=False, **options)
    config = timm.data.resolve_data_config({}, model=model)  # type: ignore[attr-defined,no-untyped-call]
    size = tuple(config["input_size"][-2:])
    mean = tuple(config["mean"])
    std = tuple(config["std"])
    resizing = {
        name: config[name] for name in ("crop_pct", "crop_mode", "interpolation")
    }
    return BuiltModel(model, Preprocessing(size, mean=mean, std=std, **resizing))


def _torchvision(name: str, spec: ModelSpec) -> BuiltModel:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise UsageError(
            f"torchvision has no classifier {name!r}{_similar(name, known)}",
            code="unknown-model",
            name=name,
        )
    model = models.get_model(
        name, weights=None, num_classes=spec.classes or 1000, **spec.arguments
    )
    preset = next(iter(models.get_model_weights(name))).transforms()
    size, crop = preset.crop_size[0], preset.crop_size[0] / preset.resize_size[0]
    resizing = {"crop_pct": crop, "interpolation": preset.interpolation.value}
    return BuiltModel(
        model,
        Preprocessing(
            (size, size), mean=tuple(preset.mean), std=tuple(preset.std), **resizing
        ),
    )


def _transformers(name: str, spec: ModelSpec) -> BuiltModel:
    try:
        import transformers
    except ImportError:
        message = "--model transformers:... needs the package transformers"
        raise UsageError(
            message,
            hint="run pip install 'dsi-cli[transformers]'",
            code="missing-package",
            package="transformers",
        ) from None
    folder = Path(name)
    if not (folder / "config.json").is_file():
        raise wrong(
            f"--model transformers:{name}",
            "a folder with a config.json",
            "none",
            "check the path",
            code="no-config",
            folder=name,
        )
    config = transformers.AutoConfig.from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False
    )
    for key, value in spec.arguments.items():
        setattr(config, key, value)
    auto: Any = (
        transformers.AutoModel
        if spec.classes is None
        else transformers.AutoModelForImageClassification
    )
    model = auto.from_config(config, trust_remote_code=False)
    side = getattr(getattr(config, "vision_config", None) or config, "image_size", None)
    usual = from_processor(folder)
    if isinstance(side, int):
        usual = usual.with_defaults(Preprocessing((side, side)))
    has_towers = all(
        getattr(config, tower, None) is not None
        for tower in ("text_config", "vision_config")
    )
    if spec.classes is None and has_towers:
        # SigLIP's text tower takes the last position, padding included, and was trained
        # with texts of the full length.
        if config.model_type.startswith("siglip"):
            length = config.text_config.max_position_embeddings
        else:
            length = None
        return BuiltModel(
            model, usual, ZeroShot(model, tokenize_names(folder, spec.names, length))
        )
    return BuiltModel(model, usual)


def _from_function(spec: str, requirements: ModelSpec) -> BuiltModel:
    with user_code.importable(spec):
        model = user_code.load_object(spec)
        if not isinstance(model, torch.nn.Module):
            arguments = _arguments(spec, model, requirements)
            with user_code.call_user_code(spec, "a function that returns a model"):
                model = model(**arguments)
    if not isinstance(model, torch.nn.Module):
        kind = type(model).__name__
        raise UsageError(
            f"--model {spec} returned a {kind}; expected a torch.nn.Module",
            code="not-a-model",
            type=kind,
        )
    return BuiltModel(model)


def _arguments(
    spec: str, function: Callable[..., Any], requirements: ModelSpec
) -> dict[str, Any]:
    """Return the user's arguments and, if the function has such parameters, the numbers
    of classes and channels.
    """
    arguments = dict(requirements.arguments)
    parameters = inspect.signature(function).parameters
    accepts_any = any(
        parameter.kind is inspect.Parameter.VAR_KEYWORD
        for parameter in parameters.values()
    )
    unknown = [name for name in arguments if name not in parameters and not accepts_any]
    if unknown:
        message = (
            f"--model-arg {unknown[0]}: {spec} takes"
            f" {', '.join(parameters) or 'no arguments'}"
        )
        raise UsageError(message, code="unknown-model-argument", name=unknown[0])
    for names, value in (
        (_CLASS_NAMES, requirements.classes),
        (_CHANNEL_NAMES, requirements.channels),
    ):
        name = next((name for name in names if name in parameters), None)
        if name is not None and name not in arguments and value is not None:
            arguments[name] = value
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    required = [
        one.name
        for one in parameters.values()
        if one.default is one.empty and one.kind in by_name
    ]
    missing = [name for name in required if name not in arguments]
    if missing:
        options = " ".join(f"--model-arg {name}=VALUE" for name in missing)
        raise UsageError(
            f"{spec} needs {', '.join(missing)}",
            hint=f"give {options}",
            code="missing-model-argument",
            names=missing,
        )
    return arguments


_MAKERS = {"timm": _timm, "torchvision": _torchvision, "transformers": _transformers}


def uses_batch_statistics(model: torch.nn.Module) -> bool:
    """Return True if batch normalisation has no running statistics, so that a
    prediction depends on the other images.
    """
    norms = (
        module
        for module in model.modules()
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
    )
    return any(norm.running_mean is None for norm in norms)


def load_weights(model: torch.nn.Module, state: StateDict) -> str | None:
    """Copy a checkpoint's weights into a model; return the name of the classifier
    module, or None.

    Raise `UnreadableError` if a name is missing or unexpected, a shape differs, or the
    model is quantised.
    """
    own = _named_values(model)
    quantised = [
        name
        for name, value in own.items()
        if not isinstance(value, torch.Tensor) or value.is_quantized
    ]
    if quantised:
        message = (
            "the weights do not fit the model, which is quantised"
            f" ({listed(quantised, _SHOWN, ', ...')})"
        )
        raise UnreadableError(
            message, code="weights-do-not-fit", missing=quantised, unexpected=[]
        )
    arrays = {_INNER.sub("", name): array for name, array in state.arrays.items()}
    head = _INNER.sub("", state.head) if state.head is not None else None
    # Compare the names and shapes under each naming scheme, and use the scheme with the
    # fewest problems.
    fits = [_compare_names(tensors, arrays, head) for tensors in _naming_schemes(model)]
    best = min(fits, key=lambda fit: sum(map(len, fit.problems.values())))
    problems = [
        f"{len(names)} {kind} ({listed(names, _SHOWN, ', ...')})"
        for kind, names in best.problems.items()
        if names
    ]
    if problems:
        message = f"the weights do not fit the model: {'; '.join(problems)}"
        missing, unexpected, _ = best.problems.values()
        raise UnreadableError(
            message, code="weights-do-not-fit", missing=missing, unexpected=unexpected
        )
    with torch.no_grad():
        for name in best.tensors.keys() & best.arrays.keys():
            best.tensors[name].copy_(torch.from_numpy(best.arrays[name]))
    if head is None:
        return None
    weight = best.tensors[head.removeprefix(best.prefix)]
    name = next(name for name, tensor in own.items() if _is_same(tensor, weight))
    return _PARTS_OF_WEIGHT.sub("", name)


class _Fit(NamedTuple):
    """The tensors of a model and of a checkpoint, by the names of one naming scheme,
    with the differences.
    """

    tensors: Mapping[str, torch.Tensor]  # the tensors of the model
    # the weights of the checkpoint, without the prefix of their names
    arrays: dict[str, NDArray[Any]]
    prefix: str
    problems: dict[str, list[str]]
    """The names that only the model or only the checkpoint has, and the tensors with
    two shapes, by the kind of problem.
    """


def _compare_names(
    tensors: Mapping[str, torch.Tensor],
    arrays: Mapping[str, NDArray[Any]],
    head: str | None,
) -> _Fit:
    """Return how the weights of a checkpoint fit the tensors of a model; `head` is the
    name of the classifier's weight.
    """
    # Find the prefix of the model's names in the checkpoint: the one that matches the
    # most names.
    counts: Counter[str] = Counter()
    for name in arrays:
        ends = (0, *(dot.end() for dot in re.finditer(r"\.", name)))
        counts.update(name[:end] for end in ends if name[end:] in tensors)
    possible = [prefix for prefix in counts if head is None or head.startswith(prefix)]
    prefix = max(
        possible, key=lambda prefix: (counts[prefix], -len(prefix)), default=""
    )
    # Compare names and shapes.
    own = {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    shapes = {
        name: (own[name].shape, tuple(tensor.shape))
        for name, tensor in tensors.items()
        if name in own
    }
    problems = {
        "missing": [
            name for name in tensors if name not in own and not name.endswith(_UNNEEDED)
        ],
        "unexpected": [
            name for name in own if name not in tensors and not name.endswith(_UNNEEDED)
        ],
        "of another shape": [
            f"{name} {found} for {wanted}"
            for name, (found, wanted) in shapes.items()
            if found != wanted
        ],
    }
    return _Fit(tensors, own, prefix, problems)


def _naming_schemes(model: torch.nn.Module) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the model's tensors by their names in the model, and by their names in
    files of Hugging Face's library.
    """
    tensors = _named_values(model)
    yield {_INNER.sub("", name): tensor for name, tensor in tensors.items()}
    if type(model).__module__.startswith("transformers."):
        try:
            from transformers.core_model_loading import revert_weight_conversion
        except ImportError:  # before version 5 the names were the same
            return
        in_files = revert_weight_conversion(cast(Any, model), tensors)
        if len(in_files) == len(tensors) and all(
            any(_is_same(a, b) for b in tensors.values()) for a in in_files.values()
        ):
            yield dict(in_files)


def _named_values(model: torch.nn.Module) -> dict[str, Any]:
    return {
        name: value
        for name, value in model.state_dict().items()
        if not name.endswith(_EXTRA_STATE)
    }


def _is_same(tensor: torch.Tensor, other: torch.Tensor) -> bool:
    return tensor.data_ptr() == other.data_ptr() and tensor.shape == other.shape
