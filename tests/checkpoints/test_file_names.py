"""What names say, alone and compared with those of their folder, and the patterns of
``--names``.
"""

import pytest
from helpers import errors

from dsi_cli.checkpoints.file_names import (
    epoch_alone,
    is_step_folder,
    natural_key,
    parse,
    read_names,
)
from dsi_cli.checkpoints.name_pattern import NamedMoment, NamePattern, example_of

ALONE = {
    (0, None): "model_epoch_0.pth",
    (1, None): (
        "checkpoint_0001.pth.tar e1.pt epoch=01-val_loss=2.29.ckpt w_e01.weights.h5"
        " model_01.keras epoch_1.0.pt"
    ),
    (3, None): (
        "ckpt.3.pth.tar w-epoch=3.ckpt resnet18_epochs90_lr0.1_epoch_3.pth"
        " checkpoint_3_best.pt"
    ),
    (3, 80): "epoch=03-step=80.ckpt",
    (4, None): "resnet50_epoch_4_top1_76.1.pth",
    (6, None): "épöch_6_日本.pth round_6_client.pt",
    (7, None): "epoch_7.pth epoch-07.ckpt 20240131-235959_e07_v2_acc0.93.pth",
    (12, None): "modelepoch12.pth model_12.pth 12.pth",
    (-1, None): "epoch_-1.pt",
    (None, 12): "global_step12.pt",
    (None, 500): "step_500.pt",
    (None, 1000): "iter_1000.pth",
    (None, None): (
        "resnet50_8xb32_in1k.pth model_best.pth.tar checkpoint_1_2.pt 20240131.pt"
        " acc=0.93.pth model_v2.pth seed3_fold_1.pth resnet18-0f9e8d7c.pth vit_b_16.pth"
        " epoch_1.5.pt"
    ),
}
"""File names by the epoch and the step that they state alone."""

FOLDERS = {
    "epoch": [
        ("model1 model2 model10", [1, 2, 10]),
        ("cifar10_resnet18_3.pth cifar10_resnet18_4.pth", [3, 4]),
        ("ckpt_000005.pt ckpt_000010.pt", [5, 10]),
        ("checkpoint-100.pth checkpoint-200.pth", [100, 200]),
        ("20240131_1_acc0.9.pt 20240131_2_acc0.9.pt", [1, 2]),
        ("model_-1.pt model_1.pt", [-1, 1]),
        ("a:v0/m.pt a:v1/m.pt", [0, 1]),
        ("0/net.pt 1/net.pt", [0, 1]),
        ("epoch_1 epoch_2 best", [1, 2, None]),
    ],
    "step": [
        ("iter_1.pt iter_2.pt", [1, 2]),
        ("model_0004999.pth model_0009999.pth", [4999, 9999]),
        ("net30000.pt net60000.pt", [30_000, 60_000]),
        ("ckpt500.pt ckpt1000.pt ckpt1500.pt", [500, 1000, 1500]),
    ],
    "label": [
        ("runA_epoch_1.pt seed3_model_1.pt", ["runA", "seed3_1"]),
        ("net_lr1e-1.pt net_lr1e-2.pt", ["lr1e-1", "lr1e-2"]),
        ("seed1_1 seed1_2 seed2_1", ["seed1", "seed1", "seed2"]),
        ("sgd_1 sgd_2 adam_1 adam_2", ["sgd", "sgd", "adam", "adam"]),
        ("epoch=3.ckpt epoch=3-v1.ckpt ema_epoch_3.pt", ["", "v1", "ema"]),
        ("best_loss.pt last.pt acc_epoch_2.pt", ["", "", ""]),
    ],
}
"""Names of folders, with what each name says."""

ASKED = {
    "m_1_1.pt m_1_2.pt m_2_1.pt m_2_2.pt": ["m_{run}_{epoch}.pt"],
    "m_1_85.pt m_2_85.pt m_3_90.pt": ["m_{run}_{epoch}.pt"],
    "ckpt_0/n_0.pt ckpt_0/n_1.pt ckpt_1/n_0.pt": ["ckpt_{run}/n_{epoch}.pt"],
    "m_1of3.pt m_2of3.pt": ["m_{epoch}of3.pt", "m_{run}of3.pt"],
    "last_0.pt last_1.pt": ["last_{epoch}.pt", "last_{run}.pt"],
    "e1_s100.pt e1_s200.pt": ["e{epoch}_s{run}.pt"],
    "net_20240131.pt net_20240201.pt": ["net_{step}.pt"],
    "2024-01-10T11:00:00.pt 2024-01-10T12:00:00.pt": ["{step}.pt"],
    "1706000000.pt 1706000100.pt": ["{step}.pt"],
    "net_0.1.pt net_0.01.pt": ["net_{run}.pt"],
    "CKPT+2024-05-01+10-00-00+00/m.pt CKPT+2024-05-01+10-30-00+00/m.pt": [
        "CKPT+{step}+00/m.pt"
    ],
}
"""Names whose meaning is open, with the patterns in the question."""


@pytest.mark.parametrize(
    ("name", "expected"),
    [(name, stated) for stated, names in ALONE.items() for name in names.split()],
)
def test_a_name_alone_states_epoch_and_step_or_neither(name, expected):
    assert (epoch_alone(name), parse(name).step) == expected


@pytest.mark.parametrize(
    ("field", "names", "expected"),
    [(field, *case) for field, cases in FOLDERS.items() for case in cases],
)
def test_names_of_a_folder_say(field, names, expected):
    readings = read_names(names.split())
    assert [getattr(reading, field) for reading in readings] == expected
    assert not any(reading.question for reading in readings)


