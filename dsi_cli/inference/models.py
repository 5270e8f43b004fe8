"""A specification -> a model, and what a trainer recorded -> a specification.

``timm:NAME``, ``torchvision:NAME``, ``transformers:FOLDER`` (its ``config.json``), ``torchscript:FILE`` (which runs the file's
code), ``file.py:FUNCTION`` or ``module:FUNCTION``. Nothing is downloaded. A recorded architecture counts only if it is exactly a
name that the library lists.
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
from dsi_cli.inference.recorded_config import json_beside
from dsi_cli.inference.zero_shot import ZeroShot

EXPECTED = "timm:NAME, torchvision:NAME, transformers:FOLDER, torchscript:FILE, file.py:FUNCTION or module:FUNCTION"
_CLASS_NAMES = ("num_classes", "n_classes", "nclasses", "num_labels", "classes")
_CHANNEL_NAMES = ("in_chans", "in_channels", "in_ch", "num_channels", "channels")


@dataclass(frozen=True)
class ModelSpec:
    """What a model is to be built for."""

    classes: int | None
    """Rows of the classifier; None without one."""
    channels: int
    size: tuple[int, int] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of the model's function, as a person gave them."""
    names: Sequence[str] | None = None
    """Of the classes, for a network with a text tower."""


@dataclass(frozen=True)
class BuiltModel:
    """A model, not yet filled with a checkpoint's weights."""

    model: torch.nn.Module
    usual: Preprocessing = field(default_factory=Preprocessing)
    """What its library does to images."""
    zero_shot: ZeroShot | None = None
    """The model with its text tower as the classifier: run in its place."""


def build_model(spec: str, wanted: ModelSpec) -> BuiltModel:
    """Return the model that a specification names.

    Raises
    ------
    UsageError
        The specification is not of a known form, names nothing, or the function fails; the message says how.
    """
    kind, _, name = spec.partition(":")
    maker = _MAKERS.get(kind)
    if not (maker and name) and not user_code.is_function(spec):
        raise UsageError(f"--model wants {EXPECTED}; {spec!r} is not of that form")
    try:
        built = maker(name, wanted) if maker else _of_function(spec, wanted)
        (built.zero_shot or built.model).eval()
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 (a library's or the user's code may raise anything)
        raise UsageError(f"--model {spec} could not be built: {type(error).__name__}: {first_line(error)}") from None
    return built


def _close(name: str, listed: Sequence[str]) -> str:
    close = get_close_matches(name, listed, 3, 0.7)
    return f"; it has {', '.join(close)}" if close else ""


def _timm(name: str, spec: ModelSpec) -> BuiltModel:
    import timm

    if not timm.is_model(name):
        raise UsageError(f"timm has no model {name!r}{_close(name, timm.list_models())}")
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
        raise UsageError(f"torchvision has no classifier {name!r}{_close(name, listed)}")
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
        raise UsageError(
            "--model transformers:... needs the package transformers: pip install 'dsi-cli[transformers]'"
        ) from None
    folder = Path(name)
    if not (folder / "config.json").is_file():
        raise UsageError(f"--model transformers:{name} wants a folder with a config.json; there is none")
    config = transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    for key, value in spec.arguments.items():
        setattr(config, key, value)
    auto: Any = transformers.AutoModel if spec.classes is None else transformers.AutoModelForImageClassification
    model = auto.from_config(config, trust_remote_code=False)
    side = getattr(getattr(config, "vision_config", None) or config, "image_size", None)
    usual = from_processor(json_beside(folder, "preprocessor_config.json"))
    usual = usual.over(Preprocessing((side, side) if isinstance(side, int) else None))
    if spec.classes is None and zero_shot.has_towers(config):
        return BuiltModel(model, usual, zero_shot.ZeroShot(model, zero_shot.tokens(folder, spec.names)))
    return BuiltModel(model, usual)


def _torchscript(name: str, _wanted: ModelSpec) -> BuiltModel:
    if not Path(name).is_file():
        raise UsageError(f"--model torchscript:{name}: there is no such file")
    try:
        return BuiltModel(torch.jit.load(name, map_location="cpu"))  # type: ignore[no-untyped-call]
    except RuntimeError:
        raise UsageError(
            f"--model torchscript:{name} is no TorchScript archive that torch can load; torch.jit.save writes one"
        ) from None


def _of_function(spec: str, wanted: ModelSpec) -> BuiltModel:
    with user_code.findable(spec):
        found = user_code.find(spec)
        model = found if isinstance(found, torch.nn.Module) else _called(spec, found, wanted)
    if not isinstance(model, torch.nn.Module):
        raise UsageError(f"--model {spec} returned a {type(model).__name__}; expected a torch.nn.Module")
    return BuiltModel(model)


def _called(spec: str, function: Callable[..., Any], wanted: ModelSpec) -> Any:
    arguments = _arguments(spec, function, wanted)
    with user_code.call_user_code(spec, "a function that returns a model"):
        return function(**arguments)


def _arguments(spec: str, function: Callable[..., Any], wanted: ModelSpec) -> dict[str, Any]:
    """Return the arguments for the user's function: those given, and the number of classes and channels where it takes them."""
    given = dict(wanted.arguments)
    parameters = inspect.signature(function).parameters
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    unknown = [name for name in given if name not in parameters and not takes_any]
    if unknown:
        raise UsageError(f"--model-arg {unknown[0]}: {spec} takes {', '.join(parameters) or 'no arguments'}")
    for names, value in ((_CLASS_NAMES, wanted.classes), (_CHANNEL_NAMES, wanted.channels)):
        name = next((one for one in names if one in parameters), None)
        if name is not None and name not in given and value is not None:
            given[name] = value
    positional = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    lacking = [
        name
        for name, one in parameters.items()
        if one.default is one.empty and one.kind in positional and name not in given
    ]
    if lacking:
        raise UsageError(f"{spec} needs {', '.join(lacking)}: give {' '.join(f'--model-arg {n}=VALUE' for n in lacking)}")
    return given


_MAKERS: dict[str, Callable[[str, ModelSpec], BuiltModel]] = {
    "timm": _timm,
    "torchvision": _torchvision,
    "transformers": _transformers,
    "torchscript": _torchscript,
}
