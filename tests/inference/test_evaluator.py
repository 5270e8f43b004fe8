"""A model on decoded images: its answers by independent oracles, in batches of any
size, and what it cannot be asked.
"""

import sys

import numpy as np
import pytest
import torch
from helpers import oracles_testset as oracles
from helpers.errors import raises
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from dsi_cli.errors import UsageError
from dsi_cli.inference.evaluator import Evaluator, Split, resolve_device
from dsi_cli.metrics.neural_collapse import collapse_values

CLASSES = 6
SAMPLES = 53


def split_of(images, targets):
    def batches(order, size):
        for start in range(0, len(order), size):
            yield images[order[start : start + size]]

    count = len(targets)
    return Split(
        targets,
        batches,
        np.arange(100, 100 + count),
        [f"{number}.png" for number in range(count)],
    )


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(
        0, 256, (SAMPLES, 3, 12, 12), dtype=np.uint8
    )


@pytest.fixture
def targets():
    """Unordered; class 4 has no sample, class 5 a single one."""
    found = np.random.default_rng(1).integers(0, 4, SAMPLES)
    found[17] = 5
    return found


@pytest.fixture
def net(own_net):
    torch.manual_seed(3)
    model = own_net(num_classes=CLASSES, width=8).eval()
    with torch.no_grad():
        model.classifier.weight.mul_(30)
    return model


def plain(model, images, head="classifier"):
    """Return logits and the classifier's inputs, by a loop over single images."""
    caught = []
    hook = model.get_submodule(head).register_forward_hook(
        lambda _module, inputs, _out: caught.append(inputs[0])
    )
    with torch.no_grad():
        logits = torch.cat(
            [model(torch.from_numpy(one).float()[None] / 255) for one in images]
        )
    hook.remove()
    features = torch.cat(
        [one.flatten(2).mean(2) if one.dim() == 4 else one for one in caught]
    )
    return logits.double().numpy(), features.double().numpy()


@pytest.mark.parametrize("conv_head", [False, True])
def test_evaluate_templates_and_typicality_equal_the_oracles(
    conv_head, own_net, images, targets
):
    torch.manual_seed(3)
    net = own_net(num_classes=CLASSES, width=8, conv_head=conv_head).eval()
    with torch.no_grad():
        net.classifier.weight.mul_(30)
    logits, features = plain(net, images)
    predictions = logits.argmax(axis=1)
    answer = Evaluator(net).evaluate(
        split_of(images, targets), CLASSES, "classifier", templates=True
    )
    assert_array_equal(answer.predictions, predictions)
    present = np.flatnonzero(np.bincount(targets, minlength=CLASSES))
    assert_array_equal(np.flatnonzero(~np.isnan(answer.tncsm.diagonal())), present)
    wanted = np.asarray(
        oracles.template_similarity(features, targets, CLASSES), dtype=float
    )
    assert_allclose(
        answer.tncsm[np.ix_(present, present)],
        wanted[np.ix_(present, present)],
        atol=1e-6,
    )
    collapse = answer.collapse
    wanted_collapse = collapse_values(
        features,
        targets,
        predictions,
        net.classifier.weight.detach().flatten(1).numpy(),
    )
    assert [row["metric"] for row in collapse["rows"]] == [
        "nc1",
        "nc2_norms",
        "nc2_angles",
        "nc2_angles",
        "nc3",
        "nc4",
    ]
    for row, expected in zip(collapse["rows"], wanted_collapse["rows"], strict=True):
        assert row["value"] == pytest.approx(expected["value"], rel=1e-3)
    assert collapse["classes"] == present.tolist()
    assert collapse["self_duality"] == pytest.approx(
        wanted_collapse["self_duality"], abs=1e-4
    )
    assert collapse["nearest_centre"] == wanted_collapse["nearest_centre"]
    rows, right, wrong = oracles.typicality(
        features, list(targets), list(predictions), CLASSES
    )
    found = {(row["class_index"], row["correct"]): row for row in answer.typicality}
    assert set(found) == {
        (row["class_index"], row["correct"]) for row in rows if row["class_index"] != 4
    }
    for row in rows:
        if row["class_index"] == 4:
            continue
        ours = found[row["class_index"], row["correct"]]
        assert ours["samples"] == row["samples"]
        for name in ("group_cosine", "sample_cosine"):
            assert ours[name] == (
                None if row[name] is None else pytest.approx(row[name], abs=1e-6)
            ), (row, name)
    for counts, cosines in zip(answer.histograms, (wrong, right), strict=True):
        assert_array_equal(counts, np.histogram(cosines, bins=40, range=(-1, 1))[0])


