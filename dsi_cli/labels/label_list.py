"""The record of a label list.

Conventions. Position ``i`` is the class that the classifier's row ``i`` stands for. A WordNet id beside a name is a
person's or a preset's claim of what the name means; None where nobody claims anything.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class LabelList:
    """Class names in the classifier's order.

    Attributes
    ----------
    names : tuple of str
        One a class; a name may come twice (ImageNet-1k has two cranes).
    wnids : tuple of (str or None), or None
        A WordNet id or synset name beside each name; None where the list has none at all.
    source : str
        Where the list came from, for a person to read.
    preset : str or None
        The preset that it equals.
    superclasses : tuple of (str or None), or None
        The superclass that the list gives each class; None where it gives none at all.
    subset_of : str or None
        The preset that all names, but not all classes, are of; the ids are then the preset's.
    path : str or None
        The file that it was read from; None if it was read from no file.
    """

    names: tuple[str, ...]
    wnids: tuple[str | None, ...] | None
    source: str
    preset: str | None = None
    superclasses: tuple[str | None, ...] | None = None
    subset_of: str | None = None
    path: str | None = field(default=None, compare=False)

    @property
    def described(self) -> str:
        """Return the source, and the preset that the list is or is a part of, for a person to read.

        Examples
        --------
        >>> LabelList(("cat", "dog"), None, "classes.txt", subset_of="cifar10").described
        'classes.txt, which are classes of the preset cifar10'
        """
        if self.preset is not None and self.source != f"the preset {self.preset}":
            return f"{self.source}, which are the preset {self.preset}"
        return self.source if self.subset_of is None else f"{self.source}, which are classes of the preset {self.subset_of}"

    @cached_property
    def id(self) -> str:
        """Return the tables' ``labels_id``: 12 hex digits that depend on the names and ids, not on source and superclasses.

        Examples
        --------
        >>> cats = LabelList(("cat", "dog"), None, "typed in")
        >>> cats.id, cats.id == LabelList(("cat", "dog"), None, "classes.txt").id
        ('80811080eb38', True)
        """
        # JSON keeps the borders between names, and escapes what has no UTF-8 (lone surrogates).
        return hashlib.sha256(json.dumps([self.names, self.wnids]).encode("ascii")).hexdigest()[:12]

    @property
    def duplicates(self) -> tuple[str, ...]:
        """Return the names that come more than once, each once, in order.

        Examples
        --------
        >>> LabelList(("crane", "dog", "crane"), None, "typed in").duplicates
        ('crane',)
        """
        return tuple(name for name, count in Counter(self.names).items() if count > 1)
