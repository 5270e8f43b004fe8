"""Report habits of prose that readers stumble over: ``python scripts/check_prose.py
README.md docs``; exits 1 above the limits.

The rules are in CONTRIBUTING.md. Code, tables, headings and quoted output are not
checked.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_WORDS = 30
MAX_LONG_SENTENCES = 12
"""Lists count as one sentence, so that some are inevitable."""
HABITS = {
    "a text that says or is told something": (
        r"\b(is|are|was|were) (said|told|met with|spoken)\b|\bsays? so\b"
    ),
    "a thing that stands or lies": (
        r"\b(stands?|lies?|lay) (there|here|beside|where|nearer)\b"
    ),
    "beside": r"\b[Bb]eside\b",
    "anew": r"\banew\b",
    "of its own": r"\bof (one's|its|their|your|our) own\b",
    "wants": r"\bwants?\b",
    "none where": r"\b(none|null|nothing) where\b",
    "real difference": r"\breal(ly)? (differ|better|effect)\w*",
    "significant": r"\bsignificant(ly)?\b",
}
PLAIN = re.compile(
    r"```.*?^```|<!--.*?-->|^(?:[|#<>]|:::|    ).*?$|`[^`]*`", re.MULTILINE | re.DOTALL
)


def paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a page, without code, tables and headings, and links as
    their text.
    """
    plain = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", PLAIN.sub("", text))
    yield from (
        " ".join(block.split()) for block in plain.split("\n\n") if block.strip()
    )


def main(arguments: list[str]) -> int:
    """Print the findings in files and folders, and return the exit code."""
    pages = [
        page
        for name in arguments
        for page in sorted(
            [Path(name)] if Path(name).is_file() else Path(name).rglob("*.md")
        )
    ]
    if not pages:
        print("no page to check", file=sys.stderr)
        return 1
    found, long_sentences = 0, 0
    for page in pages:
        for paragraph in paragraphs(page.read_text(encoding="utf-8")):
            for habit, pattern in HABITS.items():
                if hit := re.search(pattern, paragraph):
                    found += 1
                    print(
                        f"{page}: {habit}:"
                        f" {paragraph[max(0, hit.start() - 40) : hit.end() + 40]}"
                    )
            for sentence in re.split(r"(?<=[.!?:])\s+|\s- ", paragraph):
                if len(sentence.split()) > MAX_WORDS:
                    long_sentences += 1
                    print(f"{page}: {len(sentence.split())} words: {sentence[:100]}")
    print(
        f"{len(pages)} pages: {found} habits (at most 0), {long_sentences} long"
        f" sentences (at most {MAX_LONG_SENTENCES})"
    )
    return int(found > 0 or long_sentences > MAX_LONG_SENTENCES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
