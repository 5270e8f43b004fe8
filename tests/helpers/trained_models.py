"""Fixtures: networks trained by their libraries on ten images of ten CIFAR-100 classes,
and predictions by a plain loop.
"""

import argparse
import copy
import importlib.util
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from helpers.outputs import all_curves

FEW = (
    "apple",
    "bear",
    "bicycle",
    "cattle",
    "dolphin",
    "mouse",
    "oak_tree",
    "shark",
    "tank",
    "wolf",
)
QUICK = ("--permutations", 0, "--measure", "cosine", "--no-report")
MEAN, STD = (0.5, 0.48, 0.44), (0.27, 0.26, 0.28)
NETS = '''
import time

import torch
from torch import nn


class Net(nn.Module):
    """A small convolutional classifier; ``conv_head``: by a 1x1 convolution. The
    options after it are ways to go wrong.
    """

    def __init__(self, num_classes=10, in_chans=3, width=12, conv_head=False, limit=None, words=None, slow=0.0, gives=None):
        super().__init__()
        self.conv = nn.Conv2d(in_chans, width, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.body = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.classifier = nn.Conv2d(2 * width, num_classes, 1) if conv_head else nn.Linear(2 * width, num_classes)
        self.conv_head, self.limit, self.words, self.slow, self.gives = conv_head, limit, words, slow, gives

    def forward(self, x):
        if self.limit is not None and len(x) > self.limit:
            raise torch.cuda.OutOfMemoryError("no room") if self.words is None else RuntimeError(self.words)
        time.sleep(self.slow)
        x = torch.relu(self.body(torch.relu(self.norm(self.conv(x)))))
        x = self.classifier(x).mean((2, 3)) if self.conv_head else self.classifier(x.mean((2, 3)))
        return {"dict": {"x": x}, "tuple": (x, None), "wide": x[:, :, None], "one": x[:1]}.get(self.gives, x)


def build(num_classes, in_chans=3, **options):
    print("a line on stdout")
    return Net(num_classes, in_chans, **options).half()


def strict(num_classes, width):
    return Net(num_classes, width=width)


def nothing():
    return None


def fails():
    raise ValueError("two\\nlines")


def leaves():
    raise SystemExit(3)


class Leaves(Net):
    def forward(self, x):
        raise SystemExit(0)


NET = Net()
'''


@dataclass(frozen=True)
class Trained:
    """A run of checkpoints, and what its library makes of them."""

    folder: Path
    files: Sequence[Path]  # a checkpoint an epoch, in order
    load: Callable[[Path], torch.nn.Module]  # reads a checkpoint by the library itself
    # the library's own, to the model's input
    transform: Callable[[Image.Image], torch.Tensor]
    options: Sequence[
        object
    ] = ()  # for the command, where nothing in the checkpoints says it

    def model(self, epoch: int) -> torch.nn.Module:
        return self.load(self.files[epoch]).eval()


@dataclass(frozen=True)
class Looped:
    """What a plain loop of torch found."""

    logits: np.ndarray
    features: np.ndarray | None
    targets: np.ndarray

    @property
    def predictions(self) -> np.ndarray:
        return self.logits.argmax(axis=1)


@dataclass(frozen=True)
class Ran:
    """What a call of the command left."""

    code: int
    stdout: str
    stderr: str
    out: Path
    run: str
    # lines on stderr that say what went wrong
    errors: list[str] = field(default_factory=list)

    def curves(self, query: str) -> pd.DataFrame:
        return all_curves(self.out).query(query)

    def value(self, query: str) -> float:
        (value,) = self.curves(query)["value"]
        return float(value)

    def predictions(self, epoch: int) -> pd.DataFrame:
        """Return the answers at an epoch, in the order of the data."""
        path = self.out / "predictions" / self.run / "test" / f"{epoch}.parquet"
        return pd.read_parquet(path).sort_values("sample", ignore_index=True)

    def counts(self, epoch: int) -> np.ndarray:
        return np.stack(
            pd.read_parquet(
                self.out / "confusions" / self.run / "test" / f"{epoch}.parquet"
            )["count"]
        )

    def matrix(self, kind: str, epoch: int) -> np.ndarray:
        return np.stack(
            pd.read_parquet(self.out / "csms" / self.run / kind / f"{epoch}.parquet")[
                "similarity"
            ]
        )

    def typicality(self, epoch: int) -> pd.DataFrame:
        return (
            pd.read_parquet(self.out / "typicality.parquet")
            .query(f"epoch == {epoch}")
            .reset_index(drop=True)
        )


