"""Networks with an image and a text tower, saved by the library's own code: class names as the classifier."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import oracles
from helpers.oracles_testset import accuracy, template_similarity
from helpers.outputs import stored_counts
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Evaluation, Options

transformers = pytest.importorskip("transformers", reason="needs the extra transformers")
tokenizers = pytest.importorskip("tokenizers", reason="needs the extra transformers")

NAMES = ("bird", "cat", "dog", "frog", "horse", "lion")
EVALUATED = {"templates": True, "mean": (0.5,), "std": (0.25,)}


def tokenizer():
    words = ["[PAD]", "[BOS]", "[UNK]", *NAMES, *("a", "photo", "of", "."), "[EOS]"]
    vocabulary = {word: number for number, word in enumerate(words)}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    ends = [(name, vocabulary[name]) for name in ("[BOS]", "[EOS]")]
    made.post_processor = tokenizers.processors.TemplateProcessing(single="[BOS] $A [EOS]", special_tokens=ends)
    names = {"pad_token": "[PAD]", "bos_token": "[BOS]", "eos_token": "[EOS]", "unk_token": "[UNK]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, **names), vocabulary


def towers(vocabulary, seed):
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {"vocab_size": len(vocabulary), "max_position_embeddings": 12, "initializer_factor": 4.0, **size}
    text |= {"eos_token_id": vocabulary["[EOS]"], "bos_token_id": vocabulary["[BOS]"], "pad_token_id": 0}
    image = {"image_size": 16, "patch_size": 8, "initializer_factor": 4.0, **size}
    config = transformers.CLIPConfig(text_config=text, vision_config=image, projection_dim=8, initializer_factor=4.0)
    torch.manual_seed(seed)
    return transformers.CLIPModel(config).eval()


@pytest.fixture
def run(tmp_path):
    """Two checkpoints as the Trainer lays them down, and images in class folders."""
    words, vocabulary = tokenizer()
    for step in (1, 2):
        folder = tmp_path / "clip" / f"checkpoint-{step}"
        towers(vocabulary, step).save_pretrained(folder)
        words.save_pretrained(folder)
        state = {"epoch": float(step), "global_step": step, "log_history": []}
        (folder / "trainer_state.json").write_text(json.dumps(state))
    rng = np.random.default_rng(0)
    for name in NAMES:
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(5):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    return tmp_path / "clip"


def by_hand(folder):
    """Return logits, image features and text embeddings of one checkpoint, by the library alone."""
    words, _ = tokenizer()
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    paths = sorted((folder.parents[1] / "images").glob("*/*.png"))
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths]).transpose(0, 3, 1, 2)
    images = (torch.from_numpy(pixels).float() / 255 - 0.5) / 0.25
    tokens = words([f"a photo of a {name}." for name in NAMES], padding=True, return_tensors="pt")
    with torch.no_grad():
        # With and without its own forward: the whole network's logits, and what goes into them.
        whole = model(pixel_values=images, input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
    return whole.logits_per_image.numpy(), whole.image_embeds.numpy(), whole.text_embeds.numpy()


def matrix(path):
    return np.stack(pd.read_parquet(path)["similarity"])


def test_class_names_are_the_classifier(run, tmp_path):
    out = tmp_path / "out"
    evaluation = Evaluation(test=str(tmp_path / "images"), **EVALUATED)
    (told,) = analyze([run], out, Options(draws=0, evaluation=evaluation)).runs
    assert (told.classes, told.answered, told.unanswered) == (6, 2, [])
    targets = np.repeat(np.arange(6), 5)
    curves = pd.read_parquet(out / "curves.parquet")
    for epoch in (1, 2):
        logits, features, text = by_hand(run / f"checkpoint-{epoch}")
        assert_allclose(matrix(out / f"csms/clip/ncsm/{epoch}.parquet"), oracles.ncsm(text), atol=1e-6)
        counts = stored_counts(out, "clip", epoch)
        assert_array_equal(
            counts, np.array([[(logits.argmax(1)[targets == i] == j).sum() for j in range(6)] for i in range(6)])
        )
        assert_allclose(
            matrix(out / f"csms/clip/tncsm-test/{epoch}.parquet"), template_similarity(features, targets, 6), atol=1e-5
        )
        found = curves.query("epoch == @epoch and metric == 'accuracy'")["value"].item()
        assert found == accuracy(counts)
    assert {"ncsm,scsm", "ncsm,tncsm-test", "ncsm,ccsm-test"} <= set(curves["of"].dropna())


def test_zero_shot_without_a_tokenizer_uses_templates(run, tmp_path):
    for path in run.rglob("tokenizer*"):
        path.unlink()
    said = []
    evaluation = Evaluation(test=str(tmp_path / "images"), **EVALUATED)
    analyze([run], tmp_path / "out", Options(draws=0, evaluation=evaluation), say=said.append)
    assert any("without a tokenizer next to it: features only" in line for line in said)
    curves = pd.read_parquet(tmp_path / "out" / "curves.parquet")
    assert set(curves.query("metric == 'sai'")["of"]) == {"tncsm-test,scsm"}
    assert not (tmp_path / "out" / "csms/clip/ncsm").exists()


def test_zero_shot_without_data_has_no_classifier(run, tmp_path, dsi):
    ended = dsi("analyze", run, "-o", tmp_path / "out")
    assert ended.code == 3
    assert "no classifier among" in ended.err
