"""A loop of one's own: values, errors at the first call, failures that end nothing."""

import logging
import math
import random

import numpy as np
import pytest
import torch
from helpers.errors import raises
from helpers.training_loop import (
    CLASSES,
    LABELS,
    TwoHeads,
    counts_by_hand,
    expected,
    images,
    loader,
    network,
)
from torch import nn
from torch.utils.data import DataLoader

import dsi_cli
from dsi_cli.analysis.lasting_suspects import MIN_EPOCHS, Finding
from dsi_cli.analysis.tables.suspects import MANY_CLASSES
from dsi_cli.callbacks import Tracker
from dsi_cli.callbacks.suspects import MAX_CLASSES, SuspectSearch
from dsi_cli.callbacks.tracker import OF_COUNTS
from dsi_cli.errors import UsageError
from dsi_cli.store.results import Results
from dsi_cli.tracking.points import points_of_results


def train(net, epochs, after_epoch, train_loader=None):
    """A plain loop, seeded."""
    torch.manual_seed(3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
    batches = train_loader or loader(shuffle=True)
    for epoch in range(epochs):
        net.train()
        for inputs, targets in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(inputs), targets).backward()
            optimizer.step()
        after_epoch(epoch, net)
    return {name: value.clone() for name, value in net.state_dict().items()}


def test_a_plain_loop_has_the_values_of_its_checkpoints(tmp_path):
    track, found = Tracker(LABELS), []
    validation = loader(80, seed=2)

    def measure(epoch, net):
        found.append(track(net, loader=validation))
        torch.save(net.state_dict(), tmp_path / f"epoch_{epoch}.pt")

    train(network(), 3, measure)
    assert track.reasons == {}
    for epoch, values in enumerate(found):
        net = network()
        net.load_state_dict(
            torch.load(tmp_path / f"epoch_{epoch}.pt", weights_only=True)
        )
        weight = dsi_cli.read_head(tmp_path / f"epoch_{epoch}.pt")
        assert values == pytest.approx(
            expected(weight, counts_by_hand(net, images(80, seed=2))), abs=1e-6
        )
    assert len({values["dsi/agreement"] for values in found}) == 3


def test_training_is_the_same_to_the_last_bit_with_and_without():
    random.seed(5)
    np.random.seed(5)
    without = train(network(), 3, lambda *_: None)
    drawn = random.random(), np.random.rand(), torch.rand(1)
    random.seed(5)
    np.random.seed(5)
    track = Tracker(LABELS)
    shuffled = DataLoader(Careless(), batch_size=24, shuffle=True)
    with_it = train(network(), 3, lambda _, net: track(net, loader=shuffled))
    assert all(torch.equal(without[name], with_it[name]) for name in without)
    assert drawn == (random.random(), np.random.rand(), torch.rand(1))


class Careless(torch.utils.data.Dataset):
    """Validation images that draw from every global generator."""

    def __init__(self):
        self.data = images(64, seed=2)

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        image, target = self.data[index]
        return (
            image
            + 0.1 * random.random()
            + 0.1 * np.random.rand()
            + 0.1 * torch.rand(1),
            target,
        )


