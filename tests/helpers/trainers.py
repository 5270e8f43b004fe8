"""A small corpus: a folder of two epochs for each trainer, by the trainer's own code
where it is installed.

Composer, DeepSpeed, fastai, Ignite, MMEngine and Ultralytics are not installed. Their
files are written by torch with the keys and names that these trainers give. The numbers
of epochs follow each trainer's convention.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fuzz.makers import write_zero3

CLASSES, FEATURES, STEPS = 6, 8, 3
"""Of the network, and the steps of an epoch."""


class Expected(NamedTuple):
    """What is in one checkpoint."""

    path: str
    """Within the trainer's folder."""
    weight: npt.NDArray[np.float32]
    """The classifier head."""
    epoch: int | None
    """The trainer's own number."""
    completed: int | None
    """The number of finished epochs, if the file or the trainer's convention says it.
    """
    step: int | None = None


class Net(nn.Module):
    """A small convolutional classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, FEATURES, 3)
        self.norm = nn.BatchNorm2d(FEATURES)
        self.fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.norm(self.conv(images))).mean((2, 3)))


def _batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(4, 3, 8, 8, generator=generator), torch.arange(4) + number)
        for number in range(STEPS)
    ]


def _training(net: nn.Module) -> Iterator[torch.optim.Optimizer]:
    """Yield the optimiser after each of two epochs."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        for images, targets in _batches():
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images), targets).backward()
            optimizer.step()
        yield optimizer


def _head(net: Net) -> npt.NDArray[np.float32]:
    return net.fc.weight.detach().numpy().copy()


def _net() -> Net:
    torch.manual_seed(0)
    return Net()


def accelerate(folder: Path) -> Iterator[Expected]:
    from accelerate import Accelerator

    net = _net()
    accelerator = Accelerator(cpu=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net, optimizer = accelerator.prepare(net, optimizer)
    for epoch, _ in enumerate(_training(net)):
        accelerator.save_state(str(folder / f"epoch_{epoch}"))
        yield Expected(
            f"epoch_{epoch}", _head(accelerator.unwrap_model(net)), epoch, None
        )


def lightning(folder: Path) -> Iterator[Expected]:
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import ModelCheckpoint

    heads = []

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = _net()

        def training_step(self, batch: Any, _number: int) -> torch.Tensor:
            return nn.functional.cross_entropy(self.model(batch[0]), batch[1])

        def on_train_epoch_end(self) -> None:
            heads.append(_head(self.model))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    saver = ModelCheckpoint(folder, save_top_k=-1)
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
    }
    trainer = Trainer(max_epochs=2, callbacks=[saver], **quiet)
    trainer.fit(Module(), torch.utils.data.DataLoader(_batches(), batch_size=None))
    for epoch, weight in enumerate(heads):
        step = STEPS * (epoch + 1)
        yield Expected(
            f"epoch={epoch}-step={step}.ckpt", weight, epoch, epoch + 1, step
        )


def torch_distributed(folder: Path) -> Iterator[Expected]:
    import torch.distributed.checkpoint as dcp

    net = _net()
    for epoch, _ in enumerate(_training(net)):
        step = STEPS * (epoch + 1)
        dcp.save(
            {"app": {"model": net.state_dict()}},
            checkpoint_id=folder / f"step-{step}",
            no_dist=True,
        )
        yield Expected(f"step-{step}", _head(net), None, None, step)


def transformers(folder: Path) -> Iterator[Expected]:
    """Write the folders of the Trainer, with the weights in several safetensors
    files.
    """
    from transformers import ViTConfig, ViTForImageClassification
    from transformers.trainer_callback import TrainerState

    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    torch.manual_seed(0)
    model = ViTForImageClassification(
        ViTConfig(**sizes, image_size=8, patch_size=4, num_labels=CLASSES)
    )
    for epoch in (1, 2):
        step, place = STEPS * epoch, folder / f"checkpoint-{STEPS * epoch}"
        nn.init.normal_(model.classifier.weight)
        model.save_pretrained(place, max_shard_size="8KB")
        TrainerState(epoch=float(epoch), global_step=step).save_to_json(
            str(place / "trainer_state.json")
        )
        yield Expected(
            place.name,
            model.classifier.weight.detach().numpy().copy(),
            epoch,
            epoch,
            step,
        )
    assert len(list(folder.glob("checkpoint-3/model-*.safetensors"))) > 1


def examples_of_pytorch(folder: Path) -> Iterator[Expected]:
    """Write what ``examples/imagenet`` of PyTorch does: it stores the next epoch,
    behind the wrapper of several GPUs.
    """
    net = _net()
    for epoch, optimizer in enumerate(_training(net)):
        state = {f"module.{name}": tensor for name, tensor in net.state_dict().items()}
        held = {
            "epoch": epoch + 1,
            "arch": "resnet18",
            "state_dict": state,
            "best_acc1": 50.0,
        }
        torch.save(
            {**held, "optimizer": optimizer.state_dict()},
            folder / f"checkpoint_{epoch + 1:04}.pth.tar",
        )
        yield Expected(
            f"checkpoint_{epoch + 1:04}.pth.tar", _head(net), epoch + 1, epoch + 1
        )


def compiled(folder: Path) -> Iterator[Expected]:
    """Write the bare weights of a network that was compiled: the epoch is in the name
    alone.
    """
    net = _net()
    for epoch, _ in enumerate(_training(net)):
        torch.save(
            {f"_orig_mod.{name}": tensor for name, tensor in net.state_dict().items()},
            folder / f"model-{epoch}.pt",
        )
        yield Expected(f"model-{epoch}.pt", _head(net), epoch, None)


