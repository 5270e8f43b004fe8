"""Expect an error by its stable code and fields, so that its message can be
reworded.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dsi_cli.errors import DsiError


@contextmanager
def raises(
    code: str, kind: type[DsiError] = DsiError, **fields: object
) -> Iterator[pytest.ExceptionInfo[DsiError]]:
    """Expect a `DsiError` with this code, of this class, with at least these fields;
    its message is one line.
    """
    with pytest.raises(kind) as caught:
        yield caught
    assert caught.value.code == code, str(caught.value)
    assert "\n" not in str(caught.value)
    assert {name: caught.value.fields.get(name) for name in fields} == fields, str(
        caught.value
    )
