"""Foreign text meets regular expressions everywhere, so each of them must take a time
that is linear in the text.

A backtracking matcher takes quadratic time or worse if two repetitions can share a
stretch of the text and something after them can fail (``\\s*\\s*x``). A search adds one
repetition: it begins at each position. A repetition inside a repetition can be
exponential. The tests read the parse tree of each expression in the package; they
measure no time.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

import dsi_cli

PACKAGE = Path(dsi_cli.__file__).parent
UNIVERSE = frozenset(map(chr, range(128))) | frozenset("\xa0é²٣中\u2028")
WORDS = frozenset(c for c in UNIVERSE if re.match(r"\w", c))
BOUNDARY = frozenset({"a boundary of a word"})
MAX_BOUND = 100
"""A repetition of at most this many times is a constant."""
MAX_PATHS = 3000
SEARCHES = {"search", "sub", "subn", "split", "findall", "finditer"}
MATCHES = {"match", "fullmatch"}
FLAGS_POSITION = {"compile": 1} | dict.fromkeys(
    ("search", "match", "fullmatch", "findall", "finditer"), 2
)


@dataclass(frozen=True)
class Item:
    """A step of a path through an expression."""

    chars: frozenset[str]  # the characters that it can take
    is_loop: bool = False
    is_optional: bool = False
    can_give_back: bool = True  # False for a possessive repetition
    rounds: tuple[
        tuple[frozenset[str], ...], ...
    ] = ()  # the characters of the steps of each round of a repetition

    def can_take(self, chars: frozenset[str]) -> bool:
        """Return whether it can take a text of these characters."""
        return any(
            all(step & chars for step in steps)
            for steps in self.rounds or ((self.chars,),)
        )


@dataclass(frozen=True)
class Condition:
    """A step that takes no character and can fail."""

    before: frozenset[str]  # the characters that may precede it


Path_ = tuple[Item | Condition, ...]


def _characters(code: Any, value: Any, flags: int) -> frozenset[str]:
    """Return the characters that a single step can take."""
    if code is codes.LITERAL:
        chars = {chr(value)}
    elif code is codes.NOT_LITERAL:
        return UNIVERSE - _characters(codes.LITERAL, value, flags)
    elif code is codes.RANGE:
        chars = {c for c in UNIVERSE if value[0] <= ord(c) <= value[1]}
    elif code is codes.ANY:
        return UNIVERSE if flags & re.DOTALL else UNIVERSE - {"\n"}
    elif code is codes.CATEGORY:
        letter = {"DIGIT": "d", "SPACE": "s", "WORD": "w"}[
            str(value).rpartition("_")[2]
        ]
        letter = letter.upper() if "_NOT_" in str(value) else letter
        return frozenset(
            c for c in UNIVERSE if re.match(rf"\{letter}", c, flags & re.ASCII)
        )
    else:
        assert code is codes.IN
        is_negated = value[0][0] is codes.NEGATE
        parts = [
            _characters(*item, flags) for item in value if item[0] is not codes.NEGATE
        ]
        chars = set().union(*parts)
        return UNIVERSE - chars if is_negated else frozenset(chars)
    if flags & re.IGNORECASE:
        chars = {variant for c in chars for variant in (c, c.lower(), c.upper())}
    return frozenset(chars)


def _last_characters(node: Any, flags: int) -> frozenset[str]:
    """Return the characters with which a lookbehind of one character can end; none for
    a longer one.
    """
    ends: frozenset[str] = frozenset()
    for path in _paths(node, flags, []):
        items = [item for item in path if isinstance(item, Item)]
        ends |= items[0].chars if len(items) == 1 else frozenset()
    return ends


def _paths(node: Any, flags: int, found: list[str]) -> list[Path_]:
    """Return all paths through a sequence; describe dangers inside repetitions in
    ``found``.
    """
    paths: list[Path_] = [()]
    extra: list[Path_] = []  # paths that end in a lookahead
    for code, value in node:
        steps: list[Path_]
        if code is codes.SUBPATTERN:
            steps = _paths(value[3], (flags | value[1]) & ~value[2], found)
        elif code is codes.ATOMIC_GROUP:
            steps = _paths(value, flags, found)
        elif code is codes.BRANCH:
            steps = [
                path for branch in value[1] for path in _paths(branch, flags, found)
            ]
        elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            steps = _repeated(code, *value, flags, found)
        elif code is codes.ASSERT or code is codes.ASSERT_NOT:
            direction, content = value
            before = UNIVERSE
            if direction > 0:
                # A lookahead runs for each way in which the matcher reaches it.
                ahead = _paths(content, flags, found)
                extra += [
                    (*path, *one, Condition(UNIVERSE))
                    for path in paths
                    for one in ahead
                ]
            elif code is codes.ASSERT_NOT:
                before = UNIVERSE - _last_characters(content, flags)
            else:
                before = _last_characters(content, flags) or UNIVERSE
            steps = [(Condition(before),)]
        elif code is codes.AT:
            before = UNIVERSE
            if value is codes.AT_BOUNDARY:
                before = BOUNDARY
            elif value in (codes.AT_BEGINNING_STRING, codes.AT_BEGINNING):
                before = frozenset("\n") if flags & re.MULTILINE else frozenset()
            steps = [(Condition(before),)]
        elif code is codes.GROUPREF:
            steps = [
                (Item(UNIVERSE, is_loop=True, is_optional=True, can_give_back=False),)
            ]
        else:
            steps = [(Item(_characters(code, value, flags)),)]
        paths = [(*path, *step) for path in paths for step in steps]
        assert len(paths) < MAX_PATHS, "too many branches: split the expression"
    return paths + extra


def _repeated(
    code: Any, low: int, high: int, body: Any, flags: int, found: list[str]
) -> list[Path_]:
    """Return the paths through a repetition."""
    inner = _paths(body, flags, found)
    skipped: list[Path_] = [] if low else [()]
    has_loop = any(
        isinstance(item, Item) and item.is_loop for path in inner for item in path
    )
    if high <= MAX_BOUND:
        twice = (
            [(*a, *b) for a, b in itertools.product(inner, repeat=2)]
            if has_loop and high > 1
            else []
        )
        return inner + twice + skipped
    # Two rounds of the body after each other must not share a stretch of the text.
    if any(
        _shared((*a, *b, Condition(UNIVERSE)))
        for a, b in itertools.product(inner, repeat=2)
    ):
        found.append("a repetition inside a repetition")
    firsts = [
        next((item.chars for item in path if isinstance(item, Item)), UNIVERSE)
        for path in inner
    ]
    if any(a & b for a, b in itertools.combinations(firsts, 2)):
        found.append("branches of a repetition that begin alike")
    items = [[item for item in path if isinstance(item, Item)] for path in inner]
    rounds = tuple(
        tuple(item.chars for item in path if not item.is_optional) or (UNIVERSE,)
        for path in items
    )
    chars = frozenset[str]().union(*(item.chars for path in items for item in path))
    loop = Item(
        chars,
        is_loop=True,
        is_optional=not low,
        can_give_back=code is not codes.POSSESSIVE_REPEAT,
        rounds=rounds,
    )
    return [(loop,), *(inner if has_loop else [])]


def _shared(path: Path_) -> bool:
    """Return whether two repetitions of a path can share a stretch of the text, and a
    later step can fail.
    """
    loops = [
        (index, item)
        for index, item in enumerate(path)
        if isinstance(item, Item) and item.is_loop
    ]
    for (start, first), (end, second) in itertools.combinations(loops, 2):
        common = first.chars & second.chars
        can_share = (
            first.can_give_back
            and bool(common)
            and first.can_take(common)
            and second.can_take(common)
        )
        # The steps between them must be able to take a text that both repetitions could
        # take as well.
        has_item = False
        for index, step in enumerate(path[start + 1 : end], start + 1):
            if isinstance(step, Item):
                has_item = has_item or not step.is_optional
                can_share = can_share and (
                    step.is_optional or bool(step.chars & common)
                )
            elif not has_item:
                can_share = can_share and bool(_before(path, index) & common)
        if can_share and any(
            isinstance(item, Condition) or not item.is_optional
            for item in path[end + 1 :]
        ):
            return True
    return False


def _before(path: Path_, index: int) -> frozenset[str]:
    """Return the characters that may precede a condition of a path."""
    before = path[index].before  # type: ignore[union-attr]
    if before != BOUNDARY:
        return before
    following = next(
        (item.chars for item in path[index:] if isinstance(item, Item)), UNIVERSE
    )
    return UNIVERSE - WORDS if following <= WORDS else UNIVERSE


def dangers(
    expression: str | bytes, flags: int = 0, *, is_search: bool, is_full: bool = False
) -> list[str]:
    """Return why an expression can take more than linear time."""
    text = expression.decode("latin-1") if isinstance(expression, bytes) else expression
    found: list[str] = []
    tree = parser.parse(text, flags)
    for path in _paths(tree, flags | tree.state.flags, found):
        steps = (*path, Condition(UNIVERSE)) if is_full else path
        if _shared(steps):
            found.append("two repetitions that share a text")
        elif is_search and _shared(
            (Item(UNIVERSE, is_loop=True, is_optional=True), *steps)
        ):
            found.append("a search that scans the same text from each position")
    return sorted(set(found))


@dataclass(frozen=True)
class Use:
    """An expression in the package."""

    place: str
    expression: str | bytes
    flags: int
    is_search: bool
    is_full: bool


def _evaluate(node: ast.expr | None, names: dict[str, Any]) -> Any:
    """Return the value of an expression of a module; a local part of an f-string counts
    as an escaped text.
    """
    if node is None:
        return 0
    if isinstance(node, ast.JoinedStr):
        texts = []
        for part in node.values:
            value = (
                part.value
                if isinstance(part, ast.Constant)
                else _evaluate(part.value, names)
            )  # type: ignore[attr-defined]
            texts.append("x" if value is None else str(value))
        return "".join(texts)
    try:
        return eval(compile(ast.Expression(node), "", "eval"), names)
    except NameError:
        return None


def _uses() -> list[Use]:
    trees = {
        file: ast.parse(file.read_text(encoding="utf-8"))
        for file in sorted(PACKAGE.rglob("*.py"))
    }
    # The methods that are called on each name tell whether it is searched for.
    methods: dict[str, set[str]] = {}
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in SEARCHES | MATCHES:
                owner = node.value
                name = (
                    owner.id
                    if isinstance(owner, ast.Name)
                    else getattr(owner, "attr", "")
                )
                methods.setdefault(name, set()).add(node.attr)
    uses = []
    for file, tree in trees.items():
        module = ".".join(
            ("dsi_cli", *file.relative_to(PACKAGE).with_suffix("").parts)
        ).removesuffix(".__init__")
        targets = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                targets[id(node.value)] = node.targets[0].id
        for node in ast.walk(tree):
            is_call = isinstance(node, ast.Call) and isinstance(
                node.func, ast.Attribute
            )
            if (
                not is_call
                or getattr(node.func.value, "id", "") != "re"
                or node.func.attr == "escape"
            ):
                continue
            names = vars(importlib.import_module(module))
            expression = _evaluate(node.args[0], names)
            if expression is None:
                continue  # a text of a local variable
            keywords = {keyword.arg: keyword.value for keyword in node.keywords}
            position = FLAGS_POSITION.get(node.func.attr)
            flags = _evaluate(
                keywords.get("flags") or dict(enumerate(node.args)).get(position), names
            )
            used = (
                {node.func.attr}
                if node.func.attr != "compile"
                else methods.get(targets.get(id(node), ""), {"search"})
            )
            place = f"{file.relative_to(PACKAGE).as_posix()}:{node.lineno}"
            uses.append(
                Use(
                    place,
                    expression,
                    int(flags),
                    is_search=bool(used & SEARCHES),
                    is_full="fullmatch" in used,
                )
            )
    return uses


def test_expressions_of_the_package_take_linear_time() -> None:
    uses = _uses()
    found = {
        use.place: dangers(
            use.expression, use.flags, is_search=use.is_search, is_full=use.is_full
        )
        for use in uses
    }
    assert {place: reasons for place, reasons in found.items() if reasons} == {}
    # The expressions of all layers were found.
    assert len(uses) > 100
    assert {"checkpoints", "labels", "predictions", "remote", "wordnet", "cli"} <= {
        use.place.partition("/")[0] for use in uses
    }


@pytest.mark.parametrize(
    "expression",
    [
        *(
            r"\s*[\t,;]\s*",
            r"[A-Za-z_]\w*(?:\s*:[^=\n]*)?\s*=\s*(?=\[)",
            r"\d+ to \d+",
            r"item\s*\{[^}]*\}",
            r"(\.pt)+$",
        ),
        *(
            r"(a+)+b",
            r"(a|ab)*c",
            r"(?:\w|_)*-",
            r"^(.*)x(.*)y",
            r"^\s*\s*x",
            r"^\w+(?=.*-)",
            r"\b[a-z][a-z+.]+://",
        ),
    ],
)
def test_dangers_of_an_expression_of_quadratic_time_or_worse_are_found(
    expression: str,
) -> None:
    assert dangers(expression, is_search=True)


@pytest.mark.parametrize(
    "expression",
    [
        *(
            r"[\t,;]",
            r"[\s_.-]+",
            r"(?<!\d)\d+ to \d+",
            r"^\w+=\d+$",
            r"^(?:\.\d+)*x",
            r"[a-z]{1,40}=\d",
            r"\bhf_\w{16}",
        ),
        *(r"item\s*\{[^{}]*\}", r"\A\s*+\s*x", r"^(.*)(?<!\d)0*7", r"\A([a-z]+ )+x"),
    ],
)
def test_dangers_of_an_expression_of_linear_time_are_none(expression: str) -> None:
    assert dangers(expression, is_search=True) == []
