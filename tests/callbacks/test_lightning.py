"""Real trainings by Lightning, under both names of the package."""

import importlib
import warnings

import pandas as pd
import pytest
import torch
from helpers.errors import raises
from helpers.training_loop import (
    LABELS,
    TwoHeads,
    counts_by_hand,
    expected,
    images,
    loader,
    network,
)
from torch import nn

import dsi_cli
from dsi_cli import callbacks
from dsi_cli.errors import UsageError

pytestmark = pytest.mark.filterwarnings("ignore:::(lightning|pytorch_lightning|torch)")
EPOCHS = 3


def module(lightning, *, net=network, validates=True):
    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = net()
            self.stages = []

        def forward(self, inputs):
            return self.model(inputs)

        def on_after_batch_transfer(self, batch, _loader):
            if self.trainer.training:
                self.stages.append("training")
                return batch[0] + 0.5 * torch.rand(1), batch[1]
            self.stages.append("validating")
            return batch

        def training_step(self, batch):
            loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
            self.log("loss", loss, on_epoch=True)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.3)

    if validates:
        Module.validation_step = lambda self, batch: self.log(
            "seen", float(len(batch[0]))
        )
    return Module()


def fit(
    folder, added, name="lightning.pytorch", *, validation=True, net=network, **options
):
    lightning = importlib.import_module(name)
    loggers = importlib.import_module(f"{name}.loggers")
    checkpoints = importlib.import_module(f"{name}.callbacks").ModelCheckpoint(
        folder / "ckpts", filename="{epoch}", save_top_k=-1
    )
    lightning.seed_everything(1)
    model = module(lightning, net=net, validates=validation)
    trainer = lightning.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        devices=1,
        logger=loggers.CSVLogger(folder, name="", version="log"),
        callbacks=[*added, checkpoints],
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        **options,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "The '.*_dataloader' does not have many workers"
        )
        trainer.fit(
            model, loader(shuffle=True), loader(80, seed=2) if validation else None
        )
    return model, trainer


def logged(folder):
    frame = pd.read_csv(folder / "log" / "metrics.csv")
    return frame.dropna(subset="dsi/max_wsi").set_index("epoch").filter(like="dsi/")


@pytest.mark.parametrize("name", ["lightning.pytorch", "pytorch_lightning"])
def test_the_log_has_the_values_of_the_checkpoints(name, tmp_path):
    callback = callbacks.LightningCallback(LABELS, validation=True)
    model, trainer = fit(tmp_path, [callback], name)
    found = logged(tmp_path)
    assert list(found.index) == list(range(EPOCHS))
    for epoch in range(EPOCHS):
        path = tmp_path / "ckpts" / f"epoch={epoch}.ckpt"
        net = network()
        state = torch.load(path, weights_only=True)["state_dict"]
        net.load_state_dict(
            {key.removeprefix("model."): value for key, value in state.items()}
        )
        wanted = expected(
            dsi_cli.read_head(path), counts_by_hand(net, images(80, seed=2))
        )
        assert found.loc[epoch].dropna().to_dict() == pytest.approx(wanted, abs=1e-5)
    assert "dsi/agreement" in trainer.callback_metrics
    assert callback.tracker.reasons == {}
    assert model.stages.count("validating") == 2 + EPOCHS * 2 * 4, (
        "sanity check, Lightning's passes and ours"
    )


def test_training_is_the_same_to_the_last_bit_with_and_without(tmp_path):
    without, _ = fit(tmp_path / "without", [])
    with_it, _ = fit(
        tmp_path / "with", [callbacks.LightningCallback(LABELS, validation=True)]
    )
    theirs, ours = without.state_dict(), with_it.state_dict()
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
    losses = [
        pd.read_csv(tmp_path / part / "log" / "metrics.csv")["loss_epoch"].dropna()
        for part in ("with", "without")
    ]
    assert (losses[0].tolist(), len(losses[0])) == (losses[1].tolist(), EPOCHS)


def test_the_batches_are_those_that_the_trainer_would_run(tmp_path):
    callback = callbacks.LightningCallback(LABELS, validation=True)
    model, _ = fit(tmp_path, [callback], limit_val_batches=2, num_sanity_val_steps=0)
    assert model.stages.count("validating") == EPOCHS * 2 * 2


def test_wrong_usage_is_raised_before_the_first_epoch(tmp_path):
    with pytest.raises(
        UsageError,
        match=r"2 tensors could be the classifier.*choose one, for example with head=",
    ):
        fit(tmp_path, [callbacks.LightningCallback(LABELS)], net=TwoHeads)
    with raises("label-count", UsageError, labels=3, classes=8):
        fit(tmp_path, [callbacks.LightningCallback(["cat", "dog", "car"])])
    with raises("no-validation-data", UsageError):
        fit(
            tmp_path,
            [callbacks.LightningCallback(LABELS, validation=True)],
            validation=False,
        )
    assert not list(tmp_path.glob("ckpts/*.ckpt"))


class Strange(nn.Module):
    """A network that answers with too few classes."""

    def __init__(self):
        super().__init__()
        self.net = network()

    def forward(self, inputs):
        return (
            self.net(inputs)
            if self.training or torch.is_inference_mode_enabled()
            else self.net(inputs)[:, :2]
        )


def test_a_failure_ends_no_training(tmp_path):
    callback = callbacks.LightningCallback(LABELS, validation=True)
    with pytest.warns(
        UserWarning,
        match=(
            r"^dsi leaves out widm, nidm, accuracy of this epoch: outputs \(24, 2\) and targets"
        ),
    ) as seen:
        _, trainer = fit(tmp_path, [callback], net=Strange)
    assert trainer.current_epoch == EPOCHS
    assert (
        len([warning for warning in seen if "dsi leaves out" in str(warning.message)])
        == 1
    )
    assert len(logged(tmp_path)) == EPOCHS
    assert trainer.state.stage is None or trainer.state.finished