Loop = Callable[..., Looped]
Evaluate = Callable[..., Ran]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Keep torch to one thread: for networks this small more of them wait for one
    another, the longer the busier the cores.
    """
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def few(colour_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of ten images for each of ten classes; do not write to it."""
    folder = tmp_path_factory.mktemp("few") / "images"
    for name in FEW:
        shutil.copytree(colour_images / name, folder / name)
    return folder


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield each image and its class's number, as torchvision's ``ImageFolder`` orders
    them.
    """
    for number, place in enumerate(
        sorted(place for place in folder.iterdir() if place.is_dir())
    ):
        yield from ((path, number) for path in sorted(place.iterdir()))


@pytest.fixture(scope="session")
def loop() -> Loop:
    """Return ``loop(model, transform, folder, head=None)``: logits, and what goes into
    the module ``head``, image by image.
    """

    def looped(
        model: torch.nn.Module,
        transform: Callable[[Image.Image], torch.Tensor],
        folder: Path,
        head: str | None = None,
    ) -> Looped:
        caught: list[torch.Tensor] = []
        if head is not None:
            hook = model.get_submodule(head).register_forward_hook(
                lambda _module, inputs, _out: caught.append(inputs[0])
            )
        found = list(_files(folder))
        with torch.no_grad():
            batch = [transform(Image.open(path)) for path, _ in found]
            outputs = [
                model(torch.stack(batch[start : start + 50]))
                for start in range(0, len(batch), 50)
            ]
        if head is not None:
            hook.remove()
        logits = torch.cat([getattr(one, "logits", one) for one in outputs])
        features = [one.flatten(2).mean(2) if one.dim() == 4 else one for one in caught]
        targets = np.array([number for _, number in found])
        return Looped(
            logits.numpy(),
            torch.cat(features).double().numpy() if features else None,
            targets,
        )

    return looped


@pytest.fixture
def evaluate(dsi: Callable[..., Any], few: Path, tmp_path: Path) -> Evaluate:
    """Return ``evaluate(run, *options, data=few, out="out")``: ``dsi analyze``, in this
    process.
    """

    def called(
        run: Path, *options: object, data: Path | str | None = few, out: str = "out"
    ) -> Ran:
        given = () if data is None else ("--test", data)
        ended = dsi("analyze", run, "-o", tmp_path / out, *given, *QUICK, *options)
        assert "Traceback" not in ended.err
        errors = [
            line.removeprefix("error: ")
            for line in ended.err.replace("\nhint: ", "; ").splitlines()
            if line.startswith("error: ")
        ]
        return Ran(
            ended.code, ended.out, ended.err, tmp_path / out, Path(run).name, errors
        )

    return called


@pytest.fixture(scope="session")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Python file with the functions ``build`` and so on, as a user would
    write it.
    """
    path = tmp_path_factory.mktemp("code") / "nets_of_mine.py"
    path.write_text(NETS, encoding="utf-8")
    return path


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{path.stem}_for_tests", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def own_net(nets: Path) -> Callable[..., torch.nn.Module]:
    """Return ``own_net(num_classes=10, **options)``: the class of `nets`."""
    return _module(nets).Net


def _loads(
    fresh: Callable[[], torch.nn.Module], key: str
) -> Callable[[Path], torch.nn.Module]:
    def loaded(path: Path) -> torch.nn.Module:
        model = fresh()
        model.load_state_dict(torch.load(path, weights_only=False)[key], strict=True)
        return model

    return loaded


