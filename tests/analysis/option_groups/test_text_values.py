"""Values of options that are typed as text."""

import pytest
from helpers.errors import raises

from dsi_cli.analysis.option_groups import text_values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5", (0.5,)),
        ("0.485,0.456,0.406", (0.485, 0.456, 0.406)),
        (" 0.1, 0.2 0.3 ", (0.1, 0.2, 0.3)),
        ("1e-1,-2", (0.1, -2.0)),
    ],
)
def test_parse_numbers_returns_floats(text, expected):
    assert text_values.parse_numbers("--mean", text) == expected


@pytest.mark.parametrize("text", ["a", "0.1,b", "0,1;2", "[0.1]", "0.1/0.2"])
def test_parse_numbers_refuses_other_text(text):
    with raises("not-numbers", option="--std", value=text):
        text_values.parse_numbers("--std", text)


SIZES = [
    *[("0", 0), ("8GB", 8 * 10**9), ("8 gb", 8 * 10**9), ("1.5g", 1_500_000_000), ("200MiB", 200 * 10**6)],
    *[("3k", 3000), ("2T", 2 * 10**12), ("17b", 17), (" 5 ", 5)],
]


@pytest.mark.parametrize(("text", "expected"), SIZES)
def test_parse_size_returns_bytes(text, expected):
    assert text_values.parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "-1", "8XB", "GB", "1e9", "8GBs", "half"])
def test_parse_size_refuses_other_text(text):
    with raises("not-a-size", option="--cache", value=text):
        text_values.parse_size(text)


@pytest.mark.parametrize(("text", "expected"), [("4GB", 4_000_000_000), ("500MB", 500_000_000)])
def test_parse_memory_returns_bytes(text, expected):
    assert text_values.parse_memory(text) == expected


@pytest.mark.parametrize("text", ["0", "much", "-1"])
def test_parse_memory_refuses_zero_and_other_text(text):
    with raises("not-a-size", option="--memory", value=text):
        text_values.parse_memory(text)


@pytest.mark.parametrize(("text", "expected"), [("auto", None), ("1", 1), ("512", 512)])
def test_parse_batch_size_returns_a_number_or_none(text, expected):
    assert text_values.parse_batch_size(text) == expected


@pytest.mark.parametrize("text", ["", "-1", "1.5", "Auto", "many", "9" * 10, "²"])
def test_parse_batch_size_refuses_other_text(text):
    with raises("not-a-batch-size", value=text):
        text_values.parse_batch_size(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[("a=1", 1), ("a=1.5", 1.5), ("a=True", True), ("a=None", None), ("a=x", "x"), ("a='1'", "1"), ("a=", "")],
        *[("a=(1, 2)", (1, 2)), ("a={'b': [1]}", {"b": [1]}), ("a=b=c", "b=c"), ("a=__import__('os')", "__import__('os')")],
        *[("a=1+", "1+"), ("a=" + "(" * 500, "(" * 500), ("a=x\0y", "x\0y"), ("a=-3", -3), ("a= 3", 3)],
    ],
)
def test_parse_arguments_returns_literals_or_text(text, expected):
    assert text_values.parse_arguments([text]) == (("a", expected),)


def test_parse_arguments_keeps_the_order():
    assert text_values.parse_arguments(["b=1", "a=2"]) == (("b", 1), ("a", 2))


@pytest.mark.parametrize("text", ["", "a", "=1", "a b=1", "1a=2", "a.b=1", "--a=1"])
def test_parse_arguments_refuses_other_text(text):
    with raises("not-an-argument", value=text):
        text_values.parse_arguments([text])


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("0.5 s", 0.5), ("1.5H", 5400), (" 1m ", 60)]
)
def test_parse_seconds_returns_seconds(text, expected):
    assert text_values.parse_seconds("--idle", text) == expected


@pytest.mark.parametrize("text", ["", "30", "m", "-5s", "1d", "1h30m", "0m", "nan s", "1e9s", "9999999s", "inf"])
def test_parse_seconds_refuses_other_text(text):
    with raises("not-a-time", option="--idle", value=text):
        text_values.parse_seconds("--idle", text)


@pytest.mark.parametrize("seconds", [0.2, 1, 45, 60, 90, 5400, 7200, 86400])
def test_format_seconds_is_read_back_the_same(seconds):
    assert text_values.parse_seconds("--idle", text_values.format_seconds(seconds)) == seconds


@pytest.mark.parametrize("text", ["a:b", "", "0:9:0", "1:2:3:4"])
def test_epoch_filter_refuses_other_text(text):
    with raises("not-epochs", value=text):
        text_values.epoch_filter(text)
