"""Errors have a stable code and fields, also after they have travelled between
processes.
"""

import pickle

import pytest

from dsi_cli import errors
from dsi_cli.errors import ClassCountError, DsiError, UsageError

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, DsiError)
]


def test_every_class_of_errors_has_a_code_of_its_own():
    assert len({kind.code for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize(
    "error",
    [
        UsageError("no", code="unknown-run", run="cnn"),
        UsageError("no"),
        ClassCountError("no", classes=10),
    ],
)
def test_an_error_is_the_same_after_pickling(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.code, again.fields) == (
        type(error),
        str(error),
        error.code,
        error.fields,
    )


def test_wrong_has_the_place_and_what_was_found_as_fields():
    error = errors.wrong("--epochs", "a number", "'a'", code="epochs", epochs="a")
    assert error.fields == {
        "where": "--epochs",
        "reason": "found 'a'",
        "epochs": "a",
    }
