"""The layer that dsi chooses as the classifier head of every image classification model
of timm, torchvision and transformers.

``python -m benchmarks.head_choice [PATTERN]`` builds each model on torch's meta device,
which has names and shapes but no numbers, and gives its state dict to the chooser in
four forms: as it is, sorted by name, with the classifier renamed to random names, and
with the classifier removed. A model is *right* if dsi takes the layer that timm's own
``classifier`` names (in torchvision the last linear layer or 1x1 convolution whose rows
are the classes, in transformers the first), *asked* if dsi says that several are
plausible, *none* if it says that there is no classifier, and *wrong* otherwise. Without
a classifier, *none* and *asked* are right, and any other result is *wrong*.
"""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import torch

from dsi_cli.checkpoints.head_choice import choose_head
from dsi_cli.checkpoints.tensors import Storage, contiguous
from dsi_cli.checkpoints.trainers import RAW, NestedStateDict
from dsi_cli.errors import AmbiguousHeadError, NoHeadError

PAGE = Path(__file__).resolve().parent.parent / "benchmarks" / "results" / "heads.md"
BEGIN, END = (
    "<!-- heads: begin (make bench-heads writes what stands between these lines) -->",
    "<!-- heads: end -->",
)
KINDS = ("right", "asked", "none", "wrong")
ODD_NAMES = (
    "_fc",
    "my_final_mapping",
    "decide",
    "verdict",
    "W_o",
    "zzz",
    "ausgabe",
    "l3",
    "top",
    "x9",
    "readout",
    "thing",
)
"""Names that people give to classifiers and that say nothing to dsi."""
SEED = 20261126
CLASSES = 1000
"""The number of classes of most models."""


class Model(NamedTuple):
    """A model's names and shapes, and the layers that its authors call the classifier:
    the main one first; none for a backbone.
    """

    library: str
    name: str
    state: dict[str, tuple[tuple[int, ...], str]]
    classifiers: tuple[str, ...]


def models(pattern: str) -> Iterator[Model]:
    """Yield every model of the libraries that can be built."""
    import timm
    from torchvision import models as torchvision_models
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING as TRANSFORMERS,
    )

    for name in timm.list_models():
        if fnmatch(name, pattern):
            built = _built(lambda name=name: timm.create_model(name, pretrained=False))
            stated = built.default_cfg.get("classifier") or ()
            classifiers = (stated,) if isinstance(stated, str) else tuple(stated)
            yield Model(
                "timm",
                name,
                _state(built),
                classifiers if getattr(built, "num_classes", 0) else (),
            )
    for name in torchvision_models.list_models(module=torchvision_models):
        if fnmatch(name, pattern):
            built = _built(
                lambda name=name: torchvision_models.get_model(name, weights=None)
            )
            yield Model("torchvision", name, _state(built), (_last_layer(built),))
    for configuration in list(TRANSFORMERS):
        found = TRANSFORMERS[configuration]
        for kind in found if isinstance(found, tuple) else (found,):
            if fnmatch(kind.__name__, pattern):
                # Some models need a package that is not installed, or have defaults
                # that do not fit.
                with suppress(ImportError, ValueError):
                    options = configuration(num_labels=CLASSES)
                    built = _built(lambda kind=kind, options=options: kind(options))
                    layers = [
                        name
                        for name, one in built.named_modules()
                        if _rows(one) == CLASSES
                    ]
                    yield Model(
                        "transformers", kind.__name__, _state(built), tuple(layers)
                    )


def _built(make: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """Return a model without numbers, or with them where its code computes some as it
    is built.
    """
    try:
        with torch.device("meta"):
            return make()
    except (NotImplementedError, RuntimeError):
        return make()


def _state(model: torch.nn.Module) -> dict[str, tuple[tuple[int, ...], str]]:
    return {
        name: (tuple(one.shape), str(one.dtype).removeprefix("torch."))
        for name, one in model.state_dict().items()
    }


def _last_layer(model: torch.nn.Module) -> str:
    """Return the last layer of as many rows as classes that is no auxiliary one, which
    only torchvision's two Inceptions have.
    """
    layers = [
        name
        for name, one in model.named_modules()
        if _rows(one) == CLASSES and "aux" not in name.lower()
    ]
    return layers[-1]


def _rows(layer: torch.nn.Module) -> int | None:
    weight = getattr(layer, "weight", None)
    return (
        len(weight)
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d) and weight is not None
        else None
    )


def without_classifier(model: Model) -> Model:
    """Return a model with all its classifiers removed, auxiliary ones included."""
    removed = tuple(f"{name}." for name in model.classifiers)
    state = {
        name: value
        for name, value in model.state.items()
        if not name.startswith(removed) and "Aux" not in name
    }
    return model._replace(state=state, classifiers=())