@pytest.mark.parametrize("templates", [False, True])
@pytest.mark.parametrize("size", [1, 7, 1000, None])
def test_the_size_of_batches_changes_nothing(size, templates, net, images, targets):
    split, seen = split_of(images, targets), []
    wanted = Evaluator(net, batch_size=SAMPLES).evaluate(
        split, CLASSES, "classifier", templates=templates
    )
    found = Evaluator(net, batch_size=size).evaluate(
        split, CLASSES, "classifier", templates=templates, progress=seen.append
    )
    assert sum(seen) == SAMPLES
    assert max(seen) <= (size or SAMPLES)
    assert_array_equal(found.predictions, wanted.predictions)
    assert_allclose(found.scores, wanted.scores, rtol=1e-5)
    assert found.loss == pytest.approx(wanted.loss, rel=1e-6)
    if templates:
        assert_allclose(found.tncsm, wanted.tncsm, atol=1e-6)
        for one, other in zip(found.typicality, wanted.typicality, strict=True):
            assert one == pytest.approx(other, abs=1e-6)


@pytest.mark.parametrize(
    "words",
    [
        None,
        "[enforce fail at alloc_cpu.cpp] not enough memory",
        "CUDA error: out of memory",
    ],
)
def test_evaluate_batch_beyond_the_memory_names_a_smaller_one(
    words, own_net, images, targets
):
    net = own_net(num_classes=CLASSES, limit=9, words=words)
    with raises("out-of-memory") as caught:
        Evaluator(net, batch_size=16).evaluate(
            split_of(images, targets), CLASSES, "classifier"
        )
    assert caught.value.hint == "add --batch-size 4, or --device cpu"


def test_evaluate_with_kept_columns_compares_only_these(own_net, images, targets):
    torch.manual_seed(3)
    net = own_net(num_classes=CLASSES + 1)
    with torch.no_grad():
        net.classifier.bias[0] = 100
    kept = {"columns": CLASSES + 1, "class_columns": slice(1, None)}
    answer = Evaluator(net).evaluate(
        split_of(images, targets), CLASSES, "classifier", **kept
    )
    logits, _ = plain(net.eval(), images)
    assert_array_equal(answer.predictions, logits[:, 1:].argmax(axis=1))
    assert answer.loss == pytest.approx(
        oracles.cross_entropy(logits[:, 1:], targets), rel=1e-5
    )


def test_evaluate_with_autocast_is_near(net, images, targets):
    wanted = Evaluator(net).evaluate(
        split_of(images, targets), CLASSES, "classifier", templates=True
    )
    found = Evaluator(net, autocast=True).evaluate(
        split_of(images, targets), CLASSES, "classifier", templates=True
    )
    assert (found.predictions == wanted.predictions).mean() > 0.9
    assert_allclose(found.tncsm, wanted.tncsm, atol=0.05)


class Gives(nn.Module):
    """Gives what a function makes of the logits."""

    def __init__(self, function, unused=False):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 3, 1), nn.Linear(3, CLASSES)
        self.function, self.unused = function, unused

    def forward(self, x):
        x = self.conv(x).view(-1, 3, 12 * 12).mean(2)
        return self.function(x @ self.fc.weight.T if self.unused else self.fc(x))


