"""Real trainings by Hugging Face's Trainer: a tiny ViT on made-up images."""

import json

import pytest
import torch
from helpers.errors import raises
from helpers.training_loop import LABELS, counts_by_hand, expected, images

import dsi_cli
from dsi_cli import callbacks
from dsi_cli.errors import UsageError

EPOCHS = 2


class Images(torch.utils.data.Dataset):
    def __init__(self, samples, seed):
        self.data = images(samples, seed)

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        image, target = self.data[index]
        return {"pixel_values": image, "labels": int(target)}


def vit(labels=LABELS):
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=8,
        patch_size=4,
        hidden_dropout_prob=0.1,
    )
    config.id2label, config.label2id = (
        dict(enumerate(labels)),
        {name: index for index, name in enumerate(labels)},
    )
    torch.manual_seed(0)
    return ViTForImageClassification(config)


def train(folder, add=None, *, evaluation=True, model=None):
    from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(
        folder,
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=16,
        per_device_eval_batch_size=30,
        learning_rate=1e-2,
        save_strategy="epoch",
        eval_strategy="epoch" if evaluation else "no",
        logging_strategy="epoch",
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        seed=1,
        dataloader_pin_memory=False,
    )
    data = Images(80, 2) if evaluation else None
    trainer = Trainer(
        model or vit(), arguments, train_dataset=Images(64, 1), eval_dataset=data
    )
    if add is not None:
        trainer.add_callback(add(trainer))
    trainer.train()
    return trainer


def ours(history):
    return [
        {key: value for key, value in entry.items() if "dsi/" in key}
        for entry in history
        if "dsi/max_wsi" in entry
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("huggingface")
    return folder, train(
        folder, lambda trainer: callbacks.HuggingFaceCallback(trainer, validation=True)
    )


def test_the_history_has_the_values_of_the_checkpoints(trained):
    folder, trainer = trained
    found = ours(trainer.state.log_history)
    steps = [
        entry["step"] for entry in trainer.state.log_history if "dsi/max_wsi" in entry
    ]
    assert steps == [4, 8]
    for step, values in zip(steps, found, strict=True):
        checkpoint = folder / f"checkpoint-{step}"
        net = Logits(type(trainer.model).from_pretrained(checkpoint))
        wanted = expected(
            dsi_cli.read_head(checkpoint), counts_by_hand(net, images(80, seed=2))
        )
        assert values == pytest.approx(wanted, abs=1e-6)
    assert (
        ours(
            json.loads((folder / "checkpoint-8" / "trainer_state.json").read_text())[
                "log_history"
            ]
        )
        == found
    )


class Logits(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, inputs):
        return self.model(inputs).logits


def test_the_trainers_own_losses_are_still_logged(trained):
    _, trainer = trained
    for key in ("loss", "eval_loss"):
        assert [
            entry["epoch"] for entry in trainer.state.log_history if key in entry
        ] == [1.0, 2.0]


def test_training_is_the_same_to_the_last_bit_with_and_without(trained, tmp_path):
    without = train(tmp_path).model.state_dict()
    assert all(
        torch.equal(without[name], trained[1].model.state_dict()[name])
        for name in without
    )


def test_the_labels_given_win_over_the_models(tmp_path):
    trainer = train(
        tmp_path,
        lambda trainer: callbacks.HuggingFaceCallback(trainer, labels=LABELS),
        model=vit([f"LABEL_{i}" for i in range(8)]),
    )
    assert "dsi/agreement" in ours(trainer.state.log_history)[0]


def test_wrong_usage_is_raised_before_the_first_epoch(tmp_path):
    with raises("label-count", UsageError, labels=3, classes=8):
        train(
            tmp_path,
            lambda trainer: callbacks.HuggingFaceCallback(
                trainer, ["cat", "dog", "car"]
            ),
        )
    with pytest.raises(UsageError, match=r"^no tensor is named nose"):
        train(
            tmp_path,
            lambda trainer: callbacks.HuggingFaceCallback(trainer, head="nose"),
        )
    with raises("no-validation-data", UsageError):
        train(
            tmp_path,
            lambda trainer: callbacks.HuggingFaceCallback(trainer, validation=True),
            evaluation=False,
        )
    assert not list(tmp_path.glob("checkpoint-*"))


def test_a_failure_ends_no_training(tmp_path):
    def broken(trainer):
        trainer.prediction_step = lambda *_, **__: 1 / 0
        return callbacks.HuggingFaceCallback(trainer, validation=True)

    with pytest.warns(
        UserWarning,
        match=r"^dsi leaves out widm, nidm, accuracy of this epoch: ZeroDivisionError",
    ):
        trainer = train(
            tmp_path,
            lambda trainer: (
                trainer.args.set_evaluate(strategy="no") and broken(trainer)
            ),
        )
    assert (trainer.state.epoch, len(ours(trainer.state.log_history))) == (
        EPOCHS,
        EPOCHS,
    )