def safetensors(folder: Path) -> Iterator[Expected]:
    from safetensors.torch import save_file

    net = _net()
    for epoch, _ in enumerate(_training(net), start=1):
        save_file(
            net.state_dict(),
            folder / f"model_epoch{epoch}.safetensors",
            metadata={"epoch": str(epoch)},
        )
        yield Expected(f"model_epoch{epoch}.safetensors", _head(net), epoch, None)


def composer(folder: Path) -> Iterator[Expected]:
    net = _net()
    for epoch, _ in enumerate(_training(net), start=1):
        step = STEPS * epoch
        state = {
            "model": net.state_dict(),
            "timestamp": {"iteration": 0, "epoch": epoch, "batch": step},
            "optimizers": {},
        }
        torch.save({"state": state, "rng": []}, folder / f"ep{epoch}-ba{step}-rank0.pt")
        yield Expected(f"ep{epoch}-ba{step}-rank0.pt", _head(net), epoch, epoch, step)


def deepspeed(folder: Path) -> Iterator[Expected]:
    """Write the whole weights that the stages 0 to 2 keep next to the optimiser's
    parts.
    """
    net = _net()
    for epoch, _ in enumerate(_training(net)):
        step = STEPS * (epoch + 1)
        place = folder / f"global_step{step}"
        place.mkdir()
        held = {
            "module": net.state_dict(),
            "optimizer": None,
            "global_steps": step,
            "dp_world_size": 1,
        }
        torch.save(
            {**held, "ds_version": "0.19.8"}, place / "mp_rank_00_model_states.pt"
        )
        (folder / "latest").write_text(place.name, encoding="utf-8")
        yield Expected(place.name, _head(net), None, None, step)


def deepspeed_zero3(folder: Path) -> Iterator[Expected]:
    net = _net()
    (folder / "global_step12").mkdir()
    write_zero3(folder / "global_step12", dict(net.named_parameters()))
    yield Expected("global_step12", _head(net), 2, None, 12)


def fastai(folder: Path) -> Iterator[Expected]:
    net = _net()
    for epoch, _ in enumerate(_training(net)):
        torch.save(
            {"model": net.state_dict(), "opt": {"state": [], "hypers": [{"lr": 0.1}]}},
            folder / f"model_{epoch}.pth",
        )
        yield Expected(f"model_{epoch}.pth", _head(net), epoch, epoch + 1)


def ignite(folder: Path) -> Iterator[Expected]:
    """Write Ignite's default: the number in the name is the iteration, and the
    trainer's state has the length of an epoch.
    """
    net = _net()
    for epoch, optimizer in enumerate(_training(net), start=1):
        step = STEPS * epoch
        trainer = {"epoch_length": STEPS, "iteration": step, "max_epochs": 2}
        held = {
            "model": net.state_dict(),
            "optimizer": optimizer.state_dict(),
            "trainer": trainer,
        }
        torch.save(held, folder / f"checkpoint_{step}.pt")
        yield Expected(f"checkpoint_{step}.pt", _head(net), epoch, epoch, step)


def mmengine(folder: Path) -> Iterator[Expected]:
    net = _net()
    for epoch, optimizer in enumerate(_training(net), start=1):
        meta = {
            "epoch": epoch,
            "iter": STEPS * epoch,
            "mmengine_version": "0.10.7",
            "experiment_name": "run",
        }
        held = {
            "meta": meta,
            "state_dict": net.state_dict(),
            "optimizer": optimizer.state_dict(),
            "message_hub": {},
        }
        torch.save({**held, "param_schedulers": []}, folder / f"epoch_{epoch}.pth")
        (folder / "last_checkpoint").write_text(
            str(folder / f"epoch_{epoch}.pth"), encoding="utf-8"
        )
        yield Expected(f"epoch_{epoch}.pth", _head(net), epoch, epoch, STEPS * epoch)


def ultralytics(folder: Path) -> Iterator[Expected]:
    """Write whole modules of 16-bit floats under the averaged model's key, as
    Ultralytics does.
    """
    net = _net()
    for epoch, _ in enumerate(_training(net)):
        halves = _net()
        halves.load_state_dict(net.state_dict())
        held = {
            "epoch": epoch,
            "best_fitness": 0.5,
            "model": None,
            "ema": halves.half(),
            "updates": STEPS * (epoch + 1),
        }
        torch.save(
            {
                **held,
                "optimizer": None,
                "train_args": {"task": "classify"},
                "version": "8.4",
            },
            folder / f"epoch{epoch}.pt",
        )
        yield Expected(
            f"epoch{epoch}.pt",
            halves.fc.weight.detach().float().numpy(),
            epoch,
            epoch + 1,
        )


TRAINERS: tuple[Callable[[Path], Iterator[Expected]], ...] = (
    *(
        accelerate,
        compiled,
        composer,
        deepspeed,
        deepspeed_zero3,
        examples_of_pytorch,
        fastai,
    ),
    *(
        ignite,
        lightning,
        mmengine,
        safetensors,
        torch_distributed,
        transformers,
        ultralytics,
    ),
)


def write_all(folder: Path) -> dict[str, list[Expected]]:
    """Write every trainer's files into a folder of its name, and return what is in
    them.
    """
    found = {}
    for write in TRAINERS:
        place = folder / write.__name__
        place.mkdir(parents=True)
        found[write.__name__] = list(write(place))
    return found