@pytest.mark.parametrize(
    "function",
    [
        *(
            lambda x: (x, None),
            lambda x: [x],
            lambda x: type("Output", (), {"logits": x})(),
            lambda x: {"logits": x},
        ),
        *(
            lambda x: (torch.cat([-x, x], 1), x),
            lambda x: (-x, x),
            lambda x: (x[:, :, None], x.log_softmax(1)),
        ),
        lambda x: x.softmax(1),
    ],
)
def test_logits_are_found_in_what_a_model_returns(function, images, targets):
    torch.manual_seed(0)
    model = Gives(function)
    answer = Evaluator(model).evaluate(
        split_of(images, targets), CLASSES, "fc", class_columns=slice(CLASSES)
    )
    with torch.no_grad():
        wanted = model.fc(
            model.conv(torch.from_numpy(images).float().div(255)).mean((2, 3))
        )
    assert_allclose(answer.predictions, wanted.argmax(1))
    assert answer.loss == pytest.approx(
        oracles.cross_entropy(wanted, targets), rel=1e-5
    )


@pytest.mark.parametrize(
    ("function", "code"),
    [
        (lambda x: {"x": x}, "not-a-tensor"),
        (lambda _: (), "not-a-tensor"),
        *(
            (lambda x, width=width: x.repeat(1, 2)[:, :width], "output-shape")
            for width in (4, 2 * CLASSES)
        ),
        *(
            (function, "output-shape")
            for function in (lambda x: x[:, :, None], lambda x: x[:1])
        ),
        (lambda x: x * float("nan"), "outputs-not-finite"),
        *(
            (fails, "model-failed")
            for fails in (
                lambda x: x.view(7),
                lambda _: sys.exit(0),
                lambda _: int("x\ny"),
            )
        ),
    ],
)
def test_evaluate_of_a_model_without_logits_raises(function, code, images, targets):
    with raises(code):
        Evaluator(Gives(function)).evaluate(
            split_of(images, targets), CLASSES, "fc", class_columns=slice(CLASSES)
        )


class Tokens(Gives):
    def forward(self, x):
        return self.fc(x.flatten(2).transpose(1, 2)).mean(1)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        (Gives(lambda x: x, unused=True), "head-not-called"),
        (Tokens(None), "feature-shape"),
    ],
)
def test_evaluate_with_templates_of_a_model_without_features_raises(
    model, code, images, targets
):
    Evaluator(model).evaluate(split_of(images, targets), CLASSES, "fc")
    with raises(code, UsageError):
        Evaluator(model).evaluate(
            split_of(images, targets), CLASSES, "fc", templates=True
        )


@pytest.mark.parametrize(
    "asked", ["cuda:77", "tpu", "", "cpu:x", "gpu", "cuda:-1", "hpu"]
)
def test_resolve_device_of_a_missing_device_raises(asked):
    with raises("unknown-device", device=asked):
        resolve_device(asked)


MATMUL, CUDNN = torch.backends.cuda.matmul, torch.backends.cudnn


@pytest.fixture(autouse=True)
def _as_before():
    """Leave torch as it was."""
    before = MATMUL.allow_tf32, CUDNN.allow_tf32
    yield
    MATMUL.allow_tf32, CUDNN.allow_tf32 = before


class Seeing(nn.Linear):
    """A classifier that notes what is allowed while it runs."""

    def forward(self, images):
        self.seen = MATMUL.allow_tf32, CUDNN.allow_tf32
        return super().forward(images.flatten(1))


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_model_runs_without_tf32(is_allowed, recwarn):
    MATMUL.allow_tf32 = CUDNN.allow_tf32 = is_allowed
    model, images = Seeing(4, 2), np.ones((3, 1, 2, 2), dtype=np.uint8)
    split = Split(
        np.array([0, 1, 0]),
        lambda order, _size: iter([images[order]]),
        np.arange(3),
        [None] * 3,
    )
    Evaluator(model).evaluate(split, 2, None)
    assert model.seen == (False, False)
    assert (MATMUL.allow_tf32, CUDNN.allow_tf32) == (is_allowed, is_allowed)
    assert not recwarn.list
