"""Running the model of a run on labelled data: real trainers' checkpoints, what does
not fit, and going on where it was.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from helpers import oracles_testset as oracles
from helpers.oracles import ncsm
from helpers.trained_models import QUICK
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from torch import nn

import dsi_cli
from dsi_cli.checkpoints import checkpoint_reader
from dsi_cli.inference.evaluator import Evaluator
from dsi_cli.metrics.neural_collapse import collapse_values

TRAINERS = ("timm_run", "torchvision_run", "hugging_face_run")


@pytest.fixture
def evaluations(monkeypatch):
    """Return the list of evaluations that are done from now on: how many samples
    each.
    """
    done = []
    real = Evaluator.evaluate

    def counted(self, split, *arguments, **options):
        done.append(len(split.targets))
        return real(self, split, *arguments, **options)

    monkeypatch.setattr(Evaluator, "evaluate", counted)
    return done


def saved(run, epoch):
    return torch.load(run.files[epoch], weights_only=False)


@pytest.mark.parametrize("which", TRAINERS)
def test_a_trainers_run_says_its_model_and_gives_every_table(
    which, request, evaluate, loop, few
):
    run = request.getfixturevalue(which)
    ran = evaluate(run.folder, "--templates")
    assert ran.code == 0, ran.stderr
    assert "(recorded in its checkpoints)" in ran.stderr
    head = {
        "timm_run": "head",
        "torchvision_run": "fc",
        "hugging_face_run": "classifier",
    }[which]
    rows = (
        pd.read_parquet(ran.out / "checkpoints.parquet")
        .query("status == 'ok'")
        .sort_values("epoch")
    )
    assert rows["epoch"].tolist() == ([1, 2] if which == "hugging_face_run" else [0, 1])
    assert rows["epochs_completed"].tolist() == [1, 2]
    for number, epoch in enumerate(rows["epoch"]):
        model = run.model(number)
        assert_allclose(
            ran.matrix("ncsm", epoch),
            ncsm(model.get_submodule(head).weight.detach()),
            atol=1e-6,
        )
        assert_answers(ran, epoch, loop(model, run.transform, few, head))
    assert set(ran.curves("metric == 'sai'")["of"]) >= {
        *(
            "ncsm,scsm",
            "ncsm,ccsm-test",
            "ncsm,tncsm-test",
            "tncsm-test,ccsm-test",
            "ccsm-test,scsm",
            "tncsm-test,scsm",
        )
    }
    assert set(ran.curves("metric == 'idm'")["of"]) == {"ncsm", "tncsm", "scsm"}
    assert set(ran.curves("metric == 'wsi'")["of"]) == {"ncsm", "tncsm"}


def assert_answers(ran, epoch, wanted):
    """Assert that the tables at an epoch hold what a plain loop found."""
    found, targets, classes = (
        ran.predictions(epoch),
        wanted.targets,
        wanted.logits.shape[1],
    )
    assert_array_equal(found["prediction"], wanted.predictions)
    assert_array_equal(found["target"], targets)
    assert_allclose(
        found["score"], torch.from_numpy(wanted.logits).softmax(1).amax(1), rtol=1e-4
    )
    counts = oracles.confusion(targets, wanted.predictions, classes)
    assert_array_equal(ran.counts(epoch), counts)
    at = f"epoch == {epoch} and split == 'test' and metric =="
    assert ran.value(f"{at} 'accuracy'") == pytest.approx(oracles.accuracy(counts))
    assert ran.value(f"{at} 'accuracy_top5'") == pytest.approx(
        oracles.accuracy_top5(wanted.logits, targets)
    )
    assert ran.value(f"{at} 'loss'") == pytest.approx(
        oracles.cross_entropy(wanted.logits, targets), rel=1e-4
    )
    assert_allclose(ran.matrix("ccsm-test", epoch), oracles.ccsm(counts), atol=1e-6)
    assert_allclose(
        ran.matrix("tncsm-test", epoch),
        oracles.template_similarity(wanted.features, targets, classes),
        atol=2e-6,
    )
    assert_typicality(ran.typicality(epoch), wanted, classes)
    values = collapse_values(wanted.features, targets, wanted.predictions, None)
    for row in values["rows"]:
        found = f"{at} '{row['metric']}' and of == 'templates'" + (
            f" and variant == '{row['variant']}'" if "variant" in row else ""
        )
        assert ran.value(found) == pytest.approx(row["value"], rel=1e-3), row
    geometry = (
        dsi_cli.open_results(ran.out)
        .geometry.query("epoch == @epoch")
        .set_index("class_index")
    )
    assert_allclose(
        geometry["nearest_centre_test"][values["classes"]].astype(float),
        values["nearest_centre"],
        atol=1e-6,
    )
    assert geometry["self_duality_test"].between(-1, 1).any()


def assert_typicality(found, wanted, classes):
    rows, _, _ = oracles.typicality(
        wanted.features, list(wanted.targets), list(wanted.predictions), classes
    )
    expected = pd.DataFrame(rows).set_index(["class_index", "correct"]).astype(float)
    ours = found.set_index(["class_index", "correct"])
    for name in ("samples", "group_cosine", "sample_cosine"):
        assert_allclose(
            ours[name].reindex(expected.index).astype(float),
            expected[name],
            atol=2e-6,
            err_msg=name,
        )


@pytest.mark.parametrize(
    ("which", "options"),
    [
        ("torchvision_run", ("--model", "torchvision:shufflenet_v2_x0_5")),
        ("timm_run", ("--model", "timm:test_vit", "--image-size", 64, "--std", "0.3")),
    ],
)
def test_a_model_that_is_given_is_prepared_for_as_recorded(
    which, options, request, evaluate, loop, few
):
    run = request.getfixturevalue(which)
    ran = evaluate(run.folder, *options, "--epochs", "1")
    assert ran.code == 0, ran.stderr
    wanted = loop(run.model(1), run.transform, few)
    assert_array_equal(ran.predictions(1)["prediction"], wanted.predictions)


@pytest.mark.parametrize(
    ("which", "key"), [("timm_run", "state_dict_ema"), ("torchvision_run", "model_ema")]
)
def test_averaged_weights_are_run_on_demand(which, key, request, evaluate, loop, few):
    run = request.getfixturevalue(which)
    ran = evaluate(run.folder, "--ema", "--epochs", "1")
    assert ran.code == 0, ran.stderr
    model = run.model(1)
    weights = {
        name.removeprefix("module."): tensor
        for name, tensor in saved(run, 1)[key].items()
        if name != "n_averaged"
    }
    model.load_state_dict(weights, strict=True)
    averaged = loop(model.eval(), run.transform, few)
    assert_array_equal(ran.predictions(1)["prediction"], averaged.predictions)
    at = "epoch == 1 and split == 'test' and metric == 'loss'"
    assert ran.value(at) == pytest.approx(
        oracles.cross_entropy(averaged.logits, averaged.targets), rel=1e-4
    )
    assert (
        abs(averaged.logits - loop(run.model(1), run.transform, few).logits).max()
        > 1e-3
    )


def test_what_the_weights_alone_do_not_tell_is_recorded_or_told(tmp_path, evaluate):
    def run(name, state, *options, **held):
        (tmp_path / name).mkdir()
        torch.save(
            {"state_dict": state, "epoch": 0, **held}, tmp_path / name / "epoch_0.pt"
        )
        return evaluate(tmp_path / name, "--model", *options, out=f"out-{name}")

    state, timms = (
        timm.create_model("test_resnet", num_classes=10).state_dict(),
        (
            "timm:test_resnet",
            "--image-size",
            96,
        ),
    )
    usual, recorded = (
        run("usual", state, *timms),
        run("recorded", state, *timms, args={"gp": "max"}),
    )
    given = run("given", state, *timms, "--model-arg", "global_pool=max")
    enlarged = run("enlarged", state, timms[0])
    assert [
        "warning: images of 32x32 are enlarged to 160x160" in ran.stderr
        for ran in (enlarged, usual)
    ] == [True, False]
    scores = [ran.predictions(0)["score"] for ran in (usual, recorded, given)]
    assert_array_equal(scores[1], scores[2])
    assert abs(scores[0] - scores[1]).max() > 1e-5
    norm = (
        "nn.BatchNorm2d(3, track_running_stats=False), nn.AdaptiveAvgPool2d(4),"
        " nn.Flatten(), nn.Linear(48, 10)"
    )
    (tmp_path / "net.py").write_text(
        f"from torch import nn\ndef build(): return nn.Sequential({norm})"
    )
    state = {
        "0.weight": torch.ones(3),
        "0.bias": torch.ones(3),
        "3.weight": torch.randn(10, 48),
        "3.bias": torch.ones(10),
    }
    assert (
        "its predictions depend on the batches"
        in run("batches", state, f"{tmp_path / 'net.py'}:build").stderr
    )
    assert "warning: the model" not in usual.stderr


def test_tensors_of_a_data_set_are_not_said_to_be_normalised(
    own_run, tmp_path, evaluate
):
    made = "torch.utils.data.TensorDataset(torch.rand(9, 3, 32, 32), torch.arange(9))"
    code = f"import torch\nprint('a line')\ndef tensors(): return {made}"
    (tmp_path / "data.py").write_text(code)
    (tmp_path / "log.csv").write_text("epoch,val_acc\n0,0.99\n1,0.99\n")
    options = (
        *own_run.options,
        "--epochs",
        0,
        "--log",
        tmp_path / "log.csv",
        "--std",
        0.3,
    )
    ran = evaluate(own_run.folder, *options, data=f"{tmp_path / 'data.py'}:tensors")
    assert (
        "; images: tensors of the data set, without changes\nwarning: std of the"
        " options do not apply " in ran.stderr
    )
    assert "a line" not in ran.stdout
    assert "warning: the accuracy on test is not what the trainer wrote" in ran.stderr


def test_evaluate_malicious_checkpoint_is_not_run(own_run, tmp_path, evaluate):
    class Runs:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'PWNED')!r}, 'w')",)

    (tmp_path / "evil").mkdir()
    held = saved(own_run, 1)
    torch.save(
        held | {"args": Runs(), "arch": Runs()}, tmp_path / "evil" / "epoch_1.pt"
    )
    shutil.copy(own_run.folder / "config.json", tmp_path / "evil")
    ran = evaluate(tmp_path / "evil", *own_run.options, "--templates")
    assert ran.code == 0, ran.stderr
    assert not (tmp_path / "PWNED").exists()
    torch.load(tmp_path / "evil" / "epoch_1.pt", weights_only=False)
    assert (tmp_path / "PWNED").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--model-arg", "width=8"),
            (
                r"9 of another shape \(conv\.weight \(12, 3, 3, 3\) for \(8, 3, 3, 3\),"
                r" conv\.bias .*\.\.\.\)"
            ),
        ),
        (
            ("--model", "timm:test_resnet"),
            r"\d+ missing \(.*\); 10 unexpected \(conv\.weight, .*\)",
        ),
    ],
)
def test_a_model_of_another_kind_is_wrong_usage(options, message, own_run, evaluate):
    ran = evaluate(
        own_run.folder, *(own_run.options if options[0] != "--model" else ()), *options
    )
    assert (ran.code, ran.stdout) == (2, "")
    (error,) = ran.errors
    assert re.search(
        rf"^run 'own', epoch_0\.pt: the weights do not fit the model: .*{message}",
        error,
    ), error
    assert error.endswith("; give the right model with --model")


def test_a_wrong_model_is_told_after_one_checkpoint(
    make_own, tmp_path, evaluate, monkeypatch
):
    run, read = make_own(tmp_path / "own", epochs=9), []
    real = checkpoint_reader.read_state_dict
    monkeypatch.setattr(
        checkpoint_reader,
        "read_state_dict",
        lambda found, *rest: (read.append(found.path.name), real(found, *rest))[1],
    )
    assert evaluate(run.folder, *run.options, "--model-arg", "width=8").code == 2
    assert read == ["epoch_0.pt"]


@pytest.fixture
def uneven(make_own, tmp_path):
    """Return a run of three epochs of which the second is broken in a way."""

    def made(change):
        run = make_own(tmp_path / "uneven", epochs=3)
        held = torch.load(run.files[1])
        change(held["state_dict"])
        torch.save(held, run.files[1])
        return run

    return made


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda state: state.pop("conv.bias"),
            "the weights do not fit the model: 1 missing (conv.bias)",
        ),
        (
            lambda state: state["body.weight"].fill_(torch.nan),
            "the model's outputs are NaN or infinite",
        ),
        (lambda state: state["norm.running_var"].fill_(torch.inf), None),
    ],
)
def test_one_checkpoint_that_does_not_fit_is_named_and_the_rest_done(
    change, reason, uneven, evaluate, loop, few
):
    run = uneven(change)
    ran = evaluate(run.folder, *run.options, "--templates")
    if reason is None:  # everything becomes 0, which is an answer
        assert ran.code == 0
        return
    assert ran.code == 4, ran.stderr
    expected = f"{run.files[1].name} has no predictions on test: {reason}"
    assert expected in ran.stderr
    for epoch in (0, 2):
        assert_answers(
            ran, epoch, loop(run.model(epoch), run.transform, few, "classifier")
        )
    rows = ran.curves(
        "epoch == 1 and split == 'test' and metric in ('accuracy', 'idm')"
    )
    assert len(rows) == 4
    assert rows["value"].isna().all()
    assert rows["reason"].str.startswith(reason).all()
    assert (
        len(
            ran.curves(
                "epoch == 1 and metric == 'sai' and of == 'ncsm,scsm' and value.notna()"
            )
        )
        == 1
    )
    assert not (ran.out / "confusions" / ran.run / "test" / "1.parquet").exists()
    assert set(ran.typicality(1)["class_index"]) == set()
    before = ran.curves("run == run")
    again = evaluate(run.folder, *run.options, "--templates")
    assert (again.code, again.stdout[:12]) == (4, "Nothing new:")
    pd.testing.assert_frame_equal(again.curves("run == run"), before)


def test_evaluate_any_batch_size_gives_the_same_tables(own_run, evaluate):
    ran = evaluate(own_run.folder, *own_run.options, "--templates")
    other = evaluate(
        own_run.folder,
        *own_run.options,
        "--templates",
        "--batch-size",
        7,
        out="other",
    )
    assert ran.code == other.code == 0
    for epoch in sorted(ran.curves("metric == 'accuracy'")["epoch"]):
        pd.testing.assert_frame_equal(
            ran.predictions(epoch), other.predictions(epoch), rtol=1e-5
        )
        assert_array_equal(ran.counts(epoch), other.counts(epoch))
        for kind in ("tncsm-test", "ccsm-test"):
            assert_allclose(
                ran.matrix(kind, epoch), other.matrix(kind, epoch), atol=1e-6
            )
        pd.testing.assert_frame_equal(
            ran.typicality(epoch), other.typicality(epoch), atol=1e-6, rtol=0
        )
    for name in ("curves", "classes", "typicality_histogram"):
        one, two = (
            pd.read_parquet(place.out / f"{name}.parquet") for place in (ran, other)
        )
        pd.testing.assert_frame_equal(one, two, atol=1e-5, rtol=1e-5)


def test_overfitting_gap_uses_equally_many_images_of_both_splits(
    own_run, few, tmp_path, evaluate, loop
):
    (tmp_path / "train").mkdir()
    for place in few.iterdir():
        shutil.copytree(place, tmp_path / "train" / place.name)
        sorted((tmp_path / "train" / place.name).iterdir())[0].unlink()
    ran = evaluate(
        own_run.folder, *own_run.options, "--templates", "--train", tmp_path / "train"
    )
    assert ran.code == 0, ran.stderr
    for folder, split in ((few, "test"), (tmp_path / "train", "train")):
        wanted = loop(own_run.model(1), own_run.transform, folder, "classifier")
        found = pd.read_parquet(ran.out / "predictions" / ran.run / split / "1.parquet")
        assert_array_equal(found["prediction"], wanted.predictions)
        tncsm = oracles.template_similarity(wanted.features, wanted.targets, 10)
        assert_allclose(ran.matrix(f"tncsm-{split}", 1), tncsm, atol=2e-6)
    assert "tncsm-train,tncsm-test" in set(ran.curves("metric == 'sai'")["of"])
    # The gap uses as many test images of each class as there are training images, nine
    # of ten.
    wanted = loop(own_run.model(1), own_run.transform, few, "classifier")
    chosen = [
        np.flatnonzero(np.array(wanted.targets) == number)[
            np.random.default_rng((0, number)).permutation(10)[:9]
        ]
        for number in range(10)
    ]
    rows = np.concatenate(chosen)
    equal = oracles.template_similarity(
        np.array(wanted.features)[rows], np.array(wanted.targets)[rows], 10
    )
    assert_allclose(ran.matrix("tncsm_equal-test", 1), equal, atol=2e-6)
    off = ~np.eye(10, dtype=bool)
    ncsm, train, test = (
        ran.matrix(kind, 1)[off] for kind in ("ncsm", "tncsm-train", "tncsm_equal-test")
    )
    (gap,) = ran.curves(
        "metric == 'gap' and variant == 'pearson' and epoch == 1"
    ).itertuples()
    assert gap.value == pytest.approx(
        np.corrcoef(ncsm, train)[0, 1] - np.corrcoef(ncsm, test)[0, 1], abs=1e-6
    )
    assert gap.low < gap.value < gap.high
    assert (gap.of, gap.classes_used, gap.samples_used) == ("ncsm,tncsm", 10, 90)

    # Splits that are evaluated in two calls have no templates of equally many images,
    # until one call has both.
    assert (
        evaluate(own_run.folder, *own_run.options, "--templates", out="apart")
        .curves("metric == 'gap'")
        .empty
    )
    train_alone = evaluate(
        own_run.folder,
        *own_run.options,
        "--templates",
        "--train",
        tmp_path / "train",
        data=None,
        out="apart",
    )
    assert train_alone.curves("metric == 'gap'")["value"].isna().all()
    assert (
        "unequal numbers of images"
        in train_alone.curves("metric == 'gap'")["reason"].iloc[0]
    )
    both = evaluate(
        own_run.folder,
        *own_run.options,
        "--templates",
        "--train",
        tmp_path / "train",
        out="apart",
    )
    pd.testing.assert_frame_equal(
        both.curves("metric == 'gap'"), ran.curves("metric == 'gap'")
    )


def backbone(folder, kind):
    """Write two epochs of a network without a classifier; return how to load one, its
    images, and options of the command.
    """
    if kind == "timm":
        import timm

        torch.manual_seed(0)
        folder.mkdir()
        net = timm.create_model("test_resnet", num_classes=0)
        for epoch in (0, 1):
            held = {
                "state_dict": net.state_dict(),
                "arch": "test_resnet",
                "version": 2,
                "epoch": epoch,
            }
            torch.save(
                held
                | {
                    "args": {
                        "img_size": 64,
                        "crop_pct": 1.0,
                        "mean": [0.5],
                        "std": [0.5],
                    }
                },
                folder / f"{epoch}.pth",
            )
            net = net.apply(
                lambda module: (
                    module.reset_parameters() if isinstance(module, nn.Conv2d) else None
                )
            )

        def loaded(epoch):
            model = timm.create_model("test_resnet", num_classes=0)
            model.load_state_dict(torch.load(folder / f"{epoch}.pth")["state_dict"])
            return model.eval()

        return loaded, lambda image: as_tensor(
            image.resize((64, 64), Image.Resampling.BILINEAR)
        )
    transformers = pytest.importorskip("transformers")
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    processor = transformers.ViTImageProcessor(size={"height": 28, "width": 28})
    for epoch in (0, 1):
        torch.manual_seed(epoch)
        place = folder / f"checkpoint-{epoch + 1}"
        transformers.Dinov2Model(transformers.Dinov2Config(**sizes)).save_pretrained(
            place
        )
        (place / "trainer_state.json").write_text(
            json.dumps({"epoch": float(epoch), "global_step": epoch + 1})
        )
        processor.save_pretrained(place)

    def read(epoch):
        model = transformers.Dinov2Model.from_pretrained(
            folder / f"checkpoint-{epoch + 1}"
        ).eval()

        class Pooled(nn.Module):
            def __init__(self):
                super().__init__()
                self.model = model

            def forward(self, x):
                return self.model(pixel_values=x).pooler_output

        return Pooled().eval()

    def prepared(image):
        inputs = processor(image.convert("RGB"), return_tensors="pt")
        return inputs["pixel_values"][0]

    return read, prepared


def as_tensor(image):
    return (
        torch.from_numpy(np.array(image.convert("RGB")))
        .permute(2, 0, 1)
        .float()
        .div(255)
        .sub(0.5)
        .div(0.5)
    )


@pytest.mark.parametrize("kind", ["timm", "transformers"])
def test_a_network_without_a_classifier_gives_templates(
    kind, tmp_path, evaluate, loop, few
):
    loaded, transform = backbone(tmp_path / "backbone", kind)
    ran = evaluate(tmp_path / "backbone", "--templates")
    assert ran.code == 0, ran.stderr
    assert "no head, so text embeddings or templates, 10 classes" in ran.stdout
    for epoch in (0, 1):
        wanted = loop(loaded(epoch), transform, few)
        tncsm = oracles.template_similarity(wanted.logits, wanted.targets, 10)
        assert_allclose(ran.matrix("tncsm-test", epoch), tncsm, atol=3e-6)
    sai = ran.curves("metric == 'sai'")
    assert set(sai["of"]) == {"tncsm-test,scsm"}
    assert sai["value"].notna().all()
    assert set(ran.curves("metric == 'wsi'")["of"]) == {"tncsm"}
    assert not (ran.out / "csms" / "backbone" / "ncsm").exists()
    assert (
        ran.curves("metric in ('accuracy', 'idm', 'loss')")["value"].notna().sum() == 0
    )
    classes = pd.read_parquet(ran.out / "classes.parquet").sort_values("class_index")
    assert list(classes["name"]) == sorted(place.name for place in few.iterdir())
    again = evaluate(tmp_path / "backbone", "--templates")
    assert (again.code, again.stdout[:12]) == (0, "Nothing new:")


@pytest.mark.parametrize("options", [(), ("--epochs", 0)])
def test_without_templates_a_network_without_a_classifier_fails(
    options, tmp_path, evaluate
):
    backbone(tmp_path / "backbone", "timm")
    for data in ({}, {"data": None}):
        ran = evaluate(tmp_path / "backbone", *options, out=f"out{len(data)}", **data)
        assert (ran.code, ran.stdout) == (3, "")
        (error,) = ran.errors
        assert error.startswith("no checkpoint can be used: ")
        assert (
            "a network without a head needs --templates, --test DATA and --model"
            in error
        )
    assert set(pd.read_parquet(ran.out / "checkpoints.parquet")["status"]) == {"failed"}


@pytest.mark.slow
def test_evaluate_again_loads_no_torch(own_run, few, tmp_path):
    script = (
        "import sys; from dsi_cli.cli.app import main_with_exit_code; code ="
        " main_with_exit_code(sys.argv[1:]);"
    )
    script += (
        "print(code, [name for name in ('torch', 'torchvision', 'timm', 'transformers')"
        " if name in sys.modules])"
    )
    arguments = [
        "analyze",
        own_run.folder,
        "-o",
        tmp_path / "out",
        "--test",
        few,
        *own_run.options,
    ]
    ended = [
        subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=True,
        )
        for _ in range(2)
    ]
    assert ended[0].stdout.splitlines()[-1].startswith("0 ['torch'")
    assert ended[1].stdout.splitlines()[-1] == "0 []"


def test_evaluate_again_after_changed_options(own_run, evaluate, evaluations):
    given = own_run.options
    evaluate(own_run.folder, *given)
    changes = [
        ("--mean", "0.4,0.5,0.5"),
        ("--std", 0.3),
        ("--image-size", 24),
        ("--model-arg", "slow=0.0"),
    ]
    changes += [
        ("--templates",),
        ("--batch-size", 10, "--epochs", 1),
    ]
    for options, count in zip(changes, [2] * 5 + [0], strict=True):
        del evaluations[:]
        given = (*given, *options)
        assert (evaluate(own_run.folder, *given).code, len(evaluations)) == (
            0,
            count,
        ), options


def test_evaluate_again_after_changed_data_or_code(
    make_own, few, nets, tmp_path, evaluate, evaluations
):
    run = make_own(tmp_path / "own")
    data, code = tmp_path / "images", tmp_path / "changing_nets.py"
    shutil.copytree(few, data)
    shutil.copy(nets, code)
    spec = ("--model", f"{code}:build")
    assert evaluate(run.folder, *spec, data=data).code == 0
    Image.new("RGB", (32, 32)).save(data / "apple" / "more.png")
    assert evaluate(run.folder, *spec, data=data).code == 0
    assert evaluations == [100, 100, 101, 101]
    code.write_text(
        code.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8"
    )
    for _ in range(2):
        assert (evaluate(run.folder, *spec, data=data).code, evaluations[4:]) == (
            0,
            [101, 101],
        )


def test_analyze_stored_results_with_labels_in_another_order_are_refused(
    own_run, few, tmp_path, evaluate
):
    names, labels = (
        sorted(path.name for path in few.iterdir() if path.is_dir()),
        tmp_path / "labels.txt",
    )
    orders = [
        names,
        *[[name.replace("_", " ") for name in names]] * 3,
        *[names[::-1]] * 2,
    ]
    for order, data, code in zip(
        orders, (few, None, few, None, None, few), (0, 0, 0, 0, 2, 0), strict=True
    ):
        labels.write_text("\n".join(order), encoding="utf-8")
        ran = evaluate(
            own_run.folder,
            *(own_run.options if data else ()),
            "--labels",
            labels,
            data=data,
        )
        assert (ran.code, "on test were made with other labels" in ran.stderr) == (
            code,
            code == 2,
        ), ran.stderr


@pytest.mark.slow
def test_evaluate_killed_is_continued(make_own, tmp_path, few, evaluate, evaluations):
    run = make_own(tmp_path / "own", epochs=4)
    out = tmp_path / "out"
    options = (
        *run.options,
        "--templates",
        "--batch-size",
        20,
        "--model-arg",
        "slow=0.1",
    )
    command = [
        sys.executable,
        "-m",
        "dsi_cli",
        "analyze",
        run.folder,
        "-o",
        out,
        "--test",
        few,
        *QUICK,
        *options,
    ]
    process = subprocess.Popen(
        [*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    entries = out / ".cache" / "evaluations"
    until = time.monotonic() + 200
    while not list(entries.glob("*")) and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = {path: path.stat().st_mtime_ns for path in entries.iterdir()}
    assert 1 <= len(there) < 4
    ran = evaluate(run.folder, *options)
    assert ran.code == 0, ran.stderr
    assert len(evaluations) == 4 - len(there)
    assert all(path.stat().st_mtime_ns == when for path, when in there.items())
    fresh = evaluate(run.folder, *options, out="fresh")
    for epoch in range(4):
        pd.testing.assert_frame_equal(
            ran.predictions(epoch), fresh.predictions(epoch), rtol=1e-5
        )
    one, two = (pd.read_parquet(place.out / "curves.parquet") for place in (ran, fresh))
    pd.testing.assert_frame_equal(one, two, rtol=1e-5, atol=1e-5)
    left = (
        {path.name for path in (out / ".tmp").rglob("*")}
        if (out / ".tmp").exists()
        else set()
    )
    assert left == set()
