"""Real trainings by Keras, with torch as its backend."""

import os

import numpy as np
import pytest
from helpers.errors import raises
from helpers.training_loop import CLASSES, LABELS, expected, images

from dsi_cli import callbacks
from dsi_cli.errors import UsageError

os.environ["KERAS_BACKEND"] = "torch"
keras = pytest.importorskip("keras", reason="trains with Keras")


def arrays(samples, seed):
    x, y = images(samples, seed).tensors
    return x.permute(0, 2, 3, 1).numpy(), y.numpy()


def network():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(6, 3, strides=2, activation="relu"),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.3),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )


class Keep(keras.callbacks.Callback):
    """Keeps the head and the counts of each epoch, a sample at a time."""

    def __init__(self):
        super().__init__()
        self.kept, self.logs = [], []

    def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002 (Keras' name)
        self.logs.append({key: logs[key] for key in logs if key.startswith("dsi/")})
        counts = np.zeros((CLASSES, CLASSES), dtype=np.int64)
        for image, target in zip(*arrays(80, 2), strict=True):
            outputs = keras.ops.convert_to_numpy(self.model(image[None]))
            counts[target, outputs.argmax()] += 1
        kernel = keras.ops.convert_to_numpy(self.model.layers[-1].kernel)
        self.kept.append((kernel.T.copy(), counts))


def train(*added):
    keras.utils.set_random_seed(0)
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy")
    history = model.fit(
        *arrays(64, 1), epochs=2, verbose=0, callbacks=list(added)
    ).history
    return model, history


def batches(*, one_hot):
    x, y = arrays(80, 2)
    targets = np.eye(CLASSES)[y] if one_hot else y
    return [(x[:50], targets[:50]), (x[50:], targets[50:])]


@pytest.mark.parametrize("one_hot", [False, True])
def test_history_and_later_callbacks_have_the_values_of_each_epoch(one_hot):
    keep = Keep()
    callback = callbacks.KerasCallback(LABELS, validation=batches(one_hot=one_hot))
    _, history = train(callback, keep)
    assert callback.tracker.reasons == {}
    for epoch, (weight, counts) in enumerate(keep.kept):
        wanted = expected(weight, counts)
        assert keep.logs[epoch] == pytest.approx(wanted, abs=1e-6)
        found = {key: history[key][epoch] for key in wanted}
        assert found == pytest.approx(wanted, abs=1e-6)
        assert len(wanted) <= 20


def test_training_is_the_same_with_and_without():
    with_, _ = train(callbacks.KerasCallback(LABELS, validation=batches(one_hot=False)))
    without, _ = train()
    for a, b in zip(with_.get_weights(), without.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_wrong_number_of_labels_raises_before_the_first_epoch():
    with raises("label-count", UsageError, labels=3, classes=CLASSES):
        train(callbacks.KerasCallback(["a", "b", "c"]))
