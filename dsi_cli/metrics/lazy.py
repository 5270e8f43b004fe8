"""A property that is computed on first use, without the lock that `functools.cached_property` of Python 3.11 has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class lazy_property(Generic[Value]):  # noqa: N801 (used as a decorator)
    """A property that is computed on first use. `functools.cached_property` of Python 3.11 shares one lock among all objects."""

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        """Store the name of the property."""
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Value:
        """Compute the value and store it as an attribute of the instance, which takes precedence from then on."""
        value = instance.__dict__[self._name] = self._compute(instance)
        return value