def _own_transform(image: Image.Image) -> torch.Tensor:
    values = (
        torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 255
    )
    return (values - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[
        :, None, None
    ]


MakeOwn = Callable[..., Trained]


@pytest.fixture(scope="session")
def make_own(few: Path, nets: Path, own_net: Callable[..., torch.nn.Module]) -> MakeOwn:
    """Return ``make_own(folder, epochs=2, **options)``: a run of the class of `nets`,
    written by a loop of somebody's own.
    """

    def made(
        folder: Path, epochs: int = 2, data: Path = few, **options: object
    ) -> Trained:
        folder.mkdir(parents=True)
        torch.manual_seed(0)
        model = own_net(**options)
        files = []
        for epoch, _ in enumerate(_training(model, _own_transform, data, epochs)):
            files.append(folder / f"epoch_{epoch}.pt")
            torch.save({"epoch": epoch, "state_dict": model.state_dict()}, files[-1])
        (folder / "config.json").write_text(
            f'{{"mean": {list(MEAN)}, "std": {list(STD)}}}', encoding="utf-8"
        )
        spec = ("--model", f"{nets}:build")
        return Trained(
            folder,
            files,
            _loads(lambda: own_net(**options), "state_dict"),
            _own_transform,
            spec,
        )

    return made


def _training(
    model: torch.nn.Module,
    transform: Callable[[Image.Image], torch.Tensor],
    folder: Path,
    epochs: int,
) -> Iterator[torch.optim.Optimizer]:
    """Yield before training, and after each of some epochs of two steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    found = list(_files(folder))
    images, targets = (
        torch.stack([transform(Image.open(path)) for path, _ in found]),
        torch.tensor([n for _, n in found]),
    )
    for epoch in range(epochs):
        model.train()
        for rows in torch.randperm(len(found)).split(25) if epoch else ():
            outputs = model(images[rows])
            torch.nn.functional.cross_entropy(
                getattr(outputs, "logits", outputs), targets[rows]
            ).backward()
            optimizer.step()
            optimizer.zero_grad()
        yield optimizer


@pytest.fixture(scope="session")
def own_run(make_own: MakeOwn, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a run of two epochs; do not write to it."""
    return make_own(tmp_path_factory.mktemp("own") / "own", epochs=2)


@pytest.fixture(scope="session")
def timm_run(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a run as timm's ``train.py`` leaves it (``--model test_vit --img-size 64
    --model-kwargs img_size=64``).
    """
    import timm
    from timm.data import create_transform, resolve_data_config
    from timm.utils import CheckpointSaver, ModelEmaV3

    folder = tmp_path_factory.mktemp("timm") / "timm"
    folder.mkdir()
    args = argparse.Namespace(
        **{
            "model": "test_vit",
            "num_classes": 10,
            "img_size": 64,
            "input_size": None,
            "in_chans": None,
            "crop_pct": 0.8,
        },
        **{
            "mean": None,
            "std": [0.3, 0.3, 0.3],
            "interpolation": "",
            "train_interpolation": "random",
            "class_map": "",
        },
        **{
            "model_kwargs": {"img_size": 64},
            "data_dir": str(few),
            "opt": "adamw",
            "lr": 3e-3,
            "smoothing": 0.1,
        },
    )

    def fresh() -> torch.nn.Module:
        return timm.create_model(
            args.model, num_classes=args.num_classes, **args.model_kwargs
        )

    torch.manual_seed(0)
    model = fresh()
    transform = create_transform(
        **resolve_data_config(vars(args), model=model), is_training=False
    )
    ema = ModelEmaV3(model, decay=0.5)
    saver = None
    for epoch, optimizer in enumerate(_training(model, transform, few, 2)):
        saver = saver or CheckpointSaver(
            model, optimizer, args=args, model_ema=ema, checkpoint_dir=str(folder)
        )
        ema.update(model)
        saver.save_checkpoint(epoch, metric=float(epoch))
    files = [folder / f"checkpoint-{epoch}.pth.tar" for epoch in range(2)]
    return Trained(folder, files, _loads(fresh, "state_dict"), transform)


@pytest.fixture(scope="session")
def torchvision_run(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a run as torchvision's reference script leaves it (``--model
    shufflenet_v2_x0_5 --val-crop-size 40 ...``).
    """
    from torchvision import models, transforms

    folder = tmp_path_factory.mktemp("torchvision") / "torchvision"
    folder.mkdir()
    args = argparse.Namespace(
        **{
            "model": "shufflenet_v2_x0_5",
            "data_path": str(few),
            "batch_size": 25,
            "epochs": 2,
            "weights": None,
        },
        **{
            "val_resize_size": 48,
            "val_crop_size": 40,
            "train_crop_size": 36,
            "interpolation": "bicubic",
            "backend": "pil",
        },
        **{
            "model_ema": True,
            "model_ema_decay": 0.5,
            "output_dir": str(folder),
            "device": "cpu",
        },
    )

    def fresh() -> torch.nn.Module:
        return models.get_model(args.model, weights=None, num_classes=10)

    torch.manual_seed(0)
    model = fresh()
    transform = transforms.Compose(  # presets.ClassificationPresetEval
        [
            transforms.Resize(
                args.val_resize_size, interpolation=transforms.InterpolationMode.BICUBIC
            ),
            transforms.CenterCrop(args.val_crop_size),
            transforms.PILToTensor(),
            transforms.ConvertImageDtype(torch.float),
            transforms.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        ]
    )
    average = torch.optim.swa_utils.AveragedModel(model, use_buffers=True)
    for epoch, optimizer in enumerate(_training(model, transform, few, 2)):
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        average.update_parameters(model)
        held = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "lr_scheduler": scheduler.state_dict(),
        }
        held |= {"epoch": epoch, "args": args, "model_ema": average.state_dict()}
        torch.save(held, folder / f"model_{epoch}.pth")
        torch.save(held, folder / "checkpoint.pth")
    return Trained(
        folder,
        [folder / f"model_{epoch}.pth" for epoch in range(2)],
        _loads(fresh, "model"),
        transform,
    )


