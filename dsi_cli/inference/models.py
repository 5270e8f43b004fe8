"""Build models from specifications.

A specification is ``timm:NAME``, ``torchvision:NAME``, ``transformers:FOLDER`` (with a ``config.json``), ``torchscript:FILE``
(which runs the file's code), ``file.py:FUNCTION`` or ``module:FUNCTION``. Nothing is downloaded.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch

from dsi_cli.errors import UsageError
from dsi_cli.inference import user_code, zero_shot
from dsi_cli.inference.evaluator import first_line
from dsi_cli.inference.preprocess import Preprocessing, from_processor
from dsi_cli.inference.recorded_config import read_sibling_json
from dsi_cli.inference.zero_shot import ZeroShot

EXPECTED = "timm:NAME, torchvision:NAME, transformers:FOLDER, torchscript:FILE, file.py:FUNCTION or module:FUNCTION"
_CLASS_NAMES = ("num_classes", "n_classes", "nclasses", "num_labels", "classes")
_CHANNEL_NAMES = ("in_chans", "in_channels", "in_ch", "num_channels", "channels")


@dataclass(frozen=True)
class ModelSpec:
    """The requirements for a model."""

    classes: int | None
    """The number of rows of the classifier; None without a classifier."""
    channels: int
    size: tuple[int, int] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """The user's arguments for the model's function."""
    names: Sequence[str] | None = None
    """The names of the classes, for a network with a text tower."""


@dataclass(frozen=True)
class BuiltModel:
    """A model without the weights of a checkpoint."""

    model: torch.nn.Module
    usual: Preprocessing = field(default_factory=Preprocessing)
    """The preprocessing of its library."""
    zero_shot: ZeroShot | None = None
    """The model with its text tower as the classifier, which runs instead of ``model``."""


def build_model(spec: str, requirements: ModelSpec) -> BuiltModel:
    """Return the model of a specification; raise `UsageError` if the specification is unknown, or the model cannot be built."""
    kind, _, name = spec.partition(":")
    maker = _MAKERS.get(kind)
    if not (maker and name) and not user_code.is_function(spec):
        raise UsageError(f"--model takes {EXPECTED}; found {spec!r}", code="unknown-model-format", spec=spec)
    try:
        built = maker(name, requirements) if maker else _from_function(spec, requirements)
        (built.zero_shot or built.model).eval()
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 (a library's or the user's code may raise anything)
        message = f"--model {spec} could not be built: {type(error).__name__}: {first_line(error)}"
        raise UsageError(message, code="model-not-built", spec=spec) from None
    return built


def _similar(name: str, listed: Sequence[str]) -> str:
    similar = get_close_matches(name, listed, 3, 0.7)
    return f"; it has {', '.join(similar)}" if similar else ""


def _timm(name: str, spec: ModelSpec) -> BuiltModel:
    import timm

    if not timm.is_model(name):
        message = f"timm has no model {name!r}{_similar(name, timm.list_models())}"
        raise UsageError(message, code="unknown-model", name=name)
    options: dict[str, Any] = {"num_classes": spec.classes or 0, "in_chans": spec.channels, **spec.arguments}
    model = None
    if spec.size is not None and "img_size" not in options:
        try:
            model = timm.create_model(name, pretrained=False, img_size=spec.size, **options)
        except TypeError:  # a model of any image size
            model = None
    model = model or timm.create_model(name, pretrained=False, **options)
    config = timm.data.resolve_data_config({}, model=model)  # type: ignore[attr-defined,no-untyped-call]
    usual = Preprocessing(
        tuple(config["input_size"][-2:]),
        config["crop_pct"],
        config["crop_mode"],
        config["interpolation"],
        tuple(config["mean"]),
        tuple(config["std"]),
    )
    return BuiltModel(model, usual)


def _torchvision(name: str, spec: ModelSpec) -> BuiltModel:
    from torchvision import models

    listed = models.list_models(module=models)
    if name not in listed:
        message = f"torchvision has no classifier {name!r}{_similar(name, listed)}"
        raise UsageError(message, code="unknown-model", name=name)
    model = models.get_model(name, weights=None, num_classes=spec.classes or 1000, **spec.arguments)
    preset = next(iter(models.get_model_weights(name))).transforms()
    size, resized = preset.crop_size[0], preset.resize_size[0]
    usual = Preprocessing(
        (size, size), size / resized, None, preset.interpolation.value, tuple(preset.mean), tuple(preset.std)
    )
    return BuiltModel(model, usual)


def _transformers(name: str, spec: ModelSpec) -> BuiltModel:
    try:
        import transformers
    except ImportError:
        message = "--model transformers:... needs the package transformers; run pip install 'dsi-cli[transformers]'"
        raise UsageError(message, code="missing-package", package="transformers") from None
    folder = Path(name)
    if not (folder / "config.json").is_file():
        message = f"--model transformers:{name}: expected a folder with a config.json, found none; check the path"
        raise UsageError(message, code="no-config", folder=name)
    config = transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    for key, value in spec.arguments.items():
        setattr(config, key, value)
    auto: Any = transformers.AutoModel if spec.classes is None else transformers.AutoModelForImageClassification
    model = auto.from_config(config, trust_remote_code=False)
    side = getattr(getattr(config, "vision_config", None) or config, "image_size", None)
    usual = from_processor(read_sibling_json(folder, "preprocessor_config.json"))
    usual = usual.with_defaults(Preprocessing((side, side) if isinstance(side, int) else None))
    if spec.classes is None and zero_shot.has_towers(config):
        return BuiltModel(model, usual, zero_shot.ZeroShot(model, zero_shot.tokenize_names(folder, spec.names)))
    return BuiltModel(model, usual)


def _torchscript(name: str, _requirements: ModelSpec) -> BuiltModel:
    if not Path(name).is_file():
        raise UsageError(f"--model torchscript:{name}: there is no such file", code="file-missing", path=name)
    try:
        return BuiltModel(torch.jit.load(name, map_location="cpu"))  # type: ignore[no-untyped-call]
    except RuntimeError:
        message = f"--model torchscript:{name} is not a TorchScript archive that torch can load; torch.jit.save writes one"
        raise UsageError(message, code="not-torchscript") from None


def _from_function(spec: str, requirements: ModelSpec) -> BuiltModel:
    with user_code.importable(spec):
        model = user_code.load_object(spec)
        if not isinstance(model, torch.nn.Module):
            arguments = _arguments(spec, model, requirements)
            with user_code.call_user_code(spec, "a function that returns a model"):
                model = model(**arguments)
    if not isinstance(model, torch.nn.Module):
        kind = type(model).__name__
        raise UsageError(f"--model {spec} returned a {kind}; expected a torch.nn.Module", code="not-a-model", type=kind)
    return BuiltModel(model)


def _arguments(spec: str, function: Callable[..., Any], requirements: ModelSpec) -> dict[str, Any]:
    """Return the user's arguments and, if the function has such parameters, the numbers of classes and channels."""
    arguments = dict(requirements.arguments)
    parameters = inspect.signature(function).parameters
    accepts_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    unknown = [name for name in arguments if name not in parameters and not accepts_any]
    if unknown:
        message = f"--model-arg {unknown[0]}: {spec} takes {', '.join(parameters) or 'no arguments'}"
        raise UsageError(message, code="unknown-model-argument", name=unknown[0])
    for names, value in ((_CLASS_NAMES, requirements.classes), (_CHANNEL_NAMES, requirements.channels)):
        name = next((name for name in names if name in parameters), None)
        if name is not None and name not in arguments and value is not None:
            arguments[name] = value
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    missing = []
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and parameter.kind in by_name and name not in arguments:
            missing.append(name)
    if missing:
        options = " ".join(f"--model-arg {name}=VALUE" for name in missing)
        message = f"{spec} needs {', '.join(missing)}; give {options}"
        raise UsageError(message, code="missing-model-argument", names=missing)
    return arguments


_MAKERS: dict[str, Callable[[str, ModelSpec], BuiltModel]] = {
    "timm": _timm,
    "torchvision": _torchvision,
    "transformers": _transformers,
    "torchscript": _torchscript,
}