def renamed(model: Model, draw: random.Random) -> Model:
    """Return a model whose main classifier has an odd name, in place of its whole path
    or of the last part of it.
    """
    old, new = model.classifiers[0], draw.choice(ODD_NAMES)
    if "." in old and draw.random() < 0.5:
        new = f"{old.rpartition('.')[0]}.{new}"
    state = {
        f"{new}{name.removeprefix(old)}" if name.startswith(f"{old}.") else name: value
        for name, value in model.state.items()
    }
    return model._replace(state=state, classifiers=(new, *model.classifiers[1:]))


def verdict(model: Model, classes: int | None = None) -> tuple[str, str]:
    """Return ``right``, ``wrong``, ``asked`` or ``none``, and what dsi took or said,
    given the number of classes if it is known.
    """
    tensors = {
        name: contiguous(
            dtype, shape, Storage(name, dtype, int(torch.Size(shape).numel()))
        )
        for name, (shape, dtype) in model.state.items()
    }
    try:
        taken = choose_head(
            [NestedStateDict((), tensors, RAW)], RAW, classes=classes
        ).name
    except AmbiguousHeadError as error:
        return ("asked" if model.classifiers else "right"), str(error)
    except NoHeadError as error:
        return ("none" if model.classifiers else "right"), str(error)
    wanted = model.classifiers[0] if model.classifiers else ""
    ends = ("", ".l", ".linear", ".fc", ".fc2")
    is_right = bool(wanted) and taken.rpartition(".")[0] in [
        f"{wanted}{end}" for end in ends
    ]
    return ("right" if is_right else "wrong"), f"{taken}, wanted {wanted or 'none'}"


class Table:
    """The number of models of each library with each result."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.found: dict[str, dict[str, list[str]]] = defaultdict(
            lambda: defaultdict(list)
        )

    def add(self, model: Model, classes: int | None = None) -> None:
        """Count one model."""
        kind, told = verdict(model, classes)
        self.found[model.library][kind].append(model.name)
        if kind != "right":
            print(
                f"{self.title}: {kind}: {model.library} {model.name}: {told}",
                file=sys.stderr,
            )

    def count(self, kind: str) -> int:
        """Return how many models came out in one way."""
        return sum(len(found[kind]) for found in self.found.values())

    def text(self, names_of: tuple[str, ...] = ()) -> str:
        """Return the table in Markdown, followed by the names of the models of some
        kinds.
        """
        lines = [
            f"### {self.title}",
            "",
            "| library | models | right | asked | none | wrong |",
            "|---|---|---|---|---|---|",
        ]
        for library, found in self.found.items():
            numbers = [len(found[kind]) for kind in KINDS]
            lines.append(
                f"| {library} | {sum(numbers):,} | "
                + " | ".join(f"{number:,}" for number in numbers)
                + " |"
            )
        for kind in names_of:
            names = [
                f"`{name}`" for found in self.found.values() for name in found[kind]
            ]
            if names:
                lines += ["", f"{kind.capitalize()}: {', '.join(names)}."]
        return "\n".join(lines)


def measure(pattern: str) -> tuple[str, int]:
    """Return the page's text, and how many models are wrong although their classifier
    is there or the class count is known.
    """
    draw = random.Random(SEED)
    plain, odd = Table("As the libraries name it"), Table("The classifier renamed")
    by_name = Table("The tensors sorted by name, as safetensors stores them")
    removed, counted = (
        Table("The classifier removed"),
        Table("The classifier removed, and 1,000 classes known"),
    )
    for model in models(pattern):
        plain.add(model)
        by_name.add(model._replace(state=dict(sorted(model.state.items()))))
        if model.classifiers:
            odd.add(renamed(model, draw))
            removed.add(without_classifier(model))
            counted.add(without_classifier(model), classes=CLASSES)
    texts = [
        plain.text(("asked", "none", "wrong")),
        by_name.text(("asked", "none", "wrong")),
        odd.text(("wrong",)),
        removed.text(("wrong",)),
        counted.text(("wrong",)),
    ]
    return "\n\n".join(texts), sum(
        table.count("wrong") for table in (plain, by_name, odd, counted)
    )


def main(pattern: str = "*") -> int:
    """Print the tables, write them into the page if all models were looked at; return 1
    if any is wrong.
    """
    import timm
    import torchvision
    import transformers

    text, wrong = measure(pattern)
    print(text)
    if pattern == "*":
        page = PAGE.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGIN)
        libraries = ", ".join(
            f"{library.__name__} {library.__version__}"
            for library in (timm, torchvision, transformers)
        )
        versions = f"Measured by `make bench-heads` with {libraries}."
        PAGE.write_text(
            f"{head}{BEGIN}\n\n{versions}\n\n{text}\n\n{END}{rest.partition(END)[2]}",
            encoding="utf-8",
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
