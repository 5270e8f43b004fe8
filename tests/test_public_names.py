"""Every public name says what it takes, what it gives, in which range, and how it
fails.
"""

import inspect
import re
import runpy
from pathlib import Path

import pytest

import dsi_cli
from dsi_cli import callbacks

FUNCTIONS = {
    name: getattr(dsi_cli, name)
    for name in dsi_cli.__all__
    if inspect.isfunction(getattr(dsi_cli, name))
}


def section(text: str, title: str) -> str:
    found = re.search(rf"{title}\n-+\n((?:.+\n?)+)", text)
    return found[1] if found else ""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_says_every_parameter_what_it_returns_and_how_it_fails(name):
    text = inspect.getdoc(FUNCTIONS[name])
    lines = [line for line in section(text, "Parameters").splitlines() if " : " in line]
    documented = {one for line in lines for one in line.split(" : ")[0].split(", ")}
    assert documented == set(inspect.signature(FUNCTIONS[name]).parameters)
    assert "return" in text.lower()
    assert re.match(r"\w*Error", section(text, "Raises")), "how does it fail?"


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, one in FUNCTIONS.items()
        if re.search(r"C, C|\(C, d", inspect.getdoc(one))
    ],
)
def test_a_function_on_arrays_gives_a_shape_for_each_and_a_range(name):
    text = inspect.getdoc(FUNCTIONS[name])
    assert re.search(r"\(\w+(, \w+)*,?\)(``,)? (float|int)", text), "which shape?"
    assert re.search(r"in [\[(]-?\d|\(C, C\) float", text) or "SAI" in text, (
        "which range?"
    )


def test_the_site_has_a_page_for_every_public_name():
    pytest.importorskip("mkdocs", reason="builds the site")
    hooks = runpy.run_path(str(Path(__file__).resolve().parents[1] / "docs/hooks.py"))
    documented = sorted(name for _, name in hooks["public_names"]())
    assert documented == sorted(
        {*dsi_cli.__all__, *callbacks.__all__} - {"__version__"}
    )
