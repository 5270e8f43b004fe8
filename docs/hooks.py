"""Hooks of MkDocs: the report of the demo, public names, links to the glossary, and
the size of pictures.
"""

from __future__ import annotations

import inspect
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

import dsi_cli
from dsi_cli import callbacks

os.environ.setdefault("KERAS_BACKEND", "torch")  # TensorFlow may not be installed
HERE = Path(__file__).resolve().parent
REPORT = "demo/report.html"
PICTURE = re.compile(r'<img [^>]*src="(?P<src>[^"]+\.png)"[^>]*>')
TERM = re.compile(r"^- \*\*(.+?)\*\*: ", re.MULTILINE)
SKIPPED = {"glossary.md", "cli.md", "tables.md"}
PLACES = {"dsi_cli": dsi_cli, "dsi_cli.callbacks": callbacks}


def on_config(config: Any) -> Any:
    """Add the page of each public name to the navigation."""
    pages = [
        {"Overview": "api.md"},
        *({name: f"api/{name}.md"} for _, name in public_names()),
    ]
    (reference,) = [
        section["Reference"] for section in config.nav if "Reference" in section
    ]
    reference[:] = [
        {"Python API": pages} if "Python API" in entry else entry for entry in reference
    ]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the report of the demo, and a page for each public name."""
    for place, name in public_names():
        home = getattr(PLACES[place], name).__module__
        options = (
            f"heading: {place}.{name}, heading_level: 1, inherited_members: true,"
            " members_order: source"
        )
        page = f"::: {home}.{name}\n    options: {{{options}}}\n"
        files.append(File.generated(config, f"api/{name}.md", content=page))
    files.append(File.generated(config, REPORT, content=demo_report()))
    return files


def public_names() -> list[tuple[str, str]]:
    """Return the module and the name of everything that dsi exports."""
    return [
        (place, name)
        for place, module in PLACES.items()
        for name in module.__all__
        if name != "__version__"
    ]


def demo_report() -> bytes:
    """Analyse the runs of the demo, and return the report."""
    from dsi_cli.cli.app import main_with_exit_code

    with (
        tempfile.TemporaryDirectory() as folder,
        chdir(folder),
        redirect_stdout(io.StringIO()),
    ):
        if main_with_exit_code(["demo", "--quiet"]):
            sys.exit("dsi demo failed")
        return Path("dsi-demo/report.html").read_bytes()


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Link the first use of each term of the glossary on a page; in the glossary, give
    each term an anchor.
    """
    source = page.file.src_uri
    if source == "glossary.md":
        return TERM.sub(
            lambda match: f"- {''.join(anchors(match[1]))}**{match[1]}**: ", markdown
        )
    if source == "api.md":
        lines = [
            f"- [`{place}.{name}`](api/{name}.md): {first_line(place, name)}"
            for place, name in public_names()
        ]
        return markdown.replace("NAMES", "\n".join(lines))
    if source in SKIPPED or source.startswith("api/"):
        return markdown
    glossary = "../" * source.count("/") + "glossary.md"
    for term in terms():
        # A term is not linked within code, headings, links, quoted output or HTML.
        pattern = re.compile(
            r"^ *```.*?^ *```|^"
            r" {4,}.*?$|^(?:#|:::).*?$|`[^`]*`|!?\[[^]]*\]\([^)]*\)|<[^>]*>"
            rf"|(?P<term>(?<![\w-]){re.escape(term)}(?![\w-]))",
            re.MULTILINE | re.DOTALL,
        )
        for match in pattern.finditer(markdown):
            if match[0].startswith(f"[{term}]("):
                break
            if match["term"]:
                link = f"[{term}]({glossary}#{anchor(term)})"
                markdown = markdown[: match.start()] + link + markdown[match.end() :]
                break
    return markdown


def on_page_content(html: str, **_: Any) -> str:
    """Show each picture at half of its pixels, and open it in full size with a
    click.
    """

    def linked(match: re.Match[str]) -> str:
        # The width of a PNG is in bytes 16 to 20.
        header = (HERE / "images" / Path(match["src"]).name).read_bytes()[:24]
        width = min(int.from_bytes(header[16:20], "big") // 2, 800)
        return (
            f'<a class="picture" href="{match["src"]}"><img'
            f' width="{width}"{match[0][4:]}</a>'
        )

    return PICTURE.sub(linked, html)


def first_line(place: str, name: str) -> str:
    return (inspect.getdoc(getattr(PLACES[place], name)) or "").partition("\n")[0]


def terms() -> Iterator[str]:
    """Yield the terms of the glossary, the longest first."""
    found = TERM.findall((HERE / "glossary.md").read_text(encoding="utf-8"))
    names = [name for title in found for name in names_of(title)]
    yield from sorted(
        set(names) - {"accuracy", "checkpoint", "head", "z"}, key=len, reverse=True
    )


def names_of(title: str) -> list[str]:
    """Return the names in the title of an entry: its term, and its abbreviation or
    further terms.
    """
    return [part.strip() for part in re.split(r"[(),]", title) if part.strip()]


def anchors(title: str) -> list[str]:
    """Return the anchors of an entry: one for its title, and one for each name in
    it.
    """
    return [
        f'<a id="{name}"></a>'
        for name in dict.fromkeys(map(anchor, [title, *names_of(title)]))
    ]


def anchor(term: str) -> str:
    """Return the anchor of a term."""
    return re.sub(r"\W+", "-", term.partition(" (")[0].lower()).strip("-")