def test_a_module_that_keeps_a_tensor_can_still_be_trained():
    class Keeps(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(192, CLASSES)
            self.kept = None

        def forward(self, inputs):
            if self.kept is None:
                self.kept = torch.ones(192) * 2
            return self.fc(inputs.flatten(1) * self.kept)

    net = Keeps()
    Tracker(LABELS)(net, loader=loader())
    net(torch.ones(2, 3, 8, 8)).sum().backward()
    assert net.fc.weight.grad is not None


def test_counts_of_ones_own_give_what_a_loader_gives():
    net, track = network(), Tracker(LABELS)
    counts = counts_by_hand(net, images(80, seed=2))
    of_loader = track(net, loader=loader(80, seed=2))
    assert track(net, counts) == of_loader
    assert track(net, lambda: torch.from_numpy(counts)) == of_loader
    with raises("counts-and-loader", UsageError):
        track(net, counts, loader=loader())


class Output(dict):
    """What a model of transformers returns."""

    __getattr__ = dict.__getitem__


def test_batches_and_outputs_as_hugging_face_has_them():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network()

        def forward(self, pixel_values):
            return Output(logits=self.net(pixel_values))

    batches = [
        {"pixel_values": inputs, "labels": targets}
        for inputs, targets in loader(80, seed=2)
    ]
    track = Tracker(LABELS)
    assert track(Model(), loader=batches) == track(network(), loader=loader(80, seed=2))


def test_wrong_usage_is_raised_at_the_first_call():
    net = network()
    with pytest.raises(
        UsageError,
        match=(
            r"2 tensors could be the classifier: fc\.weight \(8, 6\).*with"
            r" head='classifier\.weight'$"
        ),
    ):
        Tracker(LABELS)(TwoHeads())
    assert "dsi/agreement" in Tracker(LABELS, head="classifier")(TwoHeads())
    with pytest.raises(
        UsageError,
        match=r"^no tensor is named nose; the best candidates are fc\.weight \(8, 6\)",
    ):
        Tracker(head="nose")(net)
    with pytest.raises(UsageError, match=r"^no classifier among 2 tensors"):
        Tracker()(nn.Sequential(nn.Conv2d(3, 4, 3)))
    with raises("label-count", UsageError, labels=3, classes=8):
        Tracker(["cat", "dog", "car"])(net)
    with pytest.raises(
        UsageError, match=r"^expected a label file or a preset .*at 'cifar1000'"
    ):
        Tracker("cifar1000")
    with raises("not-a-model", UsageError):
        Tracker()("net.pt")
    with raises("too-few-classes", UsageError):
        Tracker()(np.ones((1, 4)))
    for counts in (np.eye(3), np.zeros((8, 8)), -np.eye(8)):
        with raises("invalid-counts", UsageError):
            Tracker(LABELS)(net, counts.astype(int))
    with raises("invalid-batch", UsageError):
        Tracker(LABELS)(net, loader=[torch.ones(2, 3, 8, 8)])
    with raises("invalid-batch", UsageError):
        Tracker(LABELS)(net, loader=[(torch.ones(2, 3, 8, 8), torch.ones(2, 8))])
    with raises("not-a-model", UsageError):
        Tracker(LABELS)(net.state_dict(), loader=loader())


def test_later_failures_are_warned_of_once_and_end_nothing(recwarn):
    net, track = network(), Tracker(LABELS)
    whole = track(net, loader=loader())
    assert len(whole) == 14
    with pytest.warns(
        UserWarning,
        match=r"^dsi leaves out widm, nidm, accuracy of this epoch: OSError: disk gone",
    ):
        found = track(net, loader=broken())
    assert found == track(net)
    assert found == {name: value for name, value in whole.items() if name in found}
    track(net, loader=broken())
    assert track.reasons == dict.fromkeys(OF_COUNTS, "OSError: disk gone")
    assert all(module.training for module in net.modules())
    with torch.no_grad():
        net.fc.weight[2, 0] = math.nan
    assert track(net) == {}
    assert track.reasons["max_wsi"].startswith("NaN or infinite weights in class 2")
    assert not [warning for warning in recwarn if "dsi" in str(warning.message)]


def broken():
    yield from list(loader())[:1]
    raise OSError("disk gone")


def test_tracker_value_that_does_not_exist_has_the_reason(caplog):
    net, track = network(), Tracker()
    weight = net.fc.weight.detach().numpy()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            values = track(net, np.eye(CLASSES, dtype=int))
    assert values == {
        "dsi/max_wsi": pytest.approx(expected(weight)["dsi/max_wsi"]),
        "dsi/accuracy": 1.0,
    }
    assert set(track.reasons) == {"agreement", "widm", "nidm"}
    assert track.reasons["nidm"] == "no mistake"
    assert len(caplog.records) == len(set(track.reasons.values()))
    few = Tracker(["cat", "qzx1", "qzx2", "qzx3", "qzx4", "qzx5", "qzx6", "qzx7"])
    few(net)
    assert few.reasons["agreement"].startswith("1 of 8 labels is known to WordNet")


def test_tracker_all_curves_adds_the_rows_of_the_tables(tmp_path):
    net = network()
    counts = counts_by_hand(net, images(80, seed=2))
    values = Tracker(LABELS, all_curves=True)(net, counts)
    assert Tracker(LABELS)(net, counts).items() <= values.items()
    torch.save({"state_dict": net.state_dict(), "epoch": 3}, tmp_path / "epoch_3.pt")
    (tmp_path / "classes.txt").write_text("\n".join(LABELS), encoding="utf-8")
    out = tmp_path / "out"
    dsi_cli.analyze(tmp_path / "epoch_3.pt", out, measures=["pearson"], report=False)
    (run,) = points_of_results(Results(out), all_curves=True)
    analysed = run.epochs[0].values
    common = values.keys() & analysed.keys()
    assert {"dsi/agreement", "sai/ncsm,scsm/pearson", "stable_rank/weight/raw"} < common
    assert values == pytest.approx(values | {name: analysed[name] for name in common})


def test_tracker_of_copied_weights_reads_those_of_each_call():
    """Other frameworks return new arrays after each epoch."""
    track = Tracker(LABELS)
    for seed in range(2):
        weight = np.random.default_rng(seed).normal(size=(CLASSES, 6))
        values = track({"fc.weight": weight.astype(np.float32)})
        assert values == pytest.approx(expected(weight.astype(np.float32)))


def test_tracker_suspect_that_is_strong_twice_is_logged_once(caplog):
    track, dead = Tracker(LABELS), Finding("dead-class", (LABELS[3],))
    with caplog.at_level(logging.WARNING):
        for epoch in range(1, MIN_EPOCHS + 4):
            weight = np.random.default_rng(0).normal(size=(CLASSES, 6))
            weight[3] = np.delete(weight, 3, axis=0).mean(axis=0)
            track(weight.astype(np.float32))
            assert track.suspects.count(dead) == (epoch > MIN_EPOCHS)
    logged = [record.args for record in caplog.records]
    assert logged.count((MIN_EPOCHS + 1, dead)) == 1
    assert len(logged) == len(track.suspects)
    assert track.reasons == {}


@pytest.mark.parametrize(
    ("classes", "epochs"), [(MANY_CLASSES, 6), (MANY_CLASSES + 1, 10)]
)
def test_search_of_many_classes_is_in_every_fifth_epoch(classes, epochs):
    search = SuspectSearch(
        [str(index) for index in range(classes)], np.full((classes, classes), np.nan)
    )
    weight = np.random.default_rng(0).normal(size=(classes, 4))
    weight[3] = weight.mean(axis=0)
    found = [search.add(weight, None) for _ in range(epochs)]
    assert Finding("dead-class", ("3",)) in found[-1]
    assert not any(found[:-1])


def test_tracker_of_more_classes_seeks_no_suspects():
    classes = MAX_CLASSES + 1
    weight = np.random.default_rng(0).normal(size=(classes, 4)).astype(np.float32)
    weight[3] = weight.mean(axis=0)
    track = Tracker([f"qzx{index}" for index in range(classes)])
    for _ in range(MIN_EPOCHS + 1):
        track(weight)
    assert track.suspects == []


def test_callbacks_has_four_names_and_no_other():
    import dsi_cli.callbacks

    assert dir(dsi_cli.callbacks) == [
        "HuggingFaceCallback",
        "KerasCallback",
        "LightningCallback",
        "Tracker",
    ]
    with pytest.raises(AttributeError, match="has no attribute 'Callback'"):
        _ = dsi_cli.callbacks.Callback