@pytest.fixture(scope="session")
def hugging_face_run(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a run as Hugging Face's ``Trainer`` leaves it, of a tiny ViT."""
    transformers = pytest.importorskip("transformers")
    from transformers.trainer_callback import TrainerState

    folder = tmp_path_factory.mktemp("transformers") / "transformers"
    config = transformers.ViTConfig(
        **{
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 64,
        },
        **{"image_size": 32, "patch_size": 8, "id2label": dict(enumerate(FEW))},
        label2id={name: number for number, name in enumerate(FEW)},
    )

    def fresh() -> torch.nn.Module:
        return transformers.ViTForImageClassification(copy.deepcopy(config))

    def transform(image: Image.Image) -> torch.Tensor:
        return (
            torch.from_numpy(np.array(image.convert("RGB")))
            .permute(2, 0, 1)
            .float()
            .div(255)
            .sub(0.5)
            .div(0.5)
        )

    torch.manual_seed(0)
    model = fresh()
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    for epoch, _ in enumerate(_training(model, transform, few, 3)):
        if epoch:
            place = folder / f"checkpoint-{4 * epoch}"
            model.save_pretrained(place)
            processor.save_pretrained(place)
            TrainerState(epoch=float(epoch), global_step=4 * epoch).save_to_json(
                str(place / "trainer_state.json")
            )
    files = [
        folder / f"checkpoint-{4 * epoch}" / "model.safetensors" for epoch in (1, 2)
    ]
    return Trained(
        folder,
        files,
        lambda path: transformers.ViTForImageClassification.from_pretrained(
            path.parent
        ),
        transform,
    )