@pytest.mark.parametrize(("names", "patterns"), ASKED.items())
def test_names_of_open_meaning_ask_with_patterns_that_fit_every_file(names, patterns):
    readings = read_names(names.split())
    assert {reading.moment for reading in readings} == {(None, None)}
    (question,) = {reading.question for reading in readings}
    assert question.count("--names") == len(patterns)
    for pattern in patterns:
        assert f"--names '{pattern}'" in question
        read = [NamePattern(pattern).read([name]) for name in names.split()]
        assert None not in read
        assert len(set(read)) == len(read)


@pytest.mark.parametrize(
    ("names", "stated", "labels"),
    [
        ("m_1 m_2", [1, 2], ["m", "m"]),
        ("m_0 m_1", [1, 2], ["m", "m"]),
        ("my_run_10 my_run_11", [10, 11], ["my", "my"]),
        ("checkpoint_3 checkpoint_6", [1, 2], None),
        ("m_1_5 m_1_6 m_2_5 m_2_6", [5, 6, 5, 6], ["m_1", "m_1", "m_2", "m_2"]),
        ("fold1_best fold2_best", [7, 4], ["fold1", "fold2"]),
        ("best_0 best_1", [7, 4], None),
        ("best_0 best_1", [4, 7], None),
        ("model_1 model_2", [5, 5], None),
        ("model_1 model_2 model_3", [1, None, 3], ["", "", ""]),
        ("model_1 model_2 model_3", [5, None, 3], None),
    ],
)
def test_numbers_are_the_epochs_in_the_contents_or_name_trainings_or_are_asked_about(
    names, stated, labels
):
    readings = read_names(names.split(), stated)
    if labels is None:
        assert all(reading.question for reading in readings)
    else:
        assert [reading.label for reading in readings] == labels
        assert not any(reading.question for reading in readings)


def test_names_ask_if_only_some_contents_state_the_epoch_and_names_another():
    for names in ("model_8 model_9", "epoch_8 epoch_9"):
        assert all(one.question for one in read_names(names.split(), [9, None]))
        assert read_names(names.split(), [8, None])[1].epoch == 9


def test_names_count_if_all_contents_state_one_epoch_and_names_have_a_word_for_it():
    readings = read_names(["epoch_1.pt", "epoch_2.pt"], [5, 5])
    assert [reading.epoch for reading in readings] == [1, 2]
    assert all(reading.overrules_contents for reading in readings)


def test_numbers_that_are_the_steps_in_the_contents_are_steps_unless_consecutive():
    readings = read_names(["ckpt_100", "ckpt_200"], steps=[100, 200])
    assert [reading.moment for reading in readings] == [(None, 100), (None, 200)]
    readings = read_names(["ckpt_3", "ckpt_6"], stated=[1, 2], steps=[3, 6])
    assert not any(reading.question or reading.label for reading in readings)
    readings = read_names(["ckpt_5", "ckpt_6"], steps=[5, 6])
    assert [reading.epoch for reading in readings] == [5, 6]


def test_step_folders_are_told_from_runs():
    steps = "checkpoint-500 global_step12 checkpoint_0 CKPT+2024-05-01+10-00-00+00"
    assert all(map(is_step_folder, steps.split()))
    assert not any(map(is_step_folder, ("run_3", "checkpoints")))


def test_numbers_within_names_sort_as_numbers():
    ordered = ["9", "10", "a", "e1", "e2", "e10", "e" + "1" * 40, "²"]
    assert sorted(sorted(ordered), key=natural_key) == ordered


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("m_{seed}_{epoch}.pt", "m_1_10.pt", ("seed1", 10, None)),
        ("m_{seed}_{epoch}.pt", "any/folder/m_1_10.pt", ("seed1", 10, None)),
        ("{run}/m_{epoch}.pt", "small/m_3.pt", ("small", 3, None)),
        ("{run}/m_{epoch}.pt", "a/small/m_3.pt", None),
        ("{lr}_{}_{epoch}.*", "0.1_2024_3.ckpt", ("lr0.1", 3, None)),
        ("{name}_{fold}_{epoch}.pt", "vit_2_-1.pt", ("vit_fold2", -1, None)),
        ("e{epoch}_s{step}.pt", "e1_s200.pt", ("", 1, 200)),
        ("net_{step}.pt", "net_2026-12-01_10-30.pt", ("", None, 202612011030)),
        ("{run}.pt", "best.pt", ("best", None, None)),
        ("m_{epoch}.pt", "m_1.5.pt", None),
        ("m_{epoch}.pt", "m_1.pth", None),
        ("m({epoch}).pt", "m(3).pt", ("", 3, None)),
    ],
)
def test_a_pattern_reads_run_epoch_and_step(pattern, path, expected):
    found = NamePattern(pattern).read([path])
    assert found == (None if expected is None else NamedMoment(*expected))


@pytest.mark.parametrize(
    "pattern",
    ["m.pt", "", "m_{epoch.pt", "m_epoch}.pt", "{epoch}_{epoch}.pt", "{a b}.pt"],
)
def test_a_malformed_pattern_is_an_error_with_an_example(pattern):
    with errors.raises("malformed-names", names=pattern) as raised:
        NamePattern(pattern)
    assert "--names 'm_{seed}_{epoch}.pt'" in str(raised.value)


@pytest.mark.parametrize("name", ["m_1_10.pt", "best.pt", "a_1_2_3.ckpt", "7"])
def test_the_example_of_a_name_fits_it(name):
    assert NamePattern(example_of(name)).read([name]) is not None
