"""What a model may be run on here."""

from __future__ import annotations


def devices() -> list[str]:
    """Return the devices that torch sees, in words, what ``--device auto`` takes first; imports torch, which takes seconds."""
    import torch

    found = [f"cuda:{number} ({torch.cuda.get_device_name(number)})" for number in range(torch.cuda.device_count())]
    return [*found, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]
