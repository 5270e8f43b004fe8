"""The HTML file: templates, style sheet, scripts and data in one text without external
requests.

Labels come from untrusted files, so no label becomes markup. The template escapes every
value. The data are in script elements that browsers do not run, with ``<``, ``>`` and
``&`` written as JSON escapes. The scripts insert strings as text nodes only. A content
security policy allows only the scripts of this page, by their hash, and forbids every
request.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.version import __version__

if TYPE_CHECKING:
    from dsi_cli.report.page_data import PageData

SCRIPTS = (
    *("frame.js", "exports.js", "curves.js", "questions.js", "frames.js", "colours.js"),
    *("heatmaps.js", "inspector.js", "explorer.js", "sections.js", "main.js"),
)
"""Scripts of the report in the order in which they are joined."""
STYLE = "style.css"
PARTS = ("frame.html", "page.html", "conclusions.html", "tables.html", STYLE, *SCRIPTS)
# name of the meta element with the digest of the tables from which the page was made
DIGEST = "dsi-tables"


def part(name: str) -> str:
    """Return the text of a file in ``page/``."""
    return (files("dsi_cli.report") / "page" / name).read_text(encoding="utf-8")


def script(names: Sequence[str] = SCRIPTS) -> str:
    """Return several scripts as one script that defines no global names."""
    return '(() => {\n"use strict";\n' + "\n".join(map(part, names)) + "\n})();\n"


def six_digits(values: Iterable[float | None]) -> list[float | None]:
    """Return values with six digits for JSON, None for NaN.

    >>> six_digits([1 / 3, float("nan"), None])
    [0.333333, None, None]
    """
    return [
        None if value is None or math.isnan(value) else float(f"{value:.6g}")
        for value in values
    ]


def render(contents: PageData, title: str, digest: str) -> str:
    """Return the report of a results folder as HTML, from the folder's name and the
    digest of its tables.
    """
    min_z = f"{MIN_Z:g}"
    variables = {
        "title": title,
        "runs": contents.runs,
        "overview": contents.overview,
        "suspects": contents.suspects,
        "conclusions": contents.conclusions,
        "min_z": min_z,
    }
    return assemble(
        "page.html", SCRIPTS, variables, contents.data, contents.lines, digest
    )


def assemble(
    template: str,
    scripts: Sequence[str],
    variables: Mapping[str, Any],
    data: Any,
    lines: Mapping[str, Sequence[str]] | None = None,
    digest: str = "",
) -> str:
    """Return a page from a template that extends ``frame.html``, its variables,
    scripts, their data and packed matrices.

    The digest is that of the tables from which the page is made; empty for a page that
    is always written.
    """
    from jinja2.utils import htmlsafe_json_dumps
    from markupsafe import Markup

    style, code = part(STYLE), script(scripts)
    # The content security policy allows this style sheet, this script and images in the
    # page, and nothing else.
    style_hash, code_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (style, code)
    )
    policy = (
        f"default-src 'none'; style-src 'sha256-{style_hash}'; script-src"
        f" 'sha256-{code_hash}'; img-src data: blob:; "
    )
    policy += "base-uri 'none'; form-action 'none'"
    return fill_template(
        template,
        **variables,
        version=__version__,
        digest_name=DIGEST,
        digest=digest,
        policy=policy,
        style=Markup(style),  # noqa: S704 (a file of this package)
        script=Markup(code),  # noqa: S704 (files of this package)
        data=htmlsafe_json_dumps(data, separators=(",", ":"), allow_nan=False),
        lines={
            name: Markup("\n".join(packed))  # noqa: S704 (base64)
            for name, packed in (lines or {}).items()
        },
    )


def fill_template(template: str, **variables: Any) -> str:
    """Return a template of ``page/`` with its variables; values are escaped unless they
    are `Markup`.
    """
    from jinja2 import Environment, FunctionLoader

    environment = Environment(
        loader=FunctionLoader(part),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**variables)
