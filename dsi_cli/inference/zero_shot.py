"""Networks with an image and a text tower (CLIP, SigLIP), whose classifier weight is the text embeddings of the class names.

Each name becomes ``a photo of a NAME``. The normalised embeddings are the rows of the weight. An image's logits are its cosines
with them, times the scale that the network learned (Radford et al. 2021, arXiv 2103.00020).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dsi_cli.inference.evaluator import full_precision

PROMPT = "a photo of a {}."


class ZeroShot(torch.nn.Module):
    """A network that returns an image's logits, or its features without class names or a tokenizer.

    Parameters
    ----------
    towers : the network from the library
    tokens : the input of the text tower with one row per class; None to return features
    """

    def __init__(self, towers: torch.nn.Module, tokens: dict[str, torch.Tensor] | None) -> None:
        super().__init__()
        self.towers = towers
        self.tokens = tokens
        self.head: torch.nn.Linear | None = None

    def embed_text(self) -> NDArray[np.float32] | None:
        """Compute and return the text embeddings ``(C, d)`` with the current weights; None without names."""
        if self.tokens is None:
            return None
        towers: Any = self.towers
        device = next(towers.parameters()).device
        with torch.inference_mode(), full_precision():
            embedded = _pool(towers.get_text_features(**{name: ids.to(device) for name, ids in self.tokens.items()}))
            weight = torch.nn.functional.normalize(embedded.float(), dim=1).clone()
        self.head = torch.nn.Linear(weight.shape[1], len(weight), bias=False, device=device)
        self.head.weight = torch.nn.Parameter(weight, requires_grad=False)
        embeddings: NDArray[np.float32] = weight.cpu().numpy()
        return embeddings

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits ``(batch, classes)``; without class names, features ``(batch, d)``."""
        towers: Any = self.towers
        features = torch.nn.functional.normalize(_pool(towers.get_image_features(pixel_values=images)), dim=1)
        if self.head is None:
            return features
        logits: torch.Tensor = self.head(features) * towers.logit_scale.exp()
        return logits


def _pool(outputs: Any) -> torch.Tensor:
    pooled: torch.Tensor = outputs if isinstance(outputs, torch.Tensor) else outputs.pooler_output
    return pooled


def has_towers(config: Any) -> bool:
    """Return True if a Hugging Face config describes a network with an image and a text tower."""
    return getattr(config, "text_config", None) is not None and getattr(config, "vision_config", None) is not None


def tokenize_names(folder: Path, names: Sequence[str] | None) -> dict[str, torch.Tensor] | None:
    """Return the class names as inputs of the text tower; None without names, or without a tokenizer in the folder."""
    if names is None or not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json", "spiece.model")):
        return None
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    texts = [PROMPT.format(name.split(",")[0].replace("_", " ").strip()) for name in names]
    inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    return {name: inputs[name] for name in ("input_ids", "attention_mask") if name in inputs}
