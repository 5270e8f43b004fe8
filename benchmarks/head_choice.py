"""Which classifier dsi takes out of every classification model of timm and torchvision, beside the one their authors name.

``python -m benchmarks.head_choice [PATTERN]`` builds each model on torch's meta device, which has names and shapes but no numbers,
and hands its state dict to the chooser. A model is *right* where that takes the layer that timm's own ``classifier`` names (in
torchvision the last linear layer or 1x1 convolution whose rows are the classes), *asked* where it says that several are equally
good, *none* where it says that there is no classifier, *wrong* otherwise. Models without a classifier must come out as *none*.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import torch

from dsi_cli.checkpoints.head import choose
from dsi_cli.checkpoints.layouts import RAW, StateDict
from dsi_cli.checkpoints.tensors import Storage, contiguous
from dsi_cli.errors import AmbiguousHeadError, NoHeadError

PAGE = Path(__file__).resolve().parent.parent / "docs" / "formats.md"
BEGIN, END = "<!-- heads: begin (make bench-heads writes what stands between these lines) -->", "<!-- heads: end -->"


class Model(NamedTuple):
    """A model's names and shapes, and the layers that its authors call the classifier: the main one first; none for a backbone."""

    library: str
    name: str
    state: dict[str, tuple[tuple[int, ...], str]]
    classifiers: tuple[str, ...]


def models(pattern: str) -> Iterator[Model]:
    """Yield every model of both libraries that can be built."""
    import timm
    from torchvision import models as torchvision_models

    for name in timm.list_models():
        if fnmatch(name, pattern):
            built = _built(lambda name=name: timm.create_model(name, pretrained=False))
            stated = built.default_cfg.get("classifier") or ()
            classifiers = (stated,) if isinstance(stated, str) else tuple(stated)
            yield Model("timm", name, _state(built), classifiers if getattr(built, "num_classes", 0) else ())
    for name in torchvision_models.list_models(module=torchvision_models):
        if fnmatch(name, pattern):
            built = _built(lambda name=name: torchvision_models.get_model(name, weights=None))
            yield Model("torchvision", name, _state(built), (_last_layer(built),))


def _built(make: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """Return a model without numbers, or with them where its code computes some as it is built."""
    try:
        with torch.device("meta"):
            return make()
    except (NotImplementedError, RuntimeError):
        return make()


def _state(model: torch.nn.Module) -> dict[str, tuple[tuple[int, ...], str]]:
    return {name: (tuple(one.shape), str(one.dtype).removeprefix("torch.")) for name, one in model.state_dict().items()}


def _last_layer(model: torch.nn.Module) -> str:
    """Return the last layer of as many rows as classes that is no auxiliary one, which only torchvision's two Inceptions have."""
    layers = [name for name, one in model.named_modules() if _rows(one) == 1000 and "aux" not in name.lower()]
    return layers[-1]


def _rows(layer: torch.nn.Module) -> int | None:
    weight = getattr(layer, "weight", None)
    return len(weight) if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d) and weight is not None else None


def verdict(model: Model) -> tuple[str, str]:
    """Return ``right``, ``wrong``, ``asked`` or ``none``, and what was taken or said."""
    tensors = {
        name: contiguous(dtype, shape, Storage(name, dtype, int(torch.Size(shape).numel())))
        for name, (shape, dtype) in model.state.items()
    }
    try:
        taken = choose([StateDict((), tensors, RAW)], RAW).name
    except AmbiguousHeadError as error:
        return "asked", str(error)
    except NoHeadError as error:
        return ("none", str(error)) if model.classifiers else ("right", "no classifier, and there is none")
    wanted = model.classifiers[0] if model.classifiers else ""
    is_right = bool(wanted) and taken.rpartition(".")[0] in (
        wanted,
        *(f"{wanted}.{end}" for end in ("l", "linear", "fc", "fc2")),
    )
    return ("right" if is_right else "wrong"), f"{taken}, wanted {wanted or 'none'}"


def table(pattern: str) -> tuple[str, int]:
    """Return the page's text and how many are wrong."""
    counts: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for model in models(pattern):
        found, said = verdict(model)
        counts[model.library][found].append(model.name)
        if found != "right":
            print(f"{found}: {model.library} {model.name}: {said}", file=sys.stderr)
    kinds = ("right", "asked", "none", "wrong")
    lines = ["| library | models | right | asked | none | wrong |", "|---|---|---|---|---|---|"]
    for library, found in counts.items():
        numbers = [len(found[kind]) for kind in kinds]
        lines.append(f"| {library} | {sum(numbers):,} | " + " | ".join(f"{number:,}" for number in numbers) + " |")
    for kind, what in (("asked", "Asked about"), ("none", "None found"), ("wrong", "Wrong")):
        names = [name for found in counts.values() for name in found[kind]]
        if names:
            lines += ["", f"{what}: {', '.join(f'`{name}`' for name in names)}."]
    return "\n".join(lines), sum(len(found["wrong"]) for found in counts.values())


def main(pattern: str = "*") -> int:
    """Print the table, write it into the page where all models were looked at; return 1 if any is wrong."""
    import timm
    import torchvision

    text, wrong = table(pattern)
    print(text)
    if pattern == "*":
        page = PAGE.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGIN)
        versions = f"Measured by `make bench-heads` with timm {timm.__version__} and torchvision {torchvision.__version__}."
        PAGE.write_text(f"{head}{BEGIN}\n\n{versions}\n\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
