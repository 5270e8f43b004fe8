"""Print the oldest allowed version of each dependency, as pip's constraints: ``make
test-oldest`` installs these.

Torch, torchvision and timm are left out: old ones fetch gigabytes, and what dsi
computes without images never meets them.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
HEAVY = ("torch", "torchvision", "timm")


def lower_bounds() -> dict[str, str]:
    """Return name -> lower bound of the project's dependencies, those of `HEAVY` left
    out.
    """
    described = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    wanted = [Requirement(text) for text in described["project"]["dependencies"]]
    return {
        one.name: next(
            bound.version for bound in one.specifier if bound.operator == ">="
        )
        for one in wanted
        if one.name not in HEAVY
    }


if __name__ == "__main__":
    for name, version in lower_bounds().items():
        print(f"{name}=={version}")
