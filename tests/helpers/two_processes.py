"""A training in two processes on this machine: ``python two_processes.py OUT [fail]``;
process zero writes what it logged.
"""

import json
import sys
from pathlib import Path

import lightning.pytorch as lightning
import torch
from torch import nn

from dsi_cli.callbacks import LightningCallback
from helpers.training_loop import (
    LABELS,
    counts_by_hand,
    expected,
    images,
    loader,
    network,
)


class Module(lightning.LightningModule):
    """Fails in the second process, in the callback's own pass, where that is asked
    for.
    """

    def __init__(self, fails):
        super().__init__()
        self.model, self.fails, self.is_theirs = network(), fails, True

    def forward(self, inputs):
        if self.fails and not self.is_theirs and self.trainer.global_rank == 1:
            raise OSError("disk gone")
        return self.model(inputs)

    def training_step(self, batch):
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch):
        self(batch[0])

    def on_train_epoch_start(self):
        self.is_theirs = True

    def on_validation_end(self):
        self.is_theirs = False

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def main(out, *fails):
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[LightningCallback(LABELS, validation=True)],
    )
    trainer.fit(Module(bool(fails)), loader(), loader(80, seed=2))
    if trainer.is_global_zero:
        net = trainer.lightning_module.model
        found = {name: float(value) for name, value in trainer.callback_metrics.items()}
        wanted = expected(
            net.fc.weight.detach().numpy(), counts_by_hand(net, images(80, seed=2))
        )
        Path(out).write_text(json.dumps([found, wanted]))


if __name__ == "__main__":
    main(*sys.argv[1:])
