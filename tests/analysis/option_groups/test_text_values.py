"""Values of options that are typed as text."""

from functools import partial

import pytest
from helpers.errors import raises

from dsi_cli.analysis.option_groups import text_values

NUMBERS = partial(text_values.parse_numbers, "--std")
SECONDS = partial(text_values.parse_seconds, "--idle")
CACHE, MEMORY = (
    partial(text_values.parse_size, "cache"),
    partial(text_values.parse_size, "memory", least=1),
)
VALID = {
    NUMBERS: {
        "0.5": (0.5,),
        "0.485,0.456,0.406": (0.485, 0.456, 0.406),
        " 0.1, 0.2 0.3 ": (0.1, 0.2, 0.3),
        "1e-1,-2": (0.1, -2.0),
    },
    CACHE: {
        **{
            "0": 0,
            "8GB": 8 * 10**9,
            "8 gb": 8 * 10**9,
            "1.5g": 1_500_000_000,
            "200MiB": 200 * 10**6,
        },
        **{"3k": 3000, "2T": 2 * 10**12, "17b": 17, " 5 ": 5},
    },
    MEMORY: {"4GB": 4_000_000_000, "500MB": 500_000_000},
    text_values.parse_batch_size: {"auto": None, "1": 1, "512": 512},
    SECONDS: {
        "90s": 90,
        "30m": 1800,
        "2h": 7200,
        "0.5 s": 0.5,
        "1.5H": 5400,
        " 1m ": 60,
    },
}
"""For each function texts, and the values that they stand for."""


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [(parse, *case) for parse, cases in VALID.items() for case in cases.items()],
)
def test_parse_text_of_a_value_returns_it(parse, text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("parse", "texts", "code", "fields"),
    [
        (
            NUMBERS,
            ("a", "0.1,b", "0,1;2", "[0.1]", "0.1/0.2"),
            "not-numbers",
            {"option": "--std"},
        ),
        (
            CACHE,
            ("", "-1", "8XB", "GB", "1e9", "8GBs", "9" * 400),
            "not-a-size",
            {"option": "cache"},
        ),
        (MEMORY, ("0", "much", "-1"), "not-a-size", {"option": "memory"}),
        (
            text_values.parse_batch_size,
            ("", "-1", "1.5", "Auto", "many", "9" * 10, "²"),
            "not-a-batch-size",
            {},
        ),
        (
            lambda text: text_values.parse_arguments([text]),
            ("", "a", "=1", "a b=1", "1a=2", "a.b=1", "--a=1"),
            "not-an-argument",
            {},
        ),
        (
            SECONDS,
            (
                "",
                "30",
                "m",
                "-5s",
                "1d",
                "1h30m",
                "0m",
                "nan s",
                "1e9s",
                "9999999s",
                "inf",
            ),
            "not-a-time",
            {"option": "--idle"},
        ),
        (text_values.epoch_filter, ("a:b", "", "0:9:0", "1:2:3:4"), "not-epochs", {}),
    ],
)
def test_parse_other_text_raises(parse, texts, code, fields):
    for text in texts:
        with raises(code, value=text, **fields):
            parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[
            ("a=1", 1),
            ("a=1.5", 1.5),
            ("a=True", True),
            ("a=None", None),
            ("a=x", "x"),
            ("a='1'", "1"),
            ("a=", ""),
        ],
        *[
            ("a=(1, 2)", (1, 2)),
            ("a={'b': [1]}", {"b": [1]}),
            ("a=b=c", "b=c"),
            ("a=__import__('os')", "__import__('os')"),
        ],
        *[
            ("a=1+", "1+"),
            ("a=" + "(" * 500, "(" * 500),
            ("a=x\0y", "x\0y"),
            ("a=-3", -3),
            ("a= 3", 3),
        ],
    ],
)
def test_parse_arguments_returns_literals_or_text_in_their_order(text, expected):
    assert text_values.parse_arguments(["z=1", text]) == (("z", 1), ("a", expected))


@pytest.mark.parametrize("seconds", [0.2, 1, 45, 60, 90, 5400, 7200, 86400])
def test_format_seconds_is_read_back_the_same(seconds):
    assert SECONDS(text_values.format_seconds(seconds)) == seconds
