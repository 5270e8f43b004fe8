"""The file: the page's parts and the data in one text, which asks for nothing outside itself.

Labels come from files that anyone may have written. The template escapes what it prints; the data stand in elements that no browser
runs, with ``<``, ``>`` and ``&`` written as JSON escapes, and the scripts put text into the page as text alone. A content security
policy lets nothing run but these scripts, by their hash, and forbids every request.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from dsi_cli.report.page_data import PageData
from dsi_cli.version import __version__

SCRIPTS = (
    "dom.js",
    "frame.js",
    "data.js",
    "curves.js",
    "colours.js",
    "sides.js",
    "heatmaps.js",
    "tip.js",
    "player.js",
    "tables.js",
    "sections.js",
    "main.js",
)
"""In the order in which they are put together."""
PARTS = ("frame.html", "page.html", "epoch-bar.html", "style.css", *SCRIPTS)
DIGEST = "dsi-tables"
"""Name of the meta element that says which tables a page was made from."""
_ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def part(name: str) -> str:
    """Return a file of the page."""
    return (files("dsi_cli.report") / "page" / name).read_text(encoding="utf-8")


def script(names: Sequence[str] = SCRIPTS) -> str:
    """Return scripts as one, which leaves no name behind."""
    return '(() => {\n"use strict";\n' + "\n".join(map(part, names)) + "\n})();\n"


def escaped(data: Any) -> str:
    r"""Return data as JSON that may stand in any element.

    >>> escaped({"label": "</script><b>"})
    '{"label":"\\u003c/script\\u003e\\u003cb\\u003e"}'
    """
    return json.dumps(data, separators=(",", ":"), allow_nan=False).translate(_ESCAPES)


def policy(style: str, code: str) -> str:
    """Return the content security policy: this style, this script, images out of the page itself, nothing else."""
    style_hash, code_hash = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, code))
    return (
        f"default-src 'none'; style-src 'sha256-{style_hash}'; script-src 'sha256-{code_hash}'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def render(contents: PageData, title: str, digest: str) -> str:
    """Return the page of an output.

    Parameters
    ----------
    title : the output's name
    digest : of the tables that it was made from
    """
    shown = {"title": title, "runs": contents.summary, "overview": contents.overview}
    return assembled("page.html", SCRIPTS, shown, contents.data, contents.lines, digest)


def assembled(
    template: str,
    scripts: Sequence[str],
    shown: Mapping[str, Any],
    data: Any,
    lines: Mapping[str, Sequence[str]],
    digest: str = "",
) -> str:
    """Return a page of any kind.

    Parameters
    ----------
    template : a file of the page that extends ``frame.html``
    scripts : files of the page, put together in this order
    shown : what the template prints, by name; it is escaped
    data : what the scripts read as JSON
    lines : packed frames by name
    digest : of the tables that the page was made from, where somebody will ask for it
    """
    from markupsafe import Markup

    style, code = part("style.css"), script(scripts)
    return filled(
        template,
        **shown,
        version=__version__,
        digest_name=DIGEST,
        digest=digest,
        policy=policy(style, code),
        style=Markup(style),  # noqa: S704 (ours)
        script=Markup(code),  # noqa: S704 (ours)
        data=Markup(escaped(data)),  # noqa: S704 (escaped)
        lines={name: Markup("\n".join(packed)) for name, packed in lines.items()},  # noqa: S704 (base64)
    )


def filled(template: str, **shown: Any) -> str:
    """Return a template of the page with what it prints, escaped unless it is marked as markup."""
    from jinja2 import Environment, FunctionLoader

    environment = Environment(loader=FunctionLoader(part), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template(template).render(**shown)
